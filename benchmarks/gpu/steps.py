"""The other steps of `make gpu`, each a command of its own: calibration, timelines, the model's error."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from benchmarks import record
from benchmarks.gpu.cases import FAMILIES, variant_named
from benchmarks.gpu.processes import run_command
from twill.shipped import schedule_path

STEPS = ("check", "calibrate", "time", "timelines", "model-error")
"""In this order: what matters most comes first, in case the machine is taken back."""
CALIBRATION_SECONDS, TIMELINE_SECONDS, MODEL_SECONDS = 420.0, 240.0, 240.0
START_SECONDS = 20.0  # to import torch and to open the device


@dataclass
class Budget:
    """Seconds that are left for all processes together."""

    seconds: float
    now: Callable[[], float] = time.monotonic

    def __post_init__(self) -> None:
        self._end = self.now() + self.seconds

    @property
    def left(self) -> float:
        return max(0.0, self._end - self.now())

    def share(self, wanted: float) -> float:
        """As much of `wanted` as is left."""
        return min(wanted, self.left)

    @property
    def spent(self) -> bool:
        """Less is left than any process is worth starting for."""
        return self.left < 10


def _inside(seconds: float) -> str:
    """A command's own limit: it starts, and writes what it has, within its time."""
    return f"{max(1.0, seconds - START_SECONDS):.0f}"


def calibrate(device: str, budget: Budget) -> dict[str, Any]:
    """The machine file of this device, beside the results; a number that could not be measured is in `failure`."""
    path = record.RESULTS / f"{record.slug(device).replace('-', '_')}.toml"
    seconds = budget.share(CALIBRATION_SECONDS)
    command = [sys.executable, "-m", "twill.cli", "calibrate", "-o", str(path), "--time-limit", _inside(seconds)]
    failure = run_command(command, seconds)
    return {"file": path.name if path.is_file() else None, "failure": failure}


def timeline(name: str, budget: Budget) -> dict[str, Any]:
    """The measured timeline of a kernel and its page, in benchmarks/results/timelines."""
    folder = record.RESULTS / "timelines"
    folder.mkdir(parents=True, exist_ok=True)
    variant = variant_named(name)
    target, page = folder / f"{name}.measured.json", folder / f"{name}.html"
    seconds = budget.share(TIMELINE_SECONDS)
    command = [sys.executable, "-m", "twill.cli", "timeline", str(schedule_path(variant)), "--measured", str(target)]
    command += ["--again", "-o", str(page), "--time-limit", _inside(seconds)]
    for option, value in FAMILIES[variant.source].timeline.items():
        command += ["--example", f"{option}={value}"]
    return {"failure": run_command(command, seconds)}


def model_error(budget: Budget) -> dict[str, Any]:
    """The comparison of all timelines with the model."""
    return {"failure": run_command([sys.executable, "-m", "benchmarks.model_error"], budget.share(MODEL_SECONDS))}

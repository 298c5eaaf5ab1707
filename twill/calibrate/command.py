"""What `twill calibrate` does: measure, judge, write, and say what was not written."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import asdict
from math import inf, isfinite
from pathlib import Path
from typing import Any

from twill.calibrate.derive import Finding, derive
from twill.calibrate.machine_file import machine_text
from twill.calibrate.names import NAMES
from twill.calibrate.run import Measured, measure
from twill.errors import InputError
from twill.machine import known
from twill.machine import load as load_machine
from twill.schedule.document import write_text


def calibrate(
    output: str | None, tell: Callable[[str], None], seconds: float = inf
) -> tuple[Path, Measured, tuple[Finding, ...]]:
    """Measures this machine's GPU and writes its machine file: its path, the readings, the findings.

    seconds: after which what is not yet measured is left out.

    Raises InputError when `output` is not a machine file's name, Unsupported where there is nothing to measure.
    """
    if output is not None:
        check_name(output)
    measured = measure(NAMES, tell, seconds=seconds)
    findings = derive(measured.readings, measured.device)
    path = Path(output or f"{slug(measured.device.name)}.toml")
    text = machine_text(path.stem, measured.device, findings, measured.readings, measured.failures)
    write_text(path, text)
    load_machine(path)
    return path, measured, findings


def check_name(output: str) -> None:
    """Raises InputError for a name that `--arch` would not take, or would take for a shipped machine."""
    path = Path(output)
    if path.suffix != ".toml":
        raise InputError(f"-o {output}: a machine file's name ends in .toml.", hint="Try -o h100.toml.")
    if path.stem in known():
        raise InputError(f"-o {output}: `{path.stem}` is a machine that ships with Twill.", hint="Choose another name.")


def slug(device: str) -> str:
    """A file name for a device: "NVIDIA H100 80GB HBM3" gives "nvidia_h100_80gb_hbm3"."""
    return re.sub(r"[^a-z0-9]+", "_", device.lower()).strip("_") or "measured"


def calibration_json(path: Path, measured: Measured, findings: tuple[Finding, ...]) -> dict[str, Any]:
    """The same as one JSON value."""
    return {
        "output": str(path),
        "device": asdict(measured.device),
        "facts": [asdict(finding) for finding in findings],
        "readings": {
            name: {key: value if isfinite(value) else None for key, value in asdict(reading).items()}
            for name, reading in measured.readings.items()
        },
        "failures": measured.failures,
    }


def print_findings(findings: tuple[Finding, ...]) -> None:
    """A table: each fact beside its base's value."""
    from rich.console import Console
    from rich.table import Table

    base = load_machine("hopper")
    table = Table("fact", "measured", "hopper.toml", "unit", "")
    for finding in findings:
        value = "-" if finding.value is None else f"{finding.value:g}"
        table.add_row(finding.name, value, f"{base.number(finding.name):g}", finding.unit, finding.problem)
    Console().print(table)

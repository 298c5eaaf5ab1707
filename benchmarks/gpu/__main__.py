"""The command: every generated kernel judged and timed, each in processes of its own.

    python -m benchmarks.gpu [--kernels NAME ...] [--steps STEP ...] [--budget SECONDS] [--output FILE]

Right against float64, then calibration, times beside others, measured timelines, and the model's error.
Exit codes: 0 all results are right; 1 a check or a step failed; 2 bad usage; 3 there is no GPU to run on.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from benchmarks import record
from benchmarks.gpu.processes import run_kernel, timed
from benchmarks.gpu.steps import STEPS, Budget, calibrate, model_error, timeline
from benchmarks.gpu.tables import checks_table, timings_table
from twill.shipped import VARIANTS

NO_DEVICE = 3
_SHARE_OF_TIMING = 0.6  # of what is left when it begins; timelines come after it


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--kernels", multiple=True, type=click.Choice([v.name for v in VARIANTS]), help="Only this; repeat for several."
)
@click.option("--steps", multiple=True, type=click.Choice(STEPS), help="Only this; repeat for several.")
@click.option("--timing/--no-timing", default=True, help="Time the kernels beside the others, or leave that step out.")
@click.option("--budget", default=1500, show_default=True, type=click.IntRange(1), help="Seconds for everything.")
@click.option("--check-timeout", default=180, show_default=True, type=click.IntRange(1), help="Seconds to judge one.")
@click.option("--timing-timeout", default=900, show_default=True, type=click.IntRange(1), help="Seconds to time one.")
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="The result file.")
def main(
    kernels: tuple[str, ...],
    steps: tuple[str, ...],
    timing: bool,
    budget: int,
    check_timeout: int,
    timing_timeout: int,
    output: Path | None,
) -> None:
    """Run every generated kernel on this machine's Hopper GPU: right against float64, how fast, and as predicted?

    The steps run in the order of --steps' choices; each writes its results at once. What no longer fits into the
    budget is left out, and said.
    """
    missing = why_no_device()
    if missing:
        click.echo(missing, err=True)
        sys.exit(NO_DEVICE)
    import torch

    device = torch.cuda.get_device_name()
    wanted = [step for step in STEPS if (step in steps or not steps) and (timing or step != "time")]
    session = Session(
        kernels or in_turn(), device, Budget(budget), check_timeout, timing_timeout,
        output, {"cuda": torch.version.cuda, "device": device},
    )  # fmt: skip
    for step in wanted:
        getattr(session, step.replace("-", "_"))()
    if session.results:
        session.console.print(checks_table(session.results))
        if "time" in wanted:
            session.console.print(timings_table(session.results))
    failures = [f"{step} of {name}: {why}" for step, each in session.steps.items() for name, why in each.items() if why]
    for failure in failures:
        session.console.print(failure, markup=False)
    session.console.print(f"wrote {os.path.relpath(session.target)}" if session.target else "nothing was run")
    passed = all(result["passed"] for result in session.results.values()) and not failures
    sys.exit(0 if passed else 1)


@dataclass
class Session:
    """What was found so far; every step writes it."""

    kernels: tuple[str, ...]
    device: str
    budget: Budget
    check_timeout: int
    timing_timeout: int
    output: Path | None
    facts: dict[str, Any]
    results: dict[str, Any] = field(default_factory=dict)
    steps: dict[str, dict[str, str]] = field(default_factory=dict)  # for each, what failed
    target: Path | None = None
    console: Any = field(default_factory=record.console)

    def check(self) -> None:
        """Every kernel against float64."""

        def one(name: str) -> str:
            self.results[name] = run_kernel(name, self.budget.share(self.check_timeout), None)
            checks = self.results[name]["checks"]
            held = sum(not check["failure"] for check in checks)
            words = f"{name}: {held} of {len(checks)} checks held {self.results[name]['failure']}"
            self.console.print(words, markup=False)
            return ""

        self._each("check", one)

    def time(self) -> None:
        """Every kernel that did not hang or crash beside the others, in part of the time that is left."""
        kept_back = (1 - _SHARE_OF_TIMING) * self.budget.left
        waiting = list(self.kernels)

        def one(name: str) -> str:
            share = max(0.0, self.budget.left - kept_back) / len(waiting)
            waiting.remove(name)
            result = self.results.get(name) or {  # not judged in this run
                "judged": False,
                "passed": True, "failure": "", "checks": [], "timings": [], "timing_failure": "",
            }  # fmt: skip
            if result["failure"]:
                return "not timed, as its checks did not end well"
            self.results[name] = timed(name, result, self.budget.share(min(self.timing_timeout, share)))
            return str(self.results[name]["timing_failure"])

        self._each("time", one)

    def calibrate(self) -> None:
        """The machine file of this device."""
        self._each("calibrate", lambda name: str(calibrate(self.device, self.budget)["failure"]), (self.device,))

    def timelines(self) -> None:
        """Measured beside predicted, for every kernel."""
        self._each("timelines", lambda name: str(timeline(name, self.budget)["failure"]))

    def model_error(self) -> None:
        """The model's error over all timelines."""
        self._each("model-error", lambda name: str(model_error(self.budget)["failure"]), ("all kernels",))

    def _each(self, step: str, do: Callable[[str], str], names: tuple[str, ...] = ()) -> None:
        failed = self.steps.setdefault(step, {})
        for name in names or self.kernels:
            if self.budget.spent:
                failed[name] = "left out: the time was used up"
                if self.target is None:
                    continue
            else:
                with self.console.status(f"{step}: {name}"):
                    failed[name] = do(name)
            self.facts["steps"] = self.steps
            self.target = record.write(f"gpu_{record.slug(self.device)}", self.results, self.output, self.facts)


def in_turn() -> tuple[str, ...]:
    """All kernels, those of float16 first: where time runs out, each kind of kernel has had its turn."""
    return tuple(sorted((variant.name for variant in VARIANTS), key=lambda name: not name.endswith("fp16")))


def why_no_device() -> str:
    """Why the generated kernels cannot run here, in a sentence; "" when they can."""
    try:
        import torch
    except ImportError:
        return "The generated kernels need PyTorch, which is not installed for this Python."
    if not torch.cuda.is_available():
        return "There is no CUDA device here: the generated kernels need a Hopper GPU, and nothing was measured."
    capability = torch.cuda.get_device_capability()
    if capability != (9, 0):
        found = f"{torch.cuda.get_device_name()} (sm_{capability[0]}{capability[1]})"
        return f"The generated kernels need a Hopper GPU (sm_90), and this one is {found}: nothing was measured."
    return ""


if __name__ == "__main__":
    main()

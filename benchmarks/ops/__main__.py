"""The command: the operators judged, their kernels predicted, and on a GPU timed beside others.

    python -m benchmarks.ops [--works NAME ...] [--kernels NAME ...] [--steps STEP ...] [--output FILE]

Without a GPU nothing is said of speed but what the model predicts, which is labelled so. Ctrl-C keeps what was found.
Exit codes: 0 all results are right; 1 a result is not, or Ctrl-C; 2 bad usage.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click
from rich.progress import track

from benchmarks import record
from benchmarks.gpu.processes import run_process
from benchmarks.ops import tables
from benchmarks.ops.correctness import judge
from benchmarks.ops.predictions import predictions
from benchmarks.ops.works import WORKS, Work
from twill.interrupt import ctrl_c_stops
from twill.shipped import VARIANTS

STEPS = ("correctness", "predictions", "timings")
TIMED_DTYPE = "bf16"
WORK_NAMES = [work.name for work in WORKS]
KERNELS = [variant.name for variant in VARIANTS]


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--works", multiple=True, type=click.Choice(WORK_NAMES), help="Only this; repeat for several.")
@click.option("--kernels", multiple=True, type=click.Choice(KERNELS), help="Predict only this; repeat for several.")
@click.option("--steps", multiple=True, type=click.Choice(STEPS), help="Only this; repeat for several.")
@click.option("--timeout", default=600, show_default=True, type=click.IntRange(1), help="Seconds to time one work.")
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="The result file.")
def main(
    works: tuple[str, ...], kernels: tuple[str, ...], steps: tuple[str, ...], timeout: int, output: Path | None
) -> None:
    """Judge the operators of twill.ops against float64, predict their kernels, and time them where there is a GPU."""
    import torch

    gpu = torch.cuda.is_available()
    console = record.console()
    wanted = [work for work in WORKS if work.present and (not works or work.name in works)]
    results: dict[str, Any] = {
        "absent": [work.name for work in WORKS if not work.present], "correctness": [], "predictions": [],
        "timings": {},
    }  # fmt: skip
    with ctrl_c_stops() as stopped:
        if not steps or "correctness" in steps:
            results["correctness"] = correctness(wanted, "cuda" if gpu else "cpu", stopped)
            console.print(tables.correctness(results["correctness"]))
        if not steps or "predictions" in steps:
            results["predictions"] = predicted(kernels, stopped)
            console.print(tables.predictions(results["predictions"]))
        if gpu and (not steps or "timings" in steps):
            results["timings"] = timed(wanted, timeout, stopped)
            console.print(tables.timings(results["timings"]))
    if not gpu:
        console.print("There is no GPU here: nothing was timed, and nothing of this is a measured speed.")
    facts = {
        "device": torch.cuda.get_device_name() if gpu else "cpu", "cuda": torch.version.cuda,
        "complete": not stopped() and not works and not kernels and not steps,
    }  # fmt: skip
    target = record.write("ops", results, output, facts)
    console.print(f"wrote {os.path.relpath(target)}", markup=False)
    wrong = any(row["failure"] for row in results["correctness"])
    sys.exit(1 if wrong or stopped() else 0)


def correctness(works: Iterable[Work], device: str, stopped: Callable[[], bool]) -> list[dict[str, Any]]:
    """A row for each work, dtype and size, until Ctrl-C."""
    asked = [(work, dtype, sizes) for work in works for dtype in work.dtypes for sizes in work.small]
    return [judge(work, sizes, dtype, device) for work, dtype, sizes in track(asked, "judging") if not stopped()]


def predicted(names: tuple[str, ...], stopped: Callable[[], bool]) -> list[dict[str, Any]]:
    """A row for each shipped kernel and size, until Ctrl-C."""
    wanted = [variant for variant in VARIANTS if not names or variant.name in names]
    return [row for variant in track(wanted, "predicting") if not stopped() for row in predictions(variant)]


def timed(works: Iterable[Work], timeout: float, stopped: Callable[[], bool]) -> dict[str, Any]:
    """For each work its sizes with their contenders, each work in a process of its own, until Ctrl-C."""
    found = {}
    for work in works:
        if stopped():
            break
        command = [sys.executable, "-m", "benchmarks.ops.child", work.name, TIMED_DTYPE]
        entries, failure = run_process(command, timeout)
        found[work.name] = {"dtype": TIMED_DTYPE, "sizes": entries, "failure": failure}
    return found


if __name__ == "__main__":
    main()

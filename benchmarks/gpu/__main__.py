"""The command: every generated kernel judged and timed, each in processes of its own.

    python -m benchmarks.gpu [--kernels NAME ...] [--no-timing] [--output FILE]

Exit codes: 0 all results are right; 1 a check failed; 2 bad usage; 3 there is no GPU to run on.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import click

from benchmarks import record
from benchmarks.gpu.processes import run_kernel
from benchmarks.gpu.tables import checks_table, timings_table
from twill.shipped import VARIANTS

NO_DEVICE = 3


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--kernels", multiple=True, type=click.Choice([v.name for v in VARIANTS]), help="Only this; repeat for several."
)
@click.option("--timing/--no-timing", default=True, help="Time the kernels beside the others, or only judge them.")
@click.option("--check-timeout", default=180, show_default=True, type=click.IntRange(1), help="Seconds to judge one.")
@click.option("--timing-timeout", default=900, show_default=True, type=click.IntRange(1), help="Seconds to time one.")
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="The result file.")
def main(kernels: tuple[str, ...], timing: bool, check_timeout: int, timing_timeout: int, output: Path | None) -> None:
    """Run every generated kernel on this machine's Hopper GPU: right against float64, and how fast."""
    missing = why_no_device()
    if missing:
        click.echo(missing, err=True)
        sys.exit(NO_DEVICE)
    import torch

    device = torch.cuda.get_device_name()
    console = record.console()
    results: dict[str, Any] = {}
    for name in kernels or tuple(variant.name for variant in VARIANTS):
        with console.status(name):
            results[name] = run_kernel(name, check_timeout, timing_timeout if timing else None)
        held = sum(not check["failure"] for check in results[name]["checks"])
        console.print(
            f"{name}: {held} of {len(results[name]['checks'])} checks held {results[name]['failure']}", markup=False
        )
    console.print(checks_table(results))
    if timing:
        console.print(timings_table(results))
    facts = {"cuda": torch.version.cuda, "device": device}
    target = record.write(f"gpu_{record.slug(device)}", results, output, facts)
    console.print(f"wrote {os.path.relpath(target)}")
    sys.exit(0 if all(result["passed"] for result in results.values()) else 1)


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

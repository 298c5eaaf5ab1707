"""How long the emulator takes for one interleaving of one thread block of attention, on one core.

    python -m benchmarks.emulate_speed [--runs N] [--keys N] [--profile] [--output FILE]

The thread block has 128 queries and works through all keys, 128 at a time, from a shipped module; every run has
another seed, so another interleaving, and its result is compared with float64.
"""

from __future__ import annotations

import cProfile
import importlib
import os
import pstats
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from benchmarks import record
from benchmarks.samples import Summary, summarize
from twill.emulate.launches import Run
from twill.emulate.verify import verify

MODULES = ("attention_d128_bf16", "attention_d64_bf16")
QUERIES = 128
TARGET_SECONDS = 10.0


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--runs", default=5, show_default=True, type=click.IntRange(1), help="Interleavings of each module.")
@click.option("--keys", default=2048, show_default=True, type=click.IntRange(128), help="Keys, a multiple of 128.")
@click.option("--profile", is_flag=True, help="Print where the time goes instead of writing a result.")
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="The result file.")
def main(runs: int, keys: int, profile: bool, output: Path | None) -> None:
    """Time the emulator on shipped attention kernels."""
    console = record.console()
    results: dict[str, Any] = {}
    shown = Table(title=f"one thread block, {QUERIES} queries, {keys} keys", title_justify="left", box=None)
    for column in ("module", "seconds, median", "quartiles", "scheduling steps"):
        shown.add_column(column, justify="left" if column == "module" else "right")
    failed = []
    for name in MODULES[:1] if profile else MODULES:
        with console.status(name):
            if profile:
                profiler = cProfile.Profile()
                profiler.runcall(measure, name, runs, keys)
                pstats.Stats(profiler, stream=sys.stdout).sort_stats("tottime").print_stats(25)
                return
            done = measure(name, runs, keys)
        failed += [f"{name}, seed {run.seed}: {run.failure}" for run in done if run.failure]
        seconds: Summary = summarize([run.seconds for run in done])
        results[name] = {"seconds": asdict(seconds), "steps": [run.steps for run in done]}
        results[name]["met"] = seconds.median <= TARGET_SECONDS
        quartiles = f"{seconds.lower_quartile:.2f} to {seconds.upper_quartile:.2f}"
        shown.add_row(name, f"{seconds.median:.2f}", quartiles, f"{max(run.steps for run in done):,}")
    console.print(shown)
    met = sum(result["met"] for result in results.values())
    console.print(f"at most {TARGET_SECONDS:g} s for an interleaving: {met} of {len(results)}")
    target = record.write("emulate_speed", results, output, {"runs": runs, "queries": QUERIES, "keys": keys})
    console.print(f"wrote {os.path.relpath(target)}")
    for failure in failed:
        console.print(f"failed: {failure}", style="red", markup=False)
    sys.exit(1 if failed else 0)


def measure(name: str, runs: int, keys: int) -> tuple[Run, ...]:
    """Runs of a shipped module, one seed each."""
    attention = importlib.import_module("twill.kernels.attention")
    head, dtype = int(name.split("_")[1].removeprefix("d")), name.rsplit("_", 1)[1]
    launch = attention.inputs(H=1, M=QUERIES, N=keys, D=head, dtype=dtype)
    expected = attention.truth(**launch)
    path = record.ROOT / "kernels" / "generated" / "hopper" / f"{name}.py"
    report = verify(path, inputs=[launch], truth=[expected], entry="attn_fwd", seeds=range(runs), reduction_length=keys)
    return report.runs


if __name__ == "__main__":
    main()

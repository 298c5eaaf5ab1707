"""How long a kernel takes from its file to checked machine code, stage by stage, and how much memory.

    python -m benchmarks.compile_time [--runs N] [--kernels NAME ...] [--output FILE]

Every run is a process of its own that starts with an empty Triton cache and compiles the kernel
twice: the first time is cold, the second warm (modules are loaded, and Triton's cache then holds the
machine code). Loading torch, triton and the solver is a column of its own.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from benchmarks import record
from benchmarks.compile_stages import CASES, STAGES
from benchmarks.samples import Summary, summarize
from twill import processes

_TIMEOUT_SECONDS = 600


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--runs", default=5, show_default=True, type=click.IntRange(1), help="Fresh processes per kernel.")
@click.option("--kernels", multiple=True, type=click.Choice(list(CASES)), help="Only this one; repeat for several.")
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="The result file.")
def main(runs: int, kernels: tuple[str, ...], output: Path | None) -> None:
    """Time each stage of the compiler on the kernels that ship, cold and warm."""
    console = record.console()
    results: dict[str, Any] = {}
    failures: list[str] = []
    for name in kernels or tuple(CASES):
        samples = []
        for run in range(runs):
            with console.status(f"{name}: run {run + 1} of {runs}"):
                samples.append(fresh_process(name))
        results[name] = summary(samples)
        failures += [f"{name}: {failure}" for failure in results[name]["failures"]]
    console.print(table(results))
    target = record.write("compile_time", results, output, {"runs": runs})
    console.print(f"wrote {os.path.relpath(target)}")
    for failure in failures:
        console.print(f"failed: {failure}", style="red", markup=False)
    sys.exit(1 if failures else 0)


def fresh_process(name: str) -> dict[str, Any]:
    """What `compile_stages.measure` returns in a new process whose Triton cache is empty.

    Raises ClickException when it fails or takes longer than ten minutes.
    """
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder, "answer.json")
        command = [sys.executable, "-m", "benchmarks.compile_stages", name, str(answer)]
        environment = {**os.environ, "TRITON_CACHE_DIR": str(Path(folder, "cache"))}
        ended = processes.run(command, _TIMEOUT_SECONDS, record.ROOT, environment)
        if ended.code is None:
            raise click.ClickException(f"compiling {name} took more than {_TIMEOUT_SECONDS} s")
        if ended.code or not answer.is_file():
            raise click.ClickException(f"compiling {name} failed: {ended.last_line or ended.how}")
        found: dict[str, Any] = json.loads(answer.read_text())
        return found


def summary(samples: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Medians and spread of the processes' samples, and the schedules they found."""
    both = [sample[kind] for sample in samples for kind in ("cold", "warm")]
    schedules = {(one["ii_cycles"], one["subtiles"], one["status"]) for one in both}
    return {
        "import_seconds": asdict(summarize([sample["import_seconds"] for sample in samples])),
        "peak_bytes": asdict(summarize([sample["peak_bytes"] for sample in samples])),
        **{kind: _stages([sample[kind]["seconds"] for sample in samples]) for kind in ("cold", "warm")},
        "schedules": [{"ii_cycles": ii, "subtiles": n, "status": status} for ii, n, status in sorted(schedules)],
        "failures": sorted({failure for one in both for failure in one["failures"]}),
    }


def _stages(seconds: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    """Summaries by stage, and of the stages' sums. seconds: of one compilation, by stage."""
    stages = {stage: asdict(summarize([one[stage] for one in seconds])) for stage in STAGES}
    return {**stages, "total": asdict(summarize([sum(one.values()) for one in seconds]))}


def table(results: Mapping[str, Any]) -> Table:
    """Two rows a kernel: seconds of each stage, median with the quartiles of the total."""
    shown = Table(title="Seconds, median (total with its quartiles)", title_justify="left", box=None, pad_edge=False)
    for column in ("kernel", "", "import", *STAGES, "total", "peak MB"):
        shown.add_column(column, no_wrap=True, justify="left" if column in ("kernel", "") else "right")
    for name, result in results.items():
        for kind in ("cold", "warm"):
            total = Summary(**result[kind]["total"])
            shown.add_row(
                name if kind == "cold" else "",
                kind,
                f"{result['import_seconds']['median']:.2f}" if kind == "cold" else "",
                *(f"{result[kind][stage]['median']:.2f}" for stage in STAGES),
                f"{total.median:.2f} ({total.lower_quartile:.2f} to {total.upper_quartile:.2f})",
                f"{result['peak_bytes']['median'] / 1e6:.0f}" if kind == "cold" else "",
            )
    return shown


if __name__ == "__main__":
    main()

"""How the solver grows with the loop: seconds to a proved II, and the gap where the limit comes first.

    python -m benchmarks.solve_scale [--sizes N ...] [--seeds N] [--time-limit SECONDS] [--output FILE]

Solves loops of `benchmarks/random_loops.py` for the interval alone (no tiers), free to group and kept by
sub-tile, and writes the result file with a plot beside it. Ctrl-C keeps what was measured.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import click
from rich.status import Status
from rich.table import Table

from benchmarks import record
from benchmarks.random_loops import colocated_loop, random_loop
from benchmarks.samples import summarize
from benchmarks.scale_plot import draw
from twill.interrupt import ctrl_c_stops
from twill.schedule.checker import check
from twill.schedule.problem import Problem
from twill.solve import Progress, solve

SIZES = (10, 20, 40, 60, 80, 100, 150, 200)
VARIANTS: dict[str, Callable[[int, int], Problem]] = {"free": random_loop, "colocated": colocated_loop}


@dataclass(frozen=True)
class Instance:
    """One solve. ii: 0 without a schedule. gap: (ii - bound) / bound, None without a schedule.

    proof_seconds: until II was proved, None at the limit. first_seconds: until the first schedule.
    trace: (seconds, ii, bound) whenever one of the two moved. violation: of the checker, "" when valid.
    """

    ops: int
    seed: int
    variant: str
    status: str
    ii: int
    lower_bound: int
    gap: float | None
    seconds: float
    proof_seconds: float | None
    first_seconds: float | None
    trace: tuple[tuple[float, int, int], ...]
    violation: str


@dataclass(frozen=True)
class Target:
    """At `ops` ops the gap is at most `gap` (0: proved) within `seconds`."""

    ops: int
    seconds: float
    gap: float

    def met(self, one: Instance) -> bool:
        """Judged by the trace, so a run with a longer limit says it as well."""
        if self.gap == 0:
            return one.proof_seconds is not None and one.proof_seconds <= self.seconds
        inside = [(ii, bound) for at, ii, bound in one.trace if at <= self.seconds and ii and bound]
        return bool(inside) and (inside[-1][0] - inside[-1][1]) / inside[-1][1] <= self.gap

    def __str__(self) -> str:
        what = "proved" if self.gap == 0 else f"gap at most {self.gap:.0%}"
        return f"{self.ops} ops: {what} in {self.seconds:g} s"


TARGETS = (Target(40, 10, 0), Target(100, 60, 0), Target(200, 60, 0.02))


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--sizes", multiple=True, type=click.IntRange(5, 1000), help="Ops of a loop; repeat for several.")
@click.option("--seeds", default=3, show_default=True, type=click.IntRange(1), help="Loops of each size and variant.")
@click.option("--variants", multiple=True, type=click.Choice(list(VARIANTS)), help="Only this one.")
@click.option("--time-limit", default=60.0, show_default=True, type=click.FloatRange(min=0.1), help="Seconds a solve.")
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="The result file; the plot beside it.")
def main(sizes: tuple[int, ...], seeds: int, variants: tuple[str, ...], time_limit: float, output: Path | None) -> None:
    """Time the solver on random loops of growing size."""
    console = record.console()
    cases = [
        (ops, seed, variant)
        for ops in sizes or SIZES
        for seed in range(seeds)
        for variant in variants or tuple(VARIANTS)
    ]
    done: list[Instance] = []
    with console.status("starting") as status, ctrl_c_stops() as stop:
        for number, (ops, seed, variant) in enumerate(cases, 1):
            tell = partial(_tell, status, f"{number} of {len(cases)}: {ops} ops, seed {seed}, {variant}")
            found = measure(ops, seed, variant, time_limit, stop, tell)
            if stop():  # this one was cut short
                console.print(f"stopped after {len(done)} of {len(cases)} solves")
                break
            done.append(found)
    console.print(table(done, time_limit))
    for target, met, of in judged(done):
        console.print(f"{target}: {met} of {of}")
    if done:
        target_file = record.write("solve_scale", results(done), output, {"time_limit": time_limit, "seeds": seeds})
        plot = target_file.with_suffix(".svg")
        draw([asdict(one) for one in done], [asdict(target) for target in TARGETS], time_limit, plot)
        console.print(f"wrote {os.path.relpath(target_file)} and {os.path.relpath(plot)}")
    broken = [one for one in done if one.violation]
    for one in broken:
        console.print(f"failed: {one.ops} ops, seed {one.seed}, {one.variant}: {one.violation}", markup=False)
    sys.exit(1 if broken else 0)


def _tell(status: Status, title: str, text: str) -> None:
    status.update(f"{title}: {text}")


def measure(
    ops: int, seed: int, variant: str, time_limit: float,
    stop: Callable[[], bool] = lambda: False, tell: Callable[[str], None] = lambda text: None,
) -> Instance:  # fmt: skip
    """Solve one loop for its interval and look at the answer with the independent checker."""
    problem = VARIANTS[variant](ops, seed)
    trace: list[tuple[float, int, int]] = []
    began = time.perf_counter()

    def note(at: Progress) -> None:
        tell(str(at))
        if not trace or trace[-1][1:] != (at.ii, at.bound):
            trace.append((round(time.perf_counter() - began, 3), at.ii, at.bound))

    schedule = solve(problem, time_limit=time_limit, progress=note, stop=stop, tiers=())
    seconds = round(time.perf_counter() - began, 3)
    if not trace or trace[-1][1:] != (schedule.ii, schedule.lower_bound):
        trace.append((seconds, schedule.ii, schedule.lower_bound))
    violations = check(schedule) if schedule.placements else ()
    ii, bound = schedule.ii, schedule.lower_bound
    return Instance(
        ops, seed, variant, schedule.status, ii, bound,
        gap=(ii - bound) / bound if ii else None,
        seconds=seconds,
        proof_seconds=seconds if schedule.status == "optimal" else None,
        first_seconds=next((at for at, found, _ in trace if found), None),
        trace=tuple(trace),
        violation=_violation(schedule.status, [str(each) for each in violations]),
    )  # fmt: skip


def _violation(status: str, found: Sequence[str]) -> str:
    """Every loop has a schedule, so `infeasible` is wrong too."""
    return "called infeasible, but its witness is valid" if status == "infeasible" else next(iter(found), "")


def results(done: Sequence[Instance]) -> dict[str, Any]:
    """What the file holds: every instance, and for each target how many met it."""
    return {
        "instances": [asdict(one) for one in done],
        "targets": [{"target": str(target), "met": met, "of": of} for target, met, of in judged(done)],
    }


def judged(done: Iterable[Instance]) -> list[tuple[Target, int, int]]:
    """Each target that was measured, how many instances met it, of how many."""
    done = list(done)
    found = []
    for target in TARGETS:
        there = [one for one in done if one.ops == target.ops]
        if there:
            found.append((target, sum(target.met(one) for one in there), len(there)))
    return found


def table(done: Sequence[Instance], time_limit: float) -> Table:
    """A row for each size and variant."""
    shown = Table(title=f"II of random loops, limit {time_limit:g} s", title_justify="left", box=None, pad_edge=False)
    for column in ("ops", "variant", "proved", "seconds to proof, median", "largest", "schedules", "largest gap"):
        shown.add_column(column, no_wrap=True, justify="left" if column == "variant" else "right")
    for ops, variant in dict.fromkeys((one.ops, one.variant) for one in done):
        there = [one for one in done if (one.ops, one.variant) == (ops, variant)]
        proofs = [one.proof_seconds for one in there if one.proof_seconds is not None]
        gaps = [one.gap for one in there if one.gap is not None]
        shown.add_row(
            str(ops), variant, f"{len(proofs)} of {len(there)}",
            f"{summarize(proofs).median:.1f}" if proofs else "", f"{max(proofs):.1f}" if proofs else "",
            f"{len(gaps)} of {len(there)}", f"{max(gaps):.1%}" if gaps else "",
        )  # fmt: skip
    return shown


if __name__ == "__main__":
    main()

"""Emitted kernels against float64: many interleavings, several trip counts, every output element."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path as File
from typing import Any

import numpy as np

from twill.emulate import cases, trace
from twill.emulate.cases import Case, Truth
from twill.emulate.guided import Guided, Path
from twill.emulate.launches import Run, loaded, run_case
from twill.emulate.load import EmulatedModule
from twill.emulate.ordering import Ordering
from twill.emulate.report import MAX_STEPS, EmulationError, replay_command

SEEDS = (0, 1, 2)
MORE_SEEDS = 24  # of a short run, where they do not answer for every interleaving
SHORT_RUN = 3  # iterations
PROGRAMS = 3  # thread blocks that are run of the longest case: with the fewest and the most iterations, and between


@dataclass(frozen=True)
class VerifyReport:
    """All runs of one module, in order."""

    path: str
    runs: tuple[Run, ...]
    notes: tuple[str, ...] = field(default=())
    max_steps: int = MAX_STEPS

    @property
    def passed(self) -> bool:
        return bool(self.runs) and not self.failures

    @property
    def failures(self) -> tuple[EmulationError, ...]:
        return tuple(run.failure for run in self.runs if run.failure is not None)

    @property
    def trip_counts(self) -> tuple[int, ...]:
        return tuple(sorted({run.trip_count for run in self.runs if run.trip_count is not None}))

    def summary(self) -> str:
        """One sentence: the first failure, or how much was run and how near the tolerance it came."""
        if self.failures:
            run = next(run for run in self.runs if run.failure is not None)
            more = f" ({len(self.failures)} of {len(self.runs)} runs fail)" if len(self.failures) > 1 else ""
            again = f" Shown step by step by `{replay_command(self.path, run.replay, self.max_steps)}`."
            which = f"interleaving {run.interleaving}" if run.interleaving else f"seed {run.seed}"
            return f"{run.case}, {which}: {run.failure}{more}{again}"
        if not self.runs:
            return "nothing was run"
        seeds = len({(run.seed, run.interleaving) for run in self.runs})
        worst = max(self.runs, key=lambda run: run.max_error / run.tolerance if run.tolerance else 0.0)
        trips = f", trip counts {', '.join(map(str, self.trip_counts))}" if self.trip_counts else ""
        return (
            f"{len(self.runs)} runs under {seeds} interleavings{trips}: no race, no deadlock; "
            f"largest error {worst.max_error:.2e} of {worst.tolerance:.2e} allowed"
        )

    def data(self) -> dict[str, object]:
        """The report as plain data, for `--json`."""
        return {
            "passed": self.passed,
            "trip_counts": list(self.trip_counts),
            "runs": [
                {
                    "case": run.case,
                    "seed": run.seed,
                    "replay": run.replay,
                    "trip_count": run.trip_count,
                    "max_error": run.max_error if np.isfinite(run.max_error) else None,
                    "tolerance": run.tolerance,
                    "programs": run.programs,
                    "steps": run.steps,
                    "seconds": round(run.seconds, 3),
                    "ordered": run.ordered,
                    "failure": run.failure.as_dict() if run.failure else None,
                }
                for run in self.runs
            ],
            "notes": list(self.notes),
        }


def verify_file(
    path: str | File,
    *,
    schedule: str | File | None = None,
    seeds: Sequence[int] = SEEDS,
    trip_counts: Iterable[int] | None = None,
    programs: int = PROGRAMS,
    max_steps: int = 1_000_000,
    progress: Callable[[str], None] | None = None,
) -> VerifyReport:
    """Verify a module that `twill compile` wrote, with inputs and truth from its schedule file.

    schedule: that file, when it is neither beside the module nor shipped with the package. trip_counts: those wanted;
    None for 0 to 5, those that take every ring of the module round (the example is made longer where it must be),
    and the example's own when it is small. programs: thread blocks run of the longest case; of the others it is one,
    that with the most iterations.
    max_steps: bound on the scheduling steps of a thread block; one that reaches it counts as endless.
    Raises InputError when there is no schedule file or it has no launch, Unsupported for a construct the
    emulator does not know; everything else is in the report.
    """
    found, entry, notes = cases.from_schedule(File(path), schedule, trip_counts, programs)
    return verify_cases(
        path, found, entry, seeds=seeds, more_seeds=MORE_SEEDS, progress=progress, notes=notes, max_steps=max_steps
    )


def verify(
    path: str | File,
    *,
    inputs: Sequence[Mapping[str, Any]],
    truth: Callable[..., Mapping[str, Any]] | Sequence[Mapping[str, Any]],
    entry: str,
    seeds: Sequence[int] = SEEDS,
    reduction_length: int = 4096,
    text: str | None = None,
    max_steps: int = 1_000_000,
    fenced_init: bool | None = None,
) -> VerifyReport:
    """Run launcher `entry` of any Gluon module on each dict of launch arguments.

    truth: one dict of expected outputs (float64 arrays by argument name) per input, or a function of the
    launch arguments that returns it. reduction_length: terms summed into one output, for the tolerance.
    fenced_init: see `loaded`.
    """
    made = []
    for number, arguments in enumerate(inputs):
        expected = truth(**arguments) if callable(truth) else truth[number]
        outputs = {name: Truth.of(array, reduction_length) for name, array in expected.items()}
        made.append(Case(f"input {number}", dict(arguments), outputs))
    return verify_cases(path, made, entry, seeds=seeds, text=text, max_steps=max_steps, fenced_init=fenced_init)


def verify_cases(
    path: str | File,
    found: Sequence[Case],
    entry: str,
    *,
    seeds: Sequence[int] = SEEDS,
    text: str | None = None,
    more_seeds: int = 0,
    max_steps: int = 1_000_000,
    fenced_init: bool | None = None,
    progress: Callable[[str], None] | None = None,
    notes: tuple[str, ...] = (),
) -> VerifyReport:
    """Run launcher `entry` of a module on each case under each seed.

    text: source to run in place of the file's. more_seeds: see `runs_of`. fenced_init: see `loaded`. Raises
    InputError when the module cannot be run, Unsupported for a construct the emulator does not know; everything else
    is in the report.
    """
    module, launcher = loaded(File(path), entry, text, max_steps, fenced_init)
    runs = [run for case in found for run in runs_of(module, launcher, case, seeds, more_seeds, progress)]
    return VerifyReport(str(path), tuple(runs), (*notes, *cases.vacuous(found)), max_steps)


def runs_of(
    module: EmulatedModule,
    launcher: Callable[..., Any],
    case: Case,
    seeds: Sequence[int],
    more_seeds: int = 0,
    progress: Callable[[str], None] | None = None,
) -> Iterator[Run]:
    """One launch under each seed. Where none of the runs is ordered, another interleaving may come to something
    else: then, with `more_seeds`, each role in turn is starved (see `guided`), and if the runs are short up to so many
    seeds more are tried, to the first failure."""
    last = max(seeds, default=-1)
    settled = more_seeds == 0

    def tell(how: str) -> None:
        if progress is not None:
            progress(f"emulating {case.name}, {how}")

    for seed in seeds:
        tell(f"seed {seed}")
        yield (run := _watched(module, launcher, case, seed))
        settled = settled or run.ordered or run.failure is not None
    starved, roles = 1, 1
    while starved <= roles and not settled:
        tell(f"role {starved} starved")
        guided = Guided(Path(f"starve{starved}"))
        yield (run := _watched(module, launcher, case, 0, guided))
        settled = run.ordered or run.failure is not None
        starved, roles = starved + 1, guided.roles
    short = case.trip_count is not None and case.trip_count <= SHORT_RUN
    for seed in range(last + 1, last + 1 + more_seeds):
        if settled or not short:
            return
        tell(f"seed {seed}")
        yield (run := _watched(module, launcher, case, seed))
        settled = run.ordered or run.failure is not None


def _watched(
    module: EmulatedModule, launcher: Callable[..., Any], case: Case, seed: int, guided: Guided | None = None
) -> Run:
    """A launch, and whether it is ordered."""
    watcher = BlockByBlock()
    with trace.watching(watcher):
        run = run_case(module, launcher, case, seed, guided)
    return replace(run, ordered=run.failure is None and watcher.ordered)


class BlockByBlock(Ordering):
    """Of a launch of several thread blocks, each with barriers of its own."""

    program: tuple[int, ...] = ()

    def move(self, number: int, program: tuple[int, ...], role: str, kind: str, line: int) -> None:
        if program != self.program:
            self.program = program
            self.waits.clear()
            self.completed.clear()

"""One interleaving of an emitted kernel again, with its trace; and all of them up to a bound."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path as File

from twill.emulate import cases, trace
from twill.emulate.explore import Exploration, explore
from twill.emulate.guided import Guided, Path
from twill.emulate.report import EmulationError
from twill.emulate.trace import Trace
from twill.emulate.verify import Run, loaded, run_case
from twill.errors import InputError

TRIP_COUNTS = (0, 1, 2, 3)


@dataclass(frozen=True)
class Replay:
    """One run again, and every move it made."""

    file: str
    run: Run
    trace: Trace

    def text(self, last: int | None = None) -> str:
        """The last moves (None: all of them) and how the run ended, which names the sentence of `verify`."""
        head = f"{self.run.case}, {self.run.replay}: {len(self.trace.moves):,} moves"
        end = f"it fails here: {self.run.failure}" if self.run.failure is not None else "it ends well"
        return f"{head}\n{self.trace.text(last)}\n{end}"

    def data(self, last: int | None = None) -> dict[str, object]:
        failure = self.run.failure.as_dict() if self.run.failure is not None else None
        return {
            "replay": self.run.replay, "case": self.run.case, "trip_count": self.run.trip_count,
            "passed": failure is None, "failure": failure, "trace": self.trace.data(last),
        }  # fmt: skip


def replay_file(
    path: str | File,
    name: str,
    *,
    schedule: str | File | None = None,
    trip_counts: Iterable[int] = range(6),
    programs: int = 3,
    max_steps: int = 1_000_000,
) -> Replay:
    """Run again what `verify_file` or `explore_file` reported under `name`.

    name: SEED, or the path of an explored interleaving, with @TRIP_COUNT behind it; without a trip count the
    first one that fails is shown, or the last. programs: as `verify_file` was given; an explored
    interleaving is of one thread block. Raises InputError for a name that is none.
    """
    seed, way, trip_count = _parse(name)
    wanted = trip_counts if trip_count is None else (trip_count,)
    found, entry, _ = cases.from_schedule(File(path), schedule, wanted, 1 if way is not None else programs)
    chosen = [case for case in found if trip_count is None or case.trip_count == trip_count]
    if not chosen:
        raise InputError(
            f"the trip count {trip_count} cannot be reached with smaller arguments of the example.",
            hint=f"Possible are, among others, {', '.join(str(case.trip_count) for case in found)}.",
            location=str(path),
        )
    module, launcher = loaded(File(path), entry, None, max_steps)
    for case in chosen:
        watcher = Trace(str(path))
        with trace.watching(watcher):
            run = run_case(module, launcher, case, seed, Guided(way) if way is not None else None)
        if run.failure is not None:
            break
    return Replay(str(path), run, watcher)


def _parse(name: str) -> tuple[int, Path | None, int | None]:
    """(seed, path of an explored interleaving, trip count)."""
    way, at, count = name.partition("@")
    path = Path.parse(way)
    if (path is None and not re.fullmatch(r"\d{1,9}", way)) or (at and not re.fullmatch(r"\d{1,6}", count)):
        raise InputError(
            f"{name!r} names no interleaving.",
            hint="Give a seed such as 2 or 2@5 (at trip count 5), or what `twill verify --explore` printed, such as "
            "late.14x1@2.",
        )
    return 0 if path is not None else int(way), path, int(count) if at else None


@dataclass(frozen=True)
class ExploreReport:
    """What was explored at each trip count."""

    file: str
    bound: int
    found: tuple[tuple[Run, Exploration], ...]  # the last run of each trip count, and all of it in numbers
    seconds: float
    notes: tuple[str, ...] = ()

    @property
    def failures(self) -> tuple[Run, ...]:
        return tuple(run for run, explored in self.found if explored.failure is not None)

    @property
    def passed(self) -> bool:
        return bool(self.found) and not self.failures

    @property
    def exhausted(self) -> bool:
        return all(explored.exhausted for _, explored in self.found)

    def summary(self) -> str:
        """The first failure with the name to replay it by, or what was covered and what was not."""
        if self.failures:
            run = self.failures[0]
            return (
                f"{run.case}, interleaving {run.interleaving}: {run.failure} Shown step by step by "
                f"`twill verify {self.file} --replay {run.replay}`."
            )
        ended = sum(explored.interleavings for _, explored in self.found)
        cut = sum(explored.cut for _, explored in self.found)
        text = f"{ended:,} interleavings run to their end, {cut:,} cut off where they met one of them: no hazard"
        whole = [run.trip_count for run, explored in self.found if explored.exhausted]
        rest = [run.trip_count for run, explored in self.found if not explored.exhausted]
        every = [run.trip_count for run, explored in self.found if explored.complete]
        if whole:
            text += f"; bound of {self.bound} exhausted for trip counts {', '.join(map(str, whole))}"
        if every:
            text += f"; no interleaving has more at {', '.join(map(str, every))}"
        if rest:
            text += (
                f"; bound of {self.bound} NOT exhausted for trip counts {', '.join(map(str, rest))} (raise --max-runs)"
            )
        return text

    def data(self) -> dict[str, object]:
        return {
            "passed": self.passed,
            "bound": self.bound,
            "exhausted": self.exhausted,
            "trip_counts": [
                {
                    "trip_count": run.trip_count,
                    "interleavings": explored.interleavings,
                    "cut": explored.cut,
                    "exhausted": explored.exhausted,
                    "complete": explored.complete,
                    "replay": run.replay if explored.failure is not None else None,
                    "failure": explored.failure.as_dict() if explored.failure is not None else None,
                }
                for run, explored in self.found
            ],
            "notes": list(self.notes),
        }


def explore_file(
    path: str | File,
    bound: int,
    *,
    schedule: str | File | None = None,
    trip_counts: Iterable[int] = TRIP_COUNTS,
    max_runs: int = 1000,
    max_steps: int = 1_000_000,
    progress: Callable[[str], None] | None = None,
) -> ExploreReport:
    """Run one thread block of an emitted module under every interleaving of at most `bound` deviations.

    max_runs: of each trip count, those cut off included; the report says when they did not suffice.
    """
    began = time.perf_counter()
    wanted = set(trip_counts)
    found, entry, notes = cases.from_schedule(File(path), schedule, wanted, 1)
    module, launcher = loaded(File(path), entry, None, max_steps)
    explored = []
    for case in [case for case in found if case.trip_count in wanted] or found:
        runs: list[Run] = []

        def once(guided: Guided, case: cases.Case = case, runs: list[Run] = runs) -> EmulationError | None:
            runs[:] = [run_case(module, launcher, case, 0, guided)]
            return runs[0].failure

        def tell(text: str, case: cases.Case = case) -> None:
            if progress is not None:
                progress(f"exploring {case.name}: {text}")

        result = explore(once, bound, max_runs, tell)
        explored.append((runs[0], result))
        if result.failure is not None:
            break
    return ExploreReport(str(path), bound, tuple(explored), time.perf_counter() - began, notes)

"""The interleavings of an emitted kernel, for the thread blocks of a launch that differ: all, or up to a bound."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path as File

from twill.emulate import blocks, cases
from twill.emulate.explore import Exploration, explore
from twill.emulate.guided import Guided
from twill.emulate.launches import Run, loaded, run_case
from twill.emulate.load import EmulatedModule
from twill.emulate.replay import Replay, replay_file
from twill.emulate.report import MAX_STEPS, EmulationError, replay_command

__all__ = ["ExploreReport", "Explored", "Replay", "explore_file", "replay_file"]

BLOCKS = 6  # of a launch that are looked at


@dataclass(frozen=True)
class Explored:
    """One thread block at one trip count: its last run, and all of them in numbers. alike: the blocks looked at
    whose first run made the same moves, itself included."""

    run: Run
    exploration: Exploration
    block: blocks.Block
    alike: tuple[blocks.Block, ...]
    of: int  # thread blocks in the launch

    def data(self) -> dict[str, object]:
        explored = self.exploration
        return {
            "trip_count": self.run.trip_count,
            "block": list(self.block),
            "blocks_alike": [list(block) for block in self.alike],
            "blocks": self.of,
            "interleavings": explored.interleavings,
            "cut": explored.cut,
            "exhausted": explored.exhausted,
            "complete": explored.complete,
            "unordered": None if explored.unordered is None else str(explored.unordered),
            "replay": self.run.replay if explored.failure is not None else None,
            "failure": explored.failure.as_dict() if explored.failure is not None else None,
        }


@dataclass(frozen=True)
class ExploreReport:
    """What was explored, by trip count and thread block."""

    file: str
    bound: int
    found: tuple[Explored, ...]
    seconds: float
    notes: tuple[str, ...] = ()
    max_steps: int = MAX_STEPS

    @property
    def failures(self) -> tuple[Run, ...]:
        return tuple(each.run for each in self.found if each.exploration.failure is not None)

    @property
    def passed(self) -> bool:
        return bool(self.found) and not self.failures

    @property
    def exhausted(self) -> bool:
        return all(each.exploration.exhausted for each in self.found)

    def summary(self) -> str:
        """The first failure with the name to replay it by, or what was covered and what was not."""
        if self.failures:
            run = self.failures[0]
            return (
                f"{run.case}, interleaving {run.interleaving}: {run.failure} Shown step by step by "
                f"`{replay_command(self.file, run.replay, self.max_steps)}`."
            )
        ended = sum(each.exploration.interleavings for each in self.found)
        cut = sum(each.exploration.cut for each in self.found)
        every = [each for each in self.found if each.exploration.complete]
        bounded = [each for each in self.found if each.exploration.exhausted and not each.exploration.complete]
        rest = [each for each in self.found if not each.exploration.exhausted]
        text = f"{ended:,} interleavings run to their end, {cut:,} cut off where they met one of them: no hazard"
        if every:
            text += f"; they answer for every interleaving at trip counts {_counts(every)}"
        if bounded:
            text += f"; bound of {self.bound} exhausted for trip counts {_counts(bounded)}"
        if rest:
            text += f"; bound of {self.bound} NOT exhausted for trip counts {_counts(rest)} (raise --max-runs)"
        why = next((each.exploration.unordered for each in (*rest, *bounded) if each.exploration.unordered), None)
        if why is not None:
            text += f"; the order may matter to {why}"
        looked = max(sum(len(e.alike) for e in self.found if e.run.trip_count == each.run.trip_count)
                     for each in self.found)  # fmt: skip
        kinds = max(sum(e.run.trip_count == each.run.trip_count for e in self.found) for each in self.found)
        of = max(each.of for each in self.found)
        text += f"; at most {looked} of {of} thread blocks looked at, {kinds} with moves of their own"
        return "; ".join((text, *self.notes))

    def data(self) -> dict[str, object]:
        return {
            "passed": self.passed,
            "bound": self.bound,
            "exhausted": self.exhausted,
            "trip_counts": [each.data() for each in self.found],
            "notes": list(self.notes),
        }


def _counts(found: Iterable[Explored]) -> str:
    return ", ".join(map(str, sorted({each.run.trip_count or 0 for each in found})))


def explore_file(
    path: str | File,
    bound: int,
    *,
    schedule: str | File | None = None,
    trip_counts: Iterable[int] | None = None,
    max_runs: int = 1000,
    max_steps: int = MAX_STEPS,
    progress: Callable[[str], None] | None = None,
) -> ExploreReport:
    """Run the thread blocks of an emitted module, each alone, under every interleaving of at most `bound` deviations.

    trip_counts: None for 0 to 5, those that take every ring of the module round, and the example's own if it is small.
    Of each launch up to BLOCKS blocks are looked at (see `blocks.candidates`); one whose first run makes the moves
    of another's is not explored again. max_runs: of each trip count and block, those cut off included; the report
    says when they did not suffice.
    """
    began = time.perf_counter()
    kernel = cases.opened(File(path), schedule, trip_counts)
    module, launcher = loaded(File(path), kernel.graph.name, None, max_steps)
    explored: list[Explored] = []
    for trip in kernel.trips:
        counts = kernel.counts(trip)
        states: dict[int, int] = {}  # of the end of a first run -> its place in `explored`
        for block in blocks.candidates(counts, BLOCKS):
            case = kernel.case(trip, (block,))
            runs, result = _explore(module, launcher, case, block, bound, max_runs, states, progress)
            if result.failure is None and result.state in states:
                at = states[result.state]
                same = explored[at]
                explored[at] = Explored(same.run, same.exploration, same.block, (*same.alike, block), same.of)
                continue
            states[result.state] = len(explored)
            explored.append(Explored(runs[0], result, block, (block,), len(counts)))
            if result.failure is not None:
                break
        if explored[-1].exploration.failure is not None:
            break
    seconds = time.perf_counter() - began
    return ExploreReport(str(path), bound, tuple(explored), seconds, kernel.notes, max_steps)


def _explore(
    module: EmulatedModule,
    launcher: Callable[..., object],
    case: cases.Case,
    block: blocks.Block,
    bound: int,
    max_runs: int,
    known: dict[int, int],
    progress: Callable[[str], None] | None,
) -> tuple[list[Run], Exploration]:
    runs: list[Run] = []

    def once(guided: Guided) -> EmulationError | None:
        runs[:] = [run_case(module, launcher, case, 0, guided)]
        return runs[0].failure

    def tell(text: str) -> None:
        if progress is not None:
            progress(f"exploring {case.name}, block {block}: {text}")

    return runs, explore(once, bound, max_runs, tell, block, known)

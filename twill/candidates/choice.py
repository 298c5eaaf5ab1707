"""The search among candidates: the example's tile sizes first, then by their bounds what may beat the best."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from twill.candidates.candidate import ANY, Candidate
from twill.candidates.space import Request, at, incumbents, other_tiles
from twill.errors import NoSchedule
from twill.interrupt import ctrl_c_stops
from twill.schedule.schedule import Schedule
from twill.steps import Step

if TYPE_CHECKING:
    from twill.solve.progress import Progress

Tell = Callable[[str], None]

_SHARE = 0.25  # of the time left, for one candidate
_PATIENCE = 0.1  # of the whole time, for one that has no schedule yet: there is another, and most of these have none
_NAMED = 4  # reasons spelled out when there is no schedule at all


def search(request: Request, time_limit: float, tell: Tell = lambda message: None) -> tuple[Candidate, ...]:
    """Every candidate with what is known of it, best first; the first has a schedule.

    The sizes of the kernel's example are solved first, so that no other answer is worse than theirs.
    Then all other tile sizes are lowered and bounded, and solved in the order of their bounds; one whose
    bound exceeds the best found is not solved, or no further. time_limit: seconds for all of them
    together; the example's sizes may use all of it, each other candidate a quarter of what is left, and
    only a tenth of the whole as long as it has no schedule at all. Ctrl-C ends the search like the limit
    does: what was found until then is the answer.

    Raises NoSchedule when that is nothing, and what was wrong with the example's sizes (InputError,
    Unsupported) when no candidate can be lowered.
    """
    tell("lowering the kernel")
    first = incumbents(request)
    with ctrl_c_stops() as stop:
        done = _Search(request, time_limit, tell, stop).run(first)
    ranked = tuple(sorted(done, key=lambda candidate: candidate.rank))
    if all(candidate.problem is None for candidate in ranked):
        raise next(candidate.error for candidate in first if candidate.error is not None)
    if ranked[0].sm_cycles is None:
        raise _nothing(ranked, time_limit)
    return ranked


class _Search:
    """One search; `run` is called once."""

    def __init__(self, request: Request, time_limit: float, tell: Tell, stop: Callable[[], bool]) -> None:
        self.request = request
        self.tell = tell
        self.stop = stop
        self.until = time.perf_counter() + time_limit
        self.patience = time_limit * _PATIENCE
        self.done: list[Candidate] = []
        self.best: Candidate | None = None

    @property
    def left(self) -> float:
        """Seconds left."""
        return self.until - time.perf_counter()

    def run(self, first: Sequence[Candidate]) -> list[Candidate]:
        self._solve_all(first, share=1.0)
        self._solve_all(self._others(first[0]), share=_SHARE)
        return self.done

    def _others(self, incumbent: Candidate) -> list[Candidate]:
        """The candidates of all other tile sizes; those for which no time is left are done."""
        found: list[Candidate] = []
        tiles = other_tiles(self.request, incumbent.tile)
        for number, tile in enumerate(tiles):
            sizes = ", ".join(f"{name}={value}" for name, value in tile.items())
            if self.stop() or self.left <= 0:
                self._leave(Candidate(ANY, tile, False))
                continue
            self.tell(Step(f"lowering the kernel with {sizes}", number, len(tiles)))
            found += at(self.request, tile, incumbent)
        return found

    def _solve_all(self, candidates: Sequence[Candidate], share: float) -> None:
        """Solve candidates in the order of their bounds, each for that share of the time left, the last for all."""
        self.done += [candidate for candidate in candidates if candidate.problem is None]
        queue = [candidate for candidate in candidates if candidate.problem is not None]
        queue.sort(key=lambda candidate: (candidate.bound_sm_cycles, -candidate.subtiles))
        for number, candidate in enumerate(queue):
            if self._hopeless(candidate.bound_sm_cycles):
                self.done.append(replace(candidate, reason="cannot win"))
            elif self.stop() or (self.left <= 0 and self.done):
                self._leave(candidate)
            else:
                last = number == len(queue) - 1
                self._solve(candidate, self.left * (1.0 if last else share), number, len(queue))

    def _solve(self, candidate: Candidate, seconds: float, number: int, total: int) -> None:
        from twill.solve import solve

        assert candidate.problem is not None
        assert candidate.work is not None
        work, least_length = candidate.work, candidate.least_length
        beaten = found = False
        given_up_at = time.perf_counter() + self.patience
        title = f"solving {candidate.name}, {len(candidate.problem.ops)} ops"
        if self.best is not None and candidate.tile:
            title += f"; best so far {self.best.sm_cycles} SM cycles"

        def told(record: Progress) -> None:
            nonlocal beaten, found
            found = record.ii > 0
            # The example's own sizes are what the others are compared with: they are solved to the end.
            beaten = beaten or (not candidate.incumbent and self._hopeless(work.sm_cycles(record.bound, least_length)))
            self.tell(Step(f"{title}: {record}", number, total))

        def enough() -> bool:
            patient = found or self.best is None or candidate.incumbent or time.perf_counter() < given_up_at
            return beaten or not patient or self.stop()

        self.tell(Step(title, number, total))
        schedule = solve(candidate.problem, time_limit=max(seconds, 0.01), progress=told, stop=enough)
        self._keep(replace(candidate, schedule=schedule), beaten)

    def _keep(self, solved: Candidate, beaten: bool) -> None:
        """Record what a solve gave, and say of one without a schedule why."""
        schedule = solved.schedule
        assert schedule is not None
        reason = "cannot win (given up)" if beaten else _claim(schedule)
        pending = schedule.status == "unknown" and not beaten
        solved = replace(solved, reason=reason, stopped=self.stop(), pending=pending)
        self.done.append(solved)
        if self.best is None or solved.rank < self.best.rank:
            self.best = solved if solved.sm_cycles is not None else self.best

    def _hopeless(self, bound_sm_cycles: int) -> bool:
        return self.best is not None and bound_sm_cycles > (self.best.sm_cycles or 0)

    def _leave(self, candidate: Candidate) -> None:
        """A candidate that there is no time for."""
        reason = "not tried: stopped by Ctrl-C" if self.stop() else "not tried: no time was left"
        self.done.append(replace(candidate, reason=reason, stopped=self.stop(), pending=True))


def _claim(schedule: Schedule) -> str:
    """What is left to say of a schedule: nothing when it is optimal."""
    if schedule.status == "unknown":
        return f"no schedule found in {schedule.seconds:.0f} s"
    if not schedule.placements:
        return schedule.reason
    return "" if schedule.status == "optimal" else f"feasible: II may be {schedule.lower_bound} still"


def _nothing(candidates: Sequence[Candidate], time_limit: float) -> NoSchedule:
    """No candidate has a schedule: because none can have one, or because the search was cut short."""
    graph = next(candidate.graph for candidate in candidates if candidate.graph is not None)
    where = graph.loop.location
    # The example's sizes are what the user knows best.
    ordered = sorted(candidates, key=lambda candidate: (not candidate.incumbent, candidate.subtiles))
    pending = [candidate for candidate in ordered if candidate.pending and candidate.problem is not None]
    if pending:
        bounds = _listed([f"{each.bound_ii} with {each.name}" for each in pending], ", ")
        cut = "before Ctrl-C was pressed" if any(each.stopped for each in pending) else f"in {time_limit:g} s"
        message = f"no schedule of `{graph.name}` was found {cut}; II is at least {bounds}."
        return NoSchedule(message, hint="Give it more time with --time-limit.", location=where)
    reasons = _listed([f"with {each.name}, {each.reason}" for each in ordered], "; ")
    return NoSchedule(
        f"`{graph.name}` has no schedule: {reasons}.", hint="Try smaller block sizes with -D.", location=where
    )


def _listed(parts: Sequence[str], separator: str) -> str:
    more = [f"and {len(parts) - _NAMED} more"] if len(parts) > _NAMED else []
    return separator.join([*parts[:_NAMED], *more])

"""The family of problems one kernel gives: its numbers of sub-tiles, bounded first, then solved."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from twill.errors import InputError, NoSchedule, Unsupported
from twill.interrupt import ctrl_c_stops
from twill.ir.graph import Graph
from twill.ir.subtile import split
from twill.machine import Machine, lower
from twill.schedule.problem import Problem
from twill.schedule.schedule import Schedule

SUBTILES = (1, 2, 3)


@dataclass(frozen=True)
class Candidate:
    """One number of sub-tiles: its graph and problem, its bound, and its schedule once solved.

    bound_cycles: no schedule of the whole loop is shorter. reason: why there is no schedule. pending:
    time ran out before there was one. stopped: Ctrl-C ended its solve.
    """

    subtiles: int
    graph: Graph | None = None
    problem: Problem | None = None
    bound_cycles: int = 0
    schedule: Schedule | None = None
    reason: str = ""
    pending: bool = False
    stopped: bool = False

    @property
    def name(self) -> str:
        """The number of sub-tiles in words."""
        return "1 sub-tile" if self.subtiles == 1 else f"{self.subtiles} sub-tiles"

    @property
    def bound_ii(self) -> int:
        """No II below this is possible."""
        if self.schedule is not None:
            return self.schedule.lower_bound
        return self.bound_cycles // self.problem.trip_count if self.problem else 0

    @property
    def cycles(self) -> int | None:
        """Predicted cycles of the whole loop; None without a schedule."""
        if self.schedule is None or not self.schedule.placements or self.problem is None:
            return None
        return (self.problem.trip_count - 1) * self.schedule.ii + self.schedule.length

    @property
    def slack(self) -> int:
        """Cycles by which a wait of the schedule may be late before anything stalls (its weakest wait)."""
        tiers = self.schedule.tiers if self.schedule else ()
        return next((tier.value for tier in tiers if tier.name == "slack"), 0)

    @property
    def rank(self) -> tuple[bool, int, int, int]:
        """Order among candidates: shortest loop, then the most slack, then the fewest sub-tiles."""
        return (self.cycles is None, self.cycles or 0, -self.slack, self.subtiles)


def enumerate_candidates(
    graph: Graph, machine: Machine, trip_count: int, subtiles: int | None
) -> tuple[Candidate, ...]:
    """A candidate for each number of sub-tiles, with its problem or the reason it has none.

    Raises the first reason when no number is possible, or when the one asked for is not.
    """
    from twill.solve.bounds import rec_mii, res_mii

    found: list[Candidate] = []
    errors: list[Exception] = []
    for count in SUBTILES if subtiles is None else (subtiles,):
        try:
            divided = split(graph, count)
            problem = lower(divided, machine, trip_count)
        except (Unsupported, InputError) as error:
            errors.append(error)
            found.append(Candidate(count, reason=error.message.rstrip(".")))
            continue
        ii = max(res_mii(problem).ii, rec_mii(problem).ii)
        found.append(Candidate(count, divided, problem, trip_count * ii))
    if all(candidate.problem is None for candidate in found):
        raise errors[0]
    return tuple(found)


def choose(
    candidates: tuple[Candidate, ...], time_limit: float, tell: Callable[[str], None] = lambda message: None
) -> tuple[Candidate, ...]:
    """The candidates with their schedules, best first; those that cannot win are not solved.

    time_limit: seconds for all of them together. Ctrl-C ends the search like the limit does: what was
    found until then is the answer. Raises NoSchedule when that is nothing.
    """
    with ctrl_c_stops() as stop:
        done = _solved(candidates, time_limit, tell, stop)
    ranked = tuple(sorted(done, key=lambda candidate: candidate.rank))
    if ranked[0].cycles is None:
        raise _nothing(ranked, time_limit)
    return ranked


def _solved(
    candidates: tuple[Candidate, ...], time_limit: float, tell: Callable[[str], None], stop: Callable[[], bool]
) -> list[Candidate]:
    """Every candidate with its schedule or the reason it has none, the most promising solved first."""
    from twill.solve import solve

    began = time.perf_counter()
    done: list[Candidate] = []
    best: int | None = None
    for candidate in sorted(candidates, key=lambda c: (c.problem is None, c.bound_cycles, -c.subtiles)):
        left = time_limit - (time.perf_counter() - began)
        if candidate.problem is None:
            done.append(candidate)
            continue
        if best is not None and candidate.bound_cycles > best:
            done.append(replace(candidate, reason=f"its bound of {candidate.bound_cycles} cycles cannot win"))
            continue
        if stop() or (left <= 0 and done):
            reason = "not tried: stopped by Ctrl-C" if stop() else "not tried: no time was left"
            done.append(replace(candidate, reason=reason, stopped=stop(), pending=True))
            continue
        title = f"solving {candidate.name}, {len(candidate.problem.ops)} ops"
        tell(title)
        schedule = solve(
            candidate.problem,
            time_limit=max(left, 0.01),
            progress=lambda record, title=title: tell(f"{title}: {record}"),  # type: ignore[misc]
            stop=stop,
        )
        solved = replace(
            candidate,
            schedule=schedule,
            reason="" if schedule.placements else schedule.reason,
            stopped=stop(),
            pending=schedule.status == "unknown",
        )
        done.append(solved)
        if solved.cycles is not None and (best is None or solved.cycles < best):
            best = solved.cycles
    return done


def _nothing(candidates: tuple[Candidate, ...], time_limit: float) -> NoSchedule:
    """No candidate has a schedule: because none can have one, or because the search was cut short."""
    graph = next(candidate.graph for candidate in candidates if candidate.graph is not None)
    where = graph.loop.location
    pending = [candidate for candidate in candidates if candidate.pending]
    if pending:
        bounds = ", ".join(f"{each.bound_ii} with {each.name}" for each in pending)
        cut = "before Ctrl-C was pressed" if any(each.stopped for each in pending) else f"in {time_limit:g} s"
        message = f"no schedule of `{graph.name}` was found {cut}; II is at least {bounds}."
        return NoSchedule(message, hint="Give it more time with --time-limit.", location=where)
    reasons = "; ".join(f"with {each.name}, {each.reason}" for each in candidates)
    hint = "Try smaller block sizes with -D."
    return NoSchedule(f"`{graph.name}` has no schedule: {reasons}.", hint=hint, location=where)

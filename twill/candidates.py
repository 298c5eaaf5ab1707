"""The family of problems one kernel gives: its numbers of sub-tiles, bounded first, then solved."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from twill.errors import InputError, Unsupported
from twill.ir.graph import Graph
from twill.ir.subtile import split
from twill.machine import Machine, lower
from twill.schedule.problem import Problem
from twill.schedule.schedule import Schedule

SUBTILES = (1, 2, 3)


@dataclass(frozen=True)
class Candidate:
    """One number of sub-tiles: its graph and problem, its bound, and its schedule once solved.

    bound_cycles: no schedule of the whole loop is shorter. reason: why there is no schedule.
    """

    subtiles: int
    graph: Graph | None = None
    problem: Problem | None = None
    bound_cycles: int = 0
    schedule: Schedule | None = None
    reason: str = ""

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


def enumerate_candidates(graph: Graph, machine: Machine, trip_count: int, subtiles: int | None) -> tuple[Candidate, ...]:
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


def choose(candidates: tuple[Candidate, ...], time_limit: float, tell: Callable[[str], None]) -> tuple[Candidate, ...]:
    """The candidates with their schedules, best first; those that cannot win are not solved."""
    from twill.solve import solve

    began = time.perf_counter()
    done: list[Candidate] = []
    best: int | None = None
    for candidate in sorted(candidates, key=lambda c: (c.problem is None, c.bound_cycles, -c.subtiles)):
        if candidate.problem is None:
            done.append(candidate)
            continue
        if best is not None and candidate.bound_cycles > best:
            done.append(replace(candidate, reason=f"its bound of {candidate.bound_cycles} cycles cannot win"))
            continue
        left = max(1.0, time_limit - (time.perf_counter() - began))
        name = "1 sub-tile" if candidate.subtiles == 1 else f"{candidate.subtiles} sub-tiles"
        tell(f"solving {name}: {len(candidate.problem.ops)} ops")
        schedule = solve(candidate.problem, time_limit=left)
        solved = replace(candidate, schedule=schedule, reason="" if schedule.placements else schedule.reason)
        done.append(solved)
        if solved.cycles is not None and (best is None or solved.cycles < best):
            best = solved.cycles
    return tuple(sorted(done, key=lambda candidate: candidate.rank))

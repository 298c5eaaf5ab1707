"""The smallest feasible interval of a tiny problem by trying every schedule, judged by the independent checker."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations, product

from twill.schedule.checker import check
from twill.schedule.problem import Problem
from twill.schedule.schedule import Schedule
from twill.solve import result
from twill.solve.variables import Solution


def feasible(problem: Problem, ii: int, latest: int) -> Schedule | None:
    """Some valid schedule with interval `ii` and every start at most `latest`, or None.

    Depths and registers are the least that the schedule needs (`result`), of which no rule asks for less.
    """
    ids = [op.id for op in problem.ops]
    everywhere = list(_groups(problem))
    for starts in product(range(latest + 1), repeat=len(ids)):
        at = dict(zip(ids, starts, strict=True))
        if min(starts) != 0 or any(
            at[d.dst] + d.distance * ii < at[d.src] + d.latency for d in problem.deps if not d.ring
        ):  # rule 1 without hops, only to save time
            continue
        for groups in everywhere:
            schedule = result.schedule(problem, Solution(ii, at, groups, {}), "feasible", 1, "")
            if not check(schedule):
                return schedule
    return None


def _groups(problem: Problem) -> Iterator[dict[str, tuple[int, ...]]]:
    """Every choice of groups, up to their numbers; those that break a rule at any start left out to save time."""
    ids = [op.id for op in problem.ops]
    for sets in product(*(combinations(range(problem.limits.max_groups), op.spans) for op in problem.ops)):
        top = -1
        for groups in sets:  # groups are opened in order
            new = [group for group in groups if group > top]
            if new != list(range(top + 1, top + 1 + len(new))):
                break
            top = max(top, *groups)
        else:
            on = dict(zip(ids, sets, strict=True))
            if all(
                not set(on[a.id]) & set(on[b.id]) or a.variable_latency == b.variable_latency
                for a, b in combinations(problem.ops, 2)
            ) and all(len({on[id] for id in together}) == 1 for together in problem.colocate):
                yield on


def shortest(problem: Problem, longest: int, latest: int) -> int | None:
    """The smallest interval up to `longest` that has a schedule, or None."""
    return next((ii for ii in range(1, longest + 1) if feasible(problem, ii, latest)), None)

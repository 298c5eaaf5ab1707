"""The smallest feasible interval of a tiny problem by trying every schedule, judged by the independent checker."""

from __future__ import annotations

from itertools import product

from twill.schedule.checker import check
from twill.schedule.problem import Problem
from twill.schedule.schedule import Schedule
from twill.solve import result
from twill.solve.variables import Solution


def feasible(problem: Problem, ii: int, latest: int, groups: int) -> Schedule | None:
    """Some valid schedule with interval `ii`, every start at most `latest` and at most `groups` groups, or None."""
    ids = [op.id for op in problem.ops]
    for starts in product(range(latest + 1), repeat=len(ids)):
        at = dict(zip(ids, starts, strict=True))
        if min(starts) != 0 or any(
            at[d.dst] + d.distance * ii < at[d.src] + d.latency for d in problem.deps
        ):  # rule 1 without hops, only to save time
            continue
        for numbers in product(range(groups), repeat=len(ids)):
            if any(number > max(numbers[:k], default=-1) + 1 for k, number in enumerate(numbers)):
                continue
            solution = Solution(ii, at, dict(zip(ids, numbers, strict=True)), {})
            schedule = result.schedule(problem, solution, "feasible", 1, "")
            if not check(schedule):
                return schedule
    return None


def shortest(problem: Problem, longest: int, latest: int, groups: int) -> int | None:
    """The smallest interval up to `longest` that has a schedule, or None."""
    return next((ii for ii in range(1, longest + 1) if feasible(problem, ii, latest, groups)), None)

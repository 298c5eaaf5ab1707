"""Plain modulo scheduling, without warp groups: the integer program that the paper's formulation starts from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from twill.schedule.problem import Problem
from twill.solve.bounds import rec_mii, res_mii
from twill.solve.constraints import Constraints
from twill.solve.engine import Engine
from twill.solve.grouping import grouping
from twill.solve.objective import Objective
from twill.solve.variables import Variables

EFFORT = 60.0  # deterministic time of one interval
_NOTHING_HELD: dict[str, Any] = {
    "issue": 0, "registers": 0, "smem_bytes": 0, "tmem_columns": 0, "min_warps": 1, "spans": 1,
    "variable_latency": False,
}  # fmt: skip


def modulo_schedule(problem: Problem, ii: int, engine: Engine) -> Mapping[str, int] | None:
    """Starts of one iteration in an interval of `ii`, as short as possible; None when there are none.

    Dependences without hops (rule 1) and unit capacities (rule 2) are all that counts. The first start is
    0. A schedule cut short by the engine's limit may be longer than need be. Raises engine.Interrupted
    when the limit comes before any schedule.
    """
    plain = without_groups(problem)
    variables = Variables(plain, grouping(plain), ii, ii)
    goal = Objective(Constraints(variables).add_constraints()).goals(("total time",))[0]
    variables.model.minimize(goal.expression)
    outcome = engine.run(variables.model, EFFORT)
    if outcome.values is None:
        return None
    start = variables.decode(outcome.values).start
    first = min(start.values())
    return {id: at - first for id, at in start.items()}


def without_groups(problem: Problem) -> Problem:
    """`problem` on one stream that never waits, with nothing to hold: what is left are dependences and units."""
    return replace(
        problem,
        limits=replace(problem.limits, max_groups=1, signal_hop=0, value_hop=0, max_warps=64),
        ops=tuple(replace(op, **_NOTHING_HELD) for op in problem.ops),
        deps=tuple(replace(dep, blocking=False, in_place=False) for dep in problem.deps if not dep.ring),
        trip_count=1,
        colocate=(),
        separate=(),
    )


def least_interval(problem: Problem) -> int:
    """max(1, ResMII, RecMII), from where intervals are tried."""
    return max(1, res_mii(problem).ii, rec_mii(problem).ii)


def longest_interval(problem: Problem) -> int:
    """An interval that lets every op finish, and each hop be paid, before the next one starts."""
    limits = problem.limits
    hop = max(limits.signal_hop, limits.value_hop)
    total = 0
    for op in problem.ops:
        waits = [dep.latency + hop for dep in problem.deps if dep.src == op.id]
        total += max(op.completion, op.issue, *waits, 0) + 1
    return max(total, least_interval(problem))

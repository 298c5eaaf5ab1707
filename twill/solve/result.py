"""From a solution of the model to a Schedule: time 0 at the first op, producers first, depths as the lives need."""

from __future__ import annotations

from dataclasses import replace

from twill.schedule.lifetimes import register_lives
from twill.schedule.modulo import peak
from twill.schedule.problem import REGISTER_STEP, Problem, in_register_steps
from twill.schedule.schedule import Group, Placement, Schedule, Status
from twill.solve.tiers import needed_depth
from twill.solve.variables import Solution


def schedule(problem: Problem, solution: Solution, status: Status, lower_bound: int, reason: str) -> Schedule:
    """The schedule that `solution` stands for; tiers and seconds are the caller's to add."""
    first = min(solution.start.values())
    start = {id: at - first for id, at in solution.start.items()}
    groups, number = _groups(problem, solution)
    placements = {}
    for op in problem.ops:
        stage, slot = divmod(start[op.id], solution.ii)
        placements[op.id] = Placement(stage, slot, tuple(sorted(number[group] for group in solution.groups[op.id])))
    bare = Schedule(
        problem=problem,
        status=status,
        ii=solution.ii,
        lower_bound=lower_bound,
        reason=reason,
        length=max(start[op.id] + op.completion for op in problem.ops),
        placements=placements,
        rings={},
        groups=groups,
    )
    rings = {
        op.id: needed_depth(bare, op.id) + solution.extra.get(op.id, 0)
        for op in problem.ops
        if op.smem_bytes > 0 or op.tmem_columns > 0
    }
    return replace(bare, rings=rings, groups=_budgets(bare))


def nothing(problem: Problem, status: Status, lower_bound: int, reason: str) -> Schedule:
    """The answer without a schedule: `infeasible` or `unknown`."""
    return Schedule(problem, status, 0, lower_bound, reason, 0, {}, {}, ())


def _groups(problem: Problem, solution: Solution) -> tuple[tuple[Group, ...], dict[int, int]]:
    """The groups, producers first, otherwise in the order of their first ops, with no registers yet.

    And the model's number of each -> theirs.
    """
    used = sorted({group for groups in solution.groups.values() for group in groups})
    ops = {g: [op for op in problem.ops if g in solution.groups[op.id]] for g in used}
    rank = {op.id: k for k, op in enumerate(problem.ops)}
    order = sorted(ops, key=lambda g: (not ops[g][0].variable_latency, rank[ops[g][0].id]))
    groups = tuple(Group(max(op.min_warps for op in ops[g]), 0, ops[g][0].variable_latency) for g in order)
    return groups, {g: k for k, g in enumerate(order)}


def _budgets(bare: Schedule) -> tuple[Group, ...]:
    """The groups with the registers that their values need, and what the file has left shared out (rule 4).

    All producers get the same, producer_registers or as many steps more as their values need. The other
    groups are raised to the highest common level, of whole steps, at which the file holds them all.
    """
    limits, groups = bare.problem.limits, bare.groups
    peaks = {group: peak(lives, bare.ii)[1] if lives else 0 for group, lives in register_lives(bare).items()}
    most = limits.registers_per_thread
    quota = limits.producer_registers
    asked = max((peaks[g] for g, group in enumerate(groups) if group.producer), default=0)
    quota += in_register_steps(max(0, asked - quota))
    producing = sum(group.warps for group in groups if group.producer)
    left = limits.register_file - 128 * -(-producing // 4) * quota
    consuming = [(group.warps, in_register_steps(peaks[g])) for g, group in enumerate(groups) if not group.producer]
    level = in_register_steps(most)
    while level and sum(32 * warps * max(need, level) for warps, need in consuming) > left:
        level -= REGISTER_STEP
    return tuple(
        replace(group, registers=quota if group.producer else min(most, max(level, in_register_steps(peaks[g]))))
        for g, group in enumerate(groups)
    )

"""From a solution of the model to a Schedule: time 0 at the first op, producers first, depths as the lives need."""

from __future__ import annotations

from twill.schedule.problem import Limits, Problem
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
        placements[op.id] = Placement(stage, slot, (number[solution.group[op.id]],))
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
    return Schedule(**{**bare.__dict__, "rings": rings})


def nothing(problem: Problem, status: Status, lower_bound: int, reason: str) -> Schedule:
    """The answer without a schedule: `infeasible` or `unknown`."""
    return Schedule(problem, status, 0, lower_bound, reason, 0, {}, {}, ())


def _groups(problem: Problem, solution: Solution) -> tuple[tuple[Group, ...], dict[int, int]]:
    """The groups, producers first, otherwise in the order of their first ops; and the model's number -> theirs."""
    ops = {g: [op for op in problem.ops if solution.group[op.id] == g] for g in sorted(set(solution.group.values()))}
    rank = {op.id: k for k, op in enumerate(problem.ops)}
    order = sorted(ops, key=lambda g: (not ops[g][0].variable_latency, rank[ops[g][0].id]))
    warps = {g: max(op.min_warps for op in ops[g]) for g in order}
    producing = sum(warps[g] for g in order if ops[g][0].variable_latency)
    consuming = sum(warps.values()) - producing
    cap = consumer_registers(problem.limits, producing, consuming)
    groups = []
    for g in order:
        producer = ops[g][0].variable_latency
        groups.append(Group(warps[g], problem.limits.producer_registers if producer else cap, producer))
    return tuple(groups), {g: k for k, g in enumerate(order)}


def consumer_registers(limits: Limits, producer_warps: int, other_warps: int) -> int:
    """Registers per thread of the groups that are no producers (rule 4)."""
    left = limits.register_file - 128 * -(-producer_warps // 4) * limits.producer_registers
    return min(limits.registers_per_thread, 8 * (left // (256 * max(1, other_warps))))

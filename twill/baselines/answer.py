"""From starts and groups to a whole Schedule: rings as deep as their lives need, groups as large as their values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from twill.baselines.grouping import hop
from twill.schedule.lifetimes import has_ring, register_lives, ring_life
from twill.schedule.modulo import peak
from twill.schedule.problem import Op, Problem, in_register_steps
from twill.schedule.schedule import Group, Placement, Schedule


def complete(
    problem: Problem, ii: int, starts: Mapping[str, int], groups: Mapping[str, tuple[int, ...]], reason: str
) -> Schedule:
    """The schedule with these starts, status `feasible`; the checker has not seen it yet.

    The first op is moved to cycle 0. Ring depths are the least that cover their lives. A group asks for
    the registers its values take, in steps of 8.
    """
    first = min(starts.values())
    placements = {id: Placement((at - first) // ii, (at - first) % ii, groups[id]) for id, at in starts.items()}
    length = max(starts[op.id] - first + op.completion for op in problem.ops)
    members: dict[int, list[Op]] = {}
    for op in problem.ops:
        for group in groups[op.id]:
            members.setdefault(group, []).append(op)
    roles = tuple(
        Group(
            warps=max(op.min_warps for op in members[at]),
            registers=0,
            producer=any(op.variable_latency for op in members[at]),
        )
        for at in sorted(members)
    )
    schedule = Schedule(problem, "feasible", ii, 1, reason, length, placements, {}, roles)
    schedule = replace(schedule, rings={op.id: _depth(schedule, op) for op in problem.ops if has_ring(op)})
    held = {group: peak(spans, ii)[1] for group, spans in register_lives(schedule).items()}
    sized = tuple(replace(role, registers=_registers(problem, role, held[at])) for at, role in enumerate(roles))
    return replace(schedule, groups=sized)


def _depth(schedule: Schedule, op: Op) -> int:
    """The least depth that covers the ring's life and its own recurrences."""
    ii = schedule.ii
    depths = [1, -(-ring_life(schedule, op)[0] // ii)]
    for dep in schedule.problem.deps:
        if dep.ring and dep.dst == op.id:  # start(dst) + (distance + depth - 1) * ii >= start(src) + latency
            groups = {id: schedule.placements[id].groups for id in (dep.src, dep.dst)}
            free = schedule.start(dep.src) + dep.latency + hop(schedule.problem, groups, dep)
            late = free - schedule.start(op.id)
            depths.append(-(-late // ii) - dep.distance + 1)
    return max(depths)


def _registers(problem: Problem, role: Group, held: int) -> int:
    """Whole steps where the machine's cap leaves them."""
    limits = problem.limits
    if role.producer:
        return limits.producer_registers
    return max(held, min(limits.registers_per_thread, in_register_steps(held)))

"""The tiers of the objective once more: what a schedule scores, and the condition that a schedule scores better."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import z3

from twill.certify.encoding import Encoding
from twill.certify.logic import Term, all_of, any_of, at_most, no
from twill.certify.places import uses_of
from twill.certify.times import Moment
from twill.schedule.checker import check
from twill.schedule.lifetimes import has_ring
from twill.schedule.problem import Dep, Problem
from twill.schedule.schedule import Schedule

MORE_IS_BETTER = ("slack", "ring slack")


def score(schedule: Schedule, tier: str) -> int | None:
    """What the placements of `schedule` score in `tier`, in cycles, registers, groups or slots; None if not known."""
    return _SCORES[tier](schedule) if tier in _SCORES else None


def _total_time(schedule: Schedule) -> int:
    ends = [schedule.start(op.id) + max(op.occupancy, op.latency) for op in schedule.problem.ops]
    starts = [schedule.start(op.id) for op in schedule.problem.ops]
    return (schedule.problem.trip_count - 1) * schedule.ii + max(ends) - min(starts)


def _register_traffic(schedule: Schedule) -> int:
    total = 0
    for op in schedule.problem.ops:
        users = {g for dep in uses_of(schedule.problem)[op.id] for g in schedule.placements[dep.dst].groups}
        total += op.registers * len(users.difference(schedule.placements[op.id].groups))
    return total


def _groups(schedule: Schedule) -> int:
    return len({g for at in schedule.placements.values() for g in at.groups})


def _slack(schedule: Schedule) -> int:
    waits = [_spare(schedule, dep) for dep in _awaited(schedule.problem)]
    return min([schedule.ii, *waits])


def _ring_slack(schedule: Schedule) -> int:
    """Slots of rings written by ops of variable latency that could be taken away one by one without breaking rule 1."""
    total, ii = 0, schedule.ii
    for op in schedule.problem.ops:
        if not (op.variable_latency and has_ring(op)):
            continue
        needs = [1]
        for dep in schedule.problem.deps:
            if dep.ring and dep.dst == op.id:
                needs.append(schedule.rings[op.id] - _spare(schedule, dep) // ii)
        begin = schedule.start(op.id)
        ends = [
            schedule.start(dep.dst) + dep.distance * ii + schedule.problem.op(dep.dst).completion
            for dep in uses_of(schedule.problem)[op.id]
        ]
        needs += [-((begin - end) // ii) for end in ends or [begin + op.completion]]
        total += schedule.rings[op.id] - max(needs)
    return total


def _spare(schedule: Schedule, dep: Dep) -> int:
    """Cycles by which rule 1 holds with room for `dep`."""
    at, limits = schedule.placements, schedule.problem.limits
    value = schedule.problem.op(dep.src).registers > 0 and not dep.ring
    hop = limits.value_hop if value else limits.signal_hop
    if set(at[dep.dst].groups) <= set(at[dep.src].groups):
        hop = 0
    turns = dep.distance + (schedule.rings[dep.dst] - 1 if dep.ring else 0)
    return schedule.start(dep.dst) + turns * schedule.ii - schedule.start(dep.src) - dep.latency - hop


_SCORES: Mapping[str, Callable[[Schedule], int]] = {
    "ii": lambda schedule: schedule.ii,
    "total time": _total_time,
    "register traffic": _register_traffic,
    "groups": _groups,
    "slack": _slack,
    "ring slack": _ring_slack,
}


def condition(tier: str, value: int, ii: int) -> Callable[[Encoding], list[Term]]:
    """The condition that a schedule of interval `ii` scores `value` or better in `tier`."""
    match tier:
        case "total time":
            return lambda encoding: _at_most_long(encoding, value - (encoding.problem.trip_count - 1) * ii)
        case "register traffic":
            return lambda encoding: [_little_traffic(encoding, value)]
        case "groups":
            return lambda encoding: [at_most([(encoding.places.used(g), 1) for g in encoding.places.groups], value)]
        case "slack":
            return lambda encoding: [value <= ii, *_late_by(encoding, value)]
        case "ring slack":
            return lambda encoding: _spare_slots(encoding, value)
    raise ValueError(f"no tier {tier}")


def _at_most_long(encoding: Encoding, length: int) -> list[Term]:
    """No op completes more than `length` cycles after another starts."""
    ops, times = encoding.problem.ops, encoding.times
    return [no(times.apart(Moment(u.id), Moment(v.id, 0, v.completion), length + 1)) for u in ops for v in ops]


def _little_traffic(encoding: Encoding, registers: int) -> Term:
    places, moved = encoding.places, []
    for op in encoding.problem.ops:
        uses = encoding.registers.uses[op.id]
        for g in places.groups if op.registers and uses else ():
            used = any_of(places.on(dep.dst, g) for dep in uses)
            moved.append((all_of([used, no(places.on(op.id, g))]), op.registers))
    return at_most(moved, registers)


def _late_by(encoding: Encoding, cycles: int) -> list[Term]:
    """Every awaited result is there `cycles` before its wait."""
    limits, rules = encoding.problem.limits, []
    for dep in _awaited(encoding.problem):
        hop = limits.value_hop if encoding.problem.op(dep.src).registers > 0 else limits.signal_hop
        u, v = Moment(dep.src), Moment(dep.dst, dep.distance)
        rules.append(encoding.times.apart(u, v, dep.latency + cycles))
        if hop:
            inside = encoding.places.inside(dep.src, dep.dst)
            rules.append(any_of([inside, encoding.times.apart(u, v, dep.latency + hop + cycles)]))
    return rules


def _spare_slots(encoding: Encoding, count: int) -> list[Term]:
    """`count` rings written by ops of variable latency have a slot that nothing needs."""
    loads = [op for op in encoding.problem.ops if op.variable_latency and has_ring(op)]
    extra: list[tuple[str, Term]] = [(op.id, z3.Bool(f"spare slot of {op.id}", encoding.context)) for op in loads]
    enough = at_most([(no(spare), 1) for _, spare in extra], len(extra) - count)
    return [enough, *encoding.memory.fits(extra)]


def with_spare_slots(schedule: Schedule) -> Schedule:
    """`schedule` with a further slot for each ring of an op of variable latency where that fits, in their order."""
    for op in schedule.problem.ops:
        if op.variable_latency and has_ring(op):
            deeper = replace(schedule, rings={**schedule.rings, op.id: schedule.rings[op.id] + 1})
            schedule = schedule if check(deeper) else deeper
    return schedule


def _awaited(problem: Problem) -> list[Dep]:
    """The blocking dependences on results of fixed latency."""
    return [d for d in problem.deps if d.blocking and not d.ring and not problem.op(d.src).variable_latency]

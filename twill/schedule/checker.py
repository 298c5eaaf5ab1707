"""The independent checker: does a schedule keep rules 1 to 6, and is it what it says it is?

It knows nothing of how a schedule was found: plain arithmetic over placements, one function a rule.
`docs/formulation.md` states the rules.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import combinations

from twill.schedule.lifetimes import has_ring
from twill.schedule.modulo import Span, covering, peak
from twill.schedule.problem import Op, Problem
from twill.schedule.resources import barriers, members, registers, rings, roles
from twill.schedule.schedule import Schedule
from twill.schedule.violation import Violation

__all__ = ["Violation", "check"]


def check(schedule: Schedule) -> tuple[Violation, ...]:
    """Every violation of `schedule`, in the order of the rules; empty when it is valid.

    A schedule without placements is only valid as the answer `infeasible` or `unknown`. When the
    structure is broken (an op without a place, a group that does not exist), the rules are not tried.
    """
    structure = tuple(_structure(schedule))
    if structure or not schedule.placements:
        return structure
    rules = (_length, _dependence, _units, _streams, roles, registers, rings, barriers, _grouping)
    return tuple(violation for rule in rules for violation in rule(schedule))


def _structure(schedule: Schedule) -> Iterator[Violation]:
    """Every op and ring has a place that exists; the claim agrees with itself."""

    def broken(message: str, *ops: str) -> Violation:
        return Violation("structure", ops, -1, message)

    if not schedule.placements:
        if schedule.status in ("optimal", "feasible"):
            yield broken(f"status is {schedule.status}, but no op is placed")
        return
    if schedule.status not in ("optimal", "feasible"):
        yield broken(f"status is {schedule.status}, but ops are placed")
    if schedule.ii < 1:
        yield broken(f"ii = {schedule.ii} < 1 cycle")
        return
    if schedule.lower_bound > schedule.ii:
        yield broken(f"ii = {schedule.ii} is below its own lower bound {schedule.lower_bound}")
    if schedule.status == "optimal" and schedule.lower_bound < schedule.ii:
        yield broken(f"status is optimal, but the lower bound {schedule.lower_bound} < ii = {schedule.ii}")
    known = {op.id for op in schedule.problem.ops}
    for id in sorted(known - set(schedule.placements)):
        yield broken(f"op {id} has no place", id)
    for id in sorted(set(schedule.placements) - known):
        yield broken(f"{id} is placed, but the problem has no such op", id)
    for id, at in schedule.placements.items():
        if not 0 <= at.slot < schedule.ii:
            yield broken(f"slot of {id} is {at.slot}, outside 0 <= slot < ii = {schedule.ii}", id)
        if at.stage < 0:
            yield broken(f"stage of {id} is {at.stage} < 0", id)
        if not at.groups or len(set(at.groups)) != len(at.groups):
            yield broken(f"{id} is on groups {list(at.groups)}: it needs one or more different groups", id)
        elif id in known and len(at.groups) != (spans := schedule.problem.op(id).spans):
            yield broken(f"{id} is on groups {list(at.groups)}, {len(at.groups)} in number, but spans {spans}", id)
        for group in at.groups:
            if not 0 <= group < len(schedule.groups):
                yield broken(f"{id} is on group {group}, but there are {len(schedule.groups)} groups", id)
    buffers = {op.id for op in schedule.problem.ops if has_ring(op)}
    for id in sorted(buffers - set(schedule.rings)):
        yield broken(f"{id} writes a buffer, but no ring depth is given for it", id)
    for id in sorted(set(schedule.rings) - buffers):
        yield broken(f"a ring depth is given for {id}, which writes no buffer", id)


def _length(schedule: Schedule) -> Iterator[Violation]:
    """Iteration 0 starts at cycle 0 and takes `length` cycles."""
    first = min(schedule.placements, key=schedule.start)
    if schedule.start(first) != 0:
        at = schedule.start(first)
        yield Violation("structure", (first,), at, f"the first op, {first}, starts at cycle {at}, not at 0")
    last = max(schedule.problem.ops, key=lambda op: schedule.start(op.id) + op.completion)
    length = schedule.start(last.id) + last.completion - schedule.start(first)
    if schedule.length != length:
        message = f"length is given as {schedule.length}, but {last.id} completes {length} cycles after the first start"
        yield Violation("structure", (last.id,), length, message)


def _dependence(schedule: Schedule) -> Iterator[Violation]:
    """Rule 1: start(v) + distance * ii >= start(u) + latency + hop; a ring adds its depth - 1 to the distance."""
    limits, index = schedule.problem.limits, _index(schedule.problem)
    for dep in schedule.problem.deps:
        ready_by, start = schedule.start(dep.src), schedule.start(dep.dst)
        inside = set(schedule.placements[dep.dst].groups) <= set(schedule.placements[dep.src].groups)
        value = index[dep.src].registers > 0 and not dep.ring
        hop = 0 if inside else limits.value_hop if value else limits.signal_hop
        depth = schedule.rings[dep.dst] if dep.ring else 1
        left = start + (dep.distance + depth - 1) * schedule.ii
        right = ready_by + dep.latency + hop
        if left < right:
            kind = "value" if value else "signal"
            may = f"may not write its buffer before {dep.src} has read it" if dep.ring else f"may not use {dep.src} yet"
            distance = f"(distance {dep.distance} + depth {depth} - 1)" if dep.ring else f"distance {dep.distance}"
            message = (
                f"{dep.dst} {may}: start {start} + {distance} * ii {schedule.ii}"
                f" = {left} < {right} = start {ready_by} + latency {dep.latency} + {kind} hop {hop}"
            )
            yield Violation("dependence", (dep.src, dep.dst), start, message)


def _units(schedule: Schedule) -> Iterator[Violation]:
    """Rule 2: at every slot, at most `capacity` ops cover a unit. One report a unit, at its fullest slot."""
    by_unit: dict[str, list[Span]] = defaultdict(list)
    for op in schedule.problem.ops:
        start = schedule.start(op.id)
        by_unit[op.unit].append(Span(op.id, start, start + op.occupancy))
    for unit, spans in by_unit.items():
        capacity = schedule.problem.limits.units[unit]
        slot, total = peak(spans, schedule.ii)
        if total > capacity:
            there = covering(spans, slot, schedule.ii)
            message = f"{unit} holds {_listed(there)} at slot {slot}: {total} > capacity {capacity}"
            yield Violation("units", tuple(span.name for span, _ in there), slot, message)


def _streams(schedule: Schedule) -> Iterator[Violation]:
    """Rule 3: a blocking wait falls strictly inside the issue window of no other op of its group."""
    ii = schedule.ii
    blocked = {dep.dst for dep in schedule.problem.deps if dep.blocking}
    for group, ops in members(schedule).items():
        for waiting in (op.id for op in ops if op.id in blocked):
            for other in ops:
                # The first moment after the other's start that is congruent to the wait.
                offset = (schedule.start(waiting) - schedule.start(other.id)) % ii or ii
                if other.id != waiting and offset < other.issue:
                    cycle = schedule.placements[waiting].slot
                    message = (
                        f"the wait of {waiting} at slot {cycle} interrupts {other.id} in group {group},"
                        f" {offset} cycles into its issue window: 0 < {offset} < {other.issue}"
                    )
                    yield Violation("streams", (waiting, other.id), cycle, message)


def _grouping(schedule: Schedule) -> Iterator[Violation]:
    """Colocated ops share their group; no two separate ops share one."""
    at = schedule.placements
    for together in schedule.problem.colocate:
        for id in together[1:]:
            if set(at[id].groups) != set(at[together[0]].groups):
                message = f"{together[0]} and {id} must share a group, but are on {_groups(schedule, together[0], id)}"
                yield Violation("colocate", (together[0], id), -1, message)
    for apart in schedule.problem.separate:
        for first, second in combinations(apart, 2):
            if set(at[first].groups) & set(at[second].groups):
                message = f"{first} and {second} must not share a group, but are on {_groups(schedule, first, second)}"
                yield Violation("separate", (first, second), -1, message)


def _index(problem: Problem) -> dict[str, Op]:
    return {op.id: op for op in problem.ops}


def _groups(schedule: Schedule, *ids: str) -> str:
    return " and ".join("+".join(str(group) for group in schedule.placements[id].groups) for id in ids)


def _listed(there: list[tuple[Span, int]]) -> str:
    return ", ".join(span.name + (f" ({copies} times)" if copies > 1 else "") for span, copies in there)

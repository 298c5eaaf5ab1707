"""The independent checker: does a schedule keep rules 1 to 6, and is it what it says it is?

It knows nothing of how a schedule was found: plain arithmetic over placements, one function a rule.
`docs/formulation.md` states the rules.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

from twill.schedule.lifetimes import group_cap, has_ring, producer_file_registers, register_lives, ring_life
from twill.schedule.modulo import Span, covering, peak
from twill.schedule.problem import Op, Problem
from twill.schedule.schedule import Schedule

MAX_NAMED_BARRIERS = 16  # hardware named barriers of a thread block; a group takes one


@dataclass(frozen=True)
class Violation:
    """One broken rule: its name, the ops concerned, the cycle (or slot) it shows at, and the arithmetic in words.

    rule: "structure", "dependence", "units", "streams", "roles", "registers", "rings", "colocate"
    or "separate". cycle: -1 where no moment is meant.
    """

    rule: str
    ops: tuple[str, ...]
    cycle: int
    message: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.message}"


def check(schedule: Schedule) -> tuple[Violation, ...]:
    """Every violation of `schedule`, in the order of the rules; empty when it is valid.

    A schedule without placements is only valid as the answer `infeasible` or `unknown`. When the
    structure is broken (an op without a place, a group that does not exist), the rules are not tried.
    """
    structure = tuple(_structure(schedule))
    if structure or not schedule.placements:
        return structure
    rules = (_length, _dependence, _units, _streams, _roles, _registers, _rings, _grouping)
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
    """Rule 1: start(v) + distance * ii >= start(u) + latency + hop."""
    limits, index = schedule.problem.limits, _index(schedule.problem)
    for dep in schedule.problem.deps:
        ready_by, start = schedule.start(dep.src), schedule.start(dep.dst)
        inside = set(schedule.placements[dep.dst].groups) <= set(schedule.placements[dep.src].groups)
        value = index[dep.src].registers > 0
        hop = 0 if inside else limits.value_hop if value else limits.signal_hop
        left = start + dep.distance * schedule.ii
        right = ready_by + dep.latency + hop
        if left < right:
            kind = "value" if value else "signal"
            message = (
                f"{dep.dst} may not use {dep.src} yet: start {start} + distance {dep.distance} * ii {schedule.ii}"
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
    members = _members(schedule)
    blocked = {dep.dst for dep in schedule.problem.deps if dep.blocking}
    for group, ops in members.items():
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


def _roles(schedule: Schedule) -> Iterator[Violation]:
    """Rule 4: producers apart, warps as the ops ask, and all of it inside the machine."""

    def broken(message: str, *ops: str) -> Violation:
        return Violation("roles", ops, -1, message)

    limits = schedule.problem.limits
    members = _members(schedule)
    for index, group in enumerate(schedule.groups):
        ops = members[index]
        if not ops:
            yield broken(f"group {index} holds no op")
            continue
        producing = [op.id for op in ops if op.variable_latency]
        others = [op.id for op in ops if not op.variable_latency]
        if producing and others:
            message = (
                f"group {index} holds {producing[0]} of variable latency together with {others[0]} of fixed latency"
            )
            yield broken(message, producing[0], others[0])
        if group.producer != bool(producing):
            role = "a producer" if group.producer else "no producer"
            held = "none" if not producing else ", ".join(producing)
            yield broken(f"group {index} is marked as {role}, but its ops of variable latency are: {held}", *producing)
        widest = max(ops, key=lambda op: op.min_warps)
        if group.warps != widest.min_warps:
            message = f"group {index} has {group.warps} warps, but {widest.id} asks for {widest.min_warps}"
            yield broken(message, widest.id)
        cap = group_cap(schedule, index)
        if group.registers > cap:
            yield broken(f"group {index} claims {group.registers} registers per thread > {cap} the machine can give it")
    warps = sum(group.warps for group in schedule.groups)
    if warps > limits.max_warps:
        yield broken(f"the groups have {warps} warps in all > max_warps {limits.max_warps}")
    most = min(limits.max_groups, MAX_NAMED_BARRIERS)
    if len(schedule.groups) > most:
        yield broken(f"there are {len(schedule.groups)} groups > {most}")
    producer_warps = sum(group.warps for group in schedule.groups if group.producer)
    taken = producer_file_registers(producer_warps, limits.producer_registers)
    if taken > limits.register_file:
        yield broken(f"the producer groups take {taken} registers > register_file {limits.register_file}")


def _registers(schedule: Schedule) -> Iterator[Violation]:
    """Rule 5: at every slot, the values living in a group fit its registers. One report a group, at its peak."""
    for group, spans in register_lives(schedule).items():
        slot, total = peak(spans, schedule.ii)
        cap = schedule.groups[group].registers
        if total > cap:
            there = covering(spans, slot, schedule.ii)
            held = " + ".join(f"{span.name} {span.weight}" + (f" * {n}" if n > 1 else "") for span, n in there)
            message = f"group {group} holds {held} = {total} registers per thread > {cap} at slot {slot}"
            yield Violation("registers", tuple(span.name for span, _ in there), slot, message)


def _rings(schedule: Schedule) -> Iterator[Violation]:
    """Rule 6: depth * ii covers the life of each buffer, and the rings fit the memories."""
    limits = schedule.problem.limits
    buffers = [op for op in schedule.problem.ops if has_ring(op)]
    for op in buffers:
        depth = schedule.rings[op.id]
        life, last = ring_life(schedule, op)
        if depth < 1:
            yield Violation("rings", (op.id,), -1, f"the ring of {op.id} has depth {depth} < 1")
        elif depth * schedule.ii < life:
            until = f"the completion of {last}" if last else "its own completion"
            message = (
                f"the ring of {op.id} has depth {depth} * ii {schedule.ii} = {depth * schedule.ii}"
                f" < {life} cycles from its issue to {until}"
            )
            yield Violation("rings", (op.id, last) if last else (op.id,), schedule.start(op.id), message)
    for memory, attribute, limit in (
        ("shared memory", "smem_bytes", limits.smem_bytes),
        ("tensor memory", "tmem_columns", limits.tmem_columns),
    ):
        unit = attribute.partition("_")[2]
        sizes = [(op.id, schedule.rings[op.id], getattr(op, attribute)) for op in buffers if getattr(op, attribute)]
        total = sum(depth * size for _, depth, size in sizes)
        if total > limit:
            summed = " + ".join(f"{id} {depth} * {size}" for id, depth, size in sizes)
            message = f"{memory} holds {summed} = {total} {unit} > {limit}"
            yield Violation("rings", tuple(id for id, _, _ in sizes), -1, message)


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


def _members(schedule: Schedule) -> dict[int, list[Op]]:
    members: dict[int, list[Op]] = {group: [] for group in range(len(schedule.groups))}
    for op in schedule.problem.ops:
        for group in schedule.placements[op.id].groups:
            members[group].append(op)
    return members


def _groups(schedule: Schedule, *ids: str) -> str:
    return " and ".join("+".join(str(group) for group in schedule.placements[id].groups) for id in ids)


def _listed(there: list[tuple[Span, int]]) -> str:
    return ", ".join(span.name + (f" ({copies} times)" if copies > 1 else "") for span, copies in there)

"""How much of every limit of the machine a schedule uses, and which of them are full."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from twill.schedule.critical import critical_cycle
from twill.schedule.lifetimes import has_ring, register_lives, transfers
from twill.schedule.loads import unit_loads
from twill.schedule.modulo import peak
from twill.schedule.problem import REGISTER_STEP, Dep
from twill.schedule.schedule import Schedule
from twill.solve.tiers import paid_hop


@dataclass(frozen=True)
class Used:
    """A limit: how much is used of how much, in the words of `note`'s unit.

    full: nothing more of the kind fits (a further cycle of work, slot of a ring, group).
    """

    what: str
    used: int
    of: int
    full: bool
    note: str


def limits_used(schedule: Schedule) -> tuple[Used, ...]:
    """Units, tightest recurrence, streams, waits, hops, registers, memories, groups and warps of a placed schedule."""
    kinds = (_units, _recurrence, _streams, _waits, _hops, _registers, _memories, _groups)
    return tuple(used for kind in kinds for used in kind(schedule))


def _units(schedule: Schedule) -> Iterator[Used]:
    for load in unit_loads(schedule.problem):
        room = load.capacity * schedule.ii
        yield Used(f"unit {load.unit}", load.busy_cycles, room, load.res_mii == schedule.ii, "cycles an iteration")


def _recurrence(schedule: Schedule) -> Iterator[Used]:
    cycle = critical_cycle(schedule.problem)
    if cycle is not None:
        of = schedule.ii * cycle.distance
        yield Used("tightest recurrence", cycle.latency, of, cycle.rec_mii == schedule.ii, f"cycles, {cycle}")


def _streams(schedule: Schedule) -> Iterator[Used]:
    for group, ops in _members(schedule).items():
        issue = sum(schedule.problem.op(id).issue for id in ops)
        yield Used(f"stream of group {group}", issue, schedule.ii, issue >= schedule.ii, "cycles of issue")


def _waits(schedule: Schedule) -> Iterator[Used]:
    blocking = [dep for dep in schedule.problem.deps if dep.blocking]
    tight = [dep for dep in blocking if slack_cycles(schedule, dep) == 0]
    if blocking:
        note = "waits end just in time" + (": " + ", ".join(f"{d.dst} for {d.src}" for d in tight[:3]) if tight else "")
        yield Used("waits", len(tight), len(blocking), False, note)


def _hops(schedule: Schedule) -> Iterator[Used]:
    limits = schedule.problem.limits
    for kind, cycles in (("value", limits.value_hop), ("signal", limits.signal_hop)):
        values = [d for d in schedule.problem.deps if schedule.problem.op(d.src).registers > 0 and not d.ring]
        deps = values if kind == "value" else [d for d in schedule.problem.deps if d not in values]
        paid = [d for d in deps if paid_hop(schedule, d)]
        if deps and cycles:
            tight = [d for d in paid if slack_cycles(schedule, d) == 0]
            note = f"dependences pay {cycles} cycles" + (f", {len(tight)} of them without slack" if tight else "")
            yield Used(f"{kind} hops", len(paid), len(deps), False, note)


def _registers(schedule: Schedule) -> Iterator[Used]:
    for number, spans in register_lives(schedule).items():
        cap = schedule.groups[number].registers
        slot, total = peak(spans, schedule.ii)
        if total:
            note = f"per thread, most at slot {slot}"
            yield Used(f"registers of group {number}", total, cap, cap - total < REGISTER_STEP, note)


def _memories(schedule: Schedule) -> Iterator[Used]:
    problem = schedule.problem
    buffers = [op for op in problem.ops if has_ring(op)]
    moved = transfers(schedule)
    for what, size, limit, unit in (
        ("shared memory", "smem_bytes", problem.limits.smem_bytes, "bytes"),
        ("tensor memory", "tmem_columns", problem.limits.tmem_columns, "columns"),
    ):
        slots = {op.id: getattr(op, size) for op in buffers if getattr(op, size)}
        used = sum(schedule.rings[id] * each for id, each in slots.items())
        if size == "smem_bytes":
            used += sum(each.depth * each.slot_bytes for each in moved)
        if used:
            smallest = min(slots, key=lambda id: slots[id]) if slots else ""
            full = bool(slots) and limit - used < slots[smallest]
            note = unit + (f", the smallest slot {smallest} {slots[smallest]}" if slots else "")
            yield Used(what, used, limit, full, note)
    barriers = 2 * sum(schedule.rings[op.id] for op in buffers) + 2 * sum(each.depth for each in moved)
    if barriers:
        most = problem.limits.max_mbarriers
        yield Used("mbarriers", barriers, most, most - barriers < 2, "for the slots of all rings, two each")


def _groups(schedule: Schedule) -> Iterator[Used]:
    limits = schedule.problem.limits
    count, warps = len(schedule.groups), sum(group.warps for group in schedule.groups)
    yield Used("warp groups", count, limits.max_groups, count >= limits.max_groups, "")
    yield Used("warps", warps, limits.max_warps, warps >= limits.max_warps, "")


def slack_cycles(schedule: Schedule, dep: Dep) -> int:
    """Cycles by which a result is ready before it is used, a slot of a ring free before it is written."""
    turns = dep.distance + (schedule.rings[dep.dst] - 1 if dep.ring else 0)
    gap = schedule.start(dep.dst) + turns * schedule.ii - schedule.start(dep.src)
    return gap - dep.latency - paid_hop(schedule, dep)


def _members(schedule: Schedule) -> dict[int, list[str]]:
    members: dict[int, list[str]] = {group: [] for group in range(len(schedule.groups))}
    for op in schedule.problem.ops:
        for group in schedule.placements[op.id].groups:
            members[group].append(op.id)
    return members

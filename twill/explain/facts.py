"""What binds a schedule: the unit or the cycle behind its II, and how full units, registers and memories are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twill.explain.limits import limits_used
from twill.schedule.critical import Cycle, critical_cycle
from twill.schedule.lifetimes import has_ring, register_lives, ring_life
from twill.schedule.loads import UnitLoad, unit_loads
from twill.schedule.modulo import covering, peak
from twill.schedule.schedule import Schedule


def explain_data(schedule: Schedule) -> dict[str, Any]:
    """What `explain` says, as one JSON object; cycles, registers per thread, bytes and columns are whole numbers.

    `groups`, `rings` and `memory` are empty when no schedule was found.
    """
    loads, cycle = unit_loads(schedule.problem), critical_cycle(schedule.problem)
    placed = bool(schedule.placements)
    return {
        "loop": schedule.problem.name,
        "machine": schedule.problem.limits.name,
        "trip_count": schedule.problem.trip_count,
        "status": schedule.status,
        "ii": schedule.ii,
        "lower_bound": schedule.lower_bound,
        "reason": schedule.reason,
        "length": schedule.length,
        "mii": _mii(loads, cycle),
        "binds": _binds(schedule, loads, cycle),
        "faster": _faster(schedule, loads, cycle),
        "units": [_unit(load, schedule.ii if placed else 0) for load in loads],
        "cycle": _cycle(cycle),
        "groups": [_group(schedule, number) for number in range(len(schedule.groups))] if placed else [],
        "rings": [_ring(schedule, id) for id in schedule.rings] if placed else [],
        "memory": _memory(schedule) if placed else {},
        "limits": [vars(each) for each in limits_used(schedule)] if placed else [],
        "tiers": [{"name": t.name, "value": t.value, "bound": t.bound, "proved": t.proved} for t in schedule.tiers],
    }


def _mii(loads: Sequence[UnitLoad], cycle: Cycle | None) -> dict[str, Any]:
    """MII = max(ResMII, RecMII), and every unit or cycle that demands it."""
    res = max((load.res_mii for load in loads), default=0)
    rec = cycle.rec_mii if cycle else 0
    causes = [f"unit {load.unit}" for load in loads if load.res_mii == max(res, rec)]
    if cycle and rec >= res:
        causes.append(f"cycle {cycle}")
    return {"cycles": max(res, rec, 1), "res_mii": res, "rec_mii": rec, "causes": causes}


def _binds(schedule: Schedule, loads: Sequence[UnitLoad], cycle: Cycle | None) -> str:
    mii = _mii(loads, cycle)
    causes = " and ".join(mii["causes"]) or "nothing"
    if not schedule.placements:
        why = schedule.reason or schedule.status
        return f"No schedule: {why}. Units and cycles alone ask for II >= {mii['cycles']}: {causes}."
    if schedule.ii == mii["cycles"]:
        return f"What binds: {causes}, which allow{'s' if len(mii['causes']) < 2 else ''} no II below {mii['cycles']}."
    above = schedule.ii - mii["cycles"]
    known = (
        f"; proved: {schedule.reason}"
        if schedule.status == "optimal"
        else f"; no II below {schedule.lower_bound} exists"
    )
    return (
        f"What binds: not the units or cycles alone, which ask for {mii['cycles']} ({causes}). II is {above} more"
        f" because of the rules together (hops, streams, registers, rings){known}."
    )


def _faster(schedule: Schedule, loads: Sequence[UnitLoad], cycle: Cycle | None) -> str:
    """Which load would have to shrink, and how far that would get."""
    mii = _mii(loads, cycle)
    if not schedule.placements or schedule.ii != mii["cycles"]:
        return ""
    rest = [(load.res_mii, f"unit {load.unit}") for load in loads if load.res_mii < mii["cycles"]]
    if cycle and cycle.rec_mii < mii["cycles"]:
        rest.append((cycle.rec_mii, f"the cycle {cycle}"))
    bound, name = max(rest, default=(0, ""))
    loaded = [load for load in loads if load.res_mii == mii["cycles"]]
    what = [f"give unit {load.unit} less work (or more capacity)" for load in loaded]
    if cycle and cycle.rec_mii == mii["cycles"]:
        what.append("shorten the latencies of the cycle")
    after = f"; the next bound is {bound}, {name}" if bound else ""
    return f"To go faster: {' and '.join(what)}{after}."


def _unit(load: UnitLoad, ii: int) -> dict[str, Any]:
    return {
        "unit": load.unit,
        "capacity": load.capacity,
        "busy_cycles": load.busy_cycles,
        "res_mii": load.res_mii,
        "utilization": round(load.busy_cycles / (load.capacity * ii), 4) if ii else None,
        "ops": dict(load.ops),
    }


def _cycle(cycle: Cycle | None) -> dict[str, Any] | None:
    if cycle is None:
        return None
    deps = [{"src": d.src, "dst": d.dst, "latency": d.latency, "distance": d.distance} for d in cycle.deps]
    return {"rec_mii": cycle.rec_mii, "latency": cycle.latency, "distance": cycle.distance, "deps": deps}


def _group(schedule: Schedule, number: int) -> dict[str, Any]:
    group = schedule.groups[number]
    spans = register_lives(schedule)[number]
    slot, total = peak(spans, schedule.ii)
    values = covering(spans, slot, schedule.ii)
    return {
        "group": number,
        "role": "producer" if group.producer else "consumer",
        "warps": group.warps,
        "registers": group.registers,
        "ops": [op.id for op in schedule.problem.ops if number in schedule.placements[op.id].groups],
        "peak_registers": total,
        "peak_slot": slot,
        "peak_values": [{"op": span.name, "registers": span.weight, "copies": copies} for span, copies in values],
    }


def _ring(schedule: Schedule, id: str) -> dict[str, Any]:
    op, depth = schedule.problem.op(id), schedule.rings[id]
    life, last = ring_life(schedule, op)
    return {
        "op": id,
        "depth": depth,
        "smem_bytes": depth * op.smem_bytes,
        "tmem_columns": depth * op.tmem_columns,
        "life_cycles": life,
        "last_consumer": last,
        "slack_cycles": depth * schedule.ii - life,
    }


def _memory(schedule: Schedule) -> dict[str, Any]:
    buffers = [op for op in schedule.problem.ops if has_ring(op)]
    limits = schedule.problem.limits
    return {
        key: {"used": sum(schedule.rings[op.id] * getattr(op, key) for op in buffers), "limit": getattr(limits, key)}
        for key in ("smem_bytes", "tmem_columns")
    }

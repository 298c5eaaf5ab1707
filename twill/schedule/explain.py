"""What binds a schedule: the unit or the cycle behind its II, and how full units, registers and memories are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

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
        "tiers": [{"name": t.name, "value": t.value, "bound": t.bound, "proved": t.proved} for t in schedule.tiers],
    }


def explain(schedule: Schedule) -> str:
    """The explanation as text for a terminal, in lines of about 100 columns."""
    data = explain_data(schedule)
    parts = [_headline(data), "\n".join([data["binds"], data["faster"]]).strip(), _units_text(data), _cycle_text(data)]
    if schedule.placements:
        parts += [_groups_text(data), _rings_text(data)]
    parts.append(_tiers_text(data))
    return "\n\n".join(part for part in parts if part)


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


def _headline(data: dict[str, Any]) -> str:
    if not data["groups"]:
        return f"{data['loop']} on {data['machine']}: {data['status']}"
    gap = data["ii"] - data["lower_bound"]
    proof = (
        f"optimal ({data['reason']})"
        if data["status"] == "optimal"
        else f"{data['status']}, at most {gap} above the least"
    )
    return (
        f"{data['loop']} on {data['machine']}: II {data['ii']} cycles, {proof}\n"
        f"MII {data['mii']['cycles']} = max(ResMII {data['mii']['res_mii']}, RecMII {data['mii']['rec_mii']});"
        f" an iteration takes {data['length']} cycles, {data['trip_count']} take"
        f" {(data['trip_count'] - 1) * data['ii'] + data['length']}"
    )


def _units_text(data: dict[str, Any]) -> str:
    rows = [("unit", "busy", "capacity", "ResMII", "used", "ops and their cycles")]
    for unit in data["units"]:
        used = "" if unit["utilization"] is None else f"{unit['utilization']:.0%}"
        ops = _shortened([f"{id} {cycles}" for id, cycles in unit["ops"].items()])
        rows.append((unit["unit"], str(unit["busy_cycles"]), str(unit["capacity"]), str(unit["res_mii"]), used, ops))
    return "Units, in cycles per iteration\n" + _table(rows)


def _cycle_text(data: dict[str, Any]) -> str:
    cycle = data["cycle"]
    if cycle is None:
        return "No cycle of dependences takes time, so RecMII is 0."
    rows = [("from", "to", "latency", "iterations later")]
    rows += [(d["src"], d["dst"], str(d["latency"]), str(d["distance"])) for d in cycle["deps"]]
    plural = "s" if cycle["distance"] != 1 else ""
    told = f"Tightest cycle: {cycle['latency']} cycles in {cycle['distance']} iteration{plural}"
    return f"{told}, RecMII {cycle['rec_mii']}\n" + _table(rows)


def _groups_text(data: dict[str, Any]) -> str:
    lines = ["Warp groups"]
    for group in data["groups"]:
        warps = f"{group['warps']} warp{'s' if group['warps'] != 1 else ''}"
        lines.append(f"  group {group['group']}  {group['role']}, {warps}: {_shortened(group['ops'], 70)}")
        if group["peak_values"]:
            held = _shortened([_value(value) for value in group["peak_values"]], 70)
            fill = (
                f"{group['peak_registers']} of {group['registers']} registers per thread at slot {group['peak_slot']}"
            )
            lines.append(f"           {fill}: {held}")
    return "\n".join(lines)


def _value(value: dict[str, Any]) -> str:
    return f"{value['op']} {value['registers']}" + (f" * {value['copies']}" if value["copies"] > 1 else "")


def _rings_text(data: dict[str, Any]) -> str:
    if not data["rings"]:
        return ""
    rows = [("ring", "depth", "smem bytes", "tmem columns", "life", "slack", "freed by")]
    for ring in data["rings"]:
        numbers = (ring["depth"], ring["smem_bytes"], ring["tmem_columns"], ring["life_cycles"], ring["slack_cycles"])
        rows.append((ring["op"], *map(str, numbers), ring["last_consumer"] or "itself"))
    memory = data["memory"]
    used = f"shared memory {memory['smem_bytes']['used']} of {memory['smem_bytes']['limit']} bytes"
    if memory["tmem_columns"]["limit"]:
        used += f", tensor memory {memory['tmem_columns']['used']} of {memory['tmem_columns']['limit']} columns"
    return f"Rings: {used}\n" + _table(rows)


def _tiers_text(data: dict[str, Any]) -> str:
    if not data["tiers"]:
        return ""
    rows = [("tier", "value", "bound", "")]
    for tier in data["tiers"]:
        rows.append(
            (tier["name"], str(tier["value"]), str(tier["bound"]), "proved" if tier["proved"] else "not proved")
        )
    return "Objective, in order\n" + _table(rows)


def _shortened(words: Iterable[str], width: int = 60) -> str:
    """The words with commas, as many as fit; how many more there are."""
    words = list(words)
    line = ""
    for at, word in enumerate(words):
        longer = f"{line}, {word}" if line else word
        if at and len(longer) > width:
            return f"{line} and {len(words) - at} more"
        line = longer
    return line


def _table(rows: Sequence[tuple[str, ...]]) -> str:
    """Columns as wide as they need; numbers to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = []
        for column, (cell, width) in enumerate(zip(row, widths, strict=True)):
            numeric = all(each[column].rstrip("%").isdigit() or not each[column] for each in rows[1:])
            cells.append(f"{cell:>{width}}" if numeric else f"{cell:<{width}}")
        lines.append("  " + "  ".join(cells).rstrip())
    return "\n".join(lines)

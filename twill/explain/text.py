"""What binds a schedule, as text for a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from twill.explain.facts import explain_data
from twill.schedule.schedule import Schedule


def explain(schedule: Schedule) -> str:
    """The explanation as text for a terminal, in lines of about 100 columns."""
    data = explain_data(schedule)
    parts = [_headline(data), "\n".join([data["binds"], data["faster"]]).strip(), _units_text(data), _cycle_text(data)]
    if schedule.placements:
        parts += [_groups_text(data), _rings_text(data), _limits_text(data)]
    parts.append(_tiers_text(data))
    return "\n\n".join(part for part in parts if part)


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


def _limits_text(data: dict[str, Any]) -> str:
    rows = [("limit", "used", "of", "", "")]
    rows += [(e["what"], str(e["used"]), str(e["of"]), "full" if e["full"] else "", e["note"]) for e in data["limits"]]
    return "What each limit has left\n" + _table(rows)


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

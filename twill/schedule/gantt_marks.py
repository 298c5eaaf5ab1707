"""What the HTML Gantt draws on top of its bars to show what binds, and the legend of it."""

from __future__ import annotations

from html import escape

from twill.schedule.highlight import Highlight
from twill.schedule.loads import unit_loads
from twill.schedule.problem import REGISTER_STEP
from twill.schedule.schedule import Schedule
from twill.schedule.timeline import Bar, Timeline

_HEAD = 7  # pixels of an arrow's head


def cap_marks(drawn: Timeline, tops: list[int], row: int, scale: float, binds: Highlight) -> list[str]:
    """A line through the lane of each group at its register cap, at the slot where it holds most, once a turn."""
    parts = []
    for lane, top in zip(drawn.lanes, tops, strict=True):
        group = int(lane.name.removeprefix("group ")) if lane.kind == "group" else -1
        if group not in binds.at_cap:
            continue
        for turn in range(drawn.iterations if drawn.reaches_steady_state else 1):
            slot, total = binds.at_cap[group]
            cycle = slot + turn * drawn.ii
            if drawn.steady_begin <= cycle < drawn.steady_end:
                x, bottom = cycle * scale, top + lane.rows * row
                title = f"<title>{total} registers a thread are held here</title>"
                parts.append(f'<line class="cap" x1="{x:.1f}" y1="{top}" x2="{x:.1f}" y2="{bottom}">{title}</line>')
    return parts


def arrows(drawn: Timeline, tops: list[int], row: int, scale: float, binds: Highlight) -> list[str]:
    """The dependences of the binding recurrence, once around, from each op's bar on its unit to the next one's."""
    if binds.cycle is None:
        return []
    at: dict[tuple[str, int], tuple[Bar, float]] = {}
    for lane, top in zip(drawn.lanes, tops, strict=True):
        if lane.kind == "unit":
            for bar in lane.bars:
                at[bar.op.id, bar.iteration] = bar, top + (bar.row + 0.5) * row
    parts = []
    iteration = max(0, min(drawn.iterations - 1 - binds.cycle.distance, drawn.steady_begin // drawn.ii))
    for dep in binds.cycle.deps:
        ends = at.get((dep.src, iteration)), at.get((dep.dst, iteration + dep.distance))
        if ends[0] and ends[1]:
            (src, y1), (dst, y2) = ends[0], ends[1]
            parts.append(_arrow(src.begin * scale + 4, y1, dst.begin * scale, y2, f"{dep.src} -> {dep.dst}"))
        iteration += dep.distance
    return parts


def _arrow(x1: float, y1: float, x2: float, y2: float, title: str) -> str:
    """A curve with a head at its end; between ops on one row it bows upwards."""
    bow = 14 if y1 == y2 else 0
    middle = (x1 + x2) / 2
    path = f"M{x1:.1f},{y1:g} C{middle:.1f},{y1 - bow:g} {middle:.1f},{y2 - bow:g} {x2 - _HEAD:.1f},{y2:g}"
    head = f"M{x2:.1f},{y2:g} l-{_HEAD},-4 v8 z"
    drawn = f'<path class="arrow" d="{path}"/><path class="head" d="{head}"/>'
    return f'<g class="cycle"><title>{escape(title)}</title>{drawn}</g>'


def binding_key(schedule: Schedule, binds: Highlight) -> str:
    """The legend: what the red marks stand for, in words and numbers; that none binds, where it is so."""
    lines = []
    loads = {load.unit: load for load in unit_loads(schedule.problem)}
    for unit in binds.units:
        load = loads[unit]
        capacity = f" * {load.capacity}" if load.capacity > 1 else ""
        lines.append(
            f"<b>Unit {escape(unit)}</b>, outlined, is busy for {load.busy_cycles} of {schedule.ii}{capacity} cycles:"
            " no shorter interval holds its ops."
        )
    if binds.cycle is not None:
        cycle = binds.cycle
        lines.append(
            f"<b>The arrows</b> are the recurrence {escape(str(cycle))}: {cycle.latency} cycles in {cycle.distance}"
            f" iteration{'s' if cycle.distance > 1 else ''}, so no interval below {cycle.rec_mii}."
        )
    for group, (slot, total) in binds.at_cap.items():
        lines.append(
            f"<b>Group {group}</b> holds {total} of its {schedule.groups[group].registers} registers a thread at slot"
            f" {slot}, the line through its lane: not {REGISTER_STEP} are left."
        )
    if binds.busiest:
        load = loads[binds.busiest]
        lines.append(
            f"No unit and no recurrence alone asks for II {schedule.ii}. The busiest unit, {escape(binds.busiest)}"
            f" (dotted), is busy for {load.busy_cycles} cycles. Which rules together exclude less: `twill explain`."
        )
    items = "".join(f"<li>{line}</li>" for line in lines)
    return f"What binds<ul>{items}</ul>"

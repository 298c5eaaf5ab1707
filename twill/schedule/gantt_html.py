"""The Gantt chart of a schedule as one self-contained HTML page: hover a bar to see its op and its whole iteration."""

from __future__ import annotations

import json
from html import escape
from importlib import resources
from string import Template

from twill.schedule.gantt_marks import arrows, binding_key, cap_marks
from twill.schedule.gantt_svg import require_placements
from twill.schedule.highlight import Highlight, highlight
from twill.schedule.palette import OUTSIDE_FILL, WAITING_FILL, WAITING_LINES, colour
from twill.schedule.problem import Op
from twill.schedule.schedule import Schedule
from twill.schedule.timeline import OUTSIDE, WAITING, Bar, Timeline, family, timeline, title

_ROW, _GAP, _TOP, _BOTTOM = 30, 8, 44, 26  # pixels
_MIN_PIXELS_PER_II, _MIN_PIXELS = 180, 1240
_LABEL_PIXELS = 150
_CHARACTER_PIXELS = 6.6
_MAX_KEY = 60
_HATCH = (
    '<defs><pattern id="waiting" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
    f'<rect width="6" height="6" fill="{WAITING_FILL}"/><rect width="1.5" height="6" fill="{WAITING_LINES}"/>'
    "</pattern></defs>"
)
_HATCHED = f"repeating-linear-gradient(45deg, {WAITING_FILL} 0 3px, {WAITING_LINES} 3px 4px)"


def html(schedule: Schedule, drawn: Timeline | None = None) -> str:
    """The page, light or dark as the reader's system is. Raises NoSchedule without placements."""
    require_placements(schedule)
    drawn = drawn or timeline(schedule)
    schedule = drawn.schedule
    template = resources.files("twill.schedule").joinpath("gantt.html").read_text(encoding="utf-8")
    scale = max(_MIN_PIXELS_PER_II / drawn.ii, _MIN_PIXELS / drawn.end)
    tops, height = _tops(drawn)
    binds = highlight(schedule)
    return Template(template).substitute(
        title=escape(f"{schedule.problem.name}: schedule"),
        name=escape(f"{schedule.problem.name} on {schedule.problem.limits.name}"),
        summary=_summary(schedule),
        reading="Hover a bar for its op, its source line and the rest of its iteration; #1 works for iteration 1.",
        labels=_labels(drawn, tops, height),
        drawing=_drawing(drawn, tops, height, scale, binds),
        key=_key(drawn),
        binding=binding_key(schedule, binds),
        ops=_script_json({op.id: _details(schedule, op) for op in schedule.problem.ops}),
    )


def chart(drawn: Timeline, pixels_per_cycle: float) -> str:
    """A timeline without a word around it, for pages of several; they take `style`, `script` and `details` too."""
    tops, height = _tops(drawn)
    drawing = _drawing(drawn, tops, height, pixels_per_cycle, Highlight((), None, "", {}))
    return f'<div class="chart">{_labels(drawn, tops, height)}<div class="scroll">{drawing}</div></div>'


def details(schedule: Schedule) -> str:
    """What hovering a bar of these ops shows, as the script reads it."""
    return _script_json({op.id: _details(schedule, op) for op in schedule.problem.ops})


def style_and_script() -> tuple[str, str]:
    """The style sheet of a page with charts, and the script that answers hovering."""
    page = resources.files("twill.schedule").joinpath("gantt.html").read_text(encoding="utf-8")
    style = page.partition("<style>")[2].partition("</style>")[0]
    script = page.rpartition("<script>")[2].partition("</script>")[0]
    return style, script


def _summary(schedule: Schedule) -> str:
    reason = f": {escape(schedule.reason)}" if schedule.reason else ""
    return (
        f"A new iteration every <b>{schedule.ii} cycles</b> (II, <b>{schedule.status}</b>{reason});"
        f" each takes {schedule.length} cycles; {schedule.problem.trip_count} iterations."
    )


def _details(schedule: Schedule, op: Op) -> list[str]:
    at = schedule.placements[op.id]
    if op.unit in (WAITING, OUTSIDE):
        return [title(op)]
    groups = "group " + "+".join(str(group) for group in at.groups)
    lines = [title(op), f"{op.unit} busy {op.occupancy} cycles, issue {op.issue}, result after {op.latency}"]
    lines.append(f"stage {at.stage}, slot {at.slot}, {groups}")
    if op.subtile is not None:
        lines.append(f"sub-tile {op.subtile}")
    if op.id in schedule.rings:
        lines.append(f"writes a ring of depth {schedule.rings[op.id]}")
    return [*lines, op.location] if op.location else lines


def _tops(drawn: Timeline) -> tuple[list[int], int]:
    tops, y = [], _TOP
    before = drawn.lanes[0].kind
    for lane in drawn.lanes:
        y += 3 * _GAP if lane.kind != before else 0
        before = lane.kind
        tops.append(y)
        y += lane.rows * _ROW + _GAP
    return tops, y + _BOTTOM


def _labels(drawn: Timeline, tops: list[int], height: int) -> str:
    """The lane names, in a picture of their own so that they stay when the chart scrolls."""
    x = _LABEL_PIXELS - 10
    parts = [f'<svg width="{_LABEL_PIXELS}" height="{height}" style="flex:none" role="presentation">']
    for lane, top in zip(drawn.lanes, tops, strict=True):
        middle = top + lane.rows * _ROW / 2
        parts.append(_text(lane.name[:20], x, middle - 2, "ink", "end"))
        parts.append(_text(lane.detail, x, middle + 12, "soft", "end", 'font-size="11"'))
    return "".join([*parts, "</svg>"])


def _drawing(drawn: Timeline, tops: list[int], height: int, scale: float, binds: Highlight) -> str:
    width = drawn.end * scale + 10
    floor = height - _BOTTOM
    parts = [f'<svg width="{width:.0f}" height="{height}" role="img" aria-label="Gantt chart">']
    if any(op.unit == WAITING for op in drawn.schedule.problem.ops):
        parts.append(_HATCH)
    for lane, top in zip(drawn.lanes, tops, strict=True):
        full = lane.kind == "unit" and lane.name in (*binds.units, binds.busiest)
        kind = "lane" if not full else "lane binds" if lane.name in binds.units else "lane busiest"
        parts.append(_rect(kind, 1 if full else 0, top, width - 2 * full, lane.rows * _ROW))
    if drawn.reaches_steady_state:
        begin, end = drawn.steady_begin, min(drawn.steady_end, drawn.end)
        parts.append(_rect("steady", begin * scale, _TOP - 26, (end - begin) * scale, floor - _TOP + 26))
        phases = [(drawn.steady_words, begin, end), ("prologue", 0, begin), ("epilogue", end, drawn.end)]
        for name, left, right in phases:
            if (right - left) * scale > len(name) * _CHARACTER_PIXELS:
                weight = 'font-weight="bold"' if name.startswith("steady") else ""
                parts.append(_text(name, (left + right) / 2 * scale, _TOP - 10, "ink", "middle", weight))
    for turn in range(drawn.end // drawn.ii + 1):
        x = turn * drawn.ii * scale
        parts.append(f'<line class="turn" x1="{x:.1f}" y1="{_TOP}" x2="{x:.1f}" y2="{floor}"/>')
        parts.append(_text(str(turn * drawn.ii), x, floor + 15, "soft", "start" if turn == 0 else "middle"))
    for lane, top in zip(drawn.lanes, tops, strict=True):
        critical = lane.kind == "unit" and lane.name in binds.units
        on_cycle = set(binds.cycle.ops if binds.cycle and lane.kind == "unit" else ())
        for bar in lane.bars:
            kind = "bar" + " critical" * critical + " recurrence" * (bar.op.id in on_cycle)
            parts.append(_bar(drawn, bar, top + bar.row * _ROW, scale, kind))
    parts += cap_marks(drawn, tops, _ROW, scale, binds)
    parts += arrows(drawn, tops, _ROW, scale, binds)
    return "".join([*parts, "</svg>"])


def _bar(drawn: Timeline, bar: Bar, y: int, scale: float, kind: str) -> str:
    x, width = bar.begin * scale, max((bar.end - bar.begin) * scale, 3)
    data = f'data-op="{escape(bar.op.id)}" data-i="{bar.iteration}" data-begin="{bar.begin}" data-end="{bar.end}"'
    fill = f'rx="2" fill="{_fill(drawn, bar.op)}"'
    drawing = _rect(kind, x, y + 2, width, _ROW - 4, f"{fill} {data}")
    if bar.op.unit == WAITING:
        return drawing
    names = (bar.op.id,) if bar.op.unit == OUTSIDE else (f"{bar.op.id} #{bar.iteration}", f"#{bar.iteration}")
    for text in names:
        if (len(text) + 0.5) * _CHARACTER_PIXELS <= width:
            return drawing + _text(text, x + width / 2, y + _ROW / 2 + 4, "in", "middle")
    return drawing


def _fill(drawn: Timeline, op: Op) -> str:
    if op.unit == WAITING:
        return "url(#waiting)"
    return OUTSIDE_FILL if op.unit == OUTSIDE else colour(drawn.families[op.id], op.subtile)


def _rect(kind: str, x: float, y: float, width: float, height: float, more: str = "") -> str:
    return f'<rect class="{kind}" x="{x:.1f}" y="{y}" width="{width:.1f}" height="{height}" {more}/>'


def _text(text: str, x: float, y: float, kind: str, anchor: str, more: str = "") -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:g}" text-anchor="{anchor}" {more}>{escape(text)}</text>'


def _key(drawn: Timeline) -> str:
    named: dict[int, Op] = {}
    for op in drawn.schedule.problem.ops:
        named.setdefault(drawn.families[op.id], op)
    key = "".join(
        f'<span><i style="background:{_key_fill(drawn, op)}"></i>{escape(family(op))}</span>'
        for op in list(named.values())[:_MAX_KEY]
    )
    paler = any(op.subtile for op in drawn.schedule.problem.ops)
    return key + ("<span>paler: the same op of a further sub-tile</span>" if paler else "")


def _key_fill(drawn: Timeline, op: Op) -> str:
    if op.unit == WAITING:
        return _HATCHED
    return OUTSIDE_FILL if op.unit == OUTSIDE else colour(drawn.families[op.id], None)


def _script_json(data: object) -> str:
    """JSON that cannot end the script element it stands in, whatever names it holds."""
    return json.dumps(data).replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")

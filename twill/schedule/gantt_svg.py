"""The Gantt chart of a schedule as SVG, drawn with matplotlib."""

from __future__ import annotations

import io
import re
import textwrap
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from twill.errors import NoSchedule
from twill.schedule.palette import OUTSIDE_FILL, TEXT, WAITING_FILL, WAITING_LINES, colour
from twill.schedule.problem import Op
from twill.schedule.schedule import Schedule
from twill.schedule.timeline import OUTSIDE, WAITING, Bar, Timeline, family, timeline

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_ROW_INCHES = 0.34
_WIDTH_INCHES = 15
_CHARACTER_INCHES = 0.066  # of a name inside a bar
_MAX_LEGEND = 36
_MAX_NAMES = 600
_LINE = 150  # characters of the heading that the figure has room for


def svg(schedule: Schedule, drawn: Timeline | None = None) -> str:
    """The chart as one SVG document; the same schedule gives the same bytes. Raises NoSchedule without placements."""
    import matplotlib

    out = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "twill"}), warnings.catch_warnings():
        # A name in a script that matplotlib's own font lacks: an SVG viewer has another font for it.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure(schedule, drawn).savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    return out.getvalue()


def figure(schedule: Schedule, drawn: Timeline | None = None) -> Figure:
    """The chart as a matplotlib figure: units above, warp groups below, the steady state shaded."""
    from matplotlib.figure import Figure

    require_placements(schedule)
    drawn = drawn or timeline(schedule)
    rows = sum(lane.rows for lane in drawn.lanes)
    chart = Figure(figsize=(_WIDTH_INCHES, 1.7 + _ROW_INCHES * (rows + 0.35 * len(drawn.lanes))), layout="constrained")
    axes = chart.subplots()
    tops, height = _lane_tops(drawn)
    _frame(axes, drawn, tops, height)
    placed = [(bar, top + bar.row) for lane, top in zip(drawn.lanes, tops, strict=True) for bar in lane.bars]
    _bars(axes, drawn, placed)
    _names(axes, drawn, placed)
    _legend(chart, drawn)
    return chart


def require_placements(schedule: Schedule) -> None:
    """Raise NoSchedule, with the reason, when there is nothing to draw."""
    if not schedule.placements:
        message = f"no schedule to draw: {schedule.status}, {schedule.reason or 'no reason is given'}."
        raise NoSchedule(message, hint="See `twill explain`.", location=schedule.problem.name)


def heading(schedule: Schedule) -> str:
    """One sentence with what the picture shows; without the names of ops where they are too many for a line."""

    def sentence(reason: str) -> str:
        return (
            f"{schedule.problem.name} on {schedule.problem.limits.name}: a new iteration every {schedule.ii} cycles"
            f" (II, {schedule.status}{': ' + reason if reason else ''}), each takes {schedule.length}"
        )

    said = sentence(schedule.reason)
    return said if len(said) <= _LINE else sentence(re.sub(r" \((?:ops|op) [^()]*\)", "", schedule.reason))


def _lane_tops(drawn: Timeline) -> tuple[list[float], float]:
    """The y of each lane (growing downwards) and the height of all; a gap parts the units from the groups."""
    tops, y = [], 0.0
    before = drawn.lanes[0].kind
    for lane in drawn.lanes:
        y += 0.7 if lane.kind != before else 0
        before = lane.kind
        tops.append(y)
        y += lane.rows + 0.25
    return tops, y - 0.25


def _frame(axes: Any, drawn: Timeline, tops: list[float], height: float) -> None:
    """Title, lane names, turns of ii as grid lines, and the band of the steady state."""
    schedule = drawn.schedule
    axes.set_title(textwrap.fill(heading(schedule), _LINE), loc="left", fontsize=11, pad=22, parse_math=False)
    axes.set_xlim(0, drawn.end)
    axes.set_ylim(height + 0.1, -0.15)
    for lane, top in zip(drawn.lanes, tops, strict=True):
        axes.axhspan(top - 0.06, top + lane.rows + 0.06, color="#8a94a6", alpha=0.08, linewidth=0)
    names = [f"{lane.name[:24]}\n{lane.detail}" for lane in drawn.lanes]
    axes.set_yticks([top + lane.rows / 2 for lane, top in zip(drawn.lanes, tops, strict=True)], names, fontsize=8)
    for label in axes.get_yticklabels():
        label.set_parse_math(False)
    turns = range(-(-drawn.end // drawn.ii) + 1)
    axes.set_xticks([turn * drawn.ii for turn in turns if turn * drawn.ii <= drawn.end])
    axes.grid(axis="x", color="#8a94a6", linewidth=0.8, linestyle=(0, (4, 3)))
    axes.set_axisbelow(True)
    axes.tick_params(length=0)
    axes.set_xlabel(f"cycles; dashed lines are {drawn.ii} (II) apart; #1 works for iteration 1", fontsize=9)
    for side in ("top", "right", "left", "bottom"):
        axes.spines[side].set_visible(False)
    if not drawn.reaches_steady_state:
        return
    begin, end = drawn.steady_begin, min(drawn.steady_end, drawn.end)
    axes.axvspan(begin, end, color="#f6bd16", alpha=0.13, linewidth=0)
    phases = [(begin, end, drawn.steady_words)]
    phases += [(0, begin, "prologue")] if begin else []
    phases += [(end, drawn.end, "epilogue")] if end < drawn.end else []
    for left, right, name in phases:
        axes.annotate(name, ((left + right) / 2, -0.15), (0, 4), textcoords="offset points", ha="center", fontsize=9,
                      fontweight="bold" if "steady" in name else "normal", annotation_clip=False)  # fmt: skip


def _bars(axes: Any, drawn: Timeline, placed: Sequence[tuple[Bar, float]]) -> None:
    """The rectangles, as one collection: thousands of single ones take matplotlib many seconds."""
    from matplotlib.collections import PolyCollection

    drawn_as: dict[bool, tuple[list[list[tuple[float, float]]], list[str]]] = {True: ([], []), False: ([], [])}
    for bar, y in placed:
        left, right, top, bottom = bar.begin, bar.begin + _width(drawn, bar), y + 0.04, y + 0.96
        corners, fills = drawn_as[bar.op.unit == WAITING]
        corners.append([(left, top), (right, top), (right, bottom), (left, bottom)])
        fills.append(_fill(drawn, bar.op))
    corners, fills = drawn_as[False]
    axes.add_collection(PolyCollection(corners, facecolors=fills, edgecolors="white", linewidths=0.6, zorder=2))
    corners, fills = drawn_as[True]
    if corners:
        axes.add_collection(
            PolyCollection(
                corners, facecolors=fills, edgecolors=WAITING_LINES, hatch="////", linewidths=0.0, zorder=1.5
            )
        )


def _fill(drawn: Timeline, op: Op) -> str:
    if op.unit == WAITING:
        return WAITING_FILL
    return OUTSIDE_FILL if op.unit == OUTSIDE else colour(drawn.families[op.id], op.subtile)


def _names(axes: Any, drawn: Timeline, placed: Sequence[tuple[Bar, float]]) -> None:
    """Op and iteration inside the bars that are wide enough for it; of very many, inside the widest."""
    inches_per_cycle = (_WIDTH_INCHES - 1.6) / drawn.end
    widest = sorted(placed, key=lambda each: each[0].begin - each[0].end)
    for bar, y in widest[:_MAX_NAMES]:
        if bar.op.unit == WAITING:
            continue
        width = _width(drawn, bar)
        room = int(width * inches_per_cycle / _CHARACTER_INCHES)
        names = (bar.op.id,) if bar.op.unit == OUTSIDE else (f"{bar.op.id} #{bar.iteration}", f"#{bar.iteration}")
        name = next((each for each in names if len(each) <= room), "")
        if name:
            axes.text(bar.begin + width / 2, y + 0.52, name, ha="center", va="center", fontsize=7.5, color=TEXT,
                      parse_math=False, clip_on=True, in_layout=False)  # fmt: skip


def _width(drawn: Timeline, bar: Bar) -> float:
    return max(bar.end - bar.begin, drawn.end / 400)  # no op is too short to be seen


def _legend(chart: Figure, drawn: Timeline) -> None:
    """What the colours mean, for the bars too narrow for a name; sub-tiles are shades of one colour."""
    from matplotlib.patches import Patch

    named: dict[int, Op] = {}
    for op in drawn.schedule.problem.ops:
        named.setdefault(drawn.families[op.id], op)
    ops = [op for op in named.values() if op.unit not in (WAITING, OUTSIDE)][:_MAX_LEGEND]
    shown = [Patch(color=colour(drawn.families[op.id], None), label=family(op)[:24]) for op in ops]
    for op in named.values():
        if op.unit == OUTSIDE:
            shown.append(Patch(color=OUTSIDE_FILL, label=op.label))
        elif op.unit == WAITING:
            shown.append(Patch(facecolor=WAITING_FILL, edgecolor=WAITING_LINES, hatch="////", linewidth=0, label=op.id))
    legend = chart.legend(
        handles=shown, loc="outside lower center", ncols=min(len(shown), 12), fontsize=8, frameon=False,
        handlelength=1.2, handleheight=1.0,
    )  # fmt: skip
    for text in legend.get_texts():
        text.set_parse_math(False)

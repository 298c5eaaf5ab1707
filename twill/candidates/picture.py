"""The ranking as a picture: what each candidate is predicted to take, beside what it takes at least."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from twill.candidates.candidate import Candidate

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_WIDTH_INCHES = 10.0
_ROW_INCHES = 0.3
_CHOSEN, _SOLVED, _BOUND, _INK = "#f6a800", "#5b8ff9", "#8a94a6", "#14171c"


def svg(candidates: Sequence[Candidate]) -> str:
    """The picture as one SVG document, best first; the same candidates give the same bytes."""
    import matplotlib

    out = io.BytesIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "twill"}):
        figure(candidates).savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    return out.getvalue().decode()


def section(picture: str) -> str:
    """An SVG document as part of an HTML page, on white whatever the page's colours are."""
    drawing = picture[picture.index("<svg") :]
    return (
        '<figure style="background:#fff;margin:2em 0;padding:1em;overflow-x:auto">'
        f"{drawing}<figcaption style='color:{_INK}'>"
        "Tile sizes and numbers of sub-tiles that were compared.</figcaption></figure>\n"
    )


def figure(candidates: Sequence[Candidate]) -> Figure:
    """A bar for each candidate that has a problem: full as far as predicted, a line where its bound is.

    The first candidate is the chosen one. One that was not solved has its bound alone, as an empty bar.
    """
    from matplotlib.figure import Figure

    rows = [candidate for candidate in candidates if candidate.work is not None]
    chart = Figure(figsize=(_WIDTH_INCHES, 1.3 + _ROW_INCHES * max(1, len(rows))), layout="constrained")
    axes = chart.subplots()
    for y, candidate in enumerate(rows):
        _bar(axes, y, candidate, chosen=candidate is candidates[0])
    axes.set_yticks(range(len(rows)), [_label(candidate) for candidate in rows], fontsize=8)
    for label in axes.get_yticklabels():
        label.set_parse_math(False)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.margins(x=0.22)
    axes.set_xlim(left=0)
    axes.set_xlabel("SM cycles of the whole launch, by the model", fontsize=9)
    axes.xaxis.set_major_formatter(lambda value, position: f"{value:,.0f}")
    axes.tick_params(length=0, labelsize=8)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    _legend(chart)
    return chart


def _label(candidate: Candidate) -> str:
    return candidate.name + (" (the example's)" if candidate.incumbent and candidate.tile else "")


def _bar(axes: Any, y: int, candidate: Candidate, *, chosen: bool) -> None:
    bound, cycles = candidate.bound_sm_cycles, candidate.sm_cycles
    if cycles is None:
        axes.barh(y, bound, height=0.7, facecolor="none", edgecolor=_BOUND, linestyle=(0, (3, 2)))
        axes.text(bound, y, f"  {_short(candidate)}", va="center", fontsize=7.5, color=_BOUND, parse_math=False)
        return
    axes.barh(y, cycles, height=0.7, color=_CHOSEN if chosen else _SOLVED)
    axes.plot([bound, bound], [y - 0.35, y + 0.35], color=_INK, linewidth=1.4)
    schedule = candidate.schedule
    assert schedule is not None
    text = f"  {cycles:,}, II {schedule.ii} {schedule.status}{', chosen' if chosen else ''}"
    axes.text(cycles, y, text, va="center", fontsize=7.5, color=_INK, parse_math=False)


def _short(candidate: Candidate) -> str:
    """Why there is no schedule, in a few words."""
    if candidate.schedule is not None and candidate.schedule.status == "infeasible":
        return "infeasible"
    return candidate.reason.partition(":")[0][:40]


def _legend(chart: Figure) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles = [
        Patch(facecolor=_CHOSEN, label="chosen"),
        Patch(facecolor=_SOLVED, label="solved"),
        Patch(facecolor="none", edgecolor=_BOUND, linestyle=(0, (3, 2)), label="not solved: its bound"),
        Line2D([], [], color=_INK, linewidth=1.4, label="bound"),
    ]
    chart.legend(handles=handles, loc="outside upper center", ncols=4, fontsize=8, frameon=False)

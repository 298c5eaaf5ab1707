"""A comparison as a table for terminals."""

from __future__ import annotations

from rich.text import Text

from twill.measure.comparison import Comparison, Figure
from twill.measure.measurement import Measurement
from twill.report import columns, heading, row, show


def print_comparison(comparison: Comparison, measured: Measurement) -> None:
    """Interval and errors, measured and predicted."""
    table = columns(
        "op", "unit", "start", "predicted", "error", "in stream", "predicted", "error", "seen after", "predicted",
        "error",
        right=("start", "predicted", "error", "in stream", "seen after"),
    )  # fmt: skip
    for op in comparison.ops:
        figures = [text for each in (op.offset, op.occupancy, op.latency) for text in _texts(each)]
        row(table, op.op, op.unit, *figures)
    ii = comparison.ii
    words = (
        f"{comparison.kernel}: a new iteration every {ii.measured:.1f} cycles ({measured.source}), predicted"
        f" {ii.predicted:.1f}, scheduled {comparison.schedule_ii}."
    )
    notes = [f"Not kept: {', '.join(comparison.missing)}."] if comparison.missing else []
    show(heading("Measured beside predicted, in cycles"), table, Text("\n".join([words, *notes, *measured.notes])))


def _texts(figure: Figure | None) -> tuple[str, str, str]:
    if figure is None:
        return "", "", ""
    return f"{figure.measured:.0f}", f"{figure.predicted:.0f}", f"{figure.error:+.0f}"

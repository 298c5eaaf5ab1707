"""What the benchmark of the operators shows people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from benchmarks.gpu.tables import sizes_text
from benchmarks.ops.contenders import OWN

_LEFT = ("work", "dtype", "sizes", "kernel", "limit", "contender", "note", "first failure")


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, justify="left" if column in _LEFT else "right", overflow="fold")
    return table


def correctness(rows: Sequence[Mapping[str, Any]]) -> Table:
    """A row for each work and dtype: the largest error of results and gradients over what rounding explains."""
    table = _table(
        "Against float64", "work", "dtype", "sizes held", "largest error / tolerance", "first failure"
    )  # fmt: skip
    for work, dtype in dict.fromkeys((row["work"], row["dtype"]) for row in rows):
        mine = [row for row in rows if (row["work"], row["dtype"]) == (work, dtype)]
        ratios = [ratio for row in mine for ratio in row["ratios"].values()]
        failures = [row["failure"] for row in mine if row["failure"]]
        table.add_row(
            work, dtype, f"{len(mine) - len(failures)} of {len(mine)}", f"{max(ratios):.2g}" if ratios else "-",
            Text(failures[0] if failures else "", style="red"),
        )  # fmt: skip
    return table


def predictions(rows: Sequence[Mapping[str, Any]]) -> Table:
    """A row for each kernel and size."""
    table = _table(
        "Predicted (modelled, not measured)", "kernel", "sizes", "µs", "TFLOP/s", "of peak", "of bandwidth", "limit"
    )
    for row in rows:
        if row["failure"]:
            table.add_row(row["kernel"], sizes_text(row["sizes"]), "-", "-", "-", "-", row["failure"])
            continue
        has_peak = row["peak_tflops"] > 0
        table.add_row(
            row["kernel"], sizes_text(row["sizes"]), f"{row['microseconds']:.1f}",
            f"{row['tflops']:.0f}" if has_peak else "-", f"{row['share_of_peak']:.0%}" if has_peak else "-",
            f"{row['share_of_bandwidth']:.0%}", row["limit"],
        )  # fmt: skip
    return table


def timings(results: Mapping[str, Any]) -> Table:
    """A row for each work, size and contender."""
    columns = "work", "sizes", "contender", "µs (quartiles)", "TFLOP/s", "of peak", "twill.ops is", "note"
    table = _table("Side by side (measured)", *columns)
    for work, result in results.items():
        if result["failure"]:
            table.add_row(work, "", Text(result["failure"], style="red"))
        for entry in result["sizes"]:
            sizes = sizes_text(entry["sizes"])
            if entry.get("failure"):
                table.add_row(work, sizes, Text(entry["failure"], style="red"))
            for row in entry["contenders"]:
                median, low, high = (
                    row["seconds"][key] * 1e6 for key in ("median", "lower_quartile", "upper_quartile")
                )
                table.add_row(
                    work, sizes, row["name"], f"{median:.1f} ({low:.1f} to {high:.1f})", f"{row['tflops']:.0f}",
                    f"{row['share_of_peak']:.0%}" if row["share_of_peak"] else "-",
                    "" if row["name"] == OWN else f"{row['ratio']:.2f}x", row["note"],
                )  # fmt: skip
            for absent in entry["unavailable"]:
                table.add_row(work, sizes, absent["name"], "-", "-", "-", "-", absent["reason"])
    return table

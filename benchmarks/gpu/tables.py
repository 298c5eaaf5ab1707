"""What the GPU benchmark shows people: results that are right or not, and times side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.table import Table
from rich.text import Text

from benchmarks.gpu.contenders import GENERATED


def checks_table(results: Mapping[str, Any]) -> Table:
    """A row a kernel: shapes that held, the largest error, the first failure."""
    table = Table(title="Against float64", title_justify="left", box=None, pad_edge=False)
    for column in ("kernel", "shapes held", "largest error / tolerance", "first failure"):
        table.add_column(column, justify="left" if column in ("kernel", "first failure") else "right", overflow="fold")
    for name, result in results.items():
        checks = result["checks"]
        errors = [check["error_over_tolerance"] for check in checks if check["error_over_tolerance"] is not None]
        failures = [f"{sizes_text(check['sizes'])}: {check['failure']}" for check in checks if check["failure"]]
        failures += [result["failure"]] if result["failure"] else []
        table.add_row(
            name,
            f"{sum(not check['failure'] for check in checks)} of {len(checks)}",
            f"{max(errors):.2g}" if errors else "-",
            Text(failures[0] if failures else "", style="red"),
        )
    return table


def timings_table(results: Mapping[str, Any]) -> Table:
    """A row a contender: median time with quartiles, TFLOP/s, share of peak, and the generated kernel's lead."""
    table = Table(title="Side by side", title_justify="left", box=None, pad_edge=False)
    for column in (
        "kernel",
        "sizes",
        "contender",
        "µs (quartiles)",
        "TFLOP/s",
        "of peak",
        "MHz",
        "generated is",
        "note",
    ):
        left = column in ("kernel", "sizes", "contender", "note")
        table.add_column(column, justify="left" if left else "right", overflow="fold")
    for name, result in results.items():
        if result["timing_failure"]:
            table.add_row(name, "", Text(f"timing {result['timing_failure']}", style="red"))
        for shape in result["timings"]:
            for row in shape["contenders"]:
                table.add_row(name, sizes_text(shape["sizes"]), *_cells(row))
            for absent in shape["unavailable"]:
                table.add_row(
                    name, sizes_text(shape["sizes"]), absent["name"], "-", "-", "-", "-", "-", absent["reason"]
                )
    return table


def sizes_text(sizes: Mapping[str, int]) -> str:
    """Sizes as people read them."""
    return " ".join(f"{name}={value}" for name, value in sizes.items())


def _cells(row: Mapping[str, Any]) -> list[str]:
    clocks, share = row["clocks"], row["share_of_peak"]
    median, lower, upper = (row["seconds"][key] * 1e6 for key in ("median", "lower_quartile", "upper_quartile"))
    return [
        row["name"],
        f"{median:.1f} ({lower:.1f} to {upper:.1f})",
        f"{row['tflops']:.0f}",
        f"{share:.0%}" if share else "-",
        f"{clocks['clocks.sm']:.0f}" if clocks and isinstance(clocks.get("clocks.sm"), float) else "-",
        "" if row["name"] == GENERATED else f"{row['ratio']:.2f}x",
        row["note"],
    ]

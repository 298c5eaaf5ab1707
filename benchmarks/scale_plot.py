"""The picture of `solve_scale`: seconds to a proof against ops, and the gap that was left at the limit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

COLOURS = {"free": "#1f77b4", "colocated": "#d95f02"}
NO_SCHEDULE = 100.0  # per cent, where a solve without any schedule is drawn


def draw(
    instances: Sequence[Mapping[str, Any]], targets: Sequence[Mapping[str, Any]], time_limit: float, path: Path
) -> None:
    """Write the SVG: a point a loop, hollow where nothing was proved; a line through the medians; targets as bars.

    A loop without any schedule stands at a gap of 100%.
    """
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "twill"  # the same file for the same numbers
    from matplotlib import pyplot

    figure, (seconds, gap) = pyplot.subplots(2, 1, figsize=(7, 7), sharex=True, height_ratios=(3, 2))
    for variant, colour in COLOURS.items():
        there = [one for one in instances if one["variant"] == variant]
        if not there:
            continue
        shift = 0.985 if variant == "free" else 1.015  # side by side
        for proved in (True, False):
            some = [one for one in there if (one["proof_seconds"] is not None) == proved]
            face = colour if proved else "none"
            label = f"{variant}, {'proved' if proved else 'stopped at the limit'}"
            seconds.scatter(
                [one["ops"] * shift for one in some], [max(0.01, one["seconds"]) for one in some],
                s=22, facecolors=face, edgecolors=colour, label=label if some else None,
            )  # fmt: skip
        sizes = sorted({one["ops"] for one in there})
        middle = [median(max(0.01, one["seconds"]) for one in there if one["ops"] == size) for size in sizes]
        seconds.plot(sizes, middle, color=colour, linewidth=1)
        gap.scatter(
            [one["ops"] * shift for one in there],
            [NO_SCHEDULE if one["gap"] is None else 100 * one["gap"] for one in there],
            s=22, facecolors="none", edgecolors=colour,
        )  # fmt: skip
    for target in targets:
        axes, height = (seconds, target["seconds"]) if target["gap"] == 0 else (gap, 100 * target["gap"])
        axes.plot([target["ops"] / 1.12, target["ops"] * 1.12], [height, height], color="black", linewidth=2)
    seconds.axhline(time_limit, color="grey", linewidth=0.8, linestyle=":")
    seconds.set(xscale="log", yscale="log", ylabel="seconds to a proved II")
    seconds.set_title("Solving random loops; black bars are the targets", fontsize=10)
    seconds.legend(fontsize=8, frameon=False)
    gap.set(xscale="log", xlabel="ops in the loop", ylabel="gap at the end, % (100: no schedule)")
    gap.set_yscale("symlog", linthresh=1)
    gap.set_ylim(-0.2, 1.6 * NO_SCHEDULE)
    ticks = sorted({one["ops"] for one in (*instances, *targets)})
    gap.set_xticks(ticks, [str(size) for size in ticks])
    gap.minorticks_off()
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)

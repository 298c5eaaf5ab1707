"""One work at one size on a GPU, side by side with its contenders, in turn and in one process."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import torch

from benchmarks.gpu.contenders import Contender, Unavailable
from benchmarks.gpu.timing import REPEATS, ROUNDS, Clocks, peak_tflops
from benchmarks.ops.contenders import OWN, contenders
from benchmarks.ops.works import Sizes, Work
from benchmarks.samples import summarize
from twill.measure.timer import Timer


def time_work(
    work: Work, sizes: Sizes, dtype: torch.dtype, timer: Timer, clocks: Clocks, device: str
) -> dict[str, Any]:
    """Seconds (median, quartiles), TFLOP/s and share of peak of each contender, as data.

    The contenders take turns, so that all of them meet the same temperatures and clocks. `ratio`: the contender's
    median over the operator's: above 1 the operator is faster.
    """
    with torch.no_grad():
        present = contenders(work, work.inputs(sizes, dtype, device), sizes, timer)
        running = [one for one in present if isinstance(one, Contender)]
        seconds: dict[str, list[float]] = {one.name: [] for one in running}
        for _ in range(ROUNDS):
            for one in running:
                seconds[one.name] += timer.samples(one.call, REPEATS)
        rows = [_row(one, seconds[one.name], clocks) for one in running]
    own = next(row["seconds"]["median"] for row in rows if row["name"] == OWN)
    return {
        "sizes": dict(sizes),
        "contenders": [{**row, "ratio": row["seconds"]["median"] / own} for row in rows],
        "unavailable": [asdict(one) for one in present if isinstance(one, Unavailable)],
    }


def _row(contender: Contender, seconds: list[float], clocks: Clocks) -> dict[str, Any]:
    summary = summarize(seconds)
    measured = clocks(contender.call)
    peak = peak_tflops(measured)
    tflops = contender.flops / summary.median / 1e12
    return {
        "name": contender.name, "note": contender.note, "seconds": asdict(summary), "tflops": tflops,
        "share_of_peak": tflops / peak if peak else None, "clocks": measured,
    }  # fmt: skip

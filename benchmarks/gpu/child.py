"""The process that runs one kernel: `python -m benchmarks.gpu.child check|time VARIANT FILE`.

It appends one JSON object a shape to FILE as soon as it is known, so that what was found before a
hang or an illegal access is kept.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.gpu import cases
from benchmarks.gpu.check import Outcome, check_shape, synchronize
from benchmarks.gpu.contenders import reason

Report = Callable[[dict[str, Any]], None]


def check(kernel: cases.Kernel, device: str, report: Report) -> None:
    """Judge every shape. Raises what the device raises when it can no longer be used."""
    for sizes in kernel.family.checks:
        try:
            outcome = check_shape(kernel, sizes, device)
        except Exception as error:
            report(asdict(Outcome(sizes, None, reason(error))))
            synchronize(device)  # after an illegal access nothing runs any more: raises
            continue
        report(asdict(outcome))


def time_all(kernel: cases.Kernel, report: Report) -> None:
    """Time every shape beside the contenders."""
    import torch

    from benchmarks.gpu.timing import clocks_under_load, time_shape
    from twill.measure.timer import CudaTimer

    timer = CudaTimer()
    constants = cases.arguments(kernel, kernel.family.checks[0], "cpu")
    for sizes in kernel.family.timings(constants):
        report(time_shape(kernel, sizes, timer, clocks_under_load, "cuda"))
        torch.cuda.empty_cache()


def main(task: str, name: str, file: str) -> None:
    """Do `task` for the variant `name`."""

    def report(entry: dict[str, Any]) -> None:
        with Path(file).open("a") as stream:
            stream.write(json.dumps(entry) + "\n")

    kernel = cases.load(cases.variant_named(name))
    report({"module_sha256": kernel.module_sha256})
    if task == "check":
        check(kernel, "cuda", report)
    else:
        time_all(kernel, report)


if __name__ == "__main__":
    main(*sys.argv[1:4])

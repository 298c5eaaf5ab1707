"""The process that times one work: `python -m benchmarks.ops.child WORK DTYPE FILE`.

It appends one JSON object a size to FILE as soon as it is known, so that what was found before a crash is kept.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch

from benchmarks.gpu.contenders import reason
from benchmarks.gpu.timing import clocks_under_load
from benchmarks.ops.timings import time_work
from benchmarks.ops.works import work_named
from twill.measure.timer import CudaTimer


def main(name: str, dtype: str, file: str) -> None:
    """Time every size of the work `name`; one that does not run is reported, and the others go on."""
    work, kind = work_named(name), {"fp16": torch.float16, "bf16": torch.bfloat16}[dtype]
    timer = CudaTimer()
    for sizes in work.large:
        try:
            entry = time_work(work, sizes, kind, timer, clocks_under_load, "cuda")
        except Exception as error:
            entry = {"sizes": dict(sizes), "contenders": [], "unavailable": [], "failure": reason(error)}
        with Path(file).open("a") as stream:
            stream.write(json.dumps(entry) + "\n")
        torch.cuda.synchronize()  # after an illegal access nothing runs any more: raises
        torch.cuda.empty_cache()


if __name__ == "__main__":
    main(*sys.argv[1:4])

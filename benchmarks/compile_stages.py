"""One process of the compile-time benchmark: a kernel compiled twice, each stage timed.

    python -m benchmarks.compile_stages NAME FILE    writes the samples as JSON to FILE

The first compilation is cold when the process is started with an empty Triton cache; the second is warm.
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.record import ROOT

STAGES = ("front end", "solve", "plan + print", "machine code", "emulate")

# The messages of `twill.compile` that open its stages; what comes before the first belongs to it too.
_OPENS = {
    "lowering": "front end", "solving": "solve", "writing": "plan + print", "compiling": "machine code",
}  # fmt: skip


@dataclass(frozen=True)
class Case:
    """A kernel as it is compiled: its file in kernels/, constexprs, and options of its example."""

    file: str
    constants: Mapping[str, object] = field(default_factory=dict)
    example: Mapping[str, object] = field(default_factory=dict)


CASES = {
    "attention_d128": Case("attention.py", {"D": 128, "CAUSAL": False}),
    "attention_d64_causal": Case("attention.py", {"D": 64, "CAUSAL": True}),
    "attention_dq": Case("attention_dq.py"),
    "matmul": Case("matmul.py"),
}


@dataclass(frozen=True)
class Sample:
    """One compilation: seconds of each stage, and what came out. failures: checks that did not hold."""

    seconds: Mapping[str, float]
    ii_cycles: int
    subtiles: int
    status: str
    failures: tuple[str, ...]


class Stopwatch:
    """Seconds between marks, summed by stage. The watch starts in the first of STAGES."""

    def __init__(self, clock: Any = time.perf_counter) -> None:
        self._clock = clock
        self._stage = STAGES[0]
        self._since = clock()
        self.seconds = dict.fromkeys(STAGES, 0.0)

    def enter(self, stage: str) -> None:
        """From now on the time is that of `stage`."""
        now = self._clock()
        self.seconds[self._stage] += now - self._since
        self._stage, self._since = stage, now

    def progress(self, message: str) -> None:
        """Enter the stage that a message of `twill.compile` opens; other messages change nothing."""
        stage = _OPENS.get(message.split(" ", 1)[0])
        if stage is not None:
            self.enter(stage)

    def stop(self) -> dict[str, float]:
        """The seconds by stage. Raises RuntimeError when one was never entered: the marks no longer fit."""
        self.enter(self._stage)
        missing = [stage for stage, seconds in self.seconds.items() if not seconds]
        if missing:
            raise RuntimeError(f"twill.compile no longer announces the stages {', '.join(missing)}")
        return self.seconds


def sample(case: Case) -> Sample:
    """Compile a kernel once, from its file to machine code, and time the stages."""
    from twill.compiler import compile
    from twill.ladder import emulation, judged

    watch = Stopwatch()
    compiled = compile(
        str(ROOT / "kernels" / case.file), constants=case.constants, example=case.example, tune=False,
        progress=watch.progress,
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        module, schedule_file, _ = compiled.save(folder)
        watch.enter("emulate")
        checks = [emulation(module, schedule_file, 1, lambda message: None)]
        seconds = watch.stop()
    if compiled.code is not None:
        checks.append(judged(compiled.code))
    schedule = compiled.schedule
    return Sample(
        seconds, schedule.ii, compiled.candidates[0].subtiles, schedule.status,
        tuple(f"{check.name}: {check.detail}" for check in checks if not check.passed),
    )  # fmt: skip


def measure(name: str) -> dict[str, Any]:
    """Both samples of a kernel; import seconds and peak memory of this process. Call it once a process."""
    began = time.perf_counter()
    import torch  # noqa: F401
    import triton  # noqa: F401
    from ortools.sat.python import cp_model  # noqa: F401

    import twill.compiler  # noqa: F401

    imports = time.perf_counter() - began
    cold = sample(CASES[name])
    # Linux counts in KiB. The children's figure says nothing: a child starts with its parent's maximum.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {
        "import_seconds": imports, "peak_bytes": peak,
        "cold": asdict(cold), "warm": asdict(sample(CASES[name])),
    }  # fmt: skip


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(json.dumps(measure(sys.argv[1])))

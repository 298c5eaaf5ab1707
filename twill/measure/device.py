"""Times a kernel in a process of its own: a hang or a crash costs that measurement and is reported."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from twill.errors import CheckFailed, Unsupported
from twill.measure.measurement import Measurement, read
from twill.processes import run

CHILD = (sys.executable, "-m", "twill.measure.child")


def measure_on_device(
    schedule: Path,
    example: Mapping[str, object],
    *,
    iterations: int,
    samples: int,
    seconds: float,
    child: Sequence[str] = CHILD,
    check_device: bool = True,
) -> Measurement:
    """The measurement of the kernel in a schedule file on this machine's GPU.

    child: the command that measures (tests give another). Raises Unsupported where there is no Hopper GPU, CheckFailed
    when the process fails or takes longer than `seconds`.
    """
    if check_device:
        from twill.calibrate.child import why_no_device

        reason = why_no_device("Timelines are")
        if reason:
            raise Unsupported(reason, hint="Give a measured file with --measured, or measure on a machine with one.")
    with tempfile.TemporaryDirectory() as folder:
        request, target = Path(folder, "request.json"), Path(folder, "measured.json")
        request.write_text(
            json.dumps(
                {
                    "schedule": str(schedule.resolve()),
                    "example": dict(example),
                    "iterations": iterations,
                    "samples": samples,
                }
            )
        )
        ended = run([*child, str(request), str(target)], seconds)
        if ended.code is None:
            message = f"timing did not end within {seconds:g} seconds and was stopped."
            raise CheckFailed(message, hint="Does the kernel hang? `make gpu` runs it.", location=str(schedule))
        if ended.code or not target.is_file():
            how = f"signal {-ended.code}" if ended.code < 0 else ended.how
            last = ended.last_line or "it said nothing"
            raise CheckFailed(f"timing ended with {how}: {last}", location=str(schedule))
        return read(target)

"""Times a kernel in a process of its own: a hang or a crash costs that measurement and is reported."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from twill.errors import CheckFailed, Unsupported
from twill.measure.measurement import Measurement, read

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
        request, target, words = Path(folder, "request.json"), Path(folder, "measured.json"), Path(folder, "words")
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
        with words.open("w") as stream:
            command = [*child, str(request), str(target)]
            # In the group of its parent: whoever kills that whole group frees the GPU too.
            running = subprocess.Popen(command, stdout=stream, stderr=stream)
            try:
                code = running.wait(seconds)
            except subprocess.TimeoutExpired:
                message = f"timing did not end within {seconds:g} seconds and was stopped."
                raise CheckFailed(
                    message, hint="Does the kernel hang? `make gpu` runs it.", location=str(schedule)
                ) from None
            finally:
                if running.poll() is None:
                    running.kill()
                    running.wait()
        if code or not target.is_file():
            lines = words.read_text(errors="replace").strip().splitlines()
            how = f"signal {-code}" if code < 0 else f"exit code {code}"
            last = lines[-1][:500] if lines else "it said nothing"
            raise CheckFailed(f"timing ended with {how}: {last}", location=str(schedule))
        return read(target)

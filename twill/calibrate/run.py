"""Runs the probes in a process of its own: one that crashes or hangs costs one reading, and is named."""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import IO, Any

from twill.calibrate.reading import Device, Reading
from twill.errors import Unsupported
from twill.processes import last_line

SECONDS_PER_PROBE = 90.0  # most of it is compilation
SECONDS_TO_START = 180.0
CHILD = (sys.executable, "-m", "twill.calibrate.child")


@dataclass
class Measured:
    """The device, what was read, and why the other probes have no reading."""

    device: Device
    readings: dict[str, Reading] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)


def measure(
    names: Sequence[str],
    tell: Callable[[str], None] = lambda message: None,
    child: Sequence[str] = CHILD,
    seconds_per_probe: float = SECONDS_PER_PROBE,
    *,
    seconds: float = inf,
) -> Measured:
    """Readings of the probes called `names`, on the first GPU of this machine.

    tell: called with one line before each probe. child: the command that runs probes (tests give another).
    seconds: for all of them; what was not reached by then counts as failed.
    Raises Unsupported where there is no Hopper GPU, Triton or PyTorch, or where no device answers at all.
    """
    measured: Measured | None = None
    left = list(names)
    end = time.monotonic() + seconds
    while left:
        if measured is not None and time.monotonic() >= end:
            measured.failures |= dict.fromkeys(left, f"not reached within {seconds:g} seconds")
            break
        with tempfile.TemporaryFile(mode="w+") as errors:
            with subprocess.Popen([*child, *left], stdout=subprocess.PIPE, stderr=errors, text=True) as running:
                try:
                    measured, current, why = _follow(running, measured, left, tell, seconds_per_probe, end)
                finally:
                    running.kill()
            if measured is None:
                raise Unsupported(f"the device could not be opened: {why or _last_words(errors)}.")
            if left:
                measured.failures[current or left[0]] = why or _last_words(errors)
                left.remove(current or left[0])
    assert measured is not None
    return measured


def _follow(
    running: subprocess.Popen[str],
    measured: Measured | None,
    left: list[str],
    tell: Callable[[str], None],
    seconds_per_probe: float,
    end: float,
) -> tuple[Measured | None, str, str]:
    """Reads the child's lines until it ends or is silent for too long: what is known, its last probe, why it stopped.

    Finished probes leave `left`. end: of the time for all of them, on the monotonic clock.
    """
    lines: queue.Queue[str] = queue.Queue()
    assert running.stdout is not None
    threading.Thread(target=_pass_on, args=(running.stdout, lines), daemon=True).start()
    current = ""
    while True:
        limit = max(0.0, min(seconds_per_probe if current else SECONDS_TO_START, end - time.monotonic()))
        try:
            line = lines.get(timeout=limit)
        except queue.Empty:
            return measured, current, f"no answer in {limit:.0f} seconds"
        if not line:
            return measured, current, ""
        message = _message(line)
        if "unsupported" in message:
            raise Unsupported(message["unsupported"])
        if "device" in message:
            measured = measured or Measured(Device(**message["device"]))
        elif "reading" in message:
            assert measured is not None
            measured.readings[message["probe"]] = Reading(**message["reading"])
            left.remove(message["probe"])
            current = ""
        elif "probe" in message:
            current = message["probe"]
            tell(f"measuring {current}")


def _message(line: str) -> dict[str, Any]:
    """The child's message; {} for what some library printed in between."""
    try:
        found = json.loads(line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _pass_on(stream: IO[str], lines: queue.Queue[str]) -> None:
    for line in stream:
        lines.put(line)
    lines.put("")


def _last_words(errors: IO[str]) -> str:
    errors.seek(0)
    return last_line(errors.read()) or "it ended without a word"

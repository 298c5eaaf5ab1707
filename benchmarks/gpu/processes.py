"""One kernel in processes of its own: what they reported, and how they ended."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.record import ROOT
from twill.processes import run, signal_name


def run_kernel(name: str, check_seconds: float, timing_seconds: float | None) -> dict[str, Any]:
    """Checks and times of a variant, as data.

    The limits are of one process each; without a limit for the timing there is none. A kernel whose
    process hung or crashed is not timed. `passed`: every shape was judged and held.
    """
    entries, failure = run_process([sys.executable, "-m", "benchmarks.gpu.child", "check", name], check_seconds)
    result = {
        **dict(*entries[:1]),
        "passed": not failure and len(entries) > 1 and not any(entry["failure"] for entry in entries[1:]),
        "failure": failure,
        "checks": entries[1:],
        "timings": [],
        "timing_failure": "",
    }
    return result if timing_seconds is None or failure else timed(name, result, timing_seconds)


def timed(name: str, result: dict[str, Any], seconds: float) -> dict[str, Any]:
    """The result of a variant with its times."""
    entries, failure = run_process([sys.executable, "-m", "benchmarks.gpu.child", "time", name], seconds)
    return {**result, "timings": entries[1:], "timing_failure": failure}


def run_process(command: Sequence[str], timeout_seconds: float) -> tuple[list[dict[str, Any]], str]:
    """The objects a child process reported to the file that is its last argument, and how it failed ("" if it did not).

    A child that takes too long is killed with all its own children.
    """
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report")
        failure = run_command([*command, str(report)], timeout_seconds)
        return _entries(report), failure


def run_command(command: Sequence[str], timeout_seconds: float) -> str:
    """How a command failed, with the last line it wrote; "" when it did not.

    One that takes too long is killed with all its own children.
    """
    ended = run(command, timeout_seconds, ROOT, own_group=True)
    if ended.code is None:
        return f"did not end within {timeout_seconds:g} s"
    if ended.code == 0:
        return ""
    how = f"ended by {signal_name(-ended.code)}" if ended.code < 0 else f"ended with {ended.how}"
    return f"{how}: {ended.last_line}" if ended.last_line else how


def _entries(report: Path) -> list[dict[str, Any]]:
    """The whole lines of a report; a last one that was cut off is left out."""
    if not report.is_file():
        return []
    return [json.loads(line) for line in report.read_text().splitlines(keepends=True) if line.endswith("\n")]

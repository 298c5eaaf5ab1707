"""Result files: what was measured, and everything one must know to measure it again."""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from rich.console import Console

from twill import __version__
from twill.schedule.document import write_text

ROOT = Path(__file__).resolve().parents[1]
RESULTS = Path(__file__).resolve().parent / "results"
FORMAT = "twill-benchmark/1"

_GPU_FIELDS = ("name", "driver_version", "clocks.sm", "clocks.max.sm", "clocks.mem", "clocks.max.mem", "power.limit")


def provenance() -> dict[str, Any]:
    """Device, versions, commit and date of a measurement taken now on this machine.

    `gpu` is None where nvidia-smi is missing, a version None where the package is, `commit` None
    outside a git checkout. `dirty`: files other than results differ from the commit.
    """
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpu": cpu_model(),
        "cpu_count": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "gpu": query_gpu(_GPU_FIELDS),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": {
            "twill": __version__,
            **{package: _version(package) for package in ("torch", "triton", "ortools", "z3-solver", "numpy")},
        },
        **_commit(),
    }


def console() -> Console:
    """Where the tables go: wide enough for them where the output is no terminal."""
    terminal = Console()
    return terminal if terminal.is_terminal else Console(width=160)


def write(name: str, results: Any, path: Path | None = None, facts: Mapping[str, Any] | None = None) -> Path:
    """Write `results` with the provenance to `path`, whole or not at all; returns the path.

    name: of the benchmark, also of the file in benchmarks/results when `path` is None. facts: more
    provenance. Raises InputError when the place cannot be written.
    """
    target = path or RESULTS / f"{name}.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    write_text(target, json.dumps(document(name, results, facts), indent=1) + "\n")
    return target


def document(name: str, results: Any, facts: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What a result file holds: results and provenance."""
    return {
        "format": FORMAT,
        "benchmark": name,
        "provenance": {**provenance(), **(facts or {})},
        "results": results,
    }


def slug(text: str) -> str:
    """`text` as part of a file name: lower case, other characters than letters and digits as one `-`."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def cpu_model() -> str:
    """The processor's name, as the system tells it."""
    try:
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        found = None
    return found.group(1).strip() if found else platform.processor() or platform.machine()


def query_gpu(fields: Sequence[str]) -> dict[str, str | float] | None:
    """Fields of the first GPU as nvidia-smi names them (clocks in MHz, power in W), None without nvidia-smi."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return None
    command = [program, "--id=0", f"--query-gpu={','.join(fields)}", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    if done.returncode or not done.stdout.strip():
        return None
    return parse_gpu(fields, done.stdout)


def parse_gpu(fields: Sequence[str], text: str) -> dict[str, str | float]:
    """The first line of nvidia-smi's answer by field; numbers as numbers."""
    values = [value.strip() for value in text.splitlines()[0].split(",")]
    number = re.compile(r"-?\d+(\.\d+)?")
    return {
        field: float(value) if field != "driver_version" and number.fullmatch(value) else value
        for field, value in zip(fields, values, strict=True)
    }


def _version(package: str) -> str | None:
    """The installed version, without importing the package."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _commit() -> dict[str, str | bool | None]:
    commit = _git("rev-parse", "HEAD")
    changes = _git("status", "--porcelain", "--", ".", ":!benchmarks/results") if commit else None
    return {"commit": commit, "dirty": None if changes is None else bool(changes)}


def _git(*arguments: str) -> str | None:
    """What git prints about the checkout, None when there is no git or no checkout."""
    try:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None

"""Launches and times a kernel on the first GPU of this process, by CUDA events, with a cold L2 cache."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable, Mapping
from math import ceil
from pathlib import Path
from typing import Any

DEVICE = "cuda"
REPEATS = 30
_FLUSHED_BYTES = 1 << 28  # five times the L2 cache of an H100
_FLUSH_SECONDS = 5e-5  # to write them takes longer, at the 4.8 TB/s of the fastest Hopper


def timed(module: Path, entry: str, arguments: Mapping[str, Any], inspect: Callable[[], None]) -> list[float]:
    """Seconds of repeated launches, after one whose outputs `inspect` judges."""
    import torch

    launcher = imported(module, entry)

    def call() -> None:
        launcher(**arguments)

    call()
    torch.cuda.synchronize()
    inspect()
    flushed = torch.empty(_FLUSHED_BYTES, dtype=torch.uint8, device="cuda")
    flushes = min(50, 2 + ceil(2 * _enqueue_seconds(call) / _FLUSH_SECONDS))
    samples = []
    for _ in range(REPEATS):
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        # Overwritten until the CPU has enqueued the launch: the time between the events is the GPU's.
        for _ in range(flushes):
            flushed.zero_()
        start.record()
        call()
        end.record()
        torch.cuda.synchronize()
        samples.append(float(start.elapsed_time(end)) / 1e3)
    return samples


def imported(module: Path, entry: str) -> Callable[..., Any]:
    """The launcher of an emitted module."""
    spec = importlib.util.spec_from_file_location(module.stem, module)
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    launcher: Callable[..., Any] = getattr(made, entry)
    return launcher


def device() -> dict[str, Any]:
    """Name of the GPU, and version of its driver."""
    import torch

    from twill.calibrate.child import driver

    version, clock = driver()
    return {"name": torch.cuda.get_device_name(), "driver": version, "clock_limit_mhz": clock}


def name_here() -> str:
    """The GPU of this process, "" without one."""
    try:
        import torch
    except ImportError:
        return ""
    return str(torch.cuda.get_device_name()) if torch.cuda.is_available() else ""


def _enqueue_seconds(call: Callable[[], None]) -> float:
    """Of the CPU for one launch, once warm."""
    import torch

    call()
    torch.cuda.synchronize()
    began = time.perf_counter()
    call()
    taken = time.perf_counter() - began
    torch.cuda.synchronize()
    return taken

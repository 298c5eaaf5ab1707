"""Launches and times a kernel on the first GPU of this process, by CUDA events, with a cold L2 cache."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

DEVICE = "cuda"
REPEATS = 30


def timed(module: Path, entry: str, arguments: Mapping[str, Any], inspect: Callable[[], None]) -> list[float]:
    """Seconds of repeated launches, after one whose outputs `inspect` judges."""
    import torch

    from twill.codegen.imported import imported
    from twill.measure.timer import CudaTimer

    launcher = getattr(imported(module), entry)
    launcher(**arguments)
    torch.cuda.synchronize()
    inspect()
    return CudaTimer().samples(lambda: launcher(**arguments), REPEATS)


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

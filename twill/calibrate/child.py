"""Runs the named probes on this machine's GPU and prints one line of JSON for each.

    python -m twill.calibrate.child PROBE ...

The first line describes the device, or says why there is none to measure.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from twill.calibrate.reading import Device, Reading

REPEATS = 9


def main(names: Sequence[str]) -> None:
    """Measure the probes called `names`, in that order."""
    reason = why_no_device()
    if reason:
        _tell({"unsupported": reason})
        return
    from twill.calibrate.probes import probes

    device = _device()
    _tell({"device": asdict(device)})
    known = {probe.name: probe for probe in probes()}
    for name in names:
        _tell({"probe": name})
        _tell({"probe": name, "reading": asdict(_measure(known[name], device.sm_count))})


def why_no_device(what: str = "Calibration is") -> str:
    """Why nothing can be measured here, in a sentence; "" when it can. what: is or are measured, with its verb."""
    try:
        import torch
        import triton  # noqa: F401
    except ImportError as error:
        return f"{what} measured with PyTorch and Triton, and this Python has no `{error.name}`."
    if not torch.cuda.is_available():
        subject = what[0].lower() + what[1:]
        return f"There is no CUDA device here: {subject} measured on a Hopper GPU, and nothing was measured."
    capability = torch.cuda.get_device_capability()
    if capability != (9, 0):
        found = f"{torch.cuda.get_device_name()} (sm_{capability[0]}{capability[1]})"
        return f"{what} measured on a Hopper GPU (sm_90), and this one is {found}: nothing was measured."
    return ""


def reading(rows: Callable[[int], Sequence[Sequence[int]]], trips: tuple[int, int], repeats: int = REPEATS) -> Reading:
    """Per iteration, from `rows(n)`: one row [cycles, issue, completion, ns] a program of a launch of n iterations.

    Each launch counts as the mean over its programs; of the repeats the median is taken.
    """
    short, long = trips
    for n in trips:
        rows(n)  # compiles, and warms the caches and the clock
    runs = []
    for _ in range(repeats):
        low, high = (_mean(rows(n)) for n in trips)
        runs.append([(after - before) / (long - short) for before, after in zip(low, high, strict=True)])
    cycles, issue, completion, ns = (statistics.median(column) for column in zip(*runs, strict=True))
    first = [run[0] for run in runs]
    spread = (max(first) - min(first)) / cycles if cycles > 0 else float("inf")
    return Reading(cycles, issue, completion, ns, spread)


def _mean(rows: Sequence[Sequence[int]]) -> list[float]:
    return [statistics.fmean(column) for column in zip(*rows, strict=True)]


def _measure(probe: Any, sm_count: int) -> Reading:
    import torch

    from twill.calibrate.clock import COLUMNS

    programs = sm_count if probe.every_sm else 1
    out = torch.zeros((programs, COLUMNS), dtype=torch.int64, device="cuda")
    arguments = [out]
    if probe.sink:
        kinds = {"fp32": torch.float32, "i32": torch.int32, "fp64": torch.float64}
        arguments.append(torch.ones(probe.sink, dtype=kinds[probe.sink_type], device="cuda"))
    if probe.tile:
        arguments.append(_descriptor(probe, programs))

    def rows(n: int) -> Sequence[Sequence[int]]:
        probe.kernel[(programs,)](*arguments, n, **probe.constants, num_warps=probe.warps)
        torch.cuda.synchronize()
        return out.tolist()

    return reading(rows, probe.trips)


def _descriptor(probe: Any, programs: int) -> Any:
    import torch
    from triton.experimental.gluon import language as gl
    from triton.experimental.gluon.nvidia.hopper import TensorDescriptor

    rows, columns = probe.tile
    data = torch.zeros((programs * probe.tiles * rows, columns), dtype=torch.float16, device="cuda")
    layout = gl.NVMMASharedLayout.get_default_for([rows, columns], gl.float16)
    return TensorDescriptor(data, list(data.shape), list(data.stride()), [rows, columns], layout)


def _device() -> Device:
    import torch
    import triton

    properties = torch.cuda.get_device_properties(0)
    version, clock = driver()
    return Device(
        name=properties.name,
        sm_count=properties.multi_processor_count,
        clock_limit_mhz=clock,
        driver=version,
        torch=torch.__version__,
        triton=triton.__version__,
        date=datetime.now(UTC).strftime("%Y-%m-%d"),
    )


def driver() -> tuple[str, int]:
    """Version of the driver and the highest SM clock in MHz, as nvidia-smi states them; "unknown" and 0 without it."""
    query = ["nvidia-smi", "--query-gpu=driver_version,clocks.max.sm", "--format=csv,noheader,nounits", "--id=0"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, check=True, timeout=30)
        version, clock = done.stdout.strip().split(", ")
        return version, int(clock)
    except (OSError, subprocess.SubprocessError, ValueError):
        return "unknown", 0


def _tell(message: Any) -> None:
    print(json.dumps(message), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])

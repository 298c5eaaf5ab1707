"""One launch shape timed side by side: all contenders in turn, in one process, on one device."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from benchmarks.gpu import cases
from benchmarks.gpu.contenders import GENERATED, Contender, Unavailable, contenders
from benchmarks.record import parse_gpu
from benchmarks.samples import summarize
from twill.measure.timer import Call, Timer

ROUNDS = 5
REPEATS = 20  # samples of each contender a round
_CLOCK_FIELDS = ("clocks.sm", "power.draw", "temperature.gpu")

Clocks = Callable[[Call], Mapping[str, Any] | None]


def time_shape(kernel: cases.Kernel, sizes: cases.Sizes, timer: Timer, clocks: Clocks, device: str) -> dict[str, Any]:
    """Times of one shape, as data: seconds, TFLOP/s, clocks under load and share of peak of each contender.

    The contenders take turns, so that all of them meet the same temperatures and clocks. `ratio` is
    the generated kernel's TFLOP/s divided by the contender's: above 1 the generated kernel is faster.
    """
    arguments = cases.timed_arguments(kernel, sizes, device)
    present = contenders(kernel, arguments, timer)
    running = [one for one in present if isinstance(one, Contender)]
    seconds: dict[str, list[float]] = {one.name: [] for one in running}
    for _ in range(ROUNDS):
        for one in running:
            seconds[one.name] += timer.samples(one.call, REPEATS)
    rows = [_row(one, seconds[one.name], clocks(one.call), timer.host_seconds(one.call)) for one in running]
    own = next(row["tflops"] for row in rows if row["name"] == GENERATED)
    rows = [{**row, "ratio": own / row["tflops"]} for row in rows]
    absent = [asdict(one) for one in present if isinstance(one, Unavailable)]
    return {"sizes": dict(sizes), "contenders": rows, "unavailable": absent}


def _row(contender: Contender, seconds: list[float], clocks: Mapping[str, Any] | None, host: float) -> dict[str, Any]:
    summary = summarize(seconds)
    tflops = contender.flops / summary.median / 1e12
    peak = peak_tflops(clocks)
    return {
        "name": contender.name, "note": contender.note, "seconds": asdict(summary), "flops": contender.flops,
        "tflops": tflops, "clocks": clocks, "share_of_peak": tflops / peak if peak else None, "enqueue_seconds": host,
    }  # fmt: skip


def peak_tflops(clocks: Mapping[str, Any] | None) -> float | None:
    """Dense 16-bit TFLOP/s of the device's tensor cores at the clock that was measured, None without one.

    FLOP per cycle and SM come from the machine file, the number of SMs from the device.
    """
    if clocks is None or not isinstance(clocks.get("clocks.sm"), float) or "sm_count" not in clocks:
        return None
    from twill.machine import load

    return float(load("hopper").count("mma_16bit") * clocks["sm_count"] * clocks["clocks.sm"] / 1e6)


def clocks_under_load(call: Call) -> Mapping[str, Any] | None:
    """Clock (MHz), power (W) and temperature while the device does nothing but `call`; None without nvidia-smi."""
    import torch

    began = time.perf_counter()
    while time.perf_counter() - began < 0.2:
        _burst(call)
    properties = torch.cuda.get_device_properties(torch.cuda.current_device())
    uuid = getattr(properties, "uuid", None)
    device = "0" if uuid is None else f"GPU-{str(uuid).removeprefix('GPU-')}"
    fields = ",".join(_CLOCK_FIELDS)
    command = ["nvidia-smi", f"--id={device}", f"--query-gpu={fields}", "--format=csv,noheader,nounits"]
    try:
        asked = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    except OSError:
        return None
    while asked.poll() is None and time.perf_counter() - began < 20:
        _burst(call)
    if asked.poll() is None:
        asked.kill()
    text, _ = asked.communicate()
    if asked.returncode or not text.strip():
        return None
    return {**parse_gpu(_CLOCK_FIELDS, text), "sm_count": properties.multi_processor_count}


def _burst(call: Call) -> None:
    """Some calls with the device never idle between them, then a wait so that the queue stays short."""
    import torch

    for _ in range(10):
        call()
    torch.cuda.synchronize()

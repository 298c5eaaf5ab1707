"""Seconds of GPU work, by CUDA events."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Protocol

Call = Callable[[], object]


class Timer(Protocol):
    """Takes samples of the seconds that a call's work takes."""

    def samples(self, call: Call, count: int) -> list[float]: ...

    def host_seconds(self, call: Call) -> float: ...


class CudaTimer:
    """Times calls on the current stream, each with a cold L2 cache.

    Before every sample a buffer of twice the L2's size is overwritten, as often as it takes for the
    CPU to enqueue the call meanwhile: the time between the events is then the GPU's, not the CPU's.
    """

    def __init__(self) -> None:
        import torch

        l2_bytes = torch.cuda.get_device_properties(torch.cuda.current_device()).L2_cache_size
        self._flushed = torch.empty(2 * max(l2_bytes, 1 << 25), dtype=torch.uint8, device="cuda")
        self._flushed.zero_()
        torch.cuda.synchronize()
        self._flush_seconds = self._elapsed(self._flushed.zero_, 20) / 20

    def _elapsed(self, call: Call, repeats: int) -> float:
        import torch

        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        for _ in range(repeats):
            call()
        end.record()
        torch.cuda.synchronize()
        return float(start.elapsed_time(end)) / 1e3

    def host_seconds(self, call: Call) -> float:
        """Seconds the CPU takes to enqueue a call: the slowest of several, the first one not counted."""
        import torch

        call()
        torch.cuda.synchronize()
        slowest = 0.0
        for _ in range(20):
            began = time.perf_counter()
            call()
            slowest = max(slowest, time.perf_counter() - began)
        torch.cuda.synchronize()
        return slowest

    def samples(self, call: Call, count: int) -> list[float]:
        """Seconds of `count` calls, each after a flush; three more calls warm up."""
        import torch

        # A full launch queue would make the CPU wait in the measurement below; 20 calls do not fill it.
        flushes = 1 + math.ceil(2 * self.host_seconds(call) / self._flush_seconds)
        flushes = min(flushes, 50)
        for _ in range(3):
            call()
        events = [[torch.cuda.Event(enable_timing=True) for _ in range(2)] for _ in range(count)]
        for start, end in events:
            for _ in range(flushes):
                self._flushed.zero_()
            start.record()
            call()
            end.record()
        torch.cuda.synchronize()
        return [float(start.elapsed_time(end)) / 1e3 for start, end in events]

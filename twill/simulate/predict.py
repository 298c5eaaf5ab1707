"""The predicted time of a launch: programs on SMs in waves, held against the bandwidth of L2 and device memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heapreplace
from typing import Any

from twill.frontend.launch import Launch
from twill.ir.graph import Graph
from twill.machine import Machine
from twill.schedule.critical import critical_cycle
from twill.schedule.loads import unit_loads
from twill.simulate.measure import Simulation
from twill.simulate.traffic import Tensor, traffic

_RATES = {"f16": "mma_16bit", "bf16": "mma_16bit", "f32": "mma_tf32"}
_FULL = 0.97  # of the interval: a unit so busy sets it


@dataclass(frozen=True)
class Prediction:
    """What the model says of one launch. Modelled, not measured.

    programs: of the grid. blocks: how many of them an SM runs at once. waves: how often all SMs are filled.
    seconds: the largest of sm_seconds (the SMs' own time), l2_seconds and hbm_seconds (bytes over bandwidth).
    peak_tflops: dense, of the dots' type, at the machine file's clock_mhz; vendor_tflops: the same at the clock of the
    vendor's figure; both 0 without dots. roofline_tflops: the least of the peak and what device memory feeds.
    steady_tflops: of a launch with every SM in the steady state of its loop. limit: what limits, in words.
    """

    programs: int
    blocks: int
    waves: int
    iterations: int
    seconds: float
    sm_seconds: float
    l2_seconds: float
    hbm_seconds: float
    flop: int
    l2_bytes: int
    hbm_bytes: int
    tensors: tuple[Tensor, ...]
    peak_tflops: float
    vendor_tflops: float
    roofline_tflops: float
    steady_tflops: float
    clock_mhz: float
    full: bool
    limit: str

    @property
    def tflops(self) -> float:
        return self.flop / self.seconds / 1e12

    @property
    def share_of_peak(self) -> float:
        """Of the dense peak; 0 without dots."""
        return self.tflops / self.peak_tflops if self.peak_tflops else 0.0

    @property
    def steady_share_of_peak(self) -> float:
        """Of the dense peak, with every SM in the steady state; 0 without dots."""
        return self.steady_tflops / self.peak_tflops if self.peak_tflops else 0.0

    def json(self) -> dict[str, Any]:
        """The prediction as one JSON object."""
        return {
            "modelled": True,
            "programs": self.programs, "blocks_per_sm": self.blocks, "waves": self.waves,
            "iterations": self.iterations,
            "microseconds": round(self.seconds * 1e6, 3),
            "sm_microseconds": round(self.sm_seconds * 1e6, 3),
            "l2_microseconds": round(self.l2_seconds * 1e6, 3),
            "hbm_microseconds": round(self.hbm_seconds * 1e6, 3),
            "flop": self.flop, "l2_bytes": self.l2_bytes, "hbm_bytes": self.hbm_bytes,
            "tensors": {
                each.name: {
                    "loaded_bytes": each.loaded_bytes, "stored_bytes": each.stored_bytes, "bytes": each.own_bytes,
                    "times_read": round(each.times_read, 3),
                } for each in self.tensors
            },
            "tflops": round(self.tflops, 2),
            "clock_mhz": self.clock_mhz,
            "peak_tflops": round(self.peak_tflops, 2),
            "vendor_tflops": round(self.vendor_tflops, 2),
            "roofline_tflops": round(self.roofline_tflops, 2),
            "share_of_peak": round(self.share_of_peak, 4),
            "steady_tflops": round(self.steady_tflops, 2),
            "steady_share_of_peak": round(self.steady_share_of_peak, 4),
            "limit": self.limit,
        }  # fmt: skip


def predict(simulation: Simulation, graph: Graph, launch: Launch, machine: Machine) -> Prediction:
    """The time of `launch` when each program runs as simulated.

    Without a kernel, a program also takes the latency and the bytes of its loads before the loop and of its stores
    after it, and no arithmetic outside the loop. The launch itself is not modelled. Raises as `traffic`.
    """
    work = traffic(graph, launch)
    sms, hertz = machine.count("sm_count"), machine.number("clock_mhz") * 1e6
    blocks = min(simulation.blocks, -(-work.programs // sms))
    outside = 0.0
    if simulation.kernel is None:
        outside = _outside_cycles(machine, work.load_bytes, work.store_bytes)
    cycles = {tiles: simulation.tiles_cycles(tiles, blocks) + len(tiles) * outside for tiles in set(work.tiles)}
    tail = work.programs % (sms * blocks)
    fewer = -(-tail // sms)
    ending = work.tiles[work.programs - tail :]
    last = {tiles: simulation.tiles_cycles(tiles, fewer) + len(tiles) * outside for tiles in set(ending)}
    times_on_sm = [cycles[tiles] for tiles in work.tiles[: work.programs - tail]] + [last[tiles] for tiles in ending]
    busy = _makespan(times_on_sm, sms * blocks)
    waves = -(-work.programs // (sms * blocks))
    hbm_bytes = work.hbm_bytes(sms * blocks, machine.count("l2_bytes"))
    bandwidth = machine.number("hbm_bandwidth") * 1e9
    times = {
        "sm": busy / hertz,
        "l2": work.l2_bytes / (machine.number("tma_bandwidth") * sms * hertz),
        "hbm": hbm_bytes / bandwidth,
    }
    seconds = max(max(times.values()), 1 / hertz)
    rate = _RATES.get(work.operand, "mma_8bit" if work.operand.startswith("f8") or work.operand == "i8" else "")
    peak = machine.number(rate) * sms * hertz / 1e12 if work.flop and rate else 0.0
    vendor = peak * machine.number("peak_clock_mhz") / machine.number("clock_mhz")
    roofline = min(peak, work.flop / hbm_bytes * bandwidth / 1e12) if hbm_bytes else peak
    steady = work.loop_flop / simulation.sm_ii * sms * hertz / 1e12 if simulation.ii else 0.0
    slowest = max(times, key=lambda name: times[name])
    if slowest == "sm":
        shared = sum(times_on_sm) / (busy * sms * blocks) if busy else 1.0
        loop = sum(work.trips) * simulation.ii / max(1.0, sum(times_on_sm)) if blocks == simulation.blocks else 1.0
        limit = _sm_limit(simulation, work.programs, sms, shared, loop)
    else:
        name = "the bandwidth of device memory" if slowest == "hbm" else "the bandwidth of the L2 cache"
        limit = f"{name}: {times[slowest] * 1e6:.1f} us for its bytes, {times['sm'] * 1e6:.1f} us for the SMs"
    return Prediction(
        work.programs, blocks, waves, sum(work.trips), seconds, times["sm"], times["l2"], times["hbm"], work.flop,
        work.l2_bytes, hbm_bytes, work.tensors, peak, vendor, roofline, steady, machine.number("clock_mhz"),
        work.programs >= sms, limit,
    )  # fmt: skip


def _outside_cycles(machine: Machine, load_bytes: int, store_bytes: int) -> float:
    """Of the loads before a program's loop and the stores after it: a latency, and their bytes."""
    load = machine.number("tma_latency") + load_bytes / machine.number("tma_bandwidth") if load_bytes else 0.0
    per_kib = machine.number("tma_store_per_kib")
    store = machine.number("tma_store_latency") + per_kib * store_bytes / 1024 if store_bytes else 0.0
    return load + store


def _makespan(cycles: Sequence[float], places: int) -> float:
    """Cycles until all programs are done, each given in order to the place on an SM that is free first."""
    free = [0.0] * min(places, len(cycles))
    for each in cycles:
        heapreplace(free, free[0] + each)
    return max(free)


def _sm_limit(simulation: Simulation, programs: int, sms: int, shared: float, loop: float) -> str:
    """Why the SMs take as long as they do; the largest loss first."""
    if programs < sms:
        return f"too few programs: {programs} of {sms} SMs have one; in each, {_loop_limit(simulation)}"
    if shared < 0.75:
        return f"the last wave: SMs have a program for {shared:.0%} of the time"
    if loop < 0.6:
        what = "filling and draining the pipeline"
        what += ", and what is before and after the loop" if simulation.kernel is not None else ""
        return f"{what}: the steady interval accounts for {loop:.0%} of a program's time"
    return _loop_limit(simulation)


def _loop_limit(simulation: Simulation) -> str:
    """What sets the simulated interval: late loads, a full unit, or a recurrence."""
    schedule = simulation.schedule
    longer = simulation.sm_ii / schedule.ii - 1
    if longer > 0.02 and simulation.late and simulation.late[0].cycles > (simulation.sm_ii - schedule.ii) / 2:
        late = simulation.late[0]
        return f"waits for late loads make the interval {longer:.0%} longer, most before {late.op} for {late.cause}"
    unit, share = max(simulation.utilization.items(), key=lambda each: each[1])
    if share >= _FULL:
        return f"unit {unit}, busy for {share:.0%} of the interval"
    if longer > 0.02 and simulation.kernel is not None and simulation.stalls:
        return f"waits of the emitted kernel make the interval {longer:.0%} longer, {_worst(simulation)}"
    cycle = critical_cycle(schedule.problem)
    if cycle is not None and cycle.rec_mii >= _FULL * schedule.ii:
        return f"the recurrence through {', '.join(cycle.ops)}"
    load = unit_loads(schedule.problem)[0]
    return f"the loop's interval of {schedule.ii} cycles, of which unit {load.unit} is busy for {share:.0%}"


def _worst(simulation: Simulation) -> str:
    """The longest wait of a group that computes."""
    groups = simulation.schedule.groups
    computing = [stall for stall in simulation.stalls if not groups[stall.group].producer]
    worst = (computing or simulation.stalls)[0]
    return f"most before {worst.op} for {worst.cause}"

"""Facts of a machine file from readings, each judged: what cannot be is reported and not written."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite

from twill.calibrate.reading import Device, Reading
from twill.machine.machine import QUANTITIES

NOISY = 0.2  # a spread beyond this fifth says that something else ran, or that the clock changed

RATE_RESULTS = 16 * 8 * 32 * 4  # values a thread, warps, threads, instructions a value: see `probes`
LATENCY_CHAIN = 32
BARRIERS_AN_ITERATION = 8
WGMMA_WIDTHS = (64, 128, 256)  # N of a product [64, K] x [K, N]
WGMMA_DEPTHS = (64, 128, 256)  # K in 16-bit values
RATE_DEPTHS = {"mma_16bit": 128, "mma_8bit": 256, "mma_tf32": 64}
TMA_KIB = (2, 4, 8, 16, 32)
HOP_KIB = (4, 8, 16, 32)
STREAM_KIB = 16
SOFTMAX_ELEMENTS = 128 * 128

Read = Callable[[str], Reading]


class Missing(LookupError):
    """A fact needs a probe that has no usable reading."""


@dataclass(frozen=True)
class Bound:
    """What a number may be, and why."""

    low: float
    high: float
    reason: str


@dataclass(frozen=True)
class Finding:
    """One fact: its value, or why there is none.

    problem: "" when the value may be written. probes: names of the readings it comes from.
    """

    name: str
    value: float | None
    unit: str
    probes: tuple[str, ...]
    problem: str = ""


BOUNDS: dict[str, Bound] = {
    "sm_count": Bound(66, 144, "the full GH100 die has 144 SMs, and no product enables less than half"),
    "clock_mhz": Bound(600, 2100, "Hopper boosts to at most 1980 MHz and does not run dense MMA below 600"),
    "float_rate": Bound(100, 129, "4 schedulers issue at most one instruction for 32 threads a cycle: 128"),
    "half_rate": Bound(100, 257, "two results an instruction, at most 128 instructions a cycle"),
    "double_rate": Bound(30, 65, "64 fp64 units in an SM"),
    "compare_rate": Bound(30, 129, "half the fp32 rate is documented, and 128 is the most that issues"),
    "convert_rate": Bound(12, 129, "16 to 64 are documented by type, and 128 is the most that issues"),
    "narrow_rate": Bound(30, 257, "two results an instruction, at most 128 instructions a cycle"),
    "mufu_rate": Bound(14, 17, "16 a cycle are documented; 32 would be a later architecture"),
    "shuffle_rate": Bound(14, 33, "32 a cycle are documented"),
    "alu_latency": Bound(3, 8, "dissections give 4 to 6 cycles"),
    "mufu_latency": Bound(12, 60, "longer than an fp32 instruction, shorter than a trip to shared memory and back"),
    "shuffle_latency": Bound(12, 50, "a trip through the shared-memory crossbar: about its latency of 29"),
    "named_barrier": Bound(8, 120, "more than an issue, less than a signal over memory and back"),
    "mma_16bit": Bound(3300, 4200, "4096 is the documented peak, of which large products reach at least 80%"),
    "mma_8bit": Bound(6600, 8400, "twice the 16-bit rate"),
    "mma_tf32": Bound(1650, 2100, "half the 16-bit rate"),
    "mma_issue": Bound(4, 130, "a fence, 8 instructions and a commit, each at least half a cycle and at most 16"),
    "mma_pipeline": Bound(10, 200, "some dozens of cycles of fill and wait; more would show a second product"),
    "tma_issue": Bound(2, 200, "one instruction and the address arithmetic before it"),
    "tma_latency": Bound(300, 1500, "longer than an L2 hit of 258 cycles, shorter than three trips to memory"),
    "tma_bandwidth": Bound(16, 128, "shared memory takes 128 B a cycle; 3942 B a cycle from the L2 over all SMs is 30"),
    "tma_store_latency": Bound(20, 1200, "at least reads shared memory (29 cycles), at most waits for global memory"),
    "tma_store_per_kib": Bound(4, 200, "8 cycles at the shared-memory rate of 128 B a cycle"),
    "signal_hop": Bound(15, 400, "more than half an access to shared memory, less than an L2 hit"),
    "value_hop": Bound(30, 600, "a write, a signal and a read of shared memory, 29 cycles each"),
    "value_hop_per_kib": Bound(8, 80, "written and read once each at 128 B a cycle is 16; conflicts cost more"),
    "tile_drain": Bound(0, 120, "a scoreboard wait and some loop instructions"),
}


def derive(readings: Mapping[str, Reading], device: Device) -> tuple[Finding, ...]:
    """One finding for each fact that the probes measure, in the order of BOUNDS."""
    found: dict[str, Finding] = {}
    for name in BOUNDS:
        used: list[str] = []

        def read(probe: str, used: list[str] = used) -> Reading:
            used.append(probe)
            if probe not in readings:
                raise Missing(f"`{probe}` was not measured")
            spread = readings[probe].spread
            if not isfinite(spread):
                raise Missing(f"`{probe}` took no more time for more iterations")
            if spread > NOISY:
                raise Missing(f"`{probe}` is noisy: its repeats differ by {spread:.0%} (at most {NOISY:.0%})")
            return readings[probe]

        try:
            value = _value(name, read, device, found)
        except Missing as error:
            found[name] = Finding(name, None, QUANTITIES[name].unit, tuple(used), str(error))
            continue
        rounded = float(round(value)) if QUANTITIES[name].integer else float(f"{value:.4g}")
        found[name] = Finding(name, rounded, QUANTITIES[name].unit, tuple(used), _implausible(name, value))
    return tuple(found.values())


def _implausible(name: str, value: float) -> str:
    bound = BOUNDS[name]
    if bound.low <= value <= bound.high:
        return ""
    unit = QUANTITIES[name].unit
    return f"{value:.4g} {unit} is not between {bound.low:g} and {bound.high:g}: {bound.reason}"


def _value(name: str, read: Read, device: Device, found: Mapping[str, Finding]) -> float:
    """The fact, before rounding. Raises Missing."""
    if name == "sm_count":
        return float(device.sm_count)
    if name == "clock_mhz":
        busy = read("wgmma_rate_16bit")
        return 1000 * _over(busy.cycles, busy.ns, "wgmma_rate_16bit")
    if name in RATE_DEPTHS:
        probe = name.replace("mma_", "wgmma_rate_")
        return _over(2 * 64 * 256 * RATE_DEPTHS[name], read(probe).cycles, probe)
    if name.endswith("_rate"):
        packed = 2 if name in ("half_rate", "narrow_rate") else 1
        return _over(packed * RATE_RESULTS, read(name).cycles, name)
    if name in ("alu_latency", "mufu_latency", "shuffle_latency"):
        return read(name.replace("alu", "float")).cycles / LATENCY_CHAIN
    if name == "named_barrier":
        return read(name).cycles / BARRIERS_AN_ITERATION
    if name == "signal_hop":
        return read(name).cycles / 2
    if name == "mma_issue":
        return read("wgmma_m64n128k128").issue
    if name == "mma_pipeline":
        rate = _known("mma_16bit", found)
        return statistics.median(
            read(f"wgmma_m64n{n}k{k}").completion - 2 * 64 * n * k / rate for n in WGMMA_WIDTHS for k in WGMMA_DEPTHS
        )
    if name == "tma_issue":
        return statistics.median(read(f"tma_load_{kib}k").issue for kib in TMA_KIB)
    if name == "tma_latency":
        return line(TMA_KIB, [read(f"tma_load_{kib}k").completion for kib in TMA_KIB])[0]
    if name == "tma_bandwidth":
        return _over(STREAM_KIB * 1024, read("tma_stream").cycles, "tma_stream")
    if name in ("tma_store_latency", "tma_store_per_kib"):
        fit = line(TMA_KIB, [read(f"tma_store_{kib}k").completion for kib in TMA_KIB])
        return fit[name.endswith("_per_kib")]
    if name in ("value_hop", "value_hop_per_kib"):
        fit = line(HOP_KIB, [read(f"value_hop_{kib}k").cycles / 2 for kib in HOP_KIB])
        return fit[name.endswith("_per_kib")]
    assert name == "tile_drain", name
    return _tile_drain(read, found)


def _tile_drain(read: Read, found: Mapping[str, Finding]) -> float:
    """Half of what an iteration of two dependent tile ops (row maximum, multiplication) takes beyond its parts.

    The parts: both passes at the SM's rates, and the two dependent shuffles of the reduction. A rate that the
    four warps of one group cannot reach shows here too.
    """
    passes = SOFTMAX_ELEMENTS / _known("float_rate", found) + SOFTMAX_ELEMENTS / _known("compare_rate", found)
    return (read("softmax_max").cycles - passes - 2 * _known("shuffle_latency", found)) / 2


def _known(name: str, found: Mapping[str, Finding]) -> float:
    """A fact that was derived before. Raises Missing when it cannot be used."""
    finding = found[name]
    if finding.value is None or finding.problem:
        raise Missing(f"it needs `{name}`, which has no plausible value")
    return finding.value


def _over(amount: float, duration: float, probe: str) -> float:
    if duration <= 0:
        raise Missing(f"`{probe}` took no time: {duration:g}")
    return amount / duration


def line(x: Sequence[float], y: Sequence[float]) -> tuple[float, float]:
    """(value at 0, slope) of the line through the points that has least squared error."""
    fit = statistics.linear_regression(x, y)
    return fit.intercept, fit.slope

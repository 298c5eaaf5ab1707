"""What a micro-benchmark leaves behind, and the device it ran on."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Reading:
    """One probe, an iteration: the long run minus the short one, over the difference of their trip counts.

    cycles, ns: of the loop. issue, completion: cycles from before the instruction until it was issued
    and until its result was there; 0 where the probe does not read the clock inside. spread: (largest -
    smallest) / median of the cycles over the repeats.
    """

    cycles: float
    issue: float = 0.0
    completion: float = 0.0
    ns: float = 0.0
    spread: float = 0.0


@dataclass(frozen=True)
class Device:
    """Where and with what the readings were taken. clock_limit_mhz: highest SM clock the driver states, 0 unknown."""

    name: str
    sm_count: int
    clock_limit_mhz: int
    driver: str
    torch: str
    triton: str
    date: str

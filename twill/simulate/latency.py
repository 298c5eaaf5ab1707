"""How long a load takes: around what the machine file says, with a long tail."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

from twill.errors import InputError
from twill.machine import load
from twill.schedule.problem import Op

SPREAD = load("hopper").number("load_spread")
"""Standard deviation of the logarithm of a load's latency where no machine is given; its source is in the file."""


@dataclass(frozen=True)
class LoadLatency:
    """The latency of ops of variable latency, beyond the cycles in which their bytes arrive.

    An op that occupies its unit for `occupancy` cycles and has its result after `latency` takes
    occupancy + (latency - occupancy) * X, where X is lognormal with mean 1; `spread` is the standard deviation of
    log X. slowdown: factor on both, a TMA slower than the machine file says. With spread 0 and slowdown 1
    every load takes what the schedule counts on.

    Raises InputError for a negative spread or a slowdown that is not positive.
    """

    spread: float = SPREAD
    slowdown: float = 1.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.spread) and 0 <= self.spread <= 3):
            raise InputError(f"the spread of load latencies is {self.spread:g}, it must be from 0 to 3.")
        if not (math.isfinite(self.slowdown) and self.slowdown > 0):
            raise InputError(f"the slowdown of loads is {self.slowdown:g}, it must be positive.")

    def occupancy(self, op: Op) -> int:
        """Cycles for which `op` takes its unit."""
        return round(op.occupancy * self.slowdown) if op.variable_latency else op.occupancy

    def delay(self, op: Op, random: random.Random) -> int:
        """Cycles by which the result of one run of `op` is later than `op.latency`; negative when earlier."""
        if not op.variable_latency:
            return 0
        factor = random.lognormvariate(-self.spread * self.spread / 2, self.spread) if self.spread else 1.0
        flight = max(0, op.latency - op.occupancy)
        return round(op.occupancy * self.slowdown + flight * factor * self.slowdown) - op.occupancy - flight

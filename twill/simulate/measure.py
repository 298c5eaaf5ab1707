"""What simulated runs show: the interval reached, how busy units are, and where streams wait."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate
from statistics import mean, pstdev

from twill.schedule.gantt_svg import require_placements
from twill.schedule.schedule import Schedule
from twill.schedule.timeline import stages
from twill.simulate.engine import Run, run
from twill.simulate.latency import LoadLatency

SEEDS = 5
_SETTLED = 64  # iterations left out before the steady state is measured, beyond those in flight
_MEASURED = 120
_PERIOD = 12  # iterations; steps that repeat after a divisor of it are averaged exactly
_MOST_RUNS = 40_000  # of ops, in one simulation


@dataclass(frozen=True)
class Stall:
    """Cycles an iteration, on average, for which a group stands still before `op` for `cause`."""

    group: int
    op: str
    cause: str
    cycles: float


@dataclass(frozen=True)
class Simulation:
    """Several simulated runs of a schedule, one a seed.

    intervals: cycles from one iteration to the next in the steady state, one of each run. utilization: share of
    the cycles of the steady state for which each unit is busy. stalls: where streams wait there, longest first.
    late: the same beyond what the waits take when every load takes exactly what the schedule counts on.
    first: the run of the first seed.
    """

    schedule: Schedule
    latency: LoadLatency
    intervals: tuple[float, ...]
    utilization: Mapping[str, float]
    stalls: tuple[Stall, ...]
    late: tuple[Stall, ...]
    first: Run

    @property
    def ii(self) -> float:
        """Mean interval over the seeds, in cycles."""
        return mean(self.intervals)

    @property
    def spread(self) -> float:
        """Standard deviation of the interval over the seeds, in cycles."""
        return pstdev(self.intervals)

    def cycles(self, trip_count: int) -> float:
        """Cycles of one program's loop: simulated as far as the first run goes, at the interval beyond."""
        if trip_count <= 0:
            return 0.0
        known = [max(ended) for ended in self.first.ended[: min(trip_count, self.first.iterations)]]
        return max(known) + max(0, trip_count - self.first.iterations) * self.ii


def simulate(
    schedule: Schedule, latency: LoadLatency | None = None, seeds: int = SEEDS, *, arrival: bool = False
) -> Simulation:
    """Run `schedule` with `seeds` different draws of load latencies, into its steady state.

    Raises NoSchedule for a schedule without placements.
    """
    require_placements(schedule)
    latency = latency or LoadLatency()
    settled = stages(schedule) + _SETTLED
    size = max(1, len(schedule.problem.ops))
    measured = 2 * max(4, min(_MEASURED, _MOST_RUNS // size - settled) // 2)
    settled = max(stages(schedule), min(settled, _MOST_RUNS // size))
    iterations = settled + measured + stages(schedule)
    exact = latency.spread == 0
    runs = [run(schedule, iterations, latency, seed, arrival=arrival) for seed in range(1 if exact else seeds)]
    nominal = run(schedule, iterations, LoadLatency(0.0), arrival=arrival)
    stalls, counted = _stalls(runs, settled), _stalls([nominal], settled)
    usual: dict[tuple[int, str], float] = defaultdict(float)
    for stall in counted:
        usual[stall.group, stall.op] += stall.cycles
    return Simulation(
        schedule,
        latency,
        tuple(interval(each, settled) for each in runs),
        {unit: mean(_busy(each, unit, settled) for each in runs) for unit in _used(schedule)},
        stalls,
        _beyond(stalls, usual),
        runs[0],
    )


def interval(run: Run, settled: int) -> float:
    """Cycles from one iteration to the next after the first `settled`, without those that the loop's end speeds up."""
    last = run.iterations - stages(run.schedule)
    ends = list(accumulate((max(ended) for ended in run.ended), max))
    half = (last - settled) // 2
    half -= half % _PERIOD if half >= _PERIOD else 0
    # Means over halves: steps that repeat every few iterations are averaged exactly.
    return (mean(ends[last - half : last]) - mean(ends[last - 2 * half : last - half])) / half


def _used(schedule: Schedule) -> list[str]:
    used = {op.unit for op in schedule.problem.ops}
    return [unit for unit in schedule.problem.limits.units if unit in used]


def _busy(run: Run, unit: str, settled: int) -> float:
    ops, capacity = run.schedule.problem.ops, run.schedule.problem.limits.units[unit]
    taken = sum(run.busy[number] for number, op in enumerate(ops) if op.unit == unit)
    cycles = interval(run, settled) * capacity
    return min(1.0, taken / cycles) if cycles else 0.0


def _stalls(runs: list[Run], settled: int) -> tuple[Stall, ...]:
    total: dict[tuple[int, str, str], float] = defaultdict(float)
    for each in runs:
        for wait in each.waits:
            if wait.iteration >= settled:
                total[wait.group, wait.op, wait.cause] += wait.end - wait.begin
    iterations = sum(each.iterations - settled for each in runs)
    found = [Stall(*key, cycles / iterations) for key, cycles in total.items()]
    return tuple(sorted(found, key=lambda stall: (-stall.cycles, stall.group, stall.op, stall.cause)))


def _beyond(stalls: tuple[Stall, ...], usual: Mapping[tuple[int, str], float]) -> tuple[Stall, ...]:
    """For each group and op the wait beyond the usual one, with its longest cause; half a cycle is noise."""
    total: dict[tuple[int, str], float] = defaultdict(float)
    cause: dict[tuple[int, str], str] = {}
    for stall in stalls:
        total[stall.group, stall.op] += stall.cycles
        cause.setdefault((stall.group, stall.op), stall.cause)
    found = [
        Stall(*key, cause[key], cycles - usual.get(key, 0.0))
        for key, cycles in total.items()
        if cycles - usual.get(key, 0.0) >= 0.5
    ]
    return tuple(sorted(found, key=lambda stall: (-stall.cycles, stall.group, stall.op)))

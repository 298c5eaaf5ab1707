"""What simulated runs show: the interval reached, how busy units are, and where streams wait."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from statistics import mean, pstdev

from twill.schedule.gantt_svg import require_placements
from twill.schedule.schedule import Schedule
from twill.schedule.timeline import stages
from twill.simulate.engine import Run, execute
from twill.simulate.from_plan import plan_program
from twill.simulate.from_schedule import schedule_program
from twill.simulate.kernel import Kernel
from twill.simulate.latency import LoadLatency
from twill.simulate.program import Program

SEEDS = 5
_SETTLED = 64  # iterations left out before the steady state is measured, beyond those in flight
_MEASURED = 120
_KERNEL_SETTLED, _KERNEL_MEASURED = 24, 72  # the same of a kernel, which takes more tasks an iteration
_EXACT = 12  # iterations beyond those in flight up to which programs of a kernel are run as they are
_TILES = 4  # of a program that are run to see what each after the first adds
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
    """Several simulated runs of a schedule, or of the kernel made of it, one a seed.

    blocks: how many thread blocks run on the SM at once. intervals: cycles from one iteration of a block to the
    next in the steady state, one of each run. utilization: share of those for which each unit is busy, by all
    blocks. stalls: where streams wait there, longest first.
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
    kernel: Kernel | None = None
    blocks: int = 1
    _programs: dict[tuple[int, int, int], float] = field(default_factory=dict, repr=False, compare=False)

    @property
    def ii(self) -> float:
        """Mean interval over the seeds, in cycles."""
        return mean(self.intervals)

    @property
    def spread(self) -> float:
        """Standard deviation of the interval over the seeds, in cycles."""
        return pstdev(self.intervals)

    @property
    def sm_ii(self) -> float:
        """Cycles of the SM for an iteration of any of its blocks."""
        return self.ii / self.blocks

    def cycles(self, trip_count: int, blocks: int | None = None) -> float:
        """Cycles of one program, with so many blocks on the SM that start together (`self.blocks` by default).

        Of a kernel with what comes before and after its loop: a program of few iterations as the mean of runs with
        that trip count, a longer one with the interval for what goes beyond. Without a kernel, the loop alone: as
        far as the first run goes, at the interval beyond.
        """
        if self.kernel is None:
            if trip_count <= 0:
                return 0.0
            known = [max(ended) for ended in self.first.ended[: min(trip_count, self.first.iterations)]]
            return max(known) + max(0, trip_count - self.first.iterations) * self.ii
        together = self.blocks if blocks is None else blocks
        few = stages(self.schedule) + _EXACT
        cycles = self._whole(min(trip_count, few), together)
        if trip_count <= few:
            return cycles
        each = self.ii if together == self.blocks else (self._whole(2 * few, together) - cycles) / few
        return cycles + (trip_count - few) * each

    def tiles_cycles(self, trips: Sequence[int], blocks: int | None = None) -> float:
        """Cycles of one program of several tiles, each of so many iterations: the first as `cycles` has it, each other
        what it adds to it, since its loads run ahead while the tile before is stored.

        What a tile adds is the mean of those after the first in a run of _TILES equal ones.
        """
        if not trips:
            return 0.0
        total = self.cycles(trips[0], blocks)
        if self.kernel is None:
            return total + sum(self.cycles(count, blocks) for count in trips[1:])
        together = self.blocks if blocks is None else blocks
        for count, times in Counter(trips[1:]).items():
            few = min(count, stages(self.schedule) + _EXACT)
            beyond = self.cycles(count, together) - self.cycles(few, together)
            added = (self._whole(few, together, _TILES) - self._whole(few, together)) / (_TILES - 1)
            total += times * (added + beyond)
        return total

    def _whole(self, trip_count: int, blocks: int, tiles: int = 1) -> float:
        """Cycles of a program of the kernel, the mean over the seeds."""
        found = self._programs.get((trip_count, blocks, tiles))
        if found is None:
            assert self.kernel is not None
            program = plan_program(self.kernel.plan, self.kernel.machine, trip_count, self.latency, blocks, tiles)
            runs = [execute(program, self.latency, seed) for seed in range(len(self.intervals))]
            found = self._programs[trip_count, blocks, tiles] = mean(each.blocks_end for each in runs)
        return found


def simulate(
    schedule: Schedule,
    latency: LoadLatency | None = None,
    seeds: int = SEEDS,
    *,
    kernel: Kernel | None = None,
) -> Simulation:
    """Run `schedule` with `seeds` different draws of load latencies, into its steady state.

    kernel: the kernel that was made of it, which is run instead, with as many blocks as fit on an SM; its units
    serve first come, first served.

    Raises NoSchedule for a schedule without placements.
    """
    require_placements(schedule)
    blocks = kernel.occupancy.blocks if kernel is not None else 1

    def program(iterations: int, latency: LoadLatency) -> Program:
        if kernel is not None:
            return plan_program(kernel.plan, kernel.machine, iterations, latency, blocks)
        return schedule_program(schedule, iterations, latency)

    spread = kernel.machine.number("load_spread") if kernel is not None else None
    latency = latency or (LoadLatency() if spread is None else LoadLatency(spread))
    settled = stages(schedule) + (_SETTLED if kernel is None else _KERNEL_SETTLED)
    size = max(1, len(schedule.problem.ops) * blocks)
    most = _MEASURED if kernel is None else _KERNEL_MEASURED
    measured = 2 * max(4, min(most, _MOST_RUNS // size - settled) // 2)
    settled = max(stages(schedule), min(settled, _MOST_RUNS // size))
    iterations = settled + measured + stages(schedule)
    exact = latency.spread == 0
    drawn = program(iterations, latency)
    runs = [execute(drawn, latency, seed) for seed in range(1 if exact else seeds)]
    usual_latency = LoadLatency(0.0)
    nominal = execute(program(iterations, usual_latency), usual_latency)
    stalls, counted = _stalls(runs, settled), _stalls([nominal], settled)
    usual: dict[tuple[int, str], float] = defaultdict(float)
    for stall in counted:
        usual[stall.group, stall.op] += stall.cycles
    return Simulation(
        schedule,
        latency,
        tuple(interval(each, settled) for each in runs),
        {unit: mean(_busy(each, unit, settled, blocks) for each in runs) for unit in _used(schedule)},
        stalls,
        _beyond(stalls, usual),
        runs[0],
        kernel,
        blocks,
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


def _busy(run: Run, unit: str, settled: int, blocks: int) -> float:
    ops, capacity = run.schedule.problem.ops, run.schedule.problem.limits.units[unit]
    taken = sum(run.busy[number] for number, op in enumerate(ops) if op.unit == unit)
    cycles = interval(run, settled) * capacity
    return min(1.0, taken * blocks / cycles) if cycles else 0.0


def _stalls(runs: list[Run], settled: int) -> tuple[Stall, ...]:
    total: dict[tuple[int, str, str], float] = defaultdict(float)
    for each in runs:
        for wait in each.waits:
            if settled <= wait.iteration < each.iterations - stages(each.schedule):
                total[wait.group, wait.op, wait.cause] += wait.end - wait.begin
    iterations = sum(each.iterations - settled - stages(each.schedule) for each in runs)
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

"""A simulated run as a Timeline, for the same pictures as a schedule's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from twill.schedule.problem import Op
from twill.schedule.schedule import Placement, Schedule
from twill.schedule.timeline import Timeline, packed, stages
from twill.simulate.engine import run as simulate_run
from twill.simulate.measure import Simulation

MOST_ITERATIONS = 8
SHORTEST_WAIT = 0.01  # of the interval; shorter ones are not drawn


@dataclass(frozen=True)
class SimulatedTimeline(Timeline):
    """The first iterations of a run as they went; `simulated` holds (end, steady begin, steady end) in cycles."""

    simulated: tuple[int, int, int] = (0, 0, 0)

    @property
    def end(self) -> int:
        return self.simulated[0]

    @property
    def steady_begin(self) -> int:
        return self.simulated[1]

    @property
    def steady_end(self) -> int:
        return self.simulated[2]


def simulated_timeline(simulation: Simulation) -> SimulatedTimeline:
    """A loop of a few iterations as the first seed runs it; groups have a bar `wait` where they stand still.

    Its schedule is the simulated one with an op for those waits, so that pictures have a colour and a letter for it.
    """
    schedule = simulation.schedule
    waiting = _waiting_op(schedule)
    iterations = min(schedule.problem.trip_count, max(3, stages(schedule) + 2), max(MOST_ITERATIONS, stages(schedule)))
    run = simulate_run(schedule, iterations, simulation.latency)
    ops = schedule.problem.ops
    begins = [min(each) for each in run.issued]
    lanes = []
    for unit, capacity in schedule.problem.limits.units.items():
        bars = [
            (run.began[i][n], run.busy[n], op, i)
            for i in range(iterations) for n, op in enumerate(ops) if op.unit == unit
        ]  # fmt: skip
        if bars:
            lanes.append(packed("unit", unit, f"capacity {capacity}", bars))
    shortest = max(1, round(SHORTEST_WAIT * simulation.ii))
    for number, group in enumerate(schedule.groups):
        bars = [
            (run.issued[i][n], op.issue, op, i)
            for i in range(iterations) for n, op in enumerate(ops) if number in schedule.placements[op.id].groups
        ]  # fmt: skip
        bars += [
            (wait.begin, wait.end - wait.begin, waiting, wait.iteration)
            for wait in run.waits
            if wait.group == number and wait.end - wait.begin >= shortest
        ]
        role = "producer, " if group.producer else ""
        lanes.append(packed("group", f"group {number}", f"{role}{group.warps} warp{'s' * (group.warps != 1)}", bars))
    steady = begins[min(stages(schedule), iterations) - 1]
    phases = run.cycles, steady, max(steady, min(run.cycles, max(run.issued[-1][n] for n in _first_ops(schedule))))
    return SimulatedTimeline(_with_waiting(schedule, waiting, simulation), iterations, tuple(lanes), phases)


def _first_ops(schedule: Schedule) -> list[int]:
    """The ops of the first stage: the steady state ends when the last iteration has issued them."""
    return [n for n, op in enumerate(schedule.problem.ops) if schedule.placements[op.id].stage == 0]


def _waiting_op(schedule: Schedule) -> Op:
    taken = {op.id for op in schedule.problem.ops}
    id = next(name for name in ("wait", *(f"wait_{n}" for n in range(len(taken) + 1))) if name not in taken)
    return Op(id, "wait", label="waits for a result or a free slot")


def _with_waiting(schedule: Schedule, waiting: Op, simulation: Simulation) -> Schedule:
    problem = replace(schedule.problem, ops=(*schedule.problem.ops, waiting))
    everyone = tuple(range(len(schedule.groups)))
    placements: Mapping[str, Placement] = {**schedule.placements, waiting.id: Placement(0, 0, everyone)}
    reached = f"{simulation.ii:.1f}"
    reason = f"as simulated, with load latencies spread by {simulation.latency.spread:g}, one is {reached} cycles"
    return replace(schedule, problem=problem, placements=placements, reason=reason)

"""A simulated run as a Timeline, for the same pictures as a schedule's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from twill.schedule.problem import Op
from twill.schedule.schedule import Placement, Schedule
from twill.schedule.timeline import OUTSIDE, WAITING, Timeline, packed, stages
from twill.simulate.engine import Piece, Run, execute
from twill.simulate.engine import run as run_schedule
from twill.simulate.from_plan import plan_program
from twill.simulate.measure import Simulation

MOST_ITERATIONS = 8
SHORTEST_WAIT = 0.01  # of the interval; shorter ones are not drawn


@dataclass(frozen=True)
class SimulatedTimeline(Timeline):
    """The first iterations of a run as they went; `simulated` holds (end, steady begin, steady end) in cycles."""

    simulated: tuple[int, int, int] = (0, 0, 0)
    reached: float = 0.0  # cycles of the SM for an iteration

    @property
    def whole(self) -> bool:
        return True

    @property
    def steady_words(self) -> str:
        return f"steady state: simulated, {self.reached:.0f} cycles an iteration"

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

    Of a kernel with what runs before and after the loop, and of several blocks on an SM the first one. Its schedule
    is the simulated one with an op for waits and one for what is around the loop, so that pictures have a
    colour and a letter for them.
    """
    schedule = simulation.schedule
    waiting, around = _extra_ops(schedule)
    wanted = min(max(3, stages(schedule) + 2), max(MOST_ITERATIONS, stages(schedule)))
    iterations = wanted if simulation.kernel is not None else min(schedule.problem.trip_count, wanted)
    run = _run(simulation, iterations)
    ops = schedule.problem.ops
    lanes = []
    for unit, capacity in schedule.problem.limits.units.items():
        bars = [
            (run.began[i][n], run.busy[n], op, i)
            for i in range(iterations) for n, op in enumerate(ops) if op.unit == unit
        ]  # fmt: skip
        bars += [
            (piece.began, piece.busy, around, _when(piece, run))
            for piece in run.pieces
            if piece.unit == unit and piece.busy
        ]
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
        bars += [
            (piece.issued, piece.issue, around, _when(piece, run))
            for piece in run.pieces
            if piece.group == number and piece.issue
        ]
        role = "producer, " if group.producer else ""
        lanes.append(packed("group", f"group {number}", f"{role}{group.warps} warp{'s' * (group.warps != 1)}", bars))
    extra = (waiting, around) if any(piece.issue for piece in run.pieces) else (waiting,)
    drawn = _with_extra(schedule, extra, simulation)
    return SimulatedTimeline(drawn, iterations, tuple(lanes), _phases(schedule, run), simulation.sm_ii)


def _run(simulation: Simulation, iterations: int) -> Run:
    kernel = simulation.kernel
    if kernel is None:
        return run_schedule(simulation.schedule, iterations, simulation.latency)
    program = plan_program(kernel.plan, kernel.machine, iterations, simulation.latency, simulation.blocks)
    return execute(program, simulation.latency)


def _when(piece: Piece, run: Run) -> int:
    """The iteration that a piece is drawn with: the first for what precedes the loop, the last for what follows."""
    return 0 if piece.issued < run.ended[0][0] else run.iterations - 1


def _phases(schedule: Schedule, run: Run) -> tuple[int, int, int]:
    """End, and begin and end of the steady state: from where all stages are occupied to the last iteration's begin."""
    ops = schedule.problem.ops
    arithmetic = [n for n, op in enumerate(ops) if not op.variable_latency] or list(range(len(ops)))
    least = min(schedule.placements[ops[n].id].stage for n in arithmetic)
    first = [n for n in arithmetic if schedule.placements[ops[n].id].stage == least]
    filled = min(max(schedule.placements[ops[n].id].stage for n in arithmetic) - least, run.iterations - 1)
    steady = min(run.issued[filled][n] for n in first)
    return run.cycles, steady, max(steady, min(run.cycles, max(run.issued[-1][n] for n in first)))


def _extra_ops(schedule: Schedule) -> tuple[Op, Op]:
    """For waits, and for what runs before and after the loop."""
    taken = {op.id for op in schedule.problem.ops}

    def free(name: str) -> str:
        return next(each for each in (name, *(f"{name}_{n}" for n in range(len(taken) + 1))) if each not in taken)

    return (
        Op(free("wait"), WAITING, label="waits for a result, its turn or a free slot"),
        Op(free("around"), OUTSIDE, label="before and after the loop"),
    )


def _with_extra(schedule: Schedule, extra: tuple[Op, ...], simulation: Simulation) -> Schedule:
    problem = replace(schedule.problem, ops=(*schedule.problem.ops, *extra))
    everyone = tuple(range(len(schedule.groups)))
    placements: Mapping[str, Placement] = {**schedule.placements, **{op.id: Placement(0, 0, everyone) for op in extra}}
    what = "its kernel" if simulation.kernel is not None else "it"
    reason = f"{what} simulated with load latencies spread by {simulation.latency.spread:g} takes {simulation.ii:.1f}"
    if simulation.blocks > 1:
        reason += f" in each of {simulation.blocks} blocks on an SM"
    return replace(schedule, problem=problem, placements=placements, reason=reason)

"""The program of a schedule: every group issues its ops by start, every wait is one that the rules ask for."""

from __future__ import annotations

from twill.schedule.schedule import Schedule
from twill.simulate.edges import edges, ranks
from twill.simulate.latency import LoadLatency
from twill.simulate.program import Key, Need, Program, Task


def schedule_program(schedule: Schedule, iterations: int, latency: LoadLatency) -> Program:
    """`iterations` iterations of one thread block. Units serve in the schedule's order."""
    ops, ii = schedule.problem.ops, schedule.ii
    number = {op.id: position for position, op in enumerate(ops)}
    incoming = edges(schedule)
    rank = ranks(schedule.problem, incoming)
    busy = tuple(latency.occupancy(op) for op in ops)

    def key(at: tuple[int, int]) -> Key:
        """By start, of one start by iteration and by what waits for what."""
        n, iteration = at
        return iteration * ii + schedule.start(ops[n].id), iteration, rank[ops[n].id]

    order = sorted(((n, i) for i in range(iterations) for n in range(len(ops))), key=key)
    position = {at: place for place, at in enumerate(order)}

    def needs(n: int, i: int) -> tuple[Need, ...]:
        return tuple(
            Need(position[number[edge.src], i - edge.distance], edge.latency, edge.cause, edge.at_unit, edge.completes)
            for edge in incoming[ops[n].id]
            if i >= edge.since and 0 <= i - edge.distance < iterations
        )

    tasks = tuple(
        Task(
            n, ops[n].id, i, schedule.placements[ops[n].id].groups, ops[n].unit, busy[n], ops[n].issue,
            ops[n].completion, key((n, i))[0], key((n, i)), needs(n, i), ops[n].asynchronous,
            ops[n] if ops[n].variable_latency else None,
        )
        for n, i in order
    )  # fmt: skip
    groups = range(len(schedule.groups))
    streams = tuple(tuple(at for at, task in enumerate(tasks) if group in task.streams) for group in groups)
    ordered = {
        unit: tuple(at for at, task in enumerate(tasks) if task.unit == unit and task.busy)
        for unit in schedule.problem.limits.units
    }
    return Program(schedule, iterations, busy, tasks, streams, schedule.problem.limits.units, ordered)

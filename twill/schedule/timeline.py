"""The bars every picture of a schedule is made of: one lane per functional unit and per warp group.

A few iterations are laid out as they would run: the prologue, the steady state (from the moment
every stage is occupied until the last drawn iteration has started), the epilogue.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from twill.schedule.problem import Op
from twill.schedule.schedule import Schedule

MAX_BARS = 20_000  # more than that no picture shows and no browser draws
WAITING, OUTSIDE = "wait", "outside"  # units of bars that are no op of the loop: a group stands still; code around it


@dataclass(frozen=True)
class Bar:
    """Op `op` of iteration `iteration` in cycles [begin, end) of a lane, on its row `row`.

    On a unit: while the unit is busy. On a group: while its instruction stream is taken.
    """

    op: Op
    iteration: int
    begin: int
    end: int
    row: int = 0


@dataclass(frozen=True)
class Lane:
    """A unit or a warp group with its bars; bars that overlap are on different rows."""

    kind: Literal["unit", "group"]
    name: str
    detail: str
    bars: tuple[Bar, ...]
    rows: int


@dataclass(frozen=True)
class Timeline:
    """The lanes of `iterations` iterations; the steady state is cycles [steady_begin, steady_end)."""

    schedule: Schedule
    iterations: int
    lanes: tuple[Lane, ...]

    @property
    def ii(self) -> int:
        return self.schedule.ii

    @property
    def end(self) -> int:
        """The cycle in which everything drawn has completed."""
        return (self.iterations - 1) * self.ii + self.schedule.length

    @property
    def steady_begin(self) -> int:
        return (stages(self.schedule) - 1) * self.ii

    @property
    def steady_end(self) -> int:
        return self.iterations * self.ii

    @property
    def reaches_steady_state(self) -> bool:
        """Whether the loop runs often enough for all stages to be occupied at once."""
        return self.iterations >= stages(self.schedule)

    @property
    def steady_words(self) -> str:
        """What is written over the steady state."""
        return "steady state: the same every II"

    @property
    def whole(self) -> bool:
        """The end of the loop is of interest too, not only how it begins."""
        return False

    @cached_property
    def families(self) -> dict[str, int]:
        """For each op a number shared by the same op of all sub-tiles: its colour."""
        numbers: dict[str, int] = {}
        return {op.id: numbers.setdefault(family(op), len(numbers)) for op in self.schedule.problem.ops}


def stages(schedule: Schedule) -> int:
    """How many iterations are in flight at once."""
    return 1 + max((at.stage for at in schedule.placements.values()), default=-1)


def family(op: Op) -> str:
    """What the op is called without its sub-tile: `s` for `s.0` or `s0` of sub-tile 0; else its id."""
    if op.subtile is None:
        return op.id
    name = op.id.removesuffix(str(op.subtile))
    if name == op.id or not name or name[-1].isdigit():  # the 0 of `s10` is no sub-tile
        return op.id
    return name.removesuffix(".") or op.id


def title(op: Op) -> str:
    """What the op is and does: its id, which is its name in the source, and its label."""
    return f"{op.id}: {op.label}" if op.label and op.label != op.id else op.id


def timeline(schedule: Schedule) -> Timeline:
    """Lay out the prologue, two turns of the steady state and the epilogue of a placed schedule."""
    wanted = max(3, stages(schedule) + 1)
    most = max(1, MAX_BARS // max(1, 2 * len(schedule.problem.ops)))
    iterations = min(schedule.problem.trip_count, wanted, most)
    return Timeline(schedule, iterations, lanes(schedule, range(iterations)))


def lanes(schedule: Schedule, iterations: Iterable[int]) -> tuple[Lane, ...]:
    """The lanes of the given iterations: the units in the machine's order, then the groups."""
    iterations = list(iterations)
    ops, limits = schedule.problem.ops, schedule.problem.limits
    found = []
    for unit, capacity in limits.units.items():
        used = [(op, op.occupancy) for op in ops if op.unit == unit]
        if used:
            found.append(_lane(schedule, "unit", unit, f"capacity {capacity}", used, iterations))
    for number, group in enumerate(schedule.groups):
        used = [(op, op.issue) for op in ops if number in schedule.placements[op.id].groups]
        role = "producer, " if group.producer else ""
        detail = f"{role}{group.warps} warp{'s' if group.warps != 1 else ''}"
        found.append(_lane(schedule, "group", f"group {number}", detail, used, iterations))
    return tuple(found)


def _lane(
    schedule: Schedule,
    kind: Literal["unit", "group"],
    name: str,
    detail: str,
    used: list[tuple[Op, int]],
    iterations: list[int],
) -> Lane:
    bars = (
        (iteration * schedule.ii + schedule.start(op.id), cycles, op, iteration)
        for op, cycles in used
        for iteration in iterations
    )
    return packed(kind, name, detail, bars)


def packed(kind: Literal["unit", "group"], name: str, detail: str, bars: Iterable[tuple[int, int, Op, int]]) -> Lane:
    """A lane of the bars (begin, cycles, op, iteration), each on the first row that is free."""
    free: list[int] = []  # for each row, the cycle from which it is free
    placed = []
    for begin, cycles, op, iteration in sorted(bars, key=lambda bar: bar[0]):
        row = next((row for row, cycle in enumerate(free) if cycle <= begin), len(free))
        free[row : row + 1] = [begin + cycles]
        placed.append(Bar(op, iteration, begin, begin + cycles, row))
    return Lane(kind, name, detail, tuple(placed), max(1, len(free)))

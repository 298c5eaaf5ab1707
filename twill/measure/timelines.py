"""Measured and predicted events as bars of the Gantt chart, a few iterations of the steady state each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from twill.measure.measurement import Measurement
from twill.measure.observed import spans
from twill.measure.predicted import role_groups
from twill.schedule.problem import Op
from twill.schedule.schedule import Schedule
from twill.schedule.timeline import Lane, Timeline, packed, stages

SHOWN = 4  # iterations


@dataclass(frozen=True)
class Window(Timeline):
    """Bars of some iterations, on `span` cycles from the window's begin, with a line every `interval` cycles."""

    span: int = 0
    interval: int = 1

    @property
    def ii(self) -> int:
        return self.interval

    @property
    def end(self) -> int:
        return self.span

    @property
    def reaches_steady_state(self) -> bool:
        return False  # nothing else is drawn


def window(
    schedule: Schedule, measurement: Measurement, reference: str, first: int, cycles: int, interval: float
) -> Window | None:
    """`cycles` cycles of the first sample, from the reference op's start in iteration `first` on.

    A lane a unit of asynchronous ops: from the issue until the result was seen. A lane a group: from an op's start to
    where its stream went on. None where the reference op was not kept.
    """
    if not measurement.samples:
        return None
    found = spans(measurement, measurement.samples[0], schedule)
    if (reference, first) not in found:
        return None
    origin = found[reference, first].begin
    ops = {op.id: op for op in schedule.problem.ops}
    groups = role_groups(schedule)
    streams: dict[str, list[tuple[int, int, Op, int]]] = {role: [] for role in groups}
    flights: dict[str, list[tuple[int, int, Op, int]]] = {}
    for (id, iteration), span in found.items():
        op = ops[id]
        begin, end = span.begin - origin, (span.end if span.end is not None else span.begin) - origin
        if op.asynchronous:
            _put(flights.setdefault(op.unit, []), begin, end, op, iteration, cycles)
            _put(streams[span.role], begin, begin + max(op.issue, 1), op, iteration, cycles)
        else:
            _put(streams[span.role], begin, end, op, iteration, cycles)
    units = [unit for unit in schedule.problem.limits.units if flights.get(unit)]
    lanes: list[Lane] = [packed("unit", unit, "issue to result seen", flights[unit]) for unit in units]
    for role, group in sorted(groups.items(), key=lambda item: item[1]):
        lanes.append(packed("group", f"group {group}", role, streams[role]))
    return Window(schedule, first + SHOWN, tuple(lanes), cycles, max(1, round(interval)))


def first_shown(schedule: Schedule, measurements: Sequence[Measurement], reference: str) -> int:
    """An iteration in the middle that every one of the measurements holds; 0 where there is none."""
    held: set[int] | None = None
    for each in measurements:
        found = spans(each, each.samples[0], schedule) if each.samples else {}
        numbers = {iteration for op, iteration in found if op == reference}
        held = numbers if held is None else held & numbers
    numbers_held = sorted(held or {0})
    return numbers_held[max(0, min(len(numbers_held) // 2, len(numbers_held) - 1 - SHOWN))]


def _put(bars: list[tuple[int, int, Op, int]], begin: int, end: int, op: Op, iteration: int, cycles: int) -> None:
    """A bar, cut to the window; nothing when it is outside."""
    begin, end = max(begin, 0), min(max(end, begin + 1), cycles)
    if begin < end:
        bars.append((begin, end - begin, op, iteration))


def shown_cycles(schedule: Schedule, ii: float) -> int:
    """Cycles of a window that holds a few iterations of either side."""
    return round(max(ii, schedule.ii) * (max(2, min(SHOWN, stages(schedule) + 1)) - 0.03))

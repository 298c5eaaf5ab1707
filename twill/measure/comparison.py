"""How far a model is off: interval, offsets, durations and latencies of two timelines, and what differs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from twill.errors import InputError
from twill.measure.measurement import Measurement
from twill.measure.observed import Span, spans
from twill.schedule.schedule import Schedule
from twill.schedule.timeline import stages

_FILLING = 4  # iterations left out at each end, beyond those in flight, where there are enough
_PASSED_CYCLES = 64  # a wait that is over sooner is one for something that was there already


@dataclass(frozen=True)
class Figure:
    """A number of cycles on both sides: medians, and the measured one's spread (the middle half's width)."""

    measured: float
    predicted: float
    spread: float

    @property
    def error(self) -> float:
        """Measured less predicted, in cycles."""
        return self.measured - self.predicted

    def json(self) -> dict[str, float]:
        return {**{key: round(value, 2) for key, value in asdict(self).items()}, "error": round(self.error, 2)}


@dataclass(frozen=True)
class OpError:
    """One op. offset: from the reference op's start to its own, in one iteration, modulo the interval of each side.

    occupancy: of an op that takes its stream, for how long it did; None for others. latency: of an asynchronous op,
    until its result was seen; None for others. waited: share of the iterations in which somebody waited for the
    result: where few did, it was there earlier than it was seen.
    """

    op: str
    unit: str
    role: str
    offset: Figure | None
    occupancy: Figure | None
    latency: Figure | None
    waited: float | None
    iterations: int

    def json(self) -> dict[str, Any]:
        figures = {"offset": self.offset, "occupancy": self.occupancy, "latency": self.latency}
        return {
            "op": self.op, "unit": self.unit, "role": self.role, "iterations": self.iterations,
            **{name: figure.json() if figure is not None else None for name, figure in figures.items()},
            "waited": None if self.waited is None else round(self.waited, 3),
        }  # fmt: skip


@dataclass(frozen=True)
class Comparison:
    """Both sides of one kernel. ii: cycles from one iteration to the next in the steady state, of `reference`."""

    kernel: str
    reference: str
    schedule_ii: int
    ii: Figure
    ops: tuple[OpError, ...]
    missing: tuple[str, ...]

    def json(self) -> dict[str, Any]:
        return {
            "kernel": self.kernel, "reference": self.reference, "schedule_ii": self.schedule_ii,
            "ii": self.ii.json(), "ops": [op.json() for op in self.ops], "missing": list(self.missing),
        }  # fmt: skip


def compare(schedule: Schedule, measured: Measurement, expected: Measurement) -> Comparison:
    """Measured beside predicted, over the iterations of the steady state of all samples.

    Raises InputError when nothing of the measurement can be compared.
    """
    one, other = _steady(schedule, measured), _steady(schedule, expected)
    present = [op.id for op in schedule.problem.ops if op.id in _ops(one) and op.id in _ops(other)]
    if not present:
        message = f"the measurement of `{measured.kernel}` holds no iteration of the steady state."
        raise InputError(message, hint="Run it with more iterations: --size, or --example, such as N=8192.")
    reference = next((op.id for op in schedule.problem.ops if op.unit == "TC" and op.id in present), present[0])
    ii = Figure(_interval(one, reference), _interval(other, reference), _half(_steps(one, reference)))
    rows = []
    for op in schedule.problem.ops:
        if op.id not in present:
            continue
        left, right = _of(one, op.id), _of(other, op.id)
        asynchronous = op.asynchronous
        took = None if asynchronous else _figure(_durations(left), _durations(right))
        late = _figure(_durations(left), _durations(right)) if asynchronous else None
        ended = [span for span in left if span.end is not None]
        waited = sum(span.waited > _PASSED_CYCLES for span in ended) / len(ended) if asynchronous and ended else None
        offset = _offset(one, other, op.id, reference, ii)
        rows.append(OpError(op.id, op.unit, left[0].role, offset, took, late, waited, len(left)))
    missing = tuple(op.id for op in schedule.problem.ops if op.id not in present)
    return Comparison(measured.kernel, reference, schedule.ii, ii, tuple(rows), missing)


Steady = list[dict[tuple[str, int], Span]]


def _steady(schedule: Schedule, measurement: Measurement) -> Steady:
    """The spans of each sample without the iterations that fill and drain the pipeline."""
    found = []
    for sample in measurement.samples:
        kept = max((len(row) for row in sample.cycles), default=0)
        edge = stages(schedule)
        edge += _FILLING if kept > 4 * (edge + _FILLING) else 0
        first, last = edge, kept - (edge if sample.trips <= kept else 1)
        every = spans(measurement, sample, schedule)
        found.append({key: span for key, span in every.items() if first <= key[1] < last})
    return found


def _ops(steady: Steady) -> set[str]:
    return {op for each in steady for op, _ in each}


def _of(steady: Steady, op: str) -> list[Span]:
    return [span for each in steady for (name, _), span in each.items() if name == op]


def _steps(steady: Steady, op: str) -> list[float]:
    found: list[float] = []
    for each in steady:
        begins = {iteration: span.begin for (name, iteration), span in each.items() if name == op}
        found += [begins[i + 1] - begins[i] for i in begins if i + 1 in begins]
    return found


def _interval(steady: Steady, op: str) -> float:
    """Mean cycles from one iteration to the next, over all samples."""
    steps = _steps(steady, op)
    return sum(steps) / len(steps) if steps else 0.0


def _durations(spans_of_op: Sequence[Span]) -> list[float]:
    return [span.end - span.begin for span in spans_of_op if span.end is not None]


def _offset(one: Steady, other: Steady, op: str, reference: str, ii: Figure) -> Figure | None:
    """Both medians modulo their own interval, the measured one on the turn that is nearest the predicted one."""
    left, right = _distances(one, op, reference), _distances(other, op, reference)
    if not left or not right or ii.measured <= 0 or ii.predicted <= 0:
        return None
    expected = median(right) % ii.predicted
    found = median(left) % ii.measured
    found += round((expected - found) / ii.measured) * ii.measured
    return Figure(found, expected, _half(left))


def _distances(steady: Steady, op: str, reference: str) -> list[float]:
    return [
        span.begin - each[reference, iteration].begin
        for each in steady
        for (name, iteration), span in each.items()
        if name == op and (reference, iteration) in each
    ]


def _figure(left: list[float], right: list[float]) -> Figure | None:
    return Figure(median(left), median(right), _half(left)) if left and right else None


def _half(values: Sequence[float]) -> float:
    """Width of the middle half of some numbers."""
    ordered = sorted(values)
    return ordered[3 * len(ordered) // 4] - ordered[len(ordered) // 4] if len(ordered) > 1 else 0.0

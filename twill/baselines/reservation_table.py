"""A modulo reservation table at raw cycles: where an op fits, and whom it displaces where it does not."""

from __future__ import annotations

from twill.schedule.modulo import Span, covering, peak
from twill.schedule.problem import Op, Problem


class ReservationTable:
    """Starts of the ops placed so far on one instruction stream, judged by rules 2 (units) and 3 (streams)."""

    def __init__(self, problem: Problem, ii: int) -> None:
        self.ii = ii
        self.starts: dict[str, int] = {}
        self._problem = problem
        self._blocked = {dep.dst for dep in problem.deps if dep.blocking}
        self._rivals = {op.id: [other for other in problem.ops if self._meet(op, other)] for op in problem.ops}

    def first_fit(self, op: Op, earliest: int) -> int | None:
        """The first of the ii cycles from `earliest` at which nothing placed is in the way; None when all are taken."""
        rivals = self._placed_rivals(op)
        at = earliest
        while at < earliest + self.ii:
            later = next((max(until) for other in rivals if (until := self._until(op, at, other))), 0)
            if not later:
                return at
            at += later
        return None

    def conflicts(self, op: Op, at: int) -> list[str]:
        """The placed ops that `op` cannot share its cycle with."""
        return [other.id for other in self._placed_rivals(op) if self._until(op, at, other)]

    def _placed_rivals(self, op: Op) -> list[Op]:
        return [other for other in self._rivals[op.id] if other.id in self.starts]

    def _meet(self, op: Op, other: Op) -> bool:
        """Whether some rule speaks of the two at all."""
        waits = (op.id in self._blocked and other.issue > 1) or (other.id in self._blocked and op.issue > 1)
        return op.id != other.id and (op.unit == other.unit or waits)

    def _until(self, op: Op, at: int, other: Op) -> list[int]:
        """For each rule that `other` makes `op` break at cycle `at`, cycles that it goes on doing so for at least."""
        after = (at - self.starts[other.id]) % self.ii  # cycles since the other started
        before = (-after) % self.ii  # cycles until it starts again
        found = []
        if other.unit == op.unit:
            found += self._unit(op, at, other, after, before)
        if op.id in self._blocked and 0 < after < other.issue:
            found.append(other.issue - after)
        if other.id in self._blocked and 0 < before < op.issue:
            found.append(before)
        return found

    def _unit(self, op: Op, at: int, other: Op, after: int, before: int) -> list[int]:
        overlap = after < other.occupancy or before < op.occupancy
        if not (overlap and op.occupancy and other.occupancy):
            return []
        capacity = self._problem.limits.units[op.unit]
        if capacity > 1:  # which of the ops there ends first decides: look again a cycle later
            return [1] if self._full(op, at, other, capacity) else []
        return [other.occupancy - after if after < other.occupancy else before + other.occupancy]

    def _full(self, op: Op, at: int, other: Op, capacity: int) -> bool:
        """Whether the unit overflows where `op` would cover it, and `other` is there."""
        spans = [
            Span(id, start, start + self._problem.op(id).occupancy)
            for id, start in {**self.starts, op.id: at}.items()
            if self._problem.op(id).unit == op.unit
        ]
        slot, total = peak(spans, self.ii)
        return total > capacity and any(span.name == other.id for span, _ in covering(spans, slot, self.ii))

"""Moments of a schedule for Z3: a stage and a slot for each op, spoken of by differences only.

With the interval fixed, every atom is stage(v) - stage(u) >= c or slot(v) - slot(u) >= c, which is
difference logic: Z3 decides a set of them by shortest paths. Stages are not bounded.
"""

from __future__ import annotations

from dataclasses import dataclass

import z3

from twill.certify.logic import Term, all_of, any_of, no
from twill.schedule.problem import Problem

# Stages one inequality may depend on, where the interval is open and starts far below its cycles.
MOST_CASES = 1000


@dataclass(frozen=True)
class Moment:
    """start(op) + turns * ii + cycles."""

    op: str
    turns: int = 0
    cycles: int = 0


class OutOfTime(Exception):
    """The assertions take longer to build than there is time."""


class Times:
    """The stage and slot of each op, 0 <= slot < ii, with ii one number or any in [low, high] (high None: any above).

    stage_of, slot_of: the variables. rules: what has to hold of them by themselves.
    """

    def __init__(self, problem: Problem, low: int, high: int | None, context: z3.Context) -> None:
        self.low = low
        self.high = high
        self.fixed = low == high
        self.ii = z3.IntVal(low, context) if self.fixed else z3.Int("ii", context)
        self.stage_of = {op.id: z3.Int(f"stage {op.id}", context) for op in problem.ops}
        self.slot_of = {op.id: z3.Int(f"slot {op.id}", context) for op in problem.ops}
        self.rules: list[Term] = [] if self.fixed else [self.ii >= low]
        if not self.fixed and high is not None:
            self.rules.append(self.ii <= high)
        for slot in self.slot_of.values():
            self.rules += [slot >= 0, slot <= low - 1 if self.fixed else slot - self.ii <= -1]
        self._atoms: dict[tuple[object, ...], Term] = {}

    def pin(self, op: str) -> None:
        """Start `op` at time 0: a schedule may be shifted as a whole."""
        self.rules += [self.stage_of[op] == 0, self.slot_of[op] == 0]

    def stages(self, u: str, v: str, count: int) -> Term:
        """stage(v) - stage(u) >= count."""
        if u == v:
            return count <= 0
        key = ("stages", u, v, count)
        if key not in self._atoms:
            self._atoms[key] = self.stage_of[v] - self.stage_of[u] >= count
        return self._atoms[key]

    def slots(self, u: str, v: str, cycles: int, turns: int = 0) -> Term:
        """slot(v) - slot(u) + turns * ii >= cycles."""
        least, most = self._least(turns - 1) + 1, self._most(turns + 1) - 1  # |slot(v) - slot(u)| < ii
        if u == v:
            least, most = self._least(turns), self._most(turns)
        if least >= cycles:
            return True
        if most < cycles:
            return False
        key = ("slots", u, v, cycles, turns)
        if key not in self._atoms:
            if self.fixed:
                self._atoms[key] = self.slot_of[v] - self.slot_of[u] >= cycles - turns * self.low
            elif u == v:
                self._atoms[key] = turns * self.ii >= cycles
            else:
                self._atoms[key] = self.slot_of[v] - self.slot_of[u] + turns * self.ii >= cycles
        return self._atoms[key]

    def apart(self, u: Moment, v: Moment, cycles: int) -> Term:
        """v >= u + cycles."""
        return self._reach(u.op, v.op, u.op, u.turns - v.turns, cycles + u.cycles - v.cycles)

    def copies(self, begin: Moment, end: Moment, at: str, count: int) -> Term:
        """At the slot of op `at`, [begin, end) is there `count` times or more; begin is a start (no cycles).

        The first time it is there is stage(begin) + [slot(begin) > slot(at)] turns after the slot; it is
        there `count` times if the slot of count - 1 turns later lies before the end.
        """
        turns, cycles = count - 1 + begin.turns - end.turns, 1 - end.cycles
        later = self.slots(at, begin.op, 1)
        return any_of(
            [
                all_of([later, self._reach(begin.op, end.op, at, turns + 1, cycles)]),
                all_of([no(later), self._reach(begin.op, end.op, at, turns, cycles)]),
            ]
        )

    def _reach(self, u: str, v: str, x: str, turns: int, cycles: int) -> Term:
        """(stage(v) - stage(u) - turns) * ii + slot(v) - slot(x) >= cycles, the product taken apart.

        With |slot(v) - slot(x)| < ii, only a few numbers of stages leave it to the slots.
        """
        key = ("reach", u, v, x, turns, cycles)
        if key not in self._atoms:
            first = self._count(cycles + 1) - 1  # fewer stages never reach
            last = first + 1
            while self._least(last - 1) + 1 < cycles:
                last += 1
                if last - first > MOST_CASES:
                    raise OutOfTime
            self._atoms[key] = any_of(
                all_of([self.stages(u, v, turns + count), self.slots(x, v, cycles, count)])
                for count in range(first, last + 1)
            )
        return self._atoms[key]

    def _count(self, cycles: int) -> int:
        """The least number of turns that last `cycles` at some interval."""
        if cycles > 0:
            return 1 if self.high is None else -(-cycles // self.high)
        return -(-cycles // self.low)

    def _least(self, turns: int) -> float:
        """turns * ii at the interval where it is smallest."""
        if turns >= 0:
            return turns * self.low
        return float("-inf") if self.high is None else turns * self.high

    def _most(self, turns: int) -> float:
        """turns * ii at the interval where it is largest."""
        if turns <= 0:
            return turns * self.low
        return float("inf") if self.high is None else turns * self.high

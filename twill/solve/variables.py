"""The unknowns of the CP-SAT model: the interval, where each op starts, and which group it runs on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ortools.sat.python import cp_model

from twill.schedule.problem import Problem
from twill.solve.grouping import Grouping, hop

Moment = tuple[cp_model.LinearExprT, cp_model.IntVar]  # stage, slot


@dataclass(frozen=True)
class Solution:
    """A point of the model: the interval, each op's start (the anchor's is 0) and groups, and extra ring depths."""

    ii: int
    start: Mapping[str, int]
    groups: Mapping[str, tuple[int, ...]]
    extra: Mapping[str, int]


class Variables:
    """One CP-SAT model of a problem with its decision variables; `constraints` and `objective` add to it.

    ii: an integer variable over [lowest, highest], a plain number when the two are equal.
    slot, stage: of each op, 0 <= slot < ii; start = stage * ii + slot. The anchor, an op of the busiest
    unit, starts at 0, since a schedule may be shifted in time at will; other stages may be negative.
    member: member[k][g] says that class k runs on group g.
    pinned: starts of ops that are given, counted from the anchor's; only with a fixed interval.
    """

    def __init__(
        self,
        problem: Problem,
        grouping: Grouping,
        lowest: int,
        highest: int,
        pinned: Mapping[str, int] | None = None,
    ) -> None:
        self.problem = problem
        self.grouping = grouping
        self.lowest = lowest
        self.highest = highest
        self.model = cp_model.CpModel()
        self.fixed = lowest == highest
        self.ii: cp_model.LinearExprT = lowest if self.fixed else self.model.new_int_var(lowest, highest, "ii")
        self.anchor = anchor(problem)
        self.reach = horizon(problem, lowest)
        self.slot: dict[str, cp_model.IntVar] = {}
        self.stage: dict[str, cp_model.IntVar] = {}
        self.start: dict[str, cp_model.LinearExprT] = {}
        self.member: list[list[cp_model.IntVar]] = []
        self.used: list[cp_model.IntVar] = []
        self.extra: dict[str, cp_model.IntVar] = {}
        self.pinned = dict(pinned or {})
        self._known: dict[int, int] = {}  # values of constants, by index
        self._order: dict[tuple[int, int], cp_model.IntVar] = {}
        self._pairs: dict[tuple[int, int], cp_model.IntVar] = {}
        self._subsets: dict[tuple[int, int], cp_model.IntVar] = {}
        self._add_times()
        self._add_groups()

    def moment(self, name: str, reach: int) -> tuple[cp_model.IntVar, cp_model.IntVar]:
        """The (stage, slot) of a point in time up to `reach` stages from the anchor."""
        stage = self.model.new_int_var(-reach, reach, f"stage {name}")
        slot = self.model.new_int_var(0, self.highest - 1, f"slot {name}")
        if not self.fixed:
            self.model.add(slot < self.ii)
        return stage, slot

    def instant(self, start: int) -> tuple[cp_model.IntVar, cp_model.IntVar]:
        """The (stage, slot) of a point in time that is given, as constants of the model."""
        stage, slot = (self.model.new_constant(value) for value in divmod(start, self.lowest))
        self._known[slot.index] = start % self.lowest
        return stage, slot

    def settled(self, *ids: str) -> bool:
        """Whether all these ops are pinned, so that nothing between them is left to decide."""
        return all(id in self.pinned for id in ids)

    def times_ii(self, factor: cp_model.IntVar, low: int, high: int, name: str) -> cp_model.LinearExprT:
        """factor * ii, for a factor in [low, high]; linear when the interval is fixed."""
        if self.fixed:
            return factor * self.lowest
        product = self.model.new_int_var(min(low * self.highest, low * self.lowest), high * self.highest, name)
        self.model.add_multiplication_equality(product, [factor, self.ii])
        return product

    def after(self, a: cp_model.IntVar, b: cp_model.IntVar) -> cp_model.IntVar:
        """The literal slot a > slot b; one for each pair, shared by all rules that ask."""
        key = (a.index, b.index)
        if key in self._order:
            return self._order[key]
        if a.index in self._known and b.index in self._known:
            later = self._order[key] = self.model.new_constant(self._known[a.index] > self._known[b.index])
        else:
            later = self._order[key] = self.model.new_bool_var(f"{a.name} > {b.name}")
            self.model.add(a >= b + 1).only_enforce_if(later)
            self.model.add(a <= b).only_enforce_if(~later)
        return self._order[key]

    def precede(self, a: Moment, b: Moment, *, strictly: bool) -> None:
        """Moment a is before b (or at most as late) by stages and slots alone.

        Implied by the inequality of their times, but free of the product with ii, and in the terms in
        which copies of values are counted.
        """
        if strictly:
            self.model.add(b[0] - a[0] + self.after(b[1], a[1]) >= 1)
        else:
            self.model.add(b[0] - a[0] >= self.after(a[1], b[1]))

    def together(self, u: str, v: str) -> cp_model.IntVar | bool:
        """Whether ops u and v share a group: a constant where the grouping says so, else a literal.

        Where an op spans groups, the literal may be true without need.
        """
        known = self.grouping.together(u, v)
        if known is not None:
            return known
        a, b = sorted((self.grouping.class_of[u], self.grouping.class_of[v]))
        if (a, b) not in self._pairs:
            same = self._pairs[a, b] = self.model.new_bool_var(f"same {a} {b}")
            alone = self.grouping.spans(a) == self.grouping.spans(b) == 1
            for in_a, in_b in zip(self.member[a], self.member[b], strict=True):
                self.model.add_bool_or(~in_a, ~in_b, same)
                if not alone:
                    continue
                self.model.add_bool_or(~same, ~in_a, in_b)
                self.model.add_bool_or(~same, ~in_b, in_a)
        return self._pairs[a, b]

    def inside(self, src: str, dst: str) -> cp_model.IntVar | bool:
        """Whether dst runs only on groups of src, so that no hop is paid: a constant, or a literal.

        Where an op spans groups, the literal may be false without need.
        """
        known = self.grouping.inside(src, dst)
        if known is not None:
            return known
        a, b = self.grouping.class_of[src], self.grouping.class_of[dst]
        if self.grouping.spans(a) == self.grouping.spans(b) == 1:
            return self.together(src, dst)
        if (a, b) not in self._subsets:
            inside = self._subsets[a, b] = self.model.new_bool_var(f"{b} inside {a}")
            for in_a, in_b in zip(self.member[a], self.member[b], strict=True):
                self.model.add_bool_or(~inside, ~in_b, in_a)
        return self._subsets[a, b]

    def on(self, id: str, group: int) -> cp_model.IntVar:
        """The literal: op `id` runs on `group`."""
        return self.member[self.grouping.class_of[id]][group]

    def decode(self, values: Sequence[int]) -> Solution:
        """The solution that the values of all variables (by index) stand for."""
        ii = self.lowest if self.fixed else values[self.ii.index]
        start = {id: values[self.stage[id].index] * ii + values[slot.index] for id, slot in self.slot.items()}
        groups = {
            op.id: tuple(g for g, literal in enumerate(row) if values[literal.index])
            for ops, row in zip(self.grouping.classes, self.member, strict=True)
            for op in ops
        }
        return Solution(ii, start, groups, {id: values[extra.index] for id, extra in self.extra.items()})

    def encode(self, solution: Solution) -> dict[int, int]:
        """Values by index of the variables that a solution of the same interval decides: a hint.

        Its groups are renumbered in the order in which this model's classes open them.
        """
        values = {}
        for id, start in solution.start.items():
            values[self.stage[id].index], values[self.slot[id].index] = divmod(start, solution.ii)
        number: dict[int, int] = {}
        for ops, row in zip(self.grouping.classes, self.member, strict=True):
            on = {number.setdefault(group, len(number)) for group in solution.groups[ops[0].id]}
            for g, literal in enumerate(row):
                values[literal.index] = int(g in on)
        return values

    def _add_times(self) -> None:
        for op in self.problem.ops:
            if op.id in self.pinned:
                self.stage[op.id], self.slot[op.id] = self.instant(self.pinned[op.id])
                self.start[op.id] = self.pinned[op.id]
                continue
            stage, slot = self.moment(op.id, self.reach)
            if op.id == self.anchor:
                self.model.add(stage == 0)
                self.model.add(slot == 0)
            self.stage[op.id], self.slot[op.id] = stage, slot
            self.start[op.id] = self.times_ii(stage, -self.reach, self.reach, f"stage {op.id} * ii") + slot

    def _add_groups(self) -> None:
        """Each class is on as many groups as it spans.

        Groups are alike until used: class k opens group g only after 0..g-1.
        """
        groups, model = self.grouping, self.model
        for k in range(len(groups.classes)):
            row = [model.new_bool_var(f"class {k} on {g}") for g in range(groups.max_groups)]
            alone, settled = groups.spans(k) == 1, groups.settled(k)
            if alone:
                model.add_exactly_one(row)
            else:
                model.add(sum(row) == groups.spans(k))
            for g in settled or ():
                model.add(row[g] == 1)
            for g in range(1, groups.max_groups):
                model.add_bool_or(
                    ~row[g], *(self.member[j][g - 1] for j in range(k)), *(() if alone else (row[g - 1],))
                )
            self.member.append(row)
        for g in range(groups.max_groups):
            used = model.new_bool_var(f"group {g} used")
            model.add_max_equality(used, [row[g] for row in self.member])
            self.used.append(used)
        for a, b in sorted(groups.apart):
            for in_a, in_b in zip(self.member[a], self.member[b], strict=True):
                model.add_at_most_one(in_a, in_b)


def anchor(problem: Problem) -> str:
    """The op whose start is taken as time 0: the longest one on the unit that is busiest."""
    load: dict[str, int] = {}
    for op in problem.ops:
        load[op.unit] = load.get(op.unit, 0) + op.occupancy
    full = {unit: total / problem.limits.units[unit] for unit, total in load.items()}
    return max(problem.ops, key=lambda op: (full[op.unit], op.occupancy)).id


def horizon(problem: Problem, ii: int) -> int:
    """Stages by which an op need ever lie from the anchor, at `ii` or any longer interval.

    Where more stages without any op separate two parts of a schedule than the dependences between
    them ask for, the later part can move up a stage and nothing lives longer: `docs/formulation.md`.
    """
    latest = max((dep.latency + hop(problem, dep) for dep in problem.deps), default=0)
    farthest = max((dep.distance for dep in problem.deps), default=0)
    return max(1, len(problem.ops) - 1) * max(2 + -(-latest // ii), farthest + 1)

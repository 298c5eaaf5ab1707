"""The unknowns of the CP-SAT model: the interval, where each op starts, and which group it runs on."""

from __future__ import annotations

from dataclasses import dataclass, field

from ortools.sat.python import cp_model

from twill.schedule.problem import Problem
from twill.solve.grouping import Grouping, hop


@dataclass
class Variables:
    """One CP-SAT model of a problem with its decision variables; `constraints` and `objective` add to it.

    ii: an integer variable over [lowest, highest], a constant when the two are equal.
    slot, stage: of each op, 0 <= slot < ii; start = stage * ii + slot. The anchor, an op of the busiest
    unit, starts at 0, since a schedule may be shifted in time at will; other stages may be negative.
    member: member[k][g] says that class k runs on group g.
    """

    problem: Problem
    grouping: Grouping
    lowest: int
    highest: int
    model: cp_model.CpModel = field(default_factory=cp_model.CpModel)
    slot: dict[str, cp_model.IntVar] = field(default_factory=dict)
    stage: dict[str, cp_model.IntVar] = field(default_factory=dict)
    start: dict[str, cp_model.LinearExprT] = field(default_factory=dict)
    member: list[list[cp_model.IntVar]] = field(default_factory=list)
    used: list[cp_model.IntVar] = field(default_factory=list)
    producing: list[cp_model.LinearExprT] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.ii: cp_model.LinearExprT = (
            self.lowest if self.fixed else self.model.new_int_var(self.lowest, self.highest, "ii")
        )
        self.anchor = anchor(self.problem)
        self._order: dict[tuple[int, int], cp_model.IntVar] = {}
        self._pairs: dict[tuple[int, int], cp_model.IntVar] = {}
        self._add_times()
        self._add_groups()

    @property
    def fixed(self) -> bool:
        """Whether the interval is a constant of this model."""
        return self.lowest == self.highest

    @property
    def reach(self) -> int:
        return horizon(self.problem, self.lowest)

    def times_ii(self, factor: cp_model.IntVar, low: int, high: int, name: str) -> cp_model.LinearExprT:
        """factor * ii, for a factor in [low, high]; linear when the interval is fixed."""
        if self.fixed:
            return factor * self.lowest
        product = self.model.new_int_var(min(low * self.highest, low * self.lowest), high * self.highest, name)
        self.model.add_multiplication_equality(product, [factor, self.ii])
        return product

    def next_turn(self, slot: cp_model.IntVar, name: str) -> cp_model.LinearExprT:
        """slot + ii: the same slot one period later."""
        if self.fixed:
            return slot + self.lowest
        later = self.model.new_int_var(self.lowest, 2 * self.highest, name)
        self.model.add(later == slot + self.ii)
        return later

    def together(self, u: str, v: str) -> cp_model.IntVar | bool:
        """True when ops u and v share a group: a constant where the grouping says so, else a literal."""
        known = self.grouping.together(u, v)
        if known is not None:
            return known
        a, b = sorted((self.grouping.class_of[u], self.grouping.class_of[v]))
        if (a, b) not in self._pairs:
            same = self._pairs[a, b] = self.model.new_bool_var(f"same {a} {b}")
            for in_a, in_b in zip(self.member[a], self.member[b], strict=True):
                self.model.add_bool_or(~in_a, ~in_b, same)
                self.model.add_bool_or(~same, ~in_a, in_b)
                self.model.add_bool_or(~same, ~in_b, in_a)
        return self._pairs[a, b]

    def after(self, a: cp_model.IntVar, b: cp_model.IntVar) -> cp_model.IntVar:
        """The literal slot a > slot b; one per pair, shared by all rules that ask."""
        key = (a.index, b.index)
        if key not in self._order:
            later = self._order[key] = self.model.new_bool_var(f"{a.name} > {b.name}")
            self.model.add(a >= b + 1).only_enforce_if(later)
            self.model.add(a <= b).only_enforce_if(~later)
        return self._order[key]

    def on(self, id: str, group: int) -> cp_model.IntVar:
        """The literal: op `id` runs on `group`."""
        return self.member[self.grouping.class_of[id]][group]

    def _add_times(self) -> None:
        reach = self.reach
        for op in self.problem.ops:
            pinned = op.id == self.anchor
            slot = self.model.new_int_var(0, 0 if pinned else self.highest - 1, f"slot {op.id}")
            stage = self.model.new_int_var(0 if pinned else -reach, 0 if pinned else reach, f"stage {op.id}")
            if not self.fixed:
                self.model.add(slot < self.ii)
            self.slot[op.id], self.stage[op.id] = slot, stage
            self.start[op.id] = self.times_ii(stage, -reach, reach, f"stage {op.id} * ii") + slot

    def _add_groups(self) -> None:
        groups, model = self.grouping, self.model
        for k in range(len(groups.classes)):
            # Groups are alike until something is on them: class k opens group g only after groups 0..g-1.
            row = [
                model.new_bool_var(f"class {k} on {g}") if g <= k else model.new_constant(0)
                for g in range(groups.max_groups)
            ]
            model.add_exactly_one(row)
            if k < groups.clique and k < groups.max_groups:
                model.add(row[k] == 1)
            for g in range(1, min(k + 1, groups.max_groups)):
                model.add_bool_or(~row[g], *(self.member[j][g - 1] for j in range(k)))
            self.member.append(row)
        for g in range(groups.max_groups):
            column = [row[g] for row in self.member]
            used = model.new_bool_var(f"group {g} used")
            model.add_max_equality(used, column)
            self.used.append(used)
        for a, b in sorted(groups.apart):
            for in_a, in_b in zip(self.member[a], self.member[b], strict=True):
                model.add_at_most_one(in_a, in_b)


def anchor(problem: Problem) -> str:
    """The op whose start is taken as time 0: the longest one on the unit that is busiest."""
    load: dict[str, int] = {}
    for op in problem.ops:
        load[op.unit] = load.get(op.unit, 0) + op.occupancy
    full = {unit: total / max(1, problem.limits.units.get(unit, 1)) for unit, total in load.items()}
    return max(problem.ops, key=lambda op: (full[op.unit], op.occupancy)).id


def horizon(problem: Problem, ii: int) -> int:
    """Stages by which two ops need ever lie apart, at `ii` or any longer interval.

    Ops of one connected component can be moved together wherever more stages lie between two of
    them than any dependence between them asks for, without making a value or a buffer live
    longer: `docs/formulation.md`, "Horizon".
    """
    latest = max((dep.latency + hop(problem, dep) for dep in problem.deps), default=0)
    farthest = max((dep.distance for dep in problem.deps), default=0)
    return max(1, len(problem.ops) - 1) * max(1 + -(-latest // ii), farthest + 1)

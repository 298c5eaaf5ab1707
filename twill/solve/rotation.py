"""Groups that do the same: one decides for all, each starting a fixed part of the interval after the one before.

Sub-tiles are copies of each other, and the best schedules of many known kernels (ping-pong) run them alike,
an even share of the interval apart. Looking for such a schedule means placing the ops of one copy only: at slots
modulo that share the ops of a unit must not meet, since then those of the other copies do not either.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace

from ortools.sat.python import cp_model

from twill.schedule.problem import Dep, Op, Problem
from twill.solve.constraints import Constraints
from twill.solve.grouping import Grouping, grouping
from twill.solve.variables import Solution

ALIKE = 0.8  # share of its ops that a group has in common with the first of the copies, at least


@dataclass(frozen=True)
class Rotation:
    """The copies in a problem whose groups are all settled, at one interval.

    reduced: the problem with the first of the copies only, and with the ops that have no counterpart in
    some copy, all in its groups. Times of ops are those of the copy they belong to, counted from its turn.
    placed_by: op of the problem -> the op of `reduced` that places it. turn: cycles its copy comes after the first.
    late: dependence of `reduced` -> cycles by which the last copy of its end lies further from its begin.
    """

    problem: Problem
    reduced: Problem
    copies: int
    share: int
    placed_by: Mapping[str, str]
    turn: Mapping[str, int]
    repeated: frozenset[str]
    late: Mapping[Dep, int]

    def whole(self, solution: Solution) -> Solution:
        """A solution of `reduced` as one of the problem."""
        start = {op.id: solution.start[self.placed_by[op.id]] + self.turn[op.id] for op in self.problem.ops}
        of = grouping(self.problem)
        groups = {op.id: (of.class_of[op.id],) for op in self.problem.ops}
        return Solution(solution.ii, start, groups, {})

    def weight(self, op: Op) -> int:
        """How many rings stand for that of `op`."""
        return self.copies if op.id in self.repeated else 1

    def units(self, constraints: Constraints) -> None:
        """Rule 2, for all copies."""
        v = constraints.v
        ops = [op for op in self.reduced.ops if op.occupancy]
        within = {op.id: self._within_share(constraints, op) for op in ops if op.id in self.repeated}
        for unit in self.reduced.limits.units:
            repeated = [op for op in ops if op.unit == unit and op.id in self.repeated]
            others = [op for op in ops if op.unit == unit and op.id not in self.repeated]
            # Where shares do not fill the interval, two copies may come that much closer.
            constraints.apart(repeated, within, self.share, left=v.lowest - self.copies * self.share)
            if others:
                self._all_apart(constraints, repeated, others)

    def _within_share(self, constraints: Constraints, op: Op) -> cp_model.IntVar:
        """The slot of `op` modulo the share."""
        v = constraints.v
        if op.id in v.pinned:
            return v.instant(v.pinned[op.id] % v.lowest % self.share)[1]
        turns = v.model.new_int_var(0, self.copies - 1, f"turns of {op.id}")
        rest = v.model.new_int_var(0, self.share - 1, f"{op.id} within its share")
        v.model.add(v.slot[op.id] == self.share * turns + rest)
        return rest

    def _all_apart(self, constraints: Constraints, repeated: list[Op], others: list[Op]) -> None:
        """Every copy and the ops that have none, one after the other in each of two periods."""
        v, ii = constraints.v, constraints.v.lowest
        busy = []
        for op in (*repeated, *others):
            copies = range(self.copies) if op.id in self.repeated else (self.turn[op.id] // self.share,)
            for copy in copies:
                slot: cp_model.LinearExprT = v.slot[op.id]
                if copy:
                    wraps = v.model.new_bool_var(f"{op.id} in the next period in copy {copy}")
                    slot = v.model.new_int_var(0, ii - 1, f"slot {op.id} in copy {copy}")
                    v.model.add(slot == v.slot[op.id] + copy * self.share - ii * wraps)
                busy += [
                    v.model.new_fixed_size_interval_var(slot + period * ii, op.occupancy, f"{op.id} {copy} {period}")
                    for period in (0, 1)
                ]
        v.model.add_no_overlap(busy)


def rotation(problem: Problem, ii: int) -> Rotation | None:
    """The rotation of the groups of `problem` that do the same; None where there are no two of them.

    None as well where a unit that they use takes several ops at once, or where some op does not fit their share.
    """
    groups = grouping(problem)
    copies = _copies(groups)
    if len(copies) < 2:
        return None
    share = ii // len(copies)
    placed_by, turn = {op.id: op.id for op in problem.ops}, {op.id: 0 for op in problem.ops}
    shared = set.intersection(*(set(copy) for copy in copies))
    repeated = frozenset(copies[0][key] for key in shared)
    for count, copy in enumerate(copies):
        turn |= dict.fromkeys(copy.values(), count * share)
        placed_by |= {copy[key]: copies[0][key] for key in shared}
    _join_users(problem, set().union(*(copy.values() for copy in copies)), turn)
    if not _fits(problem, placed_by, repeated, share, ii - len(copies) * share):
        return None
    longest: dict[tuple[str, str, int], Dep] = {}
    late: dict[tuple[str, str, int], int] = defaultdict(int)
    for dep in problem.deps:
        key = (placed_by[dep.src], placed_by[dep.dst], dep.distance)
        behind = turn[dep.dst] - turn[dep.src]
        moved = replace(dep, src=key[0], dst=key[1], latency=dep.latency - behind)
        late[key] = max(late[key], behind)
        if key not in longest or longest[key].latency < moved.latency:
            longest[key] = moved
    kept = [op for op in problem.ops if placed_by[op.id] == op.id]
    home = {id for copy in copies for id in copy.values()}
    sets = [tuple(op.id for op in kept if op.id in home)]
    sets += [tuple(op.id for op in ops if op.id not in home) for ops in groups.classes]
    sets = [ids for ids in sets if ids]
    reduced = replace(
        problem,
        ops=tuple(kept),
        deps=tuple(longest.values()),
        colocate=tuple(sets),
        separate=(tuple(ids[0] for ids in sets),) if len(sets) > 1 else (),
    )
    behind_of = {dep: late[dep.src, dep.dst, dep.distance] for dep in reduced.deps}
    return Rotation(problem, reduced, len(copies), share, placed_by, turn, repeated, behind_of)


def _copies(groups: Grouping) -> list[dict[tuple[object, ...], str]]:
    """The groups that do the same as the one with the most ops: what an op is, and the how manieth -> the op."""
    rows = []
    for k, ops in enumerate(groups.classes):
        if not groups.producer(k) and groups.spans(k) == 1:
            seen: dict[tuple[object, ...], str] = {}
            count: dict[tuple[object, ...], int] = defaultdict(int)
            for op in ops:
                kind = (op.unit, op.occupancy, op.issue, op.latency, op.registers, op.smem_bytes, op.tmem_columns)
                seen[*kind, count[kind]] = op.id
                count[kind] += 1
            rows.append(seen)
    first = max(rows, key=len, default={})
    return [first, *(row for row in rows if row is not first and len(row.keys() & first.keys()) >= ALIKE * len(first))]


def _fits(problem: Problem, placed_by: Mapping[str, str], repeated: frozenset[str], share: int, left: int) -> bool:
    """Whether any op without a copy can find room on its unit between what every share repeats."""
    taken: dict[str, int] = defaultdict(int)
    for op in map(problem.op, repeated):
        taken[op.unit] += op.occupancy
        if problem.limits.units[op.unit] != 1 or op.occupancy + left > share:
            return False
    rest = [op for op in problem.ops if op.occupancy and op.unit in taken and placed_by[op.id] not in repeated]
    return all(op.occupancy <= share + left - taken[op.unit] for op in rest)


def _join_users(problem: Problem, home: set[str], turn: dict[str, int]) -> None:
    """Ops outside of the copies belong to the first of those that use them."""
    users: dict[str, list[str]] = defaultdict(list)
    for dep in problem.deps:
        users[dep.src].append(dep.dst)
    for op in problem.ops:
        if op.id not in home:
            turn[op.id] = min((turn[id] for id in users[op.id] if id in home), default=0)

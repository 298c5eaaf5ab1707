"""Rules 1 to 6 as CP-SAT constraints, one method a rule; `add_constraints` is the index of the model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import combinations

from ortools.sat.python import cp_model

from twill.schedule.problem import Dep, Op
from twill.solve.budgets import Budgets
from twill.solve.buffers import Buffers
from twill.solve.grouping import hop
from twill.solve.lives import Lives
from twill.solve.variables import Variables


class Constraints:
    """Adds the rules of a schedule to the model of `variables`.

    extra: for each ring written by an op of variable latency, depth beyond what lives need (0 or 1).
    foreign: (value, group) -> the literal that the group uses the value and does not define it.
    """

    def __init__(self, variables: Variables) -> None:
        self.v = variables
        self.model = variables.model
        self.problem = variables.problem
        self.extra = variables.extra
        self.lives = Lives(variables)
        self.foreign = self.lives.foreign
        self.buffers = Buffers(variables, self.lives)

    def add_constraints(self) -> Constraints:
        self.timing()
        self.registers()
        self.buffers.add_constraints()
        return self

    def timing(self, units: Callable[[Constraints], None] | None = None) -> None:
        """Rules 1 to 3: when ops start, whatever they hold. units: adds rule 2 in another way."""
        self.dependence()
        (units or Constraints.units)(self)
        self.streams()

    def dependence(self) -> None:
        """Rule 1: start(v) + distance * ii >= start(u) + latency + hop * [groups differ].

        A result is used when it is there and visible in the group that uses it. With the depth of its
        ring, decided by rule 6, a recurrence of a ring reaches `depth - 1` iterations further.
        """
        for dep in self.problem.deps:
            if self.v.settled(dep.src, dep.dst) and not dep.ring:
                continue
            self.model.add(self.gap(dep) >= dep.latency + self.hop_term(dep))
            if dep.src != dep.dst and dep.latency >= 0:
                further = self.buffers.depth(dep.dst) - 1 if dep.ring else 0
                later = (self.v.stage[dep.dst] + dep.distance + further, self.v.slot[dep.dst])
                self.v.precede((self.v.stage[dep.src], self.v.slot[dep.src]), later, strictly=dep.latency > 0)

    def units(self) -> None:
        """Rule 2: at each slot, sum over a unit's ops of the times [start, start + occupancy) covers it <= capacity."""
        for unit, capacity in self.problem.limits.units.items():
            ops = [op for op in self.problem.ops if op.unit == unit and op.occupancy > 0]
            if capacity == 1:
                self._exclusive(ops)
            elif len(ops) > capacity or any(op.occupancy > self.v.lowest for op in ops):
                self._shared(ops, capacity)

    def _exclusive(self, ops: list[Op]) -> None:
        """One op at a time on a unit of capacity 1."""
        self.apart(ops, self.v.slot, self.v.ii)
        if any(op.id == self.v.anchor for op in ops):
            for op in ops:  # the anchor's start at slot 0 cuts the period open
                self.model.add(self.v.slot[op.id] + op.occupancy <= self.v.ii)

    def apart(
        self, ops: list[Op], slot: Mapping[str, cp_model.IntVar], period: cp_model.LinearExprT, left: int = 0
    ) -> None:
        """Of two of these ops, the later slot waits for the earlier one, and in the next period too.

        left: cycles that stay free behind each op.
        """
        for a, b in combinations(ops, 2):
            if self.v.settled(a.id, b.id):
                continue
            later = self.v.after(slot[a.id], slot[b.id])
            for first, then, given in ((b, a, later), (a, b, ~later)):
                self.model.add(slot[then.id] >= slot[first.id] + first.occupancy + left).only_enforce_if(given)
                self.model.add(slot[first.id] + period >= slot[then.id] + then.occupancy + left).only_enforce_if(given)
        # Implied by the pairs, but CP-SAT reasons on the whole unit when told.
        busy = [self.model.new_fixed_size_interval_var(slot[op.id], op.occupancy, f"{op.id} busy") for op in ops]
        self.model.add_no_overlap(busy)

    def _shared(self, ops: list[Op], capacity: int) -> None:
        """Whole turns of an op count at every slot; the rest is laid out on two periods.

        In the second period whatever ran over the end of the first is seen where it belongs.
        """
        intervals, whole = [], []
        for op in ops:
            turns, rest = self._turns(op)
            whole.append(turns)
            for shift in (0, 1):
                begin = self.model.new_int_var(0, 2 * self.v.highest, f"{op.id} begins {shift}")
                end = self.model.new_int_var(0, 3 * self.v.highest, f"{op.id} ends {shift}")
                self.model.add(begin == self.v.slot[op.id] + shift * self.v.ii)
                intervals.append(self.model.new_interval_var(begin, rest, end, f"{op.id} busy {shift}"))
        free = self.model.new_int_var(0, capacity, "capacity left by whole turns")
        self.model.add(free == capacity - sum(whole))
        self.model.add_cumulative(intervals, [1] * len(intervals), free)

    def _turns(self, op: Op) -> tuple[cp_model.LinearExprT, cp_model.LinearExprT]:
        """occupancy = turns * ii + rest, 0 <= rest <= ii."""
        if op.occupancy <= self.v.lowest:
            return 0, op.occupancy
        if self.v.fixed:
            return divmod(op.occupancy, self.v.lowest)
        most = op.occupancy // self.v.lowest
        turns = self.model.new_int_var(0, most, f"{op.id} turns")
        rest = self.model.new_int_var(0, self.v.highest, f"{op.id} rest")
        self.model.add(rest <= self.v.ii)
        self.model.add(self.v.times_ii(turns, 0, most, f"{op.id} turns * ii") + rest == op.occupancy)
        return turns, rest

    def streams(self) -> None:
        """Rule 3: slot(v) of a blocking wait is not strictly inside (slot(o), slot(o) + issue(o)) modulo ii.

        The wait stops its group's one instruction stream, so no other op may be in the middle of its
        issue: slot(v) >= slot(o) + issue(o) when after it, else slot(v) >= slot(o) + issue(o) - ii.
        """
        waiting = {dep.dst for dep in self.problem.deps if dep.blocking}
        for v in (op.id for op in self.problem.ops if op.id in waiting):
            for o in self.problem.ops:
                together = self.v.together(v, o.id)
                if o.id == v or o.issue < 2 or together is False or self.v.settled(v, o.id):
                    continue
                wait, issue = self.v.slot[v], self.v.slot[o.id]
                later = self.v.after(wait, issue)
                given = [] if together is True else [together]
                self.model.add(wait >= issue + o.issue).only_enforce_if(later, *given)
                self.model.add(wait >= issue + o.issue - self.v.ii).only_enforce_if(~later, *given)

    def registers(self) -> None:
        """Rule 5: at each slot, sum over the values living in a group of copies * registers <= its registers.

        The sum only grows where a value begins, so it is bounded at those slots.
        """
        budgets = Budgets(self.v)
        for g in range(self.v.grouping.max_groups):
            here = self.lives.in_group(g)
            cap = budgets.cap(g) if here else 0
            for event in here:
                total = sum(life.op.registers * self.lives.copies(life, event.slot) for life in here)
                bound = self.model.add(total <= cap)
                if event.alive is not True:
                    bound.only_enforce_if(event.alive)
        budgets.fit_file()

    def gap(self, dep: Dep) -> cp_model.LinearExprT:
        """start(v) + distance * ii - start(u), and (depth(v) - 1) * ii more where the ring of v carries it."""
        gap = self.v.start[dep.dst] + dep.distance * self.v.ii - self.v.start[dep.src]
        return gap + self.buffers.reach(dep.dst) - self.v.ii if dep.ring else gap

    def hop_term(self, dep: Dep) -> cp_model.LinearExprT:
        """The hop of `dep`, paid when dst runs on a group that src does not run on."""
        inside = self.v.inside(dep.src, dep.dst)
        if isinstance(inside, bool):
            return 0 if inside else hop(self.problem, dep)
        return hop(self.problem, dep) * (1 - inside)

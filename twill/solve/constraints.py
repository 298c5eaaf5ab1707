"""Rules 1 to 6 as CP-SAT constraints, one method a rule; `add_constraints` is the index of the model."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from itertools import combinations

from ortools.sat.python import cp_model

from twill.schedule.problem import Dep, Op
from twill.solve.grouping import hop
from twill.solve.lives import Lives
from twill.solve.variables import Variables

# The parts of the model that can be left out to see what an infeasible one fails on. "groups" are
# the colocate and separate sets and max_groups, which the grouping holds; dependences always stay.
FAMILIES = ("units", "streams", "roles", "registers", "shared memory", "tensor memory", "groups")


class Constraints:
    """Adds the rules of a schedule to the model of `variables`, but for the families left out."""

    def __init__(self, variables: Variables, families: Collection[str] = FAMILIES) -> None:
        self.v = variables
        self.model = variables.model
        self.problem = variables.problem
        self.families = families
        self.extra = variables.extra
        self.foreign: dict[tuple[str, int], cp_model.IntVar] = {}
        self.consumer_cap: cp_model.LinearExprT = self.problem.limits.registers_per_thread

    def add_constraints(self) -> Constraints:
        self.dependence()
        if "units" in self.families:
            self.units()
        if "streams" in self.families:
            self.streams()
        if "roles" in self.families:
            self.roles()
        if "registers" in self.families:
            self.registers()
        self.rings()
        return self

    def dependence(self) -> None:
        """Rule 1: start(v) + distance * ii >= start(u) + latency + hop * [groups differ].

        A result is used when it is there and visible in the group that uses it.
        """
        for dep in self.problem.deps:
            self.model.add(self.gap(dep) >= dep.latency + self.hop_term(dep))
            if dep.src != dep.dst:
                later = (self.v.stage[dep.dst] + dep.distance, self.v.slot[dep.dst])
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
        """Of two ops on a unit of capacity 1, the later slot waits for the earlier one, and in the next period too."""
        slot, ii = self.v.slot, self.v.ii
        for a, b in combinations(ops, 2):
            later = self.v.after(slot[a.id], slot[b.id])
            for first, then, given in ((b, a, later), (a, b, ~later)):
                self.model.add(slot[then.id] >= slot[first.id] + first.occupancy).only_enforce_if(given)
                self.model.add(slot[first.id] + ii >= slot[then.id] + then.occupancy).only_enforce_if(given)
        # Implied by the pairs, but CP-SAT reasons on the whole unit when told.
        busy = [self.model.new_fixed_size_interval_var(slot[op.id], op.occupancy, f"{op.id} busy") for op in ops]
        self.model.add_no_overlap(busy)
        if any(op.id == self.v.anchor for op in ops):
            for op in ops:  # the anchor's start at slot 0 cuts the period open
                self.model.add(slot[op.id] + op.occupancy <= ii)

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
                if o.id == v or o.issue < 2 or together is False:
                    continue
                wait, issue = self.v.slot[v], self.v.slot[o.id]
                later = self.v.after(wait, issue)
                given = [] if together is True else [together]
                self.model.add(wait >= issue + o.issue).only_enforce_if(later, *given)
                self.model.add(wait >= issue + o.issue - self.v.ii).only_enforce_if(~later, *given)

    def roles(self) -> None:
        """Rule 4: warps(group) = max of min_warps; their sum <= max_warps; producers' registers come off the file.

        8 * 32 * other warps * (cap / 8) <= register_file - 128 * ceil(producer warps / 4) * producer_registers.
        That variable latency stays apart from fixed is in the grouping already.
        """
        grouping, limits, model = self.v.grouping, self.problem.limits, self.model
        totals = {}
        for producer, role in ((True, "producer"), (False, "other")):
            kinds = [k for k in range(len(grouping.classes)) if grouping.producer(k) == producer]
            most = max((grouping.warps(k) for k in kinds), default=0)
            warps = [model.new_int_var(0, most, f"{role} warps {g}") for g in range(grouping.max_groups)]
            for g, count in enumerate(warps):
                for k in kinds:
                    model.add(count >= grouping.warps(k) * self.v.member[k][g])
            totals[producer] = model.new_int_var(0, limits.max_warps, f"{role} warps")
            model.add(totals[producer] == sum(warps))
        model.add(totals[True] + totals[False] <= limits.max_warps)
        fours = model.new_int_var(0, -(-limits.max_warps // 4), "producer warps in fours")
        model.add(4 * fours >= totals[True])
        model.add(128 * limits.producer_registers * fours <= limits.register_file)
        if not any(op.registers for op in self.problem.ops):
            return
        self.consumer_cap = model.new_int_var(0, limits.registers_per_thread, "register cap")
        choices = []
        for four in range(-(-limits.max_warps // 4) + 1):
            left = limits.register_file - 128 * four * limits.producer_registers
            for count in range(limits.max_warps + 1) if left >= 0 else ():
                choices.append((four, count, min(limits.registers_per_thread, 8 * (left // (256 * max(1, count))))))
        model.add_allowed_assignments([fours, totals[False], self.consumer_cap], choices)

    def registers(self) -> None:
        """Rule 5: at each slot, sum over the values living in a group of copies * registers <= cap(group).

        The sum only grows where a value begins, so it is bounded at those slots.
        """
        lives = Lives(self.v)
        for g in range(self.v.grouping.max_groups):
            here = lives.in_group(g)
            cap = self._cap(g) if here else 0
            for event in here:
                total = sum(life.registers * lives.copies(life, event.slot) for life in here)
                bound = self.model.add(total <= cap)
                if event.alive is not True:
                    bound.only_enforce_if(event.alive)
        self.foreign = lives.foreign

    def _cap(self, group: int) -> cp_model.LinearExprT:
        """Registers per thread of a group: producer_registers when it holds an op of variable latency."""
        if "roles" not in self.families:
            return self.consumer_cap
        limits = self.problem.limits
        cap = self.model.new_int_var(0, max(limits.registers_per_thread, limits.producer_registers), f"cap {group}")
        for k, row in enumerate(self.v.member):
            most = limits.producer_registers if self.v.grouping.producer(k) else self.consumer_cap
            self.model.add(cap <= most).only_enforce_if(row[group])
        return cap

    def rings(self) -> None:
        """Rule 6: depth(u) * ii >= start(v) + distance * ii + completion(v) - start(u); depths * sizes fit the memory.

        A buffer may be written again when its last consumer has completed. `extra` is depth beyond that,
        for the goal of ring slack.
        """
        limits, ops = self.problem.limits, [op for op in self.problem.ops if op.smem_bytes > 0 or op.tmem_columns > 0]
        deps: dict[str, list[Dep]] = defaultdict(list)
        for dep in self.problem.deps:
            deps[dep.src].append(dep)
        depth = {op.id: self._depth(op, deps[op.id]) for op in ops}
        for memory, limit, size in (
            ("shared memory", limits.smem_bytes, "smem_bytes"),
            ("tensor memory", limits.tmem_columns, "tmem_columns"),
        ):
            if memory in self.families:
                self.model.add(
                    sum((depth[op.id] + self.extra.get(op.id, 0)) * getattr(op, size) for op in ops) <= limit
                )

    def _depth(self, op: Op, deps: list[Dep]) -> cp_model.IntVar:
        longest = max(each.completion for each in self.problem.ops)
        most = 2 * self.v.reach + 2 + max((dep.distance for dep in deps), default=0) + -(-longest // self.v.lowest)
        depth = self.model.new_int_var(1, most, f"depth {op.id}")
        if op.variable_latency:
            self.extra[op.id] = self.model.new_bool_var(f"extra depth {op.id}")
        life = self.v.times_ii(depth, 1, most, f"depth {op.id} * ii")
        for dep in deps:
            self.model.add(life >= self.gap(dep) + self.problem.op(dep.dst).completion)
        if not deps:
            self.model.add(life >= op.completion)
        return depth

    def gap(self, dep: Dep) -> cp_model.LinearExprT:
        """start(v) + distance * ii - start(u)."""
        return self.v.start[dep.dst] + dep.distance * self.v.ii - self.v.start[dep.src]

    def hop_term(self, dep: Dep) -> cp_model.LinearExprT:
        """The hop of `dep`, paid when its ends are on different groups."""
        together = self.v.together(dep.src, dep.dst)
        if isinstance(together, bool):
            return 0 if together else hop(self.problem, dep)
        return hop(self.problem, dep) * (1 - together)

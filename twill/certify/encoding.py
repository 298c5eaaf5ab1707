"""Rules 1 to 6 for Z3, written apart from the solver's model: of `twill` it shares only the problem.

Every rule is a set of assertions over differences of stages and of slots (`times`), Booleans of
groups (`places`), and sums of weighted Booleans. There are no ends of lives and no bounds on stages:
a life has n copies at a slot if one of its uses makes it so long.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from itertools import combinations

import z3

from twill.certify.logic import Term, all_of, any_of, at_most, no
from twill.certify.memory import Memory
from twill.certify.places import Places
from twill.certify.registers import Registers
from twill.certify.times import Moment, Times
from twill.schedule.problem import Op, Problem


class Encoding:
    """The assertions that every schedule with an interval in [low, high] satisfies (high None: any from low on).

    detail: copies of a value and slots of a ring are counted up to this many. Where a limit would
    allow more, what exceeds it is not seen: no schedule is lost, and one that is found may break the limit.
    over: asked while the assertions are built, which takes minutes for hundreds of ops at liberty;
    once it says so, OutOfTime is raised.
    """

    def __init__(
        self, problem: Problem, low: int, high: int | None, detail: int, over: Callable[[], bool] = lambda: False
    ) -> None:
        self.context = z3.Context()
        self.problem = problem
        self.times = Times(problem, low, high, self.context)
        self.places = Places(problem, self.context)
        self.times.pin(_busiest(problem).id)
        self.memory = Memory(problem, self.times, self.places, detail)
        self.registers = Registers(problem, self.times, self.places, detail, over)

    def assertions(self) -> list[z3.BoolRef]:
        """All of it; a contradiction that needs no search is one assertion, false."""
        rules = [*self.dependence(), *self.units(), *self.streams(), *self.registers.assertions()]
        rules += self.memory.assertions()
        rules += [*self.times.rules, *self.places.rules]  # last: the rules above made literals of theirs
        return [
            z3.BoolVal(rule, self.context) if isinstance(rule, bool) else rule for rule in rules if rule is not True
        ]

    def dependence(self) -> list[Term]:
        """Rule 1: start(v) + distance * ii >= start(u) + latency + hop, each further slot of a ring adding an ii."""
        limits, rules = self.problem.limits, []
        for dep in self.problem.deps:
            value = self.problem.op(dep.src).registers > 0 and not dep.ring
            hop = limits.value_hop if value else limits.signal_hop
            inside = self.places.inside(dep.src, dep.dst) if hop else True
            for wait, given in ((dep.latency, True), (dep.latency + hop, no(inside))):
                u = Moment(dep.src)
                if not dep.ring:
                    late = self.times.apart(u, Moment(dep.dst, dep.distance), wait)
                else:
                    deep_enough = [
                        all_of([deep, self.times.apart(u, Moment(dep.dst, dep.distance + depth - 1), wait)])
                        for depth, deep in self.memory.depths(dep.dst)
                    ]
                    late = any_of([*deep_enough, self.memory.beyond(dep.dst)])
                rules.append(any_of([no(given), late]))
        return rules

    def units(self) -> list[Term]:
        """Rule 2: where an op begins, at most `capacity` ops of its unit are; only there their number grows."""
        times, by_unit = self.times, defaultdict(list)
        for op in self.problem.ops:
            if op.occupancy > 0:
                by_unit[op.unit].append(op)
        rules: list[Term] = []
        for unit, ops in by_unit.items():
            capacity = self.problem.limits.units[unit]
            if capacity == 1:  # the later slot after the earlier, and the earlier of the next turn after the later
                rules += [times.slots(op.id, op.id, op.occupancy, 1) for op in ops]
                for a, b in combinations(ops, 2):
                    first = [times.slots(a.id, b.id, a.occupancy), times.slots(b.id, a.id, b.occupancy, 1)]
                    then = [times.slots(b.id, a.id, b.occupancy), times.slots(a.id, b.id, a.occupancy, 1)]
                    rules.append(any_of([all_of(first), all_of(then)]))
                continue
            for at in ops:
                there = []
                for op in ops:
                    begin, end = Moment(op.id), Moment(op.id, 0, op.occupancy)
                    for count in range(1, capacity + 2):
                        there.append((times.copies(begin, end, at.id, count), 1))
                rules.append(at_most(there, capacity))
        return rules

    def streams(self) -> list[Term]:
        """Rule 3: a blocking wait is strictly inside no issue window of its groups, in this turn or the last."""
        waiting = {dep.dst for dep in self.problem.deps if dep.blocking}
        rules: list[Term] = []
        for v in (op.id for op in self.problem.ops if op.id in waiting):
            for o in self.problem.ops:
                if o.id != v and o.issue > 1:
                    after = self.times.slots(o.id, v, o.issue)
                    before = all_of([self.times.slots(v, o.id, 0), self.times.slots(o.id, v, o.issue, 1)])
                    rules.append(any_of([no(self.places.share(v, o.id)), after, before]))
        return rules


def _busiest(problem: Problem) -> Op:
    """The longest op of the unit with the most work."""
    work: dict[str, float] = defaultdict(float)
    for op in problem.ops:
        work[op.unit] += op.occupancy / problem.limits.units[op.unit]
    return max(problem.ops, key=lambda op: (work[op.unit], op.occupancy))

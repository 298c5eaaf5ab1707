"""The tiers of the objective as CP-SAT expressions over a model with a fixed interval."""

from __future__ import annotations

from dataclasses import dataclass

from ortools.sat.python import cp_model

from twill.solve.constraints import Constraints


@dataclass(frozen=True)
class Goal:
    """One tier: an expression to minimize and the least it can be; a tier's value is sign * expression + offset."""

    name: str
    expression: cp_model.LinearExprT
    least: int
    sign: int = 1
    offset: int = 0

    def value(self, minimized: int) -> int:
        """The tier's value as people read it."""
        return self.sign * minimized + self.offset

    def minimized(self, value: int) -> int:
        """The expression's value where the tier's is `value`."""
        return self.sign * (value - self.offset)


class Objective:
    """Builds the goal of each tier, by name."""

    def __init__(self, constraints: Constraints) -> None:
        self.c = constraints
        self.v = constraints.v
        self.model = constraints.model
        self.problem = constraints.problem

    def goals(self, tiers: tuple[str, ...]) -> list[Goal]:
        """The goals of the tiers named, in that order."""
        methods = {
            "slack": self.slack,
            "total time": self.total_time,
            "register traffic": self.traffic,
            "groups": self.groups,
            "ring slack": self.ring_slack,
        }
        return [methods[name]() for name in tiers]

    def total_time(self) -> Goal:
        """(trip_count - 1) * ii + max over ops (start + completion) - min over ops start."""
        longest = max(op.completion for op in self.problem.ops)
        furthest = (self.v.reach + 1) * self.v.highest + longest
        first = self.model.new_int_var(-furthest, 0, "first start")
        last = self.model.new_int_var(0, furthest, "last completion")
        for op in self.problem.ops:
            self.model.add(self.v.start[op.id] >= first)
            self.model.add(self.v.start[op.id] + op.completion <= last)
        length = self.model.new_int_var(longest, 2 * furthest, "length")
        self.model.add(length == last - first)
        return Goal("total time", length, longest, offset=(self.problem.trip_count - 1) * self.v.lowest)

    def traffic(self) -> Goal:
        """Sum over values and groups that use them without defining them of the value's registers."""
        moved = [self.problem.op(id).registers * literal for (id, _), literal in self.c.foreign.items()]
        return Goal("register traffic", sum(moved), 0)

    def groups(self) -> Goal:
        """Number of groups with an op on them."""
        return Goal("groups", sum(self.v.used), max(1, min(self.v.grouping.least_groups, len(self.v.used))))

    def slack(self) -> Goal:
        """min(ii, least of start(v) + distance * ii - start(u) - latency - hop), over the blocking dependences
        on ops of fixed latency.

        A result later than its latency by no more than this stalls nobody.
        """
        late = self.model.new_int_var(-self.v.highest, 0, "minus the slack")
        for dep in self.problem.deps:
            if dep.blocking and not dep.ring and not self.problem.op(dep.src).variable_latency:
                self.model.add(self.c.gap(dep) - dep.latency - self.c.hop_term(dep) >= -late)
        return Goal("slack", late, -self.v.highest, sign=-1)

    def ring_slack(self) -> Goal:
        """Sum of depth beyond what lifetimes need, at most 1 for each ring written by an op of variable latency."""
        extra = list(self.c.extra.values())
        return Goal("ring slack", -sum(extra), -len(extra), sign=-1)

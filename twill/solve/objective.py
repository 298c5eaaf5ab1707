"""The tiers of the objective after the interval, each an expression to make as small or as large as it goes."""

from __future__ import annotations

from dataclasses import dataclass

from ortools.sat.python import cp_model

from twill.solve.constraints import Constraints


@dataclass(frozen=True)
class Goal:
    """One tier: its name, its expression (always minimized; `sign` -1 where more is better) and the least it can be."""

    name: str
    expression: cp_model.LinearExprT
    least: int
    sign: int = 1
    offset: int = 0

    def value(self, minimum: int) -> int:
        """The tier's value as people read it, from the minimized expression."""
        return self.sign * minimum + self.offset


class Objective:
    """The goals of a model with a fixed interval, in the order of the tiers."""

    def __init__(self, constraints: Constraints) -> None:
        self.c = constraints
        self.v = constraints.v
        self.model = constraints.model
        self.problem = constraints.problem

    def goals(self) -> list[Goal]:
        return [self.total_time(), self.traffic(), self.groups(), self.slack(), self.ring_slack()]

    def total_time(self) -> Goal:
        """(trip_count - 1) * ii + max over ops (start + completion) - min over ops start."""
        furthest = (self.v.reach + 2) * self.v.highest + max(op.completion for op in self.problem.ops)
        first = self.model.new_int_var(-furthest, 0, "first start")
        last = self.model.new_int_var(0, furthest, "last completion")
        for op in self.problem.ops:
            self.model.add(self.v.start[op.id] >= first)
            self.model.add(self.v.start[op.id] + op.completion <= last)
        length = self.model.new_int_var(max(op.completion for op in self.problem.ops), 2 * furthest, "length")
        self.model.add(length == last - first)
        return Goal("total time", length, max(op.completion for op in self.problem.ops), 1, (self.problem.trip_count - 1) * self.v.lowest)

    def traffic(self) -> Goal:
        """Sum over values and groups that use them without defining them of the value's registers."""
        moved = [self.problem.op(id).registers * literal for (id, _), literal in self.c.foreign.items()]
        return Goal("register traffic", sum(moved), 0)

    def groups(self) -> Goal:
        return Goal("groups", sum(self.v.used), max(1, min(self.v.grouping.clique, len(self.v.used))))

    def slack(self) -> Goal:
        """min(ii, least over blocking dependences of start(v) + distance * ii - start(u) - latency - hop).

        A result that comes later than its latency by no more than this stalls nobody.
        """
        late = self.model.new_int_var(-self.v.highest, 0, "minus the slack")
        for dep in self.problem.deps:
            if dep.blocking:
                self.model.add(self.c.gap(dep) - dep.latency - self.c.hop_term(dep) >= -late)
        return Goal("slack of waits", late, -self.v.highest, -1)

    def ring_slack(self) -> Goal:
        """Sum over rings written by ops of variable latency of the depth beyond what lifetimes need, at most 1 each."""
        extra = [literal for id, literal in self.c.extra.items() if self.problem.op(id).variable_latency]
        return Goal("ring slack", -sum(extra), -len(extra), -1)

"""No-goods: a model with a fixed interval whose solutions are all genuinely different from those excluded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ortools.sat.python import cp_model

from twill.schedule.problem import Dep
from twill.solve.constraints import Constraints
from twill.solve.grouping import hop
from twill.solve.objective import Goal
from twill.solve.signature import Cycle, Signature, descents
from twill.solve.variables import Solution


@dataclass(frozen=True)
class Excluded:
    """A signature with what its schedule scores, as minimized, tier by tier.

    groups: numbers for its groups as a solution has them; needed only where ops span groups, since they
    are unique elsewhere.
    """

    signature: Signature
    scores: tuple[int, ...]
    groups: Mapping[str, tuple[int, ...]] | None = None


class Exclusions:
    """Adds to a model, for each schedule excluded, that a solution is another one.

    Every literal here implies its difference; none is implied by it, since clauses only ask for one.
    Literals are shared among the schedules excluded.
    """

    def __init__(self, constraints: Constraints, goals: Sequence[Goal]) -> None:
        self.c = constraints
        self.v = constraints.v
        self.model = constraints.model
        self.problem = constraints.problem
        self.ii = constraints.v.lowest
        self.goals = goals
        self.wanted = [self.model.new_bool_var(f"{what} unlike all") for what in ("roles", "units", "streams")]
        self._literals: dict[object, cp_model.IntVar] = {}

    def add(self, excluded: Excluded) -> None:
        """Other groups, or another order in the same ones; or other stages or depths, and for a reason.

        The reason is that no tier is worse, or that one is better: what only comes an iteration later, or has
        a slot less, is no alternative.
        """
        signature = excluded.signature
        on_units, in_streams = [cycle for _, cycle in signature.units], signature.streams
        roles = self._roles(excluded)
        orders = [self._order(cycle) for cycle in (*on_units, *in_streams) if len(cycle) > 2]
        stages = [
            self._stage(cycle[0][0], id, behind) for cycle in (*on_units, *in_streams) for id, behind in cycle[1:]
        ]
        depths = [self._depth(id, depth) for id, depth in signature.depths]
        shifted = self._either(*stages, *depths)
        self.model.add_bool_or(~shifted, *self._reasons(excluded.scores))
        self.model.add_bool_or(*roles, *orders, shifted)
        units = [self._order(cycle) for cycle in on_units if len(cycle) > 2]
        for wanted, literals in zip(self.wanted, (roles, units, [*orders, *stages]), strict=True):
            self.model.add_bool_or(~wanted, *literals)

    def _reasons(self, scores: tuple[int, ...]) -> list[cp_model.IntVar]:
        """A tier is better, or all are at least as good."""
        if ("as good", scores) not in self._literals:
            as_good = self._literals["as good", scores] = self.model.new_bool_var(f"as good as {scores}")
            for goal, score in zip(self.goals, scores, strict=True):
                self.model.add(goal.expression <= score).only_enforce_if(as_good)
        reasons = [self._literals["as good", scores]]
        for goal, score in zip(self.goals, scores, strict=True):
            key = ("better", goal.name, score)
            if key not in self._literals:
                better = self._literals[key] = self.model.new_bool_var(f"{goal.name} under {score}")
                self.model.add(goal.expression <= score - 1).only_enforce_if(better)
            reasons.append(self._literals[key])
        return reasons

    def unlike(self) -> cp_model.LinearExprT:
        """To maximize: roles that none of the signatures has count most, then other orders on units, then in groups."""
        return sum(weight * wanted for weight, wanted in zip((4, 2, 1), self.wanted, strict=True))

    def _roles(self, excluded: Excluded) -> list[cp_model.LiteralT]:
        """Some op is not on the groups it is on there; classes open groups in order, so their numbers say which."""
        roles = excluded.signature.roles
        groups = excluded.groups or {
            op.id: tuple(g for g, ids in enumerate(roles) if op.id in ids) for op in self.problem.ops
        }
        on = self.v.encode(Solution(self.ii, {}, groups, {}))
        return [~literal for row in self.v.member for literal in row if on[literal.index]]

    def _order(self, cycle: Cycle) -> cp_model.IntVar:
        """Going round the cycle leads to an earlier slot twice or more."""
        ids = tuple(id for id, _ in cycle)
        if ("order", ids) not in self._literals:
            other = self._literals["order", ids] = self.model.new_bool_var(f"other order of {', '.join(ids)}")
            slot = self.v.slot
            steps = [
                self.v.after(slot[u], slot[v]) if by_index else 1 - self.v.after(slot[v], slot[u])
                for u, v, by_index in descents(cycle, self.problem)
            ]
            self.model.add(sum(steps) >= 2).only_enforce_if(other)
        return self._literals["order", ids]

    def _stage(self, first: str, id: str, behind: int) -> cp_model.IntVar:
        """Not floor((start(id) - start(first)) / ii) = stage(id) - stage(first) - [slot(first) > slot(id)] = behind."""
        key = ("stage", first, id, behind)
        if key not in self._literals:
            found = self.v.stage[id] - self.v.stage[first] - self.v.after(self.v.slot[first], self.v.slot[id])
            more = self.model.new_bool_var(f"{id} over {behind} behind {first}")
            less = self.model.new_bool_var(f"{id} under {behind} behind {first}")
            self.model.add(found >= behind + 1).only_enforce_if(more)
            self.model.add(found <= behind - 1).only_enforce_if(less)
            self._literals[key] = self._either(more, less)
        return self._literals[key]

    def _depth(self, id: str, depth: int) -> cp_model.IntVar:
        """The ring of `id` is deeper or not as deep: what its life needs, and perhaps one extra."""
        key = ("depth", id, depth)
        if key not in self._literals:
            ways = [self._needs(id, depth + 1)]
            shallow = self.model.new_bool_var(f"ring of {id} under {depth}")
            total = self.c.buffers.depth(id) + self.v.extra.get(id, 0)  # the model's depth is at least what is needed
            self.model.add(total <= depth - 1).only_enforce_if(shallow)
            ways.append(shallow)
            if id in self.v.extra:
                deep = self.model.new_bool_var(f"ring of {id} over {depth} with its extra")
                self.model.add_implication(deep, self.v.extra[id])
                self.model.add_implication(deep, self._needs(id, depth))
                ways.append(deep)
            self._literals[key] = self._either(*ways)
        return self._literals[key]

    def _needs(self, id: str, depth: int) -> cp_model.IntVar:
        """Some use, or some recurrence of the ring, asks for `depth` buffers or more (`tiers.needed_depth`)."""
        key = ("needs", id, depth)
        if key not in self._literals:
            op = self.problem.op(id)
            uses = [dep for dep in self.problem.deps if dep.src == id and not dep.ring]
            carried = [dep for dep in self.problem.deps if dep.dst == id and dep.ring]
            ways = [self._use_lasts(dep, (depth - 1) * self.ii) for dep in uses]
            ways += [self._free_late(dep, (depth - 1) * self.ii) for dep in carried]
            if depth <= 1 or (not uses and op.completion > (depth - 1) * self.ii):
                ways = [self.model.new_constant(1)]
            self._literals[key] = self._either(*ways)
        return self._literals[key]

    def _use_lasts(self, dep: Dep, cycles: int) -> cp_model.IntVar:
        lasts = self.model.new_bool_var(f"{dep.dst} holds {dep.src} over {cycles}")
        life = self.v.start[dep.dst] + dep.distance * self.ii - self.v.start[dep.src]
        self.model.add(life + self.problem.op(dep.dst).completion >= cycles + 1).only_enforce_if(lasts)
        return lasts

    def _free_late(self, dep: Dep, cycles: int) -> cp_model.IntVar:
        late = self.model.new_bool_var(f"{dep.src} frees the ring of {dep.dst} after {cycles}")
        begin = self.v.start[dep.dst] + (dep.distance - 1) * self.ii
        free = self.v.start[dep.src] + dep.latency + self._hop_at_most(dep)
        self.model.add(free - begin >= cycles + 1).only_enforce_if(late)
        return late

    def _hop_at_most(self, dep: Dep) -> cp_model.LinearExprT:
        """The hop of `dep`, or where ops span groups perhaps less: what is needed must not be overstated."""
        meets = self.v.together(dep.src, dep.dst)
        if isinstance(meets, bool):
            return 0 if meets else hop(self.problem, dep)
        return hop(self.problem, dep) * (1 - meets)

    def _either(self, *ways: cp_model.IntVar) -> cp_model.IntVar:
        either = self.model.new_bool_var("either")
        self.model.add_bool_or(~either, *ways)
        return either

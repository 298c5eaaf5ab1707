"""Where register values live (rule 5), in the form in which copies at a slot are counted by comparisons of slots."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from ortools.sat.python import cp_model

from twill.schedule.problem import Dep, Op
from twill.solve.variables import Moment, Variables


@dataclass(frozen=True)
class Life:
    """The value of `op` in one group: stage and slot of its begin and of its end (exclusive).

    alive: the literal that it is ever there; True when it always is.
    """

    op: Op
    alive: cp_model.IntVar | Literal[True]
    stage: cp_model.LinearExprT
    slot: cp_model.IntVar
    end_stage: cp_model.LinearExprT
    end_slot: cp_model.IntVar


def hold(dep: Dep, user: Op) -> int:
    """Cycles an asynchronous op still reads its operand after its start; none if it overwrites it in place."""
    return user.occupancy if user.asynchronous and not dep.in_place and dep.src != dep.dst else 0


class Lives:
    """The lives of all values, group by group. `foreign[u, g]`: group g uses value u and does not define it.

    first_use[u, g]: where foreign, the stage and slot of the first use there.
    """

    def __init__(self, variables: Variables) -> None:
        self.v = variables
        self.model = variables.model
        self.problem = variables.problem
        self.foreign: dict[tuple[str, int], cp_model.IntVar] = {}
        self.first_use: dict[tuple[str, int], Moment] = {}
        self._ends: dict[str, Moment] = {}
        self._by_group: dict[int, list[Life]] = {}
        self._uses: dict[str, list[Dep]] = defaultdict(list)
        for dep in self.problem.deps:
            if not dep.ring:  # which moves no value
                self._uses[dep.src].append(dep)
        farthest = max((dep.distance for dep in self.problem.deps), default=0)
        holds = max(op.occupancy for op in self.problem.ops) // variables.lowest
        self._reach = variables.reach + farthest + holds + 2

    def in_group(self, group: int) -> list[Life]:
        """Every value that may live in `group`."""
        if group not in self._by_group:
            values = [op for op in self.problem.ops if op.registers > 0]
            self._by_group[group] = [life for op in values if (life := self._life(op, group))]
        return self._by_group[group]

    def copies(self, life: Life, slot: cp_model.IntVar) -> cp_model.LinearExprT:
        """Copies of a value alive at a slot: end stage - begin stage + [end slot > slot] - [begin slot > slot].

        That is the number of k with begin <= slot + k * ii < end.
        """
        count = life.end_stage - life.stage + self._after(life.end_slot, slot) - self._after(life.slot, slot)
        if life.alive is True:
            return count
        if life.slot.index == slot.index:  # asked only where this very life is there
            return count
        there = self.model.new_int_var(0, 2 * self._reach + 2, "copies")
        self.model.add(there >= count).only_enforce_if(life.alive)
        return there

    def _after(self, a: cp_model.IntVar, b: cp_model.IntVar) -> cp_model.LinearExprT:
        return 0 if a.index == b.index else self.v.after(a, b)

    def _life(self, op: Op, group: int) -> Life | None:
        uses = [(dep, self.v.on(dep.dst, group)) for dep in self._uses[op.id]]
        if all(self.v.together(op.id, dep.dst) is True for dep, _ in uses):
            return self._at_home(op, group)
        return self._anywhere(op, group, uses)

    def _at_home(self, op: Op, group: int) -> Life | None:
        """A value that no other group can use: it lives from its definition to its last use.

        Where one use without a hold ends it, that op's slot is the end, so that the values of an
        accumulator chain, each beginning where another ends, cancel out to one.
        """
        settled = self.v.grouping.settled(self.v.grouping.class_of[op.id])
        if settled is not None and group not in settled:
            return None
        alive: cp_model.IntVar | Literal[True] = self.v.on(op.id, group) if settled is None else True
        uses = self._last_uses(self._uses[op.id])
        if len(uses) == 1 and self.hold(uses[0]) == 0 and (uses[0].latency > 0 or uses[0].src == uses[0].dst):
            last = uses[0].dst
            end_stage, end_slot = self.v.stage[last] + uses[0].distance, self.v.slot[last]
        else:
            end_stage, end_slot = self._end(op, uses)
        return Life(op, alive, self.v.stage[op.id], self.v.slot[op.id], end_stage, end_slot)

    def _end(self, op: Op, uses: list[Dep]) -> Moment:
        """The end of a value that stays at home, whichever group that is."""
        if op.id not in self._ends and self.v.settled(op.id, *(dep.dst for dep in uses)):
            released = [self.v.pinned[dep.dst] + dep.distance * self.v.lowest + self.hold(dep) for dep in uses]
            self._ends[op.id] = self.v.instant(max([self.v.pinned[op.id] + 1, *released]))
        if op.id not in self._ends:
            stage, slot, end = self._point(f"end of {op.id}")
            self.model.add(end >= self.v.start[op.id] + 1)
            self.v.precede((self.v.stage[op.id], self.v.slot[op.id]), (stage, slot), strictly=True)
            for dep in uses:
                self.model.add(end >= self._released(dep))
                used = (self.v.stage[dep.dst] + dep.distance, self.v.slot[dep.dst])
                self.v.precede(used, (stage, slot), strictly=self.hold(dep) > 0)
            self._ends[op.id] = (stage, slot)
        return self._ends[op.id]

    def _anywhere(self, op: Op, group: int, uses: list[tuple[Dep, cp_model.IntVar]]) -> Life:
        """A value that may be sent: elsewhere it lives from the first use there to the last."""
        name, home = f"{op.id} in {group}", self.v.on(op.id, group)
        foreign = self.foreign[op.id, group] = self.model.new_bool_var(f"{name} from elsewhere")
        alive = self.model.new_bool_var(f"{name} alive")
        self.model.add_bool_or(~foreign, *(on for _, on in uses))
        self.model.add_max_equality(alive, [home, foreign])
        self.model.add_at_most_one(home, foreign)
        stage, slot, begin = self._point(f"begin of {name}")
        self.first_use[op.id, group] = (stage, slot)
        end_stage, end_slot, end = self._point(f"end of {name}")
        self.model.add(slot == self.v.slot[op.id]).only_enforce_if(home)
        self.model.add(stage == self.v.stage[op.id]).only_enforce_if(home)
        self.model.add(end >= begin + 1)
        first = []
        for dep, on in uses:
            self.model.add_bool_or(~on, home, foreign)
            use = self.v.start[dep.dst] + dep.distance * self.v.ii
            is_first = self.model.new_bool_var(f"{dep.dst} is first use of {name}")
            self.model.add_implication(is_first, on)
            self.model.add(begin <= use).only_enforce_if(foreign, on)
            self.model.add(begin >= use).only_enforce_if(foreign, is_first)
            self.model.add(end >= self._released(dep)).only_enforce_if(on)
            first.append(is_first)
        self.model.add_bool_or(~foreign, *first)
        return Life(op, alive, stage, slot, end_stage, end_slot)

    def _point(self, name: str) -> tuple[cp_model.IntVar, cp_model.IntVar, cp_model.LinearExprT]:
        stage, slot = self.v.moment(name, self._reach)
        return stage, slot, self.v.times_ii(stage, -self._reach, self._reach, f"stage {name} * ii") + slot

    def _released(self, dep: Dep) -> cp_model.LinearExprT:
        """When a use lets its operand go: start(v) + distance * ii + hold(v)."""
        return self.v.start[dep.dst] + dep.distance * self.v.ii + self.hold(dep)

    def hold(self, dep: Dep) -> int:
        return hold(dep, self.problem.op(dep.dst))

    def _last_uses(self, uses: list[Dep]) -> list[Dep]:
        """The uses that no other is known to outlast, by dependences inside an iteration."""
        kept: list[Dep] = []
        for dep in uses:
            if not any(self._outlasts(other, dep) for other in kept):
                kept = [other for other in kept if not self._outlasts(dep, other)] + [dep]
        return kept

    def _outlasts(self, a: Dep, b: Dep) -> bool:
        """Whether a's use releases the operand no sooner than b's in every schedule."""
        path = self._paths.get((b.dst, a.dst))
        return path is not None and a.distance >= b.distance and path + self.hold(a) >= self.hold(b)

    @cached_property
    def _paths(self) -> dict[tuple[str, str], int]:
        """Cycles the second op starts after the first at least, where a path of distance 0 leads there."""
        ids = [op.id for op in self.problem.ops]
        paths = {(id, id): 0 for id in ids}
        for dep in self.problem.deps:
            if dep.distance == 0:
                paths[dep.src, dep.dst] = max(paths.get((dep.src, dep.dst), 0), dep.latency)
        for via in ids:
            into = [(a, length) for (a, b), length in paths.items() if b == via]
            out = [(b, length) for (a, b), length in paths.items() if a == via]
            for a, before in into:
                for b, behind in out:
                    paths[a, b] = max(paths.get((a, b), 0), before + behind)
        return paths

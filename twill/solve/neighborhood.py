"""Large neighborhood search for a schedule at one interval, where registers or shared memory are tight.

Dependences, units and streams are easy to keep, even for hundreds of ops; it is registers and memories that
make the search hard. So they are left out: a first schedule is looked for within as few stages as possible,
then many ops at a time are placed anew, all others being fixed, so that values and buffers live ever shorter,
until what they hold fits. What is found is a schedule; that none is found proves nothing.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

from ortools.sat.python import cp_model

from twill.schedule.checker import check
from twill.schedule.problem import Dep, Op, Problem
from twill.solve import result
from twill.solve.constraints import Constraints
from twill.solve.engine import Engine
from twill.solve.grouping import grouping
from twill.solve.lives import hold
from twill.solve.rotation import Rotation, rotation
from twill.solve.variables import Solution, Variables

STAGES = ((0, 1), (1, 1)), ((2, 2), (3, 3))  # before and after the anchor's: the fewest first, two at a time
START_EFFORT = 0.6  # deterministic time for the first schedule, in each of these
STEP_EFFORT = 0.1  # and for a neighborhood
FIRST, FEWEST, MOST = 0.5, 0.08, 0.95  # share of the ops placed anew at a time
GROW, SHRINK = 1.08, 0.94  # that share after a neighborhood was settled, or not
MEMORY = (32, 160)  # registers of a thread that a whole memory is worth, in one search and the next
PATIENCE = 10  # steps without gain after which a search ends
KINDS = ("rotated", "each")
TURN = 16  # steps of one kind before as many of the other


def search(
    problem: Problem, ii: int, engine: Engine, seed: int, steps: int, kinds: Sequence[str] = KINDS
) -> Solution | None:
    """A schedule of `problem`, whose groups are all settled, at `ii`; None: not found within so many steps.

    kinds: groups that do the same are "rotated", where there are any; "each" op is placed for itself; or both in turn.
    Raises Interrupted when the engine's time is over.
    """
    rotated = rotation(problem, ii) if "rotated" in kinds else None
    ways = ([rotated] if rotated else []) + ([None] if "each" in kinds else [])
    descents = [Descent(problem, ii, engine, seed, way) for way in ways]
    while descents and steps > 0:
        for descent in tuple(descents):
            found = descent.run(min(TURN, steps))
            if found is not None:
                return found
            if descent.idle >= PATIENCE or descent.solution is None:
                descents.remove(descent)
        steps -= TURN
    return None


class Descent:
    """One search: the best starts so far, and how many ops are placed anew at a time, by kind of neighborhood."""

    def __init__(self, problem: Problem, ii: int, engine: Engine, seed: int, turns: Rotation | None) -> None:
        self.whole = problem
        self.problem = turns.reduced if turns else problem
        self.ii, self.engine, self.turns = ii, engine, turns
        self.random = random.Random(seed)
        self.memory = MEMORY[seed % len(MEMORY)]
        self.grouping = grouping(self.problem)
        self.solution: Solution | None = None
        self.objective: int | None = None
        self.idle = 0
        self.stages = STAGES[-1][-1]
        self.sizes = {"anywhere": FIRST, "slots": FIRST}
        self.lives = [life for op in self.problem.ops for life in self._lives(op)]

    @property
    def schedule(self) -> Solution:
        """The best so far, of the whole problem."""
        assert self.solution is not None
        return self.turns.whole(self.solution) if self.turns else self.solution

    def run(self, steps: int) -> Solution | None:
        """Go on for so many steps at most; a schedule once what it holds fits."""
        if self.solution is None and not self._begin():
            return None
        for _ in range(steps):
            found = self.schedule
            if not check(result.schedule(self.whole, found, "feasible", 1, "")):
                return found
            if self.idle >= PATIENCE:
                return None
            self._step()
        return None

    def _begin(self) -> bool:
        """A first schedule, in as few stages as one is found in, whatever it holds; False when none is found."""
        for stages in STAGES:
            tried = [self._constraints({}, these) for these in stages]
            models = [constraints.model for constraints in tried]
            outcomes = self.engine.abreast(models, START_EFFORT, 0, [{}] * len(models))
            for self.stages, constraints, outcome in zip(stages, tried, outcomes, strict=True):
                if outcome.values is not None:
                    self.solution = constraints.v.decode(outcome.values)
                    return True
        return False

    def _step(self) -> None:
        """Place two neighborhoods anew, each by itself, and keep the better if it is no worse than what there was."""
        assert self.solution is not None
        start = self.solution.start
        tried = []
        for kind in self.sizes:
            free = self._neighborhood(start, kind)
            constraints = self._constraints({id: at for id, at in start.items() if id not in free}, self.stages)
            constraints.model.minimize(self._area(constraints))
            tried.append(constraints)
        hints = [constraints.v.encode(self.solution) for constraints in tried]
        self.idle += 1
        outcomes = self.engine.abreast([constraints.model for constraints in tried], STEP_EFFORT, 1, hints)
        for kind, outcome, constraints in zip(self.sizes, outcomes, tried, strict=True):
            size = self.sizes[kind]
            self.sizes[kind] = min(GROW * size, MOST) if outcome.settled else max(SHRINK * size, FEWEST)
            if outcome.values is None or (self.objective is not None and outcome.objective > self.objective):
                continue
            if self.objective is None or outcome.objective < self.objective:
                self.idle = 0
            self.solution, self.objective = constraints.v.decode(outcome.values), outcome.objective

    def _constraints(self, pinned: Mapping[str, int], stages: tuple[int, int]) -> Constraints:
        """Dependences, units and streams, with these ops pinned and the rest within these stages."""
        variables = Variables(self.problem, self.grouping, self.ii, self.ii, pinned)
        constraints = Constraints(variables)
        constraints.timing(self.turns.units if self.turns else None)
        before, after = stages
        for id, stage in variables.stage.items():
            if id not in pinned:
                variables.model.add(stage >= -before)
                variables.model.add(stage <= after)
        return constraints

    def _neighborhood(self, start: Mapping[str, int], kind: str) -> set[str]:
        """Ops anywhere, or with neighboring slots: those meet on units and hold values at the same time."""
        ids = list(start)
        size = max(2, round(self.sizes[kind] * len(ids)))
        if kind == "anywhere":
            return set(self.random.sample(ids, min(size, len(ids))))
        period = self.turns.share if self.turns else self.ii
        around = start[self.random.choice(ids)] - period // 8
        return set(sorted(ids, key=lambda id: (start[id] - around) % period)[:size])

    def _lives(self, op: Op) -> list[tuple[int, dict[Dep, int]]]:
        """What the result of `op` holds, in registers of a thread, and of each use how long it goes on after its start.

        The whole of a memory counts as much as `memory` registers. Empty when it holds nothing, or for nobody.
        """
        limits, turns = self.problem.limits, self.turns
        buffer = op.smem_bytes / max(1, limits.smem_bytes) + op.tmem_columns / max(1, limits.tmem_columns)
        held = op.registers + round(self.memory * buffer * (turns.weight(op) if turns else 1))
        uses = [dep for dep in self.problem.deps if dep.src == op.id and not dep.ring]
        if not held or not uses:
            return []
        users = {dep: self.problem.op(dep.dst) for dep in uses}
        if not buffer:
            return [(held, {dep: hold(dep, user) for dep, user in users.items()})]
        return [(held, {dep: user.completion + (turns.late[dep] if turns else 0) for dep, user in users.items()})]

    def _area(self, constraints: Constraints) -> cp_model.LinearExprT:
        """What all values and buffers hold times how long, in registers of a thread times cycles."""
        model, longest = constraints.model, 2 * (constraints.v.reach + 2) * constraints.v.highest
        terms: list[cp_model.LinearExprT] = []
        for held, uses in self.lives:
            life = model.new_int_var(1, longest, f"life of {next(iter(uses)).src}")
            for dep, after in uses.items():
                model.add(life >= constraints.gap(dep) + after)
            terms.append(held * life)
        return sum(terms)

"""Large neighborhood search for a schedule at one interval, where registers or shared memory are tight.

Dependences, units and streams are easy to keep, even for hundreds of ops; it is registers and memories that
make the search hard. So they are left out at first: a few ops at a time are placed anew, all others being
fixed, so that values and buffers live ever shorter, until what they hold fits. Where that is not enough,
the limits come in as soft ones. What is found is a schedule; that none is found proves nothing.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping

from ortools.sat.python import cp_model

from twill.schedule.checker import check
from twill.schedule.problem import Problem
from twill.solve import result
from twill.solve.constraints import Constraints
from twill.solve.engine import Engine
from twill.solve.grouping import grouping
from twill.solve.variables import Solution, Variables

START_EFFORT = 1.0  # deterministic time for the first schedule
SHORT_EFFORT, STEP_EFFORT = 0.02, 0.06  # for a neighborhood: without registers, and with them
FEWEST, FIRST, MOST = 6, 12, 40  # ops placed anew at a time
SHORTEST, LONG_CHAIN = 4, 24  # stages from the anchor that are looked at, and ops of a chain that are added to them
OVER = 16  # a register over a cap is worth so many that live for a whole interval
MEMORY = (32, 160)  # registers of a thread that a whole memory is worth, in one search and the next
SOFT = 64  # ops up to which limits are tried as soft ones
ELSEWHERE = 0.25  # share of neighborhoods that are not where registers are short
RESTLESS = 6  # steps without gain after which the effort grows
PATIENCE = 8  # steps without gain after which a phase ends


def search(problem: Problem, ii: int, engine: Engine, seed: int, steps: int) -> Solution | None:
    """A schedule of `problem`, whose groups are all settled, at `ii`; None: not found within so many steps.

    Raises Interrupted when the engine's time is over.
    """
    descent = Descent(problem, ii, engine, seed)
    if not descent.begin():
        return None
    # With the limits in, a step costs as the square of the ops: what helps 40 of them is too slow for 100.
    soft = steps // 2 if seed % len(MEMORY) and len(problem.ops) <= SOFT else 0
    for rules, effort, most in ((descent.bare, SHORT_EFFORT, steps), (descent.soft, STEP_EFFORT, soft)):
        descent.idle, descent.objective = 0, None
        for _ in range(most):
            if descent.valid:
                return descent.solution
            if descent.idle >= PATIENCE:
                break
            descent.step(rules, effort)
    return descent.solution if descent.valid else None


class Descent:
    """One search: the best starts so far, and the ops where they hold too many registers (`pressed`)."""

    def __init__(self, problem: Problem, ii: int, engine: Engine, seed: int) -> None:
        self.problem, self.ii, self.engine = problem, ii, engine
        self.random = random.Random(seed)
        self.memory = MEMORY[seed % len(MEMORY)]
        self.grouping = grouping(problem)
        self.solution: Solution | None = None
        self.idle = 0
        self.objective: int | None = None
        self.pressed: list[str] = []
        self.size = min(FIRST, len(problem.ops))
        self.near: dict[str, list[str]] = {op.id: [] for op in problem.ops}
        for dep in problem.deps:
            if dep.src != dep.dst:
                self.near[dep.src].append(dep.dst)
                self.near[dep.dst].append(dep.src)
        chain = sum(sorted((dep.latency for dep in problem.deps), reverse=True)[:LONG_CHAIN])
        self.farthest = SHORTEST + chain // ii

    def begin(self) -> bool:
        """A first schedule: short lives, whatever the registers; False when not even that is found."""
        constraints = self.bare({})
        model = constraints.model
        (found,) = self.engine.abreast([model], START_EFFORT, 0, [{}])
        if found.values is None:
            return False
        self.solution = constraints.v.decode(found.values)
        model.minimize(_area(constraints, self.memory))
        (better,) = self.engine.abreast([model], START_EFFORT / 2, 1, [constraints.v.encode(self.solution)])
        if better.values is not None:
            self.solution = constraints.v.decode(better.values)
        return True

    @property
    def valid(self) -> bool:
        """Whether the schedule keeps all rules, registers and memories included."""
        assert self.solution is not None
        return not check(result.schedule(self.problem, self.solution, "feasible", 1, ""))

    def step(self, rules: Callable[[Mapping[str, int]], Constraints], effort: float) -> None:
        """Place two neighborhoods anew, each by itself, and keep the better if it is no worse than what there was.

        The longer nothing gets better, the more effort a step may take.
        """
        assert self.solution is not None
        start = self.solution.start
        tried = []
        for by_slots in (False, True):
            free = self._neighborhood(self.solution, by_slots)
            constraints = rules({id: at for id, at in start.items() if id not in free})
            over = sum(constraints.excess or ())
            constraints.model.minimize(OVER * self.ii * over + _area(constraints, self.memory))
            tried.append(constraints)
        hint = [constraints.v.encode(self.solution) for constraints in tried]
        effort = effort * (1 + self.idle // RESTLESS)
        self.idle += 1
        found = self.engine.abreast([constraints.model for constraints in tried], effort, 1, hint)
        easy = all(outcome.settled for outcome in found)
        self.size = min(self.size + 1, MOST, len(self.problem.ops)) if easy else max(self.size - 1, FEWEST)
        outcome, constraints = min(
            zip(found, tried, strict=True), key=lambda pair: (pair[0].values is None, pair[0].objective)
        )
        if outcome.values is None or (self.objective is not None and outcome.objective > self.objective):
            return
        if self.objective is None or outcome.objective < self.objective:
            self.idle = 0
        self.solution, self.objective = constraints.v.decode(outcome.values), outcome.objective
        self.pressed = [
            op.id for overs in constraints.over.values() for op, over in overs if outcome.values[over.index] > 0
        ]

    def bare(self, pinned: Mapping[str, int]) -> Constraints:
        """Dependences, units and streams, with these ops pinned."""
        variables = Variables(self.problem, self.grouping, self.ii, self.ii, pinned)
        constraints = Constraints(variables)
        constraints.dependence()
        constraints.units()
        constraints.streams()
        self._near_anchor(variables)
        return constraints

    def soft(self, pinned: Mapping[str, int]) -> Constraints:
        """All rules, registers and memories soft, with these ops pinned."""
        variables = Variables(self.problem, self.grouping, self.ii, self.ii, pinned)
        constraints = Constraints(variables, soft=True).add_constraints()
        self._near_anchor(variables)
        return constraints

    def _near_anchor(self, variables: Variables) -> None:
        """Look at few stages only: a long chain's worth, however many ops there are."""
        for id, stage in variables.stage.items():
            if id not in variables.pinned:
                variables.model.add(stage <= self.farthest)
                variables.model.add(stage >= -self.farthest)

    def _neighborhood(self, solution: Solution, by_slots: bool) -> set[str]:
        """Ops around one at whose slot too many registers are held: by dependences, or by slots."""
        anywhere = not self.pressed or self.random.random() < ELSEWHERE
        seed = self.random.choice(list(solution.start) if anywhere else self.pressed)
        if not by_slots:
            found, frontier = [seed], list(self.near[seed])
            while frontier and len(found) < self.size:
                id = frontier.pop(self.random.randrange(len(frontier)))
                if id not in found:
                    found.append(id)
                    frontier += self.near[id]
            return set(found)
        before = self.ii // 8
        ordered = sorted(solution.start, key=lambda id: (solution.start[id] - solution.start[seed] + before) % self.ii)
        return {seed, *ordered[: self.size - 1]}


def _area(constraints: Constraints, memory: int) -> cp_model.LinearExprT:
    """What all values and buffers hold times how long, in registers of a thread times cycles.

    The whole of a memory counts as much as `memory` registers.
    """
    v, problem, limits = constraints.v, constraints.problem, constraints.problem.limits
    longest = 2 * (v.reach + 2) * v.highest
    terms: list[cp_model.LinearExprT] = []
    for op in problem.ops:
        uses = [dep for dep in problem.deps if dep.src == op.id and not dep.ring]
        buffer = op.smem_bytes / max(1, limits.smem_bytes) + op.tmem_columns / max(1, limits.tmem_columns)
        held = op.registers + round(memory * buffer)
        if not held or not uses:
            continue
        life = v.model.new_int_var(1, longest, f"life of {op.id}")
        for dep in uses:
            hold = problem.op(dep.dst).completion if buffer else constraints.lives.hold(dep)
            v.model.add(life >= constraints.gap(dep) + hold)
        terms.append(held * life)
    return sum(terms)

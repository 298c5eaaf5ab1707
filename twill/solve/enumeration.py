"""The best few schedules of one interval that are genuinely different, in the order of the tiers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from ortools.sat.python import cp_model

from twill.schedule.problem import Problem
from twill.schedule.schedule import Schedule, Tier
from twill.solve import result
from twill.solve.constraints import Constraints
from twill.solve.difference import differences
from twill.solve.engine import Engine, Interrupted
from twill.solve.exclusion import Excluded, Exclusions
from twill.solve.grouping import grouping
from twill.solve.objective import Goal, Objective
from twill.solve.progress import Progress
from twill.solve.signature import Signature, image, signature
from twill.solve.symmetry import exchanges
from twill.solve.tiers import SCORES, needed_depth
from twill.solve.variables import Solution, Variables

EFFORT = 8.0  # deterministic time to find a further schedule, or to settle one tier of it
UNLIKE_EFFORT = 1.0  # to choose among those that tie in all tiers


@dataclass(frozen=True)
class Optima:
    """Schedules of one interval that are genuinely different, best first.

    None has the roles and orders of one before it, unless its stages or depths are others and it ties with
    that one in every tier or is better in one. Each says in its provenance, under "best", its `place` and
    whether that is `proved`: that nothing else comes before it. exhausted: it is proved that there are no more.
    """

    schedules: tuple[Schedule, ...]
    exhausted: bool = False


@dataclass(frozen=True)
class _Found:
    schedule: Schedule
    scores: tuple[int, ...]  # as minimized
    proved: bool


class Enumeration:
    """One enumeration, from the best schedule on; `run` is called once."""

    def __init__(self, first: Schedule, count: int, engine: Engine, tell: Callable[[Progress], None]) -> None:
        self.first = first
        self.problem = first.problem
        self.count = count
        self.engine = engine
        self.tell = tell
        self.grouping = grouping(first.problem)
        self.exchanges = exchanges(first.problem)
        self.signature = signature(first)
        self.excluded: list[Excluded] = []
        self.goals = self._model()[1]
        self.seen: set[Signature] = set()
        self.found: list[_Found] = []
        self.hint = _solution(first)
        self.before = first.seconds - engine.seconds  # a first schedule that was given took its time elsewhere

    def run(self) -> Optima:
        """Exclude what was found, and find what is best of the rest, until there are enough or no more."""
        self._keep(self.first, all(tier.proved for tier in self.first.tiers[1:]))
        exhausted = False
        try:
            while len(self.found) < self.count and not exhausted:
                phase = f"optimum {len(self.found) + 1} of {self.count}"
                self.tell(Progress(phase, self.first.ii, self.first.lower_bound, self.engine.seconds))
                exhausted = not self._next()
        except (Interrupted, KeyboardInterrupt, _Unsettled):
            pass
        ranked = sorted(self.found, key=lambda found: found.scores)
        return Optima(tuple(self._placed(k, found) for k, found in enumerate(ranked, start=1)), exhausted)

    def _next(self) -> bool:
        """Find the best of the schedules not excluded; False when there is provably none. Raises _Unsettled.

        The tiers of the last schedule are the bound of the next: first one that ties with it in all tiers
        is sought, then one that is worse in the last tier only, and so on up to the first tier.
        """
        last = max(found.scores for found in self.found)
        proved = all(found.proved for found in self.found)
        for same in range(len(self.goals), -1, -1):
            while True:
                solution, optimal, none = self._best(last[:same])
                if solution is None or self._keep(self._schedule(solution), proved and optimal, solution):
                    break
            if solution is not None:
                return True
            proved = proved and none
        if not none:  # the last question left all tiers open
            raise _Unsettled
        return False

    def _best(self, fixed: tuple[int, ...]) -> tuple[Solution | None, bool, bool]:
        """The best solution not excluded that is no worse than `fixed` in the first tiers.

        And whether it is proved to be that, and, without one, whether there is provably none. What time
        leaves unfinished is a solution as well.
        """
        variables, goals, unlike = self._model()
        for goal, value in zip(goals, fixed, strict=False):
            variables.model.add(goal.expression <= value)
        solution, optimal, hint = None, True, variables.encode(self.hint)
        left: Sequence[Goal | None] = goals[len(fixed) :] or (None,)  # with all tiers fixed, any solution will do
        for tier in left:
            if tier is not None:
                variables.model.minimize(tier.expression)
            try:
                outcome = self.engine.run(variables.model, EFFORT, hint)
            except Interrupted:
                if solution is None:
                    raise
                return solution, False, False
            if outcome.values is None:
                return solution, False, outcome.infeasible and solution is None
            optimal = optimal and outcome.settled
            solution, hint = variables.decode(outcome.values), dict(enumerate(outcome.values))
            if tier is not None:
                variables.model.add(tier.expression <= outcome.objective)
        return self._unlike(variables, unlike, hint) or solution, optimal, False

    def _unlike(self, variables: Variables, unlike: cp_model.LinearExprT, hint: Mapping[int, int]) -> Solution | None:
        """Of the schedules that tie, one that is rather unlike those found: a tuner learns most from it."""
        variables.model.minimize(-unlike)
        try:
            outcome = self.engine.run(variables.model, UNLIKE_EFFORT, hint)
        except Interrupted:
            return None
        return None if outcome.values is None else variables.decode(outcome.values)

    def _model(self) -> tuple[Variables, list[Goal], cp_model.LinearExprT]:
        """The model without what is excluded, its tiers, and how unlike that a solution is."""
        variables = Variables(self.problem, self.grouping, self.first.ii, self.first.ii)
        constraints = Constraints(variables).add_constraints()
        goals = Objective(constraints).goals(tuple(tier.name for tier in self.first.tiers[1:]))
        exclusions = Exclusions(constraints, goals)
        for excluded in self.excluded:
            exclusions.add(excluded)
        return variables, goals, exclusions.unlike()

    def _keep(self, schedule: Schedule, proved: bool, solution: Solution | None = None) -> bool:
        """Exclude a schedule with all it may be exchanged for; False when it was known under other names."""
        own = signature(schedule)
        images = {image(own, renamed, self.problem): renamed for renamed in reversed(self.exchanges)}
        known = not self.seen.isdisjoint(images)
        self.seen.update(images)
        scores = tuple(goal.minimized(SCORES[goal.name](schedule)) for goal in self.goals)
        if known:
            self.excluded.append(Excluded(own, scores, solution.groups if solution is not None else None))
            return False
        self.excluded += [Excluded(each, scores) for each in images]
        nearest = min(reversed(images), key=lambda each: len(differences(each, self.signature, self.problem)))
        if nearest != own:
            schedule = self._schedule(_renamed(_solution(schedule), images[nearest]))
        schedule = replace(schedule, seconds=round(self.before + self.engine.seconds, 3))
        self.found.append(_Found(schedule, scores, proved))
        return True

    def _schedule(self, solution: Solution) -> Schedule:
        return result.schedule(self.problem, solution, self.first.status, self.first.lower_bound, self.first.reason)

    def _placed(self, place: int, found: _Found) -> Schedule:
        """The schedule with its place, and its tiers beside the best values that there are."""
        tiers, tied = [self.first.tiers[0]], True
        for goal, best in zip(self.goals, self.first.tiers[1:], strict=True):
            value = SCORES[goal.name](found.schedule)
            bound = best.bound if tied else goal.value(goal.least)
            tiers.append(Tier(goal.name, value, bound, value == bound))
            tied = tied and value == best.value
        about = {"place": place, "proved": found.proved and self.found[place - 1] is found}
        provenance = {**self.first.provenance, "best": about}
        return replace(found.schedule, tiers=tuple(tiers), provenance=provenance)


class _Unsettled(Exception):
    """Whether there is a further schedule is not known."""


def enumerate_optima(
    problem: Problem,
    count: int,
    *,
    time_limit: float,
    seed: int,
    progress: Callable[[Progress], None] | None,
    stop: Callable[[], bool] | None,
    tiers: Sequence[str],
    first: Schedule | None,
) -> Optima:
    """What `twill.solve.optima` says, with all its arguments."""
    from twill.solve import solve

    engine = Engine(time_limit, seed, stop)
    if first is None:
        first = solve(problem, time_limit=time_limit, seed=seed, progress=progress, stop=stop, tiers=tiers)
    if not first.placements:
        return Optima((first,))
    return Enumeration(first, count, engine, progress or (lambda record: None)).run()


def _solution(schedule: Schedule) -> Solution:
    """The point of the model that a schedule stands for."""
    start = {op.id: schedule.start(op.id) for op in schedule.problem.ops}
    groups = {id: at.groups for id, at in schedule.placements.items()}
    rings = [op.id for op in schedule.problem.ops if op.variable_latency and op.id in schedule.rings]
    return Solution(schedule.ii, start, groups, {id: schedule.rings[id] - needed_depth(schedule, id) for id in rings})


def _renamed(solution: Solution, renamed: Mapping[str, str]) -> Solution:
    """Each op placed as the op that is renamed to it was."""
    return Solution(
        solution.ii,
        {renamed[id]: start for id, start in solution.start.items()},
        {renamed[id]: groups for id, groups in solution.groups.items()},
        {renamed[id]: extra for id, extra in solution.extra.items()},
    )

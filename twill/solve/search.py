"""The search: find a feasible interval from MII upward, exclude every shorter one, then settle the tiers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import product

from twill.baselines import list_schedule
from twill.errors import InputError
from twill.schedule.problem import Problem
from twill.schedule.schedule import Schedule, Tier
from twill.solve import neighborhood, result
from twill.solve.bounds import rec_mii, res_mii
from twill.solve.conflict import conflict
from twill.solve.constraints import Constraints
from twill.solve.engine import Engine, Interrupted, Outcome
from twill.solve.grouping import Grouping, forced_hop, gathered, grouping, hop
from twill.solve.objective import Goal, Objective
from twill.solve.packing import kept_in_groups, packings
from twill.solve.progress import Progress
from twill.solve.tiers import SCORES
from twill.solve.validate import validate
from twill.solve.variables import Solution, Variables

# Deterministic time: each is a few seconds of one core at most.
PROBE_EFFORT = 6.0  # to find a schedule at one interval
WINDOW_EFFORT = 1.0  # to exclude a window of intervals, before it is split
SHORTEN_EFFORT = 6.0  # to minimize ii directly, where a window was not settled
LAST_EFFORT = 16.0  # to exclude one interval that could not be split
TIER_EFFORT = 8.0  # to settle one tier

# Ops beyond which the whole model at once is too hard to find a first schedule in (docs/solver-notes.md).
MANY = 30
WIDE = 100  # classes of ops times groups they may be on, beyond which there is only that search
PACKINGS = 2  # ways to settle the groups that are tried
LARGE = 120  # ops beyond which they are first placed by rotation only
ROUNDS = ((16, 1), (48, len(neighborhood.MEMORY)))  # steps at an interval and seeds, in one round and the next
FAILURES = 3  # intervals that may prove too hard


class Search:
    """One solve of one problem; `run` is called once."""

    def __init__(
        self,
        problem: Problem,
        *,
        time_limit: float,
        seed: int,
        progress: Callable[[Progress], None] | None,
        stop: Callable[[], bool] | None,
        tiers: Sequence[str],
    ) -> None:
        validate(problem)
        unknown = [tier for tier in tiers if tier not in SCORES]
        if unknown:
            raise InputError(f"There is no tier {unknown[0]}.", hint=f"The tiers are {', '.join(SCORES)}.")
        rec_mii(problem)  # a positive cycle of distance 0 is refused whatever the groups are
        self.problem = problem
        self.tiers = tuple(tiers)
        self.grouping = grouping(problem)
        # Whether the whole model, with its groups open, is small enough to be built and refuted.
        self.whole = len(problem.ops) <= MANY or len(self.grouping.classes) * self.grouping.max_groups <= WIDE
        self.settled: Problem | None = None  # the problem with groups as in the best schedule, where not
        self.engine = Engine(time_limit, seed, stop)
        self.tell = progress or (lambda record: None)
        self.best: Solution | None = None
        self.mii = self.lower = 1
        self.reason = ""

    def run(self) -> Schedule:
        """The best schedule found and what is proved of it."""
        if self.grouping.conflict:
            return result.nothing(self.problem, "infeasible", 1, self.grouping.conflict)
        self._bounds()
        try:
            self._find()
            self._exclude()
            if self.best is None and self.lower > self._longest():
                return self._infeasible()
        except (Interrupted, KeyboardInterrupt):
            self.engine.interrupted = True
        if self.best is None:
            reason = f"no schedule found in {self.engine.time_limit:g} s; no II below {self.lower} is possible"
            return self._finish(result.nothing(self.problem, "unknown", min(self.lower, self._longest()), reason))
        return self._finish(self._settle())

    # The interval.

    def _bounds(self) -> None:
        """MII = max(ResMII, RecMII), hops counted where the groups are known to differ; II >= 1."""
        hops = {k: forced_hop(self.problem, self.grouping, dep) for k, dep in enumerate(self.problem.deps)}
        busiest, cycle = res_mii(self.problem), rec_mii(self.problem, hops)
        self.mii = self.lower = max(1, busiest.ii, cycle.ii)
        self.reason = str(busiest if busiest.ii >= cycle.ii else cycle)
        if max(busiest.ii, cycle.ii) < 1:
            self.reason = "an interval is at least one cycle"

    def _longest(self) -> int:
        """If any interval is feasible, one up to this is: beyond it, some cycle has nothing in it and can go."""
        total = 0
        for op in self.problem.ops:
            waits = [dep.latency + hop(self.problem, dep) for dep in self.problem.deps if dep.src == op.id]
            total += max(op.completion, op.issue, *waits, 0) + 1
        return max(total, res_mii(self.problem).ii, rec_mii(self.problem).ii)

    def _find(self) -> None:
        """Try MII, then intervals ever further above it, until one is feasible.

        Then halve what is open below it: single intervals are settled faster than windows of them. Many ops, and
        those that turn out hard, are looked for by neighborhoods.
        """
        if len(self.problem.ops) > MANY:
            self._descend()
        if self.best is not None or not self.whole:
            return
        below, ii, step = self.lower - 1, self.lower, max(1, self.lower // 64)
        while True:
            self._report("interval")
            outcomes = list(self._probe(ii))
            if self.best is not None or ii >= self._longest():
                break
            if not all(outcome.settled for outcome in outcomes):
                return self._descend()
            below, ii, step = ii, min(ii + step, self._longest()), 2 * step
        while self.best is not None and below + 1 < self.best.ii:
            self._report("interval")
            middle = (below + self.best.ii) // 2
            if self._attempt(middle, middle, WINDOW_EFFORT).values is None:
                below = middle

    def _probe(self, ii: int) -> Iterator[Outcome]:
        """Look for a schedule at one interval, in few groups first, until there is one."""
        for groups in self._narrowed():
            if self.best is None:
                yield self._attempt(ii, ii, PROBE_EFFORT, groups)

    def _descend(self) -> None:
        """Many ops: a list schedule first, then large neighborhood search at the bound, then halfway between."""
        listed = list_schedule(self.problem)
        if listed.placements:
            start = {id: listed.start(id) for id in listed.placements}
            groups = {id: at.groups for id, at in listed.placements.items()}
            self._take(Solution(listed.ii, start, groups, {}))
            self.settled = kept_in_groups(self.problem, groups)
        settled = packings(self.problem)[:PACKINGS]
        large = len(self.problem.ops) > LARGE
        for number, (steps, seeds) in enumerate(ROUNDS):
            kinds = neighborhood.KINDS[:1] if large and not number else neighborhood.KINDS
            low, failures = self.lower, 0
            while settled and low < self._above() and failures <= FAILURES:
                # Close to the bound first; once that fails, closer to what is known.
                ii = low if not failures else low + (self._above() - low) // (2 ** min(failures, 3))
                self._report("interval")
                found = self._neighbors(settled, ii, kinds, steps, seeds)
                if found is None:
                    low, failures = ii + 1, failures + 1
                    continue
                self._take(found[1])
                self.settled = found[0]
                settled = [found[0]]
            if self.lower == self.mii:
                self._refute_bare()

    def _neighbors(
        self, settled: list[Problem], ii: int, kinds: Sequence[str], steps: int, seeds: int
    ) -> tuple[Problem, Solution] | None:
        """A schedule at one interval from large neighborhood search, and the settled problem it is of."""
        for packed, seed in product(settled, range(seeds)):
            found = neighborhood.search(packed, ii, self.engine, self.engine.seed + seed, steps, kinds)
            if found is not None:
                return packed, found
        return None

    def _refute_bare(self) -> None:
        """Raise the lower bound by what dependences, units and streams alone refute, in windows that double."""
        step, failures = 1, 0
        while step and failures < FAILURES and self.lower < self._above():
            high = min(self.lower + step, self._above()) - 1
            variables = Variables(self.problem, self.grouping, self.lower, high)
            bare = Constraints(variables)
            bare.timing()
            if self.engine.run(bare.model, WINDOW_EFFORT).infeasible:
                self.lower, step = high + 1, 2 * step
                self._report("proof")
            else:
                step, failures = step // 4, failures + 1

    def _above(self) -> int:
        """The first interval that is no better than what is known."""
        return self.best.ii if self.best is not None else self._longest() + 1

    def _take(self, solution: Solution) -> None:
        self.best = solution
        self._report("interval")

    def _narrowed(self) -> list[Grouping]:
        """Groupings to look for a schedule in, the narrowest first; the last one leaves nothing out."""
        found = [self.grouping]
        few = self.grouping.clique + 1
        if few < self.grouping.max_groups:
            found.insert(0, replace(self.grouping, max_groups=few))
        narrower = gathered(self.problem, self.grouping)
        if narrower is not None:
            found.insert(0, narrower)
        return found

    def _exclude(self) -> None:
        """Raise the lower bound to the best interval, window by window, finding shorter ones on the way.

        The lower half of what is open goes first. A window not settled in its effort is halved; a
        single interval that cannot be settled in a larger one stays open and ends the proof there.
        """
        top = self.best.ii - 1 if self.best else self._longest()
        if not self.whole:
            return
        windows = [(self.lower, top)]
        stuck: list[int] = []
        shortened = False
        while windows:
            low, high = windows.pop()
            high = high if self.best is None else min(high, self.best.ii - 1)
            if low > high:
                continue
            self.lower = min([low, *stuck])
            self._report("proof")
            middle = (low + high) // 2
            if middle < high:
                windows.append((middle + 1, high))
            outcome = self._attempt(low, middle, LAST_EFFORT if low == middle else WINDOW_EFFORT)
            if outcome.values is not None or (not outcome.infeasible and low < middle):
                windows.append((low, middle))
            elif not outcome.infeasible:
                stuck.append(low)
            if not (outcome.settled or shortened) and high - low <= (top - self.mii) // 4:
                shortened = True
                self._shorten(low)
        proved = top + 1 if self.best is None else self.best.ii
        self.lower = min([proved, *stuck])

    def _shorten(self, low: int) -> None:
        """Minimize ii itself, once, where windows turn out hard: a better best leaves fewer of them."""
        high = self.best.ii - 1 if self.best is not None else self._longest()
        variables = Variables(self.problem, self.grouping, low, high)
        Constraints(variables).add_constraints()
        variables.model.minimize(variables.ii)
        outcome = self.engine.run(variables.model, SHORTEN_EFFORT)
        if outcome.values is not None:
            self.best = variables.decode(outcome.values)

    def _attempt(self, low: int, high: int, effort: float, groups: Grouping | None = None) -> Outcome:
        """Look for a schedule with an interval in [low, high]; a better one becomes the best."""
        variables = Variables(self.problem, groups or self.grouping, low, high)
        Constraints(variables).add_constraints()
        outcome = self.engine.run(variables.model, effort)
        if outcome.values is not None:
            self.best = variables.decode(outcome.values)
        return outcome

    # The tiers.

    def _settle(self) -> Schedule:
        """Fix the interval, then each tier in turn, and say of each what is proved."""
        assert self.best is not None
        ii = self.best.ii
        goals: list[Goal] = []
        tiers: list[Tier] = []
        try:
            groups = self.grouping if self.whole or self.settled is None else grouping(self.settled)
            variables = Variables(self.problem, groups, ii, ii)
            goals = Objective(Constraints(variables).add_constraints()).goals(self.tiers)
            if groups is not self.grouping:  # what is proved has to hold for all groupings
                least = max(1, self.grouping.least_groups)
                goals = [replace(goal, least=least) if goal.name == "groups" else goal for goal in goals]
            hint = variables.encode(self.best)
            for goal in goals:
                value, bound = self._score(goal), goal.least
                if value > bound:
                    self._report(goal.name)
                    variables.model.minimize(goal.expression)
                    outcome = self.engine.run(variables.model, TIER_EFFORT, hint)
                    bound = max(bound, outcome.bound) if groups is self.grouping else bound
                    if outcome.values is not None:
                        value = outcome.objective
                        self.best = variables.decode(outcome.values)
                        hint = dict(enumerate(outcome.values))
                variables.model.add(goal.expression <= value)
                tiers.append(self._tier(goal, value, bound))
        except (Interrupted, KeyboardInterrupt):
            self.engine.interrupted = True
        tiers += [self._tier(goal, self._score(goal), goal.least) for goal in goals[len(tiers) :]]
        return replace(self._schedule(), tiers=(Tier("ii", ii, self.lower, self.lower == ii), *tiers))

    def _score(self, goal: Goal) -> int:
        """What the best schedule so far scores in a goal's tier, as the model counts it."""
        return goal.minimized(SCORES[goal.name](self._schedule()))

    @staticmethod
    def _tier(goal: Goal, value: int, bound: int) -> Tier:
        bound = min(bound, value)
        return Tier(goal.name, goal.value(value), goal.value(bound), bound == value)

    def _schedule(self) -> Schedule:
        assert self.best is not None
        ii = self.best.ii
        if self.lower < ii:
            reason = f"II is between {self.lower} and {ii}; the proof was not finished"
            return result.schedule(self.problem, self.best, "feasible", self.lower, reason)
        reason = self.reason if ii == self.mii else f"II {ii - 1} refuted, as was every II from MII {self.mii} on"
        return result.schedule(self.problem, self.best, "optimal", ii, reason)

    def _infeasible(self) -> Schedule:
        self._report("conflict")
        try:
            reason = conflict(self.problem, self._longest(), self.engine)
        except KeyboardInterrupt:
            reason = "every II is refuted; the search for the rules in conflict was cut short"
        return self._finish(result.nothing(self.problem, "infeasible", self.mii, reason))

    def _finish(self, schedule: Schedule) -> Schedule:
        return replace(schedule, seconds=round(self.engine.seconds, 3))

    def _report(self, phase: str) -> None:
        self.tell(Progress(phase, self.best.ii if self.best else 0, self.lower, self.engine.seconds))

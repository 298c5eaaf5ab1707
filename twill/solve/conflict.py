"""A minimal set of rules that leaves no schedule at an interval, found by leaving rules out (QuickXplain)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from twill.errors import InputError
from twill.schedule.checker import check
from twill.schedule.problem import Op, Problem
from twill.solve.bounds import rec_mii, res_mii
from twill.solve.constraints import Constraints
from twill.solve.engine import Engine, Interrupted
from twill.solve.grouping import Grouping, forced_hop, gathered, grouping
from twill.solve.relax import FAMILIES, Member, members, relaxed
from twill.solve.result import schedule
from twill.solve.variables import Solution, Variables

QUICK_EFFORT = 0.3  # deterministic time for a first look in the whole model and in narrower ones
SHORT_EFFORT = 1.0  # to decide one set of rules, where all rules together are refuted at once
EFFORT = 6.0  # otherwise
AT_ONCE = 1.5  # seconds
REASON_SECONDS = 8.0  # for the reason of an infeasible problem
SHORT_CHAINS = 3  # paths of dependences that a line can hold
WIDE = 40  # classes of ops times groups: models larger than that are not tried


@dataclass(frozen=True)
class Conflict:
    """Rules that together leave no schedule at `ii`.

    members: in the order of FAMILIES. needed: those without which the rest provably has a schedule at
    `ii`; the others could not be decided in the time. excluded: whether it is proved that the members
    leave no schedule (False: the search was cut short before anything was).
    """

    ii: int
    members: tuple[Member, ...]
    needed: frozenset[Member]
    excluded: bool
    probes: int = 0
    seconds: float = 0.0

    @property
    def minimal(self) -> bool:
        """Whether every member is proved to be needed."""
        return self.excluded and len(self.needed) == len(self.members)


def find_conflict(
    problem: Problem, ii: int, engine: Engine, tell: Callable[[str], None] = lambda message: None
) -> Conflict:
    """A minimal set of rules of `problem` that excludes the interval `ii`, until the engine's time is over.

    `problem` is known to have no schedule at `ii`. First whole families are left out one after the
    other, as long as the rest still excludes `ii`; what is left of each is then divided (Junker,
    "QuickXplain", AAAI 2004); at last every member is left out alone.
    """
    return _Shrinking(problem, ii, engine, tell).run()


class _Shrinking:
    """One search for a conflict; `excludes` answers and remembers single questions."""

    def __init__(self, problem: Problem, ii: int, engine: Engine, tell: Callable[[str], None]) -> None:
        self.problem = problem
        self.ii = ii
        self.engine = engine
        self.tell = tell
        self.known: dict[frozenset[Member], bool | None] = {}
        self.probes = 0
        self.last: Solution | None = None
        self.effort = EFFORT

    def run(self) -> Conflict:
        alone = self._alone()
        if alone:
            return self._conflict(alone, set(alone), True)
        kept: dict[str, list[Member]] = {family: [] for family in FAMILIES}
        for member in members(self.problem):
            kept[member.family].append(member)
        needed: set[Member] = set()
        excluded = False
        began = self.engine.seconds
        try:
            excluded = self.excludes(_flat(kept)) is True
            if not excluded:
                return self._conflict(_flat(kept), needed, excluded)
            if self.engine.seconds - began < AT_ONCE:
                self.effort = SHORT_EFFORT
            for family in FAMILIES:
                # Without any rule on groups a refutation has too many to look through: there, one by one.
                if family != "groups" and kept[family] and self.excludes(_flat({**kept, family: []})):
                    kept[family] = []
                for member in list(kept[family]) if family == "groups" else ():
                    rest = [other for other in kept[family] if other != member]
                    if self.excludes(_flat({**kept, family: rest})):
                        kept[family] = rest
            # Short families first: each that shrinks makes the questions about the long ones easier.
            for family in sorted(FAMILIES, key=lambda name: len(kept[name])):
                if len(kept[family]) > 1 and family != "groups":
                    rest = _flat({**kept, family: []})
                    kept[family] = sorted(self._divided(rest, False, kept[family]), key=kept[family].index)
            for member in _flat(kept):
                answer = self.excludes([other for other in _flat(kept) if other != member])
                if answer:
                    kept[member.family].remove(member)
                elif answer is False:
                    needed.add(member)
        except (Interrupted, KeyboardInterrupt):
            self.engine.interrupted = True
        return self._conflict(_flat(kept), needed, excluded)

    def _alone(self) -> list[Member]:
        """A unit, or the dependences of one cycle, that exclude the interval by a sum; nothing smaller does."""
        busiest, cycle = res_mii(self.problem), rec_mii(self.problem)
        if busiest.ii > self.ii:
            return [Member("units", busiest.unit)]
        if cycle.ii <= self.ii:
            return []
        around = list(zip(cycle.ops, (*cycle.ops[1:], cycle.ops[0]), strict=True))
        numbered = [(k, dep) for k, dep in enumerate(self.problem.deps) if not dep.ring]
        tightest = [
            max(
                ((k, dep) for k, dep in numbered if (dep.src, dep.dst) == pair),
                key=lambda each: each[1].latency - self.ii * each[1].distance,
            )
            for pair in around
        ]
        return [Member("dependences", str(k)) for k, _ in sorted(tightest)]

    def _divided(self, background: list[Member], changed: bool, candidates: list[Member]) -> list[Member]:
        """The candidates that are needed for `background` and them together to exclude the interval."""
        if changed and self.excludes(background):
            return []
        if len(candidates) == 1:
            return candidates
        half = len(candidates) // 2
        first, second = candidates[:half], candidates[half:]
        second = self._divided(background + first, True, second)
        first = self._divided(background + second, bool(second), first)
        return first + second

    def excludes(self, kept: Sequence[Member]) -> bool | None:
        """Whether the rules in `kept` leave no schedule at the interval; None if that is not decided."""
        key = frozenset(kept)
        if key not in self.known:
            # A rule more excludes no less, one less no more.
            if any(answer is True and other <= key for other, answer in self.known.items()):
                self.known[key] = True
            elif any(answer is False and key <= other for other, answer in self.known.items()):
                self.known[key] = False
            else:
                self.tell(f"II {self.ii}: {len(key)} rules, question {self.probes + 1}")
                self.probes += 1
                answer = settle(relaxed(self.problem, key), self.ii, self.engine, self.effort, self.last)
                if isinstance(answer, Solution):
                    self.last = answer
                    self.known[self._kept_by(answer, key)] = self.known[key] = False
                else:
                    self.known[key] = answer
        return self.known[key]

    def _kept_by(self, solution: Solution, kept: frozenset[Member]) -> frozenset[Member]:
        """`kept` and all other rules that the schedule happens to keep too, by the independent checker.

        One schedule so answers many questions: every set of rules among these leaves a schedule.
        """
        grown = kept
        for member in members(self.problem):
            wider = grown | {member}
            given = relaxed(self.problem, wider)
            if len(wider) > len(grown) and check(schedule(given, solution, "feasible", 1, "")) == ():
                grown = wider
        return grown

    def _conflict(self, found: list[Member], needed: set[Member], excluded: bool) -> Conflict:
        possible = [key for key, answer in self.known.items() if answer is False]
        for member in found if excluded else ():  # what was learned on the way, should the time be over
            if any(key.issuperset(other for other in found if other != member) for key in possible):
                needed.add(member)
        needed &= set(found)
        return Conflict(self.ii, tuple(found), frozenset(needed), excluded, self.probes, round(self.engine.seconds, 2))


def settle(
    problem: Problem, ii: int, engine: Engine, effort: float, near: Solution | None = None
) -> Solution | bool | None:
    """A schedule of `problem` at exactly `ii`, or True: there is none; None if that is not decided in the effort.

    Arithmetic first (a unit, a recurrence, sets that contradict each other); then a short look for a
    schedule in the whole model and in narrower groupings; then the whole model again. Groups are as
    many as `max_groups` says, named barriers or not. Raises Interrupted when the time is over.
    """
    problem = _gathered_where_groups_do_not_matter(problem)
    groups = grouping(problem)
    groups = replace(groups, max_groups=max(1, min(problem.limits.max_groups, groups.places)))
    if groups.conflict or res_mii(problem).ii > ii:
        return True
    hops = {k: forced_hop(problem, groups, dep) for k, dep in enumerate(problem.deps)}
    try:
        if rec_mii(problem, hops).ii > ii:
            return True
    except InputError:  # hops alone close a cycle within one iteration
        return True
    looks = [(groups, QUICK_EFFORT), *((each, QUICK_EFFORT) for each in _narrower(problem, groups)), (groups, effort)]
    for narrow, limit in looks:
        if len(narrow.classes) * narrow.max_groups > WIDE:
            continue
        variables = Variables(problem, narrow, ii, ii)
        Constraints(variables).add_constraints()
        hint = variables.encode(near) if near is not None else None
        outcome = engine.run(variables.model, limit, hint)
        if outcome.values is not None:
            return variables.decode(outcome.values)
        if outcome.infeasible and narrow is groups:
            return True
    return None


def _gathered_where_groups_do_not_matter(problem: Problem) -> Problem:
    """The same problem with every op that fares alike in all groups told to join the widest of its kind.

    Where nothing waits and no hop costs anything, an op whose result and operands take no registers adds
    nothing to a group that exists already. No schedule is lost, and many that differ in nothing are.
    """
    limits = problem.limits
    if any(dep.blocking for dep in problem.deps) or limits.value_hop or limits.signal_hop:
        return problem
    told = {id for ids in (*problem.colocate, *problem.separate) for id in ids}
    holding = {op.id for op in problem.ops if op.registers > 0}
    holding |= {dep.dst for dep in problem.deps if dep.src in holding}
    widest: dict[bool, Op] = {}
    for op in problem.ops:
        host = widest.get(op.variable_latency)
        if host is None or (op.min_warps, op.id in told) > (host.min_warps, host.id in told):
            widest[op.variable_latency] = op
    joined = tuple(
        (widest[op.variable_latency].id, op.id)
        for op in problem.ops
        if op.id not in told | holding and op.spans == 1 and op is not widest[op.variable_latency]
    )
    if any(host.spans > 1 for host in widest.values()):
        return problem
    return replace(problem, colocate=(*problem.colocate, *joined))


def _narrower(problem: Problem, groups: Grouping) -> list[Grouping]:
    """Groupings with fewer choices, whose schedules are schedules of the problem."""
    found = []
    narrower = gathered(problem, groups)
    if narrower is not None:
        found.append(replace(narrower, max_groups=max(1, min(groups.max_groups, narrower.places))))
    few = groups.clique + 1
    if few < groups.max_groups:
        found.append(replace(groups, max_groups=few))
    if len(groups.classes) == groups.max_groups > groups.clique:  # every class on a group of its own
        pairs = frozenset(combinations(range(len(groups.classes)), 2))
        found.append(replace(groups, apart=pairs, clique=len(groups.classes)))
    return found


def conflict(problem: Problem, ii: int, engine: Engine) -> str:
    """Why `problem` has no schedule at `ii`, in a line: a minimal set of rules, as far as REASON_SECONDS find it."""
    from twill.solve.sentences import sentences

    limit = min(REASON_SECONDS, engine.time_limit - engine.seconds)
    found = find_conflict(problem, ii, Engine(limit, engine.seed, engine.stop))
    if not found.excluded:
        return "every II is refuted; the search for the rules in conflict was cut short"
    said = sentences(problem, found)
    words = [f"{each.rule}: {each.text}" for each in said if each.rule != "dependences"]
    chained = [each.text for each in said if each.rule == "dependences"]
    if chained:
        count = sum(member.family == "dependences" for member in found.members)
        told = ", ".join(chained) if len(chained) <= SHORT_CHAINS else f"{count} of {len(problem.deps)}"
        words.append(f"dependences: {told}")
    return "; ".join(words)


def _flat(kept: dict[str, list[Member]]) -> list[Member]:
    return [member for family in FAMILIES for member in kept[family]]

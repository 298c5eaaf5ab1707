"""What-ifs, each solved: the new optimum of a changed problem, or the proof that nothing changes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any, Literal

from twill.explain.changes import Change
from twill.schedule.checker import check
from twill.schedule.problem import Problem
from twill.schedule.schedule import Schedule


@dataclass(frozen=True)
class Answer:
    """What a change does to the interval.

    status: "no change" (proved without a solve), "proved" (ii is the new optimum), "found" (the best in
    the time; lower_bound says how far down it might go), "infeasible", "unknown" (nothing found), "not
    asked" (stopped before). ii, cycles: of the loop as changed, 0 where there is none; cycles of all
    iterations, 0 where it was not solved. binds: what binds then. ratio: ii before / ii after.
    """

    name: str
    what: str
    status: Literal["no change", "proved", "found", "infeasible", "unknown", "not asked"]
    ii: int
    lower_bound: int
    ratio: float
    cycles: int
    binds: str
    seconds: float = 0.0

    def json(self) -> dict[str, Any]:
        return asdict(self)


def what_ifs(
    schedule: Schedule,
    changes: Iterable[Change],
    *,
    time_limit: float = 10,
    tell: Callable[[str], None] = lambda message: None,
    stop: Callable[[], bool] | None = None,
) -> tuple[Answer, ...]:
    """The answers, the shortest interval first. Each solve has `time_limit` seconds.

    After `stop` says so, what is left is answered only where a bound does it.
    """
    changes = list(changes)
    answers = []
    for number, change in enumerate(changes, 1):
        title = f"what if {number} of {len(changes)}: {change.name}"
        tell(title)
        answers.append(
            _same(schedule, change) or _solved(schedule, change, time_limit, partial(_told, tell, title), stop)
        )
    return tuple(sorted(answers, key=lambda each: (each.ii or 1 << 60, each.status == "no change", each.cycles)))


def _told(tell: Callable[[str], None], title: str, step: str) -> None:
    tell(f"{title}: {step}")


def _same(schedule: Schedule, change: Change) -> Answer | None:
    """The proof that the interval stays as it is, where a bound gives one."""
    if not valid(schedule, change.problem):
        return None
    if change.problem == schedule.problem and schedule.status == "optimal":
        return _unchanged(schedule, change, "cycles are whole: it changes nothing")
    ii, because = mii(change.problem)
    if ii >= schedule.ii:
        return _unchanged(schedule, change, because)
    if schedule.status == "optimal" and _same_choices(schedule.problem, change.problem):
        return _unchanged(schedule, change, "no op could use another group")
    return None


def _unchanged(schedule: Schedule, change: Change, because: str) -> Answer:
    return Answer(change.name, change.what, "no change", schedule.ii, schedule.ii, 1.0, 0, because)


def _solved(
    schedule: Schedule, change: Change, time_limit: float, tell: Callable[[str], None], stop: Callable[[], bool] | None
) -> Answer:
    from twill.solve import solve

    if stop is not None and stop():
        return Answer(change.name, change.what, "not asked", 0, 0, 0.0, 0, "")
    found = solve(
        change.problem,
        time_limit=time_limit,
        tiers=("total time",),
        progress=lambda record: tell(str(record)),
        stop=stop,
    )
    if not found.placements and found.status == "infeasible":
        return Answer(change.name, change.what, "infeasible", 0, 0, 0.0, 0, found.reason, found.seconds)
    if (not found.placements or found.ii > schedule.ii) and valid(schedule, change.problem):
        # What was valid before still is, and is the best known.
        found = replace(
            restated(schedule, change.problem), lower_bound=min(found.lower_bound, schedule.ii), seconds=found.seconds
        )
    if not found.placements:
        bound = found.lower_bound
        return Answer(change.name, change.what, "unknown", 0, bound, 0.0, 0, found.reason, found.seconds)
    total = (found.problem.trip_count - 1) * found.ii + found.length
    proved = found.lower_bound == found.ii
    return Answer(
        change.name, change.what, "proved" if proved else "found", found.ii, found.lower_bound,
        round(schedule.ii / found.ii, 4), total, binding(found.problem, found.ii, proved), found.seconds,
    )  # fmt: skip


def valid(schedule: Schedule, problem: Problem) -> bool:
    """Whether the placements of `schedule` keep the rules of `problem` too, by the independent checker."""
    if {op.id for op in problem.ops} != set(schedule.placements):
        return False
    return check(restated(schedule, problem)) == ()


def restated(schedule: Schedule, problem: Problem) -> Schedule:
    """The same placements as a schedule of `problem`, its length as its ops complete there."""
    length = max(schedule.start(op.id) + op.completion for op in problem.ops)
    return replace(schedule, problem=problem, length=length, status="feasible", lower_bound=min(1, schedule.ii))


def mii(problem: Problem) -> tuple[int, str]:
    """The interval that a unit or a cycle alone asks for, hops that cannot be avoided included; and which it is."""
    from twill.solve.bounds import rec_mii, res_mii
    from twill.solve.grouping import forced_hop, grouping

    groups = grouping(problem)
    hops = {k: forced_hop(problem, groups, dep) for k, dep in enumerate(problem.deps)}
    busiest, cycle = res_mii(problem), rec_mii(problem, hops)
    if busiest.ii >= cycle.ii:
        return max(1, busiest.ii), f"unit {busiest.unit}" if busiest.unit else "an interval is at least one cycle"
    return cycle.ii, f"cycle {' -> '.join((*cycle.ops, cycle.ops[0]))}"


def binding(problem: Problem, ii: int, proved: bool) -> str:
    """What binds at `ii`, in a few words."""
    least, because = mii(problem)
    if ii == least:
        return because
    return "the rules together" if proved else f"not known; units and cycles alone ask for {least}"


def _same_choices(before: Problem, after: Problem) -> bool:
    """Whether only the number of groups changed, and every class of ops could have a group of its own already."""
    from twill.solve.grouping import grouping

    limits = replace(after.limits, max_groups=before.limits.max_groups)
    return replace(after, limits=limits) == before and grouping(after) == grouping(before)

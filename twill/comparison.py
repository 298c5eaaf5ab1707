"""The problem library solved three ways: by Twill, by list scheduling, by plain modulo scheduling."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from twill import problems
from twill.baselines import iterative_modulo, list_schedule
from twill.problems import Answer
from twill.schedule.checker import check
from twill.schedule.problem import Problem
from twill.schedule.schedule import Schedule

RULES = (
    "list: list scheduling of one iteration at a time, every rule of the machine kept (the checker says so).",
    "modulo: iterative modulo scheduling (Rau, 1994) of one instruction stream. Its schedules keep rules 1, 2, 3 and 6;"
    " it has no warp groups, so no hops, and registers are not counted: it may be shorter than what fits.",
)
SHORT = {"as known": "ok", "not proved in time": "open", "mismatch": "WRONG"}


@dataclass(frozen=True)
class Contender:
    """A schedule (or the reason there is none) and the seconds it took."""

    schedule: Schedule
    seconds: float

    @property
    def cycles(self) -> int:
        """Of the whole loop at the problem's trip count; 0 without a schedule."""
        if not self.schedule.placements:
            return 0
        return (self.schedule.problem.trip_count - 1) * self.schedule.ii + self.schedule.length


@dataclass(frozen=True)
class Comparison:
    """One problem: what is known of it, Twill's answer, and the two to compare with."""

    name: str
    known: Answer
    ours: Contender
    listed: Contender
    modulo: Contender

    @property
    def mismatch(self) -> str:
        """Why the answers cannot all be right; "" where they can. Out of time is no mismatch."""
        ours = self.ours.schedule
        for each in (self.ours, self.listed, self.modulo):
            if each.schedule.placements and (violations := check(each.schedule)):
                return f"a schedule does not hold: {violations[0]}"
        if ours.status == "optimal" and self.listed.cycles and self.listed.schedule.ii < ours.ii:
            return f"II {ours.ii} is called optimal, but the list schedule has {self.listed.schedule.ii}"
        if self.known.status == "infeasible":
            return self._infeasible()
        if ours.status == "infeasible":
            return f"called infeasible ({ours.reason}), but II {self.known.ii} is known"
        if ours.placements and ours.ii < self.known.ii:
            return f"II {ours.ii} found, but {self.known.ii} is known to be the least"
        if ours.lower_bound > self.known.ii:
            return f"every II below {ours.lower_bound} called impossible, but {self.known.ii} is known"
        return ""

    def _infeasible(self) -> str:
        ours = self.ours.schedule
        if ours.placements:
            return f"II {ours.ii} found, but the problem is known to be infeasible"
        missing = [rule for rule in self.known.conflict if rule not in ours.reason]
        if ours.status == "infeasible" and missing:
            return f"the conflict found ({ours.reason}) says nothing of {' and '.join(missing)}"
        return ""

    @property
    def verdict(self) -> str:
        """`as known`, `not proved in time` or `mismatch`."""
        if self.mismatch:
            return "mismatch"
        return "as known" if self.ours.schedule.status == self.known.status else "not proved in time"

    def ratio(self, other: Contender) -> float | None:
        """Cycles of the other's loop for one of ours; None where either has no schedule."""
        return other.cycles / self.ours.cycles if other.cycles and self.ours.cycles else None


def compare(
    names: Sequence[str], time_limit: float, tell: Callable[[str], None], stop: Callable[[], bool]
) -> Iterator[Comparison]:
    """Each problem in turn, by name, all of them when there is no name; ends early when `stop` says so.

    time_limit: seconds for each of Twill's solves. Raises InputError for a name the library does not have.
    """
    from twill.solve import solve

    chosen = names or problems.names()
    for name in chosen:
        problems.path(name)  # a wrong name is said before the first is solved
    for number, name in enumerate(chosen, 1):
        title = f"{name} ({number} of {len(chosen)})"
        problem = problems.load(name)
        tell(f"{title}: list and modulo scheduling")
        listed = _timed(list_schedule, problem)
        modulo = _timed(iterative_modulo, problem)
        if stop():
            return
        say = partial(_say, tell, title)
        ours = _timed(partial(solve, time_limit=time_limit, progress=say, stop=stop), problem)
        if stop():
            return  # what Ctrl-C cut short says nothing of the solver
        yield Comparison(name, problems.answer(name), ours, listed, modulo)


def _say(tell: Callable[[str], None], title: str, at: object) -> None:
    tell(f"{title}: {at}")


def _timed(run: Callable[[Problem], Schedule], problem: Problem) -> Contender:
    began = time.perf_counter()
    schedule = run(problem)
    return Contender(schedule, time.perf_counter() - began)


def print_comparisons(found: Sequence[Comparison]) -> None:
    """A line for each problem, what the columns mean, and every mismatch in words."""
    from rich.text import Text

    from twill.report import columns, row, show

    numbers = ("II", "s", "cycles", "list", "/ours", "modulo", "known")
    table = columns("problem", "II", "s", "cycles", "list", "/ours", "modulo", "/ours", "known", right=numbers)
    for each in found:
        row(
            table, each.name, _claim(each.ours.schedule),
            f"{each.ours.seconds:.1f}", each.ours.cycles or "",
            each.listed.schedule.ii or "", _times(each.ratio(each.listed)),
            each.modulo.schedule.ii or "", _times(each.ratio(each.modulo)),
            f"{each.known.ii or 'none'} {SHORT[each.verdict]}",
        )  # fmt: skip
    notes = [Text(f"{each.name}: {each.mismatch}", style="red") for each in found if each.mismatch]
    counts = {verdict: sum(each.verdict == verdict for each in found) for verdict in ("as known", "not proved in time")}
    summary = ", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count)
    legend = "cycles: of the whole loop. list, modulo: their II, and cycles of their loop for one of ours. Blank: none."
    show(table, Text(f"\n{legend}"), *(Text(rule) for rule in RULES), *([Text(summary)] if summary else []), *notes)


def _claim(schedule: Schedule) -> str:
    """The interval, and whether it is proved to be the least."""
    if schedule.status in ("optimal", "infeasible"):
        return f"{schedule.ii or 'none'} proved"
    return f"{schedule.ii or '?'} (>= {schedule.lower_bound})"


def comparisons_json(found: Sequence[Comparison]) -> dict[str, Any]:
    """The same as one object; cycles are those of the whole loop."""
    return {
        "problems": [
            {
                "name": each.name,
                "ops": len(each.ours.schedule.problem.ops),
                "known": {"status": each.known.status, "ii": each.known.ii, "conflict": list(each.known.conflict),
                          "source": each.known.source, "why": each.known.why},
                "ours": _contender_json(each.ours),
                "list": _contender_json(each.listed),
                "modulo": _contender_json(each.modulo),
                "verdict": each.verdict,
                "mismatch": each.mismatch,
            }
            for each in found
        ],
        "rules": list(RULES),
    }  # fmt: skip


def _contender_json(contender: Contender) -> dict[str, Any]:
    schedule = contender.schedule
    return {
        "status": schedule.status, "ii": schedule.ii, "lower_bound": schedule.lower_bound, "reason": schedule.reason,
        "length": schedule.length, "cycles": contender.cycles, "seconds": round(contender.seconds, 3),
        "groups": len(schedule.groups),
    }  # fmt: skip


def _times(ratio: float | None) -> str:
    return f"{ratio:.2f}" if ratio else ""

"""Why no shorter interval: a minimal set of rules that excludes the next one below what is proved."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from twill.schedule.critical import critical_cycle
from twill.schedule.loads import unit_loads
from twill.schedule.problem import Problem
from twill.schedule.schedule import Schedule

if TYPE_CHECKING:
    from twill.solve.sentences import Sentence


@dataclass(frozen=True)
class Below:
    """The rules that together leave no schedule at `ii`, one interval below the proved bound.

    excluded: whether that was refuted again in the time. minimal: whether each rule is proved to be
    needed. how: the arithmetic by which they exclude it, where it is short. alone: other rules each of
    which excludes it too. note: what could not be said, and why.
    """

    ii: int
    excluded: bool
    minimal: bool
    rules: tuple[Sentence, ...]
    how: str
    alone: tuple[str, ...]
    note: str
    seconds: float

    def json(self) -> dict[str, Any]:
        """As plain values for JSON."""
        return {**vars(self), "rules": [vars(rule) for rule in self.rules], "alone": list(self.alone)}


def below(
    schedule: Schedule,
    *,
    time_limit: float = 10,
    tell: Callable[[str], None] = lambda message: None,
    stop: Callable[[], bool] | None = None,
) -> Below:
    """A minimal conflict of `schedule.problem` at one cycle below what is proved of its II.

    Runs the solver for at most `time_limit` seconds; `stop` and Ctrl-C end it with what is known. Without
    placements the answer is the reason the schedule itself gives.
    """
    ii = schedule.lower_bound - 1
    if not schedule.placements:
        return Below(ii, schedule.status == "infeasible", False, (), "", (), schedule.reason, 0.0)
    if ii < 1:
        return Below(ii, True, True, (), "", (), "An interval is at least one cycle.", 0.0)
    from twill.solve.conflict import find_conflict
    from twill.solve.engine import Engine
    from twill.solve.sentences import sentences, together

    engine = Engine(time_limit, 0, stop)
    found = find_conflict(schedule.problem, ii, engine, tell)
    if not found.excluded:
        note = f"That II {ii} is impossible could not be refuted again within {time_limit:g} s; try --time-limit."
        return Below(ii, False, False, (), "", (), note, found.seconds)
    said = sentences(schedule.problem, found)
    named = {rule.text for rule in said}
    note = ""
    if not found.minimal:
        open_ = len(found.members) - len(found.needed)
        note = f"Of {open_} of these {len(found.members)} rules it was not decided in time whether they are needed."
    return Below(
        ii, True, found.minimal, said, together(schedule.problem, found), _alone(schedule.problem, ii, named),
        note, found.seconds,
    )  # fmt: skip


def _alone(problem: Problem, ii: int, named: set[str]) -> tuple[str, ...]:
    """Units and the cycle that exclude `ii` by themselves, without those already named."""
    found = [
        f"unit {load.unit}: {load.busy_cycles} cycles"
        for load in unit_loads(problem)
        if load.res_mii > ii and not any(text.startswith(f"unit {load.unit} ") for text in named)
    ]
    cycle = critical_cycle(problem)
    if cycle and cycle.rec_mii > ii and not any(cycle.ops[0] in text and "->" in text for text in named):
        iterations = f"{cycle.distance} iteration{'s' if cycle.distance > 1 else ''}"
        found.append(f"the cycle {cycle}: {cycle.latency} cycles in {iterations}")
    return tuple(found)

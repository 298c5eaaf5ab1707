"""One problem of the solve-time benchmark, solved by the joint model and by the paper's formulation."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.samples import summarize
from twill import paper
from twill.schedule.checker import check
from twill.schedule.problem import Problem
from twill.schedule.schedule import Schedule
from twill.solve import TIERS, solve

Stop = Callable[[], bool]


@dataclass(frozen=True)
class Side:
    """What one formulation answered: real cycles (0: nothing), its claim, what the checker says, seconds of each run.

    finished: it ended by itself, not at the time limit or Ctrl-C.
    """

    ii_cycles: int
    status: str
    finished: bool
    violations: tuple[str, ...]
    seconds: tuple[float, ...]
    provenance: Mapping[str, Any]

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    def json(self) -> dict[str, Any]:
        facts = {"provenance": dict(self.provenance)} if self.provenance else {}
        return {
            "ii_cycles": self.ii_cycles, "status": self.status, "finished": self.finished,
            "violations": list(self.violations), "seconds": asdict(summarize(self.seconds)), **facts,
        }  # fmt: skip


@dataclass(frozen=True)
class Pair:
    """A problem with both answers. tiers: the joint solve again, with every tier of the objective after the interval.

    rounded_cycles: the interval that the joint model reaches when it is given the normalized costs and its answer is
    translated back as the paper's is; 0 where that was not had. What it exceeds the joint interval by is due to
    normalization alone (and to which of the answers that tie in normalized cycles was met).
    """

    name: str
    ops: int
    ours: Side
    tiers: Side
    peer: Side
    rounded_cycles: int

    @property
    def ratio(self) -> float | None:
        """Seconds of the peer for one of ours, None unless ours is proved. A lower bound unless the peer finished."""
        return self.peer.median / self.ours.median if self.ours.status == "optimal" else None

    @property
    def never_worse(self) -> bool | None:
        """Whether our interval is no longer than the peer's, None where a side has no valid one."""
        if not self.ours.ii_cycles or not self.peer.ii_cycles or self.peer.violations:
            return None
        return self.ours.ii_cycles <= self.peer.ii_cycles

    def json(self) -> dict[str, Any]:
        sides = {"ours": self.ours, "ours_all_tiers": self.tiers, "paper": self.peer}
        return {
            "ops": self.ops, **{name: side.json() for name, side in sides.items()},
            "ours_on_normalized_costs_ii_cycles": self.rounded_cycles or None,
            "ratio": self.ratio, "ratio_is_lower_bound": not self.peer.finished, "never_worse": self.never_worse,
        }  # fmt: skip


def measure(name: str, problem: Problem, runs: int, time_limit: float, stop: Stop) -> Pair | None:
    """Both formulations on `problem`; None when `stop` said so before both were measured.

    Ours is repeated `runs` times. The paper takes the number of groups and the registers per thread as
    given: it gets those of our answer.
    """
    joint = [_timed(lambda: solve(problem, time_limit=time_limit, stop=stop, tiers=())) for _ in range(runs)]
    whole = [_timed(lambda: solve(problem, time_limit=time_limit, stop=stop, tiers=TIERS)) for _ in range(runs)]
    found = joint[0][0]
    groups = len(found.groups) or None
    registers = max((group.registers for group in found.groups if not group.producer), default=None)

    def peer() -> Schedule:
        return paper.solve(problem, groups=groups, registers=registers, time_limit=time_limit, stop=stop)

    theirs = _timed(peer)
    rounded = 0 if stop() else on_normalized_costs(problem, registers or 0, time_limit, stop)
    if stop():
        return None
    return Pair(name, len(problem.ops), _side(joint), _side(whole), _side([theirs]), rounded)


def on_normalized_costs(problem: Problem, registers: int, time_limit: float, stop: Stop) -> int:
    """The real interval of the joint model's answer to the normalized problem, translated as the paper's.

    0 where there is none, or where the translated schedule breaks a rule, so that its interval says nothing.
    """
    from twill.paper.costs import normalized
    from twill.paper.encoding import Answer
    from twill.paper.restore import restored

    costs = normalized(problem, paper.BUDGET, time_limit)
    small = solve(costs.problem, time_limit=time_limit, stop=stop, tiers=())
    if not small.placements:
        return 0
    start = {op.id: small.start(op.id) for op in problem.ops}
    occupancy = {op.id: op.occupancy for op in costs.problem.ops}
    groups = {id: at.groups for id, at in small.placements.items()}
    schedule = restored(problem, costs, Answer(small.ii, small.length, start, occupancy, groups), registers)
    return 0 if check(schedule) else schedule.ii


def _timed(run: Callable[[], Schedule]) -> tuple[Schedule, float]:
    began = time.perf_counter()
    schedule = run()
    return schedule, time.perf_counter() - began


def _side(runs: Sequence[tuple[Schedule, float]]) -> Side:
    schedule = runs[0][0]
    facts: Any = schedule.provenance.get("paper")
    finished = bool(facts["finished"]) if facts else schedule.status in ("optimal", "infeasible")
    return Side(
        schedule.ii, schedule.status, finished,
        tuple(str(violation) for violation in check(schedule)) if schedule.placements else (),
        tuple(seconds for _, seconds in runs), facts or {},
    )  # fmt: skip

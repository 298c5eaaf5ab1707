"""The paper's search: intervals from the least one up, at each the lengths that need no further copy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from twill.paper.costs import Costs, normalized
from twill.paper.encoding import Answer, Encoding, Warps
from twill.paper.z3_solver import Solver
from twill.schedule.problem import Problem
from twill.solve.engine import Engine, Interrupted
from twill.solve.modulo import least_interval, longest_interval, modulo_schedule
from twill.solve.progress import Progress


@dataclass(frozen=True)
class Found:
    """What the search knows: costs it used, an answer or None, and the interval it had come to.

    excluded: every interval below `ii`, in normalized cycles, has no answer within its copies.
    finished: False when a limit or Ctrl-C ended the search.
    """

    costs: Costs
    answer: Answer | None
    ii: int
    seconds: float
    finished: bool


def search(
    problem: Problem,
    warps: Warps,
    *,
    budget: int,
    time_limit: float,
    seed: int,
    progress: Callable[[Progress], None] | None,
    stop: Callable[[], bool] | None,
) -> Found:
    """The first satisfiable system, in the order of the paper, for costs that sum to at most `budget`.

    progress: told the interval at hand as its bound, in normalized cycles.
    """
    engine = Engine(time_limit, seed, stop)
    costs = normalized(problem, budget, time_limit)
    tell = progress or (lambda record: None)
    ii = least_interval(costs.problem)
    try:
        while ii <= longest_interval(costs.problem):
            tell(Progress("paper, normalized cycles", 0, ii, engine.seconds))
            answer = _at(costs, ii, warps, engine)
            if answer is not None:
                return Found(costs, answer, ii, engine.seconds, True)
            ii += 1
    except (Interrupted, KeyboardInterrupt):
        return Found(costs, None, ii, engine.seconds, False)
    return Found(costs, None, ii, engine.seconds, True)


def _at(costs: Costs, ii: int, warps: Warps, engine: Engine) -> Answer | None:
    """The answer of the least length at one interval, or None when all lengths of its copies are refuted.

    The lengths share one solver, in which `length` is a set of assumptions: what it learned at one it
    knows at the next, and a refutation that used none of them holds for all.
    """
    initial = modulo_schedule(costs.problem, ii, engine)
    if initial is None:
        return None
    length = max(1, *(initial[op.id] + op.completion for op in costs.problem.ops))
    copies = -(-length // ii)
    encoding = Encoding(costs, ii, copies, warps)
    solver = Solver(encoding.system, engine)
    while length <= copies * ii:
        if solver.satisfied(encoding.completed_by(length)):
            return encoding.answer(solver.true(), length)
        if not solver.blamed():
            return None
        length += 1
    return None

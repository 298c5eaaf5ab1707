"""The least interval of the paper's system with some of its constraint families, on problems that need no rescaling."""

from __future__ import annotations

from collections.abc import Collection

from twill.paper.costs import Costs, streaming
from twill.paper.encoding import FAMILIES, Answer, Encoding, Warps
from twill.paper.z3_solver import Solver
from twill.schedule.problem import Problem
from twill.solve.engine import Engine


def unscaled(problem: Problem) -> Costs:
    """The costs as they are, streaming ops with their latency."""
    return Costs(problem, streaming(problem), 0, 1.0, True)


def ask(
    problem: Problem, ii: int, groups: int, registers: int, copies: int, families: Collection[str]
) -> Answer | None:
    """An answer at interval `ii` no longer than `copies` intervals, or None."""
    encoding = Encoding(unscaled(problem), ii, copies, Warps(groups, registers), families)
    solver = Solver(encoding.system, Engine(60, 0, None))
    length = copies * ii
    if length < max(op.completion for op in problem.ops) or not solver.satisfied(encoding.completed_by(length)):
        return None
    return encoding.answer(solver.true(), length)


def least(
    problem: Problem, *, groups: int = 1, registers: int = 1000, copies: int = 3, without: Collection[str] = ()
) -> int | None:
    """The first interval up to 30 that has an answer, with all families but some."""
    families = [family for family in FAMILIES if family not in without]
    return next((ii for ii in range(1, 31) if ask(problem, ii, groups, registers, copies, families)), None)

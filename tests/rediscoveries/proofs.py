"""Whether a problem has a schedule at exactly one interval, proved or not at all."""

from twill.schedule.problem import Problem
from twill.solve.constraints import Constraints
from twill.solve.engine import Engine, Outcome
from twill.solve.grouping import grouping
from twill.solve.variables import Variables

EFFORT = 120.0  # deterministic time of CP-SAT; the longest of these proofs takes a fraction of it


def refuted(problem: Problem, ii: int) -> bool:
    """No schedule at `ii` exists, over all groupings. False as well when that was not decided."""
    return _outcome(problem, ii).infeasible


def feasible(problem: Problem, ii: int) -> bool:
    """A schedule at `ii` exists. False as well when that was not decided."""
    return _outcome(problem, ii).values is not None


def _outcome(problem: Problem, ii: int) -> Outcome:
    variables = Variables(problem, grouping(problem), ii, ii)
    Constraints(variables).add_constraints()
    return Engine(600, 0, None).run(variables.model, EFFORT)

"""Cost normalization of the paper's formulation: small whole numbers in nearly the proportions of the costs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from ortools.sat.python import cp_model

from twill.errors import InputError, NoSchedule

BUDGET = 300  # the paper's U: what the small numbers may sum up to


@dataclass(frozen=True)
class Normalization:
    """Small numbers in the order of the costs, and F, the largest |C_i C'_j - C_j C'_i| over all pairs.

    proved: F is the least possible, not only the least found in time.
    """

    costs: tuple[int, ...]
    deviation: int
    proved: bool

    @property
    def total(self) -> int:
        return sum(self.costs)


def normalize(costs: Sequence[int], budget: int = BUDGET, time_limit: float = 30.0) -> Normalization:
    """Costs C' that minimize F with |C_i C'_j - C_j C'_i| <= F for all i, j and 1 <= sum C' <= budget.

    Equal costs share one number and a cost of 0 stays 0, which loses no optimum. Of several optima the
    one with the least sum is taken: the time-indexed encoding that follows grows with it. Without a
    positive cost there is nothing to do, and F is 0. Raises NoSchedule when nothing is found in
    `time_limit` seconds, InputError for a budget below 1.
    """
    if budget < 1:
        raise InputError(f"The normalized costs may sum to {budget}.", hint="Give a sum of 1 or more.")
    count = Counter(cost for cost in costs if cost > 0)
    if not count:
        return Normalization((0,) * len(costs), 0, True)
    model = cp_model.CpModel()
    small = {cost: model.new_int_var(0, budget, f"C'({cost})") for cost in sorted(count)}
    deviation = model.new_int_var(0, max(count) * budget, "F")
    distinct = list(small)
    for k, a in enumerate(distinct):
        for b in distinct[:k]:
            model.add(a * small[b] - b * small[a] <= deviation)
            model.add(b * small[a] - a * small[b] <= deviation)
    total = sum(times * small[cost] for cost, times in count.items())
    model.add_linear_constraint(total, 1, budget)
    # One objective for both: a step of F outweighs any difference of sums.
    model.minimize(deviation * (budget + 1) + total)
    solver = cp_model.CpSolver()
    solver.parameters.catch_sigint_signal = False  # ours to hear: CP-SAT leaves the default handler behind
    solver.parameters.num_workers = 1
    solver.parameters.max_time_in_seconds = max(0.01, time_limit)
    status = solver.solve(model)
    if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        raise NoSchedule(f"no normalized costs were found in {time_limit:g} s.", hint="Give it more time.")
    return Normalization(
        tuple(solver.value(small[cost]) if cost > 0 else 0 for cost in costs),
        solver.value(deviation),
        status == cp_model.OPTIMAL,
    )

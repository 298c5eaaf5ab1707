"""The joint solve: one CP-SAT model of rules 1 to 6, an II search that proves its answer, and the tiers after it.

`docs/formulation.md` states the model. OR-Tools is loaded by the first `solve`, not by this import.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from twill.schedule.problem import Problem
from twill.schedule.schedule import Schedule
from twill.solve.bounds import RecMII, ResMII, rec_mii, res_mii
from twill.solve.progress import Progress
from twill.solve.tiers import TIERS

if TYPE_CHECKING:
    from twill.solve.enumeration import Optima

__all__ = ["TIERS", "Progress", "RecMII", "ResMII", "best", "optima", "rec_mii", "res_mii", "solve"]


def solve(
    problem: Problem,
    *,
    time_limit: float = 60,
    seed: int = 0,
    progress: Callable[[Progress], None] | None = None,
    stop: Callable[[], bool] | None = None,
    tiers: Sequence[str] = TIERS,
) -> Schedule:
    """The best schedule of `problem`, with what is proved of it.

    The interval comes first, then the `tiers` in their order, each fixed before the next. Status
    `optimal` says that every smaller interval from MII on is excluded; `feasible` that the search was
    cut short, `lower_bound` being what was proved; `infeasible` names the rules in conflict in
    `reason`; `unknown` means nothing was found in time. The answer repeats exactly for one seed,
    unless `time_limit` (seconds of wall clock), `stop` (asked a few times a second) or Ctrl-C ends
    it early; each of them returns the best so far.

    Raises InputError for a problem that says nothing a schedule could be judged by: no ops, an
    unknown unit, a negative number, a cycle of dependences of distance 0 and positive latency.
    """
    from twill.solve.search import Search

    return Search(problem, time_limit=time_limit, seed=seed, progress=progress, stop=stop, tiers=tiers).run()


def best(
    problem: Problem,
    count: int,
    *,
    time_limit: float = 60,
    seed: int = 0,
    progress: Callable[[Progress], None] | None = None,
    stop: Callable[[], bool] | None = None,
    tiers: Sequence[str] = TIERS,
    first: Schedule | None = None,
) -> tuple[Schedule, ...]:
    """Up to `count` genuinely different schedules of the best interval found, in the order of the tiers.

    Different are roles, orders, stages or ring depths, not mere slots (`twill.solve.signature`). Fewer
    come back where no more exist or time is over; where nothing was found, the one answer of `solve` that
    says so. `provenance["best"]` has the place of each and whether it is `proved` that nothing else comes
    before it. first: an answer of `solve` for the same problem, to go on from. The rest is as for `solve`.
    """
    return optima(
        problem, count, time_limit=time_limit, seed=seed, progress=progress, stop=stop, tiers=tiers, first=first
    ).schedules


def optima(
    problem: Problem,
    count: int,
    *,
    time_limit: float = 60,
    seed: int = 0,
    progress: Callable[[Progress], None] | None = None,
    stop: Callable[[], bool] | None = None,
    tiers: Sequence[str] = TIERS,
    first: Schedule | None = None,
) -> Optima:
    """What `best` returns, and whether it is proved that there is nothing else."""
    from twill.solve.enumeration import enumerate_optima

    return enumerate_optima(
        problem, count, time_limit=time_limit, seed=seed, progress=progress, stop=stop, tiers=tiers, first=first
    )

"""The formulation of Soi et al. (arXiv 2512.18134) as a peer of the joint solve: normalized costs, a satisfiability
problem over time-indexed Booleans, an ascending search, solved by Z3.

`docs/paper-formulation.md` lists its parts, what the text leaves open and what was chosen. Z3 and
OR-Tools are loaded by the first `solve`, not by this import.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from twill.errors import CheckFailed
from twill.schedule.problem import Problem
from twill.schedule.schedule import Schedule, Tier
from twill.schedule.violation import Violation
from twill.solve.progress import Progress

__all__ = ["BUDGET", "refusal", "share", "solve", "warp_groups"]

BUDGET = 300  # the paper's U: normalized costs sum to at most this


def solve(
    problem: Problem,
    *,
    groups: int | None = None,
    registers: int | None = None,
    budget: int = BUDGET,
    time_limit: float = 60,
    seed: int = 0,
    progress: Callable[[Progress], None] | None = None,
    stop: Callable[[], bool] | None = None,
) -> Schedule:
    """The schedule that the paper's formulation finds for `problem`, translated back to real cycles.

    groups: warp groups in all, an input of the formulation; by default as few as the problem's sets ask
    for (`warp_groups`). registers: per thread of the groups that do not load; by default an equal share
    of the register file. The answer's `ii` is the least that its structure admits in real cycles;
    `provenance["paper"]` has the interval, the length and F in normalized cycles, and whether the search
    ended by itself. Status `optimal` is said only where `ii` is MII, else `feasible`; `unknown` when the
    search, which looks at no more copies than plain modulo scheduling needs, found nothing. The paper
    promises no rule of Twill's beyond its own: run the checker on the answer.

    Raises InputError for a problem that says nothing a schedule could be judged by.
    """
    from twill.paper.encoding import Warps
    from twill.paper.restore import restored
    from twill.paper.search import search
    from twill.solve import result
    from twill.solve.bounds import rec_mii, res_mii
    from twill.solve.validate import validate

    validate(problem)
    rec_mii(problem)
    count = groups or warp_groups(problem)
    warps = Warps(count, registers or share(problem, count))
    found = search(
        problem, warps, budget=budget, time_limit=time_limit, seed=seed, progress=progress, stop=stop
    )  # fmt: skip
    facts: dict[str, object] = {
        "groups": warps.groups,
        "registers": warps.registers,
        "interval": found.ii,
        "deviation": found.costs.deviation,
        "scale": round(found.costs.scale, 6),
        "finished": found.finished,
    }
    if found.answer is None:
        ended = "" if found.finished else f" in {time_limit:g} s"
        reason = f"the paper's formulation found nothing{ended}; it had come to I = {found.ii} normalized cycles"
        bound = max(1, res_mii(problem).ii, rec_mii(problem).ii)
        nothing = result.nothing(problem, "unknown", bound, reason)
        return replace(nothing, seconds=round(found.seconds, 3), provenance={"paper": facts})
    schedule = restored(problem, found.costs, found.answer, warps.registers)
    return replace(
        schedule,
        tiers=(Tier("ii", schedule.ii, schedule.lower_bound, schedule.ii == schedule.lower_bound),),
        seconds=round(found.seconds, 3),
        provenance={"paper": {**facts, "length": found.answer.length}},
    )


def warp_groups(problem: Problem) -> int:
    """One group that loads, if anything does, and as many others as a separate set or one op's span asks for."""
    loading = any(op.variable_latency for op in problem.ops)
    computing = [op for op in problem.ops if not op.variable_latency]
    largest = max((sum(not problem.op(id).variable_latency for id in apart) for apart in problem.separate), default=0)
    return loading + max([largest, *(op.spans for op in computing)])


def share(problem: Problem, groups: int) -> int:
    """Registers per thread when every group that does not load is as wide as the widest op of fixed latency."""
    limits = problem.limits
    loaders = [op.min_warps for op in problem.ops if op.variable_latency]
    others = [op.min_warps for op in problem.ops if not op.variable_latency]
    left = limits.register_file - 128 * -(-max(loaders, default=0) // 4) * limits.producer_registers
    warps = max(1, (groups - bool(loaders)) * max(others, default=1))
    return max(0, min(limits.registers_per_thread, 8 * (left // (256 * warps))))


def refusal(schedule: Schedule, broken: Sequence[Violation]) -> CheckFailed:
    """The error to raise for an answer that keeps the paper's constraints, but not Twill's rules."""
    more = f" (and {len(broken) - 1} more)" if len(broken) > 1 else ""
    return CheckFailed(
        f"the paper's formulation found II {schedule.ii} in {schedule.seconds:.1f} s, but its model lacks a rule that "
        f"this schedule breaks: {broken[0]}{more}.",
        hint="Leave out --formulation paper for a schedule that keeps all rules.",
        location=schedule.problem.name,
    )

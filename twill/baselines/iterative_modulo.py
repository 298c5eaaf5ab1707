"""Plain modulo scheduling: iterations overlap in one instruction stream, without warp groups.

B. R. Rau, Iterative modulo scheduling (MICRO-27, 1994): ops by height, each at the first cycle that its
placed predecessors and the reservation table allow; an op without such a cycle displaces those in its way.

Its rules are 1, 2, 3 and 6 on a single group of warps: loads are issued from the same stream as the rest,
and every wait stops all of it. Ignored, in its favour: registers (allocated after modulo scheduling),
roles and warps, hops (there is nobody to signal), `colocate` and `separate`.
"""

from __future__ import annotations

from dataclasses import replace

from twill.baselines.answer import complete
from twill.baselines.priority import heights
from twill.baselines.reservation_table import ReservationTable
from twill.schedule.checker import check
from twill.schedule.critical import critical_cycle
from twill.schedule.loads import unit_loads
from twill.schedule.problem import Dep, Problem
from twill.schedule.schedule import Schedule

BUDGET = 6  # placements for each op before an interval is given up; Rau found 2 enough for most loops
STEPS = 64  # intervals tried between MII and twice MII


def one_stream(problem: Problem) -> Problem:
    """`problem` as a machine of one group sees it, the rules that plain modulo scheduling does not know taken out."""
    ops = tuple(replace(op, variable_latency=False, registers=0, min_warps=1, spans=1) for op in problem.ops)
    return replace(problem, ops=ops, colocate=(), separate=())


def iterative_modulo(problem: Problem) -> Schedule:
    """A schedule of `one_stream(problem)` that the checker accepts, at the least interval found.

    Intervals from MII on, an MII / STEPS at a time, then halving the last step; not proved minimal.
    `unknown` with the first violation when no interval up to the sequential one works.
    """
    alone = one_stream(problem)
    cycle = critical_cycle(alone)
    mii = max(1, *(load.res_mii for load in unit_loads(alone)), cycle.rec_mii if cycle else 0)
    longest = mii + sum(max(op.completion, op.issue, 1) for op in alone.ops)
    failed, ii = mii - 1, mii
    best: Schedule | None = None
    while best is None and ii <= 2 * longest:
        best = _attempt(alone, ii)
        if best is None:
            failed, ii = ii, ii + max(1, mii // STEPS)
    if best is None:
        return Schedule(alone, "unknown", 0, 1, _obstacle(alone, longest), 0, {}, {}, ())
    while best.ii - failed > 1:
        middle = (failed + best.ii) // 2
        found = _attempt(alone, middle)
        if found is None:
            failed = middle
        else:
            best = found
    return best


def _attempt(problem: Problem, ii: int) -> Schedule | None:
    """A valid schedule at `ii`, or None when the budget is spent or the rings do not fit."""
    starts = _placed(problem, ii)
    if starts is None:
        return None
    schedule = complete(problem, ii, starts, dict.fromkeys(starts, (0,)), "iterative modulo scheduling")
    return schedule if not check(schedule) else None


def _placed(problem: Problem, ii: int) -> dict[str, int] | None:
    height = heights(problem, ii)
    into: dict[str, list[Dep]] = {op.id: [] for op in problem.ops}
    out: dict[str, list[Dep]] = {op.id: [] for op in problem.ops}
    for dep in problem.deps:
        if not dep.ring and dep.src != dep.dst:  # a ring is made as deep as its recurrence asks
            into[dep.dst].append(dep)
            out[dep.src].append(dep)
    table = ReservationTable(problem, ii)
    last: dict[str, int] = {}
    order = {op.id: at for at, op in enumerate(problem.ops)}
    for _ in range(BUDGET * len(problem.ops)):
        waiting = [op for op in problem.ops if op.id not in table.starts]
        if not waiting:
            break
        op = max(waiting, key=lambda each: (height[each.id], -order[each.id]))
        ready = [
            table.starts[dep.src] + dep.latency - dep.distance * ii for dep in into[op.id] if dep.src in table.starts
        ]
        earliest = max([0, *ready])
        at = table.first_fit(op, earliest)
        if at is None:
            at = max(earliest, last.get(op.id, -1) + 1)
            for other in table.conflicts(op, at):
                del table.starts[other]
        table.starts[op.id] = last[op.id] = at
        for dep in out[op.id]:
            if dep.dst in table.starts and table.starts[dep.dst] < at + dep.latency - dep.distance * ii:
                del table.starts[dep.dst]
    return table.starts if len(table.starts) == len(problem.ops) else None


def _obstacle(problem: Problem, longest: int) -> str:
    starts = _placed(problem, longest)
    if starts is None:
        return "no interval lets every wait fall between the issue windows of one stream"
    found = check(complete(problem, longest, starts, dict.fromkeys(starts, (0,)), ""))
    return str(found[0]) if found else "unknown"

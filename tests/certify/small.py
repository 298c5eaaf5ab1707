"""Small random problems with everything a problem can have, and their smallest interval by trying every schedule."""

from __future__ import annotations

from itertools import combinations, product

from hypothesis import strategies as st

from twill.certify.decode import completed
from twill.schedule.checker import check
from twill.schedule.problem import Dep, Limits, Op, Problem
from twill.schedule.schedule import Schedule

RULES = ("hops", "units", "streams", "roles", "registers", "rings", "transfers", "spans")


@st.composite
def problems(draw: st.DrawFn, without: str = "") -> Problem:
    """Three ops of a few cycles; `without` one of RULES, nothing in the problem lets that rule say anything."""

    def number(rule: str, low: int, high: int, otherwise: int = 0) -> int:
        return otherwise if rule == without else draw(st.integers(low, high))

    ops = []
    for id in "abc":
        ops.append(
            Op(
                id,
                draw(st.sampled_from(["A", "B"])),
                occupancy=draw(st.integers(0, 3)),
                issue=number("streams", 0, 3),
                latency=draw(st.integers(0, 3)),
                registers=number("registers", 0, 6),
                smem_bytes=number("rings", 0, 1),
                tmem_columns=number("rings", 0, 1),
                min_warps=number("roles", 1, 2, 1),
                spans=1 + (number("spans", 0, 5) == 5),
                variable_latency=number("roles", 0, 4) == 4,
            )
        )
    deps = []
    for _ in range(draw(st.integers(0, 5))):
        u, v = draw(st.integers(0, 2)), draw(st.integers(0, 2))
        distance = draw(st.integers(0, 1)) if u < v else draw(st.integers(1, 2))
        ring = distance > 0 and ops[v].smem_bytes + ops[v].tmem_columns > 0 and draw(st.booleans())
        in_place = not ring and draw(st.integers(0, 3)) == 0
        blocking = without != "streams" and draw(st.booleans())
        deps.append(Dep("abc"[u], "abc"[v], distance, draw(st.integers(0, 3)), blocking, in_place, ring))
    limits = Limits(
        units={"A": 1, "B": 9 if without == "units" else draw(st.integers(1, 2))},
        smem_bytes=draw(st.integers(4, 8)),
        tmem_columns=draw(st.integers(3, 6)),
        max_groups=draw(st.sampled_from([1, 2, 3, 3, 3])),
        max_warps=draw(st.integers(4, 8)),
        registers_per_thread=draw(st.integers(8, 24)),
        register_file=draw(st.sampled_from([65536, 65536, 4096])),
        producer_registers=draw(st.sampled_from([0, 3, 8])),
        signal_hop=number("hops", 0, 1),
        value_hop=number("hops", 0, 2),
        transfer_bytes=0 if draw(st.booleans()) else number("transfers", 0, 1),
        max_mbarriers=number("transfers", 8, 30, 65536),
    )
    if limits.transfer_bytes:
        limits = Limits(**{**limits.__dict__, "smem_bytes": draw(st.integers(3, 24)) * 128})
    colocate = draw(st.sampled_from([(), (), (), (("a", "b"),)]))
    separate = draw(st.sampled_from([(), (), (), (("b", "c"),)]))
    return Problem("small", limits, tuple(ops), tuple(deps), 100, colocate, separate)


def feasible(problem: Problem, ii: int, latest: int) -> Schedule | None:
    """Some schedule with interval `ii` that the checker accepts with starts up to `latest`, or None."""
    ids = [op.id for op in problem.ops]
    groups = min(problem.limits.max_groups, problem.limits.max_warps, sum(op.spans for op in problem.ops))
    choices = [[frozenset(on) for on in combinations(range(groups), op.spans)] for op in problem.ops]
    for starts in product(range(latest + 1), repeat=len(ids)):
        at = dict(zip(ids, starts, strict=True))
        # Rule 1 without hops, only to save time.
        if min(starts) or any(at[d.dst] + d.distance * ii < at[d.src] + d.latency for d in problem.deps if not d.ring):
            continue
        for on in product(*choices):
            if set().union(*on) != set(range(len(set().union(*on)))):
                continue
            schedule = completed(problem, ii, at, dict(zip(ids, on, strict=True)))
            if not check(schedule):
                return schedule
    return None


def smallest(problem: Problem, longest: int, latest: int) -> int | None:
    """The smallest interval up to `longest` that has such a schedule, or None."""
    return next((ii for ii in range(1, longest + 1) if feasible(problem, ii, latest)), None)

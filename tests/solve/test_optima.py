"""The best few schedules: counted by hand and by brute force, ranked, repeated, cut short; and signatures alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import product
from operator import lt

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.solve.brute import _groups
from tests.solve.instances import attention, problem
from twill.schedule.checker import check
from twill.schedule.problem import Dep, Op, Problem
from twill.schedule.schedule import Schedule
from twill.solve import TIERS, best, enumeration, optima, result, solve
from twill.solve.difference import differences
from twill.solve.signature import Signature, image, landmarks, signature
from twill.solve.symmetry import exchanges
from twill.solve.tiers import SCORES
from twill.solve.variables import Solution


def same_shape(a: Signature, b: Signature) -> bool:
    """Whether two signatures have the same roles and orders, and so differ in stages and depths at most."""
    return a.roles == b.roles and _orders(a) == _orders(b)


def _orders(given: Signature) -> list[tuple[str, ...]]:
    return [tuple(id for id, _ in cycle) for cycle in (*given.streams, *(cycle for _, cycle in given.units))]


def vector(schedule: Schedule) -> tuple[int, ...]:
    """What is minimized, in the order of the tiers."""
    more = ("slack", "ring slack")
    return tuple(SCORES[name](schedule) * (-1 if name in more else 1) for name in TIERS)


def canonical(schedule: Schedule) -> Signature:
    """One signature for all schedules that exchange like ops."""
    given = schedule.problem
    own = signature(schedule)
    return min((image(own, names, given) for names in exchanges(given)), key=repr)


def everything(given: Problem, ii: int, latest: int) -> Iterator[Schedule]:
    """Every valid schedule of interval `ii` with starts up to `latest`, ring slack of 0 and of 1 a ring."""
    ids = [op.id for op in given.ops]
    rings = [op.id for op in given.ops if op.variable_latency and (op.smem_bytes or op.tmem_columns)]
    everywhere = list(_groups(given))
    for starts in product(range(latest + 1), repeat=len(ids)):
        at = dict(zip(ids, starts, strict=True))
        early = any(at[d.dst] + d.distance * ii < at[d.src] + d.latency for d in given.deps if not d.ring)
        if min(starts) or early:
            continue
        for groups, extra in product(everywhere, product((0, 1), repeat=len(rings))):
            solution = Solution(ii, at, groups, dict(zip(rings, extra, strict=True)))
            schedule = result.schedule(given, solution, "feasible", 1, "")
            if not check(schedule):
                yield schedule


def agrees_with_brute_force(given: Problem, latest: int) -> int:
    """All that is genuinely different is found once, in order; how many that is."""
    found = optima(given, 1000)
    if not found.schedules[0].placements:
        return 0
    assert found.exhausted
    assert all(check(schedule) == () for schedule in found.schedules)
    assert all(schedule.provenance["best"]["proved"] for schedule in found.schedules)
    expected = admitted(given, everything(given, found.schedules[0].ii, latest))
    assert [vector(schedule) for schedule in found.schedules] == sorted(expected.values())
    assert {canonical(schedule): vector(schedule) for schedule in found.schedules} == expected
    return len(expected)


def admitted(given: Problem, schedules: Iterable[Schedule]) -> dict[Signature, tuple[int, ...]]:
    """From the best on, those that share roles and orders only with what they tie with or beat in a tier."""
    kept: dict[Signature, tuple[int, ...]] = {}
    names = exchanges(given)
    for scores, own in sorted({(vector(s), canonical(s)) for s in schedules}, key=lambda pair: (pair[0], repr(pair))):
        rivals = [
            other for key, other in kept.items() if any(same_shape(image(key, each, given), own) for each in names)
        ]
        if own not in kept and all(scores == other or any(map(lt, scores, other)) for other in rivals):
            kept[own] = scores
    return kept


def fan(max_groups: int, **second: int) -> Problem:
    """x, then y and z in either order, all on one unit for a cycle, and x again 3 cycles after itself: II = 3."""
    ops = [Op(id, "A", 1, 1, 1) for id in "xyz"]
    ops[2] = replace(ops[2], **second)
    deps = [*(Dep("x", v, 0, 1) for v in "yz"), *(Dep(v, "x", 1, 1) for v in "yz")]
    return problem(ops, deps, max_groups=max_groups, registers_per_thread=8, signal_hop=0, value_hop=0)


def test_orders_are_counted() -> None:
    # x y z and x z y.
    assert agrees_with_brute_force(fan(1, registers=1), latest=2) == 2


def test_like_ops_are_exchanged() -> None:
    assert agrees_with_brute_force(fan(1), latest=2) == 1


def test_roles_are_counted() -> None:
    # The two orders in each of xyz, x|yz, xy|z, xz|y; one group comes before two.
    assert agrees_with_brute_force(fan(2, registers=1), latest=2) == 8
    assert [len(s.groups) for s in best(fan(2, registers=1), 10)] == [1, 1, 2, 2, 2, 2, 2, 2]


def test_roles_of_like_ops_are_counted_once() -> None:
    # xyz and x|yz with one order each, xy|z (which is xz|y) with two.
    assert agrees_with_brute_force(fan(2), latest=2) == 4


def loads(smem_bytes: int, *deps: Dep) -> Problem:
    """Two loads of buffers of 10 bytes for one use, which keeps its unit busy: II = 4."""
    ops = [Op(id, "T", 1, 1, 1, smem_bytes=10, variable_latency=True) for id in "uv"]
    ops.append(Op("use", "C", 4, 4, 4))
    uses = [Dep(id, "use", 0, 1, blocking=True) for id in "uv"]
    return problem(ops, [*uses, *deps], smem_bytes=smem_bytes, max_groups=2)


@pytest.mark.parametrize(("smem_bytes", "depths"), [(49, [(2, 2)]), (59, [(2, 3), (3, 2)]), (69, [(3, 3)])])
def test_depths_are_counted(smem_bytes: int, depths: list[tuple[int, int]]) -> None:
    # v comes after u. A buffer lives to the end of the use: with v a cycle before that, and u two, for 5 and 6 cycles,
    # which are 2 slots of 4. A third is ring slack: one of the two rings has it where it fits, or both. Loads so early
    # that a ring needs 3 make a longer loop that is better in nothing.
    given = loads(smem_bytes, Dep("u", "v", 0, 1))
    assert sorted((s.rings["u"], s.rings["v"]) for s in best(given, 10)) == depths
    assert agrees_with_brute_force(given, latest=9) == len(depths)


def test_depths_of_like_loads_are_counted_once() -> None:
    # The first of the two loads has the third slot, or the second has it.
    assert agrees_with_brute_force(loads(59), latest=9) == 2


def test_stages_are_counted() -> None:
    # b waits for a's result of 1 cycle, and a for that of b two iterations before: at II = 2 b starts 1 or 3 cycles
    # after a (their unit is full): in the same iteration without slack, or in the next one with a slack of 2.
    ops = [Op(id, "A", 1, 1, 1) for id in "ab"]
    given = problem(ops, [Dep("a", "b", 0, 1, blocking=True), Dep("b", "a", 2, 1)], max_groups=1)
    found = best(given, 5)
    assert [s.start("b") - s.start("a") for s in found] == [1, 3]
    assert differences(signature(found[1]), signature(found[0]), given) == ("b an iteration later",)
    assert agrees_with_brute_force(given, latest=4) == 2
    # If nobody waits, there is no slack to gain, and later is merely later.
    calm = replace(given, deps=(replace(given.deps[0], blocking=False), given.deps[1]))
    assert agrees_with_brute_force(calm, latest=4) == 1


def test_what_nothing_holds_is_not_put_off_for_ever() -> None:
    # b may come any number of iterations after a, and has no reason to.
    found = optima(problem([Op(id, "A", 1, 1, 1) for id in "ab"], [Dep("a", "b", 0, 1)], max_groups=1), 5)
    assert (len(found.schedules), found.exhausted) == (1, True)


@st.composite
def rings_of_three(draw: st.DrawFn) -> Problem:
    """Three ops around a recurrence, which bounds how far they can be apart: within two intervals."""
    wide = draw(st.sampled_from(["", "", "", "b"]))
    ops = []
    for id in "abc":
        variable = draw(st.integers(0, 4)) == 0
        occupancy = draw(st.integers(0, 2))
        unit = draw(st.sampled_from(["A", "B"]))
        ops.append(
            Op(
                id,
                unit,
                occupancy,
                draw(st.integers(0, 1)),
                draw(st.integers(1, 2)),
                registers=draw(st.sampled_from([0, 1, 2])),
                smem_bytes=draw(st.sampled_from([0, 1])),
                spans=2 if id == wide else 1,
                variable_latency=variable,
            )
        )
    deps = [
        Dep(u, v, distance, draw(st.integers(0, 1)), blocking=draw(st.booleans()))
        for u, v, distance in (("a", "b", 0), ("b", "c", 0), ("c", "a", draw(st.integers(1, 2))))
    ]
    if ops[1].smem_bytes and draw(st.booleans()):
        deps.append(Dep("c", "b", 1, 1, ring=True))
    return problem(
        ops,
        deps,
        units={"A": 1, "B": draw(st.integers(1, 2))},
        max_groups=3 if wide or len({op.variable_latency for op in ops}) == 2 else draw(st.integers(1, 2)),
        smem_bytes=draw(st.integers(2, 5)),
        registers_per_thread=draw(st.sampled_from([3, 8])),
        signal_hop=draw(st.integers(0, 1)),
        separate=draw(st.sampled_from([(), (("a", "c"),)])) if not wide else (),
    )


@settings(max_examples=10, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(rings_of_three())
def test_optima_are_those_of_brute_force(given: Problem) -> None:
    first = solve(given)
    if first.placements and first.ii <= 5:
        agrees_with_brute_force(given, latest=2 * first.ii)


@pytest.mark.slow
@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(rings_of_three())
def test_more_optima_are_those_of_brute_force(given: Problem) -> None:
    first = solve(given)
    if first.placements and first.ii <= 5:
        agrees_with_brute_force(given, latest=2 * first.ii)


@pytest.fixture(scope="module")
def first() -> Schedule:
    return solve(attention(2), time_limit=60)


def test_attention_has_many(first: Schedule) -> None:
    found = optima(first.problem, 5, first=first)
    assert len(found.schedules) == 5
    assert not found.exhausted
    assert len({canonical(schedule) for schedule in found.schedules}) == 5
    assert {(schedule.ii, schedule.status) for schedule in found.schedules} == {(2048, "optimal")}
    assert all(check(schedule) == () for schedule in found.schedules)
    scores = [vector(schedule) for schedule in found.schedules]
    assert scores == sorted(scores)
    assert [schedule.provenance["best"] for schedule in found.schedules] == [
        {"place": k, "proved": True} for k in range(1, 6)
    ]
    for schedule in found.schedules[1:]:
        assert differences(signature(schedule), signature(first), first.problem)
        for tier, top in zip(schedule.tiers, first.tiers, strict=True):
            assert tier.proved == (tier.value == tier.bound)
            assert not tier.proved or tier.value == top.value
    again = optima(first.problem, 5, first=first)
    assert [replace(s, seconds=0.0) for s in again.schedules] == [replace(s, seconds=0.0) for s in found.schedules]


def test_stop_returns_those_found(first: Schedule) -> None:
    phases: list[str] = []
    found = optima(
        first.problem, 9, first=first, progress=lambda r: phases.append(r.phase), stop=lambda: len(phases) == 3
    )
    assert phases == ["optimum 2 of 9", "optimum 3 of 9", "optimum 4 of 9"]
    assert [schedule.provenance["best"]["place"] for schedule in found.schedules] == [1, 2, 3]
    assert not found.exhausted


def test_what_is_not_settled_is_not_claimed(monkeypatch: pytest.MonkeyPatch) -> None:
    given = fan(1)
    assert optima(given, 5).exhausted
    monkeypatch.setattr(enumeration, "EFFORT", 0.0)
    found = optima(given, 5)
    assert (len(found.schedules), found.exhausted) == (1, False)


def test_what_has_no_schedule_has_no_optima() -> None:
    given = problem([Op("a", "A", 1, registers=9)], registers_per_thread=8)
    assert [schedule.status for schedule in best(given, 3)] == ["infeasible"]


def test_signature_ignores_time_numbers_of_groups_and_details(first: Schedule) -> None:
    own = signature(first)
    # Half an interval later, every op in another slot and many in another stage.
    late = result.schedule(
        first.problem,
        Solution(
            first.ii,
            {op.id: first.start(op.id) + 1000 for op in first.problem.ops},
            {id: tuple(7 - g for g in at.groups) for id, at in first.placements.items()},
            dict.fromkeys(first.rings, 0),
        ),
        "optimal",
        first.ii,
        "",
    )
    assert replace(signature(late), depths=()) == replace(own, depths=())
    known = landmarks(first.problem, first.ii)
    assert {"k", "qk.0", "max.0", "rescale.0", "exp.0", "pv.0"} < known
    assert not {"alpha.0", "sub.0", "sum.0", "cast.0"} & known


def test_like_subtiles_are_exchanged(first: Schedule) -> None:
    names = exchanges(first.problem)
    assert len(names) == 2
    assert names[0] == {op.id: op.id for op in first.problem.ops}
    assert (names[1]["qk.0"], names[1]["exp.1"], names[1]["k"]) == ("qk.1", "exp.0", "k")
    once = image(signature(first), names[1], first.problem)
    assert image(once, names[1], first.problem) == signature(first)

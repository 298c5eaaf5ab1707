"""The search as a whole: against brute force, on attention, cut short, repeated, and on impossible input."""

from __future__ import annotations

import signal
import threading
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.solve.brute import shortest
from tests.solve.instances import HOPPER, attention, problem
from twill.errors import InputError
from twill.schedule.checker import check
from twill.schedule.problem import Dep, Op, Problem
from twill.schedule.schedule import Schedule
from twill.solve import TIERS, Progress, rec_mii, res_mii, search, solve
from twill.solve.tiers import SCORES

# What a problem may have beyond the plain rules; each is left out in turn.
EXTRAS = ("spans", "budgets", "transfers", "barriers", "rings", "hops", "streams", "memories")


@st.composite
def tiny(draw: st.DrawFn, without: str = "") -> Problem:
    """Three ops of a few cycles with everything a problem can have, small enough to try all schedules."""

    def one_of(rule: str, default: object, *others: object) -> object:
        """`default` most of the time, and always when the rule is left out."""
        return draw(st.sampled_from([default, default, *others])) if rule != without else default

    wide = one_of("spans", "", *"abc")
    ops = []
    for id in "abc":
        variable = draw(st.integers(0, 5)) == 0
        occupancy = draw(st.integers(0, 3))
        ops.append(
            Op(
                id,
                draw(st.sampled_from(["A", "B"])),
                occupancy,
                draw(st.integers(0, 2)),
                draw(st.integers(0, 2)),
                registers=draw(st.sampled_from([0, 1, 2, 2, 9])),
                smem_bytes=one_of("memories", 0, 1, 1),
                tmem_columns=one_of("memories", 0, 1, 1),
                min_warps=draw(st.integers(1, 2)),
                spans=2 if id == wide else 1,
                variable_latency=variable,
            )
        )
    deps = []
    for _ in range(draw(st.integers(0, 4))):
        u, v = draw(st.integers(0, 2)), draw(st.integers(0, 2))
        distance = draw(st.integers(0, 1)) if u < v else 1
        latency = draw(st.integers(0, 2))
        blocking = one_of("streams", False, True, True)
        deps.append(Dep("abc"[u], "abc"[v], distance, latency, blocking, draw(st.integers(0, 3)) == 0))
    buffers = [op.id for op in ops if op.smem_bytes or op.tmem_columns]
    if buffers and one_of("rings", False, True, True):
        reader, writer = draw(st.sampled_from("abc")), draw(st.sampled_from(buffers))
        deps.append(Dep(reader, writer, 1, draw(st.integers(0, 4)), draw(st.booleans()), ring=True))
    transfer_bytes = one_of("transfers", 0, 1, 2)
    return problem(
        ops,
        deps,
        units={"A": 1, "B": draw(st.integers(1, 2))},
        smem_bytes=draw(st.integers(2, 5)) + 32 * transfer_bytes * draw(st.sampled_from([1, 2, 4, 18, 36])),
        tmem_columns=draw(st.integers(2, 5)),
        max_groups=3 if wide or len({op.variable_latency for op in ops}) == 2 else draw(st.integers(1, 3)),
        max_warps=draw(st.sampled_from([6, 5, 4, 3])),
        registers_per_thread=draw(st.sampled_from([20, 11, 4])),
        register_file=one_of("budgets", 65536, 512, 1024, 1536, 2048, 2560),
        producer_registers=draw(st.sampled_from([0, 1, 3, 8])),
        transfer_bytes=transfer_bytes,
        max_mbarriers=one_of("barriers", 65536, 2, 4, 6),
        signal_hop=one_of("hops", 0, 1),
        value_hop=one_of("hops", 0, 1, 2),
        colocate=draw(st.sampled_from([(), (), (("a", "b"),)])) if wide in ("", "c") else (),
        separate=draw(st.sampled_from([(), (), (("b", "c"),)])) if not wide else (),
    )


def verified(schedule: Schedule) -> Schedule:
    """The schedule, once the checker accepts it and its tiers say what it scores."""
    assert check(schedule) == ()
    if schedule.placements:
        assert [tier.name for tier in schedule.tiers] == ["ii", *TIERS]
        assert {tier.name: tier.value for tier in schedule.tiers[1:]} == {n: SCORES[n](schedule) for n in TIERS}
    return schedule


def agrees_with_brute_force(given: Problem) -> None:
    """The answer is valid, and its interval that of the search through all schedules."""
    found = verified(solve(given, time_limit=60))
    assert found.status in ("optimal", "infeasible")
    # 3 ops of at most 3 cycles: whatever is feasible is feasible at 9 cycles, though not always with early starts.
    expected = shortest(given, longest=min(9, found.ii or 9), latest=5)
    if found.status == "optimal":
        assert found.ii >= max(res_mii(given).ii, rec_mii(given).ii)
        assert expected in (found.ii, None)  # None: brute force does not look beyond start 5
    else:
        assert expected is None


@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(tiny())
def test_interval_is_that_of_brute_force(given: Problem) -> None:
    agrees_with_brute_force(given)


@pytest.mark.slow
@pytest.mark.parametrize("rule", EXTRAS)
def test_interval_is_that_of_brute_force_without_a_rule(rule: str) -> None:
    @settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(tiny(without=rule))
    def judge(given: Problem) -> None:
        agrees_with_brute_force(given)

    judge()


@pytest.fixture(scope="module")
def two_subtiles() -> Schedule:
    return verified(solve(attention(2), time_limit=60))


def test_attention_is_proved_with_every_tier(two_subtiles: Schedule) -> None:
    # Four wgmma of 512 cycles an iteration: ResMII = 2048.
    assert (two_subtiles.status, two_subtiles.ii) == ("optimal", 2048)
    assert two_subtiles.reason == "ResMII of unit TC (ops qk.0, pv.0, qk.1, pv.1)"
    assert all(tier.proved for tier in two_subtiles.tiers)


def test_slack_issues_the_next_qk_ahead_of_this_softmax_and_alternates_the_groups() -> None:
    # Here softmax is short enough to wait for QK and still meet PV, so only slack asks for the overlap.
    found = solve(attention(2), tiers=("slack", "total time"), time_limit=60)
    for s in (0, 1):
        assert found.start(f"qk.{s}") + found.ii <= found.start(f"exp.{s}")
    order = sorted(("qk.0", "pv.0", "qk.1", "pv.1"), key=lambda id: found.placements[id].slot)
    groups = [found.placements[id].groups for id in order]
    assert groups[0] == groups[2] != groups[1] == groups[3]


def test_same_answer_on_every_run(two_subtiles: Schedule) -> None:
    again = solve(attention(2), time_limit=60)
    assert replace(again, seconds=0.0) == replace(two_subtiles, seconds=0.0)


def test_interval_above_mii_is_proved_by_refutation() -> None:
    # One sub-tile has nothing to overlap softmax with: its registers hold one tile of S and O, not two of S.
    found = verified(solve(attention(1), time_limit=60))
    assert found.status == "optimal"
    assert found.ii > 2048
    assert found.reason == f"II {found.ii - 1} refuted, as was every II from MII 2048 on"


def test_intervals_that_cannot_be_settled_leave_a_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    # Without any effort to refute, 2108 is still found (ii minimized directly), but nothing below it is excluded.
    monkeypatch.setattr(search, "WINDOW_EFFORT", 0.0)
    monkeypatch.setattr(search, "LAST_EFFORT", 0.0)
    found = verified(solve(attention(1), time_limit=60))
    assert (found.status, found.ii, found.lower_bound) == ("feasible", 2108, 2048)
    assert found.reason == "II is between 2048 and 2108; the proof was not finished"


def test_free_ops_are_gathered_into_groups() -> None:
    # Two chains of 100 registers with 16 cycles of life each: one group of 100 registers can hold one copy of one
    # chain's value only, so at II = 20 the chains go to two groups, and the loads to a third.
    ops = [
        Op("load", "T", 10, 1, 50, smem_bytes=64, variable_latency=True),
        *(Op(f"make.{s}", "C", 10, 1, 16, registers=100) for s in "ab"),
        *(Op(f"use.{s}", "V", 8, 8, 8) for s in "ab"),
    ]
    deps = [Dep("load", f"make.{s}", 0, 50, blocking=True) for s in "ab"]
    deps += [Dep(f"make.{s}", f"use.{s}", 0, 16, blocking=True) for s in "ab"]
    found = verified(solve(problem(ops, deps, registers_per_thread=100, value_hop=100)))
    assert (found.status, found.ii, len(found.groups)) == ("optimal", 20, 3)
    assert found.placements["make.a"].groups == found.placements["use.a"].groups
    assert found.placements["make.a"].groups != found.placements["make.b"].groups


def test_value_overwritten_from_another_group_is_there_twice() -> None:
    # acc (in group 1) overwrites the carried value of scale (in group 0) "in place": across groups it is copied, and
    # for the cycle of its use it stands beside the new value: 10 + 10 registers.
    ops = [Op("scale", "A", 2, 2, 2, registers=10), Op("acc", "B", 2, 2, 2, registers=10)]
    deps = [Dep("scale", "acc", 0, 2, in_place=True), Dep("acc", "scale", 1, 2, in_place=True)]
    assert verified(solve(problem(ops, deps, registers_per_thread=20, separate=(("scale", "acc"),)))).ii == 4
    tight = solve(problem(ops, deps, registers_per_thread=19, separate=(("scale", "acc"),)))
    assert tight.status == "infeasible"


def test_tiers_in_another_order() -> None:
    # u -> v over a wait: the shortest loop has no slack, the most slack makes it 4 = ii cycles longer.
    ops = [Op("u", "U", 4, 1, 4), Op("v", "V", 1, 1, 1)]
    given = problem(ops, [Dep("u", "v", 0, 4, blocking=True)])
    hasty = verified(solve(given))
    assert (hasty.ii, hasty.length) == (4, 4 + 1)
    patient = solve(given, tiers=("slack", "total time"))
    assert (patient.ii, patient.length) == (4, 4 + 4 + 1)
    assert [tier.name for tier in patient.tiers] == ["ii", "slack", "total time"]


def test_ring_slack_uses_the_memory_that_is_left() -> None:
    # The load's buffer lives 1 + 1 = 2 cycles at II = 1: depth 2, and one extra if it fits.
    ops = [Op("load", "T", 1, 1, 1, smem_bytes=10, variable_latency=True), Op("use", "C", 1, 1, 1)]
    deps = [Dep("load", "use", 0, 1, blocking=True)]
    assert verified(solve(problem(ops, deps, smem_bytes=30))).rings == {"load": 3}
    assert verified(solve(problem(ops, deps, smem_bytes=29))).rings == {"load": 2}


def test_progress_is_told() -> None:
    records: list[Progress] = []
    found = solve(attention(1), progress=records.append)
    assert records[0].phase == "interval"
    assert "proof" in {record.phase for record in records}
    assert records[-1].ii == found.ii
    bounds = [record.bound for record in records]
    assert bounds == sorted(bounds)


def test_no_time_says_unknown_with_the_bound() -> None:
    found = solve(attention(2), time_limit=0)
    assert (found.status, found.lower_bound, found.placements) == ("unknown", 2048, {})


def test_stop_returns_the_best_so_far() -> None:
    phases: list[str] = []
    found = solve(attention(1), progress=lambda r: phases.append(r.phase), stop=lambda: "proof" in phases)
    assert check(found) == ()
    assert found.status == "feasible"
    assert 2048 <= found.lower_bound < found.ii
    assert found.tiers[0] == type(found.tiers[0])("ii", found.ii, found.lower_bound, False)


@pytest.mark.skipif(threading.current_thread() is not threading.main_thread(), reason="signals reach the main thread")
def test_interrupt_returns_the_best_so_far() -> None:
    def interrupt(record: Progress) -> None:
        if record.phase == "slack":
            signal.raise_signal(signal.SIGINT)

    found = solve(attention(2), progress=interrupt)
    assert (found.status, found.ii) == ("optimal", 2048)  # the interval was proved before
    assert check(found) == ()


def test_rows_that_do_not_fit_are_explained() -> None:
    small = replace(attention(2), limits=replace(HOPPER, smem_bytes=65535))
    found = solve(small)
    assert found.status == "infeasible"
    assert found.reason.startswith("shared memory: one buffer of each ring takes 65536 bytes, the limit is 65535")


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (problem([]), "no ops"),
        (problem([Op("a", "A", 1)], units={"B": 1}), "unit A"),
        (problem([Op("a", "A", 1)], units={"A": 0}), "unit A"),
        (problem([Op("a", "A", 1), Op("a", "A", 1)]), "2 times"),
        (problem([Op("a", "A", -1)]), "occupancy -1"),
        (problem([Op("a", "A", 10**12)]), "occupancy 1000000000000"),
        (problem([Op("a", "A", 1)], [Dep("a", "b")]), "names b"),
        (problem([Op("a", "A", 1)], [Dep("a", "a", -1)]), "distance -1"),
        (problem([Op("a", "A", 1)], [Dep("a", "a", 1, ring=True)]), "writes no buffer"),
        (problem([Op("a", "A", 1, smem_bytes=1)], [Dep("a", "a", 0, ring=True)]), "distance 0"),
        (problem([Op("a", "A", 1, spans=0)]), "spans 0"),
        (problem([Op("a", "A", 1)], transfer_bytes=-1), "transfer_bytes -1"),
        (problem([Op("a", "A", 1)], colocate=(("a", "z"),)), "names z"),
        (problem([Op("a", "A", 1)], max_groups=0), "max_groups 0"),
        (
            problem([Op("a", "A", 1), Op("b", "A", 1)], [Dep("a", "b", 0, 1), Dep("b", "a", 0, 0)]),
            "cycle of distance 0",
        ),
    ],
)
def test_bad_input_is_refused(given: Problem, says: str) -> None:
    with pytest.raises(InputError, match=says):
        solve(given)


def test_unknown_tier_is_refused() -> None:
    with pytest.raises(InputError, match="no tier beauty"):
        solve(attention(1), tiers=("beauty",))

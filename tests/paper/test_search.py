"""The paper's formulation as a whole: its answers beside brute force and the joint solve, and how it ends."""

from __future__ import annotations

import time

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.solve import brute
from tests.solve.instances import HOPPER, attention, problem
from twill import paper
from twill.schedule.checker import check
from twill.schedule.problem import Dep, Op
from twill.solve import solve


@st.composite
def loops(draw):
    """Two to three ops, at most four deps: units, dependences and registers of one group, where the models agree."""
    count = draw(st.integers(2, 3))
    ops = []
    for k in range(count):
        occupancy = draw(st.integers(1, 3))
        latency, registers = draw(st.integers(0, 4)), draw(st.integers(0, 2))
        ops.append(Op(f"o{k}", draw(st.sampled_from("AB")), occupancy, occupancy, latency, registers))
    deps = []
    for _ in range(draw(st.integers(0, 4))):
        src, dst = draw(st.integers(0, count - 1)), draw(st.integers(0, count - 1))
        distance = draw(st.integers(1, 2)) if dst <= src else draw(st.integers(0, 1))
        deps.append(Dep(f"o{src}", f"o{dst}", distance, ops[src].latency))
    return ops, deps


@settings(max_examples=12, deadline=None)
@given(loops())
def test_without_registers_the_first_interval_is_that_of_brute_force(loop):
    ops, deps = loop
    task = problem(ops, deps, registers_per_thread=1000, max_groups=1)
    found = paper.solve(task)
    assert check(found) == ()
    assert found.ii == brute.shortest(task, 9, 9)
    assert found.provenance["paper"]["interval"] == found.ii


@settings(max_examples=12, deadline=None)
@given(loops(), st.integers(2, 4))
def test_with_registers_it_is_valid_and_never_shorter(loop, registers):
    ops, deps = loop
    task = problem(ops, deps, registers_per_thread=registers, max_groups=1)
    found, ours = paper.solve(task, registers=registers), solve(task, tiers=())
    if ours.status == "infeasible":
        assert found.status == "unknown"
        return
    if found.placements:
        assert found.provenance["paper"]["interval"] >= found.ii >= ours.ii
        assert check(found) == ()


def test_registers_lengthen_the_interval_as_in_the_joint_solve():
    # The value of a (8 registers) lives 5 cycles until b starts: II = 5 where one copy fits, 3 where two do.
    a, b = Op("a", "A", 1, 1, 5, registers=8), Op("b", "B", 1, 1, 1)
    for limit, ii in ((8, 5), (16, 3)):
        task = problem([a, b], [Dep("a", "b", 0, 5)], registers_per_thread=limit, max_groups=1)
        assert paper.solve(task).ii == solve(task, tiers=()).ii == ii


def test_hops_between_groups_as_in_the_joint_solve():
    ops = [Op("a", "A", 3, 1, 3), Op("b", "B", 4, 1, 4)]
    deps = [Dep("a", "b", 0, 3), Dep("b", "a", 1, 4)]
    task = problem(ops, deps, signal_hop=5, separate=(("a", "b"),))
    assert paper.solve(task).ii == solve(task, tiers=()).ii == 17


def test_attention_with_coarse_costs_is_found_at_raw_mii():
    # A budget of 80 makes one wgmma 8 cycles; ping-pong at ResMII survives the rounding.
    found = paper.solve(attention(2), budget=80, time_limit=120)
    assert (found.ii, found.status) == (2048, "optimal")
    assert check(found) == ()
    assert found.provenance["paper"]["deviation"] > 0
    on = {id: at.groups[0] for id, at in found.placements.items()}
    assert on["k"] == on["v"] == 0
    assert {on["qk.0"], on["qk.1"]} == {1, 2}


def test_given_inputs_of_the_formulation():
    assert paper.warp_groups(attention(2)) == 3
    assert paper.share(attention(2), 3) == HOPPER.registers_per_thread == 232
    # Four groups of 4 warps and a loader: (65536 - 128 * 24) / (32 * 16) = 122, rounded down to a step of 8.
    assert paper.share(attention(2), 5) == 120
    assert paper.warp_groups(problem([Op("a", "A", 1)])) == 1
    assert paper.warp_groups(problem([Op("a", "A", 1, variable_latency=True)])) == 1


def test_too_few_groups_find_nothing_and_claim_nothing():
    task = problem([Op("a", "A", 1), Op("b", "B", 1)], separate=(("a", "b"),))
    found = paper.solve(task, groups=1)
    assert (found.status, dict(found.placements)) == ("unknown", {})
    assert "found nothing; it had come to" in found.reason
    assert check(found) == ()


def test_the_time_limit_and_stop_end_the_search():
    task = attention(1)
    began = time.monotonic()
    late = paper.solve(task, time_limit=0.5)
    assert (late.status, late.provenance["paper"]["finished"]) == ("unknown", False)
    stopped = paper.solve(task, stop=lambda: True)
    assert stopped.status == "unknown"
    assert time.monotonic() - began < 60


def test_progress_tells_the_interval_at_hand():
    told = []
    a, b = Op("a", "A", 1, 1, 5, registers=8), Op("b", "B", 1, 1, 1)
    task = problem([a, b], [Dep("a", "b", 0, 5)], registers_per_thread=8, max_groups=1)
    paper.solve(task, progress=told.append)
    assert [record.bound for record in told] == [1, 2, 3, 4, 5]

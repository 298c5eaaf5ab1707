"""The list scheduler: hand-solved loops, and schedules that the checker accepts on loops of every kind."""

from dataclasses import replace

import pytest
from commands import GRAPH

from benchmarks.random_loops import colocated_loop, random_loop
from twill.baselines import list_schedule
from twill.baselines.priority import heights
from twill.schedule.checker import check
from twill.schedule.graph_file import problem_from_json
from twill.schedule.lifetimes import register_lives
from twill.schedule.modulo import peak


@pytest.fixture
def loop():
    return problem_from_json(GRAPH, "test")


def test_one_stage_of_a_small_loop(loop):
    # load 0 (result at 50), dot 50 (result at 90), exp 90 to 115; the next load waits for exp to start: 91.
    found = list_schedule(loop)
    assert {id: found.start(id) for id in found.placements} == {"load": 0, "dot": 50, "exp": 90}
    assert (found.ii, found.length, found.rings) == (91, 115, {"load": 1})
    assert check(found) == ()


def test_hops_between_groups_count(loop):
    # the load is in a group of its own: 92 cycles later all along
    found = list_schedule(replace(loop, limits=replace(loop.limits, signal_hop=92)))
    assert found.start("dot") == 142
    assert check(found) == ()


def test_heights_by_hand(loop):
    # exp 25; dot 40 + 25; load 50 + 65
    assert heights(loop) == {"exp": 25, "dot": 65, "load": 115}


def test_a_recurrence_that_binds_sets_the_interval(loop):
    # dot of the next iteration needs exp (start 90) and 200 cycles more: 90 + 200 - 50
    late = replace(loop, deps=(*loop.deps, replace(loop.deps[1], src="exp", dst="dot", distance=1, latency=200)))
    assert list_schedule(late).ii == 240


def test_memory_for_no_slot_is_said(loop):
    found = list_schedule(replace(loop, limits=replace(loop.limits, smem_bytes=399)))
    assert (found.status, found.placements) == ("unknown", {})
    assert found.reason == "rings: shared memory holds load 1 * 400 = 400 bytes > 399"


def test_groups_that_cannot_be_are_said(loop):
    found = list_schedule(replace(loop, limits=replace(loop.limits, max_groups=1)))
    assert "no assignment of warp groups" in found.reason


@pytest.mark.parametrize("make", [random_loop, colocated_loop])
@pytest.mark.parametrize("ops", [10, 20, 40, 80])
def test_every_rule_holds_on_random_loops(make, ops):
    for seed in range(3):
        found = list_schedule(make(ops, seed))
        assert check(found) == ()
        assert {at.stage for at in found.placements.values()} == {0}


def test_too_many_registers_by_urgency_are_few_in_order():
    """Four chains load -> wide -> narrow, all loads urgent: at once they hold four wide values."""
    ops, deps = [], []
    for i in range(4):
        # narrow_i are the long ends: every wide_i is more urgent than any of them once its unit is free
        ops += [
            {"id": f"wide{i}", "unit": "A", "occupancy": 1, "latency": 1, "registers": 50},
            {"id": f"narrow{i}", "unit": "B", "occupancy": 10, "latency": 10, "registers": 1},
        ]
        deps.append({"src": f"wide{i}", "dst": f"narrow{i}"})
    machine = {"units": {"A": 1, "B": 1}, "max_groups": 1, "registers_per_thread": 120}
    problem = problem_from_json({"format": "twill-graph/1", "machine": machine, "ops": ops, "deps": deps}, "test")
    found = list_schedule(problem)
    assert check(found) == ()
    assert peak(register_lives(found)[0], found.ii)[1] <= 120
    roomy = replace(problem, limits=replace(problem.limits, registers_per_thread=255))
    assert peak(register_lives(list_schedule(roomy))[0], found.ii)[1] > 120

"""Iterative modulo scheduling: hand-solved loops, its reservation table, the rules it claims."""

from dataclasses import replace

import pytest
from commands import GRAPH

from benchmarks.random_loops import random_loop
from twill import problems
from twill.baselines import iterative_modulo, one_stream
from twill.baselines.reservation_table import ReservationTable
from twill.schedule.checker import check
from twill.schedule.critical import critical_cycle
from twill.schedule.graph_file import problem_from_json
from twill.schedule.loads import unit_loads


@pytest.fixture
def loop():
    return problem_from_json(GRAPH, "test")


def test_a_ring_and_a_wait_set_the_interval_of_a_small_loop(loop):
    # MII is dot's 30. Two slots of 400 bytes have to cover dot's 50 + 40 cycles, so 45 and dot at 50 exactly; but
    # until 49 that is 1 to 5 cycles into the next load's window of 20, which one stream cannot step out of.
    found = iterative_modulo(loop)
    assert (found.ii, found.rings) == (50, {"load": 2})
    assert check(found) == ()


@pytest.mark.parametrize(
    ("name", "ii"),
    [("vector_update", 3), ("horner", 7), ("fractional_recurrence", 4), ("two_ports", 3), ("mii_missed", 3),
     ("late_is_better", 4), ("waits_in_one_stream", 7),
     ("waits_in_two_streams", 7),  # it has one stream whatever the machine has
     ("long_life", 2)],  # and counts no registers
)  # fmt: skip
def test_classical_loops(name, ii):
    assert iterative_modulo(problems.load(name)).ii == ii


def test_its_rules_are_those_of_one_stream(loop):
    kept = one_stream(replace(loop, colocate=(("dot", "exp"),)))
    assert not any(op.variable_latency or op.registers for op in kept.ops)
    assert (kept.colocate, kept.deps, kept.limits) == ((), loop.deps, loop.limits)


def test_memory_for_no_slot_is_said(loop):
    found = iterative_modulo(replace(loop, limits=replace(loop.limits, smem_bytes=399)))
    assert (found.status, found.placements) == ("unknown", {})
    assert "shared memory" in found.reason


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("ops", [10, 20])
def test_random_loops(ops, seed):
    problem = random_loop(ops, seed)
    found = iterative_modulo(problem)
    assert check(found) == ()
    cycle = critical_cycle(problem)
    assert found.ii >= max(unit_loads(problem)[0].res_mii, cycle.rec_mii if cycle else 0)


def table_of(ops, deps=(), ii=10, units=None):
    machine = {"units": units or {"A": 1, "B": 1}}
    data = {"format": "twill-graph/1", "machine": machine, "ops": ops, "deps": list(deps)}
    problem = problem_from_json(data, "test")
    return problem, ReservationTable(problem, ii)


def test_a_unit_is_free_after_the_op_on_it_and_before_it_comes_again():
    problem, table = table_of([{"id": "a", "unit": "A", "occupancy": 4}, {"id": "b", "unit": "A", "occupancy": 3}])
    table.starts["a"] = 2  # slots 2 to 5, again 12 to 15
    assert table.first_fit(problem.op("b"), 0) == 6  # 0 would run into 2
    assert table.first_fit(problem.op("b"), 8) == 8
    assert table.first_fit(problem.op("b"), 10) == 16
    assert table.conflicts(problem.op("b"), 13) == ["a"]


def test_a_full_unit_has_no_place():
    problem, table = table_of([{"id": "a", "unit": "A", "occupancy": 8}, {"id": "b", "unit": "A", "occupancy": 3}])
    table.starts["a"] = 0
    assert table.first_fit(problem.op("b"), 0) is None


def test_two_ops_share_a_unit_of_two():
    ops = [{"id": id, "unit": "A", "occupancy": 4} for id in "abc"]
    problem, table = table_of(ops, units={"A": 2})
    table.starts["a"] = 0
    assert table.first_fit(problem.op("b"), 0) == 0
    table.starts["b"] = 0
    assert table.first_fit(problem.op("c"), 0) == 4


def test_a_wait_stays_out_of_windows_and_windows_out_of_waits():
    ops = [{"id": "a", "unit": "A", "occupancy": 4}, {"id": "b", "unit": "B", "occupancy": 3}]
    problem, table = table_of(ops, [{"src": "a", "dst": "b", "blocking": True}])
    table.starts["a"] = 0
    assert table.first_fit(problem.op("b"), 1) == 4
    assert table.first_fit(problem.op("b"), 10) == 10  # where the window begins
    del table.starts["a"]
    table.starts["b"] = 2
    assert table.first_fit(problem.op("a"), 0) == 2  # its window may begin with the wait
    assert table.first_fit(problem.op("a"), 3) == 3

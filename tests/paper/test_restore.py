"""Back to real cycles: the structure stays, the interval is the least it admits, rounding is repaired."""

from __future__ import annotations

from dataclasses import replace

from tests.solve.instances import problem
from twill.paper.costs import Costs, normalized
from twill.paper.encoding import Answer
from twill.paper.restore import restored
from twill.schedule.checker import check
from twill.schedule.problem import Dep, Op


def translated(given, ii, start, groups=None, costs=None, registers=1000):
    costs = costs or Costs(given, frozenset(), 0, 1.0, True)
    occupancy = {op.id: op.occupancy for op in costs.problem.ops}
    length = max(start[op.id] + op.completion for op in costs.problem.ops)
    return restored(given, costs, Answer(ii, length, start, occupancy, groups or dict.fromkeys(start, (0,))), registers)


def test_an_exact_answer_comes_back_as_it_was():
    given = problem([Op("a", "A", 3, 1, 3), Op("b", "B", 4, 1, 4)], [Dep("a", "b", 0, 3)])
    found = translated(given, 4, {"a": 0, "b": 3})
    assert (found.ii, found.status, {id: found.start(id) for id in "ab"}) == (4, "optimal", {"a": 0, "b": 3})
    assert check(found) == ()


def test_the_interval_is_the_least_of_the_structure_not_the_scaled_one():
    # One unit with 1000 and 10 cycles, normalized to 1 and 0: I = 1 says nothing of the 10, the order does.
    given = problem([Op("a", "A", 1000, 1, 1000), Op("b", "A", 10, 1, 10)], [Dep("a", "b", 0, 1000)])
    small = problem([Op("a", "A", 1, 0, 1), Op("b", "A", 0, 0, 0)], [Dep("a", "b", 0, 1)])
    found = translated(given, 1, {"a": 0, "b": 1}, costs=Costs(small, frozenset(), 0, 0.001, True))
    assert (found.ii, found.status) == (1010, "optimal")
    assert check(found) == ()


def test_a_poor_structure_stays_poor():
    # a and c share unit A (3 + 3 cycles); b, 4 cycles, lies between them. With all in stage 0, c ends 10 cycles after a
    # starts and a starts again only then: II = 10. With c a stage later, in the gap, the units' 6 is reached.
    ops = [Op("a", "A", 3, 1, 3), Op("b", "B", 4, 1, 4), Op("c", "A", 3, 1, 3)]
    given = problem(ops, [Dep("a", "b", 0, 3), Dep("b", "c", 0, 4)])
    found = translated(given, 12, {"a": 0, "b": 4, "c": 9})
    assert (found.ii, found.status, found.lower_bound) == (10, "feasible", 6)
    assert "a -> b -> c -> a" in found.reason
    assert check(found) == ()
    better = translated(given, 8, {"a": 0, "b": 4, "c": 11})
    assert (better.ii, better.status) == (6, "optimal")
    assert check(better) == ()


def test_registers_are_released_in_the_answers_order_where_they_are_short():
    # b reads the value of a for its 4 cycles, so a's lives from 0 to 5: at II = 5 one copy, as the answer has it. The
    # order of starts alone would admit II = 4, with two copies.
    a, b = Op("a", "A", 1, 1, 1, registers=8), Op("b", "B", 4, 1, 4)
    given = problem([a, b], [Dep("a", "b", 0, 1)])
    assert translated(given, 5, {"a": 0, "b": 1}, registers=8).ii == 5
    assert translated(given, 5, {"a": 0, "b": 1}, registers=16).ii == 4


def test_starts_in_one_cycle_are_ordered_so_that_registers_are_released_first():
    # b, in stage 1, starts in the slot of a: before it, or two copies of a would be alive.
    a, b = Op("a", "A", 1, 1, 5, registers=8), Op("b", "B", 1, 1, 1)
    given = problem([a, b], [Dep("a", "b", 0, 5)])
    assert translated(given, 5, {"a": 0, "b": 5}, registers=8).ii == 5


def test_waits_are_kept_out_of_issue_windows_that_rounding_had_lost():
    # x issues for 50 cycles, which the normalized answer saw as none, before the wait of v in the same group.
    u, v, x = Op("u", "U", 400, 1, 400), Op("v", "V", 100, 0, 100), Op("x", "X", 50, 50, 50)
    given = problem([u, v, x], [Dep("u", "v", 0, 400, blocking=True)])
    small = replace(given, ops=(replace(u, occupancy=4, issue=0, latency=4), replace(v, occupancy=1, latency=1),
                                replace(x, occupancy=0, issue=0, latency=0)))  # fmt: skip
    small = replace(small, deps=(replace(given.deps[0], latency=4),))
    found = translated(given, 6, {"u": 0, "x": 4, "v": 4}, costs=Costs(small, frozenset(), 0, 0.01, True))
    assert check(found) == ()
    assert found.start("v") >= found.start("u") + 400


def test_loads_run_ahead_of_their_uses_by_their_real_latency_and_no_more():
    load = Op("load", "TMA", 400, 20, 900, smem_bytes=100, variable_latency=True)
    first, then = Op("first", "B", 200, 200, 200), Op("then", "B", 600, 600, 600)
    deps = [Dep("load", "then", 0, 900, blocking=True), Dep("first", "then", 0, 200)]
    given = problem([first, then, load], deps, signal_hop=30)
    costs = normalized(given, 300, 10)
    start = {"first": 0, "then": costs.problem.op("first").occupancy, "load": 0}
    ii = sum(op.occupancy for op in costs.problem.ops if op.unit == "B")
    found = translated(given, ii, start, {"load": (0,), "first": (1,), "then": (1,)}, costs)
    assert check(found) == ()
    assert found.start("then") - found.start("load") == 930
    assert found.rings == {"load": 2}  # 930 cycles until the use starts, 600 until it ends, at II = 800
    assert (found.groups[0].producer, found.groups[1].producer) == (True, False)


def test_units_of_several_places_keep_what_did_not_overlap_apart():
    ops = [Op("a", "A", 30, 1, 30), Op("b", "A", 30, 1, 30), Op("c", "A", 20, 1, 20)]
    given = problem(ops, units={"A": 2})
    # Slots 0 to 10: a and c; 10 to 30: a and b; 30 to 40: b and c. Each pair overlaps somewhere, never all three.
    found = translated(given, 40, {"a": 0, "b": 10, "c": 30})
    assert check(found) == ()
    assert found.ii == 40


def test_groups_without_ops_are_dropped_and_registers_follow_the_values():
    a, b = Op("a", "A", 3, 3, 3, registers=10), Op("b", "B", 4, 4, 4, min_warps=4)
    found = translated(problem([a, b], [Dep("a", "b", 0, 3)]), 7, {"a": 0, "b": 3}, {"a": (2,), "b": (2,)})
    assert [at.groups for at in found.placements.values()] == [(0,), (0,)]
    assert [(group.warps, group.registers) for group in found.groups] == [(4, 16)]
    assert check(found) == ()


def test_an_edge_that_reuses_a_ring_is_met_by_its_depth():
    write = Op("write", "A", 10, 1, 10, tmem_columns=1)
    read = Op("read", "B", 10, 10, 50)
    deps = [Dep("write", "read", 0, 10), Dep("read", "write", 1, 50, ring=True)]
    given = problem([write, read], deps)
    costs = normalized(given, 300, 10)
    found = translated(given, 10, {"write": 0, "read": 10}, costs=costs)
    # The slot is written at 0 and read until 10 + 50 = 60: six intervals of 10.
    assert (found.ii, found.rings) == (10, {"write": 6})

"""Each constraint family of the paper on one instance solved by hand: the least interval with it and without it."""

from __future__ import annotations

from tests.paper.asking import FAMILIES, ask, least
from tests.solve.instances import problem
from twill.schedule.problem import Dep, Op


def test_uniqueness_and_consistency():
    # Two ops of 2 cycles on one unit at II = 4, in 3 copies: each starts exactly once, within the completed program.
    given = problem([Op("a", "A", 2, 1, 2), Op("b", "A", 2, 1, 2)], [Dep("a", "b", 0, 2)])
    found = ask(given, 4, 1, 100, 3, FAMILIES)
    assert found is not None
    assert set(found.start) == {"a", "b"}
    assert found.start["b"] - found.start["a"] in (2, 6)
    assert found.start["b"] + 2 <= found.length == 12


def test_completion_leaves_no_room_beyond_the_length():
    # A chain of 3 + 3 cycles needs two copies at II = 3: within one, nothing fits before 6.
    given = problem([Op("a", "A", 3, 1, 3), Op("b", "B", 3, 1, 3)], [Dep("a", "b", 0, 3)])
    assert least(given, copies=1) == 6
    assert least(given, copies=2) == 3


def test_dependence():
    # 3 + 4 cycles around a recurrence of distance 1; without it, the units alone ask for 4.
    ops = [Op("a", "A", 3, 1, 3), Op("b", "B", 4, 1, 4)]
    given = problem(ops, [Dep("a", "b", 0, 3), Dep("b", "a", 1, 4)])
    assert least(given) == 7
    assert least(given, without=["dependence"]) == 4


def test_dependence_on_itself():
    assert least(problem([Op("a", "A", 1, 1, 5)], [Dep("a", "a", 1, 5)])) == 5
    assert least(problem([Op("a", "A", 1, 1, 5)], [Dep("a", "a", 2, 5)])) == 3


def test_capacity():
    # 3 + 4 + 5 cycles on one unit; two of them; none counted (an op of 5 fits into 3 copies of II = 2).
    ops = [Op("a", "A", 3, 1), Op("b", "A", 4, 1), Op("c", "A", 5, 1)]
    assert least(problem(ops)) == 12
    assert least(problem(ops, units={"A": 2})) == 6
    assert least(problem(ops), without=["capacity"]) == 2


def test_capacity_counts_an_op_longer_than_the_interval_in_whole_turns():
    # 10 cycles on capacity 3: ceil(10 / 3) = 4.
    assert least(problem([Op("a", "A", 10, 1)], units={"A": 3}), copies=3) == 4


def test_liveness_and_memory():
    # The buffer of a lives from its start to the completion of b, 2 + 3 = 5 cycles. 10 bytes a copy; 19 bytes hold
    # one copy, so II = 5, where A and B alone ask for 3.
    a, b = Op("a", "A", 2, 1, 2, smem_bytes=10), Op("b", "B", 3, 1, 3)
    given = problem([a, b], [Dep("a", "b", 0, 2)], smem_bytes=19)
    assert least(given) == 5
    assert least(given, without=["memory"]) == 3
    roomy = problem([a, b], [Dep("a", "b", 0, 2)], smem_bytes=20)
    assert least(roomy) == 3


def test_memory_counts_columns_apart_from_bytes():
    a, b = Op("a", "A", 2, 1, 2, tmem_columns=10), Op("b", "B", 3, 1, 3)
    assert least(problem([a, b], [Dep("a", "b", 0, 2)], tmem_columns=19, smem_bytes=0)) == 5


def test_a_value_of_the_next_iteration_stays_alive():
    # b uses a of the iteration before: it lives from 2 to II + start(b) at least, so two copies are never avoided
    # by any II unless b of the next iteration starts before a does: start(b) <= start(a).
    a, b = Op("a", "A", 2, 2, 2, registers=6), Op("b", "B", 2, 2, 2)
    given = problem([a, b], [Dep("a", "b", 1, 2)])
    assert least(given, registers=6) == 2
    # With b after a in its own iteration too, the value of one iteration lives for II + 2: two copies.
    both = problem([a, b], [Dep("a", "b", 1, 2), Dep("a", "b", 0, 2)])
    assert least(both, registers=11) is None
    assert least(both, registers=12) == 2
    assert least(both, registers=11, without=["registers"]) == 2


def test_registers():
    # The value of a lives the 5 cycles until b starts; 8 registers hold one copy of 8: II = 5.
    a, b = Op("a", "A", 1, 1, 5, registers=8), Op("b", "B", 1, 1, 1)
    given = problem([a, b], [Dep("a", "b", 0, 5)])
    assert least(given, registers=8, copies=6) == 5
    assert least(given, registers=16, copies=6) == 3
    assert least(given, registers=8, copies=6, without=["registers"]) == 1


def test_registers_are_counted_by_warp_group():
    # Two values of 8 registers, each alive 4 cycles: one group has room for one at a time (II = 8), two for both.
    ops = [Op(name, name, 1, 1, 4, registers=8) for name in ("a", "b")]
    ops += [Op(f"use {name}", f"U{name}", 1, 1, 1) for name in ("a", "b")]
    given = problem(ops, [Dep("a", "use a", 0, 4), Dep("b", "use b", 0, 4)])
    assert least(given, registers=8, copies=3) == 8
    assert least(given, registers=8, copies=3, groups=2) == 4


def test_variable_latency():
    # A load and its use on one group: impossible, since the loading group is the load's alone.
    load, use = Op("load", "TMA", 2, 1, 2, variable_latency=True), Op("use", "B", 2, 2, 2)
    given = problem([load, use], [Dep("load", "use", 0, 0)])
    assert least(given, groups=1) is None
    assert least(given, groups=1, without=["variable latency"]) == 2
    found = ask(given, 2, 3, 100, 3, FAMILIES)
    assert found is not None
    assert found.groups["load"] == (0,)
    assert found.groups["use"] != (0,)


def test_spill_is_paid_by_consumers_on_another_group():
    # The recurrence of 3 + 4 cycles, apart with hops of 5 (signal) and 8 (value): 7, 7 + 5 + 5, 7 + 8 + 5.
    ops = [Op("a", "A", 3, 1, 3), Op("b", "B", 4, 1, 4)]
    deps = [Dep("a", "b", 0, 3), Dep("b", "a", 1, 4)]
    assert least(problem(ops, deps, signal_hop=5), groups=2) == 7
    apart = problem(ops, deps, signal_hop=5, separate=(("a", "b"),))
    assert least(apart, groups=2) == 17
    assert least(apart, groups=2, without=["spill"]) == 7
    value = [Op("a", "A", 3, 1, 3, registers=1), ops[1]]
    assert least(problem(value, deps, signal_hop=5, value_hop=8, separate=(("a", "b"),)), groups=2) == 20


def test_a_streaming_load_spills_nothing():
    load, use = Op("load", "TMA", 2, 1, 0, variable_latency=True), Op("use", "B", 2, 2, 2)
    given = problem([load, use], [Dep("load", "use", 0, 0)], signal_hop=50)
    assert least(given, groups=2, copies=1) == 2


def test_concurrency():
    # u is asynchronous (4 cycles, issue 1), v waits for it, x issues for 4 cycles. On one group no x may start within
    # [t - 3, t] of the wait: that window is all 4 slots of II = 4, so II = 5. On two groups II = 4.
    u, v, x = Op("u", "U", 4, 1, 4), Op("v", "V", 1, 0, 1), Op("x", "X", 4, 4, 4)
    given = problem([u, v, x], [Dep("u", "v", 0, 4, blocking=True)])
    assert least(given) == 5
    assert least(given, without=["concurrency"]) == 4
    assert least(given, groups=2) == 4


def test_concurrency_counts_the_moment_of_the_wait_itself():
    # x of issue 1 may not start together with the wait: two slots for II = 2, one would do without.
    v, x = Op("v", "V", 1, 0, 1), Op("x", "X", 1, 1, 1)
    given = problem([v, x], [Dep("x", "v", 1, 1, blocking=True)])
    assert least(given) == 2
    assert least(given, without=["concurrency"]) == 1


def test_warp_uniqueness_and_spans():
    # An op on two groups at once: impossible with one group; with two it waits in both, so x is in its way.
    wide = Op("wide", "V", 1, 0, 1, spans=2)
    x = Op("x", "X", 3, 3, 3)
    given = problem([wide, x], [Dep("x", "wide", 1, 3, blocking=True)])
    assert least(given, groups=1) is None
    assert least(given, groups=2) == 4
    assert least(given, groups=3) == 3
    found = ask(given, 4, 2, 100, 3, FAMILIES)
    assert found is not None
    assert found.groups["wide"] == (0, 1)
    assert len(found.groups["x"]) == 1


def test_sets():
    # a and b may not share a group: impossible on one, and two ops that must share one pay no hop.
    ops = [Op("a", "A", 3, 1, 3), Op("b", "B", 4, 1, 4)]
    assert least(problem(ops, separate=(("a", "b"),))) is None
    assert least(problem(ops, separate=(("a", "b"),)), groups=2) == 4
    assert least(problem(ops, separate=(("a", "b"),)), without=["sets"]) == 4
    torn = problem(ops, colocate=(("a", "b"),), separate=(("a", "b"),))
    assert least(torn, groups=2) is None

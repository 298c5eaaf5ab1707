"""The problem as the paper sees it: what is rescaled, and whose latency is hidden."""

from __future__ import annotations

from tests.solve.instances import attention, problem
from twill.paper.costs import normalized, streaming
from twill.schedule.problem import Dep, Op

LOAD = Op("load", "TMA", 400, 20, 900, variable_latency=True)


def test_small_costs_stay_as_they_are():
    given = problem([Op("a", "A", 3, 1, 5, registers=2), Op("b", "B", 4, 4, 4)], [Dep("a", "b", 0, 5)], signal_hop=7)
    costs = normalized(given, 300, 10)
    assert costs.problem == given
    assert (costs.deviation, costs.scale, costs.streaming) == (0, 1.0, frozenset())


def test_occupancies_are_normalized_and_the_rest_follows_at_their_scale():
    # 400 : 200 = 2 : 1 exactly, so the scale is 3 / 600. The latency beyond b's 200 cycles, 410, becomes 2.05 -> 2.
    b = Op("b", "B", 200, 90, 610)
    given = problem([LOAD, b], [Dep("load", "b", 0, 900), Dep("b", "b", 1, 610)], signal_hop=300, value_hop=90)
    costs = normalized(given, 300, 10)
    small = costs.problem
    assert (small.op("load").occupancy, small.op("b").occupancy, costs.deviation) == (2, 1, 0)
    assert small.op("b").latency == small.deps[1].latency == 1 + 2
    assert small.op("b").issue == 0  # 90 / 200 of a cycle
    assert (small.limits.signal_hop, small.limits.value_hop) == (2, 0)  # 1.5 and 0.45, to the nearest even


def test_streaming_ops_have_no_latency_and_spill_nothing():
    use = Op("use", "B", 200, 200, 200)
    given = problem([LOAD, use], [Dep("load", "use", 0, 900)], signal_hop=300)
    costs = normalized(given, 300, 10)
    assert costs.streaming == {"load"}
    assert costs.problem.op("load").latency == costs.problem.deps[0].latency == 0
    assert costs.spill(costs.problem.op("load")) == 0
    assert costs.spill(costs.problem.op("use")) == 2


def test_a_load_that_depends_on_a_value_does_not_stream_but_one_that_reuses_its_ring_does():
    index, use = Op("index", "B", 10, 10, 10), Op("use", "B", 10, 10, 10)
    fed = problem([LOAD, index, use], [Dep("index", "load", 0, 10), Dep("load", "use", 0, 900)])
    assert streaming(fed) == frozenset()
    ring = problem([LOAD, use], [Dep("load", "use", 0, 900), Dep("use", "load", 1, 10, ring=True)])
    assert streaming(ring) == {"load"}
    assert [dep.dst for dep in normalized(ring, 10, 10).problem.deps] == ["use"]


def test_normalized_costs_keep_to_the_budget():
    costs = normalized(attention(2), 300, 20)
    assert 1 <= sum(op.occupancy for op in costs.problem.ops) <= 300
    assert costs.deviation > 0

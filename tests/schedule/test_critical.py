"""Unit loads, the critical cycle, and cycles within one iteration."""

from __future__ import annotations

from fractions import Fraction

import networkx
from attention_loop import problem
from hypothesis import given, settings
from hypothesis import strategies as st

from twill.schedule.critical import critical_cycle, instant_cycle
from twill.schedule.loads import unit_loads
from twill.schedule.problem import Dep, Limits, Op, Problem


def graph(*deps: Dep) -> Problem:
    ids = sorted({id for dep in deps for id in (dep.src, dep.dst)} | {"a"})
    return Problem("g", Limits({"U": 1}), tuple(Op(id, "U", 1) for id in ids), deps)


def test_unit_loads_are_sums_of_occupancy():
    loads = {load.unit: load for load in unit_loads(problem())}
    assert loads["TC"].busy_cycles == 4 * 512
    assert loads["SFU"].busy_cycles == 2 * (512 + 8)
    assert loads["TC"].ops == (("s.0", 512), ("acc.0", 512), ("s.1", 512), ("acc.1", 512))
    assert [load.res_mii for load in unit_loads(problem())] == [2048, 1040, 640, 512]


def test_res_mii_rounds_up():
    limits = Limits({"U": 2})
    (load,) = unit_loads(Problem("g", limits, (Op("a", "U", 3), Op("b", "U", 4)), ()))
    assert load.res_mii == 4  # ceil(7 / 2)


def test_critical_cycle_is_the_one_with_most_latency_per_iteration():
    # a -> b -> a: 9 in 2 iterations, 4.5; b -> c -> b: 5 in 1. RecMII is 5.
    cycle = critical_cycle(graph(Dep("a", "b", 0, 4), Dep("b", "a", 2, 5), Dep("b", "c", 1, 2), Dep("c", "b", 0, 3)))
    assert cycle is not None
    assert (cycle.latency, cycle.distance, cycle.rec_mii, set(cycle.ops)) == (5, 1, 5, {"b", "c"})
    assert str(cycle) in ("b -> c -> b", "c -> b -> c")


def test_critical_cycle_of_attention_is_the_accumulator():
    cycle = critical_cycle(problem())
    assert cycle is not None
    assert (set(cycle.ops), cycle.rec_mii) == ({"scaled.0", "acc.0"}, 70 + 560)


def test_no_cycle_takes_time():
    assert critical_cycle(graph(Dep("a", "b", 0, 4))) is None
    assert critical_cycle(graph(Dep("a", "a", 1, 0))) is None


def test_instant_cycle_is_found_and_free_ones_are_not():
    cycle = instant_cycle(graph(Dep("a", "b", 0, 0), Dep("b", "c", 0, 2), Dep("c", "a", 0, 0), Dep("a", "a", 1, 9)))
    assert cycle is not None
    assert (set(cycle.ops), cycle.latency, cycle.distance) == ({"a", "b", "c"}, 2, 0)
    assert instant_cycle(graph(Dep("a", "b", 0, 0), Dep("b", "a", 0, 0))) is None
    assert instant_cycle(graph(Dep("a", "b", 0, 5), Dep("b", "a", 1, 5))) is None


ids = st.sampled_from("abcd")


@settings(max_examples=100, deadline=None)
@given(st.lists(st.builds(Dep, ids, ids, st.integers(1, 3), st.integers(0, 9)), min_size=1, max_size=8))
def test_critical_cycle_is_the_best_of_all_simple_cycles(deps: list[Dep]):
    multigraph = networkx.MultiDiGraph()
    for dep in deps:
        multigraph.add_edge(dep.src, dep.dst, dep=dep)
    ratios = [Fraction(0)]
    for nodes in networkx.simple_cycles(multigraph):
        totals = {(0, 0)}
        for src, dst in zip(nodes, nodes[1:] + nodes[:1], strict=True):
            edges = [data["dep"] for data in multigraph[src][dst].values()]
            totals = {(lat + e.latency, dist + e.distance) for lat, dist in totals for e in edges}
        ratios += [Fraction(latency, distance) for latency, distance in totals]
    cycle = critical_cycle(graph(*deps))
    assert (Fraction(cycle.latency, cycle.distance) if cycle else 0) == max(ratios)

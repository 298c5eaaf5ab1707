"""Lower bounds by hand and against enumeration of all cycles."""

from __future__ import annotations

import networkx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.solve.instances import attention, problem
from twill.errors import InputError
from twill.schedule.problem import Dep, Op, Problem
from twill.solve.bounds import RecMII, ResMII, rec_mii, res_mii


def test_res_mii_names_the_busiest_unit_and_its_ops() -> None:
    ops = [Op("a", "A", 5), Op("b", "A", 4), Op("c", "B", 8), Op("d", "A", 0)]
    assert res_mii(problem(ops)) == ResMII(9, "A", ("a", "b"))
    # Capacity 2: ceil(9 / 2) = 5 < 8.
    assert res_mii(problem(ops, units={"A": 2, "B": 1})) == ResMII(8, "B", ("c",))


def test_res_mii_of_attention() -> None:
    assert res_mii(attention(2)).ii == 2048


def test_rec_mii_is_the_largest_ratio_rounded_up() -> None:
    ops = [Op(id, "A", 1) for id in "abc"]
    # a -> b -> a: 7 cycles over distance 2, 3.5; a -> b -> c -> a: 9 over 3, 3.
    deps = [Dep("a", "b", 0, 3), Dep("b", "a", 2, 4), Dep("b", "c", 1, 2), Dep("c", "a", 2, 4)]
    found = rec_mii(problem(ops, deps))
    assert (found.ii, found.latency, found.distance, sorted(found.ops)) == (4, 7, 2, ["a", "b"])


def test_rec_mii_counts_hops_given() -> None:
    ops = [Op(id, "A", 1) for id in "ab"]
    deps = [Dep("a", "b", 0, 3), Dep("b", "a", 1, 4)]
    assert rec_mii(problem(ops, deps), {0: 10}).ii == 17


def test_rec_mii_without_cycles_is_zero() -> None:
    assert rec_mii(problem([Op("a", "A", 1), Op("b", "A", 1)], [Dep("a", "b", 0, 3)])) == RecMII(0, (), 0, 0)


def test_cycle_of_distance_zero_is_refused_only_when_it_takes_time() -> None:
    ops = [Op(id, "A", 1) for id in "ab"]
    assert rec_mii(problem(ops, [Dep("a", "b"), Dep("b", "a")])).ii == 0
    with pytest.raises(InputError, match="a cycle of distance 0 and latency 1"):
        rec_mii(problem(ops, [Dep("a", "b"), Dep("b", "a", 0, 1)]))


@st.composite
def graphs(draw: st.DrawFn) -> Problem:
    ids = "abcde"
    pairs = draw(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), max_size=12))
    deps = [Dep(ids[u], ids[v], draw(st.integers(0 if u < v else 1, 3)), draw(st.integers(0, 20))) for u, v in pairs]
    return problem([Op(id, "A", 1) for id in ids], deps)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(graphs())
def test_rec_mii_equals_the_largest_over_all_cycles(given: Problem) -> None:
    graph = networkx.MultiDiGraph()
    for dep in given.deps:
        graph.add_edge(dep.src, dep.dst, (dep.latency, dep.distance))
    expected = 0
    for cycle in networkx.simple_cycles(networkx.DiGraph(graph)):
        steps = list(zip(cycle, [*cycle[1:], cycle[0]], strict=True))
        totals = {(0, 0)}
        for u, v in steps:
            totals = {(lat + a, dist + b) for lat, dist in totals for a, b in graph[u][v]}
        expected = max([expected, *(-(-lat // dist) for lat, dist in totals)])
    found = rec_mii(given)
    assert found.ii == expected
    if found.ops:
        assert found.ii == -(-found.latency // found.distance)

"""The bounds with their arithmetic, and that they are those of the solver's own derivation."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings

from tests.certify.small import problems
from tests.solve.instances import attention, problem
from twill.certify.bounds import Edge, bounds, through
from twill.schedule.problem import Dep, Op, Problem
from twill.solve import rec_mii, res_mii

A, B = Op("a", "A", 3, 1, 3, registers=1), Op("b", "B", 4, 1, 4)
LOOP = [Dep("a", "b", 0, 3), Dep("b", "a", 1, 4)]


def test_unit_is_the_sum_of_its_ops() -> None:
    found = bounds(problem([A, B, Op("c", "B", 5, 1)], units={"A": 1, "B": 2}))
    assert found.unit is not None
    assert (found.unit.unit, found.unit.ops, found.unit.cycles, found.unit.ii) == ("B", (("b", 4), ("c", 5)), 9, 5)
    assert found.mii == 5


def test_cycle_lists_its_edges_with_the_hops_nobody_avoids() -> None:
    free = bounds(problem([A, B], LOOP, signal_hop=5, value_hop=8))
    assert free.cycle is not None
    assert (free.cycle.cycles, free.cycle.distance, free.cycle.ii) == (7, 1, 7)
    apart = bounds(problem([A, B], LOOP, signal_hop=5, value_hop=8, separate=(("a", "b"),)))
    assert apart.cycle is not None
    assert set(apart.cycle.edges) == {Edge("a", "b", 3, 8, 0), Edge("b", "a", 4, 5, 1)}
    assert apart.mii == 3 + 8 + 4 + 5


def test_recurrence_of_a_ring_is_left_out() -> None:
    ops = [Op("a", "A", 3, 1, 3, smem_bytes=1), B]
    found = bounds(problem(ops, [LOOP[0], Dep("b", "a", 1, 4, ring=True)]))
    assert (found.cycle, found.mii) == (None, 4)


def test_the_tightest_of_parallel_dependences_counts() -> None:
    found = bounds(problem([A, B], [*LOOP, Dep("b", "a", 2, 30)]))
    assert found.cycle is not None
    assert found.cycle.ii == 17  # (3 + 30) / 2 > (3 + 4) / 1
    named = through(found.edges, ["b", "a"])
    assert named is not None
    assert named.ii == 17
    assert through(found.edges, ["b"]) is None


@settings(max_examples=50, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(problems())
def test_same_numbers_as_the_solver(given: Problem) -> None:
    found = bounds(given)
    assert (found.unit.ii if found.unit else 0) == res_mii(given).ii
    hops = {}  # without forced hops, the two must agree exactly
    cycle = bounds(Problem(given.name, given.limits, given.ops, given.deps, 1)).cycle
    if not any(edge.hop for edge in found.edges):
        assert (found.cycle.ii if found.cycle else 0) == rec_mii(given, hops).ii
    assert found.mii >= (cycle.ii if cycle else 0)


def test_attention() -> None:
    found = bounds(attention(1))
    assert found.unit is not None
    assert (found.mii, found.unit.unit) == (2048, "TC")
    assert found.cycle is not None
    assert found.cycle.ii == rec_mii(attention(1)).ii

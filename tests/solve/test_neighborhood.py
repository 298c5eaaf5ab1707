"""Loops of many ops: groups settled beforehand, lives shortened a few ops at a time."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.random_loops import colocated_loop, random_loop
from tests.solve.instances import HOPPER, attention, free, problem
from twill.schedule.checker import check
from twill.schedule.problem import Dep, Op, Problem
from twill.solve import neighborhood, rec_mii, res_mii, result, search, solve
from twill.solve.constraints import Constraints
from twill.solve.engine import Engine
from twill.solve.grouping import grouping
from twill.solve.packing import kept_in_groups, packings
from twill.solve.progress import Progress
from twill.solve.variables import Solution, Variables


def mii(given: Problem) -> int:
    return max(res_mii(given).ii, rec_mii(given).ii)


def test_sub_tiles_that_share_only_loads_are_packed_apart() -> None:
    best = packings(free(attention(2)))[0]
    packs = {frozenset(ids) for ids in best.colocate}
    assert packs == {
        frozenset({"k", "v"}),
        *(frozenset(op.id for op in best.ops if op.subtile == s) for s in (0, 1)),
    }
    groups = grouping(best)
    assert all(groups.settled(k) is not None for k in range(len(groups.classes)))


def test_packings_keep_what_must_be_together_and_apart() -> None:
    ops = [Op(id, "A", 1, registers=1) for id in "abcd"]
    given = problem(ops, colocate=(("a", "b"),), separate=(("b", "c"),))
    for packed in packings(given):
        of = {id: k for k, ids in enumerate(packed.colocate) for id in ids}
        assert of["a"] == of["b"] != of["c"]


def test_ops_that_span_groups_are_not_packed() -> None:
    wide = [Op("a", "A", 1, spans=2), Op("b", "A", 1)]
    assert packings(problem(wide)) == []
    assert kept_in_groups(problem(wide), {"a": (0, 1), "b": (0,)}) is None


def test_a_descent_finds_attention_at_its_bound_and_repeats() -> None:
    given = attention(2)
    found = [neighborhood.search(packings(given)[0], 2048, Engine(60, 0, None), seed=0, steps=40) for _ in range(2)]
    assert found[0] is not None
    assert found[0] == found[1]
    assert check(result.schedule(given, found[0], "feasible", 1, "")) == ()


def test_a_descent_finds_nothing_where_there_is_nothing() -> None:
    # Both accumulators at once take 2 * 64 + 64 registers of the 150 a thread may have, at any interval.
    ops = [Op("u", "A", 4, 4, 4, registers=100), Op("v", "A", 4, 4, 4, registers=100)]
    deps = [Dep("u", "u", 1, 4), Dep("v", "v", 1, 4)]
    given = problem(ops, deps, registers_per_thread=150, colocate=(("u", "v"),))
    assert neighborhood.search(packings(given)[0], 20, Engine(60, 0, None), seed=1, steps=10) is None


def test_pinned_ops_stay_and_the_rest_keeps_the_rules() -> None:
    given = attention(2)
    whole = solve(given, tiers=())
    start = {op.id: whole.start(op.id) - whole.start("qk.0") for op in given.ops}
    moved = {"exp.0", "sub.1", "cast.1"}
    variables = Variables(
        given, grouping(given), whole.ii, whole.ii, {id: start[id] for id in start if id not in moved}
    )
    Constraints(variables).add_constraints()
    outcome = Engine(60, 0, None).run(variables.model, 5.0)
    assert outcome.values is not None
    again = variables.decode(outcome.values)
    assert {id: at for id, at in again.start.items() if id not in moved} == {
        id: at for id, at in start.items() if id not in moved
    }
    assert check(result.schedule(given, again, "feasible", 1, "")) == ()


@pytest.mark.parametrize("given", [random_loop(36, 3), colocated_loop(36, 3)], ids=["free", "colocated"])
def test_many_ops_always_have_a_schedule(given: Problem) -> None:
    found = solve(given, time_limit=8, tiers=())
    assert found.placements
    assert check(found) == ()
    assert mii(given) <= found.lower_bound <= found.ii


def test_the_tiers_of_a_settled_problem_claim_only_what_holds_for_all_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    # Two independent chains fit one group, but the search is made to settle them in two and to look no further.
    monkeypatch.setattr(search, "MANY", 0)
    monkeypatch.setattr(search, "WIDE", 0)
    found = solve(replace(free(attention(2)), limits=replace(HOPPER, max_groups=8)), time_limit=30)
    assert check(found) == ()
    tiers = {tier.name: tier for tier in found.tiers}
    assert tiers["groups"].value == len(found.groups) == 3
    assert tiers["groups"].bound <= 2
    assert not tiers["groups"].proved
    assert not tiers["total time"].proved


def test_a_solution_of_the_whole_problem_is_one_of_the_settled() -> None:
    given = free(attention(2))
    whole = solve(given, tiers=(), time_limit=60)
    groups = {id: at.groups for id, at in whole.placements.items()}
    settled = kept_in_groups(given, groups)
    assert settled is not None
    same = Solution(whole.ii, {id: whole.start(id) for id in groups}, groups, {})
    assert check(result.schedule(settled, same, "feasible", 1, "")) == ()


@pytest.mark.slow
def test_few_ops_that_are_hard_get_a_schedule_from_neighborhoods() -> None:
    # The first sub-tile of a loop whose registers hold hardly more than one iteration: no probe is settled.
    whole = colocated_loop(40, 1)
    kept = [op for op in whole.ops if op.subtile in (None, 0)]
    ids = {op.id for op in kept}
    sets = [tuple(id for id in each if id in ids) for each in whole.colocate]
    given = replace(
        whole,
        ops=tuple(kept),
        deps=tuple(dep for dep in whole.deps if dep.src in ids and dep.dst in ids),
        colocate=tuple(each for each in sets if each),
        separate=(),
    )
    steps: list[Progress] = []
    found = solve(
        given, time_limit=300, tiers=(), progress=steps.append, stop=lambda: any(step.ii for step in steps)
    )  # what comes after the first one is not asked for
    assert found.status in ("feasible", "optimal")
    assert check(found) == ()

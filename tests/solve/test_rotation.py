"""Groups that do the same, each a share of the interval after the one before."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.random_loops import colocated_loop
from tests.solve.instances import attention, free, problem
from twill.schedule.checker import check
from twill.schedule.problem import Dep, Op, Problem
from twill.solve import neighborhood, result
from twill.solve.constraints import Constraints
from twill.solve.engine import Engine
from twill.solve.grouping import grouping
from twill.solve.packing import packings
from twill.solve.rotation import rotation
from twill.solve.variables import Solution, Variables


def two(extra: int = 0, occupancy: int = 10) -> Problem:
    """Two groups of one op each, of 10 cycles on unit A, and an op more in the second."""
    ops = [Op("u", "A", 10, 10, 10), Op("v", "A", occupancy, occupancy, 10)]
    ops += [Op("w", "A", extra, extra, extra)] if extra else []
    return problem(ops, separate=(("u", "v"),), colocate=(("v", "w"),) if extra else ())


def some_schedule(given: Problem, ii: int) -> Solution | None:
    """Dependences, units and streams of the first copy solved, the others after it."""
    turns = rotation(given, ii)
    assert turns is not None
    constraints = Constraints(Variables(turns.reduced, grouping(turns.reduced), ii, ii))
    constraints.dependence()
    turns.units(constraints)
    constraints.streams()
    outcome = Engine(60, 0, None).run(constraints.model, 4.0)
    return None if outcome.values is None else turns.whole(constraints.v.decode(outcome.values))


def test_the_first_sub_tile_places_the_others() -> None:
    given = packings(free(attention(2)))[0]
    turns = rotation(given, 2048)
    assert turns is not None
    assert (turns.copies, turns.share) == (2, 1024)
    assert {op.subtile for op in turns.reduced.ops} == {None, 0}
    assert turns.placed_by["exp.1"] == "exp.0"
    assert turns.turn["exp.1"] == 1024
    assert turns.turn["k"] == 0


@pytest.mark.parametrize("ii", [2500, 2501, 2999])
def test_what_the_copies_do_never_meets_on_a_unit(ii: int) -> None:
    # Odd intervals leave a cycle that no share has.
    given = packings(free(attention(2)))[0]
    found = some_schedule(given, ii)
    assert found is not None
    rules = {violation.rule for violation in check(result.schedule(given, found, "feasible", 1, ""))}
    assert not rules & {"dependence", "units", "streams"}
    assert found.start["exp.1"] - found.start["exp.0"] == ii // 2


@pytest.mark.parametrize("seed", range(4))
def test_loops_with_ops_that_some_copies_lack_keep_the_units_too(seed: int) -> None:
    given = packings(colocated_loop(40, seed))[0]
    found = some_schedule(given, 4001)
    assert found is not None
    rules = {violation.rule for violation in check(result.schedule(given, found, "feasible", 1, ""))}
    assert not rules & {"dependence", "units", "streams"}


def test_only_groups_that_do_the_same_are_rotated() -> None:
    assert rotation(packings(attention(1))[0], 2048) is None
    assert rotation(two(), 20) is not None
    assert rotation(two(occupancy=9), 20) is None


def test_what_does_not_fit_a_share_is_not_rotated() -> None:
    assert rotation(two(), 18) is None  # 10 cycles in each share of 9
    long = [Op(f"{x}{i}", "A", 2, 2, 2) for x in "uv" for i in range(5)]
    sets = tuple(tuple(f"{x}{i}" for i in range(5)) for x in "uv")
    given = problem([*long, Op("w", "A", 4, 4, 4)], colocate=((*sets[0], "w"), sets[1]), separate=(("u0", "v0"),))
    assert rotation(given, 24) is None  # shares of 12 have 2 left, and w takes 4
    assert rotation(given, 28) is not None


def test_a_unit_that_takes_several_ops_at_once_is_not_rotated() -> None:
    given = two()
    shared = replace(given, limits=replace(given.limits, units={**given.limits.units, "A": 2}))
    assert rotation(shared, 40) is None


def test_a_value_for_a_later_copy_is_waited_for() -> None:
    # v of the second copy needs u of the first 30 cycles later: more than the share of 20.
    ops = [Op("u", "A", 4, 4, 30), Op("v", "A", 4, 4, 30)]
    given = problem(ops, [Dep("u", "v", 0, 30)], separate=(("u", "v"),))
    assert some_schedule(given, 40) is None  # the second copy always starts 20 after the first
    found = some_schedule(given, 80)
    assert found is not None
    assert check(result.schedule(given, found, "feasible", 1, "")) == ()


def test_rotation_alone_finds_a_large_loop_at_its_bound() -> None:
    given = packings(colocated_loop(60, 3))[0]
    found = neighborhood.search(given, 2142, Engine(60, 0, None), seed=0, steps=16, kinds=("rotated",))
    assert found is not None
    assert check(result.schedule(given, found, "feasible", 1, "")) == ()

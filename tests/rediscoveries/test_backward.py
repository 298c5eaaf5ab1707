"""Backward attention in one pass: what registers forbid on Hopper, and two or three compute groups on Blackwell."""

import pytest

from benchmarks import attention_divisions as division
from benchmarks.attention_problems import blackwell_backward, hopper_backward
from tests.rediscoveries.proofs import feasible, refuted
from twill.schedule.checker import check
from twill.solve import solve
from twill.solve.bounds import res_mii

ONE_GROUP = 2238  # Hopper, 64 keys of one group, 80 queries
ROOMY = 2033  # the same with all the registers one could ask for
BLACKWELL = 3390
CRAMPED = 3615  # two groups with 144 registers a thread
BUDGET = 144


def overlap(schedule, subtile):
    """Cycles for which a group has begun the next iteration before dQ of this one has left its registers."""
    begun = min(schedule.start(f"{product}.{subtile}") for product in ("s", "dp")) + schedule.ii
    return max(0, schedule.start(f"dq.{subtile}.add") - begun)


def test_hopper_keeps_iterations_apart_in_each_group():
    """dK, dV and dQ take 64 + 64 + 80 registers, S of the next iteration 40 more: 248 > 224, the most a thread has.

    The tensor core is full all the same: the other group works meanwhile.
    """
    schedule = solve(hopper_backward(), time_limit=120, tiers=())
    assert (schedule.status, schedule.ii) == ("optimal", 3200)
    assert res_mii(schedule.problem).ii == 2 * 5 * 320
    assert check(schedule) == ()
    assert [overlap(schedule, subtile) for subtile in (0, 1)] == [0, 0]


def test_without_a_second_group_registers_set_the_interval():
    group = division.one_group(hopper_backward())
    assert res_mii(group).ii == 1600
    schedule = solve(group, time_limit=120, tiers=())
    assert (schedule.status, schedule.ii) == ("optimal", ONE_GROUP)
    assert overlap(schedule, 0) == 0
    assert refuted(group, ONE_GROUP - 1)
    assert feasible(division.registers(group, 400), ONE_GROUP - 1)
    assert feasible(division.registers(group, 400), ROOMY)


def test_a_tile_of_128_queries_does_not_fit_hoppers_registers():
    """dK, dV, P and dP are alive together: 64 registers each, 256 of 224, whatever the interval."""
    assert refuted(hopper_backward(queries=128), 16384)
    assert feasible(division.registers(division.one_group(hopper_backward(queries=128)), 400), 16384)


@pytest.mark.parametrize("registers", [248, BUDGET])
def test_three_groups_on_blackwell(registers):
    """A group of its own takes dQ to global memory; the interval does not mind the smaller budget."""
    divided = division.registers(division.three_groups(blackwell_backward()), registers)
    schedule = solve(divided, time_limit=120, tiers=())
    assert (schedule.status, schedule.ii) == ("optimal", BLACKWELL)
    assert check(schedule) == ()
    assert sum(group.warps == 4 for group in schedule.groups) == 3


@pytest.mark.parametrize(("registers", "ii"), [(248, BLACKWELL), (BUDGET, CRAMPED)])
def test_two_groups_on_blackwell(registers, ii):
    """As short as with three while registers last; with fewer, dQ (128 a thread) has to wait for the rest to go."""
    divided = division.registers(division.two_groups(blackwell_backward()), registers)
    schedule = solve(divided, time_limit=120, tiers=())
    assert (schedule.status, schedule.ii) == ("optimal", ii)
    assert sum(group.warps == 4 for group in schedule.groups) == 2


def test_the_smaller_budget_needs_the_third_group():
    cramped = division.registers(blackwell_backward(), BUDGET)
    assert refuted(division.two_groups(cramped), BLACKWELL)
    assert feasible(division.three_groups(cramped), BLACKWELL)

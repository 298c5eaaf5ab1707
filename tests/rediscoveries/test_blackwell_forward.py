"""FlashAttention 4's division of the forward pass on Blackwell, and what the interval costs without it."""

import pytest

from benchmarks import attention_divisions as division
from benchmarks.attention_problems import blackwell_forward
from tests.rediscoveries.proofs import feasible, refuted
from twill.schedule.checker import check
from twill.solve import solve
from twill.solve.bounds import rec_mii, res_mii

FOUND = 2528  # the least interval known with every op free to go to any group
DIVIDED = 2542  # with products in a group of their own


@pytest.fixture(scope="module")
def forward():
    return blackwell_forward()


def groups_of(schedule, *ids):
    return {schedule.placements[id].groups for id in ids}


def test_units_alone_ask_for_2048(forward):
    """Four products of 512 cycles; two exponentials of 1024; and K's way round its ring stays below that."""
    assert res_mii(forward).ii == 4 * 512 == 2 * 1024
    assert rec_mii(forward).ii < 2048


def test_flash_attention_4s_division(forward):
    """Loads; products; two softmax groups; one rescaling group."""
    schedule = solve(division.flash_attention_4(forward), time_limit=300, tiers=())
    assert (schedule.status, schedule.ii) == ("optimal", DIVIDED)
    assert check(schedule) == ()
    warps = sorted(group.warps for group in schedule.groups if not group.producer)
    assert warps == [1, 4, 4, 4]


@pytest.mark.slow
def test_free_ops_find_softmax_groups_and_a_rescaling_group(forward):
    """Nobody says which op goes where, or how many registers each of up to five groups has."""
    seen: list[int] = []  # what is below is open, so the search ends with what is known
    schedule = solve(
        division.at_most(forward, 5), time_limit=300, tiers=(),
        progress=lambda record: seen.append(record.ii), stop=lambda: bool(seen) and 0 < seen[-1] <= FOUND,
    )  # fmt: skip
    assert check(schedule) == ()
    assert schedule.ii <= FOUND
    softmax = [groups_of(schedule, f"s.{i}.read", f"max.{i}", f"arg.{i}", f"p.{i}", f"p16.{i}") for i in (0, 1)]
    rescaling = groups_of(schedule, *(f"o.{i}.{part}" for i in (0, 1) for part in ("read", "scale", "write")))
    assert [len(each) for each in (*softmax, rescaling)] == [1, 1, 1]
    assert len(softmax[0] | softmax[1] | rescaling) == 3


@pytest.mark.parametrize("ii", [FOUND, DIVIDED])
def test_no_communication_across_groups(forward, ii):
    """A group that keeps S, P and O of its sub-tile to itself waits twice in one stream and holds two tiles."""
    assert refuted(division.no_communication(forward), ii)


@pytest.mark.slow
def test_fewer_warps(forward):
    """Without the third group of four warps, whoever does what."""
    assert refuted(division.fewer_warps(forward), FOUND)


def test_no_sub_tiling():
    """One sub-tile has half the work in half the interval: it would load K and V for half the rows, 2 * 948 cycles,
    and from a product through the rescaling to the next, 812 + 310 + 153 + 365 = 1640, nothing else has work.
    """
    one = blackwell_forward(subtiles=1)
    assert refuted(one, FOUND // 2)
    assert min(res_mii(one).ii, rec_mii(one).ii, 1896, 1640) > FOUND // 2


def test_rescaling_in_pieces_needs_no_group_of_its_own():
    """Where O is never whole in registers, each softmax group can rescale its own."""
    pieces = blackwell_forward(in_pieces=True)
    assert feasible(division.no_communication(pieces), 2542)

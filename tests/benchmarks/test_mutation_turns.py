"""Waits for loads that a turn makes needless: read off where turns are given and waited for."""

import pytest

from benchmarks.mutation_turns import turn_given_for_the_tile
from twill.shipped import VARIANTS, module_path

SOURCE = """
def consumer0(a_ring):
    if n >= 2:
        for i in range(2, n):
            mbarrier.wait(turn_0.index((i + 2) % 3), ((i - 1) // 3) & 1)
            t = warpgroup_mma(p, b, t)
            mbarrier.wait(a_ring_full.index((i + 3) % 4), ((i - 1) // 4) & 1)
            s = warpgroup_mma(q, a_ring.index((i + 3) % 4), s)
        mbarrier.wait(turn_0.index((n + 2) % 3), ((n - 1) // 3) & 1)
        mbarrier.wait(a_ring_full.index((n + 3) % 4), ((n - 1) // 4) & 1)
        s = warpgroup_mma(q, a_ring.index((n + 3) % 4), s)


def consumer1(a_ring):
    if n >= 2:
        mbarrier.arrive(turn_0.index(0), count=1)
        for i in range(1, n):
            mbarrier.wait(a_ring_full.index(i % 4), (i // 4) & 1)
            s = warpgroup_mma(q, a_ring.index(i % 4), s)
            mbarrier.arrive(turn_0.index(i % 3), count=1)
"""


def needless(text, at="i"):
    """Whether consumer0 needs no wait for the load of iteration i - 1, or behind its loop n - 1."""
    lines = text.splitlines()
    line = next(number for number, line in enumerate(lines, 1) if f"wait(a_ring_full.index(({at} + " in line)
    return turn_given_for_the_tile(text, "consumer0", line, line)


def changed(*changes):
    text = SOURCE
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return text


@pytest.mark.parametrize("at", ["i", "n"])
def test_a_turn_given_behind_the_wait_for_the_same_load_orders_it(at):
    assert needless(SOURCE, at)


@pytest.mark.parametrize("at", ["i", "n"])
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("mbarrier.wait(a_ring_full.index(i % 4), (i // 4) & 1)", "pass"),  # nobody waits for the load
        ("a_ring_full.index(i % 4), (i // 4) & 1", "b_ring_full.index(i % 4), (i // 4) & 1"),
        ("a_ring_full.index(i % 4), (i // 4) & 1", "a_ring_full.index((i + 3) % 4), ((i - 1) // 4) & 1"),  # too early
        ("mbarrier.arrive(turn_0.index(i % 3), count=1)", "mbarrier.arrive(turn_1.index(i % 3), count=1)"),
        ("mbarrier.arrive(turn_0.index(i % 3), count=1)", "mbarrier.arrive(turn_0.index((i + 1) % 3), count=1)"),
        ("        mbarrier.arrive(turn_0.index(0), count=1)\n", ""),  # iteration i gives number i - 1
    ],
)
def test_without_that_it_does_not(at, old, new):
    assert not needless(changed((old, new)), at)


def test_a_turn_given_above_the_other_group_s_wait_orders_nothing():
    give = "            mbarrier.arrive(turn_0.index(i % 3), count=1)\n"
    wait = "            mbarrier.wait(a_ring_full.index(i % 4), (i // 4) & 1)\n"
    assert not needless(changed((give, ""), (wait, give + wait)))


@pytest.mark.parametrize("at", ["i", "n"])
def test_a_turn_waited_for_below_orders_nothing_above(at):
    behind = {"i": "((i - 1) // 4) & 1)\n", "n": "((n - 1) // 4) & 1)\n"}[at]
    turn = next(line for line in SOURCE.splitlines(keepends=True) if f"wait(turn_0.index(({at} " in line)
    assert not needless(changed((turn, ""), (behind, behind + turn)), at)


def test_an_earlier_turn_says_less():
    turn = "turn_0.index((i + 2) % 3), ((i - 1) // 3) & 1"
    assert not needless(changed((turn, "turn_0.index((i + 1) % 3), ((i - 2) // 3) & 1")))


def test_the_other_group_s_prologue_waits_for_no_load_that_is_known():
    """In iteration 1 the load of iteration 0 is meant, and consumer1's loop begins with the next."""
    text = changed(("range(2, n)", "range(1, n)"), ("if n >= 2", "if n >= 1"))
    assert not needless(text)


@pytest.mark.parametrize("name", ["attention_varlen_d64_fp16", "attention_varlen_d64_causal_fp16"])
def test_shipped_waits(name):
    """consumer0 multiplies by K one iteration behind consumer1, whose turn it waits for; not so the other way round."""
    (variant,) = [variant for variant in VARIANTS if variant.name == name]
    text, role, found = module_path(variant).read_text(), "", set()
    for number, line in enumerate(text.splitlines(), 1):
        role = line if line.startswith("def ") else role
        if line.lstrip().startswith("mbarrier.wait(") and "_full.index(" in line:
            name = role[4:].partition("(")[0]
            if turn_given_for_the_tile(text, name, number, number):
                found.add((name, line.strip().partition(".index")[0]))
    assert found == {("consumer0", "mbarrier.wait(k_tile_ring_full")}

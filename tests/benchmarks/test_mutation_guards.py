"""Rings whose releases say nothing new: read off releases and loads, in small modules and in shipped ones."""

import pytest

from benchmarks.mutation_guards import guarded, guarded_for_all
from twill.shipped import VARIANTS, module_path

SOURCE = """
def consumer0(a_ring):
    for i in range(0, n):
        mbarrier.wait(a_ring_full.index(i % 2), (i // 2) & 1)
        s = warpgroup_mma(q, a_ring.index(i % 2), s)
        t = warpgroup_mma(p, b_ring.index(i % DEPTH), t)
        s, t = warpgroup_mma_wait(0, deps=[s, t])
        mbarrier.arrive(b_ring_empty.index(i % DEPTH), count=1)
        mbarrier.arrive(a_ring_empty.index(i % 2), count=1)


def loader(a_ring):
    for i in range(0, n):
        mbarrier.wait(a_ring_empty.index(i % 2), ((i // 2) & 1) ^ 1)
        tma_load(a_desc, [i * 64, 0], a_ring_full.index(i % 2), a_ring.index(i % 2))
        mbarrier.wait(b_ring_empty.index(i % DEPTH), ((i // DEPTH) & 1) ^ 1)
        tma_load(b_desc, [i * 64, 0], b_ring_full.index(i % DEPTH), b_ring.index(i % DEPTH))


def kernel():
    a_ring_empty = gl.allocate_shared_memory(gl.int64, [2, 1], barrier)
    b_ring_empty = gl.allocate_shared_memory(gl.int64, [DEPTH, 1], barrier)
"""


def source(depth=2, *changes):
    text = SOURCE.replace("DEPTH", str(depth))
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return text


def test_a_ring_filled_behind_another_of_its_depth_needs_no_release():
    assert guarded_for_all(source(), "b_ring")
    assert not guarded_for_all(source(), "a_ring")  # b's slot of the iteration before is filled too early


def test_a_longer_ring_is_guarded_by_a_shorter_one_and_not_the_other_way():
    assert guarded_for_all(source(3), "b_ring")
    assert not guarded_for_all(source(3), "a_ring")
    assert guarded_for_all(source(1), "a_ring")
    assert not guarded_for_all(source(1), "b_ring")


def test_a_release_above_the_last_look_guards_nothing():
    early = "        s, t = warpgroup_mma_wait(0, deps=[s, t])\n"
    release = "        mbarrier.arrive(a_ring_empty.index(i % 2), count=1)\n"
    text = source(2, (release, ""), (early, release + early))
    assert not guarded_for_all(text, "b_ring")


def test_a_release_of_an_earlier_tile_comes_later():
    """Of a the tile of the iteration before is released: its slot is filled again one iteration sooner than needed."""
    text = source(2, ("arrive(a_ring_empty.index(i % 2)", "arrive(a_ring_empty.index((i + 1) % 2)"))
    assert guarded_for_all(text, "b_ring")
    text = source(2, ("arrive(b_ring_empty.index(i % 2)", "arrive(b_ring_empty.index((i + 1) % 2)"))
    assert not guarded_for_all(text, "b_ring")  # it is released in the next iteration, a's slot in this one


def test_a_wait_that_moves_below_takes_the_guards_above_it_away():
    text = source()
    lines = text.split("\n")
    release = next(at for at, line in enumerate(lines, 1) if "arrive(b_ring_empty" in line)
    assert guarded(text, "b_ring", "consumer0", release, release)
    assert not guarded(text, "b_ring", "consumer0", release, release + 1)


def test_every_group_that_reads_must_be_guarded():
    other = source().split("def loader")[0].replace("consumer0", "consumer1")
    assert guarded_for_all(source() + other, "b_ring")
    other = other.replace("        mbarrier.arrive(a_ring_empty.index(i % 2), count=1)\n", "")
    assert not guarded_for_all(source() + other, "b_ring")


@pytest.mark.parametrize(
    ("name", "ring", "role", "answer"),
    [
        ("matmul_fp16", "a_tile_1_ring", "consumer1", True),
        ("matmul_fp16", "b_tile_ring", "consumer0", True),
        ("matmul_fp16", "b_tile_ring", "consumer1", False),
        ("attention_d64_fp16", "v_tile_ring", "consumer1", True),  # five slots, and three of k
        ("attention_d64_fp16", "k_tile_ring", "consumer1", False),
    ],
)
def test_shipped_rings(name, ring, role, answer):
    (variant,) = [variant for variant in VARIANTS if variant.name == name]
    assert guarded(module_path(variant).read_text(), ring, role) is answer

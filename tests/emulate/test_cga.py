"""CGA layouts: which part of a tensor each thread block of a cluster holds."""

import pytest

from twill.emulate import cga, layouts

EIGHT = ((1, 0), (2, 0), (0, 1))  # the first two bits divide the rows, the third the columns
SHARED = ((1, 0), (0, 0), (0, 1))  # the second bit tells copies apart


def box(bases, shape, cta):
    return [(piece.start, piece.stop) for piece in cga.box(bases, shape, cta)]


def test_parts_are_contiguous_and_fill_the_tensor():
    assert box(EIGHT, (64, 32), 0) == [(0, 16), (0, 16)]
    assert box(EIGHT, (64, 32), 3) == [(48, 64), (0, 16)]
    assert box(EIGHT, (64, 32), 6) == [(32, 48), (16, 32)]
    held = {
        (x, y)
        for cta in range(8)
        for x in range(*box(EIGHT, (64, 32), cta)[0])
        for y in range(*box(EIGHT, (64, 32), cta)[1])
    }
    assert len(held) == 64 * 32


def test_outer_axes_of_a_ring_are_not_divided():
    assert box(EIGHT, (3, 64, 32), 3) == [(0, 3), (48, 64), (0, 16)]


def test_copies_of_the_same_part():
    assert cga.parts(SHARED) == 4
    assert cga.replicas(SHARED) == 2
    assert cga.sharing(SHARED, 5) == [5, 7]
    assert cga.lead(SHARED, 7) == 5
    assert [cga.replica(SHARED, cta) for cta in (5, 7)] == [0, 1]


def test_a_tensor_that_does_not_divide():
    with pytest.raises(ValueError, match="is not divided"):
        cga.box(EIGHT, (2, 32), 0)


def test_the_union_of_a_pair_has_no_gaps():
    first, second, third = (cga.box(EIGHT, (64, 32), cta) for cta in (0, 1, 3))
    assert [(piece.start, piece.stop) for piece in cga.union([first, second])] == [(0, 32), (0, 16)]
    assert cga.union([first, third]) is None


def test_bases_of_derived_layouts():
    blocked = layouts.BlockedLayout([1, 1], [1, 32], [4, 1], [1, 0], cga_layout=[[1, 0], [0, 1]])
    assert cga.bases(blocked) == ((1, 0), (0, 1))
    assert cga.bases(layouts.SliceLayout(0, blocked)) == ((0,), (1,))
    assert cga.bases(layouts.DotOperandLayout(0, blocked, 2)) == ((1, 0), (0, 0))
    assert cga.bases(layouts.DotOperandLayout(1, blocked, 2)) == ((0, 0), (0, 1))
    assert cga.bases(layouts.ANY) is None


def test_bases_in_elements_are_parts_where_the_parts_are_whole():
    def linear(registers, block):
        return layouts.DistributedLinearLayout(registers, [[1]], [], block, [8])

    assert cga.bases(linear([[2]], [[4]])) == ((1,),)
    assert cga.bases(linear([[4]], [[2]])) is None  # every other pair of elements


def test_reshapes_and_permutations_move_the_parts_along():
    assert cga.permuted(((1, 0),), (0, 2, 1)) == ((0, 0, 1),)
    assert cga.reshaped(((0, 1, 0),), (1, 4, 8), (32,)) == ((1,),)
    assert cga.reshaped(((1,), (2,)), (64,), (2, 32)) == ((0, 1), (1, 0))
    assert cga.reshaped(((0, 1),), (4, 8), (32,)) is None  # every other run of four elements

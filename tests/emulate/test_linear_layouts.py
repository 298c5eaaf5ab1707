"""Layouts given by bases: what is inferred for them, and that tensor memory's are the installed compiler's."""

import pytest
from triton.experimental.gluon import language as gl
from triton.experimental.gluon.language.nvidia import blackwell

from twill.emulate import dtypes, layouts, linear_layouts
from twill.emulate.tensor_layouts import TensorMemoryLayout, TensorMemoryScalesLayout, get_tmem_reg_layout

FIELDS = ("reg_bases", "lane_bases", "warp_bases", "block_bases", "shape")


def bases(layout):
    return tuple(getattr(layout, name) for name in FIELDS)


@pytest.mark.parametrize("variant", ["32x32b", "32x32b_splitn"])
@pytest.mark.parametrize("warps", [4, 8])
@pytest.mark.parametrize(
    ("shape", "block"),
    [
        ((128, 64), (128, 64)),
        ((128, 256), (128, 128)),
        ((64, 64), (64, 64)),
        ((64, 128), (64, 128)),
        ((256, 64), (128, 64)),
    ],
)
def test_registers_of_tensor_memory_are_those_of_the_compiler(shape, block, warps, variant):
    mine = get_tmem_reg_layout(dtypes.float32, shape, TensorMemoryLayout(block, col_stride=1), warps, variant)
    theirs = blackwell.TensorMemoryLayout(block, col_stride=1)
    if (shape, variant, warps) == ((256, 64), "32x32b_splitn", 4):  # which the compiler refuses
        assert not isinstance(mine, layouts.DistributedLinearLayout)
        return
    assert bases(mine) == bases(blackwell.get_tmem_reg_layout(gl.float32, list(shape), theirs, warps, variant))


@pytest.mark.parametrize("warps", [4, 8])
@pytest.mark.parametrize("shape", [(128, 4), (128, 8), (32, 4), (64, 4), (256, 16)])
def test_registers_of_scales_are_those_of_the_compiler(shape, warps):
    mine = get_tmem_reg_layout(dtypes.uint8, shape, TensorMemoryScalesLayout(), warps)
    theirs = blackwell.TensorMemoryScalesLayout()
    assert bases(mine) == bases(blackwell.get_tmem_reg_layout(gl.uint8, list(shape), theirs, warps))


def test_a_column_half_is_split_off_and_joined_again():
    whole = linear_layouts.of_tensor_memory((128, 64), 128, 4, False)
    parts = linear_layouts.permuted(linear_layouts.reshaped(whole, (128, 64), (128, 2, 32)), (0, 2, 1))
    assert parts.shape == [128, 32, 2]
    half = linear_layouts.halved(parts)
    assert bases(half) == bases(linear_layouts.of_tensor_memory((128, 32), 128, 4, False))
    joined = linear_layouts.joined(half)
    assert joined.reg_bases[0] == [0, 0, 1]
    assert bases(linear_layouts.halved(joined)) == bases(half)


def test_nothing_is_inferred_for_other_layouts():
    blocked = layouts.BlockedLayout([1, 1], [1, 32], [4, 1], [1, 0])
    for inferred in (
        linear_layouts.reshaped(blocked, (4, 32), (128,)), linear_layouts.permuted(blocked, (1, 0)),
        linear_layouts.joined(blocked), linear_layouts.halved(blocked),
    ):  # fmt: skip
        assert layouts.is_open(inferred)


def test_a_split_across_lanes_is_not_inferred():
    lanes = layouts.DistributedLinearLayout([[1, 0]], [[0, 1]], [], [], [2, 2])
    assert layouts.is_open(linear_layouts.halved(lanes))

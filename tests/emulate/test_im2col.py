"""im2col loads: the pixels a convolution needs, compared with a walk written down from PTX's rules."""

import pytest
import torch

from twill import emulate

TEXT = """\
from triton.experimental import gluon
from triton.experimental.gluon import language as gl
from triton.experimental.gluon.language.nvidia.hopper import mbarrier, tma
from triton.experimental.gluon.nvidia.hopper import TensorDescriptor, TensorDescriptorIm2Col

@gluon.jit
def k(source, target, n, y, x, c, dy, dx):
    tile = gl.allocate_shared_memory(source.dtype, source.block_shape, source.layout)
    bar = mbarrier.allocate_mbarrier()
    mbarrier.init(bar, count=1)
    mbarrier.expect(bar, source.nbytes_per_cta)
    tma.async_load_im2col(source, [n, y, x, c], [dy, dx], bar, tile)
    mbarrier.wait(bar, 0)
    tma.async_store(target, [0, 0], tile)
    tma.store_wait(0)

def launch(source, target, at, offsets, **box):
    layout = gl.NVMMASharedLayout(128, 32, 2)
    taken = TensorDescriptorIm2Col.from_tensor(source, [32, 32], layout, **box)
    k[(1,)](taken, TensorDescriptor.from_tensor(target, [32, 32], layout), *at, *offsets, num_warps=4)
"""


@pytest.fixture
def module(tmp_path):
    path = tmp_path / "kernel.py"
    path.write_text(TEXT)
    return emulate.load(path)


def loaded(module, source, at=(0, 0, 0, 0), offsets=(0, 0), lower=(0, 0), upper=(0, 0), steps=(1, 1, 1, 1), **options):
    target = torch.full((32, 32), -1.0)
    box = {"pixel_box_lower_corner": lower, "pixel_box_upper_corner": upper, "element_strides": steps}
    module.launch(source, target, at, offsets, **box, **options)
    return target


def image(batch, height, width, channels=32):
    return torch.arange(1, batch * height * width * channels + 1).float().reshape(batch, height, width, channels)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("padding", [0, 1])
def test_a_tap_of_a_convolution(module, stride, padding):
    """The tap (1, 2) of a 3 by 3 filter: pixel (oy, ox) reads row oy * stride + 1 - padding, and so for columns."""
    source = image(2, 8, 8)
    size = (8 + 2 * padding - 3) // stride + 1
    wide = torch.nn.functional.pad(source, (0, 0, padding, padding, padding, padding))
    taps = wide[:, 1 : 1 + size * stride : stride, 2 : 2 + size * stride : stride][:, :size, :size].reshape(-1, 32)
    reach = padding - 2  # the last pixel from which a filter of three still lies inside
    found = loaded(module, source, (0, -padding, -padding, 0), (1, 2), (-padding, -padding), (reach, reach),
                   (1, stride, stride, 1))  # fmt: skip
    rows = min(32, len(taps))
    assert torch.equal(found[:rows], taps[:rows])


def test_the_walk_goes_on_in_the_next_image_and_fills_beyond_the_last(module):
    found = loaded(module, image(2, 4, 4), (1, 1, 3, 0))
    expected = torch.cat([image(2, 4, 4).reshape(32, 32)[23:], torch.zeros(23, 32)])
    assert torch.equal(found, expected)


def test_channels_beyond_the_last_are_filled(module):
    found = loaded(module, image(2, 4, 4, 48), (0, 0, 0, 32))
    assert torch.equal(found[:, :16], image(2, 4, 4, 48).reshape(32, 48)[:, 32:])
    assert not found[:, 16:].any()


def test_what_lies_outside_may_be_nan(module):
    found = loaded(module, image(1, 4, 4), padding="nan")
    assert found[16:].isnan().all()
    assert not found[:16].isnan().any()


def test_operands_the_hardware_does_not_take(module):
    source = image(1, 4, 4)
    with pytest.raises(ValueError, match="from -128 to 127"):
        loaded(module, source, lower=(-200, 0))
    with pytest.raises(ValueError, match="from 1 to 8"):
        loaded(module, source, steps=(1, 9, 1, 1))
    with pytest.raises(emulate.LayoutMismatch, match="from 0 to 255"):
        loaded(module, source, offsets=(-1, 0))
    with pytest.raises(emulate.LayoutMismatch, match="is empty"):
        loaded(module, source, upper=(-5, 0))

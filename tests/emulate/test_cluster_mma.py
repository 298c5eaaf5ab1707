"""Tensor core operations of clusters: wgmma over multicast tiles, block-scaled MMAs of pairs."""

import pytest
import torch

from twill import emulate
from twill.ir.tolerance import tolerance

WGMMA = """\
from triton.experimental import gluon
from triton.experimental.gluon import language as gl
from triton.experimental.gluon.language.nvidia.hopper import (
    cluster, fence_async_shared, mbarrier, tma, warpgroup_mma, warpgroup_mma_wait)
from triton.experimental.gluon.nvidia.hopper import TensorDescriptor

MMA = gl.constexpr(gl.NVMMADistributedLayout([3, 0], [4, 1], [16, 64, 16], cga_layout=[[1, 0], [0, 1]]))

@gluon.jit
def k(a_desc, b_desc, c_desc, n):
    a = gl.allocate_shared_memory(gl.float16, a_desc.block_shape, a_desc.layout)
    b = gl.allocate_shared_memory(gl.float16, b_desc.block_shape, b_desc.layout)
    full = mbarrier.allocate_mbarrier()
    mbarrier.init(full, count=1)
    acc = gl.zeros([128, 128], gl.float32, MMA)
    for i in range(n):
        mbarrier.expect(full, a_desc.nbytes_per_cta + b_desc.nbytes_per_cta)
        tma.async_load(a_desc, [0, i * 64], full, a, multicast=True)
        tma.async_load(b_desc, [i * 64, 0], full, b, multicast=True)
        mbarrier.wait(full, i & 1)
        acc = warpgroup_mma(a, b, acc, is_async=True)
        acc = warpgroup_mma_wait(0, deps=[acc])
        cluster.barrier()
    c = gl.allocate_shared_memory(gl.float16, [128, 128], c_desc.layout)
    c.store(acc.to(gl.float16))
    fence_async_shared()
    tma.async_store(c_desc, [0, 0], c)
    tma.store_wait(0)

def launch(a, b, c):
    def describe(tensor, block, bases):
        layout = gl.NVMMASharedLayout.get_default_for(block, gl.float16, cga_layout=bases)
        return TensorDescriptor.from_tensor(tensor, block, layout)

    rows, columns, both = [(1, 0), (0, 0)], [(0, 0), (0, 1)], [(1, 0), (0, 1)]
    described = describe(a, [128, 64], rows), describe(b, [64, 128], columns), describe(c, [128, 128], both)
    k[(1,)](*described, a.shape[1] // 64, num_warps=4, num_ctas=4)
"""


def hopper(tmp_path, seed, text=WGMMA, n=3):
    """Run WGMMA in a cluster of two by two; (c, float64 truth)."""
    path = tmp_path / "hopper.py"
    path.write_text(text)
    random = torch.Generator().manual_seed(n)
    a, b = (torch.randn(*shape, generator=random).half() for shape in ((128, 64 * n), (64 * n, 128)))
    c = torch.full((128, 128), float("nan")).half()
    emulate.load(path, seed=seed, max_steps=20_000).launch(a, b, c)
    return c.double(), a.double() @ b.double()


@pytest.mark.parametrize("seed", range(3))
def test_wgmmas_of_four_thread_blocks_share_multicast_tiles(tmp_path, seed):
    found, truth = hopper(tmp_path, seed)
    assert (found - truth).abs().max() <= tolerance("f16", 192, float(truth.abs().max()))
    with pytest.raises((emulate.Race, emulate.ByteMismatch, emulate.BarrierMisuse)):
        hopper(tmp_path, seed, WGMMA.replace("        cluster.barrier()\n", ""))


def test_operands_that_are_divided_otherwise_than_the_accumulator(tmp_path):
    same = "rows = columns = [(0, 0)] * 2; both"
    other = WGMMA.replace("rows, columns, both = [(1, 0), (0, 0)], [(0, 0), (0, 1)]", same)
    other = other.replace("both, [(1, 0), (0, 1)]", "both = [(1, 0), (0, 1)]")
    with pytest.raises(emulate.LayoutMismatch, match="the CGA layouts do not fit"):
        hopper(tmp_path, 0, other)


SCALED = """\
from triton.experimental import gluon
from triton.experimental.gluon import language as gl
from triton.experimental.gluon.language.nvidia.blackwell import (
    TensorMemoryLayout, TensorMemoryScalesLayout, allocate_tensor_memory, mbarrier, tcgen05_copy, tcgen05_mma_scaled,
    tma)
from triton.experimental.gluon.nvidia.blackwell import TensorDescriptor

@gluon.jit
def k(a_desc, b_desc, x_desc, y_desc, c_desc):
    a = gl.allocate_shared_memory(gl.float8e4nv, a_desc.block_shape, a_desc.layout)
    b = gl.allocate_shared_memory(gl.float8e4nv, b_desc.block_shape, b_desc.layout)
    x = gl.allocate_shared_memory(gl.uint8, x_desc.block_shape, x_desc.layout)
    y = gl.allocate_shared_memory(gl.uint8, y_desc.block_shape, y_desc.layout)
    loaded = mbarrier.allocate_mbarrier(two_ctas=True)
    done = mbarrier.allocate_mbarrier()
    mbarrier.init(loaded, count=1)
    mbarrier.init(done, count=1)
    bytes: gl.constexpr = a_desc.nbytes_per_cta + b_desc.nbytes_per_cta + x_desc.nbytes_per_cta + y_desc.nbytes_per_cta
    mbarrier.expect(loaded, bytes)
    tma.async_load(a_desc, [0, 0], loaded, a)
    tma.async_load(b_desc, [0, 0], loaded, b)
    tma.async_load(x_desc, [0, 0, 0, 0, 0], loaded, x)
    tma.async_load(y_desc, [0, 0, 0, 0, 0], loaded, y, multicast=True)
    mbarrier.wait(loaded, 0)
    acc_layout: gl.constexpr = TensorMemoryLayout((128, 128), col_stride=1, cga_layout=[[1, 0]], two_ctas=True)
    acc = allocate_tensor_memory(gl.float32, [256, 128], acc_layout)
    x_flat = x.reshape((2, 1, 32, 4, 4)).permute((0, 3, 2, 1, 4)).reshape((256, 4))
    y_flat = y.reshape((1, 1, 32, 4, 4)).permute((0, 3, 2, 1, 4)).reshape((128, 4))
    x_held = allocate_tensor_memory(gl.uint8, [256, 4], TensorMemoryScalesLayout(cga_layout=[[1, 0]]))
    y_held = allocate_tensor_memory(gl.uint8, [128, 4], TensorMemoryScalesLayout(cga_layout=[[0, 0]]))
    tcgen05_copy(x_flat, x_held)
    tcgen05_copy(y_flat, y_held)
    tcgen05_mma_scaled(a, b.permute((1, 0)), acc, x_held, y_held, "e4m3", "e4m3", use_acc=False, mbarriers=[done])
    mbarrier.wait(done, 0)
    c = gl.allocate_shared_memory(gl.float32, c_desc.block_shape, c_desc.layout)
    c.store(acc.load())
    tma.async_store(c_desc, [0, 0], c)
    tma.store_wait(0)

def describe(tensor, dtype, bases, swizzled=True):
    block = list(tensor.shape)
    if swizzled:
        return TensorDescriptor.from_tensor(
            tensor, block, gl.NVMMASharedLayout.get_default_for(block, dtype, cga_layout=bases))
    return TensorDescriptor.from_tensor(
        tensor, block, gl.NVMMASharedLayout(0, 8, rank=5, cga_layout=bases))

def launch(a, b, x, y, c):
    k[(1,)](
        describe(a, gl.float8e4nv, [(1, 0)]), describe(b, gl.float8e4nv, [(1, 0)]),
        describe(x, gl.uint8, [(0, 1, 0, 0, 0)], False), describe(y, gl.uint8, [(0, 0, 0, 0, 0)], False),
        describe(c, gl.float32, [(1, 0)]), num_warps=4, num_ctas=2)
"""


def scaled(tmp_path, seed, text=SCALED):
    """Run SCALED; (c, float64 truth)."""
    path = tmp_path / "scaled.py"
    path.write_text(text)
    random = torch.Generator().manual_seed(seed)
    a, b = (torch.randn(rows, 128, generator=random).to(torch.float8_e4m3fn) for rows in (256, 128))
    x, y = (torch.randint(124, 131, (rows, 4), generator=random).to(torch.uint8) for rows in (256, 128))
    c = torch.full((256, 128), float("nan"))

    def packed(scales):  # 32 rows of each of four groups lie together
        return scales.reshape(-1, 4, 32, 1, 4).permute(0, 3, 2, 1, 4).reshape(1, -1, 1, 2, 256).contiguous()

    def decoded(tile, scales):
        return tile.double() * torch.exp2(scales.double() - 127).repeat_interleave(32, 1)

    emulate.load(path, seed=seed, max_steps=20_000).launch(a, b, packed(x), packed(y), c)
    return c.double(), decoded(a, x) @ decoded(b, y).T


@pytest.mark.parametrize("seed", range(3))
def test_a_pair_shares_a_block_scaled_mma(tmp_path, seed):
    found, truth = scaled(tmp_path, seed)
    assert (found - truth).abs().max() <= tolerance("f32", 128, float(truth.abs().max()))


def test_the_lead_waits_for_the_scales_of_its_partner(tmp_path):
    alone = SCALED.replace(
        "loaded = mbarrier.allocate_mbarrier(two_ctas=True)", "loaded = mbarrier.allocate_mbarrier()"
    )
    with pytest.raises((emulate.Race, emulate.Poison)):
        scaled(tmp_path, 0, alone)

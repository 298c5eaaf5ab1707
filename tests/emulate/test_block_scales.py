"""Block-scaled MMAs: each format against float64, asynchronous as all of tcgen05, and caught when wrong."""

import textwrap

import ml_dtypes
import numpy as np
import pytest
import torch

from twill import emulate
from twill.emulate import block_scales

HEADER = """\
from triton.experimental import gluon
from triton.experimental.gluon import language as gl
from triton.experimental.gluon.language.nvidia.blackwell import (
    TensorMemoryLayout, TensorMemoryScalesLayout, allocate_tensor_memory, fence_async_shared, mbarrier, tcgen05_commit,
    tcgen05_copy, tcgen05_mma_scaled)

FULL = gl.constexpr(TensorMemoryLayout((128, 64), col_stride=1))
FLAT = gl.constexpr(gl.BlockedLayout([1, 4], [4, 8], [4, 1], [1, 0]))

@gluon.jit
def block(p, rows: gl.constexpr, columns: gl.constexpr, layout: gl.constexpr):
    row = gl.arange(0, rows, gl.SliceLayout(1, layout))[:, None]
    return gl.load(p + row * columns + gl.arange(0, columns, gl.SliceLayout(0, layout))[None, :])

@gluon.jit
def shared(p, rows: gl.constexpr, columns: gl.constexpr, padded: gl.constexpr):
    value = block(p, rows, columns, FLAT)
    layout: gl.constexpr = gl.NVMMASharedLayout(64, 8, 2, fp4_padded=padded)
    tile = gl.allocate_shared_memory(value.dtype, [rows, columns], layout)
    tile.store(value)
    return tile

@gluon.jit
def scales(p, rows: gl.constexpr, columns: gl.constexpr):
    memory = allocate_tensor_memory(p.dtype.element_ty, [rows, columns], TensorMemoryScalesLayout())
    memory.store(gl.convert_layout(block(p, rows, columns, FLAT), memory.get_reg_layout()))
    return memory

@gluon.jit
def write(out, value):
    layout: gl.constexpr = value.type.layout
    row = gl.arange(0, 128, gl.SliceLayout(1, layout))[:, None]
    gl.store(out + row * 64 + gl.arange(0, 64, gl.SliceLayout(0, layout))[None, :], value)

@gluon.jit
def kernel(a_ptr, b_ptr, sa_ptr, sb_ptr, out, A: gl.constexpr, B: gl.constexpr, BLOCK: gl.constexpr):
    a_form: gl.constexpr = A
    b_form: gl.constexpr = B
    mixed: gl.constexpr = A != B
    bar = gl.allocate_shared_memory(gl.int64, [1], mbarrier.MBarrierLayout())
    mbarrier.init(bar, count=1)
    acc = allocate_tensor_memory(gl.float32, [128, 64], FULL)
    a = shared(a_ptr, 128, 64 if A == "e2m1" else 128, A == "e2m1" and mixed)
    b = shared(b_ptr, 64, 64 if B == "e2m1" else 128, B == "e2m1" and mixed)
    sa = scales(sa_ptr, 128, 128 // BLOCK)
    sb = scales(sb_ptr, 64, 128 // BLOCK)
    fence_async_shared()
"""
BODY = """\
tcgen05_mma_scaled(a, b.permute((1, 0)), acc, sa, sb, a_form, b_form, use_acc=False)
tcgen05_mma_scaled(a, b.permute((1, 0)), acc, sa, sb, a_form, b_form)
tcgen05_commit(bar)
mbarrier.wait(bar, 0)
write(out, acc.load())
"""
MX = {"e4m3": torch.float8_e4m3fn, "e5m2": torch.float8_e5m2, "e2m1": torch.uint8}


def operand(rows, form, random):
    """(stored, float64 values) of [rows, 128] in `form`."""
    if form != "e2m1":
        stored = torch.randn(rows, 128, generator=random).to(MX[form])
        return stored, stored.double()
    codes = torch.randint(0, 16, (rows, 128), generator=random)
    table = torch.tensor([0, 0.5, 1, 1.5, 2, 3, 4, 6], dtype=torch.float64)
    values = table[codes & 7] * (1 - 2 * (codes >> 3))
    return (codes[:, ::2] | codes[:, 1::2] << 4).to(torch.uint8), values


def factors(rows, block, random):
    if block == 16:
        stored = torch.rand(rows, 8, generator=random).to(torch.float8_e4m3fn)
        return stored, stored.double().repeat_interleave(16, 1)
    stored = torch.randint(124, 130, (rows, 4), generator=random).to(torch.uint8)
    return stored, torch.pow(2.0, stored.double() - 127).repeat_interleave(32, 1)


def run(tmp_path, a_form="e4m3", b_form="e4m3", block=32, body=BODY, seed=0):
    """(what the kernel leaves in out, twice the product of the scaled operands in float64)."""
    path = tmp_path / "kernel.py"
    path.write_text(HEADER + textwrap.indent(textwrap.dedent(body), "    "))
    random = torch.Generator().manual_seed(5)
    (a, a_values), (b, b_values) = operand(128, a_form, random), operand(64, b_form, random)
    (sa, sa_values), (sb, sb_values) = factors(128, block, random), factors(64, block, random)
    out = torch.full((128, 64), float("nan"))
    kernel = emulate.load(path, seed=seed, max_steps=20_000).kernel
    kernel[(1,)](a, b, sa, sb, out, a_form, b_form, block, num_warps=4)
    return out.double(), 2 * (a_values * sa_values) @ (b_values * sb_values).T


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize(
    ("a_form", "b_form", "block"),
    [("e4m3", "e4m3", 32), ("e5m2", "e4m3", 32), ("e2m1", "e2m1", 32), ("e2m1", "e4m3", 32), ("e4m3", "e2m1", 32),
     ("e2m1", "e2m1", 16)],
)  # fmt: skip
def test_every_format_is_decoded_and_scaled(tmp_path, a_form, b_form, block, seed):
    out, truth = run(tmp_path, a_form, b_form, block, seed=seed)
    assert (out - truth).abs().max() <= 1e-5 * truth.abs().max()


@pytest.mark.parametrize(
    ("old", "new", "kind"),
    [
        ("mbarrier.wait(bar, 0)\n", "", emulate.Race),
        ("tcgen05_commit(bar)\n", "", emulate.Deadlock),
        ("use_acc=False)\n", "use_acc=True)\n", emulate.Poison),
        ("mbarrier.wait(bar, 0)\n", "sa.store(gl.full([128, 4], 1, gl.uint8, sa.get_reg_layout()))\n", emulate.Race),
    ],
)
def test_a_broken_kernel_is_caught(tmp_path, old, new, kind):
    assert BODY.count(old) == 1
    for seed in range(3):
        with pytest.raises(kind):
            run(tmp_path, body=BODY.replace(old, new), seed=seed)


def test_scales_may_be_copied_from_shared_memory(tmp_path):
    body = """
        raw = gl.allocate_shared_memory(gl.uint8, [128, 4], gl.NVMMASharedLayout(0, 8, 2))
        raw.store(block(sa_ptr, 128, 4, FLAT))
        fence_async_shared()
        second = allocate_tensor_memory(gl.uint8, [128, 4], TensorMemoryScalesLayout())
        tcgen05_copy(raw, second)
    """
    out, truth = run(tmp_path, body=textwrap.dedent(body) + BODY.replace(" sa,", " second,"))
    assert (out - truth).abs().max() <= 1e-5 * truth.abs().max()


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("acc, sa, sb", "acc, sb, sa", r"of shape \[64, 4\] for 128 rows"),
        ("a_form, b_form", '"e2m1", b_form', "is not e2m1"),
        ("a_form, b_form", '"e3m2", b_form', "it knows e4m3, e5m2, e2m1"),
        ("b.permute((1, 0))", "b", r"\[128, 128\] by \[64, 128\]"),
        ("acc, sa, sb", "acc, a, sb", "TensorMemoryScalesLayout"),
    ],
)
def test_operands_that_do_not_fit_are_refused(tmp_path, old, new, what):
    with pytest.raises(emulate.LayoutMismatch, match=what):
        run(tmp_path, body=BODY.replace(old, new))


def test_a_mixed_e2m1_operand_must_be_padded(tmp_path):
    body = BODY.replace("(a, b", "(a._reinterpret(gl.uint8, [128, 64], gl.NVMMASharedLayout(64, 8, 2)), b")
    with pytest.raises(emulate.LayoutMismatch, match="fp4_padded"):
        run(tmp_path, "e2m1", "e4m3", body=body)


def test_scale_bytes_are_exponents_of_two():
    bytes_ = np.array([[0, 126, 127, 128, 254, 255]], np.uint8)
    decoded = block_scales.scales(bytes_)[0]
    assert list(decoded[:5]) == [2.0**-127, 0.5, 1.0, 2.0, 2.0**127]
    assert np.isnan(decoded[5])
    fine = np.array([[0.25, 448]], ml_dtypes.float8_e4m3fn)
    assert list(block_scales.scales(fine)[0]) == [0.25, 448]

"""Blackwell: tensor memory and tcgen05, right under every interleaving and caught when wrong."""

import itertools
import textwrap

import pytest
import torch

from tests.emulate.running import FIXTURES
from twill import emulate
from twill.errors import Unsupported
from twill.ir.tolerance import tolerance

GEMM = FIXTURES / "blackwell_gemm.py"
TEXT = GEMM.read_text()

HEADER = """\
from triton.experimental import gluon
from triton.experimental.gluon import language as gl
from triton.experimental.gluon.language.nvidia.blackwell import (
    TensorMemoryLayout, allocate_tensor_memory, fence_async_shared, get_tmem_reg_layout, mbarrier, tcgen05_commit,
    tcgen05_copy, tcgen05_mma, tma)
from triton.experimental.gluon.nvidia.blackwell import TensorDescriptor

HALF = gl.constexpr(TensorMemoryLayout((128, 64), col_stride=1))
REGISTERS = gl.constexpr(get_tmem_reg_layout(gl.float32, (128, 64), HALF, num_warps=4))
TILE = gl.constexpr(gl.NVMMASharedLayout(128, 16, 2))

@gluon.jit
def barrier():
    bar = gl.allocate_shared_memory(gl.int64, [1], mbarrier.MBarrierLayout())
    mbarrier.init(bar, count=1)
    return bar

@gluon.jit
def operand(rows: gl.constexpr, columns: gl.constexpr, value):
    tile = gl.allocate_shared_memory(gl.float16, [rows, columns], TILE)
    tile.store(gl.full([rows, columns], value, gl.float16, gl.BlockedLayout([1, 8], [4, 8], [4, 1], [1, 0])))
    fence_async_shared()
    return tile

@gluon.jit
def write(out, value):
    at = gl.convert_layout(value, REGISTERS)
    rows = gl.arange(0, 128, gl.SliceLayout(1, REGISTERS))
    columns = gl.arange(0, 64, gl.SliceLayout(0, REGISTERS))
    gl.store(out + rows[:, None] * 64 + columns[None, :], at)

@gluon.jit
def kernel(out):
"""
SETUP = """\
bar = barrier()
a = operand(128, 64, 2.0)
b = operand(64, 64, 0.5)
acc = allocate_tensor_memory(gl.float32, [128, 64], HALF)
"""


def gemm(seed=0, text=None, tiles=3, n=4):
    """Run the fixture; (c, float64 truth)."""
    module = emulate.load(GEMM, text=text, seed=seed, max_steps=20_000)
    random = torch.Generator().manual_seed(n)
    a = torch.randn(128, 64 * n, generator=random).bfloat16()
    b = torch.randn(64 * n, 64 * tiles, generator=random).bfloat16()
    c = torch.full((128, 64 * tiles), float("nan")).bfloat16()
    module.launch(a, b, c)
    return c.double(), a.double() @ b.double()


def run(tmp_path, body, seed=0, setup=SETUP):
    """`body` after SETUP in a kernel of one role of 4 warps; what it leaves in out [128, 64]."""
    path = tmp_path / "kernel.py"
    path.write_text(HEADER + textwrap.indent(setup + textwrap.dedent(body), "    "))
    out = torch.full((128, 64), float("nan"))
    emulate.load(path, seed=seed, max_steps=20_000).kernel[(1,)](out, num_warps=4)
    return out


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("tiles", "n"), [(1, 1), (3, 4), (4, 2)])
def test_gemm_is_right_under_every_interleaving(seed, tiles, n):
    c, truth = gemm(seed, tiles=tiles, n=n)
    assert (c - truth).abs().max() <= tolerance("bf16", n * 64, float(truth.abs().max()))


MUTATIONS = {
    "the MMA does not wait for its operands": (
        "            mbarrier.wait(full.index(slot), (i // DEPTH) & 1)\n", "", emulate.EmulationError
    ),
    "the load does not wait for the slot": (
        "            mbarrier.wait(empty.index(slot), ((i // DEPTH) & 1) ^ 1)\n", "", emulate.EmulationError
    ),
    "the epilogue does not wait for the MMAs": (
        "        mbarrier.wait(done.index(buffer), (tile // 2) & 1)\n", "", emulate.EmulationError
    ),
    "the MMA overwrites what the epilogue still reads": (
        "        mbarrier.wait(drained.index(buffer), ((tile // 2) & 1) ^ 1)\n", "", emulate.EmulationError
    ),
    "the buffer is released before it is read": (
        "        value = acc.index(buffer).load(layout)\n        mbarrier.arrive(drained.index(buffer), count=1)\n",
        "        mbarrier.arrive(drained.index(buffer), count=1)\n        value = acc.index(buffer).load(layout)\n",
        emulate.Race,
    ),
    "the MMAs are never committed": ("        tcgen05_commit(done.index(buffer))\n", "", emulate.Deadlock),
    "the first MMA accumulates onto nothing": ("        use_acc = False\n", "        use_acc = True\n", emulate.Poison),
    "no fence before the store": ("        fence_async_shared()\n", "", emulate.MissingFence),
}  # fmt: skip


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_broken_gemm_is_caught(name):
    old, new, kind = MUTATIONS[name]
    assert TEXT.count(old) == 1
    text = TEXT.replace(old, new)
    for seed in range(3):
        with pytest.raises(kind):
            gemm(seed, text=text, tiles=5)


@pytest.mark.parametrize("seed", range(4))
def test_mma_and_commit(tmp_path, seed):
    body = """
        tcgen05_mma(a, b, acc, use_acc=False)
        tcgen05_mma(a, b, acc)
        tcgen05_commit(bar)
        mbarrier.wait(bar, 0)
        write(out, acc.load(REGISTERS))
    """
    assert (run(tmp_path, body, seed) == 128).all()


def test_a_load_may_reduce_its_rows_and_choose_its_layout(tmp_path):
    body = """
        acc.store(gl.full([128, 64], -3.0, gl.float32, REGISTERS))
        value, largest = acc.load_max(abs=True)
        block, smallest = acc.load_min()
        write(out, value + gl.convert_layout(largest, gl.SliceLayout(1, REGISTERS))[:, None] * 2 + smallest[:, None])
    """
    assert (run(tmp_path, body) == -3 + 6 - 3).all()


def test_a_skipped_mma_leaves_the_accumulator(tmp_path):
    body = """
        acc.store(gl.full([128, 64], 3.0, gl.float32, REGISTERS))
        tcgen05_mma(a, b, acc, pred=False)
        acc.store(gl.full([128, 64], 4.0, gl.float32, REGISTERS), pred=False)
        write(out, acc.load(REGISTERS))
    """
    assert (run(tmp_path, body) == 3).all()


@pytest.mark.parametrize("seed", range(4))
def test_operand_from_tensor_memory_aliases_the_accumulator(tmp_path, seed):
    body = """
        tcgen05_mma(a, b, acc, use_acc=False, mbarriers=[bar])
        mbarrier.wait(bar, 0)
        p = acc._reinterpret(gl.float16, [128, 64], HALF)
        p.store(acc.load(REGISTERS).to(gl.float16))
        second = allocate_tensor_memory(gl.float32, [2, 128, 64], HALF).index(1)
        tcgen05_mma(p, b, second, use_acc=False, mbarriers=[bar])
        mbarrier.wait(bar, 1)
        left = second.slice(0, 32)
        half: gl.constexpr = get_tmem_reg_layout(gl.float32, (128, 32), HALF, 4)
        left.store(left.load(half) + 1.0)
        write(out, second.load(REGISTERS))
    """
    out = run(tmp_path, body, seed)
    assert (out[:, :32] == 64 * 64 / 2 + 1).all()
    assert (out[:, 32:] == 64 * 64 / 2).all()


@pytest.mark.parametrize("seed", range(4))
def test_copy_comes_before_the_mma_that_reads_it(tmp_path, seed):
    body = """
        copied = allocate_tensor_memory(gl.float16, [128, 64], HALF)
        tcgen05_copy(a, copied)
        tcgen05_mma(copied, b, acc, use_acc=False, mbarriers=[bar])
        mbarrier.wait(bar, 0)
        write(out, acc.load(REGISTERS))
    """
    assert (run(tmp_path, body, seed) == 64).all()


@pytest.mark.parametrize(
    ("body", "kind", "words"),
    [
        ("acc.load(REGISTERS)", emulate.Poison, "nothing has written"),
        ("tcgen05_mma(a, b, acc)\ntcgen05_commit(bar)\nmbarrier.wait(bar, 0)", emulate.Poison, "acc"),
        ("tcgen05_mma(a, b, acc, use_acc=False)\nacc.load(REGISTERS)", emulate.Race, "tcgen05 MMA"),
        ("tcgen05_mma(a, b, acc, use_acc=False)\na.store(a.load(REGISTERS))", emulate.Race, "race on tile"),
        ("tcgen05_mma(a, b, acc, use_acc=False)", emulate.Unwaited, "tcgen05_commit"),
        ("tcgen05_mma(a, b, acc, use_acc=False)\ntcgen05_commit(bar)", emulate.Unwaited, "never waited for"),
        (
            "tcgen05_mma(a, b, acc, use_acc=False)\n"
            "p = acc._reinterpret(gl.float16, [128, 64], HALF)\n"
            "other = allocate_tensor_memory(gl.float32, [128, 64], HALF)\n"
            "tcgen05_mma(p, b, other, use_acc=False, mbarriers=[bar])\nmbarrier.wait(bar, 0)",
            emulate.Race,
            "tcgen05 MMA",
        ),
        ("acc._reinterpret(gl.float32, [128, 128], HALF)", emulate.OutOfBounds, "512 bytes of every row"),
        ("acc.slice(32, 64)", emulate.OutOfBounds, "axis 1"),
        ("allocate_tensor_memory(gl.float32, [16, 128, 64], HALF)", emulate.LayoutMismatch, "1024 columns"),
        ("tcgen05_mma(a, a, acc)", emulate.LayoutMismatch, "tcgen05_mma of"),
        ("tcgen05_mma(a, b, a)", emulate.LayoutMismatch, "not tensor memory"),
        ("acc.store(gl.zeros([128, 64], gl.float16, REGISTERS))", emulate.LayoutMismatch, "fp16"),
    ],
)
def test_misuse_is_caught(tmp_path, body, kind, words):
    for seed in range(3):
        with pytest.raises(kind, match=words) as caught:
            run(tmp_path, body, seed)
        assert caught.value.location.line > HEADER.count("\n")


def test_a_role_of_one_warp_cannot_reach_tensor_memory():
    text = TEXT.replace(
        "        use_acc = False\n", "        acc.index(0).load(gl.AutoLayout())\n        use_acc = False\n"
    )
    with pytest.raises(emulate.LayoutMismatch, match="1 warps does not reach all lanes"):
        gemm(text=text)


def test_what_is_not_emulated_is_named_with_its_line(tmp_path):
    path = tmp_path / "scaled.py"
    path.write_text("from triton.experimental.gluon.language.nvidia.blackwell import mma_v2\n")
    with pytest.raises(Unsupported, match="mma_v2") as caught:
        emulate.load(path)
    assert caught.value.location.line == 1


@pytest.mark.filterwarnings("ignore")  # triton's own
def test_the_fixture_compiles_for_blackwell(monkeypatch):
    triton = pytest.importorskip("triton")
    if not hasattr(__import__("triton.experimental.gluon", fromlist=["x"]), "jit"):
        pytest.skip("this triton has no Gluon")
    from triton.backends.compiler import GPUTarget
    from triton.experimental.gluon import language as gl
    from triton.experimental.gluon._runtime import GluonASTSource
    from triton.experimental.gluon.language.nvidia.blackwell import tma

    monkeypatch.syspath_prepend(str(FIXTURES))
    import blackwell_gemm

    for old, new in (("async_copy_global_to_shared", "async_load"), ("async_copy_shared_to_global", "async_store")):
        monkeypatch.setattr(tma, old, getattr(tma, new, getattr(tma, old)))

    def descriptor(block):
        return f"tensordesc<bf16{block},{gl.NVMMASharedLayout.get_default_for(block, gl.bfloat16)!r}>"

    types = [*map(descriptor, ([128, 64], [64, 64], [128, 64])), "i32", "i32", "constexpr"]
    signature = dict(itertools.zip_longest(blackwell_gemm.gemm.arg_names, types))
    source = GluonASTSource(blackwell_gemm.gemm, signature, {(5,): 3})
    binary = triton.compile(source, target=GPUTarget("cuda", 100, 32), options={"num_warps": 4})
    assert "tcgen05.mma" in binary.asm["ptx"]

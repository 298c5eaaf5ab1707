"""Correct hand-written kernels run clean and right under every interleaving, and are real Gluon."""

import numpy as np
import pytest
import torch

from tests.emulate.running import ATTENTION, MATMUL, attention, matmul
from twill import emulate
from twill.emulate import launch
from twill.ir.tolerance import tolerance


@pytest.mark.parametrize("seed", range(12))
def test_attention_is_right_under_every_interleaving(seed):
    o, truth = attention(5, seed=seed)
    assert np.abs(o - truth).max() <= tolerance("f16", 5 * 64, np.abs(truth).max())


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_attention_with_few_iterations(n):
    o, truth = attention(n, seed=n)
    assert np.abs(o - truth).max() <= tolerance("f16", n * 64, np.abs(truth).max())


def test_attention_without_iterations_divides_zero_by_zero():
    o, _ = attention(0)
    assert np.isnan(o).all()


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("n", [0, 1, 2, 3, 8])
def test_matmul(n, seed):
    c, truth = matmul(n, seed=seed)
    assert np.abs(c - truth).max() <= tolerance("bf16", max(1, n * 64), np.abs(truth).max())


def test_seeds_draw_different_interleavings_and_one_seed_always_the_same():
    def steps(seed):
        module = emulate.load(MATMUL, seed=seed)
        a, b, c = (torch.zeros(shape).bfloat16() for shape in ((64, 256), (256, 64), (64, 64)))
        order = []
        choose = module.emulator.adversary.choose

        def spy(ready, events):
            move = choose(ready, events)
            order.append(getattr(move, "role", None) or move.place.action)
            return move

        module.emulator.adversary.choose = spy
        module.launch(a, b, c)
        return order

    assert steps(3) == steps(3)
    assert len({tuple(steps(seed)) for seed in range(5)}) > 1


def test_statistics_count_what_ran():
    module = emulate.load(MATMUL)
    a, b, c = (torch.zeros(shape).bfloat16() for shape in ((128, 256), (256, 64), (128, 64)))
    module.launch(a, b, c)
    counted = module.emulator.statistics
    assert (counted.programs, counted.loads, counted.mmas, counted.stores) == (2, 2 * 4 * 2, 2 * 4, 2)


def test_the_thread_count_of_torch_is_left_as_it_was():
    before = torch.get_num_threads()
    with launch._one_thread():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before


@pytest.mark.filterwarnings("ignore")  # triton's own
def test_the_fixtures_compile_for_hopper(monkeypatch):
    triton = pytest.importorskip("triton")
    if not hasattr(__import__("triton.experimental.gluon", fromlist=["x"]), "jit"):
        pytest.skip("this triton has no Gluon")
    from triton.backends.compiler import GPUTarget
    from triton.experimental.gluon import language as gl
    from triton.experimental.gluon._runtime import GluonASTSource
    from triton.experimental.gluon.language.nvidia.hopper import tma

    monkeypatch.syspath_prepend(str(ATTENTION.parent))
    import attention_ring
    import matmul_ring

    # Triton 3.9 has the copies under their new names only.
    for old, new in (("async_copy_global_to_shared", "async_load"), ("async_copy_shared_to_global", "async_store")):
        monkeypatch.setattr(tma, old, getattr(tma, new, getattr(tma, old)))

    def descriptor(block, name, dtype):
        return f"tensordesc<{name}{block},{gl.NVMMASharedLayout.get_default_for(block, dtype)!r}>"

    half, tile = descriptor([64, 64], "fp16", gl.float16), descriptor([64, 64], "bf16", gl.bfloat16)
    kernels = [
        (attention_ring.attention, [half] * 4 + ["i32", "i32", "fp32"], [64, 64]),
        (matmul_ring.matmul, [tile] * 3 + ["i32"], [64, 64, 3]),
    ]
    for kernel, types, constants in kernels:
        names = kernel.arg_names
        signature = dict(zip(names, types + ["constexpr"] * len(constants), strict=True))
        values = {(len(types) + i,): value for i, value in enumerate(constants)}
        source = GluonASTSource(kernel, signature, values)
        binary = triton.compile(source, target=GPUTarget("cuda", 90, 32), options={"num_warps": 4})
        assert "wgmma.mma_async" in binary.asm["ptx"]

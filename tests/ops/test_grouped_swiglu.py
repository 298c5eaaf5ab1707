"""The gradient of the grouped product with SwiGLU: the kernel, run by the emulator, the torch operations, float64."""

from __future__ import annotations

import pytest
import torch

from twill.ops import dispatch, grouped_matmul, moe_route
from twill.ops.grouped_swiglu import (
    grouped_swiglu_gradient,
    swiglu,
    swiglu_gradient,
    swiglu_second_gradient,
)
from twill.ops.routing import TILE_ROWS, Routing, route

NARROW = [torch.float16, torch.bfloat16]


def random(*shape, dtype=torch.float64, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


@pytest.fixture
def on_hopper(launched, declines_anew, monkeypatch):
    monkeypatch.setattr(dispatch, "on_hopper", lambda *_: True)
    return launched


def operands(dtype, columns=136, inner=64):
    """x, w and dy of 130 rows of the first expert, none of the second, one of the third; the last tile has none."""
    routing = route(torch.tensor([[0]] * 130 + [[2]]), 3)
    assert routing.tile_experts.tolist() == [0, 0, 2, -1]
    x = random(4 * TILE_ROWS, inner, dtype=dtype)
    w = (random(3, inner, 2 * columns, seed=1) * inner**-0.5).to(dtype)
    dy = random(4 * TILE_ROWS, columns, dtype=dtype, seed=2)
    return x, w, dy, routing.tile_experts, routing.offsets


def exact(x, w, dy, tile_experts, _):
    """By autograd in float64, a tile at a time."""
    parts = []
    for tile, e in enumerate(tile_experts.tolist()):
        rows = slice(tile * TILE_ROWS, (tile + 1) * TILE_ROWS)
        both = x[rows].double() @ w[e].double() if e >= 0 else torch.zeros(TILE_ROWS, w.shape[2], dtype=torch.float64)
        both.requires_grad_()
        parts += torch.autograd.grad(swiglu(both), both, dy[rows].double())
    return torch.cat(parts)


@pytest.mark.parametrize("dtype", NARROW)
def test_the_kernel_is_within_rounding_of_float64(on_hopper, dtype):
    args = operands(dtype)
    got, expected = grouped_swiglu_gradient(*args), exact(*args)
    assert on_hopper == [f"grouped_swiglu_gradient_{'fp16' if dtype == torch.float16 else 'bf16'}"]
    assert got.dtype == dtype
    # The product's sum and the derivative in float32 (of values below 8 here), and one rounding.
    tolerance = torch.finfo(dtype).eps
    torch.testing.assert_close(got.double(), expected, rtol=tolerance, atol=64 * 8 * torch.finfo(torch.float32).eps)
    assert not got[3 * TILE_ROWS :].any()


@pytest.mark.parametrize("dtype", [*NARROW, torch.float32])
def test_torch_is_within_rounding_of_float64(dtype):
    args = operands(dtype)
    tolerance = torch.finfo(dtype).eps
    got = grouped_swiglu_gradient(*args)
    assert got.dtype == dtype
    torch.testing.assert_close(got.double(), exact(*args), rtol=tolerance, atol=64 * 8 * torch.finfo(torch.float32).eps)


@pytest.mark.parametrize("dtype", NARROW)
def test_what_is_not_finite_comes_out_as_by_torch(on_hopper, monkeypatch, dtype):
    """In a row's values, in the gradient with an expert and without one; gates so large that exp overflows."""
    x, w, dy, *groups = operands(dtype, columns=8)
    x[0, 0], x[1, 1] = float("nan"), float("inf")
    dy[2, 0], dy[3, 1], dy[4, 2] = float("nan"), float("inf"), -float("inf")
    dy[3 * TILE_ROWS, 0], dy[3 * TILE_ROWS + 1, 1] = float("nan"), float("inf")
    x[5], w[:, :, 0] = 100.0, 16.0  # gates of 102400, beyond fp16, and with the other sign
    x[6] = -100.0
    by_kernel = grouped_swiglu_gradient(x, w, dy, *groups)
    monkeypatch.setattr(dispatch, "on_hopper", lambda *_: False)
    by_torch = grouped_swiglu_gradient(x, w, dy, *groups)
    assert torch.equal(by_kernel.isnan(), by_torch.isnan())
    assert torch.equal(by_kernel.isinf(), by_torch.isinf())
    finite = by_torch.isfinite()
    torch.testing.assert_close(by_kernel[finite], by_torch[finite], rtol=2 * torch.finfo(dtype).eps, atol=1e-4)
    spoiled = (~finite).any(1).nonzero()[:, 0].tolist()
    assert spoiled[:5] == [0, 1, 2, 3, 4]
    assert spoiled[-2:] == [3 * TILE_ROWS, 3 * TILE_ROWS + 1]
    assert by_kernel[6, [0, 8]].tolist() == [0.0, 0.0]  # silu is flat there


def test_no_rows_have_no_gradient(on_hopper):
    routing = moe_route(torch.zeros(0, 2, dtype=torch.long), 3)
    x, w = torch.zeros(0, 64).half().requires_grad_(), torch.ones(3, 64, 16).half().requires_grad_()
    grouped_matmul(x, w, routing, activation="swiglu").sum().backward()
    assert x.grad.shape == x.shape
    assert not w.grad.any()
    assert not on_hopper


@pytest.mark.parametrize("tokens", [False, True])
def test_a_gradient_that_is_expanded_and_weights_that_lie_transposed(on_hopper, tokens):
    ids = torch.tensor([0] * 3 + [2] * 2)
    routing = Routing(*route(ids[:, None], 3))
    here = routing.positions[:, 0]
    values = random(5, 128, dtype=torch.float16)
    x = values if tokens else torch.zeros(TILE_ROWS * len(routing.tile_experts), 128).half().index_copy(0, here, values)
    w = (random(3, 128, 128, seed=1) / 11).half().mT.contiguous().mT
    leaves = x.requires_grad_(), w.requires_grad_()
    grouped_matmul(*leaves, routing, activation="swiglu", tokens=tokens).sum().backward()
    assert "grouped_swiglu_gradient_fp16" in on_hopper
    x64, w64 = (leaf.detach().double().requires_grad_() for leaf in (values, w))
    swiglu(torch.einsum("tk,tkn->tn", x64, w64[ids])).sum().backward()
    gradient = leaves[0].grad if tokens else leaves[0].grad[here]
    torch.testing.assert_close(gradient.double(), x64.grad, rtol=2**-8, atol=2**-7)
    torch.testing.assert_close(leaves[1].grad.double(), w64.grad, rtol=2**-8, atol=2**-7)


def test_gathered_rows_serve_the_gradient_and_the_weights_alike(on_hopper):
    routing = moe_route(torch.zeros(10, dtype=torch.long), 1)
    x = random(10, 128, dtype=torch.float16).requires_grad_()
    w = (random(1, 128, 256, seed=1) / 11).half().requires_grad_()
    got = grouped_matmul(x, w, routing, activation="swiglu", tokens=True)
    on_hopper.clear()
    got.backward(random(*got.shape, dtype=torch.float16, seed=2))
    assert on_hopper == [
        "moe_sources_int64", "moe_gather_fp16", "grouped_swiglu_gradient_fp16", "grouped_matmul_transposed_fp16",
        "moe_combine_fp16", "grouped_weight_gradient_fp16",
    ]  # fmt: skip


def test_what_the_kernel_does_not_cover_is_said_once(on_hopper):
    x, w, dy, *groups = operands(torch.float32)
    with pytest.warns(UserWarning, match="twill.ops.grouped_swiglu_gradient runs as torch operations: .*float32"):
        got = grouped_swiglu_gradient(x, w, dy, *groups)
    torch.testing.assert_close(got.double(), exact(x, w, dy, *groups), rtol=1e-5, atol=1e-5)
    grouped_swiglu_gradient(x, w, dy, *groups)  # warnings are errors
    assert not on_hopper


def test_the_second_gradient_is_that_of_the_first():
    both, dy, dboth = random(5, 12) * 2, random(5, 6, seed=1), random(5, 12, seed=2)
    both.requires_grad_()
    dy.requires_grad_()
    expected = torch.autograd.grad(swiglu_gradient(both, dy), (both, dy), dboth)
    for mine, theirs in zip(swiglu_second_gradient(both, dy, dboth), expected, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-12, atol=1e-12)


def test_it_is_differentiable_three_times_over():
    routing = moe_route(torch.tensor([0, 1]), 2)
    groups = routing.tile_experts, routing.offsets
    x = random(2 * TILE_ROWS, 2).requires_grad_()
    w, dy = random(2, 2, 4, seed=1).requires_grad_(), random(2 * TILE_ROWS, 2, seed=2).requires_grad_()
    first = (lambda x, w, dy: grouped_swiglu_gradient(x, w, dy, *groups)), (x, w, dy)
    assert torch.autograd.gradcheck(*first, fast_mode=True)
    assert torch.autograd.gradgradcheck(*first, fast_mode=True)

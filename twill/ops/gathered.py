"""Tokens gathered into the rows of their experts: by themselves, and inside the product that they are needed for."""

from __future__ import annotations

import torch
from torch import Tensor

from twill.ops import dispatch, routing_kernels
from twill.ops.experts import _moe_combine
from twill.ops.grouped import (
    _grouped_matmul,
    _grouped_weight_gradient,
    kernel_runs,
    products,
)
from twill.ops.grouped_swiglu import grouped_swiglu_gradient, swiglu
from twill.ops.routing import TILE_ROWS, accumulator, spread


@torch.library.custom_op("twill::moe_gather", mutates_args=())
def moe_gather(x: Tensor, positions: Tensor, rows: int) -> Tensor:
    """[rows, D]: x: [T, D] in the rows of positions: [T, k]; 0 in rows without a choice."""
    move = routing_kernels.spread if routing_kernels.moves("moe_gather", x, positions) else spread
    return move(x, positions, rows)


@moe_gather.register_fake
def _(x: Tensor, positions: Tensor, rows: int) -> Tensor:
    return x.new_empty(rows, x.shape[1])


@torch.library.custom_op("twill::grouped_matmul_gather", mutates_args=())
def grouped_matmul_gather(x: Tensor, w: Tensor, positions: Tensor, tile_experts: Tensor, offsets: Tensor) -> Tensor:
    """[P, N]: the grouped product of w: [E, K, N] with the rows that `moe_gather` makes of x: [T, K]."""
    y = _launch("grouped_matmul_gather", x, w, positions, tile_experts, w.shape[2])
    if y is not None:
        return y
    return products(spread(x, positions, _rows(tile_experts)), w, tile_experts, offsets).to(x.dtype)


@torch.library.custom_op("twill::grouped_swiglu_gather", mutates_args=())
def grouped_swiglu_gather(x: Tensor, w: Tensor, positions: Tensor, tile_experts: Tensor, offsets: Tensor) -> Tensor:
    """[P, N]: the same for w: [E, K, 2 N], with SwiGLU behind the product."""
    y = _launch("grouped_swiglu_gather", x, w, positions, tile_experts, w.shape[2] // 2)
    if y is not None:
        return y
    both = products(spread(x, positions, _rows(tile_experts)), w, tile_experts, offsets)
    return swiglu(both).to(x.dtype)


@grouped_matmul_gather.register_fake
def _(x: Tensor, w: Tensor, positions: Tensor, tile_experts: Tensor, offsets: Tensor) -> Tensor:
    return x.new_empty(_rows(tile_experts), w.shape[2])


@grouped_swiglu_gather.register_fake
def _(x: Tensor, w: Tensor, positions: Tensor, tile_experts: Tensor, offsets: Tensor) -> Tensor:
    return x.new_empty(_rows(tile_experts), w.shape[2] // 2)


def _rows(tile_experts: Tensor) -> int:
    return TILE_ROWS * tile_experts.shape[0]


def _launch(kernel: str, x: Tensor, w: Tensor, positions: Tensor, tile_experts: Tensor, columns: int) -> Tensor | None:
    """What the generated kernel makes; None where it does not run."""
    rows, (tokens, inner) = _rows(tile_experts), x.shape
    if not rows or not kernel_runs(kernel, x, w, inner, columns, 64):
        return None
    y = x.new_empty(rows, columns)
    source = routing_kernels.tokens_of(positions, rows, torch.int32)
    with torch.cuda.device_of(x):
        launch = dispatch.launcher(f"{kernel}_{routing_kernels.DTYPES[x.dtype]}", kernel)
        operands = dispatch.aligned(x), source, dispatch.aligned(w), tile_experts, y
        launch(*operands, tokens, rows, inner, columns, w.shape[0])
    return y


def _save_positions(ctx, inputs, output) -> None:  # type: ignore[no-untyped-def]
    ctx.save_for_backward(inputs[1])


def _gather_backward(ctx, drows):  # type: ignore[no-untyped-def]
    (positions,) = ctx.saved_tensors
    return _returned(drows, positions), None, None


def _returned(drows: Tensor, positions: Tensor) -> Tensor:
    """[T, D]: the sum of the rows of each token."""
    result: Tensor = _moe_combine(
        drows, positions, torch.ones(positions.shape, dtype=accumulator(drows), device=drows.device)
    )
    return result


def _save_inputs(ctx, inputs, output) -> None:  # type: ignore[no-untyped-def]
    ctx.save_for_backward(*inputs)


def _product_backward(ctx, dy):  # type: ignore[no-untyped-def]
    x, w, positions, tile_experts, offsets = ctx.saved_tensors
    dx = dw = None
    if ctx.needs_input_grad[0]:
        dx = _returned(_grouped_matmul(dy, w, tile_experts, offsets, True), positions)
    if ctx.needs_input_grad[1]:
        # The weights' gradient reads its rows by TMA: they are gathered for it here.
        dw = _grouped_weight_gradient(moe_gather(x, positions, dy.shape[0]), dy, tile_experts, offsets)
    return dx, dw, None, None, None


def _swiglu_backward(ctx, dy):  # type: ignore[no-untyped-def]
    """The rows that the weights' gradient needs are gathered first: the product is computed again from them."""
    x, w, positions, tile_experts, offsets = ctx.saved_tensors
    rows = moe_gather(x, positions, dy.shape[0])
    dboth = grouped_swiglu_gradient(rows, w, dy, tile_experts, offsets)
    dx = dw = None
    if ctx.needs_input_grad[0]:
        dx = _returned(_grouped_matmul(dboth, w, tile_experts, offsets, True), positions)
    if ctx.needs_input_grad[1]:
        dw = _grouped_weight_gradient(rows, dboth, tile_experts, offsets)
    return dx, dw, None, None, None


moe_gather.register_autograd(_gather_backward, setup_context=_save_positions)
grouped_matmul_gather.register_autograd(_product_backward, setup_context=_save_inputs)
grouped_swiglu_gather.register_autograd(_swiglu_backward, setup_context=_save_inputs)

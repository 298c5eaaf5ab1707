"""The grouped product with SwiGLU behind it, and its gradient: neither keeps the two products that it is made of."""

from __future__ import annotations

import torch
from torch import Tensor

from twill.ops import dispatch
from twill.ops.grouped import _grouped_matmul, _grouped_weight_gradient, kernel_runs, products
from twill.ops.routing import accumulator


@torch.library.custom_op("twill::grouped_swiglu", mutates_args=())
def grouped_swiglu(x: Tensor, w: Tensor, tile_experts: Tensor, offsets: Tensor) -> Tensor:
    """[P, N]: silu(x gate_e) * (x up_e) for x: [P, K] and w: [E, K, 2 N], the gate's columns first."""
    rows, inner = x.shape
    columns = w.shape[2] // 2
    if kernel_runs("grouped_swiglu", x, w, inner, columns, 64):
        y = x.new_empty(rows, columns)
        with torch.cuda.device_of(x):
            launch = _launcher("grouped_swiglu", x)
            launch(dispatch.aligned(x), dispatch.aligned(w), tile_experts, y, rows, inner, columns, w.shape[0])
        return y
    return swiglu(products(x, w, tile_experts, offsets)).to(x.dtype)


@grouped_swiglu.register_fake
def _(x: Tensor, w: Tensor, tile_experts: Tensor, offsets: Tensor) -> Tensor:
    return x.new_empty(x.shape[0], w.shape[2] // 2)


@torch.library.custom_op("twill::grouped_swiglu_gradient", mutates_args=())
def grouped_swiglu_gradient(x: Tensor, w: Tensor, dy: Tensor, tile_experts: Tensor, offsets: Tensor) -> Tensor:
    """[P, 2 N]: the gradient in x w_e from dy: [P, N], that in `grouped_swiglu`. x w_e is computed again for it."""
    rows, inner = x.shape
    columns = w.shape[2] // 2
    if kernel_runs("grouped_swiglu_gradient", x, w, inner, columns, 64):
        dboth = x.new_empty(rows, 2 * columns)
        operands = dispatch.aligned(x), dispatch.aligned(w), tile_experts, dispatch.aligned(dy), dboth
        with torch.cuda.device_of(x):
            _launcher("grouped_swiglu_gradient", x)(*operands, rows, inner, columns, w.shape[0])
        return dboth
    return swiglu_gradient(products(x, w, tile_experts, offsets), dy).to(x.dtype)


@grouped_swiglu_gradient.register_fake
def _(x: Tensor, w: Tensor, dy: Tensor, tile_experts: Tensor, offsets: Tensor) -> Tensor:
    return x.new_empty(x.shape[0], w.shape[2])


def swiglu(both: Tensor) -> Tensor:
    """[P, N]: silu(gate) * up of both: [P, 2 N], the gate's columns first."""
    gate, up = both.chunk(2, dim=1)
    return torch.nn.functional.silu(gate) * up


def swiglu_gradient(both: Tensor, dy: Tensor) -> Tensor:
    """[P, 2 N], in float32 or float64: the gradient in `both` from that in `swiglu(both)`."""
    gate, up = both.to(accumulator(both)).chunk(2, dim=1)
    share = torch.sigmoid(gate)
    dgate = dy * up * share * (1 + gate * (1 - share))
    return torch.cat([dgate, dy * gate * share], dim=1)


def swiglu_second_gradient(both: Tensor, dy: Tensor, dboth: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients in `both` and in `dy` from that in `swiglu_gradient(both, dy)`, in float32 or float64."""
    kind = accumulator(both)
    gate, up = both.to(kind).chunk(2, dim=1)
    dgate, dup = dboth.to(kind).chunk(2, dim=1)
    share = torch.sigmoid(gate)
    slope = share * (1 + gate * (1 - share))  # the first derivative of silu, then the second
    bend = share * (1 - share) * (2 + gate * (1 - 2 * share))
    in_both = torch.cat([dy * (up * bend * dgate + slope * dup), dy * slope * dgate], dim=1)
    return in_both, up * slope * dgate + gate * share * dup


def _launcher(kernel: str, x: Tensor):  # type: ignore[no-untyped-def]
    return dispatch.launcher(f"{kernel}_{dispatch.KERNEL_DTYPES[x.dtype]}", kernel)


def _save_inputs(ctx, inputs, output) -> None:  # type: ignore[no-untyped-def]
    ctx.save_for_backward(*inputs)


def _backward(ctx, dy):  # type: ignore[no-untyped-def]
    x, w, tile_experts, offsets = ctx.saved_tensors
    dboth = grouped_swiglu_gradient(x, w, dy, tile_experts, offsets)
    return *_of_product(ctx, x, w, dboth, tile_experts, offsets), None, None


def _gradient_backward(ctx, ddboth):  # type: ignore[no-untyped-def]
    x, w, dy, tile_experts, offsets = ctx.saved_tensors
    both = _grouped_matmul(x, w, tile_experts, offsets, False)
    dboth, ddy = swiglu_second_gradient(both, dy, ddboth)
    return *_of_product(ctx, x, w, dboth.to(x.dtype), tile_experts, offsets), ddy.to(dy.dtype), None, None


def _of_product(ctx, x, w, dboth, tile_experts, offsets):  # type: ignore[no-untyped-def]
    """Gradients in x and w from that in their product."""
    dx = _grouped_matmul(dboth, w, tile_experts, offsets, True) if ctx.needs_input_grad[0] else None
    dw = _grouped_weight_gradient(x, dboth, tile_experts, offsets) if ctx.needs_input_grad[1] else None
    return dx, dw


grouped_swiglu.register_autograd(_backward, setup_context=_save_inputs)
grouped_swiglu_gradient.register_autograd(_gradient_backward, setup_context=_save_inputs)

"""To the experts and back: `moe_dispatch` sorts tokens by expert, `moe_combine` sums what the experts return."""

from __future__ import annotations

import torch
from torch import Tensor

from twill.ops.routing import LARGEST, TILE_ROWS, Routing, accumulator, padded_rows, route, spread

_INTEGERS = (torch.int8, torch.int16, torch.int32, torch.int64, torch.uint8)


def moe_dispatch(x: Tensor, expert_ids: Tensor, num_experts: int) -> tuple[Tensor, Routing]:
    """The rows that each expert works on, together and padded to tiles of 128, and where they are: (rows, routing).

    x: [T, D], floating. expert_ids: [T, k] or [T], integers in 0..num_experts-1: the experts each token chose. rows:
    [P, D] of x's dtype; choices of one expert keep their order, rows of padding are 0. P depends on T, k and
    num_experts alone, T k + min(num_experts, T k) * 127 rounded down to a multiple of 128, so nothing waits for the
    GPU. Differentiable in x, the sum over a token's choices in a fixed order.

    An id out of range: ValueError on the CPU; on a GPU, where reading it would wait for the device, the choice gets no
    row and position -1, and `moe_combine` counts it as 0. Raises TypeError or ValueError for tensors that do not fit,
    and for more rows than 32 bits index.
    """
    if not x.is_floating_point():
        raise TypeError(f"moe_dispatch: x must be of a floating dtype, got {x.dtype}.")
    if expert_ids.dtype not in _INTEGERS:
        raise TypeError(f"moe_dispatch: expert_ids must be integers, got {expert_ids.dtype}.")
    if x.dim() != 2:
        raise ValueError(f"moe_dispatch: x must be [tokens, features], got shape {list(x.shape)}.")
    if expert_ids.dim() not in (1, 2) or expert_ids.shape[0] != x.shape[0]:
        raise ValueError(
            f"moe_dispatch: expert_ids must be [{x.shape[0]}, choices] for x of shape {list(x.shape)}, "
            f"got shape {list(expert_ids.shape)}."
        )
    if x.device != expert_ids.device:
        raise ValueError(f"moe_dispatch: x is on {x.device} but expert_ids on {expert_ids.device}.")
    if num_experts < 1:
        raise ValueError(f"moe_dispatch: there must be an expert, got num_experts={num_experts}.")
    if expert_ids.dim() == 1:
        expert_ids = expert_ids[:, None]
    rows = padded_rows(expert_ids.shape[0] * expert_ids.shape[1], num_experts)
    if rows > LARGEST or num_experts > LARGEST:
        raise ValueError(
            f"moe_dispatch: {rows} rows for {num_experts} experts overflow the 32-bit offsets of the kernels; "
            "dispatch fewer tokens at a time."
        )
    moved, *where = _moe_dispatch(x, expert_ids, num_experts)
    return moved, Routing(*where)


def moe_combine(y: Tensor, routing: Routing, weights: Tensor) -> Tensor:
    """What the experts returned, weighted and summed for each token: [T, N], of y's dtype.

    y: [P, N], rows in the layout of `routing`. weights: [T, k] (or [T] for one choice), floating. Row t is the sum over
    j of weights[t, j] * y[routing.positions[t, j]], in that order and in float32 (float64 for float64): the same bits
    every time. Differentiable in y and weights.

    NaN or infinite weights: ValueError on the CPU; on a GPU, where looking would wait for the device, they come out in
    their token's row. Raises TypeError or ValueError for tensors that do not fit.
    """
    if not (y.is_floating_point() and weights.is_floating_point()):
        raise TypeError(f"moe_combine: y and weights must be of floating dtypes, got {y.dtype} and {weights.dtype}.")
    if y.dim() != 2:
        raise ValueError(f"moe_combine: y must be [rows, features], got shape {list(y.shape)}.")
    if weights.dim() == 1:
        weights = weights[:, None]
    if weights.shape != routing.positions.shape:
        raise ValueError(
            f"moe_combine: weights must have the shape of the choices, {list(routing.positions.shape)}, "
            f"got {list(weights.shape)}."
        )
    if len({y.device, weights.device, routing.positions.device}) > 1:
        raise ValueError(
            f"moe_combine: y is on {y.device}, weights on {weights.device}, the routing on "
            f"{routing.positions.device}: move them to one device."
        )
    rows = TILE_ROWS * routing.tile_experts.shape[0]
    if y.shape[0] != rows:
        raise ValueError(f"moe_combine: the routing is of {rows} rows but y has {y.shape[0]}.")
    return _moe_combine(y, routing.positions, weights)


@torch.library.custom_op("twill::moe_dispatch", mutates_args=())
def _moe_dispatch(x: Tensor, expert_ids: Tensor, num_experts: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    if expert_ids.device.type == "cpu":
        outside = (expert_ids < 0) | (expert_ids.long() >= num_experts)
        if outside.any():
            token, choice = outside.nonzero()[0].tolist()
            raise ValueError(
                f"moe_dispatch: expert_ids[{token}, {choice}] is {expert_ids[token, choice].item()}, "
                f"not an expert: there are {num_experts}, 0 to {num_experts - 1}."
            )
    routing = route(expert_ids, num_experts)
    rows = spread(x, routing.positions, padded_rows(expert_ids.numel(), num_experts))
    return rows, *routing


@_moe_dispatch.register_fake
def _(x: Tensor, expert_ids: Tensor, num_experts: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    rows = padded_rows(expert_ids.shape[0] * expert_ids.shape[1], num_experts)
    return (
        x.new_empty(rows, x.shape[1]),
        expert_ids.new_empty(expert_ids.shape, dtype=torch.int64),
        expert_ids.new_empty(rows // TILE_ROWS, dtype=torch.int32),
        expert_ids.new_empty(num_experts + 1, dtype=torch.int32),
    )


@torch.library.custom_op("twill::moe_combine", mutates_args=())
def _moe_combine(y: Tensor, positions: Tensor, weights: Tensor) -> Tensor:
    if weights.device.type == "cpu" and not weights.isfinite().all():
        token, choice = (~weights.isfinite()).nonzero()[0].tolist()
        raise ValueError(
            f"moe_combine: weights[{token}, {choice}] is {weights[token, choice].item()}: "
            "routing weights must be finite."
        )
    return _weighted_sum(y, positions, weights)


@_moe_combine.register_fake
def _(y: Tensor, positions: Tensor, weights: Tensor) -> Tensor:
    return y.new_empty(positions.shape[0], y.shape[1])


def _weighted_sum(y: Tensor, positions: Tensor, weights: Tensor | None = None) -> Tensor:
    """[T, N]: the sum over each token's choices of their rows, times their weights if there are any."""
    kind = accumulator(y)
    total = y.new_zeros(positions.shape[0], y.shape[1], dtype=kind)
    for j in range(positions.shape[1]):
        row = positions[:, j]
        part = y[row.clamp(min=0)].to(kind)
        if weights is not None:
            part = part * weights[:, j, None].to(kind)
        total = total + torch.where(row[:, None] >= 0, part, 0)
    return total.to(y.dtype)


def _dispatch_context(ctx, inputs, output) -> None:  # type: ignore[no-untyped-def]
    _, positions, *_ = output
    ctx.save_for_backward(positions)
    ctx.mark_non_differentiable(*output[1:])


def _dispatch_backward(ctx, drows, *_):  # type: ignore[no-untyped-def]
    (positions,) = ctx.saved_tensors
    return _weighted_sum(drows, positions), None, None


def _combine_context(ctx, inputs, output) -> None:  # type: ignore[no-untyped-def]
    ctx.save_for_backward(*inputs)


def _combine_backward(ctx, dout):  # type: ignore[no-untyped-def]
    y, positions, weights = ctx.saved_tensors
    dy = dweights = None
    if ctx.needs_input_grad[0]:
        dy = spread(dout, positions, y.shape[0], weights)
    if ctx.needs_input_grad[2]:
        kind = accumulator(y)
        dots = [(y[row.clamp(min=0)].to(kind) * dout.to(kind)).sum(1) for row in positions.unbind(1)]
        dots = torch.stack(dots, 1) if dots else y.new_zeros(positions.shape, dtype=kind)
        dweights = torch.where(positions >= 0, dots, 0).to(weights.dtype)
    return dy, None, dweights


_moe_dispatch.register_autograd(_dispatch_backward, setup_context=_dispatch_context)
_moe_combine.register_autograd(_combine_backward, setup_context=_combine_context)

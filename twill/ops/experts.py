"""To the experts and back: `moe_dispatch` sorts tokens by expert, `moe_combine` sums what the experts return."""

from __future__ import annotations

import torch
from torch import Tensor

from twill.ops import dispatch, routing_kernels
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
    dispatch.require_tensors("moe_dispatch", x=x, expert_ids=expert_ids)
    if x.dtype not in dispatch.FLOATS:
        raise TypeError(f"moe_dispatch: x must be float16, bfloat16, float32 or float64, got {x.dtype}.")
    if x.dim() != 2:
        raise ValueError(f"moe_dispatch: x must be [tokens, features], got shape {list(x.shape)}.")
    if expert_ids.dim() not in (1, 2) or expert_ids.shape[0] != x.shape[0]:
        raise ValueError(
            f"moe_dispatch: expert_ids must be [{x.shape[0]}, choices] for x of shape {list(x.shape)}, "
            f"got shape {list(expert_ids.shape)}."
        )
    if x.device != expert_ids.device:
        raise ValueError(f"moe_dispatch: x is on {x.device} but expert_ids on {expert_ids.device}.")
    moved, *where = _moe_dispatch(x, _checked_ids("moe_dispatch", expert_ids, num_experts), num_experts)
    return moved, Routing(*where)


def moe_route(expert_ids: Tensor, num_experts: int) -> Routing:
    """Where the rows of `moe_dispatch` are, without the rows: for `grouped_matmul` with `tokens`.

    Arguments and errors are those of `moe_dispatch`.
    """
    expert_ids = _checked_ids("moe_route", expert_ids, num_experts)
    return Routing(*_moe_route(expert_ids, num_experts))


def _checked_ids(operator: str, expert_ids: Tensor, num_experts: int) -> Tensor:
    """[T, k]: the ids, if they can be ones. Raises TypeError, ValueError."""
    dispatch.require_tensors(operator, expert_ids=expert_ids)
    dispatch.require_int(operator, "num_experts", num_experts)
    if expert_ids.dtype not in _INTEGERS:
        raise TypeError(f"{operator}: expert_ids must be integers, got {expert_ids.dtype}.")
    if expert_ids.dim() not in (1, 2):
        raise ValueError(f"{operator}: expert_ids must be [tokens, choices], got shape {list(expert_ids.shape)}.")
    if num_experts < 1:
        raise ValueError(f"{operator}: there must be an expert, got num_experts={num_experts}.")
    if expert_ids.dim() == 1:
        expert_ids = expert_ids[:, None]
    rows = padded_rows(expert_ids.shape[0] * expert_ids.shape[1], num_experts)
    if rows > LARGEST or num_experts > LARGEST:
        raise ValueError(
            f"{operator}: {rows} rows for {num_experts} experts overflow the 32-bit offsets of the kernels; "
            "dispatch fewer tokens at a time."
        )
    return expert_ids


def moe_combine(y: Tensor, routing: Routing, weights: Tensor) -> Tensor:
    """What the experts returned, weighted and summed for each token: [T, N], of y's dtype.

    y: [P, N], rows in the layout of `routing`. weights: [T, k] (or [T] for one choice), floating. Row t is the sum over
    j of weights[t, j] * y[routing.positions[t, j]], in that order and in float32 (float64 for float64): the same bits
    every time. Differentiable in y and weights.

    NaN or infinite weights: ValueError on the CPU; on a GPU, where looking would wait for the device, they come out in
    their token's row. Raises TypeError or ValueError for tensors that do not fit.
    """
    dispatch.require_tensors("moe_combine", y=y, weights=weights)
    if not isinstance(routing, Routing):
        raise TypeError(
            f"moe_combine: routing must be the Routing that moe_dispatch returned, got {type(routing).__name__}."
        )
    if y.dtype not in dispatch.FLOATS or weights.dtype not in dispatch.FLOATS:
        raise TypeError(
            f"moe_combine: y and weights must be float16, bfloat16, float32 or float64, "
            f"got {y.dtype} and {weights.dtype}."
        )
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


def _routed(operator: str, expert_ids: Tensor, num_experts: int) -> Routing:
    """The routing of ids that are looked at where that is free."""
    if expert_ids.device.type == "cpu":
        outside = (expert_ids < 0) | (expert_ids.long() >= num_experts)
        if outside.any():
            token, choice = outside.nonzero()[0].tolist()
            raise ValueError(
                f"{operator}: expert_ids[{token}, {choice}] is {expert_ids[token, choice].item()}, "
                f"not an expert: there are {num_experts}, 0 to {num_experts - 1}."
            )
    sort = routing_kernels.route if routing_kernels.sorts(expert_ids, num_experts) else route
    return sort(expert_ids, num_experts)


@torch.library.custom_op("twill::moe_route", mutates_args=())
def _moe_route(expert_ids: Tensor, num_experts: int) -> tuple[Tensor, Tensor, Tensor]:
    positions, tile_experts, offsets = _routed("moe_route", expert_ids, num_experts)
    return positions, tile_experts, offsets


@_moe_route.register_fake
def _(expert_ids: Tensor, num_experts: int) -> tuple[Tensor, Tensor, Tensor]:
    rows = padded_rows(expert_ids.shape[0] * expert_ids.shape[1], num_experts)
    return (
        expert_ids.new_empty(expert_ids.shape, dtype=torch.int64),
        expert_ids.new_empty(rows // TILE_ROWS, dtype=torch.int32),
        expert_ids.new_empty(num_experts + 1, dtype=torch.int32),
    )


@torch.library.custom_op("twill::moe_dispatch", mutates_args=())
def _moe_dispatch(x: Tensor, expert_ids: Tensor, num_experts: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    routing = _routed("moe_dispatch", expert_ids, num_experts)
    move = routing_kernels.spread if routing_kernels.moves("moe_dispatch", x, routing.positions) else spread
    return move(x, routing.positions, padded_rows(expert_ids.numel(), num_experts)), *routing


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
    if routing_kernels.moves("moe_combine", y, positions):
        return routing_kernels.weighted_sum(y, positions, weights)
    return _weighted_sum(y, positions, weights)


@_moe_combine.register_fake
def _(y: Tensor, positions: Tensor, weights: Tensor) -> Tensor:
    return y.new_empty(positions.shape[0], y.shape[1])


@torch.library.custom_op("twill::moe_combine_gradient", mutates_args=())
def _moe_combine_gradient(y: Tensor, dout: Tensor, positions: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """(dy, dweights): weights[t, j] * dout[t] in the rows of the choices, and y[positions[t, j]] times dout[t]."""
    if routing_kernels.moves("moe_combine_gradient", y, positions):
        if y.shape[1] % 8 == 0:
            dy, dweights = routing_kernels.gradients(y, dout, positions, weights)
            return dy, dweights.to(weights.dtype)
        dispatch.decline("moe_combine_gradient", f"its kernels take rows of a multiple of 8 values, not {y.shape[1]}")
    kind = accumulator(y)
    dots = [(y[row.clamp(min=0)].to(kind) * dout.to(kind)).sum(1) for row in positions.unbind(1)]
    dweights = torch.stack(dots, 1) if dots else y.new_zeros(positions.shape, dtype=kind)
    dweights = torch.where(positions >= 0, dweights, 0).to(weights.dtype)
    return spread(dout, positions, y.shape[0], weights), dweights


@_moe_combine_gradient.register_fake
def _(y: Tensor, dout: Tensor, positions: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    return torch.empty_like(y, memory_format=torch.contiguous_format), weights.new_empty(weights.shape)


def _weighted_sum(y: Tensor, positions: Tensor, weights: Tensor) -> Tensor:
    """[T, N]: the sum over each token's choices of their rows, times their weights."""
    kind = accumulator(y)
    total = y.new_zeros(positions.shape[0], y.shape[1], dtype=kind)
    for j in range(positions.shape[1]):
        row = positions[:, j]
        part = y[row.clamp(min=0)].to(kind) * weights[:, j, None].to(kind)
        total = total + torch.where(row[:, None] >= 0, part, 0)
    return total.to(y.dtype)


def _dispatch_context(ctx, inputs, output) -> None:  # type: ignore[no-untyped-def]
    _, positions, *_ = output
    ctx.save_for_backward(positions)
    ctx.mark_non_differentiable(*output[1:])


def _dispatch_backward(ctx, drows, *_):  # type: ignore[no-untyped-def]
    (positions,) = ctx.saved_tensors
    ones = torch.ones(positions.shape, dtype=accumulator(drows), device=drows.device)
    return _moe_combine(drows, positions, ones), None, None


def _save_inputs(ctx, inputs, output) -> None:  # type: ignore[no-untyped-def]
    ctx.save_for_backward(*inputs)


def _combine_backward(ctx, dout):  # type: ignore[no-untyped-def]
    y, positions, weights = ctx.saved_tensors
    dy, dweights = _moe_combine_gradient(y, dout, positions, weights)
    return dy, None, dweights


def _combine_gradient_backward(ctx, ddy, ddweights):  # type: ignore[no-untyped-def]
    """dy is linear in weights and dout, dweights in y and dout: the same two operators give every gradient."""
    y, dout, positions, weights = ctx.saved_tensors
    dy, dweights = _moe_combine_gradient(ddy, dout, positions, ddweights)
    ddout = None
    if ctx.needs_input_grad[1]:
        ddout = _moe_combine(ddy, positions, weights) + _moe_combine(y, positions, ddweights)
    return dy, ddout, None, dweights


_moe_dispatch.register_autograd(_dispatch_backward, setup_context=_dispatch_context)
_moe_combine.register_autograd(_combine_backward, setup_context=_save_inputs)
_moe_combine_gradient.register_autograd(_combine_gradient_backward, setup_context=_save_inputs)

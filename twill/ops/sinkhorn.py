"""Entropic optimal transport by Sinkhorn's iterations in the log domain, between points or for a given cost matrix.

Minimizes <P, C> + epsilon KL(P | a b^T) over plans P >= 0 with row sums a and column sums b (Cuturi, "Sinkhorn
Distances", NeurIPS 2013; the log domain as in Peyré and Cuturi, "Computational Optimal Transport", 2019, section 4.4).
The plan is P_ij = a_i b_j exp((f_i + g_j - C_ij) / epsilon).
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple, SupportsFloat

import torch
from torch import Tensor

from twill.ops import dispatch, sinkhorn_kernels, sinkhorn_torch

_SAME_MASS = 1e-3  # relative; sums of weights in narrow floats are no closer


class Transport(NamedTuple):
    """What was found. cost: the regularized cost, a scalar. f: [N] and g: [M], the potentials, without a gradient.

    float32, or float64 for float64. The rows of the plan sum to a to rounding; its columns to b as far as the
    iterations converged.
    """

    cost: Tensor
    f: Tensor
    g: Tensor


def sinkhorn(
    x: Tensor,
    y: Tensor,
    *,
    epsilon: float,
    a: Tensor | None = None,
    b: Tensor | None = None,
    iterations: int = 100,
    tolerance: float | None = None,
) -> Transport:
    """Transport between points x: [N, D] and y: [M, D] at the squared Euclidean distance, which is never stored.

    a: [N] and b: [M], nonnegative weights of equal sums (1 / N and 1 / M when None). tolerance: end when the columns'
    marginals are off by no more, summed; it is looked at every tenth iteration, for which the host waits for the
    device, and a warning tells when it was not reached. Without it nothing waits after the inputs were looked at.

    The cost is differentiable in x, y, a and b by the envelope theorem: its gradient is that at the optimum of which
    the potentials are an estimate, so iterate until they are. The gradient in a and b is f and g, which is defined up
    to a constant on weights of one sum. Not differentiable twice. On Hopper, generated kernels run for float16 and
    bfloat16 with D of at most 128; there |x|^2 / epsilon is rounded to float32, so points far from the origin should
    be centred first.

    Raises TypeError for dtypes, ValueError for shapes, devices, options, weights, NaN and infinities.
    """
    _require_types("sinkhorn", epsilon, iterations, tolerance, x=x, y=y, a=a, b=b)
    a, b = _weights(x, a, 0, "x"), _weights(y, b, 0, "y")
    cost, f, g = _sinkhorn(x, y, a, b, epsilon, iterations, tolerance)
    return Transport(cost, f.detach(), g.detach())


def sinkhorn_dense(
    cost: Tensor,
    *,
    epsilon: float,
    a: Tensor | None = None,
    b: Tensor | None = None,
    iterations: int = 100,
    tolerance: float | None = None,
) -> Transport:
    """Transport for a cost matrix [N, M]; everything else as of `sinkhorn`.

    The gradient in the cost matrix is the plan, [N, M]. On Hopper, generated kernels run for float32 and bfloat16 and
    a transposed copy of the matrix is made.
    """
    _require_types("sinkhorn_dense", epsilon, iterations, tolerance, cost=cost, a=a, b=b)
    a, b = _weights(cost, a, 0, "cost"), _weights(cost, b, 1, "cost")
    value, f, g = _sinkhorn_dense(cost, a, b, epsilon, iterations, tolerance)
    return Transport(value, f.detach(), g.detach())


def _require_types(
    operator: str, epsilon: object, iterations: object, tolerance: object, **tensors: Tensor | None
) -> None:
    """Raise TypeError for what is no tensor, no number or no whole number."""
    dispatch.require_tensors(operator, **{name: x for name, x in tensors.items() if x is not None})
    dispatch.require_int(operator, "iterations", iterations)
    for name, value in (("epsilon", epsilon), ("tolerance", tolerance)):
        if isinstance(value, (bool, str)) or not isinstance(value, (SupportsFloat, type(None))):
            raise TypeError(f"{operator}: {name} must be a number, got {type(value).__name__}.")


def _weights(x: Tensor, weights: Tensor | None, dim: int, name: str) -> Tensor:
    """The weights in the dtype that is computed in; uniform ones when None."""
    if x.dim() != 2:
        what = "a matrix [N, M]" if name == "cost" else "points [count, D]"
        raise ValueError(f"{name} must be {what}, got shape {list(x.shape)}")
    if x.dtype not in dispatch.FLOATS:
        raise TypeError(f"{name} must be float16, bfloat16, float32 or float64, got {x.dtype}")
    kind = sinkhorn_torch.computed_in(x)
    if weights is None:
        return x.new_full((x.shape[dim],), 1 / max(x.shape[dim], 1), dtype=kind)
    if not weights.is_floating_point():
        raise TypeError(f"weights must be floating-point numbers, got {weights.dtype}")
    return weights.to(kind)


def _require_options(epsilon: float, iterations: int, tolerance: float | None) -> None:
    if not (math.isfinite(epsilon) and epsilon > 0):
        raise ValueError(f"epsilon must be positive and finite, got {epsilon}")
    if iterations < 1:
        raise ValueError(f"iterations must be 1 or more, got {iterations}")
    if tolerance is not None and not tolerance > 0:
        raise ValueError(f"tolerance must be positive, or None, got {tolerance}")


def _require_weights(a: Tensor, b: Tensor, rows: int, columns: int, device: torch.device) -> None:
    for name, weights, count in (("a", a, rows), ("b", b, columns)):
        if list(weights.shape) != [count]:
            raise ValueError(f"{name} must be {count} weights, got shape {list(weights.shape)}")
        if weights.device != device:
            raise ValueError(f"{name} is on {weights.device}, not on {device} as the rest")
    if rows == 0 or columns == 0:
        raise ValueError(f"there must be mass on both sides, got {rows} rows and {columns} columns")


def _require_points(x: Tensor, y: Tensor, a: Tensor, b: Tensor) -> None:
    if x.dtype != y.dtype:
        raise TypeError(f"x and y must have one dtype, got {x.dtype} and {y.dtype}")
    if x.device != y.device:
        raise ValueError(f"x and y must be on one device, got {x.device} and {y.device}")
    if x.shape[1] != y.shape[1]:
        raise ValueError(f"x and y must have points of one size, got {list(x.shape)} and {list(y.shape)}")
    _require_weights(a, b, x.shape[0], y.shape[0], x.device)
    if x.shape[1] == 0:
        raise ValueError("x and y must be points of one number or more, got none")


def _require_values(a: Tensor, b: Tensor, epsilon: float, largest: Tensor, **inputs: Tensor) -> None:
    """Refuse NaN, infinities, weights that are none, and an epsilon that costs up to `largest` overflow over.

    Waits once for the device, but while a CUDA graph is made.
    """
    if a.is_cuda and torch.cuda.is_current_stream_capturing():
        return
    named = {**inputs, "a": a, "b": b}
    finite = [x.isfinite().all() for x in named.values()]
    positive = [(x >= 0).all() for x in (a, b)]
    sums = a.sum(), b.sum()
    same = (sums[0] - sums[1]).abs() <= _SAME_MASS * sums[0]
    within = largest.double() / epsilon < torch.finfo(a.dtype).max / 8
    looked = torch.stack([*finite, *positive, same, sums[0] > 0, within]).tolist()
    *ok, nonnegative_a, nonnegative_b, equal, some, in_range = looked
    for name, held in zip(named, ok, strict=True):
        if not held:
            raise ValueError(f"{name} has a NaN or an infinity")
    for name, held in (("a", nonnegative_a), ("b", nonnegative_b)):
        if not held:
            raise ValueError(f"{name} has a negative weight")
    if not some:
        raise ValueError("a has no mass: all its weights are 0")
    if not equal:
        raise ValueError(
            f"a and b must have equal sums, got {float(sums[0]):.6g} and {float(sums[1]):.6g}: divide each by its sum"
        )
    if not in_range:
        raise ValueError(
            f"epsilon is {epsilon:g}: costs of up to about {float(largest):.3g} divided by it overflow {a.dtype}; "
            "take a larger one"
        )


@torch.library.custom_op("twill::sinkhorn", mutates_args=())
def _sinkhorn(
    x: Tensor, y: Tensor, a: Tensor, b: Tensor, epsilon: float, iterations: int, tolerance: float | None
) -> tuple[Tensor, Tensor, Tensor]:
    _require_options(epsilon, iterations, tolerance)
    _require_points(x, y, a, b)
    farthest = x.abs().amax().double() + y.abs().amax().double()
    _require_values(a, b, epsilon, x.shape[1] * farthest**2, x=x, y=y)
    steps: sinkhorn_torch.Steps
    why = sinkhorn_kernels.uncovered(x, y) if dispatch.on_hopper(x, y) else "not on Hopper"
    if not why:
        steps = sinkhorn_kernels.Points(x, y, epsilon)
    else:
        if dispatch.on_hopper(x, y):
            dispatch.decline("sinkhorn", why)
        steps = sinkhorn_torch.Points(x, y, epsilon)
    with dispatch.without_autocast(a):
        return sinkhorn_torch.iterate(steps, a, b, epsilon, iterations, tolerance)


@_sinkhorn.register_fake
def _(
    x: Tensor, y: Tensor, a: Tensor, b: Tensor, epsilon: float, iterations: int, tolerance: float | None
) -> tuple[Tensor, Tensor, Tensor]:
    _require_options(epsilon, iterations, tolerance)
    _require_points(x, y, a, b)
    return a.new_empty(()), a.new_empty(a.shape), b.new_empty(b.shape)


@torch.library.custom_op("twill::sinkhorn_gradient", mutates_args=())
def _sinkhorn_gradient(
    scale: Tensor, x: Tensor, y: Tensor, a: Tensor, b: Tensor, f: Tensor, g: Tensor, epsilon: float
) -> tuple[Tensor, Tensor]:
    with dispatch.without_autocast(a):
        return sinkhorn_torch.points_gradient(scale, x, y, a, b, f, g, epsilon)


@_sinkhorn_gradient.register_fake
def _(
    scale: Tensor, x: Tensor, y: Tensor, a: Tensor, b: Tensor, f: Tensor, g: Tensor, epsilon: float
) -> tuple[Tensor, Tensor]:
    return x.new_empty(x.shape), y.new_empty(y.shape)


@torch.library.custom_op("twill::sinkhorn_plan", mutates_args=())
def _sinkhorn_plan(
    scale: Tensor, cost: Tensor, a: Tensor, b: Tensor, f: Tensor, g: Tensor, epsilon: float
) -> Tensor:  # fmt: skip
    return (scale * sinkhorn_torch.plan(a, b, f, g, cost, epsilon)).to(cost.dtype).contiguous()


@_sinkhorn_plan.register_fake
def _(scale: Tensor, cost: Tensor, a: Tensor, b: Tensor, f: Tensor, g: Tensor, epsilon: float) -> Tensor:
    return cost.new_empty(cost.shape)


@torch.library.custom_op("twill::sinkhorn_weight_gradient", mutates_args=())
def _sinkhorn_weight_gradient(scale: Tensor, weights: Tensor, potential: Tensor) -> Tensor:
    return scale * potential


@_sinkhorn_weight_gradient.register_fake
def _(scale: Tensor, weights: Tensor, potential: Tensor) -> Tensor:
    return potential.new_empty(potential.shape)


@torch.library.custom_op("twill::sinkhorn_dense", mutates_args=())
def _sinkhorn_dense(
    cost: Tensor, a: Tensor, b: Tensor, epsilon: float, iterations: int, tolerance: float | None
) -> tuple[Tensor, Tensor, Tensor]:
    _require_options(epsilon, iterations, tolerance)
    _require_weights(a, b, cost.shape[0], cost.shape[1], cost.device)
    _require_values(a, b, epsilon, cost.abs().amax(), cost=cost)
    steps: sinkhorn_torch.Steps
    why = sinkhorn_kernels.uncovered_dense(cost) if dispatch.on_hopper(cost) else "not on Hopper"
    if not why:
        steps = sinkhorn_kernels.Dense(cost, epsilon)
    else:
        if dispatch.on_hopper(cost):
            dispatch.decline("sinkhorn_dense", why)
        steps = sinkhorn_torch.Dense(cost, epsilon)
    with dispatch.without_autocast(a):
        return sinkhorn_torch.iterate(steps, a, b, epsilon, iterations, tolerance)


@_sinkhorn_dense.register_fake
def _(
    cost: Tensor, a: Tensor, b: Tensor, epsilon: float, iterations: int, tolerance: float | None
) -> tuple[Tensor, Tensor, Tensor]:
    _require_options(epsilon, iterations, tolerance)
    _require_weights(a, b, cost.shape[0], cost.shape[1], cost.device)
    return a.new_empty(()), a.new_empty(a.shape), b.new_empty(b.shape)


def _remember(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor, Tensor]) -> None:
    *tensors, ctx.epsilon, _, _ = inputs
    _, f, g = output
    ctx.save_for_backward(*tensors, f, g)
    ctx.mark_non_differentiable(f, g)


def _gradients(ctx: Any, scale: Tensor, _f: Any, _g: Any) -> tuple[Tensor | None, ...]:
    x, y, a, b, f, g = ctx.saved_tensors
    dx = dy = None
    if any(ctx.needs_input_grad[:2]):
        dx, dy = _sinkhorn_gradient(scale, x, y, a, b, f, g, ctx.epsilon)
    return dx, dy, *_weight_gradients(ctx.needs_input_grad[2:4], scale, a, b, f, g), None, None, None


def _gradients_dense(ctx: Any, scale: Tensor, _f: Any, _g: Any) -> tuple[Tensor | None, ...]:
    cost, a, b, f, g = ctx.saved_tensors
    plan = _sinkhorn_plan(scale, cost, a, b, f, g, ctx.epsilon) if ctx.needs_input_grad[0] else None
    return plan, *_weight_gradients(ctx.needs_input_grad[1:3], scale, a, b, f, g), None, None, None


def _weight_gradients(
    needed: tuple[bool, ...], scale: Tensor, a: Tensor, b: Tensor, f: Tensor, g: Tensor
) -> tuple[Tensor | None, ...]:
    sides = zip(needed, ((a, f), (b, g)), strict=True)
    return tuple(_sinkhorn_weight_gradient(scale, *side) if wanted else None for wanted, side in sides)


def _not_twice(ctx: Any, *gradients: Any) -> None:
    raise RuntimeError("sinkhorn: its gradient, by the envelope theorem, has no gradient of its own")


_sinkhorn.register_autograd(_gradients, setup_context=_remember)
_sinkhorn_dense.register_autograd(_gradients_dense, setup_context=_remember)
for _gradient in (_sinkhorn_gradient, _sinkhorn_plan, _sinkhorn_weight_gradient):
    _gradient.register_autograd(_not_twice)

"""Sinkhorn's iterations as torch operations, in chunks of rows.

A half step is out_i = shift_i - epsilon log sum_j exp((h_j - C_ij) / epsilon). With h_j = g_j + epsilon log b_j it is
the potential f_i for shift_i = 0, and for shift_i = epsilon log a_i the h of the next half step. Between points, the
parts |x_i|^2 and |y_j|^2 of the cost are kept in h and out: the half step then is over -2 <x_i, y_j>.
"""

from __future__ import annotations

import warnings
from typing import Protocol

import torch
from torch import Tensor

_CHUNK = 1 << 24
"""How many elements of the cost matrix exist at a time."""
_LOOK_EVERY = 10
"""Iterations between looks at the tolerance."""


class Steps(Protocol):
    """Half steps between two sides, their own parts of the cost (rows: [N], columns: [M]) left out of h and out."""

    own_rows: Tensor
    own_columns: Tensor

    def rows(self, h: Tensor, shift: Tensor) -> Tensor:
        """From h: [M] and shift: [N] to out: [N]."""
        ...

    def columns(self, h: Tensor, shift: Tensor) -> Tensor:
        """From h: [N] and shift: [M] to out: [M]."""
        ...


def computed_in(x: Tensor) -> torch.dtype:
    """float64 for float64, else float32."""
    return torch.float64 if x.dtype == torch.float64 else torch.float32


def iterate(
    steps: Steps, a: Tensor, b: Tensor, epsilon: float, iterations: int, tolerance: float | None
) -> tuple[Tensor, Tensor, Tensor]:
    """(cost, f, g) after `iterations` updates of g and then f, or fewer when the tolerance is met.

    Each update makes its own marginal exact, so the row sums of the plan are a, and the dual value
    <a, f> + <b, g> - epsilon (sum P - sum a) is <a, f> + <b, g>. Before that, column j sums to
    b_j exp((g_j - g'_j) / epsilon), g' the next update: the error costs no pass of its own.
    """
    mass_rows, mass_columns = epsilon * a.log(), epsilon * b.log()
    h_rows = mass_rows - steps.own_rows  # f = 0
    before = None
    reached = tolerance is None
    for number in range(1, iterations):
        h_columns = steps.columns(h_rows, mass_columns)
        if tolerance is not None and number % _LOOK_EVERY == 0 and before is not None:
            reached = _error(before, h_columns, b, epsilon) <= tolerance
        before = h_columns
        h_rows = steps.rows(h_columns, mass_rows)
        if tolerance is not None and reached:
            break
    g = steps.columns(h_rows, steps.own_columns)
    h_columns = g - steps.own_columns + mass_columns
    f = steps.rows(h_columns, steps.own_rows)
    if tolerance is not None and not reached:
        reached = before is not None and _error(before, h_columns, b, epsilon) <= tolerance
    if not reached:
        warnings.warn(
            f"sinkhorn: {iterations} iterations did not reach the tolerance {tolerance}: "
            "more of them, or a larger epsilon, would.",
            stacklevel=2,
        )
    return a @ f + b @ g, f, g


def _error(before: Tensor, after: Tensor, b: Tensor, epsilon: float) -> float:
    """By how much the columns' sums were off before an update of their h, summed; waits for the device."""
    off = torch.expm1((before - after) / epsilon).abs() * b
    return float(torch.where(b > 0, off, 0).sum())


class Points:
    """Half steps between points x: [N, D] and y: [M, D], centred, in float32 or float64."""

    def __init__(self, x: Tensor, y: Tensor, epsilon: float) -> None:
        self._x, self._y = centred(x, y)
        self._epsilon = epsilon
        self.own_rows, self.own_columns = (points.square().sum(1) for points in (self._x, self._y))

    def rows(self, h: Tensor, shift: Tensor) -> Tensor:
        return self._half(self._x, self._y, h, shift)

    def columns(self, h: Tensor, shift: Tensor) -> Tensor:
        return self._half(self._y, self._x, h, shift)

    def _half(self, one: Tensor, other: Tensor, h: Tensor, shift: Tensor) -> Tensor:
        parts = [
            torch.addmm(h, part, other.mT, alpha=2).div_(self._epsilon).logsumexp(1) for part in chunks(one, len(other))
        ]
        return shift - self._epsilon * torch.cat(parts)


class Dense:
    """Half steps over a cost matrix [N, M]."""

    def __init__(self, cost: Tensor, epsilon: float) -> None:
        self._cost, self._epsilon = cost, epsilon
        kind = computed_in(cost)
        self.own_rows, self.own_columns = (cost.new_zeros(size, dtype=kind) for size in cost.shape)

    def rows(self, h: Tensor, shift: Tensor) -> Tensor:
        return self._half(self._cost, h, shift)

    def columns(self, h: Tensor, shift: Tensor) -> Tensor:
        return self._half(self._cost.mT, h, shift)

    def _half(self, cost: Tensor, h: Tensor, shift: Tensor) -> Tensor:
        parts = [(h - part).div_(self._epsilon).logsumexp(1) for part in chunks(cost, cost.shape[1])]
        return shift - self._epsilon * torch.cat(parts)


def centred(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """The points without the mean of y, in the dtype that is computed in: |x|^2 is not to dwarf |x - y|^2."""
    x, y = (points.to(computed_in(points)) for points in (x, y))
    middle = y.mean(0)
    return x - middle, y - middle


def chunks(x: Tensor, columns: int) -> tuple[Tensor, ...]:
    """Rows of x, so many at a time that a matrix of them with `columns` columns stays small."""
    return x.split(max(1, _CHUNK // max(columns, 1)))


def plan(a: Tensor, b: Tensor, f: Tensor, g: Tensor, cost: Tensor, epsilon: float) -> Tensor:
    """P: [N, M], from weights, potentials and costs: a_i b_j exp((f_i + g_j - C_ij) / epsilon)."""
    return a[:, None] * b * ((f[:, None] + g - cost) / epsilon).exp()


def points_gradient(
    scale: Tensor, x: Tensor, y: Tensor, a: Tensor, b: Tensor, f: Tensor, g: Tensor, epsilon: float
) -> tuple[Tensor, Tensor]:
    """Gradients of scale * cost in x: [N, D] and y: [M, D], in their dtypes, at fixed potentials.

    The cost's gradient in x_i is sum_j P_ij 2 (x_i - y_j), and likewise in y_j.
    """
    centred_x, centred_y = centred(x, y)
    own = centred_y.square().sum(1)
    dx = []
    dy = torch.zeros_like(centred_y)
    for part, weights, potential in zip(
        chunks(centred_x, len(y)), chunks(a, len(y)), chunks(f, len(y)), strict=True
    ):  # fmt: skip
        cost = torch.addmm(own, part, centred_y.mT, alpha=-2) + part.square().sum(1, keepdim=True)
        mass = plan(weights, b, potential, g, cost, epsilon)
        dx.append(2 * (mass.sum(1, keepdim=True) * part - mass @ centred_y))
        dy += 2 * (mass.sum(0)[:, None] * centred_y - mass.mT @ part)
    return (scale * torch.cat(dx)).to(x.dtype), (scale * dy).to(y.dtype)

"""Sinkhorn's half steps by the generated kernels for Hopper: what they cover, and how they are launched."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from twill.ops import dispatch
from twill.ops.dispatch import KERNEL_DTYPES, LARGEST, aligned

SIZES = (64, 128)
COST_DTYPES = {torch.float32: "fp32", torch.bfloat16: "bf16"}
_TILE = 128  # columns that an iteration of the kernels' loop reads


def uncovered(x: Tensor, y: Tensor) -> str:
    """Why there is no generated kernel for these points; "" where there is one."""
    if x.dtype not in KERNEL_DTYPES:
        return f"there is no generated kernel for points of {x.dtype}, only for float16 and bfloat16"
    if x.shape[1] > SIZES[-1]:
        return f"there is no generated kernel for points of {x.shape[1]} numbers, only for up to {SIZES[-1]}"
    if max(len(x), len(y)) * SIZES[-1] > LARGEST:
        return f"{max(len(x), len(y))} points overflow the 32-bit offsets of the generated kernels"
    return ""


def uncovered_dense(cost: Tensor) -> str:
    """Why there is no generated kernel for this cost matrix; "" where there is one."""
    if cost.dtype not in COST_DTYPES:
        return f"there is no generated kernel for costs of {cost.dtype}, only for float32 and bfloat16"
    if max(cost.shape) > LARGEST - _TILE:
        return f"a cost matrix of {list(cost.shape)} overflows the 32-bit offsets of the generated kernels"
    return ""


class _Side:
    """One side's h, padded with -inf to whole tiles, as the other side's half step reads it."""

    def __init__(self, count: int, padded: int, device: torch.device) -> None:
        self.count = count
        self.h = torch.full((-(-padded // _TILE) * _TILE,), float("-inf"), device=device)

    def filled(self, h: Tensor) -> Tensor:
        """The padded vector with these values; the same memory at every call."""
        self.h[: self.count].copy_(h)
        return self.h


class Points:
    """Half steps between points x: [N, D] and y: [M, D]; h, shift and results in float32."""

    def __init__(self, x: Tensor, y: Tensor, epsilon: float) -> None:
        size = next(each for each in SIZES if x.shape[1] <= each)
        self._x, self._y = (aligned(functional.pad(points, (0, size - points.shape[1]))) for points in (x, y))
        self._rows, self._columns = (_Side(len(points), len(points), x.device) for points in (x, y))
        self._launch = dispatch.launcher(f"sinkhorn_d{size}_{KERNEL_DTYPES[x.dtype]}", "sinkhorn")
        self._epsilon = epsilon
        self.own_rows, self.own_columns = (points.float().square().sum(1) for points in (x, y))

    def rows(self, h: Tensor, shift: Tensor) -> Tensor:
        return self._half(self._x, self._y, self._columns.filled(h), shift)

    def columns(self, h: Tensor, shift: Tensor) -> Tensor:
        return self._half(self._y, self._x, self._rows.filled(h), shift)

    def _half(self, one: Tensor, other: Tensor, h: Tensor, shift: Tensor) -> Tensor:
        out = torch.empty_like(shift)
        with torch.cuda.device_of(one):
            self._launch(one, other, h, shift, out, len(one), len(other), len(h), self._epsilon)
        return out


class Dense:
    """Half steps over a cost matrix [N, M], of which a transposed copy is made."""

    def __init__(self, cost: Tensor, epsilon: float) -> None:
        self._cost, self._transposed = _whole_rows(cost), _whole_rows(cost.mT)
        self._rows = _Side(cost.shape[0], self._transposed.shape[1], cost.device)
        self._columns = _Side(cost.shape[1], self._cost.shape[1], cost.device)
        self._launch = dispatch.launcher(f"sinkhorn_dense_{COST_DTYPES[cost.dtype]}", "sinkhorn_dense")
        self._epsilon = epsilon
        self.own_rows, self.own_columns = (torch.zeros(size, device=cost.device) for size in cost.shape)

    def rows(self, h: Tensor, shift: Tensor) -> Tensor:
        return self._half(self._cost, self._columns.filled(h), shift)

    def columns(self, h: Tensor, shift: Tensor) -> Tensor:
        return self._half(self._transposed, self._rows.filled(h), shift)

    def _half(self, cost: Tensor, h: Tensor, shift: Tensor) -> Tensor:
        out = torch.empty_like(shift)
        with torch.cuda.device_of(cost):
            self._launch(cost, h, shift, out, cost.shape[0], cost.shape[1], len(h), self._epsilon)
        return out


def _whole_rows(cost: Tensor) -> Tensor:
    """The matrix, its rows a multiple of 16 bytes as TMA wants them; h is -inf at the columns that are added."""
    return aligned(functional.pad(cost, (0, -cost.shape[1] % (16 // cost.element_size()))))

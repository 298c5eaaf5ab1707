"""Stand-in for `gluon.language.nvidia.blackwell.float2`: pairs of fp32 in 64 bits, computed lane by lane."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from twill.emulate import dtypes, ptx, shapes
from twill.emulate.constants import unwrap
from twill.emulate.reductions import reduce
from twill.emulate.values import Array, Tensor, as_tensor, check_ranks, common_layout, refuse

__all__ = ["Float2Tensor", "fma", "full_like", "pack", "pack2", "unpack", "unpack2"]


class Float2Tensor:
    """A block of pairs; `value` is its int64 tensor, the first of each pair in the lower half."""

    def __init__(self, value: Any) -> None:
        self.value = as_tensor(value)
        if self.value.dtype is not dtypes.int64:
            refuse(f"a Float2Tensor of {self.value!r}; it holds pairs as int64.")

    def __add__(self, rhs: Any) -> Float2Tensor:
        return _arithmetic("add.f32x2", self, rhs)

    def __sub__(self, rhs: Any) -> Float2Tensor:
        return _arithmetic("sub.f32x2", self, rhs)

    def __mul__(self, rhs: Any) -> Float2Tensor:
        return _arithmetic("mul.f32x2", self, rhs)

    def sum(self, axis: Any) -> Float2Tensor:
        """Both lanes summed along an axis."""
        return Float2Tensor(
            reduce(self.value, axis, lambda a, b: _arithmetic("add.f32x2", Float2Tensor(a), Float2Tensor(b)).value)
        )


def _arithmetic(mnemonic: str, *operands: Any) -> Float2Tensor:
    for operand in operands:
        if not isinstance(operand, Float2Tensor):
            refuse(f"{mnemonic} of {operand!r}, which is not a Float2Tensor.")
    values = [operand.value for operand in operands]
    check_ranks(*values)
    shape = np.broadcast_shapes(*(value.shape for value in values))
    bits = [np.broadcast_to(value.data, shape).reshape(-1).astype(np.int64).view(np.uint64) for value in values]
    data = ptx.compute(mnemonic, bits).view(np.int64).reshape(shape)
    return Float2Tensor(Tensor(data, dtypes.int64, common_layout(*values)))


def fma(a: Any, b: Any, c: Any) -> Float2Tensor:
    """a * b + c with one rounding, lane by lane."""
    return _arithmetic("fma.rn.f32x2", a, b, c)


def pack2(x0: Any, x1: Any) -> Float2Tensor:
    """Pairs of the elements of two fp32 blocks."""
    x, y = as_tensor(x0), as_tensor(x1)
    if x.dtype is not dtypes.float32 or y.dtype is not dtypes.float32:
        refuse(f"float2.pack2 of {x!r} and {y!r}; it packs fp32.")
    check_ranks(x, y)
    shape = np.broadcast_shapes(x.shape, y.shape)
    low, high = (ptx.raw(np.broadcast_to(value.data, shape).reshape(-1)) for value in (x, y))
    data = ptx.join([low, high]).view(np.int64).reshape(shape)
    return Float2Tensor(Tensor(data, dtypes.int64, common_layout(x, y)))


def unpack2(x: Any) -> tuple[Tensor, Tensor]:
    """The two fp32 blocks of pairs."""
    value = x.value
    flat: Array = np.ascontiguousarray(value.data).reshape(-1).view(np.uint64)
    low, high = (ptx.part(flat, 2, lane).view(np.float32).reshape(value.shape) for lane in (0, 1))
    return Tensor(low, dtypes.float32, value.layout), Tensor(high, dtypes.float32, value.layout)


def pack(x: Any, axis: Any) -> Float2Tensor:
    """Pairs of neighbours along the axis, which is halved."""
    x, axis = as_tensor(x), unwrap(axis)
    shape, order = _split_shape(x.shape, axis)
    return pack2(*shapes.split(shapes.permute(shapes.reshape(x, shape), order)))


def unpack(x: Any, axis: Any) -> Tensor:
    """The inverse of `pack`."""
    axis = unwrap(axis)
    shape = list(x.value.shape)
    order = list(range(len(shape)))
    order.insert(axis + 1, len(shape))
    shape[axis] *= 2
    return shapes.reshape(shapes.permute(shapes.join(*unpack2(x)), order), shape)


def full_like(x: Any, fill_value: Any) -> Float2Tensor:
    """Pairs of one number, in the shape and layout of `x`."""
    number = np.float32(as_tensor(fill_value).data)
    filled = Tensor(np.full(x.value.shape, number, np.float32), dtypes.float32, x.value.layout)
    return pack2(filled, filled)


def _split_shape(shape: Sequence[int], axis: int) -> tuple[list[int], list[int]]:
    if shape[axis] < 2:
        refuse(f"float2.pack of a block {list(shape)} along axis {axis}.")
    extents = list(shape)
    extents[axis] //= 2
    extents.insert(axis + 1, 2)
    order = list(range(len(extents)))
    order[axis + 1], order[-1] = order[-1], order[axis + 1]
    return extents, order

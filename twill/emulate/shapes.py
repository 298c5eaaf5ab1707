"""Shapes and layouts of register values: `gluon.language` functions that move elements and compute none."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from twill.emulate import cga, cluster, holdings, linear_layouts, values
from twill.emulate.constants import unwrap
from twill.emulate.language import builtin, check_layout
from twill.emulate.values import Tensor, as_tensor, common_layout, operands, refuse

__all__ = [
    "broadcast", "broadcast_to", "convert_layout", "expand_dims", "gather", "join", "permute", "ravel", "reshape",
    "set_auto_layout", "split", "trans",
]  # fmt: skip


@builtin
def convert_layout(value: Tensor, layout: Any, assert_trivial: bool = False) -> Tensor:
    value = as_tensor(value)
    check_layout(value.shape, layout)
    data = value.data
    if cluster.current() is not None and cga.bases(value.layout) not in (None, cga.bases(layout)):
        data = holdings.gathered(data, value.layout, "convert_layout")
    return Tensor(data, value.dtype, layout, value.memory)


@builtin
def set_auto_layout(value: Tensor, layout: Any) -> Tensor:
    return convert_layout(value, layout)


@builtin
def expand_dims(input: Tensor, axis: Any) -> Tensor:
    for one in sorted(axis) if isinstance(axis, (list, tuple)) else [axis]:
        input = values.expand_dims(input, one)
    return input


@builtin
def broadcast(input: Any, other: Any) -> tuple[Tensor, Tensor]:
    a, b = as_tensor(input), as_tensor(other)
    layout = common_layout(a, b)
    x, y = np.broadcast_arrays(a.data, b.data)
    return Tensor(x, a.dtype, layout, a.memory), Tensor(y, b.dtype, layout, b.memory)


@builtin
def broadcast_to(input: Tensor, *shape: Any) -> Tensor:
    extents = _extents(shape)
    if input.shape and len(input.shape) != len(extents):
        refuse(f"{input!r} does not broadcast to {list(extents)}.")
    return Tensor(np.broadcast_to(input.data, extents), input.dtype, input.layout, input.memory)


@builtin
def permute(input: Tensor, *dims: Any) -> Tensor:
    order = _extents(dims)
    return Tensor(
        np.transpose(input.data, order), input.dtype, linear_layouts.permuted(input.layout, order), input.memory
    )


@builtin
def trans(input: Tensor, *dims: Any) -> Tensor:
    return permute(input, _extents(dims) if dims else tuple(reversed(range(len(input.shape)))))


@builtin
def reshape(input: Tensor, *shape: Any) -> Tensor:
    extents = _extents(shape)
    if math.prod(extents) != input.numel:
        refuse(f"{input!r} does not reshape to {list(extents)}.")
    layout = linear_layouts.reshaped(input.layout, input.shape, extents)
    return Tensor(input.data.reshape(extents), input.dtype, layout, input.memory)


@builtin
def ravel(x: Tensor) -> Tensor:
    return reshape(x, [x.numel])


@builtin
def join(a: Tensor, b: Tensor) -> Tensor:
    x, y = operands(a, b)
    layout = linear_layouts.joined(common_layout(x, y))
    return Tensor(np.stack(np.broadcast_arrays(x.data, y.data), axis=-1), x.dtype, layout)


@builtin
def split(a: Tensor) -> tuple[Tensor, Tensor]:
    if not a.shape or a.shape[-1] != 2:
        refuse(f"split of {a!r}: the last extent must be 2.")
    layout = linear_layouts.halved(a.layout)
    return Tensor(a.data[..., 0], a.dtype, layout), Tensor(a.data[..., 1], a.dtype, layout)


@builtin
def gather(src: Tensor, index: Tensor, axis: int) -> Tensor:
    return Tensor(np.take_along_axis(src.data, index.data.astype(np.int64), axis), src.dtype, index.layout)


def _extents(shape: Any) -> tuple[int, ...]:
    shape = unwrap(shape)
    if len(shape) == 1 and isinstance(shape[0], (list, tuple)):
        shape = shape[0]
    return tuple(int(extent) for extent in shape)

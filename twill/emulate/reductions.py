"""Reductions of `gluon.language` along one axis, or over the whole block."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from twill.emulate import dtypes, holdings, layouts
from twill.emulate.constants import unwrap
from twill.emulate.dtypes import DType
from twill.emulate.values import Array, Tensor, as_tensor, cast, refuse

__all__ = ["max", "min", "reduce", "reduce_or", "sum", "xor_sum"]


def along(function: Callable[..., Array], x: Tensor, axis: Any, keep_dims: Any = False) -> Tensor:
    """`function` along an axis (None: all); the result lies in a slice of the operand's layout."""
    axis, keep_dims = unwrap(axis), bool(unwrap(keep_dims))
    if axis is not None and not -len(x.shape) <= axis < len(x.shape):
        refuse(f"a reduction of {x!r} along axis {axis}.")
    if axis is not None and axis < 0:
        axis += len(x.shape)
    whole = holdings.gathered(x.data, x.layout, "reduction", axis)
    data = function(whole, axis=axis, keepdims=keep_dims)
    assert isinstance(x.dtype, DType)
    layout = x.layout if keep_dims or layouts.is_open(x.layout) else layouts.SliceLayout(axis, x.layout)
    return Tensor(np.asarray(data).astype(x.dtype.numpy, copy=False), x.dtype, layout)


def _extremum(function: Callable[..., Array], input: Any, axis: Any, indices: Any, keep_dims: Any) -> Tensor:
    x = as_tensor(input)
    if unwrap(indices):
        refuse("return_indices is not emulated.")
    if x.dtype.primitive_bitwidth < 32:
        x = cast(x, dtypes.float32 if x.dtype.is_floating() else dtypes.int32)
    return along(function, x, axis, keep_dims)


def max(input: Any, axis: Any = None, return_indices: Any = False, keep_dims: Any = False, **ties: Any) -> Tensor:
    """Largest element; narrow types widen to 32 bits."""
    return _extremum(np.fmax.reduce, input, axis, return_indices, keep_dims)


def min(input: Any, axis: Any = None, return_indices: Any = False, keep_dims: Any = False, **ties: Any) -> Tensor:
    """Smallest element; narrow types widen to 32 bits."""
    return _extremum(np.fmin.reduce, input, axis, return_indices, keep_dims)


def sum(input: Any, axis: Any = None, keep_dims: Any = False, dtype: Any = None) -> Tensor:
    """Sum; half types add in float32 and round once, narrow integers add as 32 bits."""
    x, dtype = as_tensor(input), unwrap(dtype)
    if dtype is None and x.dtype.is_int() and x.dtype.primitive_bitwidth < 32:
        dtype = dtypes.int32 if x.dtype.is_int_signed() else dtypes.uint32
    if dtype is not None:
        x = cast(x, dtype)
    if not x.dtype.is_floating() or x.dtype.primitive_bitwidth >= 32:
        return along(np.sum, x, axis, keep_dims)
    return cast(along(np.sum, cast(x, dtypes.float32), axis, keep_dims), x.dtype)


def xor_sum(input: Any, axis: Any = None, keep_dims: Any = False) -> Tensor:
    return along(np.bitwise_xor.reduce, as_tensor(input), axis, keep_dims)


def reduce_or(input: Any, axis: Any = None, keep_dims: Any = False) -> Tensor:
    return along(np.bitwise_or.reduce, as_tensor(input), axis, keep_dims)


def reduce(input: Any, axis: Any, combine_fn: Callable[..., Any], keep_dims: Any = False) -> Any:
    """Reduce one tensor, or a tuple of them together, with a jitted function, as a tree of halves."""
    inputs = tuple(as_tensor(x) for x in input) if isinstance(input, (tuple, list)) else (as_tensor(input),)
    axis = unwrap(axis)
    inputs = tuple(_with_whole_axis(x, axis) for x in inputs)
    if axis is None:
        inputs, axis = tuple(Tensor(x.data.reshape(-1), x.dtype) for x in inputs), 0
    axis %= len(inputs[0].shape)
    parts = tuple(Tensor(np.moveaxis(x.data, axis, 0), x.dtype, layouts.ANY) for x in inputs)
    while (extent := parts[0].shape[0]) > 1:
        half = extent // 2
        first = [Tensor(p.data[:half], p.dtype, layouts.ANY) for p in parts]
        second = [Tensor(p.data[half:], p.dtype, layouts.ANY) for p in parts]
        combined = combine_fn(*first, *second)
        parts = tuple(combined) if isinstance(combined, (tuple, list)) else (combined,)
    results = []
    for x, part in zip(inputs, parts, strict=True):
        open_layout = layouts.is_open(x.layout)
        layout = x.layout if unwrap(keep_dims) or open_layout else layouts.SliceLayout(axis, x.layout)
        data = np.expand_dims(part.data[0], axis) if unwrap(keep_dims) else part.data[0]
        results.append(Tensor(data, part.dtype, layout))
    return results[0] if len(results) == 1 else tuple(results)


def _with_whole_axis(x: Tensor, axis: int | None) -> Tensor:
    axis = axis % len(x.shape) if axis is not None else None
    return Tensor(holdings.gathered(x.data, x.layout, "reduction", axis), x.dtype, x.layout)

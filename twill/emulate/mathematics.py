"""Elementwise mathematics of `gluon.language`, each rounded to its operand's type."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from twill.emulate import dtypes
from twill.emulate.constants import unwrap
from twill.emulate.layouts import ANY
from twill.emulate.values import (
    Array,
    Tensor,
    arithmetic,
    as_tensor,
    check_ranks,
    common_layout,
    elementwise,
    operands,
    refuse,
    truediv,
    unsupported,
)
from twill.errors import Unsupported

__all__ = [
    "abs", "add", "ceil", "clamp", "cos", "div_rn", "erf", "exp", "exp2", "fdiv", "floor", "fma", "log", "log2",
    "map_elementwise", "maximum", "minimum", "mul", "rsqrt", "sin", "sqrt", "sqrt_rn", "sub", "tanh", "umulhi",
]  # fmt: skip


def _unary(name: str, function: Callable[[Array], Array]) -> Callable[[Any], Tensor]:
    def apply(x: Any) -> Tensor:
        x = as_tensor(x)
        if x.dtype not in (dtypes.float32, dtypes.float64):
            refuse(f"gl.{name} of {x!r}; it takes fp32 and fp64 only.")
        return Tensor(function(x.data).astype(x.dtype.numpy, copy=False), x.dtype, x.layout)

    apply.__name__ = name
    apply.__doc__ = f"Elementwise {name} of an fp32 or fp64 value."
    return apply


def _error_function(x: Array) -> Array:
    import torch

    return torch.special.erf(torch.from_numpy(np.array(x, ndmin=1))).numpy().reshape(x.shape)


exp = _unary("exp", np.exp)
exp2 = _unary("exp2", np.exp2)
log = _unary("log", np.log)
log2 = _unary("log2", np.log2)
sin = _unary("sin", np.sin)
cos = _unary("cos", np.cos)
tanh = _unary("tanh", np.tanh)
sqrt = _unary("sqrt", np.sqrt)
sqrt_rn = _unary("sqrt_rn", np.sqrt)
rsqrt = _unary("rsqrt", lambda x: 1 / np.sqrt(x))
floor = _unary("floor", np.floor)
ceil = _unary("ceil", np.ceil)
erf = _unary("erf", _error_function)


def abs(x: Any) -> Tensor:
    """Absolute value, of any type."""
    x = as_tensor(x)
    return Tensor(np.abs(x.data), x.dtype, x.layout)


def _extremum(x: Any, y: Any, ignore: Callable[..., Array], spread: Callable[..., Array], nan: Any) -> Tensor:
    a, b = operands(unwrap(x), unwrap(y))
    spreads = nan is not None and "ALL" in str(unwrap(nan))
    return elementwise(spread if spreads else ignore, a, b)


def maximum(x: Any, y: Any, propagate_nan: Any = None) -> Tensor:
    """The larger; of a number and a NaN the number."""
    return _extremum(x, y, np.fmax, np.maximum, propagate_nan)


def minimum(x: Any, y: Any, propagate_nan: Any = None) -> Tensor:
    """The smaller; of a number and a NaN the number."""
    return _extremum(x, y, np.fmin, np.minimum, propagate_nan)


def clamp(x: Any, min: Any, max: Any, propagate_nan: Any = None) -> Tensor:
    return minimum(maximum(x, min), max)


def add(x: Any, y: Any, sanitize_overflow: Any = True) -> Tensor:
    return arithmetic("add", x, y)


def sub(x: Any, y: Any, sanitize_overflow: Any = True) -> Tensor:
    return arithmetic("sub", x, y)


def mul(x: Any, y: Any, sanitize_overflow: Any = True) -> Tensor:
    return arithmetic("mul", x, y)


def fdiv(x: Any, y: Any, ieee_rounding: Any = False) -> Tensor:
    return truediv(x, y)


def div_rn(x: Any, y: Any) -> Tensor:
    return truediv(x, y)


def fma(x: Any, y: Any, z: Any) -> Tensor:
    """x * y + z with one rounding."""
    a, b = operands(x, y)
    a, c = operands(a, z)
    b, c = operands(b, c)
    check_ranks(a, b, c)
    wide = [value.data.astype(np.float64) for value in (a, b, c)]
    return Tensor((wide[0] * wide[1] + wide[2]).astype(a.dtype.numpy), a.dtype, common_layout(a, b, c))


def umulhi(x: Any, y: Any) -> Tensor:
    """The upper half of the product of two 32-bit integers."""
    a, b = operands(x, y)
    if a.dtype.primitive_bitwidth != 32:
        unsupported(f"gl.umulhi of {a!r}")
    product = a.data.astype(np.uint32).astype(np.uint64) * b.data.astype(np.uint32).astype(np.uint64)
    return Tensor((product >> np.uint64(32)).astype(a.dtype.numpy), a.dtype, common_layout(a, b))


def add2(lhs: Any, rhs: Any, dtype: Any = None) -> Tensor:
    """lhs + rhs; the packed instructions (Triton 3.9) compute what the plain ones do."""
    return _packed(arithmetic("add", lhs, rhs), dtype)


def sub2(lhs: Any, rhs: Any, dtype: Any = None) -> Tensor:
    return _packed(arithmetic("sub", lhs, rhs), dtype)


def mul2(lhs: Any, rhs: Any, dtype: Any = None) -> Tensor:
    return _packed(arithmetic("mul", lhs, rhs), dtype)


def fma2(lhs: Any, rhs: Any, acc: Any, dtype: Any = None) -> Tensor:
    return _packed(fma(lhs, rhs, acc), dtype)


def min2(lhs: Any, rhs: Any, dtype: Any = None) -> Tensor:
    return _packed(minimum(lhs, rhs), dtype)


def max2(lhs: Any, rhs: Any, dtype: Any = None) -> Tensor:
    return _packed(maximum(lhs, rhs), dtype)


def _packed(result: Tensor, dtype: Any) -> Tensor:
    if not result.dtype.is_floating() or unwrap(dtype) not in (None, result.dtype):
        unsupported(f"packed arithmetic on {result!r} with the result type {unwrap(dtype)}")
    return result


def map_elementwise(scalar_fn: Callable[..., Any], *args: Any, pack: Any = 1) -> Any:
    """A jitted function of scalars, applied to every element of blocks that broadcast."""
    blocks = [as_tensor(value) for value in args]
    if unwrap(pack) != 1:
        unsupported(f"map_elementwise with pack={unwrap(pack)}")
    check_ranks(*blocks)
    layout = common_layout(*blocks)
    spread = np.broadcast_arrays(*(block.data for block in blocks))
    try:  # at once, if it decides nothing by an element's value
        answer = scalar_fn(*(Tensor(data, block.dtype, ANY) for data, block in zip(spread, blocks, strict=True)))
    except Unsupported:
        shape = spread[0].shape
        rows = [
            scalar_fn(*(Tensor(data[at], block.dtype) for data, block in zip(spread, blocks, strict=True)))
            for at in np.ndindex(shape)
        ]
        many = isinstance(rows[0], tuple)
        columns = list(zip(*rows, strict=True)) if many else [rows]
        results = [[as_tensor(value) for value in column] for column in columns]
        blocks = [
            Tensor(np.array([v.data for v in column]).reshape(shape), column[0].dtype, layout) for column in results
        ]
        return tuple(blocks) if many else blocks[0]
    if isinstance(answer, tuple):
        return tuple(_spread(value, spread[0].shape, layout) for value in answer)
    return _spread(answer, spread[0].shape, layout)


def _spread(value: Any, shape: tuple[int, ...], layout: Any) -> Tensor:
    tensor = as_tensor(value)
    return Tensor(np.broadcast_to(tensor.data, shape), tensor.dtype, layout)

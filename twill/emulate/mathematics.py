"""Elementwise mathematics of `gluon.language`, each rounded to its operand's type."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from twill.emulate import dtypes
from twill.emulate.constants import unwrap
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

__all__ = [
    "abs", "add", "ceil", "clamp", "cos", "div_rn", "erf", "exp", "exp2", "fdiv", "floor", "fma", "log", "log2",
    "maximum", "minimum", "mul", "rsqrt", "sin", "sqrt", "sqrt_rn", "sub", "tanh", "umulhi",
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

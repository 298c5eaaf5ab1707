"""The arithmetic of the IR on NumPy arrays, in one of two meanings.

precision "native": every op rounds to its result's element type, as the hardware does. 16- and
8-bit floats are widened to float32, operated on and rounded; a dot multiplies its operands exactly
and accumulates in float32, f32 operands being rounded to tf32 where the op says so.

precision "float64": the ideal meaning. Every float is a float64 and no float is ever rounded;
integers, booleans and comparisons are as before.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np

from twill.ir.dtypes import numpy_dtype, round_to, round_to_tf32
from twill.ir.graph import Op, Type

Precision = Literal["native", "float64"]
Array = np.ndarray

_UNARY: dict[str, Callable[[Any], Any]] = {
    "neg": np.negative,
    "abs": np.abs,
    "exp": np.exp,
    "exp2": np.exp2,
    "log": np.log,
    "log2": np.log2,
    "sqrt": np.sqrt,
    "rsqrt": lambda x: 1 / np.sqrt(x),
    "sin": np.sin,
    "cos": np.cos,
    "tanh": np.tanh,
    "erf": lambda x: np.vectorize(math.erf, otypes=[np.float64])(x).astype(x.dtype),
    "floor": np.floor,
    "ceil": np.ceil,
    "not": np.invert,
}

_FLOAT_BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "rem": np.fmod,
    "pow": np.power,
    "max": np.fmax,
    "min": np.fmin,
}


def _truncated_division(a: Any, b: Any) -> Any:
    quotient = a // b
    return quotient + ((quotient < 0) & (quotient * b != a)).astype(quotient.dtype)


_INTEGER_BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": _truncated_division,
    "rem": np.fmod,
    "max": np.maximum,
    "min": np.minimum,
    "and": np.bitwise_and,
    "or": np.bitwise_or,
    "xor": np.bitwise_xor,
    "shl": np.left_shift,
    "shr": np.right_shift,
}

_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "eq": np.equal,
    "ne": np.not_equal,
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
}

_REDUCE: dict[str, tuple[Any, Any]] = {  # on floats that ignore nan, and on everything else
    "sum": (np.add, np.add),
    "prod": (np.multiply, np.multiply),
    "max": (np.fmax, np.maximum),
    "min": (np.fmin, np.minimum),
}


def storage(type: Type, precision: Precision) -> np.dtype[Any]:
    """The NumPy dtype that holds a value of this type during evaluation."""
    if precision == "float64" and _is_float(type.dtype):
        return np.dtype(np.float64)
    return numpy_dtype(type.dtype)


def constant(value: Any, type: Type, precision: Precision) -> Array:
    """A scalar or tensor filled with `value` as its element type represents it, in either meaning:
    a constant is an input, not a computation."""
    if _is_float(type.dtype):
        exact = round_to(np.asarray(value, np.float64), type.dtype).astype(storage(type, precision))
    else:
        exact = np.asarray(value).astype(numpy_dtype(type.dtype))
    return np.full(type.shape, exact)


def compute(op: Op, operands: Sequence[Array], types: Sequence[Type], precision: Precision) -> Array:
    """The result of an elementwise, shape, reduce or dot op; `types` are those of the operands."""
    result = op.result.type
    handler = _HANDLERS.get(op.opcode)
    if handler is not None:
        return handler(op, operands, types, precision)
    if not _is_float(types[0].dtype):
        return _integer(op, operands, types[0])
    x = [_widen(value) for value in operands]
    if op.opcode in _UNARY:
        found = _UNARY[op.opcode](x[0])
    elif op.opcode == "fma":
        found = x[0] * x[1] + x[2]
    elif op.opcode in ("max", "min") and op.attributes.get("propagate_nan", False):
        found = (np.maximum if op.opcode == "max" else np.minimum)(x[0], x[1])
    else:
        found = _FLOAT_BINARY[op.opcode](x[0], x[1])
    return _narrow(found, result, precision)


def _integer(op: Op, operands: Sequence[Array], type: Type) -> Array:
    """Two's complement arithmetic that wraps; i1 is arithmetic modulo 2."""
    if op.opcode == "not":
        return np.asarray(np.invert(operands[0]))
    x = [_bits(value, op.attributes.get("signed", True)) for value in operands]
    if op.opcode in _UNARY:
        found = _UNARY[op.opcode](x[0])
    elif op.opcode == "fma":
        found = x[0] * x[1] + x[2]
    elif op.opcode in ("shl", "shr"):
        # NumPy leaves shifts by the width or more to C; the IR shifts everything out.
        width = type.bits
        amount = np.minimum(x[1].view(f"u{x[1].dtype.itemsize}"), width - 1).astype(x[0].dtype)
        found = _INTEGER_BINARY[op.opcode](x[0], amount)
    else:
        found = _INTEGER_BINARY[op.opcode](x[0], x[1])
    return _as_integer(np.asarray(found), type)


def _bits(value: Array, signed: Any) -> Array:
    value = np.asarray(value)
    if value.dtype == np.bool_:
        return -value.astype(np.int8) if signed else value.astype(np.uint8)
    return value if signed else value.view(f"u{value.dtype.itemsize}")


def _as_integer(value: Array, type: Type) -> Array:
    dtype = numpy_dtype(type.dtype)
    return (value & 1).astype(np.bool_) if dtype == np.bool_ else value.astype(dtype)


def _clamp(op: Op, operands: Sequence[Array], types: Sequence[Type], precision: Precision) -> Array:
    if not _is_float(types[0].dtype):
        x, low, high = (_bits(value, op.attributes.get("signed", True)) for value in operands)
        return _as_integer(np.minimum(np.maximum(x, low), high), types[0])
    x, low, high = (_widen(value) for value in operands)
    nan = op.attributes.get("propagate_nan", False)
    found = np.minimum(np.maximum(x, low), high) if nan else np.fmin(np.fmax(x, low), high)
    return _narrow(found, op.result.type, precision)


def _cmp(op: Op, operands: Sequence[Array], types: Sequence[Type], precision: Precision) -> Array:
    compare = _COMPARE[str(op.attributes["predicate"])]
    if not _is_float(types[0].dtype):
        a, b = (_bits(value, op.attributes.get("signed", True)) for value in operands)
        return np.asarray(compare(a, b))
    a, b = (_widen(value) for value in operands)
    unordered = np.isnan(a) | np.isnan(b)
    found = compare(a, b)
    return np.asarray(found | unordered if op.attributes.get("unordered", False) else found & ~unordered)


def _select(op: Op, operands: Sequence[Array], types: Sequence[Type], precision: Precision) -> Array:
    condition, a, b = operands
    return np.where(condition, a, b)


def _cast(op: Op, operands: Sequence[Array], types: Sequence[Type], precision: Precision) -> Array:
    x, source, target = np.asarray(operands[0]), types[0], op.result.type
    signed = op.attributes.get("signed", True)
    if _is_float(source.dtype):
        if _is_float(target.dtype):
            return _narrow(x, target, precision)
        whole = np.nan_to_num(np.trunc(x.astype(np.float64)))
        low, high = (-(2.0 ** (target.bits - 1)), 2.0 ** (target.bits - 1)) if signed else (0.0, 2.0**target.bits)
        # The largest double below 2^63 is far from 2^63 - 1: clip there in integers, not in floats.
        kind = f"{'i' if signed else 'u'}{max(8, target.bits) // 8}"
        limit = np.iinfo(kind)
        inside = np.clip(whole, low, np.nextafter(high, 0)).astype(kind)
        found = np.where(whole >= high, limit.max, np.where(whole <= low, limit.min, inside)).astype(kind)
        return _as_integer(found, target)
    x = _bits(x, signed)
    if _is_float(target.dtype):
        return _narrow(x.astype(np.float64), target, precision)
    return _as_integer(x, target)


def _bitcast(op: Op, operands: Sequence[Array], types: Sequence[Type], precision: Precision) -> Array:
    x, source, target = np.asarray(operands[0]), types[0], op.result.type
    if _is_float(source.dtype):
        x = round_to(x, source.dtype)
    # A 0-d array has no view of another dtype of the same width only when it is not contiguous; copy to be sure.
    found = np.array(x).view(numpy_dtype(target.dtype))
    return found.astype(storage(target, precision))


def _reduce(op: Op, operands: Sequence[Array], types: Sequence[Type], precision: Precision) -> Array:
    axis = int(op.attributes["axis"])  # type: ignore[arg-type]
    ignoring, strict = _REDUCE[str(op.attributes["kind"])]
    if not _is_float(types[0].dtype):
        x = _bits(operands[0], op.attributes.get("signed", True))
        return _as_integer(np.asarray(strict.reduce(x, axis=axis, dtype=x.dtype)), types[0])
    function = strict if op.attributes.get("propagate_nan", False) else ignoring
    return _narrow(np.asarray(function.reduce(_widen(operands[0]), axis=axis)), op.result.type, precision)


def _dot(op: Op, operands: Sequence[Array], types: Sequence[Type], precision: Precision) -> Array:
    a, b, c = operands
    if not _is_float(types[0].dtype):
        return np.asarray(a.astype(np.int64) @ b.astype(np.int64) + c).astype(c.dtype)
    if precision == "float64":
        return np.asarray(a @ b + c)
    a, b, c = _widen(a), _widen(b), _widen(c)
    if types[0].dtype == "f32" and op.attributes.get("precision", "ieee") == "tf32":
        a, b = round_to_tf32(a), round_to_tf32(b)
    return _narrow(a @ b + c, op.result.type, precision)


def _widen(value: Array) -> Array:
    """16- and 8-bit floats as float32; the rest unchanged."""
    value = np.asarray(value)
    return value.astype(np.float32) if value.dtype.itemsize < 4 else value


def _narrow(value: Any, type: Type, precision: Precision) -> Array:
    value = np.asarray(value)
    return value.astype(np.float64) if precision == "float64" else round_to(value, type.dtype)


def _is_float(dtype: str) -> bool:
    return dtype.startswith(("f", "bf"))


_HANDLERS: dict[str, Callable[[Op, Sequence[Array], Sequence[Type], Precision], Array]] = {
    "splat": lambda op, x, types, precision: np.full(op.result.type.shape, x[0]),
    "expand_dims": lambda op, x, types, precision: np.expand_dims(x[0], int(op.attributes["axis"])),  # type: ignore[arg-type]
    "broadcast": lambda op, x, types, precision: np.broadcast_to(x[0], op.result.type.shape),
    "trans": lambda op, x, types, precision: np.transpose(x[0], op.attributes["order"]),  # type: ignore[arg-type]
    "reshape": lambda op, x, types, precision: np.reshape(x[0], op.result.type.shape),
    "clamp": _clamp,
    "cmp": _cmp,
    "select": _select,
    "cast": _cast,
    "bitcast": _bitcast,
    "reduce": _reduce,
    "dot": _dot,
}

"""Constants and element types as Gluon writes them."""

from __future__ import annotations

import math

from twill.ir.graph import Attribute, Type

GLUON_DTYPES = {
    "i1": "gl.int1", "i8": "gl.int8", "i16": "gl.int16", "i32": "gl.int32", "i64": "gl.int64",
    "f8e4m3": "gl.float8e4nv", "f8e5m2": "gl.float8e5", "f16": "gl.float16", "bf16": "gl.bfloat16",
    "f32": "gl.float32", "f64": "gl.float64",
}  # fmt: skip


def literal(value: Attribute, type: Type) -> str:
    """A constant; floats print exactly, infinities and nan by name."""
    if isinstance(value, bool):
        return str(value) if type.dtype == "i1" else str(int(value))
    if isinstance(value, float) or type.is_float:
        number = float(value)  # type: ignore[arg-type]
        if math.isfinite(number):
            return repr(number)
        return f'float("{number}")'
    return str(value)

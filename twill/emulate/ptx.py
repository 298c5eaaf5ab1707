"""The PTX instructions that inline assembly may use here, each a function of registers.

A register is an array of unsigned integers (its bits), one element a thread's value. An instruction that is not in
this small table is refused by name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import ml_dtypes
import numpy as np

from twill.emulate.values import Array, unsupported

BITS = {8: np.uint8, 16: np.uint16, 32: np.uint32, 64: np.uint64}
STORAGE: dict[str, Any] = {
    "f16": np.float16, "bf16": ml_dtypes.bfloat16, "f32": np.float32, "f64": np.float64,
    "e4m3": ml_dtypes.float8_e4m3fn, "e5m2": ml_dtypes.float8_e5m2,
    **{f"s{n}": np.dtype(f"int{n}") for n in (8, 16, 32, 64)},
    **{f"{kind}{n}": BITS[n] for kind in "ub" for n in (8, 16, 32, 64)},
}  # fmt: skip
LARGEST = {"e4m3": 448.0, "e5m2": 57344.0, "f16": 65504.0, "bf16": 3.3895313892515355e38}


def width(kind: str) -> int:
    """Bits of a value of PTX type `kind`; a packed pair (f32x2) has both."""
    if kind.endswith("x2"):
        return 2 * width(kind[:-2])
    if kind not in STORAGE:
        unsupported(f"the PTX type .{kind}")
    return int(np.dtype(STORAGE[kind]).itemsize * 8)


def join(parts: Sequence[Array]) -> Array:
    """One register of two or four narrower ones, the first in the lowest bits."""
    narrow = parts[0].dtype.itemsize * 8
    wide = BITS.get(narrow * len(parts))
    if wide is None or any(part.dtype != parts[0].dtype for part in parts):
        unsupported(f"a PTX vector of {len(parts)} registers of {narrow} bits")
    result = parts[0].astype(wide)
    for number, part in enumerate(parts[1:], 1):
        result = result | (part.astype(wide) << wide(narrow * number))
    return result


def part(register: Array, count: int, number: int) -> Array:
    """The `number`-th of `count` equal parts of a register, from the lowest bits."""
    narrow = register.dtype.itemsize * 8 // count
    if narrow not in BITS:
        unsupported(f"a PTX vector of {count} registers out of one of {register.dtype.itemsize * 8} bits")
    return (register >> register.dtype.type(narrow * number)).astype(BITS[narrow])


def typed(register: Array, kind: str) -> Array:
    """The bits of a register, read as `kind`."""
    if register.dtype.itemsize * 8 != width(kind):
        unsupported(f"a PTX register of {register.dtype.itemsize * 8} bits as .{kind}")
    return np.ascontiguousarray(register).view(STORAGE[kind])


def raw(values: Array) -> Array:
    """The bits of values."""
    return np.ascontiguousarray(values).view(BITS[values.dtype.itemsize * 8])


def _fma(a: Array, b: Array, c: Array) -> Array:
    return (a.astype(np.float64) * b.astype(np.float64) + c.astype(np.float64)).astype(a.dtype)


def _flushed(x: Array) -> Array:
    """Subnormal float32 numbers as zero of their sign (.ftz)."""
    return np.where(np.abs(x) < np.finfo(np.float32).tiny, np.copysign(np.float32(0), x), x).astype(x.dtype)


def _extremum(function: Callable[[Array, Array], Array]) -> Callable[..., Array]:
    def choose(*operands: Array) -> Array:
        result = operands[0]
        for other in operands[1:]:
            result = function(result, other)
        return result

    return choose


def _shifted(function: Callable[[Array, Array], Array]) -> Callable[[Array, Array], Array]:
    def shift(value: Array, count: Array) -> Array:  # amounts from the width on leave zeros (or signs)
        bits = value.dtype.itemsize * 8
        if function is np.left_shift or value.dtype.kind == "u":
            moved = function(value, np.minimum(count, bits - 1).astype(value.dtype))
            return np.where(count >= bits, value.dtype.type(0), moved)
        return function(value, np.minimum(count, bits - 1).astype(value.dtype))

    return shift


FLOATS: dict[str, Callable[..., Array]] = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "fma": _fma, "div": np.divide,
    "min": _extremum(np.fmin), "max": _extremum(np.fmax), "abs": np.abs, "neg": np.negative,
    "ex2": np.exp2, "lg2": np.log2, "rcp": np.reciprocal, "sqrt": np.sqrt, "rsqrt": lambda x: 1 / np.sqrt(x),
    "tanh": np.tanh, "sin": np.sin, "cos": np.cos,
}  # fmt: skip
INTEGERS: dict[str, Callable[..., Array]] = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "mad": lambda a, b, c: a * b + c,
    "min": np.minimum, "max": np.maximum, "abs": np.abs, "neg": np.negative,
    "and": np.bitwise_and, "or": np.bitwise_or, "xor": np.bitwise_xor, "not": np.bitwise_not,
    "shl": _shifted(np.left_shift), "shr": _shifted(np.right_shift),
}  # fmt: skip
HARMLESS = {"rn", "approx", "ftz", "full", "lo", "NaN", "sat", "satfinite"}  # each looked at below, or of no effect


def compute(mnemonic: str, operands: Sequence[Array]) -> Array:
    """What one instruction (`fma.rn.f32x2`) computes of its source registers.

    Rounding is to nearest even; `.approx` functions are computed exactly and rounded. Unsupported for the rest.
    """
    name, *modifiers = mnemonic.split(".")
    if name == "cvt":
        return _convert(mnemonic, modifiers, operands)
    kind = modifiers[-1] if modifiers else ""
    strange = [modifier for modifier in modifiers[:-1] if modifier not in HARMLESS]
    if kind.endswith("x2"):
        halves = [_halves(mnemonic, operand) for operand in operands]
        scalar = mnemonic.removesuffix("x2")
        return join([compute(scalar, [pair[lane] for pair in halves]) for lane in (0, 1)])
    table = FLOATS if kind in ("f16", "bf16", "f32", "f64") else INTEGERS
    if name not in table or strange or kind not in STORAGE or "sat" in modifiers:
        unsupported(f"the PTX instruction {mnemonic}")
    sources = [typed(operand, kind) for operand in operands]
    if name in ("shl", "shr"):
        sources[1] = raw(operands[1])
    if "NaN" in modifiers and name in ("min", "max"):
        result = _extremum(np.minimum if name == "min" else np.maximum)(*sources)
    elif "ftz" in modifiers:
        result = _flushed(table[name](*map(_flushed, sources)))
    else:
        result = table[name](*sources)
    return raw(result.astype(STORAGE[kind]))


def _halves(mnemonic: str, register: Array) -> list[Array]:
    if register.dtype.itemsize * 8 != width(mnemonic.split(".")[-1]):
        unsupported(f"the PTX instruction {mnemonic} on a register of {register.dtype.itemsize * 8} bits")
    return [part(register, 2, 0), part(register, 2, 1)]


def _convert(mnemonic: str, modifiers: Sequence[str], operands: Sequence[Array]) -> Array:
    """cvt.rn[.satfinite].TO[x2].FROM: of a pair the first operand becomes the upper half."""
    *how, to, source = modifiers if len(modifiers) > 1 else ("", "", "")
    pair = to.endswith("x2")
    target = to.removesuffix("x2")
    simple = source in ("f16", "bf16", "f32") and target in ("f16", "bf16", "f32", "e4m3", "e5m2")
    if not simple or set(how) - {"rn", "satfinite"} or len(operands) != (2 if pair else 1):
        unsupported(f"the PTX instruction {mnemonic}")

    def rounded(register: Array) -> Array:
        values = typed(register, source).astype(np.float32)
        if "satfinite" in how:
            values = np.where(np.isnan(values), values, np.clip(values, -LARGEST[target], LARGEST[target]))
        return raw(values.astype(STORAGE[target]))

    return join([rounded(operand) for operand in reversed(operands)]) if pair else rounded(operands[0])

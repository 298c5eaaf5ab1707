"""One launch argument, a torch tensor or a Python value, as an ArgumentSpec."""

from __future__ import annotations

import math
from typing import Any

from twill.errors import InputError
from twill.frontend.launch import MOST_CONTENTS, ArgumentSpec, Constant
from twill.frontend.source import KernelSource


def argument_spec(source: KernelSource, name: str, constexpr: bool, value: Any) -> ArgumentSpec:
    """What a launch records of the value passed for parameter `name`. Raises InputError."""
    if constexpr or value is None:
        return ArgumentSpec(name, "constexpr", value=constant(source, name, value))
    if hasattr(value, "block_shape") and hasattr(value, "base"):
        base = tensor_spec(name, value.base)
        return ArgumentSpec(
            name, "descriptor", base.dtype, tuple(map(int, value.shape)), tuple(map(int, value.strides)),
            alignment=base.alignment, block_shape=tuple(map(int, value.block_shape)),
            mean=base.mean, std=base.std, low=base.low, high=base.high,
        )  # fmt: skip
    if hasattr(value, "data_ptr"):
        return tensor_spec(name, value)
    if hasattr(value, "item"):
        value = value.item()  # a NumPy scalar
    if isinstance(value, bool):
        return ArgumentSpec(name, "scalar", "i1", value=value)
    if isinstance(value, int):
        return ArgumentSpec(name, "scalar", "i32" if -(2**31) <= value < 2**31 else "i64", value=value)
    if isinstance(value, float):
        return ArgumentSpec(name, "scalar", "f32", value=value)
    raise InputError(
        f"argument `{name}` of kernel `{source.name}` is {article(value)}.",
        hint="Arguments are torch tensors, tensor descriptors, ints, floats and bools; others must be tl.constexpr.",
        location=source.location,
    )


def constant(source: KernelSource, name: str, value: Any) -> Constant:
    """A constexpr as data: tl dtypes become their names. Raises InputError."""
    value = getattr(value, "value", value)  # tl.constexpr(3) is 3
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if type(value).__name__ == "dtype" and type(value).__module__.startswith("triton"):
        return f"tl.{_dtype_attribute(value)}"
    raise InputError(
        f"constexpr `{name}` of kernel `{source.name}` is {article(value)}.",
        hint="Constexprs are ints, bools, floats, strings, None and tl dtypes.",
        location=source.location,
    )


def _dtype_attribute(dtype: Any) -> str:
    """The attribute of `tl` that is this dtype (its own name is an abbreviation)."""
    import triton.language as tl

    return next(name for name, value in vars(tl).items() if value is dtype)


def tensor_spec(name: str, tensor: Any) -> ArgumentSpec:
    """Dtype, shape, strides, alignment and spread of a torch tensor."""
    dtype = dtype_name(tensor.dtype)
    alignment = 16 if tensor.data_ptr() % 16 == 0 else math.gcd(tensor.data_ptr() % 16, 16)
    spread: dict[str, Any] = {}
    if tensor.numel() and tensor.dtype.is_floating_point:
        wide = tensor.double()
        std = float(wide.std()) if tensor.numel() > 1 else 0.0
        mean = float(wide.mean())
        if math.isfinite(mean) and math.isfinite(std):
            spread = {"mean": _rounded(mean) if abs(mean) >= 0.005 * std else 0.0, "std": _rounded(std)}
    elif tensor.numel():
        spread = {"low": int(tensor.min()), "high": int(tensor.max())}
        spread["contents"] = _contents(tensor, dtype)
    return ArgumentSpec(
        name, "tensor", dtype, tuple(map(int, tensor.shape)), tuple(map(int, tensor.stride())),
        alignment=alignment, **spread,
    )  # fmt: skip


def _contents(tensor: Any, dtype: str) -> tuple[int, ...] | None:
    """The elements of a small integer tensor in the order of memory, gaps between rows included."""
    reach = 1 + sum((extent - 1) * stride for extent, stride in zip(tensor.shape, tensor.stride(), strict=True))
    if dtype == "i1" or reach > MOST_CONTENTS:
        return None
    return tuple(map(int, tensor.as_strided((reach,), (1,)).tolist()))


def _rounded(number: float) -> float:
    """Two digits: enough to draw like values, and the same on every machine."""
    return float(f"{number:.2g}")


def dtype_name(dtype: Any) -> str:
    """The name of a torch dtype: f16, bf16, i32, u8, i1 for bool, ... Raises InputError."""
    text = str(dtype).removeprefix("torch.")
    names = {
        "float16": "f16", "bfloat16": "bf16", "float32": "f32", "float64": "f64",
        "float8_e4m3fn": "f8e4m3", "float8_e5m2": "f8e5m2", "bool": "i1",
        "int8": "i8", "int16": "i16", "int32": "i32", "int64": "i64",
        "uint8": "u8", "uint16": "u16", "uint32": "u32", "uint64": "u64",
    }  # fmt: skip
    if text not in names:
        raise InputError(f"tensors of dtype {text} are not supported.", hint=f"Use one of {', '.join(names)}.")
    return names[text]


def article(model: Any) -> str:
    """The type of a value in words."""
    names = {bool: "a bool", int: "an int", float: "a float", str: "a string"}
    return names.get(type(model), f"a {type(model).__name__}")

"""Element types: dtype names to NumPy and torch dtypes, and views of tensors without copies.

Integers are signless: `i8` names both int8 and uint8 memory, an op says how it reads them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np

from twill.errors import InputError

if TYPE_CHECKING:
    import torch

NUMPY: dict[str, np.dtype[Any]] = {
    "i1": np.dtype(np.bool_),
    "i8": np.dtype(np.int8),
    "i16": np.dtype(np.int16),
    "i32": np.dtype(np.int32),
    "i64": np.dtype(np.int64),
    "f8e4m3": np.dtype(ml_dtypes.float8_e4m3fn),
    "f8e5m2": np.dtype(ml_dtypes.float8_e5m2),
    "f16": np.dtype(np.float16),
    "bf16": np.dtype(ml_dtypes.bfloat16),
    "f32": np.dtype(np.float32),
    "f64": np.dtype(np.float64),
}

_TORCH = {
    "i1": "bool",
    "i8": "int8",
    "i16": "int16",
    "i32": "int32",
    "i64": "int64",
    "f8e4m3": "float8_e4m3fn",
    "f8e5m2": "float8_e5m2",
    "f16": "float16",
    "bf16": "bfloat16",
    "f32": "float32",
    "f64": "float64",
}

_NAMES = {dtype: name for name, dtype in NUMPY.items()} | {
    np.dtype(np.uint8): "i8",
    np.dtype(np.uint16): "i16",
    np.dtype(np.uint32): "i32",
    np.dtype(np.uint64): "i64",
}
_TORCH_NAMES = {torch_name: name for name, torch_name in _TORCH.items()} | {
    "uint8": "i8",
    "uint16": "i16",
    "uint32": "i32",
    "uint64": "i64",
}


def numpy_dtype(name: str) -> np.dtype[Any]:
    """The NumPy dtype of an element type; bf16 and fp8 are those of ml_dtypes."""
    try:
        return NUMPY[name]
    except KeyError:
        raise InputError(f"unknown element type {name!r}.", hint=f"Known: {', '.join(NUMPY)}.") from None


def dtype_name(dtype: Any) -> str:
    """The element type of a NumPy dtype; unsigned integers answer with their signless name."""
    try:
        return _NAMES[np.dtype(dtype)]
    except (KeyError, TypeError):
        raise InputError(f"no element type for the NumPy dtype {dtype}.", hint=f"Known: {', '.join(NUMPY)}.") from None


def torch_dtype(name: str) -> torch.dtype:
    """The torch dtype of an element type."""
    import torch

    numpy_dtype(name)
    found: torch.dtype = getattr(torch, _TORCH[name])
    return found


def torch_dtype_name(dtype: torch.dtype) -> str:
    """The element type of a torch dtype."""
    try:
        return _TORCH_NAMES[str(dtype).removeprefix("torch.")]
    except KeyError:
        raise InputError(f"no element type for {dtype}.", hint=f"Known: {', '.join(NUMPY)}.") from None


def numpy_view(tensor: torch.Tensor) -> np.ndarray:
    """A NumPy array on the tensor's own memory: same shape and strides, writes go through."""
    import torch

    dtype = numpy_dtype(torch_dtype_name(tensor.dtype))
    if tensor.device.type != "cpu":
        raise InputError(f"a tensor on {tensor.device} has no NumPy view.", hint="Move it to the CPU first.")
    plain = tensor.detach()
    if dtype.type.__module__ == "numpy":
        return plain.numpy()
    # NumPy has no such dtype, so torch cannot hand it over: pass the bits, then name them.
    return plain.view({1: torch.uint8, 2: torch.int16}[dtype.itemsize]).numpy().view(dtype)


def as_numpy(array: Any) -> np.ndarray:
    """`array` itself, or the NumPy view of a torch tensor."""
    return array if isinstance(array, np.ndarray) else numpy_view(array)


def round_to(values: np.ndarray, name: str) -> np.ndarray:
    """Floats converted to element type `name`, to nearest even; fp8 saturates, as the hardware's conversion does."""
    dtype = numpy_dtype(name)
    if name.startswith("f8"):
        limit = float(ml_dtypes.finfo(dtype).max)
        values = np.clip(values, -limit, limit)
    return np.asarray(values).astype(dtype)


def round_to_tf32(values: np.ndarray) -> np.ndarray:
    """float32 values with ten mantissa bits, to nearest even; infinities and nan unchanged."""
    bits = np.asarray(values, dtype=np.float32).view(np.uint32)
    rounded = (bits + np.uint32(0x0FFF) + ((bits >> np.uint32(13)) & np.uint32(1))) & np.uint32(0xFFFFE000)
    finite = (bits & np.uint32(0x7F800000)) != np.uint32(0x7F800000)
    return np.where(finite, rounded, bits).astype(np.uint32).view(np.float32)

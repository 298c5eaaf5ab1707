"""Block-scaled operands: mxfp8, mxfp4 and nvfp4, decoded to float32, and what tcgen05_mma_scaled demands of them.

An operand is [rows, K] in e4m3 or e5m2, or [rows, K/2] bytes of two e2m1 numbers, the lower half first. Its scales
are [rows, K/32] bytes that are exponents of two (e8m0, 127 is one), or, with two e2m1 operands, [rows, K/16] e4m3.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from twill.emulate import dtypes, layouts
from twill.emulate.memory import SharedMemory
from twill.emulate.tensor_layouts import TensorMemoryScalesLayout
from twill.emulate.tensor_memory import TensorMemory
from twill.emulate.values import Array, refuse

E2M1 = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6], np.float32)
E2M1 = np.concatenate([E2M1, -E2M1])
FORMATS = {"e4m3": (dtypes.float8e4nv,), "e5m2": (dtypes.float8e5,), "e2m1": (dtypes.uint8, dtypes.int8)}


def elements(data: Array, form: str) -> Array:
    """[rows, K] float32 of an operand stored in `form`."""
    if form != "e2m1":
        return data.astype(np.float32)
    packed = data.view(np.uint8) if data.dtype == np.int8 else data
    return E2M1[np.stack([packed & 0xF, packed >> 4], axis=-1).reshape(len(packed), -1)]


def scales(data: Array) -> Array:
    """float32 of scales: bytes are exponents of two, 255 of them NaN."""
    if data.dtype != np.uint8 and data.dtype != np.int8:
        return data.astype(np.float32)
    exponents = data.view(np.uint8).astype(np.int32) - 127
    powers = np.ldexp(np.float32(1), np.minimum(exponents, 127)).astype(np.float32)
    return np.where(exponents == 128, np.float32(np.nan), powers)


def decoded(data: Array, form: str, scale: Array) -> Array:
    """[rows, K] float32: each element times the scale of its block."""
    numbers, factors = elements(data, form), scales(scale)
    return numbers * np.repeat(factors, numbers.shape[1] // factors.shape[1], axis=1)


def check(a: Any, b: Any, acc: Any, a_scale: Any, b_scale: Any, a_form: str, b_form: str) -> None:
    """What the compiler and the instruction demand: shapes, types, layouts."""
    if not isinstance(a, SharedMemory) or not isinstance(b, SharedMemory) or isinstance(b, TensorMemory):
        refuse("tcgen05_mma_scaled takes a from shared or tensor memory, and b from shared memory.")
    if not isinstance(acc, TensorMemory) or acc.dtype is not dtypes.float32 or acc.rank != 2:
        refuse(f"the accumulator of tcgen05_mma_scaled is {acc!r}, not fp32 tensor memory [rows, columns].")
    if a.rank != 2 or b.rank != 2:
        refuse(f"tcgen05_mma_scaled of views with {a.rank} and {b.rank} dimensions; it takes two each.")
    for name, view, form in (("a", a, a_form), ("b", b, b_form)):
        if form not in FORMATS:
            refuse(f"tcgen05_mma_scaled with {name} in {form!r}; it knows {', '.join(FORMATS)}.")
        if view.dtype not in FORMATS[form]:
            refuse(f"tcgen05_mma_scaled: {view.path} holds {view.dtype}, which is not {form}.")
    m, k = a.shape[0], a.shape[1] * (2 if a_form == "e2m1" else 1)
    n, k_b = b.shape[1], b.shape[0] * (2 if b_form == "e2m1" else 1)
    if k != k_b or acc.shape != [m, n]:
        refuse(f"tcgen05_mma_scaled of [{m}, {k}] by [{k_b}, {n}] and an accumulator {acc.shape}.")
    if acc.layout.block[0] != 128:
        refuse(f"tcgen05_mma_scaled accumulates in blocks of 128 rows, not {acc.layout.block[0]}.")
    for view, rows in ((a_scale, m), (b_scale, n)):
        if not isinstance(view, TensorMemory) or not isinstance(view.layout, TensorMemoryScalesLayout):
            refuse("the scales of tcgen05_mma_scaled lie in tensor memory with a TensorMemoryScalesLayout.")
        if view.dtype not in (dtypes.uint8, dtypes.int8, dtypes.float8e4nv):
            refuse(f"{view.path} holds scales of {view.dtype}; they are bytes (e8m0) or fp8e4nv.")
        fine = view.dtype is dtypes.float8e4nv
        if fine and not a_form == b_form == "e2m1":
            refuse(f"{view.path}: scales of fp8e4nv go with two operands of e2m1, not {a_form} and {b_form}.")
        sizes = (16,) if fine else (32,)
        if view.shape not in [[rows, k // size] for size in sizes]:
            refuse(f"{view.path} of shape {view.shape} for {rows} rows of {k} elements in blocks of {sizes[0]}.")
    if a_scale.dtype.itemsize != b_scale.dtype.itemsize or (a_scale.dtype.is_fp8() != b_scale.dtype.is_fp8()):
        refuse(f"tcgen05_mma_scaled with scales of {a_scale.dtype} and {b_scale.dtype}.")
    for view, form in ((a, a_form), (b, b_form)):
        if isinstance(view, TensorMemory):
            continue
        if not isinstance(view.layout, layouts.NVMMASharedLayout):
            refuse(f"{view.path} needs an NVMMASharedLayout to be read by tcgen05_mma_scaled, not {view.layout}.")
        if form == "e2m1" and view.layout.fp4_padded != (a_form != b_form):
            need = "fp4_padded" if a_form != b_form else "an unpadded"
            refuse(f"{view.path}: {a_form} by {b_form} needs {need} layout of the e2m1 operand.")

"""Element types with Triton's names and promotion rules, over numpy and ml_dtypes storage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import ml_dtypes
import numpy as np

Category = Literal["bool", "int", "uint", "float", "void"]


@dataclass(frozen=True)
class DType:
    """One element type. `numpy` is its storage type; `primitive_bitwidth` its width on the machine."""

    name: str
    category: Category
    primitive_bitwidth: int
    numpy: np.dtype

    @property
    def itemsize(self) -> int:
        return max(1, self.primitive_bitwidth // 8)

    @property
    def int_bitwidth(self) -> int:
        return self.primitive_bitwidth

    @property
    def scalar(self) -> DType:
        return self

    @property
    def rank(self) -> int:
        """Place in bool < integer < float, the order in which Python numbers adapt to tensors."""
        return {"void": -1, "bool": 0, "int": 1, "uint": 1, "float": 2}[self.category]

    def is_floating(self) -> bool:
        return self.category == "float"

    def is_standard_floating(self) -> bool:
        return self.name in ("fp16", "bf16", "fp32", "fp64")

    def is_int(self) -> bool:
        return self.category in ("bool", "int", "uint")

    def is_int_signed(self) -> bool:
        return self.category == "int"

    def is_int_unsigned(self) -> bool:
        return self.category in ("bool", "uint")

    def is_bool(self) -> bool:
        return self.category == "bool"

    def is_int1(self) -> bool:
        return self.category == "bool"

    def is_int32(self) -> bool:
        return self.name == "int32"

    def is_int64(self) -> bool:
        return self.name == "int64"

    def is_fp8(self) -> bool:
        return self.name.startswith("fp8")

    def is_fp16(self) -> bool:
        return self.name == "fp16"

    def is_bf16(self) -> bool:
        return self.name == "bf16"

    def is_fp32(self) -> bool:
        return self.name == "fp32"

    def is_fp64(self) -> bool:
        return self.name == "fp64"

    def is_ptr(self) -> bool:
        return False

    def is_block(self) -> bool:
        return False

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return self.name


@dataclass(frozen=True)
class PointerType:
    """Pointer to elements in global memory."""

    element_ty: DType

    @property
    def name(self) -> str:
        return f"pointer<{self.element_ty}>"

    @property
    def primitive_bitwidth(self) -> int:
        return 64

    @property
    def scalar(self) -> PointerType:
        return self

    def is_ptr(self) -> bool:
        return True

    def is_floating(self) -> bool:
        return False

    def is_int(self) -> bool:
        return False

    def is_block(self) -> bool:
        return False

    def __str__(self) -> str:
        return self.name


class BlockType:
    """What `tensor.type` and `descriptor.block_type` answer."""

    def __init__(self, element_ty: DType | PointerType, shape: tuple[int, ...], layout: Any = None) -> None:
        self.element_ty = self.scalar = element_ty
        self.shape = list(shape)
        self.layout = layout

    @property
    def numel(self) -> int:
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def nbytes(self) -> int:
        return self.numel * self.element_ty.primitive_bitwidth // 8

    def is_block(self) -> bool:
        return bool(self.shape)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, BlockType) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple[object, ...]:
        return self.element_ty, tuple(self.shape), self.layout


def _make(name: str, category: Category, bits: int, storage: object) -> DType:
    return DType(name, category, bits, np.dtype(storage))  # type: ignore[call-overload]


int1 = _make("int1", "bool", 1, np.bool_)
int8 = _make("int8", "int", 8, np.int8)
int16 = _make("int16", "int", 16, np.int16)
int32 = _make("int32", "int", 32, np.int32)
int64 = _make("int64", "int", 64, np.int64)
uint8 = _make("uint8", "uint", 8, np.uint8)
uint16 = _make("uint16", "uint", 16, np.uint16)
uint32 = _make("uint32", "uint", 32, np.uint32)
uint64 = _make("uint64", "uint", 64, np.uint64)
float8e5 = _make("fp8e5", "float", 8, ml_dtypes.float8_e5m2)
float8e4nv = _make("fp8e4nv", "float", 8, ml_dtypes.float8_e4m3fn)
float16 = _make("fp16", "float", 16, np.float16)
bfloat16 = _make("bf16", "float", 16, ml_dtypes.bfloat16)
float32 = _make("fp32", "float", 32, np.float32)
float64 = _make("fp64", "float", 64, np.float64)
void = _make("void", "void", 8, np.int8)

FP8_MAXIMUM = {"fp8e5": 57344.0, "fp8e4nv": 448.0}  # conversions saturate, as cvt.satfinite does

TORCH_NAMES = {
    "bool": int1, "int8": int8, "int16": int16, "int32": int32, "int64": int64, "uint8": uint8,
    "uint16": uint16, "uint32": uint32, "uint64": uint64, "float16": float16, "bfloat16": bfloat16,
    "float32": float32, "float64": float64, "float8_e5m2": float8e5, "float8_e4m3fn": float8e4nv,
}  # fmt: skip


def of_number(number: bool | int | float) -> DType:
    """The type a Python number gets when it becomes a scalar value."""
    if isinstance(number, bool):
        return int1
    if isinstance(number, int):
        if -(2**31) <= number < 2**31:
            return int32
        if 2**31 <= number < 2**32:
            return uint32
        return int64 if -(2**63) <= number < 2**63 else uint64
    size = abs(number)
    fits = size == float("inf") or size == 0.0 or number != number or 2.0**-126 <= size <= (2 - 2.0**-23) * 2.0**127
    return float32 if fits else float64


def promote_integers(a: DType, b: DType) -> DType:
    """C's usual arithmetic conversions, without promotion to int."""
    if a.is_int_signed() == b.is_int_signed():
        return a if a.int_bitwidth > b.int_bitwidth else b
    unsigned, signed = (a, b) if a.is_int_unsigned() else (b, a)
    return unsigned if unsigned.int_bitwidth >= signed.int_bitwidth else signed


def promote(a: DType, a_is_number: bool, b: DType, b_is_number: bool, division: bool = False) -> DType:
    """The type two operands are computed in (Triton's language reference, "type promotion").

    A Python number of a lower or equal kind adapts to the other operand; division of half types is
    done in fp32.
    """
    if a_is_number != b_is_number:
        number, value = (a, b) if a_is_number else (b, a)
        if number.rank <= value.rank:
            return float32 if division and value in (float16, bfloat16) else value
    for wide in (float64, float32):
        if wide in (a, b):
            return wide
    if float16 in (a, b):
        return float32 if division else float16
    if a == bfloat16 and b == bfloat16:
        return float32 if division else bfloat16
    if bfloat16 in (a, b):
        return float32
    if a.is_fp8() and b.is_fp8():
        return a if a == b else float16
    if not (a.is_int() and b.is_int()):
        raise TypeError(f"types {a} and {b} do not combine")
    return promote_integers(a, b)

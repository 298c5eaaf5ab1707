"""What the arguments of a kernel stand for during evaluation: numbers, pointers, tensor descriptors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from twill.errors import InputError
from twill.ir import elementwise
from twill.ir.dtypes import as_numpy, dtype_name, numpy_dtype, round_to
from twill.ir.elementwise import Precision
from twill.ir.graph import Graph, Value
from twill.ir.memory import Descriptor, Memory, Pointer
from twill.ir.text import print_type

Bound = np.ndarray | Pointer | Descriptor
"""What a name stands for during evaluation: numbers, pointers, or a tensor descriptor."""


@dataclass(frozen=True)
class DescriptorArgument:
    """A tensor descriptor made by the host: base tensor, shape and strides in elements.

    Any object with these fields will do, Triton's own TensorDescriptor among them; the shape of the
    tiles is that of the graph's argument.
    """

    base: Any
    shape: Sequence[int]
    strides: Sequence[int]
    block_shape: Sequence[int] = ()


def bind(graph: Graph, arguments: Mapping[str, Any], precision: Precision = "native") -> dict[str, Bound]:
    """What each graph argument stands for; tensors on the same memory share it."""
    memories: dict[tuple[Any, ...], Memory] = {}
    bound: dict[str, Bound] = {}
    for value in graph.arguments:
        if value.name not in arguments:
            raise InputError(f"{graph.name}: the argument {value.name} ({print_type(value.type)}) is missing.")
        bound[value.name] = _bind(value, arguments[value.name], precision, memories)
    return bound


def _bind(value: Value, given: Any, precision: Precision, memories: dict[tuple[Any, ...], Memory]) -> Bound:
    match value.type.kind:
        case "pointer":
            return Pointer(_shared_memory(value, given, precision, memories), np.asarray(0, np.int64))
        case "descriptor":
            if not all(hasattr(given, field) for field in ("base", "shape", "strides", "block_shape")):
                raise InputError(f"argument {value.name} is a {type(given).__name__}, not a tensor descriptor.")
            memory = _shared_memory(value, given.base, precision, memories)
            shape, strides = tuple(map(int, given.shape)), tuple(map(int, given.strides))
            if not len(shape) == len(strides) == len(value.type.shape):
                raise InputError(f"the tensor descriptor {value.name} is not of rank {len(value.type.shape)}.")
            descriptor = Descriptor(memory, 0, shape, strides, value.type.shape)
            descriptor.check(None)
            return descriptor
    return _scalar(value, given, precision)


def _scalar(value: Value, given: Any, precision: Precision) -> np.ndarray:
    """A number as the argument's element type represents it, in either precision: it is an input."""
    if not isinstance(given, bool | int | float | np.generic):
        raise InputError(f"argument {value.name} is a {type(given).__name__}, not a number ({print_type(value.type)}).")
    if value.type.is_float:
        return round_to(np.asarray(given, np.float64), value.type.dtype).astype(
            elementwise.storage(value.type, precision)
        )
    number = int(given)
    if number != given or not -(2 ** (value.type.bits - 1)) <= number < 2**value.type.bits:
        raise InputError(f"argument {value.name} is {given}, which is not an {value.type.dtype}.")
    return np.asarray(number).astype(numpy_dtype(value.type.dtype))


def _shared_memory(value: Value, given: Any, precision: Precision, memories: dict[tuple[Any, ...], Memory]) -> Memory:
    if not hasattr(given, "shape") or not hasattr(given, "dtype"):
        raise InputError(f"argument {value.name} is a {type(given).__name__}, not a tensor ({print_type(value.type)}).")
    array = as_numpy(given)
    if dtype_name(array.dtype) != value.type.dtype:
        raise InputError(f"argument {value.name} holds {dtype_name(array.dtype)}, the kernel wants {value.type.dtype}.")
    key = (array.__array_interface__["data"][0], array.shape, array.strides)
    if key not in memories or array.size == 0:
        memories[key] = Memory.of(value.name, value.type.dtype, array, ideal=precision == "float64")
    return memories[key]

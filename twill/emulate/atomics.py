"""Atomic updates of global memory through pointers, with their order (sem) and reach (scope).

An atomic that releases hands on what its role is ordered after; one that acquires is ordered after what the earlier
atomics on its elements released, through those between them too. Thread blocks run one after another here, so a
kernel that spins until a block that was not started yet sets a flag does not end.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from twill.emulate import cga, cluster, dtypes, holdings, trace
from twill.emulate.constants import unwrap
from twill.emulate.dtypes import DType
from twill.emulate.global_accesses import record_atomic
from twill.emulate.pointers import target_of
from twill.emulate.scheduler import active
from twill.emulate.values import Array, Tensor, as_tensor, cast, refuse

__all__ = [
    "atomic_add", "atomic_and", "atomic_cas", "atomic_max", "atomic_min", "atomic_or", "atomic_xchg", "atomic_xor",
]  # fmt: skip
SEMANTICS = ("relaxed", "acquire", "release", "acq_rel")
SCOPES = ("cta", "gpu", "sys")

Update = Callable[[Any, Any], Any]


def update(name: str, before: Array, operand: Array, dtype: DType) -> Array:
    """One atomic operation, elementwise, on numpy values of `dtype`: floats are rounded after each."""
    result = {
        "add": np.add, "max": np.maximum, "min": np.minimum, "and": np.bitwise_and, "or": np.bitwise_or,
        "xor": np.bitwise_xor,
    }[name](before, operand)  # fmt: skip
    return np.asarray(result).astype(dtype.numpy)


def check_dtype(name: str, dtype: DType, halves: bool = False) -> None:
    """What the compiler refuses; `halves` lets min and max take 16-bit floats. Raises LayoutMismatch."""
    narrow = dtype.primitive_bitwidth < 16 or (dtype.is_int() and dtype.primitive_bitwidth == 16)
    half = dtype in (dtypes.float16, dtypes.bfloat16)
    bits = name in ("and", "or", "xor")
    if narrow or (half and name != "add" and not halves) or (bits and not dtype.is_int()):
        refuse(f"atomic_{name} does not take {dtype}.")


def atomic_cas(pointer: Any, cmp: Any, val: Any, sem: Any = None, scope: Any = None) -> Tensor:
    """Put `val` where `cmp` stands; returns what stood there. 16, 32 or 64 bits, compared as bits."""

    def swap(memory: Array, at: Array, expected: Array, new: Array) -> Array:
        found = memory[at]
        if _bits(found) == _bits(expected):
            memory[at] = new
        return found

    element = _element(pointer)
    if element.primitive_bitwidth not in (16, 32, 64):
        refuse(f"atomic_cas takes 16, 32 or 64 bits, not {element}.")
    return _each("atomic_cas", pointer, (cmp, val), None, sem, scope, swap)


def atomic_xchg(pointer: Any, val: Any, mask: Any = None, sem: Any = None, scope: Any = None) -> Tensor:
    """Put `val` there; returns what stood there before."""

    def exchange(memory: Array, at: Array, new: Array) -> Array:
        found = memory[at]
        memory[at] = new
        return found

    if _element(pointer).primitive_bitwidth < 32:
        refuse(f"atomic_xchg does not take {_element(pointer)}.")
    return _each("atomic_xchg", pointer, (val,), mask, sem, scope, exchange)


def _reduction(name: str) -> Callable[..., Tensor]:
    def reduce(pointer: Any, val: Any, mask: Any = None, sem: Any = None, scope: Any = None) -> Tensor:
        element = _element(pointer)
        check_dtype(name, element)

        def apply(memory: Array, at: Array, operand: Array) -> Array:
            found = memory[at]
            memory[at] = update(name, found, operand, element)
            return found

        return _each(f"atomic_{name}", pointer, (val,), mask, sem, scope, apply, at_once=True)

    reduce.__name__ = f"atomic_{name}"
    reduce.__doc__ = f"Update elements by `{name}` with `val`; returns what stood there before."
    return reduce


atomic_add, atomic_max, atomic_min = _reduction("add"), _reduction("max"), _reduction("min")
atomic_and, atomic_or, atomic_xor = _reduction("and"), _reduction("or"), _reduction("xor")


def _each(
    action: str, pointer: Any, operands: tuple[Any, ...], mask: Any, sem: Any, scope: Any, apply: Callable[..., Any],
    at_once: bool = False,
) -> Tensor:  # fmt: skip
    """Apply to one element after the other: several of a block may be the same.

    at_once: `apply` takes arrays of different elements as well.
    """
    sem, scope, mask = unwrap(sem) or "acq_rel", unwrap(scope) or "gpu", unwrap(mask)
    if sem not in SEMANTICS or scope not in SCOPES:
        refuse(f"{action} with sem={sem!r} and scope={scope!r}; known are {SEMANTICS} and {SCOPES}.")
    scheduler = active()
    scheduler.pause()
    values = [as_tensor(operand) for operand in operands]
    target, offsets, layout = target_of(pointer, mask, *values)
    element = pointer.dtype.element_ty
    offsets = np.asarray(offsets)
    given = [np.broadcast_to(cast(value, element).data, offsets.shape) for value in values]
    chosen = np.broadcast_to(True if mask is None else as_tensor(mask).data, offsets.shape)
    if cluster.current() is not None:
        if not offsets.shape or cga.replicas(cluster.layout_bases(layout, action)) > 1:
            cluster.refuse(f"{action} of elements that more than one CTA holds,")
        chosen = chosen & holdings.owned(offsets.shape, layout, write=True)
    target.check(offsets[chosen], str(scheduler.place(action)))
    record_atomic(target.history, action, offsets[chosen], sem, scope)
    trace.touch("atomics", True)
    found = np.zeros(offsets.shape, element.numpy)
    if at_once and np.unique(offsets[chosen]).size == np.count_nonzero(chosen):
        found[chosen] = apply(target.flat, offsets[chosen], *(value[chosen] for value in given))
        return Tensor(found if offsets.shape else found[()], element, layout)
    for index in np.argwhere(chosen):
        at = tuple(index)
        found[at] = apply(target.flat, offsets[at], *(value[at] for value in given))
    return Tensor(found if offsets.shape else found[()], element, layout)


def _element(pointer: Any) -> DType:
    if not isinstance(pointer, Tensor) or not isinstance(pointer.dtype, dtypes.PointerType):
        refuse(f"{pointer!r} is not a pointer.")
    return pointer.dtype.element_ty


def _bits(value: Any) -> int:
    return int.from_bytes(np.asarray(value).tobytes(), "little")

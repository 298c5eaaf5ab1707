"""Loads and stores through pointers to global memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from twill.emulate import holdings
from twill.emulate.constants import unwrap
from twill.emulate.dtypes import PointerType
from twill.emulate.global_accesses import record_generic
from twill.emulate.memory import GlobalMemory
from twill.emulate.scheduler import active
from twill.emulate.values import Array, Tensor, as_tensor, cast, check_ranks, common_layout, refuse

__all__ = ["load", "store"]


def load(pointer: Any, mask: Any = None, other: Any = None, **hints: Any) -> Tensor:
    """Read through pointers; a masked-off element without `other` is undefined, so it is NaN."""
    memory, elements, layout, read = reading(pointer, mask, other, "load")
    record_generic(memory.history, "load", elements, write=False)
    return Tensor(read(), pointer.dtype.element_ty, layout)


def reading(pointer: Any, mask: Any, other: Any, action: str) -> tuple[GlobalMemory, Array, Any, Callable[[], Array]]:
    """(memory, offsets that are read, layout, what reads them); nothing is read or remembered yet."""
    mask, other = unwrap(mask), unwrap(other)
    target, offsets, layout = target_of(pointer, mask)
    element = pointer.dtype.element_ty
    held = holdings.owned(offsets.shape, layout, write=False)
    if mask is None and held is None:
        target.check(offsets, str(active().place(action)))
        return target, offsets, layout, lambda: np.asarray(target.flat[offsets])
    chosen = _chosen(offsets, mask, held)
    target.check(offsets[chosen], str(active().place(action)))
    undefined = np.nan if element.is_floating() else 0
    filler = cast(as_tensor(other), element).data if other is not None else undefined

    def read() -> Array:
        data = np.array(np.broadcast_to(np.asarray(filler).astype(element.numpy), offsets.shape))
        data[chosen] = target.flat[offsets[chosen]]
        return data

    return target, offsets[chosen], layout, read


def store(pointer: Any, value: Any, mask: Any = None, **hints: Any) -> None:
    """Write through pointers, converting to the pointer's element type."""
    value, mask = as_tensor(value), unwrap(mask)
    target, offsets, layout = target_of(pointer, mask, value)
    held = holdings.owned(offsets.shape, layout, write=True)
    data = np.broadcast_to(cast(value, pointer.dtype.element_ty).data, offsets.shape)
    if mask is not None or held is not None:
        chosen = _chosen(offsets, mask, held)
        offsets, data = offsets[chosen], data[chosen]
    target.check(offsets, str(active().place("store")))
    record_generic(target.history, "store", offsets, write=True)
    target.flat[offsets] = data


def target_of(pointer: Any, *others: Any) -> tuple[GlobalMemory, Array, Any]:
    """(memory, offsets, layout) of a block of pointers used with `others`, masks and values of its shape or none."""
    if not isinstance(pointer, Tensor) or not isinstance(pointer.dtype, PointerType) or pointer.memory is None:
        refuse(f"{pointer!r} is not a pointer.")
    blocks = [pointer, *(as_tensor(other) for other in others if other is not None)]
    check_ranks(*blocks)
    return pointer.memory, pointer.data, common_layout(*blocks)


def _chosen(offsets: Array, mask: Any, held: Array | None) -> Array:
    """The elements that the mask lets through, of those that the running CTA holds (None: of all)."""
    masked = np.broadcast_to(as_tensor(True if mask is None else mask).data, offsets.shape)
    return masked if held is None else masked & held

"""Loads and stores through pointers to global memory."""

from __future__ import annotations

from typing import Any

import numpy as np

from twill.emulate.constants import unwrap
from twill.emulate.dtypes import PointerType
from twill.emulate.global_accesses import record_generic
from twill.emulate.memory import GlobalMemory
from twill.emulate.scheduler import active
from twill.emulate.values import Array, Tensor, as_tensor, cast, check_ranks, common_layout, refuse

__all__ = ["load", "store"]


def load(pointer: Any, mask: Any = None, other: Any = None, **hints: Any) -> Tensor:
    """Read through pointers; a masked-off element without `other` is undefined, so it is NaN."""
    mask, other = unwrap(mask), unwrap(other)
    target, offsets, layout = _pointer(pointer, mask)
    element = pointer.dtype.element_ty
    if mask is None:
        target.check(offsets, _what("load"))
        record_generic(target.history, "load", offsets, write=False)
        return Tensor(target.flat[offsets], element, layout)
    chosen = np.broadcast_to(as_tensor(mask).data, offsets.shape)
    target.check(offsets[chosen], _what("load"))
    record_generic(target.history, "load", offsets[chosen], write=False)
    undefined = np.nan if element.is_floating() else 0
    filler = cast(as_tensor(other), element).data if other is not None else undefined
    data = np.array(np.broadcast_to(np.asarray(filler).astype(element.numpy), offsets.shape))
    data[chosen] = target.flat[offsets[chosen]]
    return Tensor(data, element, layout)


def store(pointer: Any, value: Any, mask: Any = None, **hints: Any) -> None:
    """Write through pointers, converting to the pointer's element type."""
    value, mask = as_tensor(value), unwrap(mask)
    target, offsets, _ = _pointer(pointer, mask, value)
    data = np.broadcast_to(cast(value, pointer.dtype.element_ty).data, offsets.shape)
    if mask is not None:
        chosen = np.broadcast_to(as_tensor(mask).data, offsets.shape)
        offsets, data = offsets[chosen], data[chosen]
    target.check(offsets, _what("store"))
    record_generic(target.history, "store", offsets, write=True)
    target.flat[offsets] = data


def _pointer(pointer: Any, *others: Any) -> tuple[GlobalMemory, Array, Any]:
    if not isinstance(pointer, Tensor) or not isinstance(pointer.dtype, PointerType) or pointer.memory is None:
        refuse(f"{pointer!r} is not a pointer.")
    blocks = [pointer, *(as_tensor(other) for other in others if other is not None)]
    check_ranks(*blocks)
    return pointer.memory, pointer.data, common_layout(*blocks)


def _what(action: str) -> str:
    return str(active().place(action))

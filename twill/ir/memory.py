"""Memory as the sequential meaning sees it: flat arrays, pointers into them, tensor descriptors.

A tensor argument is the flat memory from its first to its last element, in steps of one element,
whatever its shape and strides: kernels address it by element offsets. Every access is checked
against its ends, because NumPy would read past them.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.lib.stride_tricks import as_strided

from twill.errors import CheckFailed, InputError, Location
from twill.ir.dtypes import numpy_dtype
from twill.ir.graph import Type


@dataclass(eq=False)
class Memory:
    """One tensor argument: `flat` is its memory, `array` the tensor itself, a view of that memory."""

    name: str
    dtype: str
    flat: np.ndarray
    array: np.ndarray
    written: bool = field(default=False)
    updates: np.ndarray | None = field(default=None)  # how often atomics combined into each element; None: no atomic

    @staticmethod
    def of(name: str, dtype: str, array: np.ndarray, *, ideal: bool) -> Memory:
        """The memory of `array`; `ideal` copies it, floats as float64, and leaves `array` alone."""
        if any(stride < 0 or stride % array.itemsize for stride in array.strides):
            raise InputError(f"argument {name} has strides {array.strides} bytes, not whole elements forward.")
        span = 1 + sum((n - 1) * s // array.itemsize for n, s in zip(array.shape, array.strides, strict=True))
        span = span if array.size else 0
        flat = as_strided(array, (span,), (array.itemsize,)).view(numpy_dtype(dtype))  # unsigned read as signless
        if ideal:
            strides = tuple(s // array.itemsize for s in array.strides)
            with np.errstate(invalid="ignore"):  # memory to be written may hold anything, signalling nan included
                flat = flat.astype(np.float64) if dtype.startswith(("f", "bf")) else flat.copy()
            array = as_strided(flat, array.shape, tuple(s * flat.itemsize for s in strides))
        return Memory(name, dtype, flat, array)


@dataclass(frozen=True, eq=False)
class Pointer:
    """Element offsets into one memory; the offsets' shape is that of the pointer value."""

    memory: Memory
    offset: np.ndarray

    def load(self, mask: np.ndarray | None, other: np.ndarray | None, where: Location | None) -> np.ndarray:
        """The elements where mask holds; `other` (or zero) elsewhere."""
        offset, live = self._checked(mask, "load", where)
        found = self.memory.flat[np.where(live, offset, 0)] if self.memory.flat.size else np.zeros(offset.shape)
        if mask is None:
            return np.asarray(found)
        return np.where(live, found, np.zeros((), self.memory.flat.dtype) if other is None else other)

    def store(self, values: np.ndarray, mask: np.ndarray | None, where: Location | None) -> None:
        offset, live = self._checked(mask, "store", where)
        live = np.broadcast_to(live, offset.shape)
        self.memory.written = True
        self.memory.flat[offset[live]] = np.broadcast_to(values, offset.shape)[live]

    def update(self, kind: str, values: np.ndarray, mask: np.ndarray | None, where: Location | None) -> None:
        """Combines `values` into memory, one element after the other: several may be at one address."""
        offset, live = self._checked(mask, "atomic", where)
        live = np.broadcast_to(live, offset.shape)
        if self.memory.updates is None:
            self.memory.updates = np.zeros(self.memory.flat.shape, np.int64)
        self.memory.written = True
        combine = {"add": np.add, "max": np.maximum, "min": np.minimum}[kind]
        combine.at(self.memory.flat, offset[live], np.broadcast_to(values, offset.shape)[live])
        np.add.at(self.memory.updates, offset[live], 1)

    def _checked(self, mask: np.ndarray | None, verb: str, where: Location | None) -> tuple[np.ndarray, np.ndarray]:
        live = np.ones(self.offset.shape, dtype=np.bool_) if mask is None else np.asarray(mask)
        touched = self.offset[np.broadcast_to(live, self.offset.shape)]
        size = self.memory.flat.size
        if touched.size and (touched.min() < 0 or touched.max() >= size):
            low, high = int(touched.min()), int(touched.max())
            raise CheckFailed(
                f"{verb} from elements {low} .. {high} of %{self.memory.name}, which has {size}.",
                hint="Mask the access.",
                location=where,
            )
        return self.offset, live


@dataclass(frozen=True, eq=False)
class Descriptor:
    """A window of `shape` with `strides` (elements) at element `base` of a memory; tiles of `block`."""

    memory: Memory
    base: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    block: tuple[int, ...]

    def load(self, offsets: tuple[int, ...], tile: Type) -> np.ndarray:
        """The tile at `offsets`; what lies outside the window is zero."""
        found = np.zeros(self.block, self.memory.flat.dtype)
        inside, window = self._overlap(offsets)
        found[inside] = self._view()[window]
        return found.reshape(tile.shape)

    def store(self, offsets: tuple[int, ...], values: np.ndarray) -> None:
        """Writes the part of the tile that lies inside the window."""
        inside, window = self._overlap(offsets)
        self.memory.written = True
        self._view()[window] = values.reshape(self.block)[inside]

    def check(self, where: Location | None) -> None:
        """The window lies inside its memory."""
        last = self.base + sum((n - 1) * s for n, s in zip(self.shape, self.strides, strict=True))
        if any(n < 1 for n in self.shape):
            return
        if self.base < 0 or min(self.strides) < 0 or last >= self.memory.flat.size:
            raise CheckFailed(
                f"the tensor descriptor of shape {list(self.shape)}, strides {list(self.strides)} at element "
                f"{self.base} of %{self.memory.name} ends at element {last}; the tensor has {self.memory.flat.size}.",
                location=where,
            )

    def _view(self) -> np.ndarray:
        return as_strided(
            self.memory.flat[self.base :], self.shape, tuple(s * self.memory.flat.itemsize for s in self.strides)
        )

    def _overlap(self, offsets: tuple[int, ...]) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
        """The part of the tile inside the window, in coordinates of the tile and of the window."""
        inside, window = [], []
        for offset, extent, size in zip(offsets, self.block, self.shape, strict=True):
            low, high = max(0, -offset), max(0, min(extent, size - offset))
            low = min(low, high)
            inside.append(slice(low, high))
            window.append(slice(min(max(0, offset + low), max(0, size)), min(max(0, offset + high), max(0, size))))
        return tuple(inside), tuple(window)

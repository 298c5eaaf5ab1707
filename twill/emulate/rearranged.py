"""A view of shared memory whose axes were permuted and then merged: not strided, so each read gathers it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twill.emulate import cga, cluster
from twill.emulate.memory import SharedMemory
from twill.emulate.values import Array, unsupported


class Rearranged(SharedMemory):
    """`base` in another shape, elements in the same row-major order; `data` and `valid` are copies."""

    def __init__(self, base: SharedMemory, shape: Sequence[int], divided: cga.Bases | None = None) -> None:
        self.base = base
        self.allocation = base.allocation
        self.dtype = base.dtype
        self.layout = base.layout
        self.path = base.path
        self.span = base.span
        self._shape = tuple(shape)
        self.divided = divided

    @property
    def data(self) -> Array:  # type: ignore[override]
        return self.base.data.reshape(self._shape)

    @property
    def valid(self) -> Array:  # type: ignore[override]
        return self.base.valid.reshape(*self._shape, self.dtype.itemsize)

    def part(self, cta: int | None = None) -> Rearranged:
        """What a CTA of the cluster holds of it."""
        if cluster.current() is None:
            return self
        counts = cga.splits(self.division(), len(self._shape))
        return Rearranged(self.base.part(cta), [extent // n for extent, n in zip(self._shape, counts, strict=True)])

    @property
    def bytes(self) -> Array:
        return self.base.bytes

    def fill(self, data: Array) -> None:
        self.base.fill(data.reshape(self.base.data.shape))

    def poison(self) -> None:
        self.base.poison()

    def _view(self, data: Array, valid: Array, path: str, layout: Any = None) -> SharedMemory:
        unsupported(f"a part of {self.path} after a permutation and a reshape")


class Outside(SharedMemory):
    """What an index beyond a buffer gives: an address nobody may use, so that each use of it raises `error`.

    The address itself is harmless, and kernels compute such ones for operations they then predicate off.
    """

    def __init__(self, error: Exception) -> None:
        self.error = error

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise self.error

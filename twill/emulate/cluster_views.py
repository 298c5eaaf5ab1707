"""What the CTAs of a cluster hold of a buffer that they divide among them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np

from twill.emulate import cga, cluster, layouts
from twill.emulate.scheduler import active
from twill.emulate.values import Array, refuse, unsupported


class ClusterView:
    """Part of a view of shared or tensor memory: parts of it, and their place in tensors of its shape.

    Without a cluster of several CTAs a view is its own part.
    """

    allocation: Any
    data: Array
    valid: Array
    layout: Any
    path: str
    divided: cga.Bases | None = None  # of a view whose layout no longer tells

    def division(self) -> cga.Bases:
        """How the CTAs of the running cluster divide this view."""
        return self.divided if self.divided is not None else cluster.layout_bases(self.layout, self.path)

    @property
    def offset(self) -> int:
        """Bytes from the start of the allocation."""
        raise NotImplementedError

    def _view(self, data: Array, valid: Array, path: str, layout: Any = None) -> Any:
        raise NotImplementedError

    def part(self, cta: int | None = None) -> Self:
        """What a CTA of the cluster (None: the running one) holds of this view; without a cluster, all."""
        here = cluster.current()
        if here is None:
            return self
        cta = here.scheduler.current().cta if cta is None else cta
        bases = self.division()
        return self._boxed(bases, cta, self._box(bases, cta))

    def held_by(self, ctas: Sequence[int]) -> list[Self]:
        """What several CTAs hold, for an operation that works for all of them: one view, or a copy of each."""
        if cluster.current() is None:
            return [self]
        bases = self.division()
        boxes = [self._box(bases, cta) for cta in ctas]
        whole = cga.union(boxes)
        if whole is not None and len({cga.replica(bases, cta) for cta in ctas}) == 1:
            return [self._boxed(bases, ctas[0], whole)]
        if all(box == boxes[0] for box in boxes):
            return [self._boxed(bases, cta, boxes[0]) for cta in ctas]
        refuse(f"what CTAs {list(ctas)} hold of {self.path} ({self.layout}) is no operand for the pair of them.")

    def _box(self, bases: cga.Bases, cta: int) -> cga.Box:
        try:
            return cga.box(bases, self.data.shape, cta)
        except ValueError as error:
            refuse(f"{self.path}: {error}.")

    def _boxed(self, bases: cga.Bases, cta: int, box: cga.Box) -> Self:
        step = self.allocation.copy_bytes
        copy = 0 if isinstance(self.layout, layouts.MBarrierLayout) else cga.replica(bases, cta)
        moved = (copy - self.offset // step) * step
        data, valid = self.data, self.valid
        if moved:
            start = self.offset + moved
            data = np.ndarray(data.shape, data.dtype, self.allocation.raw.data, start, data.strides)
            valid = np.ndarray(valid.shape, np.bool_, self.allocation.valid.data, start, valid.strides)
        return self._view(data[box], valid[box], self.path)

    def widened(self, part: ClusterView, layout: Any) -> Array:
        """A register tensor of this view's shape; outside of `part` another CTA would know the value."""
        if part is self:
            return self.data.copy()
        self._local(layout, within=True)
        whole = np.full(self.data.size * self.data.itemsize, 0xFF, np.uint8).view(self.data.dtype)
        whole = whole.reshape(self.data.shape)
        whole[self._box(self.division(), active().current().cta)] = part.data
        return whole

    def narrowed(self, value: Array, layout: Any) -> Array:
        """What the running CTA stores of a register tensor of this view's shape."""
        if cluster.current() is None:
            return value
        self._local(layout, within=False)
        return value[self._box(self.division(), active().current().cta)]

    def _local(self, layout: Any, within: bool) -> None:
        """Registers of `layout` hold, in every CTA, only what lies in its part of this view (or all of that part)."""
        bases, cta = cga.bases(layout), active().current().cta
        if bases is None or 1 << len(bases) != cluster.size():
            return
        theirs, ours = cga.box(bases, self.data.shape, cta), self._box(self.division(), cta)
        inner, outer = (theirs, ours) if within else (ours, theirs)
        if any(i.start < o.start or i.stop > o.stop for i, o in zip(inner, outer, strict=True)):
            refuse(
                f"registers of {layout} are divided among the CTAs otherwise than {self.path}; only convert_layout "
                "moves them between CTAs."
            )

    def reshaped_division(self, shape: Sequence[int]) -> cga.Bases:
        """How the CTAs divide this view when it has another shape."""
        found = cga.reshaped(self.division(), self.data.shape, shape)
        if found is None:
            unsupported(f"a reshape of {self.path} after which the parts of the cluster's CTAs are no boxes")
        return found

    def _whole_only(self, layout: Any) -> None:
        """Reinterpreted bytes keep their CTA only where parts are rows: any other division is not modelled."""
        for bases in (self.divided or cga.bases(self.layout) or (), cga.bases(layout) or ()):
            if any(any(basis[1:]) for basis in bases):
                unsupported("reinterpreting a view that is divided among the CTAs of a cluster along its columns")

"""Tensor memory of Blackwell: 128 lanes by 512 columns of 32 bits that tcgen05 and tcgen05.ld/st address.

A row of a block lies in one lane, so the bytes of an allocation are kept as [rows, bytes of a row]: a slice
takes columns, `index` the columns of one buffer, and a reinterpretation the first columns of every row.
Validity and races are kept as for shared memory; only the proxies are not: the compiler orders tensor memory
itself, so no fence is asked for. The columns that live allocations take together are counted in `columns.py`.
"""

from __future__ import annotations

import math
from typing import Any, cast

import numpy as np

from twill.emulate import cga, cluster, reductions
from twill.emulate.accesses import Access
from twill.emulate.columns import COLUMNS, ColumnHistory, columns_of
from twill.emulate.constants import unwrap
from twill.emulate.dtypes import DType
from twill.emulate.language import check_layout
from twill.emulate.memory import Allocation, SharedMemory
from twill.emulate.report import OutOfBounds, Place
from twill.emulate.scheduler import active
from twill.emulate.tensor_layouts import TensorMemoryLayout, TensorMemoryScalesLayout, get_tmem_reg_layout
from twill.emulate.values import Tensor, refuse, unsupported


class TensorMemory(SharedMemory):
    """A view of a tensor memory allocation (Gluon's tensor_memory_descriptor): [rows, columns], or a ring of them."""

    layout: Any  # TensorMemoryLayout or TensorMemoryScalesLayout

    def _view(self, data: Any, valid: Any, path: str, layout: Any = None) -> TensorMemory:
        return TensorMemory(self.allocation, data, valid, self.dtype, layout or self.layout, path)

    def slice(self, start: Any, length: Any, dim: Any = None) -> TensorMemory:
        """The columns start:start+length."""
        dim = self.rank - 1 if unwrap(dim) is None else unwrap(dim)
        if dim != self.rank - 1:
            refuse(f"{self.path}: tensor memory is sliced along its columns only.")
        if isinstance(self.layout, TensorMemoryScalesLayout):
            unsupported("a slice of block scales in tensor memory")
        view = super().slice(start, length, dim)
        rows, columns = self.layout.block
        if cga.splits(self.layout.cga_layout or (), 2)[1] > 1 and view.shape[-1] != self.shape[-1]:
            unsupported("a slice of tensor memory whose columns are divided among the CTAs of a cluster")
        block = (rows, min(columns, view.shape[-1]))
        view.layout = TensorMemoryLayout(block, self.layout.col_stride, self.layout.cga_layout, self.layout.two_ctas)
        assert isinstance(view, TensorMemory)
        return view

    def index(self, index: Any) -> TensorMemory:
        """One buffer of a ring."""
        if self.rank < 3:
            refuse(f"{self.path} of shape {self.shape} is not an array of buffers.")
        view = super().index(index)
        return view if isinstance(view, TensorMemory) else cast("TensorMemory", view)

    def permute(self, order: Any) -> TensorMemory:
        refuse(f"{self.path}: tensor memory cannot be permuted.")

    def reshape(self, shape: Any) -> TensorMemory:
        refuse(f"{self.path}: tensor memory cannot be reshaped; reinterpret it.")

    def reinterpret(self, dtype: Any, shape: Any, layout: Any) -> TensorMemory:
        """The same lanes, from the same column on, with another type and no more columns."""
        dtype, layout = unwrap(dtype), unwrap(layout)
        shape = tuple(int(extent) for extent in unwrap(shape))
        if isinstance(self.layout, TensorMemoryScalesLayout) or isinstance(layout, TensorMemoryScalesLayout):
            unsupported("reinterpreting block scales in tensor memory")
        if shape[-2] != self.data.shape[-2]:
            unsupported(f"reinterpreting {self.data.shape[-2]} rows of tensor memory as {shape[-2]}")
        if self.rank == 3 and self.data.shape[0] > 1 and self.data.strides[0] != _row_bytes(self, self.data.shape[-1:]):
            unsupported("reinterpreting part of the columns of several buffers")
        here = _row_bytes(self, (*self.data.shape[:-2], self.data.shape[-1]))
        needed = math.prod(shape[:-2]) * shape[-1] * dtype.itemsize * layout.col_stride
        if needed > here:
            place = active().place("reinterpretation")
            raise OutOfBounds(
                f"{place} takes {needed} bytes of every row of {self.path}, which has {here}.",
                location=place.where,
                places=(place,),
                buffer=self.path,
            )
        assert isinstance(self.allocation, TensorAllocation)
        copy = self.offset // self.allocation.copy_bytes * self.allocation.copy_bytes
        start = copy + self.offset % self.allocation.width
        path = f"{self.path} as {dtype}{list(shape)}"
        return _view_of(self.allocation, start, dtype, shape, layout, path)

    _reinterpret = reinterpret

    def load(self, layout: Any = None) -> Tensor:
        """Read [rows, columns] into registers; without a layout (from Triton 3.7 on) into the 32x32b one."""
        scheduler = active()
        scheduler.pause()
        layout = unwrap(layout)
        place = scheduler.place("load from tensor memory")
        self._check_warps(place)
        if layout is None:
            layout = self.get_reg_layout()
        check_layout(tuple(self.shape), layout)
        part = self.part()
        part._record(place, write=False)
        part.check_valid(place)
        return Tensor(self.widened(part, layout), self.dtype, layout)

    def load_min(
        self, layout: Any = None, abs: Any = False, propagate_nan: Any = None, **newer: Any
    ) -> tuple[Tensor, Tensor]:
        """The block, and the smallest number of each row (of the magnitudes with `abs`)."""
        return self._load_and_reduce(np.fmin.reduce, layout, abs, propagate_nan)

    def load_max(
        self, layout: Any = None, abs: Any = False, propagate_nan: Any = None, **newer: Any
    ) -> tuple[Tensor, Tensor]:
        """The block, and the largest number of each row (of the magnitudes with `abs`)."""
        return self._load_and_reduce(np.fmax.reduce, layout, abs, propagate_nan)

    def _load_and_reduce(self, function: Any, layout: Any, magnitudes: Any, nan: Any) -> tuple[Tensor, Tensor]:
        if nan is not None and "ALL" in str(unwrap(nan)):
            unsupported("a reducing load from tensor memory that propagates NaN")
        block = self.load(layout)
        numbers = Tensor(np.abs(block.data), block.dtype, block.layout) if unwrap(magnitudes) else block
        return block, reductions.along(function, numbers, 1)

    def store(self, value: Any, pred: Any = True) -> None:
        """Write registers of the same shape and type."""
        scheduler = active()
        value = unwrap(value)
        if not isinstance(value, Tensor) or list(value.shape) != self.shape or value.dtype != self.dtype:
            refuse(f"store of {value!r} into {self.path}, which holds {self.dtype}{self.shape}.")
        scheduler.pause()
        if not unwrap(pred):
            return
        place = scheduler.place("store to tensor memory")
        self._check_warps(place)
        part = self.part()
        part._record(place, write=True)
        part.fill(self.narrowed(value.data, value.layout))

    def get_reg_layout(self, num_warps: Any = None, instr_variant: Any = "32x32b", **others: Any) -> Any:
        """The register layout of this view (Triton from 3.7 on)."""
        warps = unwrap(num_warps) or active().current().warps
        return get_tmem_reg_layout(self.dtype, self.shape, self.layout, warps, unwrap(instr_variant))

    def _check_warps(self, place: Place) -> None:
        warps = active().current().warps
        if warps % 4:
            refuse(f"{place}: a role of {warps} warps does not reach all lanes of {self.path}; it needs 4 or 8.")
        if self.rank != 2:
            refuse(f"{place}: {self.path} of shape {self.shape} must be indexed to two dimensions first.")

    def _record(self, place: Place, write: bool) -> None:
        task = active().current()
        access = Access(place, self, write, "generic", task.agent, task.clock[task.agent])
        self.allocation.history.record(access, task.clock)


class TensorAllocation(Allocation):
    """One allocate_tensor_memory; `width` is the bytes of a row."""

    def __init__(self, name: str, rows: int, width: int, columns: int, copies: int = 1) -> None:
        super().__init__(name, rows * width, copies)
        self.width = width
        self.history = ColumnHistory(columns_of(active()), name, columns)


def _row_bytes(view: TensorMemory, extents: tuple[int, ...]) -> int:
    return math.prod(extents) * view.dtype.itemsize * view.layout.col_stride


def _view_of(allocation: Any, start: int, dtype: DType, shape: tuple[int, ...], layout: Any, path: str) -> TensorMemory:
    """[*ring, rows, columns] from byte `start` of every row on."""
    step = dtype.itemsize * layout.col_stride
    strides = (*(shape[-1] * step for _ in shape[:-2]), allocation.width, step)
    data: Any = np.ndarray(shape, dtype.numpy, allocation.raw.data, start, strides)
    valid: Any = np.ndarray((*shape, dtype.itemsize), np.bool_, allocation.valid.data, start, (*strides, 1))
    return TensorMemory(allocation, data, valid, dtype, layout, path)


def allocate_tensor_memory(element_ty: Any, shape: Any, layout: Any, value: Any = None) -> TensorMemory:
    """Tensor memory of [rows, columns] or [buffers, rows, columns], poison until written."""
    scheduler = active()
    element_ty, layout = unwrap(element_ty), unwrap(layout)
    shape = tuple(int(extent) for extent in unwrap(shape))
    if not isinstance(layout, (TensorMemoryLayout, TensorMemoryScalesLayout)):
        refuse(f"allocate_tensor_memory needs a TensorMemoryLayout, not {layout!r}.")
    if len(shape) not in (2, 3) or any(n & (n - 1) or n < 1 for n in shape[-2:]):
        refuse(f"tensor memory of shape {list(shape)}: it takes two or three extents, the last two powers of two.")
    here = cluster.current()
    bases: Any = ()
    if here is not None:
        bases = cluster.layout_bases(layout, "tensor memory")
        here.two_ctas |= getattr(layout, "two_ctas", False)
    whole_width = math.prod(shape[:-2]) * shape[-1] * element_ty.itemsize * layout.col_stride
    whole_shape, (down, across) = shape, cga.splits(bases, 2)
    shape, width = (*shape[:-2], shape[-2] // down, shape[-1] // across), whole_width // across  # of one CTA
    if isinstance(layout, TensorMemoryScalesLayout):
        if element_ty.itemsize != 1 or shape[-2] < 32:
            refuse(f"block scales of {element_ty}{list(shape)}: they are bytes, of at least 32 rows.")
        columns = math.prod(shape[:-2]) * math.ceil(shape[-2] / 32) * math.ceil(shape[-1] / 4)
    else:
        if shape[-2] % layout.block[0]:
            refuse(f"tensor memory of {shape[-2]} rows in blocks of {layout.block[0]}.")
        columns = math.ceil(width / 4) * math.ceil(shape[-2] / 128)
    line = scheduler.here().line
    name = scheduler.names.get(line, f"tensor@{line}")
    if columns > COLUMNS:
        refuse(f"{name} needs {columns} columns of tensor memory, of which there are {COLUMNS}.")

    def make() -> TensorAllocation:
        return TensorAllocation(name, whole_shape[-2], whole_width, columns, cga.replicas(bases))

    allocation = make() if here is None else here.shared((name, element_ty, whole_shape, layout), make)
    start = 0 if here is None else allocation.copy_bytes * cga.replica(bases, scheduler.current().cta)
    view = _view_of(allocation, start, element_ty, whole_shape, layout, name)
    if value is not None:
        view.store(value)
    return view

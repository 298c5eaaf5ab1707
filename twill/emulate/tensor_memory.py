"""Tensor memory of Blackwell: 128 lanes by 512 columns of 32 bits that tcgen05 and tcgen05.ld/st address.

A row of a block lies in one lane, so the bytes of an allocation are kept as [rows, bytes of a row]: a slice
takes columns, `index` the columns of one buffer, and a reinterpretation the first columns of every row.
Validity and races are kept as for shared memory; only the proxies are not: the compiler orders tensor memory
itself, so no fence is asked for.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from twill.emulate import layouts
from twill.emulate.accesses import Access
from twill.emulate.constants import constexpr_function, unwrap
from twill.emulate.dtypes import DType
from twill.emulate.language import check_layout
from twill.emulate.memory import Allocation, SharedMemory
from twill.emulate.report import OutOfBounds, Place
from twill.emulate.scheduler import active
from twill.emulate.values import Tensor, refuse, unsupported

COLUMNS = 512
VARIANTS = ("32x32b", "16x64b", "16x128b", "16x256b", "16x32bx2", "32x32b_splitn")


@dataclass(frozen=True)
class TensorMemoryLayout(layouts._Frozen):
    """Blocks of (rows, columns) elements; `col_stride` 32/bitwidth leaves half types unpacked, 1 packs them."""

    block: Any
    col_stride: int
    cta_split_num: Any = None
    two_ctas: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.block) != 2 or self.block[0] not in (64, 128):
            raise ValueError(f"a block of tensor memory has 64 or 128 rows and some columns, not {self.block}")
        if self.col_stride < 1 or self.col_stride & (self.col_stride - 1):
            raise ValueError(f"col_stride {self.col_stride} of tensor memory must be a power of two")
        if self.two_ctas or self.cta_split_num not in (None, (1, 1)):
            unsupported("tensor memory over two thread blocks")


@dataclass(frozen=True)
class TensorMemoryRegisters(layouts.DistributedLayout):
    """The register layout tcgen05.ld and .st give a block of `shape` on `num_warps` warps."""

    shape: Any
    rows: int
    num_warps: int
    variant: str

    @property
    def rank(self) -> int:
        return 2

    @property
    def warps(self) -> int:
        return self.num_warps


@constexpr_function
def get_tmem_reg_layout(
    element_ty: DType,
    shape: Any,
    layout: TensorMemoryLayout,
    num_warps: int,
    instr_variant: str = "32x32b",
    cga_layout: Any = (),
) -> TensorMemoryRegisters:
    """The register layout of a load or store of [rows, columns] tensor memory."""
    if instr_variant not in VARIANTS:
        raise ValueError(f"unknown instr_variant: {instr_variant}")
    if num_warps < 4 or num_warps & (num_warps - 1):
        raise ValueError(f"num_warps {num_warps} of a tensor memory access must be a power of two from 4")
    if len(shape) != 2:
        raise ValueError(f"expected two extents, not {list(shape)}")
    return TensorMemoryRegisters(tuple(shape), layout.block[0], num_warps, instr_variant)


class TensorMemory(SharedMemory):
    """A view of a tensor memory allocation (Gluon's tensor_memory_descriptor): [rows, columns], or a ring of them."""

    layout: TensorMemoryLayout

    def _view(self, data: Any, valid: Any, path: str, layout: Any = None) -> TensorMemory:
        return TensorMemory(self.allocation, data, valid, self.dtype, layout or self.layout, path)

    def slice(self, start: Any, length: Any, dim: Any = None) -> TensorMemory:
        """The columns start:start+length."""
        dim = self.rank - 1 if unwrap(dim) is None else unwrap(dim)
        if dim != self.rank - 1:
            refuse(f"{self.path}: tensor memory is sliced along its columns only.")
        view = super().slice(start, length, dim)
        rows, columns = self.layout.block
        view.layout = TensorMemoryLayout((rows, min(columns, view.shape[-1])), self.layout.col_stride)
        assert isinstance(view, TensorMemory)
        return view

    def index(self, index: Any) -> TensorMemory:
        """One buffer of a ring."""
        if self.rank < 3:
            refuse(f"{self.path} of shape {self.shape} is not an array of buffers.")
        view = super().index(index)
        assert isinstance(view, TensorMemory)
        return view

    def permute(self, order: Any) -> TensorMemory:
        refuse(f"{self.path}: tensor memory cannot be permuted.")

    def reshape(self, shape: Any) -> TensorMemory:
        refuse(f"{self.path}: tensor memory cannot be reshaped; reinterpret it.")

    def reinterpret(self, dtype: Any, shape: Any, layout: Any) -> TensorMemory:
        """The same lanes, from the same column on, with another type and no more columns."""
        dtype, layout = unwrap(dtype), unwrap(layout)
        shape = tuple(int(extent) for extent in unwrap(shape))
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
        start = self.offset % self.allocation.width
        path = f"{self.path} as {dtype}{list(shape)}"
        return _view_of(self.allocation, start, dtype, shape, layout, path)

    _reinterpret = reinterpret

    def load(self, layout: Any = None) -> Tensor:
        """Read [rows, columns] into registers; later versions of Triton choose the layout themselves."""
        scheduler = active()
        scheduler.pause()
        layout = unwrap(layout)
        place = scheduler.place("load from tensor memory")
        self._check_warps(place)
        check_layout(tuple(self.shape), layout)
        self._record(place, write=False)
        self.check_valid(place)
        return Tensor(self.data.copy(), self.dtype, layouts.ANY if layout is None else layout)

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
        self._record(place, write=True)
        self.fill(value.data)

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

    def __init__(self, name: str, rows: int, width: int) -> None:
        super().__init__(name, rows * width)
        self.width = width


def _row_bytes(view: TensorMemory, extents: tuple[int, ...]) -> int:
    return math.prod(extents) * view.dtype.itemsize * view.layout.col_stride


def _view_of(
    allocation: Any, start: int, dtype: DType, shape: tuple[int, ...], layout: TensorMemoryLayout, path: str
) -> TensorMemory:
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
    if not isinstance(layout, TensorMemoryLayout):
        refuse(f"allocate_tensor_memory needs a TensorMemoryLayout, not {layout!r}.")
    if len(shape) not in (2, 3) or any(n & (n - 1) or n < 1 for n in shape[-2:]):
        refuse(f"tensor memory of shape {list(shape)}: it takes two or three extents, the last two powers of two.")
    if shape[-2] % layout.block[0]:
        refuse(f"tensor memory of {shape[-2]} rows in blocks of {layout.block[0]}.")
    width = math.prod(shape[:-2]) * shape[-1] * element_ty.itemsize * layout.col_stride
    columns = math.ceil(width / 4) * math.ceil(shape[-2] / 128)
    line = scheduler.here().line
    name = scheduler.names.get(line, f"tensor@{line}")
    if columns > COLUMNS:
        refuse(f"{name} needs {columns} columns of tensor memory, of which there are {COLUMNS}.")
    view = _view_of(TensorAllocation(name, shape[-2], width), 0, element_ty, shape, layout, name)
    if value is not None:
        view.store(value)
    return view

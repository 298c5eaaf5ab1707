"""Stand-in for `gluon.language.nvidia.hopper.tma`, and tensor descriptors on both sides of the launch.

A load writes its buffer at some moment between its issue and the completion of its barrier's phase; the
buffer is poison from the issue on. A store reads its buffer at some moment until `store_wait`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from twill.emulate import layouts, mbarrier
from twill.emulate.accesses import Access
from twill.emulate.barriers import Barrier
from twill.emulate.constants import unwrap
from twill.emulate.dtypes import BlockType
from twill.emulate.global_accesses import record_async
from twill.emulate.memory import GlobalMemory, SharedMemory
from twill.emulate.report import OutOfBounds, Place
from twill.emulate.scheduler import Event, active
from twill.emulate.values import Array, Tensor, as_tensor, refuse


@dataclass
class TensorDescriptor:
    """Host side: a view of a torch tensor that TMA moves in blocks. The checks are the driver's.

    base: torch tensor; shape, strides: of the view, in elements, innermost last; block_shape: of one
    transfer; layout: of the shared-memory block.
    """

    base: Any
    shape: Sequence[int]
    strides: Sequence[int]
    block_shape: Sequence[int]
    layout: Any = None
    padding: str = "zero"
    round_f32_to_tf32: bool = False

    def __post_init__(self) -> None:
        self.block_shape, self.layout = unwrap(list(self.block_shape)), unwrap(self.layout)
        rank, itemsize = len(self.shape), self.base.dtype.itemsize
        if not (rank == len(self.strides) == len(self.block_shape) and 1 <= rank <= 5):
            raise ValueError(f"shape, strides and block shape must have one rank from 1 to 5, not {rank}")
        if self.base.data_ptr() % 16:
            raise ValueError("the base of a tensor descriptor must be 16-byte aligned")
        if self.strides[-1] != 1 or any(stride * itemsize % 16 for stride in self.strides[:-1]):
            raise ValueError(f"strides {list(self.strides)} must be multiples of 16 bytes, the last one 1")
        if min(self.shape) <= 0 or any(extent & (extent - 1) or extent <= 0 for extent in self.block_shape):
            raise ValueError(f"shape {list(self.shape)} must be positive and block {self.block_shape} powers of two")
        if self.block_shape[-1] * itemsize < 16:
            raise ValueError(f"the last extent of block {self.block_shape} has less than 16 bytes")
        if not isinstance(self.layout, layouts.NVMMASharedLayout):
            raise ValueError(f"the layout of a tensor descriptor must be an NVMMASharedLayout, not {self.layout}")

    @staticmethod
    def from_tensor(tensor: Any, block_shape: Sequence[int], layout: Any = None, padding: str = "zero") -> Any:
        return TensorDescriptor(tensor, tensor.shape, tensor.stride(), block_shape, layout, padding)


class DeviceDescriptor:
    """Device side: global memory seen as an array of `shape`, moved in blocks of `block_shape`."""

    def __init__(self, base: Tensor, shape: Any, strides: Any, block_shape: Any, layout: Any, padding: str) -> None:
        if base.memory is None:
            refuse(f"a tensor descriptor of {base!r}, which is not a pointer.")
        self.memory: GlobalMemory = base.memory
        self.dtype = base.dtype.element_ty
        self.shape = tuple(as_tensor(int(extent)) for extent in shape)
        self.strides = tuple(as_tensor(int(stride)) for stride in strides)
        self.layout = layout
        self.padding = padding
        self.block_type = BlockType(self.dtype, tuple(block_shape), layout)
        extents, steps, start = [int(e) for e in shape], [int(s) for s in strides], int(base.data)
        last = start + sum((extent - 1) * step for extent, step in zip(extents, steps, strict=True))
        if start < 0 or last >= self.memory.flat.size:
            raise OutOfBounds(
                f"a tensor descriptor of shape {extents} and strides {steps} ends at element {last} of "
                f"{self.memory.name}, which has {self.memory.flat.size}.",
                hint="Check the shape and strides given to the descriptor.",
            )
        bytes = [step * self.dtype.itemsize for step in steps]
        self.array = np.lib.stride_tricks.as_strided(self.memory.flat[start:], extents, bytes)
        self.numbers = np.lib.stride_tricks.as_strided(
            self.memory.numbers[start:], extents, [8 * step for step in steps]
        )

    @property
    def block_shape(self) -> list[int]:
        return self.block_type.shape

    @property
    def nbytes_per_cta(self) -> int:
        return self.block_type.nbytes

    @property
    def type(self) -> DeviceDescriptor:
        return self

    def read(self, at: tuple[int, ...]) -> Array:
        """The block at `at`; what lies outside the tensor is zero (or NaN)."""
        fill = float("nan") if self.padding == "nan" else 0
        block = np.full(self.block_shape, fill, self.dtype.numpy)
        inside, source = self._clip(at)
        block[inside] = self.array[source]
        return block

    def write(self, at: tuple[int, ...], block: Array) -> None:
        """The part of `block` that lies inside the tensor."""
        inside, target = self._clip(at)
        self.array[target] = block.reshape(self.block_shape)[inside]

    def read_rows(self, rows: Array, column: int) -> Array:
        """[len(rows), block columns]; rows and columns outside the tensor are zero (or NaN)."""
        fill = float("nan") if self.padding == "nan" else 0
        block = np.full((len(rows), self.block_shape[-1]), fill, self.dtype.numpy)
        inside = (rows >= 0) & (rows < self.array.shape[0])
        (_, into), (_, columns) = self._clip((0, column))
        block[inside, into] = self.array[rows[inside], columns]
        return block

    def write_rows(self, rows: Array, column: int, block: Array) -> None:
        """The rows and columns of `block` that lie inside the tensor."""
        inside = (rows >= 0) & (rows < self.array.shape[0])
        (_, source), (_, columns) = self._clip((0, column))
        self.array[rows[inside], columns] = block[inside, source]

    def _clip(self, at: tuple[int, ...]) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
        block, whole = [], []
        for start, extent, size in zip(at, self.block_shape, self.array.shape, strict=True):
            low, high = min(max(start, 0), size), max(min(start + extent, size), 0)
            block.append(slice(low - start, max(high, low) - start))
            whole.append(slice(low, max(high, low)))
        return tuple(block), tuple(whole)


def make_tensor_descriptor(
    base: Tensor, shape: Any, strides: Any, block_shape: Any, layout: Any, padding_option: str = "zero"
) -> DeviceDescriptor:
    """A descriptor built on the device."""
    return DeviceDescriptor(base, unwrap(shape), unwrap(strides), unwrap(block_shape), unwrap(layout), padding_option)


def async_load(
    tensor_desc: DeviceDescriptor,
    coord: Sequence[Any],
    barrier: SharedMemory,
    result: SharedMemory,
    pred: Any = True,
    multicast: Any = False,
    cache_policy: Any = None,
) -> None:
    """Start a load of one block; its bytes count on `barrier` when it is in."""
    scheduler = active()
    scheduler.pause()
    if not pred:
        return
    at = _check(tensor_desc, coord, result)
    place = scheduler.place("TMA load")
    access = _start(place, mbarrier.find(barrier, place), result, lambda: tensor_desc.read(at))
    record_async(tensor_desc.memory.history, access, tensor_desc.numbers[tensor_desc._clip(at)[1]], write=False)


def _start(place: Place, signal: Barrier, result: SharedMemory, read: Callable[[], Array]) -> Access:
    scheduler = active()
    task = scheduler.current()
    access = Access(place, result, True, "async", signal.agent, None)
    result.allocation.history.record(access, task.clock)
    result.poison()
    load, issued = (place, result.nbytes_per_cta), dict(task.clock)
    signal.in_flight.append(load)

    def land() -> None:
        result.fill(read().reshape(result.data.shape))
        access.epoch = signal.land(load, issued)

    scheduler.loads.append(Event(place, land))
    scheduler.load_accesses.append(access)
    return access


def async_store(
    tensor_desc: DeviceDescriptor, coord: Sequence[Any], src: SharedMemory, cache_policy: Any = None
) -> None:
    """Start a store of one block; `src` must stay as it is until `store_wait` covers it."""
    scheduler = active()
    scheduler.pause()
    at = _check(tensor_desc, coord, src)
    access = _read_later("TMA store", src, lambda: tensor_desc.write(at, src.data))
    record_async(tensor_desc.memory.history, access, tensor_desc.numbers[tensor_desc._clip(at)[1]], write=True)


def _read_later(action: str, src: SharedMemory, write: Callable[[], None]) -> Access:
    scheduler = active()
    place, task = scheduler.place(action), scheduler.current()
    access = Access(place, src, False, "async", task.stores.agent, task.stores.next_epoch())
    src.allocation.history.record(access, task.clock)
    src.check_valid(place)
    task.stores.issue(place, write)
    return access


def store_wait(pendings: Any = 0) -> None:
    """Wait until all but the `pendings` newest stores of this role have read their source."""
    scheduler = active()
    scheduler.pause()
    task = scheduler.current()
    task.stores.retire(int(unwrap(pendings)), task.clock)


def async_gather(
    tensor_desc: DeviceDescriptor,
    x_offsets: Tensor,
    y_offset: Any,
    barrier: SharedMemory,
    result: SharedMemory,
    pred: Any = True,
    **newer: Any,
) -> None:
    """Start a load of the rows `x_offsets` [rows], columns from `y_offset` on, into `result` [rows, columns]."""
    scheduler = active()
    scheduler.pause()
    rows, column = _check_rows(tensor_desc, x_offsets, y_offset, result)
    if not pred:
        return
    place = scheduler.place("TMA gather")
    _start(place, mbarrier.find(barrier, place), result, lambda: tensor_desc.read_rows(rows, column))


def async_scatter(tensor_desc: DeviceDescriptor, x_offsets: Tensor, y_offset: Any, src: SharedMemory) -> None:
    """Start a store of `src` [rows, columns] to the rows `x_offsets`; as it is until `store_wait` covers it."""
    scheduler = active()
    scheduler.pause()
    rows, column = _check_rows(tensor_desc, x_offsets, y_offset, src)
    _read_later("TMA scatter", src, lambda: tensor_desc.write_rows(rows, column, src.data))


async_copy_global_to_shared = async_load  # the names before Triton 3.9
async_copy_shared_to_global = async_store


def _check(descriptor: DeviceDescriptor, coord: Sequence[Any], buffer: SharedMemory) -> tuple[int, ...]:
    at = tuple(int(unwrap(c)) for c in coord)
    if len(at) != len(descriptor.block_shape):
        refuse(f"{len(at)} coordinates for a tensor descriptor of rank {len(descriptor.block_shape)}.")
    if [e for e in buffer.shape if e != 1] != [e for e in descriptor.block_shape if e != 1]:
        refuse(f"{buffer.path} of shape {buffer.shape} for a descriptor of block {descriptor.block_shape}.")
    if buffer.dtype != descriptor.dtype:
        refuse(f"{buffer.path} of {buffer.dtype} for a descriptor of {descriptor.dtype}.")
    if buffer.layout != descriptor.layout and descriptor.layout is not None:
        refuse(f"{buffer.path} has layout {buffer.layout}, its descriptor {descriptor.layout}.")
    if at[-1] * descriptor.dtype.itemsize % 16:
        refuse(f"the innermost coordinate {at[-1]} is not a multiple of 16 bytes.")
    return at


def _check_rows(descriptor: DeviceDescriptor, rows: Any, column: Any, buffer: SharedMemory) -> tuple[Array, int]:
    rows, column = unwrap(rows), int(unwrap(column))
    if not isinstance(rows, Tensor) or len(rows.shape) != 1 or not rows.dtype.is_int():
        refuse(f"the rows of a gather or scatter are {rows!r}, not a block of integers.")
    if len(descriptor.block_shape) != 2 or descriptor.block_shape[0] != 1:
        refuse(f"a gather or scatter needs a descriptor of blocks [1, columns], not {descriptor.block_shape}.")
    if buffer.shape != [rows.numel, descriptor.block_shape[1]] or rows.numel < 8:
        refuse(
            f"{buffer.path} of shape {buffer.shape} for {rows.numel} rows of {descriptor.block_shape[1]}; at least 8."
        )
    if buffer.dtype != descriptor.dtype or not isinstance(buffer.layout, layouts.NVMMASharedLayout):
        refuse(f"{buffer.path} of {buffer.dtype} in {buffer.layout} for a descriptor of {descriptor.dtype}.")
    if column * descriptor.dtype.itemsize % 16:
        refuse(f"the column {column} is not a multiple of 16 bytes.")
    return rows.data.astype(np.int64), column

"""Memory: global memory behind torch tensors, and shared memory that is poison until it is written.

Shared memory is a byte array per allocation; every view of it (index, slice, permute, reinterpret) is a
numpy view of the same bytes, so overlap is exact. A second array says which bytes hold data; the others
are all ones, which reads as NaN in every float type.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from twill.emulate import cga, cluster, layouts
from twill.emulate.accesses import Access, History
from twill.emulate.barriers import Barrier
from twill.emulate.cluster_views import ClusterView
from twill.emulate.constants import unwrap
from twill.emulate.dtypes import TORCH_NAMES, BlockType, DType
from twill.emulate.global_accesses import GlobalHistory
from twill.emulate.report import OutOfBounds, Place, Poison
from twill.emulate.scheduler import Scheduler, active
from twill.emulate.tokens import Accumulator
from twill.emulate.values import Array, Tensor, refuse, unsupported
from twill.errors import Unsupported


class GlobalMemory:
    """The storage a tensor argument lives in, as a flat array; writes go to the torch tensor itself."""

    def __init__(self, name: str, flat: Array) -> None:
        self.name = name
        self.flat = flat
        self.history = GlobalHistory(name, flat.size)

    @functools.cached_property
    def numbers(self) -> Array:
        """The offset of each element, for views of it."""
        return np.arange(self.flat.size)

    def check(self, offsets: Array, what: str) -> None:
        """Every offset lies inside the storage."""
        if offsets.size and (offsets.min() < 0 or offsets.max() >= self.flat.size):
            worst = int(offsets.min() if offsets.min() < 0 else offsets.max())
            raise OutOfBounds(
                f"{what} touches element {worst} of {self.name}, which has {self.flat.size}.",
                hint="Mask the access, or check the pointer arithmetic.",
                location=active().here(),
            )


def torch_array(tensor: Any) -> Array:
    """A CPU torch tensor as a numpy view of its elements, whatever its dtype."""
    dtype = TORCH_NAMES.get(str(tensor.dtype).removeprefix("torch."))
    if dtype is None:
        raise Unsupported(f"the emulator does not know torch dtype {tensor.dtype}.")
    flat = storage_array(tensor, dtype)
    strides = [step * dtype.itemsize for step in tensor.stride()]
    return np.lib.stride_tricks.as_strided(flat[tensor.storage_offset() :], tuple(tensor.shape), strides)


def storage_array(tensor: Any, dtype: DType) -> Array:
    """All elements of a torch tensor's storage, flat; writing to it writes to the tensor."""
    import torch

    flat = torch.empty(0, dtype=torch.uint8).set_(tensor.untyped_storage()).numpy()
    return flat[: flat.size // dtype.itemsize * dtype.itemsize].view(dtype.numpy)


class Allocation:
    """One allocate_shared_memory of a thread block; of a cluster `copies` times `nbytes`, one after another."""

    def __init__(self, name: str, nbytes: int, copies: int = 1) -> None:
        self.name = name
        self.copy_bytes = nbytes
        nbytes *= copies
        self.raw = np.full(nbytes, 0xFF, np.uint8)
        self.valid = np.zeros(nbytes, np.bool_)
        self.history = History()
        self.barriers: dict[int, Barrier] = {}
        self.base = self.raw.__array_interface__["data"][0]


class SharedMemory(ClusterView):
    """A view of an allocation (Gluon's shared_memory_descriptor). `path` names it in reports."""

    def __init__(self, allocation: Allocation, data: Array, valid: Array, dtype: DType, layout: Any, path: str) -> None:
        self.allocation = allocation
        self.data = data  # [*shape], in the storage type
        self.valid = valid  # [*shape, itemsize]
        self.dtype = dtype
        self.layout = layout
        self.path = path
        self.span = (data.__array_interface__["data"][0], data.shape, data.strides)

    @property
    def bytes(self) -> Array:
        return self.data

    @property
    def shape(self) -> list[int]:
        return list(self.data.shape)

    @property
    def rank(self) -> int:
        return self.data.ndim

    @property
    def numel(self) -> int:
        return self.data.size

    @property
    def nbytes_per_cta(self) -> int:
        return self.data.size * self.dtype.primitive_bitwidth // 8 // cga.parts(cga.bases(self.layout) or ())

    @property
    def type(self) -> BlockType:
        return BlockType(self.dtype, self.data.shape, self.layout)

    @property
    def offset(self) -> int:
        """Bytes from the start of the allocation."""
        return self.span[0] - self.allocation.base

    def _view(self, data: Array, valid: Array, path: str, layout: Any = None) -> SharedMemory:
        view = SharedMemory(self.allocation, data, valid, self.dtype, layout or self.layout, path)
        view.divided = self.divided
        return view

    def index(self, index: Any) -> SharedMemory:
        """The view at one position of the first axis: a ring's slot, a barrier of an array."""
        position = int(unwrap(index))
        try:
            self._within(0, position, 1)
        except OutOfBounds as error:
            from twill.emulate.rearranged import Outside

            return Outside(error)
        return self._view(self.data[position], self.valid[position], f"{self.path}[{position}]")

    def slice(self, start: Any, length: Any, dim: Any = 0) -> SharedMemory:
        start, length, dim = int(unwrap(start)), int(unwrap(length)), int(unwrap(dim))
        self._within(dim, start, length)
        cut = (slice(None),) * dim + (slice(start, start + length),)
        text = ", ".join([":"] * dim + [f"{start}:{start + length}"])
        return self._view(self.data[cut], self.valid[cut], f"{self.path}[{text}]")

    def _within(self, dim: int, start: int, length: int) -> None:
        if not 0 <= start <= start + length <= self.data.shape[dim]:
            place = active().place("access")
            raise OutOfBounds(
                f"{place} takes {start}:{start + length} along axis {dim} of {self.path}, which has extent "
                f"{self.data.shape[dim]}.",
                hint="Take the index modulo the depth of the ring that was allocated.",
                location=place.where,
                places=(place,),
                buffer=self.path,
            )

    def permute(self, order: Any) -> SharedMemory:
        order = tuple(int(axis) for axis in unwrap(order))
        layout = self.layout
        if isinstance(layout, layouts.NVMMASharedLayout) and order == (1, 0):
            turned = tuple(basis[::-1] for basis in layout.cga_layout)
            layout = dataclasses.replace(layout, transposed=not layout.transposed, cga_layout=turned)
        data, valid = self.data.transpose(order), self.valid.transpose((*order, self.data.ndim))
        view = self._view(data, valid, self.path, layout)
        if cluster.current() is not None:
            view.divided = cga.permuted(self.division(), order)
        return view

    def reshape(self, shape: Any) -> SharedMemory:
        shape = tuple(int(extent) for extent in unwrap(shape))
        if math.prod(shape) != self.data.size:
            refuse(f"{self.path} of shape {self.shape} does not reshape to {list(shape)}.")
        if not self.data.flags.c_contiguous:
            from twill.emulate.rearranged import Rearranged

            return Rearranged(self, shape, None if cluster.current() is None else self.reshaped_division(shape))
        view = self._view(self.data.reshape(shape), self.valid.reshape(*shape, self.dtype.itemsize), self.path)
        if cluster.current() is not None:
            view.divided = self.reshaped_division(shape)
        return view

    def reinterpret(self, dtype: Any, shape: Any, layout: Any) -> SharedMemory:
        """The bytes from here on with another type and shape: the next slots of a ring too, but of no other buffer."""
        dtype, layout = unwrap(dtype), unwrap(layout)
        shape = tuple(int(extent) for extent in unwrap(shape))
        if not self.data.flags.c_contiguous:
            unsupported("reinterpreting a view that is not contiguous")
        if cluster.current() is not None:
            self._whole_only(layout)
        nbytes = math.prod(shape) * dtype.itemsize
        room = self.allocation.copy_bytes - self.offset % self.allocation.copy_bytes
        if nbytes > room:
            place = active().place("reinterpretation")
            raise OutOfBounds(
                f"{place} makes {nbytes} bytes of {self.path}, after which {self.allocation.name} has {room}.",
                location=place.where,
                places=(place,),
                buffer=self.path,
            )
        raw = self.allocation.raw[self.offset : self.offset + nbytes]
        valid = self.allocation.valid[self.offset : self.offset + nbytes]
        path = f"{self.path} as {dtype}{list(shape)}"
        return SharedMemory(
            self.allocation,
            raw.view(dtype.numpy).reshape(shape),
            valid.reshape(*shape, dtype.itemsize),
            dtype,
            layout,
            path,
        )

    _reinterpret = reinterpret  # the name before Triton 3.9

    def _keep_alive(self) -> None:
        """Nothing: shared memory lives as long as its thread block here."""

    def load(self, layout: Any) -> Tensor:
        """Read into registers through the generic proxy."""
        scheduler = active()
        scheduler.pause()
        place = scheduler.place("load from shared memory")
        part = self.part()
        record_generic(scheduler, part, place, write=False)
        part.check_valid(place)
        return Tensor(self.widened(part, unwrap(layout)), self.dtype, unwrap(layout))

    def store(self, value: Any) -> None:
        """Write from registers through the generic proxy."""
        scheduler = active()
        value = unwrap(value)
        if isinstance(value, Accumulator):
            value.misused("as the operand of a store")
        if not isinstance(value, Tensor) or list(value.shape) != self.shape or value.dtype != self.dtype:
            refuse(f"store of {value!r} into {self.path}, which holds {self.dtype}{self.shape}.")
        scheduler.pause()
        part = self.part()
        record_generic(scheduler, part, scheduler.place("store to shared memory"), write=True)
        part.fill(self.narrowed(value.data, value.layout))

    def fill(self, data: Array) -> None:
        self.data[...] = data
        self.valid[...] = True

    def poison(self) -> None:
        """What is here is no longer, or not yet, data."""
        if self.data.flags.c_contiguous:
            self.data.reshape(-1).view(np.uint8)[...] = 0xFF
        else:
            self.data[...] = np.full(1, 0xFF, np.uint8).repeat(self.dtype.itemsize).view(self.dtype.numpy)[0]
        self.valid[...] = False

    def check_valid(self, place: Place) -> None:
        if not self.valid.all():
            whole = "nothing" if not self.valid.any() else "nothing, in part,"
            raise Poison(
                f"{place} reads {self.path}, which {whole} has written.",
                hint="Wait for the load or store that fills it first.",
                location=place.where,
                places=(place,),
                buffer=self.path,
            )


def record_generic(scheduler: Scheduler, view: SharedMemory, place: Place, write: bool) -> Access:
    """Check and remember an access by the threads of the running role; returns it."""
    task = scheduler.current()
    access = Access(place, view, write, "generic", task.agent, task.clock[task.agent])
    view.allocation.history.record(access, task.clock)
    if write:
        scheduler.unfenced.append(access)
    return access


def allocate(name: str, dtype: DType, shape: Sequence[int], layout: Any) -> SharedMemory:
    """A new allocation, all of it poison; in a cluster the one that all its CTAs share."""
    shape, here = tuple(shape), cluster.current()
    nbytes, copy = math.prod(shape) * dtype.itemsize, 0
    if here is None:
        allocation = Allocation(name, nbytes)
    else:
        bases = cluster.layout_bases(layout, name)
        alone = isinstance(layout, layouts.MBarrierLayout)  # CTAs of one group use the barrier of their lead
        copies, copy = (1, 0) if alone else (cga.replicas(bases), cga.replica(bases, active().current().cta))
        allocation = here.shared((name, dtype, shape, layout), lambda: Allocation(name, nbytes, copies))
    taken = slice(copy * nbytes, (copy + 1) * nbytes)
    data = allocation.raw[taken].view(dtype.numpy).reshape(shape)
    return SharedMemory(allocation, data, allocation.valid[taken].reshape(*shape, dtype.itemsize), dtype, layout, name)

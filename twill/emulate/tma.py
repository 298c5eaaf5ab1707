"""Stand-in for `gluon.language.nvidia.hopper.tma`: loads, stores, gathers and scatters through tensor descriptors.

A load writes its buffer at some moment between its issue and the completion of its barrier's phase; the
buffer is poison from the issue on. A store reads its buffer at some moment until `store_wait`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np

from twill.emulate import cga, cluster, holdings, layouts, mbarrier, trace
from twill.emulate.accesses import Access
from twill.emulate.barriers import Barrier
from twill.emulate.constants import unwrap
from twill.emulate.descriptors import DeviceDescriptor
from twill.emulate.global_accesses import record_async
from twill.emulate.memory import SharedMemory
from twill.emulate.report import Place
from twill.emulate.scheduler import Event, active
from twill.emulate.values import Array, Tensor, refuse

P = TypeVar("P")


def async_load(
    tensor_desc: DeviceDescriptor,
    coord: Sequence[Any],
    barrier: SharedMemory,
    result: SharedMemory,
    pred: Any = True,
    multicast: Any = False,
    cache_policy: Any = None,
) -> None:
    """Start a load of one block; its bytes count on `barrier` when it is in.

    In a cluster every CTA loads its part. With `multicast`, of those that hold the same part the lead loads it for all,
    into the buffer and onto the barrier of each.
    """
    scheduler = active()
    scheduler.pause()
    if not pred:
        return
    at = check_block(tensor_desc, coord, result)
    place = scheduler.place("TMA load")
    for access, part in deliver(
        place, barrier, result, multicast, lambda cta: tensor_desc.part(at, cta), tensor_desc.read
    ):
        record_async(tensor_desc.memory.history, access, tensor_desc.elements(part), write=False)


def deliver(
    place: Place, barrier: SharedMemory, result: SharedMemory, multicast: Any, part: Callable[[int], P],
    read: Callable[[P], Array],
) -> list[tuple[Access, P]]:  # fmt: skip
    """Start the loads of the running CTA into all that receive them; the access and the part of each."""
    started = []
    for cta in receivers(result, bool(unwrap(multicast))):
        source, buffer = part(cta), result.part(cta)
        access = _start(place, mbarrier.signalled(barrier, place, cta), buffer, functools.partial(read, source))
        started.append((access, source))
        here = cluster.current()
        if here is not None:
            here.remote(place, cta, result.path, access)
    return started


def receivers(result: SharedMemory, multicast: bool) -> list[int]:
    """The CTAs that a load of the running one goes to."""
    here = cluster.current()
    me = active().current().cta
    if here is None or not multicast:
        return [me]
    bases = cluster.layout_bases(result.layout, result.path)
    return cga.sharing(bases, me) if cga.lead(bases, me) == me else []


def _start(place: Place, signal: Barrier, result: SharedMemory, read: Callable[[], Array]) -> Access:
    scheduler = active()
    task = scheduler.current()
    access = Access(place, result, True, "async", signal.agent, None)
    result.allocation.history.record(access, task.clock)
    result.poison()
    load, issued = (place, result.data.size * result.dtype.primitive_bitwidth // 8), dict(task.clock)
    task.release()
    trace.signal(signal, issued, place)
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
    at = check_block(tensor_desc, coord, src)
    part, held = tensor_desc.part(at, scheduler.current().cta), src.part()
    access = read_later("TMA store", held, lambda: tensor_desc.write(part, held.data))
    if holdings.leads(src.layout, src.path):  # the others that hold the same part store the same
        record_async(tensor_desc.memory.history, access, tensor_desc.elements(part), write=True)


def read_later(action: str, src: SharedMemory, write: Callable[[], None]) -> Access:
    """Start an operation that reads `src` at some moment until `store_wait` covers it, and then does `write`."""
    scheduler = active()
    place, task = scheduler.place(action), scheduler.current()
    access = Access(place, src, False, "async", task.stores.agent, task.stores.next_epoch())
    src.allocation.history.record(access, task.clock)
    src.check_valid(place)
    task.stores.issue(place, write, src.path)
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
    cluster.refuse("a TMA gather or scatter")
    rows, column = _check_rows(tensor_desc, x_offsets, y_offset, result)
    if not pred:
        return
    place = scheduler.place("TMA gather")
    access = _start(place, mbarrier.signalled(barrier, place), result, lambda: tensor_desc.read_rows(rows, column))
    record_async(tensor_desc.memory.history, access, tensor_desc.row_elements(rows, column), write=False)


def async_scatter(tensor_desc: DeviceDescriptor, x_offsets: Tensor, y_offset: Any, src: SharedMemory) -> None:
    """Start a store of `src` [rows, columns] to the rows `x_offsets`; as it is until `store_wait` covers it."""
    scheduler = active()
    scheduler.pause()
    cluster.refuse("a TMA gather or scatter")
    rows, column = _check_rows(tensor_desc, x_offsets, y_offset, src)
    access = read_later("TMA scatter", src, lambda: tensor_desc.write_rows(rows, column, src.data))
    record_async(tensor_desc.memory.history, access, tensor_desc.row_elements(rows, column), write=True)


async_copy_global_to_shared = async_load  # the names before Triton 3.9
async_copy_shared_to_global = async_store


def check_block(descriptor: DeviceDescriptor, coord: Sequence[Any], buffer: SharedMemory) -> tuple[int, ...]:
    """The coordinates of a transfer of `buffer`, when buffer and descriptor fit each other."""
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

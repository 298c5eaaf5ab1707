"""Stand-in for `gluon.language.nvidia.ampere.async_copy`: copies from pointers (cp.async).

A copy writes its buffer at some moment until `wait_group` covers its group, or until the phase completes of a barrier
that `mbarrier_arrive` told to wait for it; the buffer is poison until then.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from twill.emulate import cluster, trace
from twill.emulate import mbarrier as barriers
from twill.emulate.accesses import Access, Clock
from twill.emulate.constants import unwrap
from twill.emulate.global_accesses import record_async
from twill.emulate.memory import SharedMemory
from twill.emulate.pointers import reading
from twill.emulate.report import Unwaited
from twill.emulate.scheduler import Event, Scheduler, active
from twill.emulate.values import refuse

__all__ = ["async_copy_global_to_shared", "async_load", "commit_group", "mbarrier_arrive", "wait_group"]


@dataclass
class Copies:
    """The copies of one role, numbered from 1; `pending`, they and their arrivals, may happen in the order of issue."""

    agent: int
    issued: int = 0  # of matrix multiplications, which the statistics count: none
    copied: int = 0  # the number of the last copy
    groups: list[int] = field(default_factory=list)  # of each committed group: the number of its last copy
    pending: list[Event] = field(default_factory=list)
    accesses: list[Access] = field(default_factory=list)

    def check_end(self, final: Clock) -> None:
        """Every copy is over before the thread block is."""
        for access in self.accesses:
            if not access.before(final):
                raise Unwaited(
                    f"{access.place} into {access.view.path} was never waited for.",
                    hint="Call commit_group() and wait_group(0) after it, or mbarrier_arrive() and wait for that.",
                    location=access.place.where,
                    places=(access.place,),
                    buffer=access.view.path,
                )


def _copies(scheduler: Scheduler) -> Copies:
    task = scheduler.current()
    copies = scheduler.pipes.setdefault(-task.agent, Copies(scheduler.agent()))
    assert isinstance(copies, Copies)
    return copies


def async_copy_global_to_shared(smem: Any, pointer: Any, mask: Any = None, **hints: Any) -> None:
    """Start a copy of the elements at `pointer` [*shape]; where `mask` is false the buffer becomes zero."""
    scheduler = active()
    scheduler.pause()
    cluster.refuse("cp.async")
    smem = unwrap(smem)
    if not isinstance(smem, SharedMemory) or smem.shape != list(pointer.shape):
        refuse(f"an asynchronous copy of {pointer!r} into {smem!r}: the shapes differ.")
    if smem.dtype != pointer.dtype.element_ty:
        refuse(f"an asynchronous copy of {pointer.dtype} into {smem.path} of {smem.dtype}.")
    place, task = scheduler.place("asynchronous copy"), scheduler.current()
    copies = _copies(scheduler)
    memory, elements, _, read = reading(pointer, mask, None if mask is None else 0, "asynchronous copy")
    copies.copied += 1
    access = Access(place, smem, True, "generic", copies.agent, copies.copied)
    smem.allocation.history.record(access, task.clock)
    scheduler.unfenced.append(access)
    record_async(memory.history, access, elements, write=False)
    smem.poison()
    copies.pending.append(Event(place, lambda: smem.fill(read()), copies.copied))
    copies.accesses.append(access)


async_load = async_copy_global_to_shared  # the name in later versions of Triton


def mbarrier_arrive(mbarrier: Any, increment_count: Any = True) -> None:
    """Every thread of the role arrives once its copies so far are in.

    increment_count: the phase is to await these arrivals beside those of its count, not among them.
    """
    scheduler = active()
    scheduler.pause()
    place, task = scheduler.place("asynchronous arrive"), scheduler.current()
    barrier, copies, threads = barriers.find(unwrap(mbarrier), place), _copies(scheduler), 32 * task.warps
    if unwrap(increment_count):
        barrier.pending += threads
    clock = {**task.clock, copies.agent: copies.copied}
    trace.signal(barrier, clock, place)
    task.release()
    copies.pending.append(Event(place, lambda: barrier.arrive(threads, clock, place), copies.copied))


def commit_group() -> None:
    """End the group: `wait_group` counts it from now on."""
    scheduler = active()
    scheduler.pause()
    copies = _copies(scheduler)
    copies.groups.append(copies.copied)


def wait_group(num_outstanding: Any = 0) -> None:
    """Wait until all but the `num_outstanding` newest groups of this role are in."""
    scheduler = active()
    scheduler.pause()
    copies, task = _copies(scheduler), scheduler.current()
    complete = copies.groups[: max(0, len(copies.groups) - int(unwrap(num_outstanding)))]
    last = complete[-1] if complete else 0
    for event in copies.pending:
        if event.sequence <= last:
            event.happen()
    copies.pending = [event for event in copies.pending if not event.done]
    if last > 0:
        task.clock[copies.agent] = max(last, task.clock.get(copies.agent, 0))

"""Stand-in for `gluon.language.nvidia.ampere.async_copy`: copies from pointers that complete by groups (cp.async).

A copy writes its buffer at some moment until `wait_group` covers its group; the buffer is poison until then.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from twill.emulate import cluster
from twill.emulate.accesses import Access, Clock
from twill.emulate.constants import unwrap
from twill.emulate.global_accesses import record_async
from twill.emulate.memory import SharedMemory
from twill.emulate.pointers import reading
from twill.emulate.report import Unwaited
from twill.emulate.scheduler import Event, Scheduler, active
from twill.emulate.values import refuse

__all__ = ["async_copy_global_to_shared", "async_load", "commit_group", "wait_group"]


@dataclass
class Copies:
    """The copies of one role, in groups counted from 1; `pending` may happen in the order of issue."""

    agent: int
    issued: int = 0  # of matrix multiplications, which the statistics count: none
    group: int = 1  # that is being filled
    pending: list[Event] = field(default_factory=list)
    accesses: list[Access] = field(default_factory=list)

    def check_end(self, final: Clock) -> None:
        """Every copy is over before the thread block is."""
        for access in self.accesses:
            if not access.before(final):
                raise Unwaited(
                    f"{access.place} into {access.view.path} was never waited for.",
                    hint="Call commit_group() and wait_group(0) after it.",
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
    access = Access(place, smem, True, "generic", copies.agent, copies.group)
    smem.allocation.history.record(access, task.clock)
    scheduler.unfenced.append(access)
    record_async(memory.history, access, elements, write=False)
    smem.poison()
    copies.pending.append(Event(place, lambda: smem.fill(read()), copies.group))
    copies.accesses.append(access)


async_load = async_copy_global_to_shared  # the name in later versions of Triton


def commit_group() -> None:
    """End the group: `wait_group` counts it from now on."""
    scheduler = active()
    scheduler.pause()
    _copies(scheduler).group += 1


def wait_group(num_outstanding: Any = 0) -> None:
    """Wait until all but the `num_outstanding` newest groups of this role are in."""
    scheduler = active()
    scheduler.pause()
    copies, task = _copies(scheduler), scheduler.current()
    last = copies.group - 1 - int(unwrap(num_outstanding))
    for event in copies.pending:
        if event.sequence <= last:
            event.happen()
    copies.pending = [event for event in copies.pending if not event.done]
    if last > 0:
        task.clock[copies.agent] = max(last, task.clock.get(copies.agent, 0))

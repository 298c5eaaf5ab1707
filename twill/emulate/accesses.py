"""Race detection over shared memory with vector clocks.

An *agent* is anything that touches memory in an order of its own: the threads of a role, the wgmma
pipe of a role, the TMA stores of a role, and the TMA loads that complete on one mbarrier. A clock maps
agents to the last of their operations its holder is ordered after. An access with `epoch` None is in
flight: nothing is ordered after it yet.

Two accesses that overlap, one of them a write, must be ordered; how the scheduler happened to
interleave them does not matter, so one run finds a missing wait whatever the seed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np

from twill.emulate import trace
from twill.emulate.report import MissingFence, Place, Race

if TYPE_CHECKING:
    from twill.emulate.memory import SharedMemory

Clock = dict[int, int]
Proxy = Literal["generic", "async"]


def join(into: Clock, other: Clock) -> None:
    """`into` is afterwards ordered after everything `other` is."""
    for agent, epoch in other.items():
        if epoch > into.get(agent, 0):
            into[agent] = epoch


@dataclass(slots=True)
class Access:
    """One read or write of a view of shared memory.

    fences: (agent, epoch) of each proxy fence executed after this generic write by a role ordered
    after it.
    """

    place: Place
    view: SharedMemory
    write: bool
    proxy: Proxy
    agent: int
    epoch: int | None
    fences: list[tuple[int, int]] = field(default_factory=list)

    def before(self, clock: Clock) -> bool:
        """Is a holder of `clock` ordered after this access?"""
        return self.epoch is not None and clock.get(self.agent, 0) >= self.epoch

    def fenced_before(self, clock: Clock) -> bool:
        return any(clock.get(agent, 0) >= epoch for agent, epoch in self.fences)


Order = Access | tuple[int, int]  # when an operation is over: with an access of shared memory, or (agent, epoch)


def is_over(order: Order, clock: Clock) -> bool:
    """Is a holder of `clock` ordered after the operation?"""
    if isinstance(order, Access):
        return order.before(clock)
    return clock.get(order[0], 0) >= order[1]


class History:
    """The accesses of one allocation that a later access may still conflict with."""

    def __init__(self) -> None:
        self.accesses: list[Access] = []

    def record(self, access: Access, clock: Clock) -> None:
        """Check `access`, made by a holder of `clock`, against the past, then remember it.

        Raises Race or MissingFence naming both accesses.
        """
        if trace.watched():
            trace.note(access.place, access.view.path, "")
        kept: list[Access] = []
        for earlier in self.accesses:
            ordered = earlier.before(clock)
            if (earlier.write or access.write) and _overlap(earlier.view, access.view):
                if not ordered:
                    raise _race(earlier, access)
                unfenced = earlier.write and earlier.proxy == "generic" and access.proxy == "async"
                if unfenced and not earlier.fenced_before(clock) and not _compiler_fences(earlier):
                    raise _missing_fence(earlier, access)
            if not (ordered and _supersedes(access, earlier)):
                kept.append(earlier)
        kept.append(access)
        self.accesses = kept


def _compiler_fences(earlier: Access) -> bool:
    """Does the compiler put a proxy fence between a role's own write and its asynchronous operation?"""
    from twill.emulate.scheduler import active

    scheduler = active()
    return scheduler.compiler_fences and earlier.agent == scheduler.current().agent


def _overlap(a: SharedMemory, b: SharedMemory) -> bool:
    if a.span == b.span:
        return True
    try:
        return bool(np.shares_memory(a.bytes, b.bytes, max_work=10_000))  # type: ignore[arg-type]
    except np.exceptions.TooHardError:
        return True


def _supersedes(new: Access, old: Access) -> bool:
    """Whoever is ordered after `new` is ordered after `old`, and `new` conflicts with all `old` does."""
    if new.view.span != old.view.span:
        return False
    return new.write or (not old.write and new.agent == old.agent)


def _race(earlier: Access, later: Access) -> Race:
    path = later.view.path
    verb = "writes" if later.write else "reads"
    present = "be writing" if earlier.write else "be reading"
    return Race(
        f"race on {path}: {later.place} {verb} it while {earlier.place} may still {present} {earlier.view.path}; no "
        "wait or barrier orders the two.",
        hint=_cure(earlier, later),
        location=later.place.where,
        places=(earlier.place, later.place),
        subjects=(earlier.view.path, later.view.path),
        buffer=path,
    )


def _cure(earlier: Access, later: Access) -> str:
    if earlier.write and later.write:
        return "The second write must wait until the first is complete and its readers have released the slot."
    if earlier.write and earlier.proxy == "async":
        return "Wait on the mbarrier of that load, with the phase of its iteration, before the read."
    if earlier.write:
        return "The reader must wait on a barrier that the writer arrives at after its write."
    if earlier.proxy == "async":
        return "Retire that read (warpgroup_mma_wait or store_wait) before the arrival the writer waits for."
    return "The reader must arrive on a barrier after its read, and the writer wait on it before its write."


def _missing_fence(earlier: Access, later: Access) -> MissingFence:
    path = later.view.path
    return MissingFence(
        f"{later.place} accesses {path} through the asynchronous proxy, but {earlier.place} wrote it through the "
        "generic proxy and no fence_async_shared() lies between.",
        hint="Call fence_async_shared() after the store, before the barrier or the asynchronous operation.",
        location=later.place.where,
        places=(earlier.place, later.place),
        subjects=(earlier.view.path, later.view.path),
        buffer=path,
    )

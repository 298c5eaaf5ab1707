"""Race detection over global memory: between the roles of a thread block, and between thread blocks.

Nothing orders two thread blocks of a launch, so an element that one writes and another reads or writes is a
race whatever the order they were run in. Inside a block the clocks decide, as in shared memory: a TMA load
reads until its barrier says that it landed, a TMA store writes until `store_wait` covers it. Kept for each
element are its last write, its last read, and the last read of another thread block.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from twill.emulate import trace
from twill.emulate.accesses import Access, Clock
from twill.emulate.report import Place, Race
from twill.emulate.scheduler import active


@dataclass(slots=True)
class GlobalAccess:
    """One read or write by the block `program`. `order` says when it is over: an access of shared memory by the
    same operation, or (agent, epoch)."""

    place: Place
    program: tuple[int, ...]
    write: bool
    order: Access | tuple[int, int]

    def before(self, program: tuple[int, ...], clock: Clock) -> bool:
        """Is a holder of `clock` in the block `program` ordered after this access?"""
        if self.program != program:
            return False
        if isinstance(self.order, tuple):
            return clock.get(self.order[0], 0) >= self.order[1]
        return self.order.before(clock)


class GlobalHistory:
    """Accesses of one launch to the storage `name` of `size` elements."""

    def __init__(self, name: str, size: int) -> None:
        self.name = name
        self.size = size
        self.accesses: list[GlobalAccess] = []
        self.last: dict[str, Any] = {}  # "write", "read", "other read" -> [size] int32, 1 + place in `accesses`

    def record(self, access: GlobalAccess, elements: Any, clock: Clock) -> None:
        """Check `access` to `elements` (offsets, int), by a holder of `clock`, then remember it. Raises Race."""
        elements = np.asarray(elements).reshape(-1)
        if not elements.size:
            return
        trace.note(access.place, self.name, f"elements {int(elements.min())}..{int(elements.max())}")
        if not self.last:
            self.last = {kind: np.zeros(self.size, np.int32) for kind in ("write", "read", "other read")}
        for kind in ("write", "read", "other read") if access.write else ("write",):
            met = self.last[kind][elements]
            for number in np.unique(met):
                earlier = self.accesses[number - 1] if number else None
                if earlier is not None and not earlier.before(access.program, clock):
                    raise _race(self.name, earlier, access, int(elements[met == number].min()))
        self.accesses.append(access)
        if access.write:
            self.last["write"][elements] = len(self.accesses)
            return
        reads = self.last["read"][elements]
        own = np.array([not n or self.accesses[n - 1].program == access.program for n in np.unique(reads)])
        foreign = elements[~own[np.searchsorted(np.unique(reads), reads)]]
        self.last["other read"][foreign] = self.last["read"][foreign]
        self.last["read"][elements] = len(self.accesses)


def record_generic(history: GlobalHistory, action: str, elements: Any, write: bool) -> None:
    """The threads of the running role read or write `elements` now."""
    scheduler = active()
    task = scheduler.current()
    order = (task.agent, task.clock[task.agent])
    history.record(GlobalAccess(scheduler.place(action), scheduler.program, write, order), elements, task.clock)


def record_async(history: GlobalHistory, shared: Access, elements: Any, write: bool) -> None:
    """The TMA operation whose access of shared memory is `shared` reads or writes `elements` until it is over."""
    scheduler = active()
    access = GlobalAccess(shared.place, scheduler.program, write, shared)
    history.record(access, elements, scheduler.current().clock)


def _race(name: str, earlier: GlobalAccess, later: GlobalAccess, element: int) -> Race:
    verb = "writes" if later.write else "reads"
    other = "writes" if earlier.write else "reads"
    if earlier.program != later.program:
        why = f"nothing orders thread blocks {earlier.program} and {later.program} of a launch"
        cure = "Give each element to one thread block, or add with an atomic."
    else:
        why = f"no wait or barrier orders the two in thread block {later.program}"
        cure = "Let one role wait on a barrier that the other arrives at, or for its TMA operation."
    return Race(
        f"race on global memory: {later.place} of thread block {later.program} {verb} element {element} of {name}, "
        f"which {earlier.place} of thread block {earlier.program} {other}; {why}.",
        hint=cure,
        location=later.place.where,
        places=(earlier.place, later.place),
        buffer=f"{name}[{element}]",
    )

"""Race detection over global memory: between the roles of a thread block, and between thread blocks.

An access must be ordered after every earlier one of the same element, if one of the two writes. Inside a thread
block clocks say so, as in shared memory: a TMA load reads until its barrier says that it landed, a TMA store writes
until `store_wait` covers it. Nothing orders two thread blocks of a launch but atomics that release and acquire, so
what the order in which they were run hides is a race all the same. Two atomics never race, unless one of them is
atomic for its own thread block only (scope "cta") and the other is another block's.

Kept for each element are its last plain write, and the last reads and atomics that nothing orders with each other, of
other thread blocks one. Arguments in one storage share one history.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from twill.emulate import trace
from twill.emulate.accesses import Access, Clock, Order, is_over, join
from twill.emulate.report import Place, Race
from twill.emulate.scheduler import active

_PLAIN_READ = ("write", "atomic")
_WRITE = ("write", "read", "atomic")


@dataclass(slots=True)
class GlobalAccess:
    """One read or write by the block `program`. `order` says when it is over: an access of shared memory by the
    same operation, or (agent, epoch). scope: of an atomic; released: what its later acquirers are ordered after."""

    name: str
    place: Place
    program: tuple[int, ...]
    write: bool
    order: Order
    scope: str = ""
    released: Clock = field(default_factory=dict)

    def before(self, clock: Clock) -> bool:
        """Is a holder of `clock` ordered after this access?"""
        return is_over(self.order, clock)

    def harmless(self, other: GlobalAccess) -> bool:
        """Are the two atomic to each other?"""
        return bool(self.scope and other.scope) and (self.program == other.program or "cta" not in (
            self.scope, other.scope))  # fmt: skip

    @property
    def verb(self) -> str:
        return "updates" if self.scope else "writes" if self.write else "reads"


class Storage:
    """The accesses of one launch to `size` cells of memory, a cell being the part every element is whole cells of."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.groups: list[tuple[GlobalAccess, ...]] = [()]
        self.last: dict[str, Any] = {}  # kind of access -> [size] int32, place in `groups`

    def met(self, kind: str, cells: Any) -> Iterator[tuple[GlobalAccess, Any]]:
        """The last accesses of that kind to any of `cells`, each with those of `cells` it is one of the last of."""
        for group, where in self._divided(kind, cells):
            for access in group:
                yield access, where

    def remember(self, access: GlobalAccess, cells: Any, clock: Clock) -> None:
        """`access` by a holder of `clock` is the last one now, beside those of its kind that nothing orders it with."""
        kind = "atomic" if access.scope else "write" if access.write else "read"
        divided = list(self._divided(kind, cells)) if kind != "write" else [((), cells)]
        numbers = self.last.setdefault(kind, np.zeros(self.size, np.int32))
        made: dict[tuple[int, ...], int] = {}
        for group, where in divided:
            unordered = [each for each in group if not each.before(clock)]
            foreign = [each for each in unordered if each.program != access.program][-1:]
            kept = (*foreign, *(each for each in unordered if each.program == access.program))
            key = tuple(map(id, kept))
            if key not in made:
                made[key] = len(self.groups)
                self.groups.append((*kept, access))
            numbers[where] = made[key]

    def _divided(self, kind: str, cells: Any) -> Iterator[tuple[tuple[GlobalAccess, ...], Any]]:
        """`cells` by the last accesses of that kind to them."""
        if kind not in self.last:
            yield (), cells
            return
        numbers = self.last[kind][cells]
        for number in np.unique(numbers):
            yield self.groups[number], cells[numbers == number]


class GlobalHistory:
    """Accesses of one launch to the argument `name` of `size` elements."""

    def __init__(self, name: str, size: int) -> None:
        self.name = name
        self.storage = Storage(size)
        self.start = 0  # cell of the first element
        self.cells = 1  # of an element

    def record(self, access: GlobalAccess, elements: Any, clock: Clock, before: Clock | None = None) -> None:
        """Check `access` to `elements` (offsets, int), by a holder of `clock`, then remember it. Raises Race.

        before: the clock as it was before the access itself acquired anything.
        """
        before = clock if before is None else before
        elements = np.asarray(elements).reshape(-1)
        if not elements.size:
            return
        trace.note(access.place, self.name, f"elements {int(elements.min())}..{int(elements.max())}")
        cells = elements
        if self.cells > 1 or self.start:
            cells = (self.start + self.cells * elements[:, None] + np.arange(self.cells)).reshape(-1)
        for kind in _WRITE if access.write else _PLAIN_READ:
            for earlier, where in self.storage.met(kind, cells):
                if earlier.before(before):
                    continue
                element = (int(where.min()) - self.start) // self.cells
                if not access.harmless(earlier) and not earlier.before(clock):
                    raise _race(earlier, access, element)
                if access.harmless(earlier):
                    trace.unsettled(access.place, f"{self.name}[{element}]", f"nothing orders it with {earlier.place}")
        self.storage.remember(access, cells, clock)

    def chain(self, access: GlobalAccess, elements: Any) -> None:
        """Let `access` hand on what the last atomics on `elements` released, of those that are atomic to it."""
        cells = self.start + self.cells * np.asarray(elements).reshape(-1)
        for earlier, _ in self.storage.met("atomic", cells):
            if access.harmless(earlier):
                join(access.released, earlier.released)


def share_storage(arguments: Iterable[Any]) -> None:
    """Let the arguments of one launch (pointers, descriptors, tuples of them) whose memory overlaps share a history."""
    memories: dict[int, Any] = {}

    def collect(values: Iterable[Any]) -> None:
        for value in values:
            if isinstance(value, tuple):
                collect(value)
            elif getattr(value, "memory", None) is not None:
                memories[id(value.memory)] = value.memory

    collect(arguments)
    _share((m.history, m.flat.__array_interface__["data"][0], m.flat.itemsize) for m in memories.values())


def _share(histories: Iterable[tuple[GlobalHistory, int, int]]) -> None:
    """Let histories of overlapping memory be one. Each: (history, address of its first element, bytes of one)."""
    found = sorted(histories, key=lambda each: each[1])
    groups: list[list[tuple[GlobalHistory, int, int]]] = []
    end = 0
    for history, address, itemsize in found:
        if not groups or address >= end:
            groups.append([])
            end = 0
        groups[-1].append((history, address, itemsize))
        end = max(end, address + history.storage.size * itemsize)
    for group in groups:
        start = group[0][1]
        if len(group) < 2:
            continue
        unit = int(np.gcd.reduce([number for _, address, itemsize in group for number in (itemsize, address - start)]))
        cells = max(address - start + history.storage.size * itemsize for history, address, itemsize in group) // unit
        whole = Storage(cells)
        for history, address, itemsize in group:
            history.storage, history.start, history.cells = whole, (address - start) // unit, itemsize // unit


def record_generic(history: GlobalHistory, action: str, elements: Any, write: bool) -> None:
    """The threads of the running role read or write `elements` now."""
    scheduler = active()
    task = scheduler.current()
    order = (task.agent, task.clock[task.agent])
    access = GlobalAccess(history.name, scheduler.place(action), scheduler.program, write, order)
    history.record(access, elements, task.clock)


def record_atomic(history: GlobalHistory, action: str, elements: Any, sem: str, scope: str) -> None:
    """The running role updates `elements` atomically; it acquires and releases as `sem` says."""
    scheduler = active()
    task = scheduler.current()
    order = (task.agent, task.clock[task.agent])
    access = GlobalAccess(history.name, scheduler.place(action), scheduler.program, True, order, scope)
    history.chain(access, elements)
    before = dict(task.clock)
    if sem in ("acquire", "acq_rel"):
        join(task.clock, access.released)
    if sem in ("release", "acq_rel"):
        join(access.released, task.clock)
    history.record(access, elements, task.clock, before)
    task.release()


def record_async(history: GlobalHistory, shared: Access, elements: Any, write: bool, scope: str = "") -> None:
    """The TMA operation whose access of shared memory is `shared` reads or writes `elements` until it is over."""
    scheduler = active()
    access = GlobalAccess(history.name, shared.place, scheduler.program, write, shared, scope)
    if scope:
        history.chain(access, elements)
    history.record(access, elements, scheduler.current().clock)


def _race(earlier: GlobalAccess, later: GlobalAccess, element: int) -> Race:
    if earlier.program != later.program:
        why = f"nothing orders thread blocks {earlier.program} and {later.program} of a launch"
        cure = "Give each element to one thread block, or add with an atomic."
        if earlier.scope and later.scope:
            cure = 'Give both atomics the scope "gpu": with "cta" they are atomic inside their thread block only.'
    else:
        why = f"no wait or barrier orders the two in thread block {later.program}"
        cure = "Let one role wait on a barrier that the other arrives at, or for its TMA operation."
    other = "" if earlier.name == later.name else f" as part of {earlier.name}"
    return Race(
        f"race on global memory: {later.place} of thread block {later.program} {later.verb} element {element} of "
        f"{later.name}, which {earlier.place} of thread block {earlier.program} {earlier.verb}{other}; {why}.",
        hint=cure,
        location=later.place.where,
        places=(earlier.place, later.place),
        buffer=f"{later.name}[{element}]",
    )

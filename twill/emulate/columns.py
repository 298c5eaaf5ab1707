"""The 512 columns of tensor memory: what the allocations that are live together take.

An allocation lives from its `allocate_tensor_memory` to the last operation on it, as Triton's allocator has it; one
that another role uses lives until the roles have joined. Time is counted in allocations, so two live together when
the later one is made before the last use of the earlier. This is never more than the machine needs, but it may be
less: columns lost between allocations, and use that only another path through the kernel makes, are not seen.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from typing import Any

from twill.emulate import trace
from twill.emulate.accesses import Access, Clock, History
from twill.emulate.report import OutOfColumns, Place
from twill.emulate.scheduler import Scheduler, active

COLUMNS = 512


@dataclass
class Lifetime:
    """One allocation: when it was made and last used, in allocations made before."""

    name: str
    columns: int
    born: int
    used: int
    place: Place
    role: tuple[int, ...]  # path of the role that allocated it, in every CTA of a cluster
    shared: bool = False  # used by a role that did not allocate it


class Columns:
    """All tensor memory of a thread block."""

    def __init__(self) -> None:
        self.lives: list[Lifetime] = []
        self.open: list[Lifetime] = []  # of another role too, until the roles join

    def allocate(self, name: str, columns: int) -> Lifetime:
        scheduler = active()
        place, task = scheduler.place("allocation"), scheduler.current()
        if any(not other.ended and other.cta == task.cta for other in scheduler.tasks if other is not task):
            trace.unsettled(place, name, "the columns beside it depend on how far other roles are")
        life = Lifetime(name, columns, len(self.lives), len(self.lives), place, task.path)
        self.lives.append(life)
        for other in self.open:
            other.used = life.born
        if self.open:
            self._check(life.born)
        return life

    def use(self, life: Lifetime, role: tuple[int, ...]) -> None:
        if role != life.role and not life.shared:
            life.shared = True
            self.open.append(life)
        before, life.used = life.used, len(self.lives) - 1
        for moment in range(before + 1, life.used + 1):
            self._check(moment)

    def join(self) -> None:
        """The roles have ended: what only they used may be given to others."""
        for life in self.open:
            life.shared = False
        self.open = []

    def _check(self, moment: int) -> None:
        """The allocations that live when the one numbered `moment` is made."""
        live = [life for life in self.lives[: moment + 1] if life.used >= moment]
        total = sum(life.columns for life in live)
        if total > COLUMNS:
            parts = ", ".join(f"{life.name} {life.columns} (line {life.place.where.line})" for life in live)
            raise OutOfColumns(
                f"{total} columns of tensor memory are in use together, of which there are {COLUMNS}: {parts}.",
                hint="Make a ring shallower or a tile narrower, or let one allocation serve after the other.",
                location=live[-1].place.where,
                places=tuple(life.place for life in live),
                buffer=live[-1].name,
            )


_columns: weakref.WeakKeyDictionary[Scheduler, Columns] = weakref.WeakKeyDictionary()


def columns_of(scheduler: Scheduler) -> Columns:
    """The tensor memory of the thread block that `scheduler` runs."""
    return _columns.setdefault(scheduler, Columns())


class ColumnHistory(History):
    """Accesses of one allocation, which also keep it alive."""

    def __init__(self, columns: Columns, name: str, count: int) -> None:
        super().__init__()
        self.columns = columns
        self.life = columns.allocate(name, count)

    def record(self, access: Access, clock: Clock) -> Any:
        self.columns.use(self.life, active().current().path)
        return super().record(access, clock)

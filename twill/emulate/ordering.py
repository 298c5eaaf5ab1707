"""Do all interleavings of a run come to the same? The rule by which one run answers for every other.

What roles and asynchronous operations tell each other goes through mbarriers (and atomics). Their accesses of
memory need no look: two that conflict are ordered by barriers, or are a race that any run reports. A run is
*ordered* when, by the vector clocks of its roles and operations,

1. whatever adds to phase k of a barrier (an arrival, an expect, a load issued to it or landing) comes after the
   completion of phase k - 1, or after all that phase k - 1 was completed by;
2. a wait that passes after c completed phases comes after the completion of phase c - 2, so that no earlier state of
   the barrier has the parity it waits for;
3. phase c completes only after every such wait.

Then every other interleaving makes the same moves with the same order between those that meet on a barrier: take
the first move in which it would differ; 1 puts its arrivals into the same phase, and 2 and 3 let its wait pass at
the same count and no other. Arrivals of one phase may swap: the phase completes after all of them either way. So
its values, its races and its end are those of this run. What else may come to something else in another order (two
atomics that nothing orders, a clock, columns of tensor memory that roles allocate) says so itself: `unsettled`.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from twill.emulate import trace

if TYPE_CHECKING:
    from twill.emulate.accesses import Clock
    from twill.emulate.barriers import Barrier
    from twill.emulate.report import Place

_MASK = 2**64 - 1


@dataclass(frozen=True)
class Unordered:
    """Why other interleavings may come to something else: an operation and what nothing orders it with."""

    place: Place
    barrier: str
    why: str

    def __str__(self) -> str:
        return f"{self.place} on {self.barrier}: {self.why}"


class Ordering(trace.Watcher):
    """Watches a run for what keeps it from being ordered: `unordered` is the first such thing, or None."""

    def __init__(self) -> None:
        self.unordered: Unordered | None = None
        self.waits: dict[int, list[tuple[Place, int, int]]] = {}  # barrier's agent -> waits that met its present phase
        self.completed: dict[int, dict[int, Clock]] = {}  # barrier's agent -> its two last phases, what they came after
        self.blocked = 0  # waits begun and not yet known to be a barrier's

    def signal(self, barrier: Barrier, clock: Clock, place: Place) -> None:
        if self._known(barrier, clock) < barrier.completed:
            self._found(place, barrier, f"it adds to phase {barrier.completed}, but nothing orders it after phase "
                        f"{barrier.completed - 1}")  # fmt: skip

    def passes(self, barrier: Barrier, clock: Clock, place: Place, agent: int) -> None:
        self.blocked -= 1
        if barrier.completed - self._known(barrier, clock) > 1:
            self._found(place, barrier, f"it passes after {barrier.completed} completed phases, and could have passed "
                        f"after {barrier.completed - 2}")  # fmt: skip
        self.waits.setdefault(barrier.agent, []).append((place, agent, clock[agent]))

    def completes(self, barrier: Barrier, clock: Clock) -> None:
        phases = self.completed.setdefault(barrier.agent, {})
        phases[barrier.completed] = dict(clock)
        phases.pop(barrier.completed - 2, None)
        for place, agent, epoch in self.waits.pop(barrier.agent, ()):
            if clock.get(agent, 0) < epoch:
                self._found(place, barrier, f"phase {barrier.completed - 1} may complete before it looks, and turn the "
                            "parity it waits for")  # fmt: skip

    def blocks(self) -> None:
        self.blocked += 1

    def unsettled(self, place: Place, subject: str, why: str) -> None:
        if self.unordered is None:
            self.unordered = Unordered(place, subject, why)

    @property
    def ordered(self) -> bool:
        """To be asked after a run that ended well. A wait on anything but an mbarrier leaves the answer open."""
        return self.unordered is None and self.blocked == 0

    def _known(self, barrier: Barrier, clock: Clock) -> int:
        """How many of its completed phases, of the two last, come before all that is ordered after `clock`."""
        phases, own = self.completed.get(barrier.agent, {}), -barrier.agent
        for count in (barrier.completed, barrier.completed - 1):
            after = phases.get(count)
            if clock.get(own, 0) >= count:
                return count
            if after is not None and all(
                clock.get(agent, 0) >= epoch for agent, epoch in after.items() if agent != own
            ):
                return count
        return barrier.completed - 2

    def _found(self, place: Place, barrier: Barrier, why: str) -> None:
        self.unsettled(place, barrier.name, why)


class Footprints(Ordering):
    """The state of a run as one number, alike for two runs that made the same moves and met the same phases."""

    def __init__(self) -> None:
        super().__init__()
        self.total = 0
        self.by_mover: dict[Hashable, int] = {}
        self.mover: Hashable = None
        self.met: list[Hashable] = []
        self.versions: dict[Hashable, tuple[int, int]] = {}  # of touched state: last write, sum of the reads since
        self.touched: dict[Hashable, bool] = {}

    def start(self, mover: Hashable) -> None:
        """`mover`, a role or an operation, goes next."""
        self.mover, self.met, self.touched = mover, [], {}

    def signal(self, barrier: Barrier, clock: Clock, place: Place) -> None:
        super().signal(barrier, clock, place)
        self.met.append((barrier.name, barrier.completed))

    def passes(self, barrier: Barrier, clock: Clock, place: Place, agent: int) -> None:
        super().passes(barrier, clock, place, agent)
        self.met.append((barrier.name, barrier.completed))

    def move(self, number: int, program: tuple[int, ...], role: str, kind: str, line: int) -> None:
        self.met.append(line)

    def touch(self, key: Hashable, write: bool) -> None:
        self.touched[key] = self.touched.get(key, False) or write

    def finish(self, issued: list[Hashable]) -> None:
        """The last move is over and has issued those operations; `total` is now of the state it left."""
        if self.mover is None:
            return
        before = self.by_mover.get(self.mover, 0)
        seen = [(key, write, *self.versions.get(key, (0, 0))) for key, write in self.touched.items()]
        seen = [(key, write, last, reads if write else 0) for key, write, last, reads in seen]
        own = hash((self.mover, before, tuple(self.met), tuple(seen))) & _MASK
        for key, write in self.touched.items():
            last, reads = self.versions.get(key, (0, 0))
            self.versions[key] = (own, 0) if write else (last, (reads + own) & _MASK)
        self.by_mover[self.mover] = own
        self.total = (self.total + own) & _MASK
        for each in issued:
            self.by_mover[each] = hash((own, each))

"""mbarriers: phases, arrivals, transaction bytes, and the order they create.

A barrier counts arrivals of its current phase down from `count` and bytes up and down; the phase
completes when no arrival is pending and no byte outstanding. `wait(parity)` passes once the phase of
that parity is the last completed one, exactly as the hardware tests it, aliasing included: a waiter two
phases late finds the parity of the present, not of the phase it meant.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from twill.emulate import trace
from twill.emulate.accesses import Access, Clock, join
from twill.emulate.report import BarrierMisuse, ByteMismatch, Place


@dataclass
class Barrier:
    """One initialised mbarrier. `agent` stands in clocks for the loads that complete on it, -`agent` for its phases."""

    name: str
    count: int
    agent: int
    initialised: Place
    born: tuple[int, int]  # (agent, epoch) of its initialisation
    set_up: Access | None = None  # the write of its initialisation
    published: set[int] | None = None  # in a cluster: the CTAs that know of its initialisation
    pending: int = 0
    outstanding_bytes: int = 0
    completed: int = 0
    clock: Clock = field(default_factory=dict)  # of the arrivals so far
    released: Clock = field(default_factory=dict)  # of the phases that completed
    in_flight: list[tuple[Place, int]] = field(default_factory=list)  # loads that will complete here
    arrivals: list[tuple[Place, int]] = field(default_factory=list)  # all so far, each with its phase

    def __post_init__(self) -> None:
        self.pending = self.count

    def passes(self, parity: int) -> bool:
        """True when `mbarrier.try_wait.parity` would return."""
        return (self.completed & 1) != (parity & 1)

    def arrive(self, count: int, clock: Clock, place: Place) -> None:
        """Count `count` arrivals that release everything `clock` is ordered after."""
        if count > self.pending:
            state = f"has {self.pending} of {self.count} arrivals left"
            hint = "The count of mbarrier.init must be the number of arrivals of one phase."
            if self.in_flight:
                state += f" and waits for {self.in_flight[0][0]}"
                hint = "Wait until the slot is released before the barrier is armed again."
            raise BarrierMisuse(
                f"{place} arrives {count} time(s) on {self.name}, whose phase {self.completed} {state}.",
                hint=hint,
                location=place.where,
                places=(place,),
                barrier=self.name,
            )
        if trace.watched():
            arrived = self.count - self.pending + count
            trace.note(place, self.name, f"phase {self.completed}, arrival {arrived} of {self.count}")
            trace.signal(self, clock, place)
        join(self.clock, clock)
        self.pending -= count
        self.arrivals.append((place, self.completed))
        self._complete_if_done()

    def expect(self, bytes: int, clock: Clock, place: Place) -> None:
        """Announce bytes, then arrive once."""
        self.outstanding_bytes += bytes
        self.arrive(1, clock, place)

    def land(self, load: tuple[Place, int], issued: Clock) -> int:
        """The bytes of one load are in; returns the epoch of the load, for `agent`."""
        self.in_flight.remove(load)
        place, bytes = load
        if trace.watched():
            trace.note(place, self.name, f"{bytes} bytes land in phase {self.completed}")
            trace.signal(self, issued, place)
        epoch = self.completed + 1
        self.outstanding_bytes -= bytes
        join(self.clock, issued)
        self.clock[self.agent] = max(self.clock.get(self.agent, 0), epoch)
        if self.pending == 0 and self.outstanding_bytes < 0:
            raise ByteMismatch(
                f"{place} brings {bytes} bytes to {self.name}, {-self.outstanding_bytes} more than phase "
                f"{self.completed} expects; the hardware would count them into the next phase.",
                hint="mbarrier.expect must announce the bytes of all loads of the phase.",
                location=place.where,
                places=(place,),
                barrier=self.name,
            )
        self._complete_if_done()
        return epoch

    def _complete_if_done(self) -> None:
        if self.pending or self.outstanding_bytes:
            return
        if self.in_flight:
            place, bytes = self.in_flight[0]
            raise ByteMismatch(
                f"phase {self.completed} of {self.name} completes while {place}, with {bytes} bytes, is still in "
                "flight: fewer bytes were expected than the loads bring.",
                hint="mbarrier.expect must announce the bytes of all loads of the phase, before the last arrival.",
                location=place.where,
                places=(place,),
                barrier=self.name,
            )
        self.completed += 1
        self.clock[-self.agent] = self.completed
        trace.completes(self, self.clock)
        self.pending = self.count
        join(self.released, self.clock)

    def state(self) -> str:
        """Arrivals and bytes of the current phase, for a deadlock report."""
        arrived = self.count - self.pending
        text = f"phase {self.completed} has {arrived} of {self.count} arrivals"
        if self.outstanding_bytes > 0:
            text += f" and misses {self.outstanding_bytes} of its expected bytes"
        elif self.outstanding_bytes < 0:
            text += f" and {-self.outstanding_bytes} bytes that no expect announced"
        if not self.arrivals:
            return f"{text}; nobody ever arrived"
        last, _ = self.arrivals[-1]
        return f"{text}; last arrival by {last.role}, line {last.where.line}"

    def missing(self) -> str:
        """Who should have arrived: how many arrivals or bytes the phase lacks, and who brought those of others."""
        if self.pending:
            lacks = f"{self.pending} arrival{'s' if self.pending > 1 else ''}"
        elif self.outstanding_bytes:
            return f"phase {self.completed} lacks {self.outstanding_bytes} bytes of loads"
        else:
            return ""
        elsewhere = dict.fromkeys(
            (p.role, p.action, p.where.line) for p, phase in self.arrivals if phase != self.completed
        )
        now = dict.fromkeys((p.role, p.action, p.where.line) for p, phase in self.arrivals if phase == self.completed)
        text = f"phase {self.completed} lacks {lacks}"
        if now:
            text += f" beside {_arrivers(now)}"
        if elsewhere:
            absent = {arriver: None for arriver in elsewhere if arriver not in now}
            text += f"; earlier phases got theirs from {_arrivers(elsewhere)}"
            if absent and now:
                text += f", so what is missing is {_arrivers(absent)}"
        return text


def _arrivers(arrivers: Iterable[tuple[str, str, int]]) -> str:
    return ", ".join(f"{action} of {role} (line {line})" for role, action, line in arrivers)

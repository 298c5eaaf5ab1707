"""The asynchronous MMAs of a role that are in flight, and the waits that end their flight.

The tensor core runs the MMAs of a group in order, so a wait for one is a wait for all before it, and
"at most k in flight" says exactly which. What a flight reads from rings is given back after its wait.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from twill.codegen.statements import (
    CURRENT,
    END,
    FIRST,
    Arrive,
    Barrier,
    Condition,
    Iteration,
    Landing,
    MmaWait,
    Stmt,
)
from twill.codegen.worker import Worker


@dataclass(frozen=True)
class Flight:
    """An asynchronous MMA not waited for.

    value: what it makes, in `iteration`. releases: empty barriers of the ring slots it is the last to read.
    fed: its left operand is in registers. alive: False once a chained MMA took its accumulator over. present:
    holds when it really is in flight (at the top of the loop body, perhaps not in the first).
    """

    value: str
    iteration: Iteration
    releases: tuple[Barrier, ...]
    fed: bool
    alive: bool = True
    present: tuple[Condition, ...] = ()


class Flights:
    """MMAs in flight at the current point of a role's program, in the order of issue."""

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self.now: list[Flight] = []

    @property
    def fed(self) -> bool:
        """Some MMA in flight reads registers."""
        return any(flight.fed for flight in self.now)

    def chain(self, value: str) -> bool:
        """Hand the accumulator `value` to the next MMA without a wait; False when it is not in flight."""
        found = any(flight.value == value for flight in self.now)
        self.now = [replace(flight, alive=flight.alive and flight.value != value) for flight in self.now]
        return found

    def retire(self, value: str) -> list[Stmt]:
        """Wait until the MMA that makes `value`, if it is in flight, is done, and with it all earlier ones."""
        positions = [position for position, flight in enumerate(self.now) if flight.value == value]
        return self._land(max(positions) + 1, keep=False) if positions else []

    def drain(self) -> list[Stmt]:
        """Wait for everything in flight."""
        return self._land(len(self.now), keep=False)

    def end_body(self) -> list[Stmt]:
        """Wait for everything in flight but an accumulator that the next body chains on.

        That one crosses the back edge in flight, but as a tensor, like its initial value: so it is
        named in the wait.
        """
        crossing = bool(self.now) and self._chains(self.now[-1])
        return self._land(len(self.now) - crossing, keep=crossing)

    def _land(self, count: int, *, keep: bool) -> list[Stmt]:
        """Wait for the first `count` flights, naming what they made (with `keep`, what the others make too).

        What later ones took over has no name of its own: a wait for that alone names what these make.
        """
        done, self.now = self.now[:count], self.now[count:]
        named = [flight.value for flight in done if flight.alive]
        keep = keep or (bool(done) and not named)
        named += [flight.value for flight in self.now if keep and flight.alive]
        targets = tuple(dict.fromkeys(self.worker.variable(value) for value in named))
        landings = tuple(Landing(flight.value, flight.iteration, flight.present) for flight in done)
        out: list[Stmt] = [MmaWait(len(self.now), targets, landings)] if targets else []
        out += [Arrive(barrier, flight.present) for flight in done for barrier in flight.releases]
        return out

    def _chains(self, flight: Flight) -> bool:
        """The value is a loop-carried accumulator that only the next iteration's same MMA touches.

        An MMA that reads its left operand from registers may not cross the back edge: ptxas would
        serialize every MMA of the kernel for want of registers to keep that operand in. Neither may one that
        reads a ring of one slot: the next MMA waits for the next tile, and that for the slot.
        """
        kernel = self.worker.kernel
        op = kernel.body[flight.value]
        if not flight.alive or flight.fed:
            return False
        if any(barrier.depth < 2 for barrier in flight.releases):
            return False
        if self.worker.source(op.operands[2]) != (flight.value, 1):
            return False
        return kernel.uses(flight.value) == [(flight.value, op.operands[2])]


def across_back_edge(flights: Iterable[Flight], entry: Iterable[Flight], stages: int) -> list[Flight]:
    """What is in flight at the end of a body, as the next body sees it.

    entry: in flight before the first body, body stages - 1.
    """
    known = {flight.value for flight in entry}
    later = Condition(CURRENT, ">=", FIRST.shifted(stages))
    return [
        replace(
            flight,
            iteration=flight.iteration.shifted(-1),
            releases=tuple(replace(at, iteration=at.iteration.shifted(-1)) for at in flight.releases),
            present=() if flight.value in known else (later,),
        )
        for flight in flights
    ]


def after_loop(flights: Iterable[Flight], stages: int) -> list[Flight]:
    """What is in flight at the top of a body, as the code after the loop sees it: i has become n."""
    ran = Condition(END, ">=", FIRST.shifted(stages))
    return [
        replace(
            flight,
            iteration=END.shifted(flight.iteration.offset),
            releases=tuple(replace(at, iteration=END.shifted(at.iteration.offset)) for at in flight.releases),
            present=(ran,) if flight.present else (),
        )
        for flight in flights
    ]

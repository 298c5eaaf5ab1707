"""What the emulator says when a kernel breaks a rule of the machine.

Every report is a `CheckFailed` (exit code 1) of one `kind`, with the roles, lines, buffer and barrier
it speaks of as fields, so that a test or a `--json` reader need not parse the sentence.
"""

from __future__ import annotations

import os
import re
import shlex
from dataclasses import dataclass
from typing import ClassVar

from twill.errors import CheckFailed, Location

MAX_STEPS = 1_000_000  # moves of a thread block, where nobody says how many


def replay_command(file: str, name: str, max_steps: int) -> str:
    """What to type to see the interleaving `name` of a module again."""
    bound = "" if max_steps == MAX_STEPS else f" --max-steps {max_steps}"
    return f"twill verify {shlex.quote(file)} --replay {name}{bound}"


@dataclass(frozen=True)
class Place:
    """Who does what where: one operation of one role, as reports print it."""

    action: str
    role: str
    where: Location
    iteration: str = ""

    def __str__(self) -> str:
        at = f", {self.iteration}" if self.iteration else ""
        return f"{self.action} of {self.role} ({os.path.basename(self.where.file)}:{self.where.line}{at})"


@dataclass(frozen=True)
class Wanted:
    """What a blocked role waits for: a barrier's phase, how many arrivals that misses, who should have come."""

    text: str
    barrier: str = ""
    parity: int | None = None
    phase: int | None = None
    missing_arrivals: int = 0
    should_have_arrived: str = ""


@dataclass(frozen=True)
class Waiter:
    """One role of a deadlock: where it stands and what it waits for (empty when it has ended)."""

    role: str
    line: int
    waits_for: str
    iteration: str = ""
    wanted: Wanted | None = None


class EmulationError(CheckFailed):
    """A hazard found while running emitted source. `kind` is one word; the rest says who and where.

    places: the operations involved, the earlier one first; when none is given, the running role's line.
    buffer, barrier: names with their slot, from the variable the allocation was bound to. subjects: what each
    of `places` is about, where that is not the same for all. program: the thread block; None outside of a kernel.
    """

    kind: ClassVar[str] = "emulation"

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        location: Location | None = None,
        places: tuple[Place, ...] = (),
        buffer: str = "",
        barrier: str = "",
        subjects: tuple[str, ...] = (),
    ) -> None:
        from twill.emulate.scheduler import standing

        program, here = standing(location)
        if not places and here is not None:
            places = (here,)
            if here.role not in message:
                at = f", {here.iteration}" if here.iteration else ""
                message = f"{message} Role: {here.role}{at}."
        self.program = program
        self.places = places
        self.subjects = subjects or (buffer or barrier,) * len(places)
        self.buffer = buffer
        self.barrier = barrier
        super().__init__(message, hint=hint, location=location)

    @property
    def roles(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(place.role for place in self.places))

    @property
    def lines(self) -> tuple[int, ...]:
        return tuple(place.where.line for place in self.places)

    @property
    def slot(self) -> int | None:
        """The slot of the ring, or of the array of barriers, that the report is about; None for what is no array."""
        indexed = re.search(r"\[(\d+)\]", self.buffer or self.barrier)
        return int(indexed[1]) if indexed else None

    def as_dict(self) -> dict[str, object]:
        """The report as plain data, for `--json`."""
        return {
            "kind": self.kind,
            "message": str(self),
            "roles": list(self.roles),
            "lines": list(self.lines),
            "places": [
                {"action": p.action, "role": p.role, "line": p.where.line, "iteration": p.iteration, "on": on}
                for p, on in zip(self.places, self.subjects, strict=True)
            ],
            "buffer": self.buffer,
            "barrier": self.barrier,
            "slot": self.slot,
            "program": None if self.program is None else list(self.program),
        }


class Race(EmulationError):
    """Two accesses of one buffer, at least one a write, that no barrier or wait orders."""

    kind = "race"


class MissingClusterSync(EmulationError):
    """A thread block uses an mbarrier of another one of its cluster that may not be initialised yet."""

    kind = "missing-cluster-sync"


class EarlyExit(EmulationError):
    """A thread block may have ended when another one of its cluster still writes or arrives in its shared memory."""

    kind = "early-exit"


class Poison(EmulationError):
    """A read of shared memory that nothing has written."""

    kind = "poison"


class MissingFence(EmulationError):
    """Shared memory written by threads is handed to TMA or wgmma without `fence_async_shared`."""

    kind = "fence"


class TokenMisuse(EmulationError):
    """An asynchronous accumulator is used before, or around, the wait that makes it a value."""

    kind = "token"


class BarrierMisuse(EmulationError):
    """An mbarrier that is not initialised, initialised twice, or arrived at too often."""

    kind = "barrier"


class ByteMismatch(EmulationError):
    """The bytes a barrier expects and the bytes the loads bring are not the same number."""

    kind = "bytes"


class Unwaited(EmulationError):
    """An asynchronous operation is still in flight when its role or the thread block ends."""

    kind = "unwaited"


class OutOfBounds(EmulationError):
    """An index, a slice, a pointer or a descriptor leaves what it points into."""

    kind = "bounds"


class LayoutMismatch(EmulationError):
    """Shapes, dtypes or layouts that the compiler would refuse to combine: an error in the source (exit code 2)."""

    exit_code = 2
    kind = "layout"


class OutOfColumns(EmulationError):
    """The tensor memory allocations that are live together need more columns than there are."""

    kind = "columns"


class AssertionFailed(EmulationError):
    """A `static_assert`, `device_assert` or `assert` of the kernel does not hold."""

    kind = "assert"


class NeverEnds(EmulationError):
    """The step bound was reached: a loop or a spin that does not come to an end."""

    kind = "endless"


class Deadlock(EmulationError):
    """No role can move and nothing is in flight that could release one."""

    kind = "deadlock"

    def __init__(self, message: str, *, waiters: tuple[Waiter, ...], **fields: object) -> None:
        self.waiters = waiters
        super().__init__(message, **fields)  # type: ignore[arg-type]

    def as_dict(self) -> dict[str, object]:
        waiters = [
            {
                "role": w.role, "line": w.line, "iteration": w.iteration, "waits_for": w.waits_for,
                **({} if w.wanted is None else {
                    "barrier": w.wanted.barrier, "parity": w.wanted.parity, "phase": w.wanted.phase,
                    "missing_arrivals": w.wanted.missing_arrivals,
                    "should_have_arrived": w.wanted.should_have_arrived,
                }),
            }
            for w in self.waiters
        ]  # fmt: skip
        return {**super().as_dict(), "waiters": waiters}


@dataclass
class Statistics:
    """What the launches cost so far: scheduling steps, asynchronous operations, thread blocks."""

    steps: int = 0
    programs: int = 0
    loads: int = 0
    mmas: int = 0
    stores: int = 0

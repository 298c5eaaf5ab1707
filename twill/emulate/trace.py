"""What a run does, move by move: for people to read, and as footprints for the search over interleavings.

A *move* is what happens between two switch points: the rest of one role's operation, or one asynchronous
operation completing. Whoever watches a run is told of each move, of what it does (`note`) and of the
barriers and atomics it meets (the rest); without a watcher each costs one test.
"""

from __future__ import annotations

import linecache
import os
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from twill.emulate.report import Place

if TYPE_CHECKING:
    from twill.emulate.accesses import Clock
    from twill.emulate.barriers import Barrier


@dataclass(frozen=True)
class Note:
    """One operation of a move: what, on which buffer slot or barrier, and the phase it meets there."""

    action: str
    subject: str
    detail: str
    iteration: str

    def __str__(self) -> str:
        about = ", ".join(filter(None, (self.subject, self.detail)))
        return f"{self.action} {about}".rstrip()


@dataclass
class Move:
    """One move. kind: "role", or the asynchronous operation that completes ("load", "mma", "store")."""

    number: int
    program: tuple[int, ...]
    role: str
    kind: str
    line: int
    iteration: str = ""
    notes: list[Note] = field(default_factory=list)

    def as_dict(self) -> dict[str, object]:
        return {
            "move": self.number, "program": list(self.program), "role": self.role, "kind": self.kind,
            "line": self.line, "iteration": self.iteration,
            "operations": [
                {"action": n.action, "subject": n.subject, "detail": n.detail, "iteration": n.iteration}
                for n in self.notes
            ],
        }  # fmt: skip


class Watcher:
    """Is told what a run does; this one forgets it."""

    def move(self, number: int, program: tuple[int, ...], role: str, kind: str, line: int) -> None:
        """A move begins."""

    def note(self, place: Place, subject: str, detail: str) -> None:
        """The running move does what `place` says to `subject`."""

    def touch(self, key: Hashable, write: bool) -> None:
        """The running move reads or writes the state named `key`, the same in every run."""

    def signal(self, barrier: Barrier, clock: Clock, place: Place) -> None:
        """The running move, ordered after `clock`, adds to the present phase of `barrier`."""

    def passes(self, barrier: Barrier, clock: Clock, place: Place, agent: int) -> None:
        """A wait of `agent` passes; before, it was ordered after `clock`."""

    def completes(self, barrier: Barrier, clock: Clock) -> None:
        """The phase before the present one is complete, after all that `clock` is ordered after."""

    def blocks(self) -> None:
        """A role waits: for an mbarrier, if `passes` follows."""

    def unsettled(self, place: Place, subject: str, why: str) -> None:
        """What `place` does to `subject` may come to something else in another interleaving."""


class Trace(Watcher):
    """Remembers every move of a run."""

    def __init__(self, filename: str) -> None:
        self.filename = filename
        self.moves: list[Move] = []

    def move(self, number: int, program: tuple[int, ...], role: str, kind: str, line: int) -> None:
        self.moves.append(Move(number, program, role, kind, line))

    def note(self, place: Place, subject: str, detail: str) -> None:
        if not self.moves:
            return
        move = self.moves[-1]
        move.line = move.line or place.where.line
        move.iteration = move.iteration or place.iteration
        move.notes.append(Note(place.action, subject, detail, place.iteration))

    def text(self, last: int | None = None) -> str:
        """A line for each of the `last` moves (None: all), with the source of a role's move that did nothing
        the emulator has a word for."""
        shown = self.moves if last is None else self.moves[max(0, len(self.moves) - last) :]
        lines = []
        left_out = len(self.moves) - len(shown)
        if left_out:
            lines.append(f"... {left_out:,} earlier moves")
        blocks = len({move.program for move in self.moves}) > 1
        width = max((len(move.role) for move in shown), default=0)
        name = os.path.basename(self.filename)
        for move in shown:
            at = f"block {move.program} " if blocks else ""
            what = "; ".join(map(str, move.notes)) or linecache.getline(self.filename, move.line).strip() or "starts"
            if move.kind != "role":
                what = f"{move.kind} completes: {what}"
            turn = f" [{move.iteration}]" if move.iteration else ""
            lines.append(f"{move.number:6} {at}{move.role:{width}} {name}:{move.line:<4}{turn} {what}")
        return "\n".join(lines)

    def data(self, last: int | None = None) -> dict[str, object]:
        """The same as plain data."""
        shown = self.moves if last is None else self.moves[max(0, len(self.moves) - last) :]
        return {"moves": len(self.moves), "shown": [move.as_dict() for move in shown]}


_watchers: list[Watcher] = []


class watching:
    """`with watching(watcher):` tells it what runs inside."""

    def __init__(self, watcher: Watcher | None) -> None:
        self.watcher = watcher

    def __enter__(self) -> Watcher | None:
        if self.watcher is not None:
            _watchers.append(self.watcher)
        return self.watcher

    def __exit__(self, *_: object) -> None:
        if self.watcher is not None:
            _watchers.pop()


def move(number: int, program: tuple[int, ...], role: str, kind: str, line: int) -> None:
    if _watchers:
        _watchers[-1].move(number, program, role, kind, line)


def note(place: Place, subject: str, detail: str = "") -> None:
    if _watchers:
        _watchers[-1].note(place, subject, detail)


def touch(key: Hashable, write: bool) -> None:
    if _watchers:
        _watchers[-1].touch(key, write)


def signal(barrier: Barrier, clock: Clock, place: Place) -> None:
    if _watchers:
        _watchers[-1].signal(barrier, clock, place)


def passes(barrier: Barrier, clock: Clock, place: Place, agent: int) -> None:
    if _watchers:
        _watchers[-1].passes(barrier, clock, place, agent)


def completes(barrier: Barrier, clock: Clock) -> None:
    if _watchers:
        _watchers[-1].completes(barrier, clock)


def blocks() -> None:
    if _watchers:
        _watchers[-1].blocks()


def unsettled(place: Place, subject: str, why: str) -> None:
    if _watchers:
        _watchers[-1].unsettled(place, subject, why)


def watched() -> bool:
    return bool(_watchers)

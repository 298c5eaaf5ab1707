"""A run that is told which move to take at chosen steps, and moves in a fixed order everywhere else.

Two base orders: under "late" the running role goes on as long as it can, then the next role, and an
asynchronous operation completes only when no role can move; under "early" it completes at once. A
*deviation* takes another move than the base order's at one step. A run is named by its base order and
its deviations, as in `late.14x2.20x1`: at step 14 the move two places down the order, at 20 the next one; and by
its thread block, as in `late.14x2/0.3.0`.
wgmmas and TMA stores signal nothing when they complete, so they are no alternatives: only memory sees them, and
what it sees at the wrong time is a race under any order.

A third order starves a role: `starve2` is the early order, but the second role moves only when no other can. Who waits
for something else than what that role's slowness holds up then runs ahead of it as far as the barriers let them.
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from twill.emulate.adversary import Adversary
from twill.errors import InputError

if TYPE_CHECKING:
    from twill.emulate.scheduler import Event, Task

ORDERS = ("late", "early")
_SILENT = ("mma", "store")  # operations that complete without a signal
_NAME = re.compile(r"(late|early|starve[1-9]\d*)((?:\.\d+x\d+)*)(?:/(\d+)\.(\d+)\.(\d+))?")


@dataclass(frozen=True)
class Path:
    """One interleaving: base order and (step, alternative) pairs, steps ascending; block: which one it is of."""

    order: str
    deviations: tuple[tuple[int, int], ...] = ()
    block: tuple[int, int, int] | None = None

    def __str__(self) -> str:
        name = self.order + "".join(f".{step}x{alternative}" for step, alternative in self.deviations)
        return name if self.block is None else f"{name}/{'.'.join(map(str, self.block))}"

    @staticmethod
    def parse(text: str) -> Path | None:
        """The path a name stands for; None when it is no such name."""
        match = _NAME.fullmatch(text)
        if match is None:
            return None
        pairs = [part.split("x") for part in match[2].split(".")[1:]]
        deviations = tuple((int(step), int(alternative)) for step, alternative in pairs)
        steps = [step for step, _ in deviations]
        if steps != sorted(set(steps)) or any(alternative < 1 for _, alternative in deviations):
            return None
        x, y, z = match.groups()[2:]
        return Path(match[1], deviations, None if x is None else (int(x), int(y), int(z)))

    @property
    def starved(self) -> int | None:
        """The number of the role, in order of creation, that moves only when no other can."""
        return int(self.order.removeprefix("starve")) if self.order.startswith("starve") else None

    def then(self, step: int, alternative: int) -> Path:
        return Path(self.order, (*self.deviations, (step, alternative)), self.block)


class Guided(Adversary):
    """Follows a path. A subclass may look on: `moved` is told what the last move issued, `at_choice` of every
    step that is no deviation, `begins` which move is taken."""

    def __init__(self, path: Path) -> None:
        super().__init__(0)
        self.path = path
        self.step = 0
        self.last: Task | None = None  # the role that moved last
        self.roles = 0  # seen so far
        self._left = dict(path.deviations)
        self._issued: dict[tuple[str, str], int] = {}

    def renew(self) -> None:
        self.last = None
        self._issued = {}

    def moved(self, issued: list[Hashable]) -> None:
        """The last move is over; it has started the operations named `issued`."""

    def at_choice(self, step: int, choices: int) -> None:
        """The path leaves step `step`, with `choices` moves, to the base order."""

    def begins(self, mover: Hashable) -> None:
        """`mover`, a role's agent or an operation's name, moves now."""

    def choose(self, ready: list[Task], events: dict[str, list[Event]]) -> Task | Event:
        self.moved(self._name(events))
        self.roles = max([self.roles, *(task.name for task in ready)])
        moves = self._ordered(ready, events)
        step, self.step = self.step, self.step + 1
        alternative = self._left.pop(step, 0)
        if alternative == 0:
            self.at_choice(step, len(moves))
        elif alternative >= len(moves):
            raise InputError(
                f"there is no interleaving {self.path}: at step {step} only {len(moves)} moves are possible.",
                hint="Was the module changed since, or is it another trip count?",
            )
        chosen = moves[alternative]
        task = next((task for task in ready if task is chosen), None)
        self.last = task or self.last
        self.begins(chosen.name)
        return chosen

    def _name(self, events: dict[str, list[Event]]) -> list[Hashable]:
        """Name the operations that are new since the last step, alike in all orders of independent moves."""
        new: list[Hashable] = []
        for kind, pending in events.items():
            for event in pending:
                if not event.name:
                    issued = self._issued.get((kind, event.place.role), 0)
                    self._issued[kind, event.place.role] = issued + 1
                    event.name = (kind, event.place.role, issued)
                    new.append(event.name)
        return new

    def _ordered(self, ready: list[Task], events: dict[str, list[Event]]) -> list[Task | Event]:
        silent: list[Task | Event] = [event for kind in _SILENT for event in events[kind] if not event.seen]
        pending = sorted(
            (event for kind, several in events.items() for event in several if kind not in _SILENT or event.seen),
            key=lambda event: event.name,
        )
        late = self.path.order == "late"
        if silent and (not late or not (ready or pending)):
            return silent[:1]
        start = next((i for i, task in enumerate(ready) if task is self.last), None)
        if start is None:  # the one that moved last waits or has ended: the next one in order of creation
            after = self.last.name if self.last is not None else 0
            start = next((i for i, task in enumerate(ready) if task.name > after), 0)
        roles: list[Task | Event] = [*ready[start:], *ready[:start]]
        if self.path.starved is not None:
            roles.sort(key=lambda role: role.name == self.path.starved)
        return [*roles, *pending] if late else [*pending, *roles]

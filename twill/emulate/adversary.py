"""Who moves next: the random choices that make a run as unlucky as the machine may be."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from twill.emulate.scheduler import Event, Task


class Adversary:
    """Draws who moves next. Each thread block gets its own moods: operations that happen at once, at any
    time, or only when nothing else can, and roles that are fast or starved."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.renew()

    def renew(self) -> None:
        moods = ("any", "any", "early", "late")
        self.moods = {kind: self.random.choice(moods) for kind in ("load", "mma", "store")}
        self.moods["tcgen05"] = self.moods["mma"]
        self.weights: dict[str, float] = {}
        self.steps = 0

    def choose(self, ready: list[Task], events: dict[str, list[Event]]) -> Task | Event:
        self.steps += 1
        if self.steps % 64 == 0:
            self.weights = {}
        groups: dict[str, list[Event]] = {"early": [], "any": [], "late": []}
        for kind, pending in events.items():
            groups[self.moods[kind]].extend(pending)
        if groups["early"]:
            return self.random.choice(groups["early"])
        moves: list[Task | Event] = [*ready, *groups["any"]]
        if not moves:
            return self.random.choice(groups["late"])
        weights = [self._weight(task.role) for task in ready] + [0.5] * len(groups["any"])
        return self.random.choices(moves, weights)[0]

    def _weight(self, role: str) -> float:
        if role not in self.weights:
            self.weights[role] = self.random.choice((0.02, 1.0, 1.0, 20.0))
        return self.weights[role]

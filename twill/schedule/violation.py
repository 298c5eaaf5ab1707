"""What the checker reports."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Violation:
    """One broken rule: its name, the ops concerned, the cycle (or slot) it shows at, and the arithmetic in words.

    rule: "structure", "dependence", "units", "streams", "roles", "registers", "rings", "barriers",
    "colocate" or "separate". cycle: -1 where no moment is meant.
    """

    rule: str
    ops: tuple[str, ...]
    cycle: int
    message: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.message}"

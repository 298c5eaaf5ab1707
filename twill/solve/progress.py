"""What a running solve tells whoever watches it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """One step of a solve: its phase, the best interval so far (0: none), its lower bound, seconds so far.

    phase: "interval" while a feasible interval is sought, "proof" while shorter ones are excluded,
    "conflict" while the reason for infeasibility is sought, otherwise the name of a tier.
    """

    phase: str
    ii: int
    bound: int
    seconds: float

    def __str__(self) -> str:
        found = f"II {self.ii}" if self.ii else "no II yet"
        return f"{self.phase}: {found}, at least {self.bound}, {self.seconds:.1f} s"

"""What a certificate holds: every claim of a schedule file, with what was done to check it and what came out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from twill.certify.bounds import Bounds

Proof = Literal["refuted", "schedule found", "unknown", "not tried"]


@dataclass(frozen=True)
class Interval:
    """What each solver says of the intervals first to last (cycles): that none of them has a schedule, or not.

    `refuted` or `unknown`; `not tried` where time ran out before; `schedule found` for a single one.
    """

    first: int
    last: int
    cp_sat: Proof
    z3: Proof

    @property
    def count(self) -> int:
        return self.last - self.first + 1


@dataclass(frozen=True)
class TierCheck:
    """A tier of the objective: its claimed value, what the placements score, and who proved that nothing is better.

    scored: None for a tier this version does not know. claimed: whether the solver says it is proved.
    z3: whether a better value is refuted, all tiers before being as good.
    """

    name: str
    value: int
    bound: int
    claimed: bool
    scored: int | None
    z3: Proof


@dataclass(frozen=True)
class Certificate:
    """What is confirmed of a schedule's claims; `failures` are those that do not hold, in words.

    status, ii, lower_bound, reason: as claimed. broken: the rules its placements break, in words.
    intervals: those below the claimed lower bound that no unit or recurrence excludes, in order; for
    an infeasible problem from MII on, the last of them standing for all longer ones. notes: what a
    reader has to know to judge the certificate. only: the one interval that was asked for. stopped: Ctrl-C came first.
    """

    name: str
    machine: str
    status: str
    ii: int
    lower_bound: int
    reason: str
    ops: int
    deps: int
    broken: tuple[str, ...]
    bounds: Bounds
    intervals: tuple[Interval, ...] = ()
    endless: bool = False
    only: int | None = None
    tiers: tuple[TierCheck, ...] = ()
    failures: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    stopped: bool = False
    seconds: float = 0.0
    versions: Mapping[str, str | None] = field(default_factory=dict)

    @property
    def holds(self) -> bool:
        """Nothing that is claimed was found to be false."""
        return not self.failures

    @property
    def confirmed(self) -> bool:
        """The lower bound follows from a unit, a recurrence, or refutations by both solvers."""
        return self.holds and self.only is None and all(each.cp_sat == each.z3 == "refuted" for each in self.intervals)


def merged(cp_sat: Mapping[int, Proof], z3: Mapping[int, Proof], intervals: Sequence[int]) -> tuple[Interval, ...]:
    """One entry for each run of consecutive intervals of which both solvers say the same."""
    found: list[Interval] = []
    for ii in intervals:
        here = Interval(ii, ii, cp_sat.get(ii, "not tried"), z3.get(ii, "not tried"))
        last = found[-1] if found else None
        if last is not None and last.last == ii - 1 and (last.cp_sat, last.z3) == (here.cp_sat, here.z3):
            found[-1] = Interval(last.first, ii, here.cp_sat, here.z3)
        else:
            found.append(here)
    return tuple(found)

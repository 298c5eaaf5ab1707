"""The answer: where and when each op runs, and how deep each ring is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from twill.schedule.problem import Problem

WITHIN_LEARNT_LIMITS = ", within the limits that the machine code asked for"
"""Ends the reason of a schedule whose problem got tighter limits after ptxas."""

Status = Literal["optimal", "feasible", "infeasible", "unknown"]


@dataclass(frozen=True)
class Placement:
    """Start of an op as stage * ii + slot with 0 <= slot < ii, and the warp group(s) it runs on."""

    stage: int
    slot: int
    groups: tuple[int, ...]


@dataclass(frozen=True)
class Group:
    """A warp group: its warps and its registers per thread (the cap its live values respect)."""

    warps: int
    registers: int
    producer: bool = False


@dataclass(frozen=True)
class Tier:
    """One tier of the objective: its value, the best bound known, and whether that is proved."""

    name: str
    value: int
    bound: int
    proved: bool


@dataclass(frozen=True)
class Schedule:
    """A schedule of a Problem with its claim.

    status `optimal` only when `ii` is proved minimal; `reason` names what proves it. `rings` maps
    each op that writes a shared- or tensor-memory buffer to its depth. Empty placements when no
    schedule was found.
    """

    problem: Problem
    status: Status
    ii: int
    lower_bound: int
    reason: str
    length: int
    placements: Mapping[str, Placement]
    rings: Mapping[str, int]
    groups: tuple[Group, ...]
    tiers: tuple[Tier, ...] = ()
    seconds: float = 0.0
    provenance: Mapping[str, object] = field(default_factory=dict)

    def start(self, id: str) -> int:
        """Start cycle of op `id` in iteration 0."""
        at = self.placements[id]
        return at.stage * self.ii + at.slot

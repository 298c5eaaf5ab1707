"""One choice of tile sizes and sub-tiles: what it leads to, and what is known of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from twill.candidates.work import Work
from twill.errors import TwillError
from twill.frontend.launch import Constant, Launch
from twill.ir.graph import Graph
from twill.schedule.problem import Problem
from twill.schedule.schedule import Schedule

ANY = 0
"""As a number of sub-tiles: none of them is possible with these tile sizes."""


@dataclass(frozen=True)
class Candidate:
    """Tile sizes and a number of sub-tiles: its graph and problem, its bounds, and its schedule once solved.

    tile: the constexprs that were searched; empty when none was. incumbent: these are the sizes of the
    kernel's example. mii, least_length: no schedule has a smaller II, or a shorter iteration, in cycles.
    error: why it has no problem. reason: why it has no schedule, or was passed over. pending: time ran
    out before it had one. stopped: Ctrl-C ended its solve.
    """

    subtiles: int
    tile: Mapping[str, Constant] = field(default_factory=dict)
    incumbent: bool = True
    launch: Launch | None = None
    graph: Graph | None = None
    problem: Problem | None = None
    work: Work | None = None
    mii: int = 0
    least_length: int = 0
    schedule: Schedule | None = None
    error: TwillError | None = None
    reason: str = ""
    pending: bool = False
    stopped: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "tile", MappingProxyType(dict(self.tile)))

    @property
    def sizes(self) -> str:
        """The tile sizes in words; empty when none was searched."""
        return ", ".join(f"{name}={value}" for name, value in self.tile.items())

    @property
    def name(self) -> str:
        """Tile sizes and number of sub-tiles in words."""
        if self.subtiles == ANY:
            return self.sizes or "the example's tile sizes"
        count = "1 sub-tile" if self.subtiles == 1 else f"{self.subtiles} sub-tiles"
        return f"{self.sizes} and {count}" if self.tile else count

    @property
    def bound_ii(self) -> int:
        """No II below this is possible."""
        return max(self.mii, self.schedule.lower_bound if self.schedule is not None else 0)

    @property
    def bound_sm_cycles(self) -> int:
        """No schedule takes fewer SM cycles for the launch; 0 without a problem."""
        return self.work.sm_cycles(self.bound_ii, self.least_length) if self.work is not None else 0

    @property
    def cycles(self) -> int | None:
        """Predicted cycles of the longest program's loop; None without a schedule."""
        if self.schedule is None or not self.schedule.placements or self.problem is None:
            return None
        return (self.problem.trip_count - 1) * self.schedule.ii + self.schedule.length

    @property
    def sm_cycles(self) -> int | None:
        """Predicted SM cycles of the whole launch, what candidates are ranked by; None without a schedule."""
        if self.schedule is None or not self.schedule.placements or self.work is None:
            return None
        return self.work.sm_cycles(self.schedule.ii, self.schedule.length)

    @property
    def slack(self) -> int:
        """Cycles by which a wait of the schedule may be late before anything stalls (its weakest wait)."""
        tiers = self.schedule.tiers if self.schedule else ()
        return next((tier.value for tier in tiers if tier.name == "slack"), 0)

    @property
    def rank(self) -> tuple[bool, bool, int, int, int]:
        """Order among candidates: fewest SM cycles, then the most slack, then the fewest sub-tiles.

        Those without a schedule follow by their bounds, those without a problem are last.
        """
        cycles = self.sm_cycles
        return (
            cycles is None,
            self.problem is None,
            self.bound_sm_cycles if cycles is None else cycles,
            -self.slack,
            self.subtiles,
        )

"""What a sweep found: a row a candidate, by measured time where there is one, else by prediction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import inf
from typing import Any

from twill.tune.points import Point
from twill.tune.problem import Problem

PREDICTED = "predicted, not measured"


@dataclass(frozen=True)
class Row:
    """One candidate. build: as `twill.tune.build` wrote it. answer: of its timing, None before. reason: why not timed.

    tile, subtiles: its point. Two points may give the same kernel, which is then one row.
    """

    tile: Mapping[str, Any]
    subtiles: int
    build: Mapping[str, Any]
    answer: Mapping[str, Any] | None = None
    reason: str = ""

    @property
    def candidate(self) -> str:
        return str(self.build["candidate"])

    @property
    def name(self) -> str:
        """Tile sizes, sub-tiles and place in words."""
        sizes = [f"{name}={value}" for name, value in self.tile.items()]
        place = f", schedule {self.build['place']}" if self.build["place"] > 1 else ""
        return f"{' '.join([*sizes, f'subtiles={self.subtiles}'])}{place}"

    @property
    def predicted_seconds(self) -> float | None:
        return self.build["predicted_seconds"]

    @property
    def problems(self) -> Sequence[str]:
        return self.build["problems"]

    @property
    def seconds(self) -> float | None:
        """Median of the measured times; None for what was not timed, or failed."""
        return float(self.answer["seconds"]) if self.answer is not None and self.answer["status"] == "ok" else None

    @property
    def status(self) -> str:
        """measured, wrong, failed, crashed, hung, pruned or predicted."""
        if self.answer is not None:
            return "measured" if self.answer["status"] == "ok" else str(self.answer["status"])
        return "pruned" if self.reason else "predicted"

    @property
    def why(self) -> str:
        """Why it has no time."""
        return str(self.answer.get("why", "")) if self.answer is not None else self.reason

    @property
    def to_be_timed(self) -> bool:
        return self.answer is None and not self.reason

    @property
    def predicted_rank(self) -> tuple[bool, float, float, int, str]:
        """Clean machine code first, then the predicted time, then the loops' cycles, then the schedule's place."""
        seconds, cycles = self.predicted_seconds, self.build["sm_cycles"]
        return (
            bool(self.problems), inf if seconds is None else seconds, inf if cycles is None else cycles,
            self.build["place"], self.candidate,
        )  # fmt: skip

    @property
    def rank(self) -> tuple[Any, ...]:
        """Measured ones by their times; then what was not measured, by prediction; last what must not run."""
        order = {"measured": 0, "predicted": 1, "pruned": 2}.get(self.status, 3)
        return (order, self.seconds or 0.0, self.predicted_rank)

    def left(self, reason: str) -> Row:
        """Not to be timed."""
        return replace(self, reason=reason)

    def answered(self, answer: Mapping[str, Any]) -> Row:
        """With what its timing gave."""
        return replace(self, answer=answer, reason="")


def rows_of(points: Sequence[Point], builds: Mapping[str, Mapping[str, Any]]) -> list[Row]:
    """A row for each different kernel of the compiled points."""
    found: dict[str, Row] = {}
    for point in points:
        build = builds.get(point.name)
        if build is None or build["status"] != "ok":
            continue
        for candidate in build["candidates"]:
            found.setdefault(candidate["candidate"], Row(point.tile, point.subtiles, candidate))
    return list(found.values())


@dataclass(frozen=True)
class Result:
    """Rows, best first. failed: points without a kernel, and why. no_gpu: why nothing was timed, "" if it was.

    interrupted: Ctrl-C ended the sweep.
    """

    problem: Problem
    rows: tuple[Row, ...]
    failed: Mapping[str, str] = field(default_factory=dict)
    no_gpu: str = ""
    interrupted: bool = False

    @property
    def winner(self) -> Row | None:
        """The candidate to run: the fastest measured, else the predicted best that did not fail."""
        return next((row for row in self.rows if row.status in ("measured", "predicted", "pruned")), None)

    @property
    def label(self) -> str:
        """What the winner's time is."""
        return label(self.winner.answer if self.winner is not None else None)


def label(answer: Mapping[str, Any] | None) -> str:
    """Of a candidate: measured, and on what; else that it is predicted."""
    if answer is None or answer["status"] != "ok":
        return PREDICTED
    return f"measured on {answer['device']['name']}"

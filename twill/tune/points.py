"""What is compiled: tile sizes times numbers of sub-tiles, those first whose bounds promise most."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from twill.candidates import Candidate, Request
from twill.candidates.space import at, incumbents, other_tiles
from twill.errors import InputError
from twill.machine import Machine
from twill.steps import Step


@dataclass(frozen=True)
class Point:
    """Each size that the kernel's tune= names, and a number of sub-tiles. bound_seconds: of its launch, modelled."""

    tile: Mapping[str, Any]
    subtiles: int
    bound_seconds: float

    @property
    def name(self) -> str:
        """The same for the same point, whatever else was searched."""
        sizes = [f"{name}={value}" for name, value in sorted(self.tile.items())]
        return " ".join([*sizes, f"subtiles={self.subtiles}"])


@dataclass(frozen=True)
class Points:
    """The points that have a problem, by their bounds, and why the others have none."""

    points: tuple[Point, ...]
    impossible: Mapping[str, str]


def points_of(request: Request, tell: Callable[[str], None], stop: Callable[[], bool]) -> Points:
    """Every point of the kernel's tune=, lowered and bounded.

    Raises what is wrong with the sizes of the kernel's example when no point has a problem, InputError when the
    example launches no program at any of them.
    """
    tell("lowering the kernel")
    first = incumbents(request)
    candidates = list(first)
    tiles = other_tiles(request, first[0].tile)
    for number, tile in enumerate(tiles):
        if stop():
            break
        tell(Step("lowering the kernel at other tile sizes", number, len(tiles)))
        candidates += at(request, tile, first[0])
    possible = [each for each in candidates if each.problem is not None]
    if not possible:
        raise next(each.error for each in first if each.error is not None)
    launched = [each for each in possible if not _empty(each)]
    if not launched:
        raise InputError(
            f"there is nothing to time: the example of `{request.source.name}` launches no program, its grid is "
            f"{_grid(possible[0])}.",
            hint="Give --example sizes that fill at least one tile.",
            location=request.source.location,
        )
    names = tuple(request.source.info.tune) if request.source.info is not None else ()
    points = [point_of(each, names, request.machine) for each in launched]
    points.sort(key=lambda point: (point.bound_seconds, -point.subtiles, point.name))
    impossible = {each.name: each.reason for each in candidates if each.problem is None}
    empty = {each.name: f"launches no program: its grid is {_grid(each)}" for each in possible if _empty(each)}
    return Points(tuple(points), impossible | empty)


def _empty(candidate: Candidate) -> bool:
    """The example's sizes fill no tile of these."""
    return candidate.launch is not None and candidate.launch.grid is not None and min(candidate.launch.grid) < 1


def _grid(candidate: Candidate) -> str:
    assert candidate.launch is not None
    return " x ".join(map(str, candidate.launch.grid or ()))


def point_of(candidate: Candidate, names: Sequence[str], machine: Machine) -> Point:
    """The point of a candidate with a problem. names: of the sizes in tune=, those included that are fixed."""
    assert candidate.launch is not None
    tile = {name: candidate.launch.constants[name] for name in names}
    return Point(tile, candidate.subtiles, bound_seconds(candidate, machine))


def bound_seconds(candidate: Candidate, machine: Machine) -> float:
    """Seconds of the loops of a launch that no schedule undercuts: of all SMs together, and of the longest program."""
    assert candidate.work is not None
    longest = (candidate.work.longest - 1) * candidate.bound_ii + candidate.least_length
    cycles = max(candidate.bound_sm_cycles / machine.count("sm_count"), longest)
    return cycles / (machine.number("clock_mhz") * 1e6)

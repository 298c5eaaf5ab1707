"""Launches that show what there is to see of a kernel: trip counts that take every ring round, tensors long enough for
them, tiles enough for an outer loop, and the programs that are run."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from twill.emulate.rings import pipelines, ring_depths, telling_trips
from twill.errors import CheckFailed

if TYPE_CHECKING:
    from twill.frontend.launch import Launch
    from twill.frontend.trips import Trip
    from twill.ir.graph import Graph

_TILES, _LEAST_TILES = 3, 2  # of a program, with an outer loop
_MOST_EXAMPLES = 4  # longer ones that are looked at


def over_tiles(
    graph: Graph, launch: Launch, longer: Mapping[int, Launch], trips: list[Trip]
) -> tuple[list[Trip], tuple[str, ...]]:
    """The trips with other arguments, so that a program runs _TILES tiles, fewer where they are long; and a note."""
    from twill.frontend.tiles import most_tiles, with_tiles

    found, most = [], 0
    for trip in trips:
        of = longer.get(trip.trip_count, launch)
        if trip.overrides or most_tiles(graph, of) < _LEAST_TILES:
            trip = with_tiles(graph, of, trip, _TILES if trip.trip_count <= _TILES else _LEAST_TILES)
        most = max(most, most_tiles(graph, of.with_values(trip.overrides)))
        found.append(trip)
    if most >= _LEAST_TILES:
        return found, ()
    return found, (
        f"no program runs more than {most} tile{'s' * (most != 1)}: give the example more tiles than programs, or the "
        "number of programs as an argument",
    )


def most_telling(graph: Graph, launch: Launch, telling: set[int], least: int) -> Launch:
    """Of the examples of `least` iterations or more, the first with whose smaller arguments the most of the telling
    trip counts are reached; the example itself when none can be so long."""
    from twill.frontend.trips import reachable_trips

    best, most = launch, -1
    for longer in longer_examples(graph, launch, least):
        reached = len(reachable_trips(graph, longer, telling))
        if reached > most:
            best, most = longer, reached
        if reached == len(telling):
            break
    return best


def next_longer(graph: Graph, launch: Launch, missing: Collection[int], trips: Sequence[Trip]) -> list[Trip]:
    """In place of trip counts that no arguments reach, as of a loop over taps and channels: the shortest longer run, or
    the example as it is; none where one of `trips` is longer than they are."""
    from twill.frontend.trips import largest_trip_count, reachable_trips

    most = max(missing, default=0)
    if max((trip.trip_count for trip in trips), default=0) >= most:
        return []
    reach = largest_trip_count(graph, launch)
    known = {trip.trip_count for trip in trips}
    found = reachable_trips(graph, launch, range(min(most, reach), reach + 1))
    return [trip for trip in found if trip.trip_count not in known][:1]


def longer_examples(graph: Graph, launch: Launch, trip_count: int) -> Iterator[Launch]:
    """A few launches with so many iterations; none whose tensors are too small, for they do not follow."""
    from twill.frontend.lengthen import lengthenings

    for longer in itertools.islice(lengthenings(graph, launch, trip_count), _MOST_EXAMPLES):
        if longer is launch or longer.grid is None or _stays_inside(graph, longer):
            yield longer


def _stays_inside(graph: Graph, launch: Launch) -> bool:
    """Two of its programs access nothing outside of its tensors."""
    from twill.frontend.materialize import materialize
    from twill.frontend.trips import trip_counts
    from twill.ir import evaluate

    arguments = {**materialize(launch), **launch.scalars}
    try:
        evaluate.run(graph, arguments, launch.grid or (1, 1, 1), "float64", sample(trip_counts(graph, launch), 2))
    except CheckFailed:
        return False
    return True


def telling_trips_of(module: Path) -> set[int]:
    """Of the module's rings and pipelines; without any where it cannot be read or parsed, which loading it will say."""
    try:
        text = module.read_text()
        return telling_trips(ring_depths(text).values(), pipelines(text))
    except (OSError, UnicodeDecodeError, SyntaxError):
        return telling_trips(())


def sample(counts: Mapping[tuple[int, int, int], int], count: int) -> tuple[tuple[int, int, int], ...]:
    """Up to `count` programs: that with the most iterations, that with the fewest, and some between."""
    ranked = sorted(counts.items(), key=lambda item: (item[1], item[0]))
    if len(ranked) <= count:
        return tuple(program for program, _ in ranked)
    last = len(ranked) - 1
    picks = {last, *(round(i * last / (count - 1)) for i in range(count - 1))}
    return tuple(ranked[i][0] for i in sorted(picks))

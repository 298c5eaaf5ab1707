"""How many tiles the programs of a launch run, and arguments under which they run few: for kernels with an outer loop.

A program of several tiles shows what one of a single tile cannot: rings that go on across tiles, buffers that are
reused, roles that are in different tiles.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

from twill.errors import TwillError
from twill.frontend.launch import Launch
from twill.frontend.trips import Trip, largest_trip_count, tile_counts
from twill.ir.graph import Graph
from twill.ir.vectors import multiples

_MOST_VALUES = 64  # of one argument that are tried


def most_tiles(graph: Graph, launch: Launch) -> int:
    """Tiles of the program that runs the most; 1 without an outer loop."""
    return max(tile_counts(graph, launch).values(), default=0)


def with_tiles(graph: Graph, launch: Launch, trip: Trip, wanted: int) -> Trip:
    """`trip` with one more argument changed, so that the program with the most tiles runs `wanted` of them.

    The trip count stays, and tensors are large enough: the argument gets smaller. Where none does it, one that comes
    near, with two tiles at least; `trip` itself where there is none.
    """
    best, distance = trip, abs(most_tiles(graph, launch.with_values(trip.overrides)) - wanted)
    for name, value in _smaller(graph, launch, trip):
        if not distance:
            break
        overrides = {**trip.overrides, name: value}
        try:
            changed = launch.with_values(overrides)
            if changed.grid is None or min(changed.grid) < 1 or largest_trip_count(graph, changed) != trip.trip_count:
                continue
            tiles = most_tiles(graph, changed)
        except TwillError:
            continue
        if tiles > 1 and abs(tiles - wanted) < distance:
            best, distance = replace(trip, overrides=overrides), abs(tiles - wanted)
    return best


def _smaller(graph: Graph, launch: Launch, trip: Trip) -> Iterator[tuple[str, int]]:
    """Smaller values of the integer arguments that the grid follows, largest first."""
    vectors = multiples(graph)
    for spec in launch.arguments:
        value = spec.value
        if spec.kind != "scalar" or type(value) is not int or value < 2 or spec.name in trip.overrides:
            continue
        unit = math.lcm(launch.multiple(spec.name), vectors.get(spec.name, 1))
        values = [smaller for smaller in range((value - 1) // unit * unit, 0, -unit) if smaller < value]
        few = values[:: -(-len(values) // _MOST_VALUES)] if values else []
        yield from ((spec.name, smaller) for smaller in few if _moves_grid(launch, spec.name, smaller))


def _moves_grid(launch: Launch, name: str, value: int) -> bool:
    try:
        return launch.with_values({name: value}).grid != launch.grid
    except TwillError:
        return False

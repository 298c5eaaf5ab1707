"""Loop bounds that are read from memory: the example's values travel, and others reach other trip counts."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from twill import frontend
from twill.errors import InputError, Unsupported
from twill.frontend.contents import one_range, resized, shortened
from twill.frontend.launch import Launch, from_json, to_json
from twill.frontend.lengthen import lengthened
from twill.frontend.materialize import materialize
from twill.frontend.trips import driving_tensors, largest_trip_count, reachable_trips, trip_counts
from twill.ir.graph import Graph
from twill.ir.simplify import simplify

KERNEL = Path(__file__).parents[1] / "kernels_for_tests" / "segment_sums.py"
OFFSETS = (0, 50, 50, 200, 256)


@pytest.fixture(scope="module")
def lowered() -> tuple[Graph, Launch]:
    graph, launch = frontend.lower(frontend.load(KERNEL))
    return simplify(graph), launch


def test_the_values_travel_with_the_launch(lowered: tuple[Graph, Launch]) -> None:
    launch = from_json(json.loads(json.dumps(to_json(lowered[1]))))
    assert launch == lowered[1]
    assert launch.argument("offsets").contents == OFFSETS
    assert launch.argument("x").contents is None
    assert materialize(launch)["offsets"].tolist() == list(OFFSETS)


def test_each_program_reads_its_own_bounds(lowered: tuple[Graph, Launch]) -> None:
    assert list(trip_counts(*lowered).values()) == [2, 0, 5, 2]
    assert driving_tensors(*lowered) == ("offsets",)


def test_every_shorter_count_is_reached_by_other_values(lowered: tuple[Graph, Launch]) -> None:
    graph, launch = lowered
    trips = reachable_trips(graph, launch, range(5))
    assert [trip.trip_count for trip in trips] == [0, 1, 2, 3, 4]
    for trip in trips:
        assert set(trip.overrides) == {"offsets"}
        changed = launch.with_values(trip.overrides)
        assert largest_trip_count(graph, changed) == trip.trip_count
        contents = changed.argument("offsets").contents
        assert contents is not None
        assert max(contents) <= max(OFFSETS)
        assert contents == tuple(sorted(contents))


def test_longer_ranges_first_of_the_same_tensors_then_of_larger_ones(lowered: tuple[Graph, Launch]) -> None:
    graph, launch = lowered
    merged = lengthened(graph, launch, 8)
    assert merged is not None
    assert merged.argument("offsets").contents == (0, 0, 0, 256, 256)
    assert merged.argument("x").shape == (256, 64)
    longer = lengthened(graph, launch, 11)
    assert longer is not None
    assert largest_trip_count(graph, longer) >= 11
    x, contents = longer.argument("x"), longer.argument("offsets").contents
    assert x.shape is not None
    assert contents is not None
    assert x.shape[0] == longer.argument("T").value == max(contents) > 256


def test_values_that_are_not_held_are_asked_for(lowered: tuple[Graph, Launch]) -> None:
    graph, launch = lowered
    arguments = tuple(replace(spec, contents=None) for spec in launch.arguments)
    with pytest.raises(Unsupported, match="values of `offsets` that are not known") as caught:
        largest_trip_count(graph, replace(launch, arguments=arguments))
    assert caught.value.location is not None
    assert "at most 4096 elements" in str(caught.value.hint)


def test_a_grid_larger_than_the_bounds_is_refused(lowered: tuple[Graph, Launch]) -> None:
    with pytest.raises(InputError, match="reads element 5 of `offsets`, which has 5"):
        largest_trip_count(lowered[0], replace(lowered[1], grid=(5, 1, 1)))


def test_lengths_and_offsets_are_told_apart() -> None:
    assert one_range((3, 3, 7, 9)) == (3, 3, 9, 9)
    assert one_range((4, 2, 8)) == (4, 2, 8)
    assert resized((1, 2), 4) == (1, 2, 2, 2)
    assert resized((2, 1), 5) == (2, 1, 2, 1, 2)
    assert resized((1, 2, 3), 2) == (1, 2)
    assert shortened((128, 64), 0, max) == (0, 0)
    assert shortened((128, 64), 64, max) == (64, 64)
    assert shortened((128, 64), 3, max) == (3, 3)
    assert shortened((-1, 5), 3, max) is None
    assert shortened((0, 0), 0, max) is None
    asked = []
    assert shortened((0, 3_000_001), 7, lambda made: asked.append(made) or max(made)) == (0, 7)
    assert len(asked) < 30

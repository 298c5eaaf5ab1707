"""What is run in place of trip counts that no arguments reach."""

import pytest

from twill.emulate.examples import next_longer
from twill.frontend.launch import ArgumentSpec, Launch
from twill.frontend.trips import Trip
from twill.ir.graph import Graph, Loop, Op, Type, Value

I32 = Type("i32")


def taps(channels):
    """A loop over 9 taps times the channels."""
    before = (
        Op("constant", (), (Value("zero", I32),), {"value": 0}),
        Op("constant", (), (Value("one", I32),), {"value": 1}),
        Op("constant", (), (Value("nine", I32),), {"value": 9}),
        Op("mul", ("c", "nine"), (Value("upper", I32),)),
    )
    graph = Graph("k", (Value("c", I32),), before, Loop(Value("i", I32), "zero", "upper", "one", (), ()), ())
    return graph, Launch("k", "k.py", (ArgumentSpec("c", "scalar", "i32", value=channels),), grid=(1, 1, 1))


@pytest.mark.parametrize(
    ("channels", "missing", "reached", "longer"),
    [
        (4, {1, 5, 13}, [0], [18]),  # the shortest behind them, of 18, 27 and 36
        (2, {1, 5, 13}, [0], [18]),  # the example
        (1, {1, 5, 13}, [0], [9]),  # the example, though it is shorter
        (4, {1, 5}, [0, 9], []),  # a longer one is run anyway
        (4, set(), [0], []),
    ],
)
def test_a_loop_over_taps_is_run_longer(channels, missing, reached, longer):
    found = next_longer(*taps(channels), missing, [Trip(count, {}) for count in reached])
    assert [trip.trip_count for trip in found] == longer

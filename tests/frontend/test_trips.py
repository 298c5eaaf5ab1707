"""Trip counts, by arithmetic on the loop's bounds."""

from __future__ import annotations

from pathlib import Path

import pytest

from twill import frontend
from twill.errors import Location, Unsupported
from twill.frontend.launch import ArgumentSpec, Launch
from twill.frontend.trips import (
    driving_arguments,
    largest_trip_count,
    reachable_trips,
    rows_aligned,
    trip_count,
    trip_counts,
)
from twill.ir.graph import Graph, Loop, Op, Type, Value
from twill.ir.vectors import multiples

KERNELS = Path(__file__).parents[2] / "kernels"
I32 = Type("i32")


def lowered(file: str, **constants: object) -> tuple[Graph, Launch]:
    return frontend.lower(frontend.load(KERNELS / file), constants)


def test_causal_programs_stop_at_the_diagonal() -> None:
    graph, launch = lowered("attention.py", CAUSAL=1)
    # 512 queries in tiles of 128 for 2 heads; program i sees i + 1 tiles of 128 keys.
    assert trip_counts(graph, launch) == {(i, h, 0): i + 1 for h in range(2) for i in range(4)}
    assert largest_trip_count(graph, launch) == 4


def test_every_program_of_a_product_runs_over_k() -> None:
    graph, launch = lowered("matmul.py")
    assert set(trip_counts(graph, launch).values()) == {512 // 64}


@pytest.mark.parametrize(("file", "name"), [("attention.py", "N"), ("attention_dq.py", "N"), ("matmul.py", "K")])
def test_short_trip_counts_are_reached_by_one_argument(file: str, name: str) -> None:
    graph, launch = lowered(file)
    assert driving_arguments(graph, launch) == (name,)
    trips = reachable_trips(graph, launch, range(4))
    assert [trip.trip_count for trip in trips] == [0, 1, 2, 3]
    for trip in trips:
        assert set(trip.overrides) == {name}
        changed = launch.with_values(trip.overrides)
        assert largest_trip_count(graph, changed) == trip.trip_count
        assert changed.argument(name).value <= launch.argument(name).value
        assert changed.argument(name).value % launch.multiple(name) == 0
        assert trip.empty == (trip.trip_count == 0)


def test_the_examples_own_count_needs_no_override() -> None:
    graph, launch = lowered("matmul.py")
    (trip,) = reachable_trips(graph, launch, [8])
    assert trip.overrides == {}


def bounded(*before: Op, upper: str) -> Graph:
    loop = Loop(Value("i", I32), "zero", upper, "step", (), ())
    constants = (
        Op("constant", (), (Value("zero", I32),), {"value": 0}),
        Op("constant", (), (Value("step", I32),), {"value": 4}),
    )
    return Graph("k", (Value("n", I32), Value("p", Type("i32", (), "pointer"))), (*constants, *before), loop, ())


@pytest.mark.parametrize(
    ("opcode", "operands", "n", "expected"),
    [
        ("sub", ("zero", "n"), 5, 0),  # upper -5
        ("div", ("n", "step"), -7, 0),  # toward zero: -1
        ("div", ("n", "step"), 35, 2),  # 8
        ("rem", ("n", "step"), -7, 0),  # sign of the dividend: -3
        ("max", ("n", "step"), 1, 1),
        ("mul", ("n", "step"), 3, 3),
        ("shl", ("n", "step"), 1, 4),  # 16
    ],
)
def test_bounds_use_tritons_integer_arithmetic(opcode: str, operands: tuple[str, ...], n: int, expected: int) -> None:
    graph = bounded(Op(opcode, operands, (Value("upper", I32),)), upper="upper")
    launch = Launch("k", "k.py", (ArgumentSpec("n", "scalar", "i32", value=n),), grid=(1, 1, 1))
    assert trip_count(graph, launch) == expected


def test_bounds_from_memory_are_not_known_beforehand() -> None:
    where = Location("k.py", 7, 3)
    graph = bounded(Op("load", ("p",), (Value("upper", I32),), location=where), upper="upper")
    launch = Launch("k", "k.py", (ArgumentSpec("n", "scalar", "i32", value=1),), grid=(1, 1, 1))
    with pytest.raises(Unsupported) as caught:
        trip_count(graph, launch)
    assert caught.value.location == where


def test_smaller_arguments_keep_to_what_copies_in_vectors_ask() -> None:
    """Rows of 2 K bytes are copied 16 bytes at a time, so K is a multiple of 8, though 52 would do for the loop."""
    before = (
        Op("constant", (), (Value("zero", I32),), {"value": 0}),
        Op("constant", (), (Value("step", I32),), {"value": 52}),
        Op("arange", (), (Value("row", Type("i32", (64,))),), {"start": 0, "end": 64}),
        Op("expand_dims", ("row",), (Value("rows", Type("i32", (64, 1))),), {"axis": 1}),
        Op("splat", ("k",), (Value("stride", Type("i32", (64, 1))),)),
        Op("mul", ("rows", "stride"), (Value("begins", Type("i32", (64, 1))),)),
        Op("broadcast", ("begins",), (Value("starts", Type("i32", (64, 64))),)),
        Op("expand_dims", ("row",), (Value("columns", Type("i32", (1, 64))),), {"axis": 0}),
        Op("broadcast", ("columns",), (Value("across", Type("i32", (64, 64))),)),
        Op("add", ("starts", "across"), (Value("at", Type("i32", (64, 64))),)),
        Op("splat", ("a",), (Value("bases", Type("f16", (64, 64), "pointer")),)),
        Op("addptr", ("bases", "at"), (Value("pointers", Type("f16", (64, 64), "pointer")),)),
    )
    body = (Op("async_load", ("pointers",), (Value("tile", Type("f16", (64, 64))),)),)
    loop = Loop(Value("i", I32), "zero", "k", "step", (), body)
    graph = Graph("g", (Value("a", Type("f16", (), "pointer")), Value("k", I32)), before, loop, ())
    launch = Launch("g", "g.py", (ArgumentSpec("k", "scalar", "i32", value=200),), grid=(1, 1, 1))
    assert {trip.overrides.get("k") for trip in reachable_trips(graph, launch, range(4))} == {0, 48, 104, 152}
    assert multiples(graph) == {"k": 8}


@pytest.mark.parametrize(("dtype", "aligned"), [("f16", True), ("f8e4m3", False)])
def test_rows_of_bytes_begin_at_multiples_of_16(dtype: str, aligned: bool) -> None:
    descriptor = Op("descriptor", ("a", "m", "k", "k", "one"), (Value("d", Type(dtype, (64, 64), "descriptor")),))
    one = Op("constant", (), (Value("one", I32),), {"value": 1})
    graph = Graph("g", (Value("m", I32), Value("k", I32)), (one, descriptor), Loop(
        Value("i", I32), "one", "k", "one", (), ()), ())  # fmt: skip
    sizes = (ArgumentSpec("m", "scalar", "i32", value=64), ArgumentSpec("k", "scalar", "i32", value=120))
    assert rows_aligned(graph, Launch("g", "g.py", sizes, grid=(1, 1, 1))) == aligned

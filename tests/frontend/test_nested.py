"""A loop around the loop: what the front end makes of it, how many tiles programs have, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from twill import frontend
from twill.errors import Location, Unsupported
from twill.frontend.launch import Launch
from twill.frontend.tiles import most_tiles, with_tiles
from twill.frontend.trips import Trip, driving_arguments, largest_trip_count, tile_counts, tile_trips
from twill.ir.graph import Graph
from twill.ir.hazards import refuse_loads_of_stored_memory
from twill.ir.simplify import simplify
from twill.ir.text import parse_graph, print_graph
from twill.ir.verify import verify

from .conftest import BODY_LINE

TESTS = Path(__file__).parents[1] / "kernels_for_tests"
TILES = "for tile in range(pid, N, tl.num_programs(0)):\n    "
INNER = "for n in range(0, N, BLOCK):\n        "
END = "\n    yd.store([tile, 0], acc.to(tl.float16))"
START = "acc = tl.zeros([BLOCK, BLOCK], tl.float32)\n    "

# name: (body, text at the place reported, words of the message)
REFUSED = {
    "a tile handed on": (f"{TILES}{INNER}acc += xd.load([n, 0]){END}", "for n in", "one turn hands a tile to the next"),
    "a pointer handed on": (f"p = w\n{TILES}{START}{INNER}acc += xd.load([n, 0]) + tl.load(p)\n    p += N{END}",
                            "for n in", "one turn hands a pointer to the next"),
    "a number that jumps": (f"z = 1\n{TILES}{START}{INNER}acc += xd.load([n, z])\n    z = z * 2{END}",
                            "for n in", "does not grow by the same each time"),
    "a number that grows by the tile": (f"z = 1\n{TILES}{START}{INNER}acc += xd.load([n, z])\n    z += tile{END}",
                                        "for n in", "does not grow by the same each time"),
    "code after": (f"{TILES}{START}{INNER}acc += xd.load([n, 0]){END}\ntl.store(w + pid, 1.0)",
                   "w + pid", "code after a loop around the loop"),
    "three loops": (f"{TILES}{START}{INNER}for m in range(0, n, BLOCK):\n            acc += xd.load([m, 0]){END}",
                    "for m in", "a loop inside the loop"),
    "a descriptor of the tile": (
        f"{TILES}{START}zd = tl.make_tensor_descriptor(x, [tile, BLOCK], [BLOCK, 1], [BLOCK, BLOCK])\n    "
        f"{INNER}acc += zd.load([n, 0]){END}",
        "tl.make_tensor_descriptor", "depend on the program, the tile or on memory",
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def attention() -> tuple[Graph, Launch]:
    graph, launch = frontend.lower(frontend.load(TESTS / "persistent_attention.py"))
    return simplify(graph), launch


def test_an_outer_loop_is_read(attention: tuple[Graph, Launch]) -> None:
    graph, _ = attention
    verify(graph)
    assert graph.outer is not None
    assert graph.outer.index.name == "tile"
    assert graph.outer.location is not None
    assert graph.loop.index.name == "n"
    assert parse_graph(print_graph(graph)) == graph
    assert driving_arguments(*attention) == ("H", "M")


def test_tiles_and_their_trip_counts(attention: tuple[Graph, Launch]) -> None:
    # Causal: the first query block of a head sees 2 blocks of keys, the second 4. Four tiles, five programs.
    graph, launch = attention
    assert tile_trips(graph, launch, (1, 0, 0)) == (4,)
    assert list(tile_counts(graph, launch).values()) == [1, 1, 1, 1, 0]
    two = replace(launch, grid=(2, 1, 1))
    assert [tile_trips(graph, two, (at, 0, 0)) for at in range(2)] == [(2, 2), (4, 4)]
    assert largest_trip_count(graph, two) == 4


def test_fewer_programs_run_more_tiles(attention: tuple[Graph, Launch]) -> None:
    graph, launch = attention
    changed = with_tiles(graph, launch, Trip(4, {}), 2)
    assert changed.trip_count == 4
    assert most_tiles(graph, launch.with_values(changed.overrides)) == 2
    assert with_tiles(graph, launch, Trip(4, {}), 1) == Trip(4, {})


def test_a_counter_of_tiles_follows_from_the_index() -> None:
    graph, launch = frontend.lower(frontend.load(TESTS / "persistent_residual.py"))
    verify(graph)
    assert graph.outer is not None
    assert not any(carried.argument.type.kind != "value" for carried in graph.loop.carried)
    assert [tile_trips(graph, launch, (at, 0, 0)) for at in range(2)] == [(3, 3, 3), (3, 3)]


@pytest.mark.parametrize("by", [1, 3])
def test_counters_mean_what_they_did(kernel_file: Callable[[str], Path], by: int) -> None:
    """Against the kernel as Triton's interpreter would run it, in plain Python."""
    import numpy as np

    from twill.ir import evaluate

    tile = f"z += {by}\n    {INNER}acc += xd.load([n, 0]) * z\n    tl.store(w + tile, tl.sum(acc) + z)"
    body = f"z = 5\n{TILES}{START}{tile}"
    graph, launch = frontend.lower(frontend.load(f"{kernel_file(body)}::kern"))
    graph = simplify(graph)
    verify(graph)
    from twill.frontend.materialize import materialize

    arguments = {**materialize(launch), **launch.scalars, "x": np.zeros_like(materialize(launch)["x"])}
    found = evaluate.run(graph, arguments, (2,), "float64", [(0, 0, 0), (1, 0, 0)])["w"].reshape(-1)
    tiles = range(min(len(found), int(launch.scalars["N"])))
    assert [found[tile] for tile in tiles] == [5 + by * (tile // 2 + 1) for tile in tiles]


@pytest.mark.parametrize("name", REFUSED)
def test_refused(kernel_file: Callable[[str], Path], name: str) -> None:
    body, at, words = REFUSED[name]
    path = kernel_file(body)
    with pytest.raises(Unsupported) as caught:
        frontend.lower(frontend.load(f"{path}::kern"))
    error = caught.value
    assert error.exit_code == 3
    assert words in str(error)
    assert error.hint
    assert isinstance(error.location, Location)
    assert error.location.line >= BODY_LINE
    if at is not None:
        line = path.read_text().splitlines()[error.location.line - 1]
        assert line[error.location.column - 1 :].startswith(at)


def test_loading_what_tiles_store(kernel_file: Callable[[str], Path]) -> None:
    body = f"{TILES}{START}acc += yd.load([tile, 0])\n    {INNER}acc += xd.load([n, 0]){END}"
    graph, _ = frontend.lower(frontend.load(f"{kernel_file(body)}::kern"))
    with pytest.raises(Unsupported, match="the outer loop stores to `y`"):
        refuse_loads_of_stored_memory(simplify(graph))

"""A loop around the loop: its text, its rules, what it means, and what may not be done in it."""

import numpy as np
import pytest

from twill.errors import InputError, Unsupported
from twill.ir import evaluate
from twill.ir.hazards import refuse_loads_of_stored_memory
from twill.ir.outer import depends_on_tile, invariants_first
from twill.ir.simplify import simplify
from twill.ir.subtile import split
from twill.ir.text import parse_graph, print_graph
from twill.ir.verify import verify

TEXT = """graph sums(%x: *f32, %y: *f32, %tiles: i32, %rows: i32) subtiles 1 {
  %zero = constant {value = 0.0} : f32[8]
  %c0 = constant {value = 0} : i32
  %c1 = constant {value = 1} : i32
  %c8 = constant {value = 8} : i32
  %pid = program_id {axis = 0} : i32
  %programs = num_programs {axis = 0} : i32
  %cols = arange {start = 0, end = 8} : i32[8]
  for %tile: i32 in [%pid, %tiles) step %programs at "k.py":7:5 {
    %begin = mul %tile, %rows : i32
    %past = add %begin, %tile : i32
    for %i: i32 in [%c0, %past) step %c1 at "k.py":9:9 {
      carry %sum: f32[8] from %zero yields %next gives %total: f32[8]
      %at = mul %i, %c8 : i32
      %row = addptr %x, %at : *f32
      %all = splat %row : *f32[8]
      %here = addptr %all, %cols : *f32[8]
      %v = load %here : f32[8]
      %next = add %sum, %v : f32[8]
    }
    %to = mul %tile, %c8 : i32
    %out = addptr %y, %to : *f32
    %outs = splat %out : *f32[8]
    %there = addptr %outs, %cols : *f32[8]
    store %there, %total
  }
}
"""


def changed(old: str, new: str) -> str:
    assert old in TEXT
    return TEXT.replace(old, new)


def test_round_trip():
    graph = parse_graph(TEXT)
    verify(graph)
    assert graph.outer is not None
    assert (graph.outer.index.name, graph.outer.lower, graph.outer.step) == ("tile", "pid", "programs")
    assert print_graph(graph) == TEXT
    assert parse_graph(print_graph(graph)) == graph


def test_what_depends_on_the_tile():
    assert depends_on_tile(parse_graph(TEXT)) == {"tile", "begin", "past"}
    # Out of order in the data, the text and the meaning stay as they are.
    graph = parse_graph(TEXT)
    mixed = invariants_first(graph)
    assert mixed == graph


@pytest.mark.parametrize("programs", [1, 2, 3, 7])
@pytest.mark.parametrize("tiles", [0, 1, 5])
def test_each_tile_runs_in_one_program(programs, tiles):
    x = np.arange(64 * 8, dtype=np.float32).reshape(64, 8)
    y = np.full((5, 8), -1.0, np.float32)
    arguments = {"x": x, "y": y, "tiles": tiles, "rows": 2}
    found = evaluate.run(parse_graph(TEXT), arguments, (programs,), "float64")
    expected = y.copy()
    for tile in range(tiles):
        expected[tile] = x[: 3 * tile].sum(0)
    got = found["y"].reshape(5, 8) if tiles else y
    np.testing.assert_array_equal(got, expected)


def test_simplified_and_divided_it_means_the_same():
    graph = parse_graph(TEXT)
    x = np.arange(64 * 8, dtype=np.float32)
    arguments = {"x": x, "y": np.zeros(40, np.float32), "tiles": 5, "rows": 2}
    exact = evaluate.run(graph, arguments, (2,), "float64")["y"]
    for other in (simplify(graph), split(simplify(graph), 1)):
        verify(other)
        assert other.outer is not None
        assert parse_graph(print_graph(other)) == other
        np.testing.assert_array_equal(evaluate.run(other, arguments, (2,), "float64")["y"], exact)


def test_bounds_of_the_outer_loop_are_kept():
    # %tiles - 0 is needed by nothing but the outer loop, and shared with an equal op.
    text = changed("%cols =", "%t1 = add %tiles, %c0 : i32\n  %t2 = add %tiles, %c0 : i32\n  %cols =")
    graph = simplify(parse_graph(text.replace("[%pid, %tiles)", "[%pid, %t2)")))
    verify(graph)
    assert graph.outer is not None
    assert graph.outer.upper == "t1"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("%pid = program_id", "%pid = add %tile, %c1 : i32\n  %p = program_id", "is not defined before"),
        ("for %tile: i32", "for %tile: i64", "the outer loop's lower bound %pid is i32"),
        ("for %tile: i32", "for %tile: f32", "the outer loop's index %tile is f32"),
        ("    %begin", "    %tile = mul %rows, %tile : i32\n    %begin", "%tile is defined a second time"),
        ("[%pid, %tiles)", "[%pid, %past)", "the outer loop's upper bound: %past is not defined"),
        ("    %to = mul %tile", "    %to = mul %i", "not visible after it"),
    ],
)
def test_broken(old, new, message):
    with pytest.raises(InputError, match=message):
        verify(parse_graph(changed(old, new)))


def test_text_with_three_loops_is_refused():
    inner = "      %at = mul %i, %c8 : i32\n"
    nested = changed(inner, inner + "      for %j: i32 in [%c0, %c1) step %c1 {\n      }\n")
    with pytest.raises(InputError):
        parse_graph(nested)
    with pytest.raises(InputError, match="expected"):
        parse_graph(TEXT.rstrip().removesuffix("}"))


def test_a_step_of_zero():
    arguments = {"x": np.zeros(8, np.float32), "y": np.zeros(8, np.float32), "tiles": 1, "rows": 0}
    with pytest.raises(InputError, match="the loop's step is 0"):
        evaluate.run(parse_graph(changed("step %programs", "step %c0")), arguments, (1,))


def test_a_tile_may_not_load_what_another_stores():
    # Alone, the code after a loop may load what it stores; around an outer loop the next tile's load overtakes it.
    text = changed("    store", "    %old = load %there : f32[8]\n    %new = add %old, %total : f32[8]\n    store")
    graph = parse_graph(text.replace("store %there, %total", "store %there, %new"))
    verify(graph)
    with pytest.raises(Unsupported, match="the outer loop stores to `y`"):
        refuse_loads_of_stored_memory(graph)
    refuse_loads_of_stored_memory(parse_graph(TEXT))

"""Masks that are false for a whole tile in some iterations: what is moved then is nothing."""

from pathlib import Path

import pytest

from twill.frontend.launch import from_json
from twill.ir.parser import parse_graph
from twill.schedule import files
from twill.simulate.guards import taken
from twill.simulate.sizes import with_sizes
from twill.simulate.traffic import traffic

FOLDER = Path(__file__).parents[2] / "schedules" / "hopper"


def combine(**sizes):
    stored = files.read(FOLDER / "moe_combine_fp16.json")
    return parse_graph(stored.graph), with_sizes(
        from_json(stored.launch), {key: str(value) for key, value in sizes.items()}
    )


@pytest.mark.parametrize(("tokens", "choices", "columns"), [(8192, 2, 2048), (64, 8, 4096), (32, 1, 512)])
def test_the_sum_of_the_choices_is_stored_once(tokens, choices, columns):
    """A column block is stored in the iteration of the last of its choices; each of these is loaded."""
    found = traffic(*combine(T=tokens, K=choices, N=columns))
    tensors = {tensor.name: tensor for tensor in found.tensors}
    assert tensors["out"].stored_bytes == tokens * columns * 2
    assert tensors["y"].loaded_bytes == tokens * choices * columns * 2
    assert tensors["positions"].loaded_bytes == tokens * choices * (columns // 256) * 8


def test_a_long_loop_is_sampled_in_runs():
    """2500 blocks of 8 choices: a sample of every n-th iteration would see the last choice always or never."""
    found = traffic(*combine(T=16, K=8, N=640000))
    (stored,) = (tensor.stored_bytes for tensor in found.tensors if tensor.name == "out")
    assert stored == 16 * 640000 * 2


# Two programs: the first stores in those from 4 on whose index is even, the second never.
SOURCE = """
graph guarded(%x: *f32, %N: i32) {
  %c0 = constant {value = 0} : i32
  %c1 = constant {value = 1} : i32
  %c2 = constant {value = 2} : i32
  %c4 = constant {value = 4} : i32
  %zero = constant {value = 0.0} : f32[16]
  %lanes = arange {start = 0, end = 16} : i32[16]
  %many = splat %N : i32[16]
  %some = cmp %lanes, %many {predicate = "lt", signed = true, unordered = false} : i1[16]
  %base = splat %x : *f32[16]
  %at = addptr %base, %lanes : *f32[16]
  %pid = program_id {axis = 0} : i32
  %first = cmp %pid, %c0 {predicate = "eq", signed = true, unordered = false} : i1
  for %i: i32 in [%c0, %N) step %c1 {
    %odd = rem %i, %c2 {signed = true} : i32
    %even = cmp %odd, %c0 {predicate = "eq", signed = true, unordered = false} : i1
    %late = cmp %i, %c4 {predicate = "ge", signed = true, unordered = false} : i1
    %both = and %even, %late : i1
    %all = and %both, %first : i1
    %spread = splat %all : i1[16]
    %mask = and %some, %spread : i1[16]
    store %at, %zero, %mask
    %unknown = load %x : f32
    %here = cmp %unknown, %unknown {predicate = "eq", signed = true, unordered = false} : i1
    %everywhere = splat %here : i1[16]
    store %at, %zero, %everywhere
    store %at, %zero
  }
}
"""


def test_conditions_of_index_and_program_are_counted_and_others_taken_for_true():
    graph = parse_graph(SOURCE)
    _, launch = combine(T=32, K=1, N=256)
    launch = launch.with_values({"N": 10})
    assert launch.grid == (2, 1, 1)
    stores = [op for op in graph.loop.body if op.opcode == "store"]
    # Iterations 4, 6, 8 of ten in the first program, none of ten in the second.
    assert [taken(graph, launch, ((10,), (10,)), op) for op in stores] == [3 / 20, 1.0, 1.0]
    assert taken(graph, launch, ((10,), ()), stores[0]) == 3 / 10
    assert taken(graph, launch, ((), ()), stores[0]) == 1.0

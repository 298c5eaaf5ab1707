"""Division into sub-tiles keeps meaning, shares what is shared, and says why it cannot."""

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twill.errors import InputError, Unsupported
from twill.ir import evaluate
from twill.ir.rows import find_rows
from twill.ir.simplify import simplify
from twill.ir.subtile import ineligible, row_extent, split
from twill.ir.text import parse_graph, print_graph
from twill.ir.tolerance import tolerance
from twill.ir.verify import verify

from .graphs import attention
from .random_graphs import valid_graphs
from .test_simplify import outcome


def attend(graph, rows, precision):
    random = np.random.default_rng(0)
    q, k, v = (random.standard_normal((1, 2 * rows, 64)).astype(ml_dtypes.bfloat16) for _ in range(3))
    given = {"q": q, "k": k, "v": v, "o": np.zeros_like(q), "H": 1, "S": 2 * rows, "scale": 0.125}
    return evaluate.run(graph, given, (2, 1), precision)["o"].astype(float)


@pytest.mark.parametrize(
    ("rows", "keys", "n"), [(128, 64, 1), (128, 128, 2), (128, 64, 2), (192, 64, 3), (192, 192, 3)]
)
def test_attention_means_the_same(rows, keys, n):
    graph = simplify(attention(rows, keys))
    divided = split(graph, n)
    verify(divided)
    assert parse_graph(print_graph(divided)) == divided
    exact = attend(graph, rows, "float64")
    scale = np.abs(exact).max()
    # Same arithmetic; a matrix product may sum in another order for another number of rows.
    np.testing.assert_allclose(attend(divided, rows, "float64"), exact, rtol=0, atol=tolerance("f64", 2 * rows, scale))
    np.testing.assert_allclose(attend(divided, rows, "native"), exact, rtol=0, atol=tolerance("bf16", 2 * rows, scale))


def test_one_sub_tile_changes_nothing_but_the_marks():
    graph = simplify(attention())
    divided = split(graph, 1)
    assert divided.subtiles == 1
    assert [(op.opcode, op.operands, op.results) for op in divided.ops()] == [
        (op.opcode, op.operands, op.results) for op in graph.ops()
    ]
    marks = {op.result.name: op.subtile for op in divided.ops() if op.results}
    assert {marks[name] for name in ("q_tile", "qk", "s", "p", "alpha", "acc_new", "out_cast", "offs_m")} == {0}
    assert {marks[name] for name in ("k_tile", "k_trans", "v_tile", "key", "row", "kd", "qd", "factor")} == {None}
    assert divided.after[-1].subtile == 0


def test_shared_loads_exist_once_and_rows_are_offset():
    divided = split(simplify(attention(128, 128)), 2)
    ops = divided.producers()
    loads = [op for op in divided.ops() if op.opcode == "descriptor_load"]
    assert [(op.result.name, op.subtile, op.result.type.shape) for op in loads] == [
        ("q_tile.0", 0, (64, 64)), ("q_tile.1", 1, (64, 64)), ("k_tile", None, (128, 64)), ("v_tile", None, (128, 64)),
    ]  # fmt: skip
    assert ops["qd"].result.type.shape == (64, 64)
    assert ops["kd"].result.type.shape == (128, 64)
    assert ops["q_tile.0"].operands == ("qd", "row", "c0")
    moved = ops[ops["q_tile.1"].operands[1]]
    assert (moved.opcode, moved.operands[0], ops[moved.operands[1]].attributes["value"]) == ("add", "row", 64)
    # %offs numbers the rows (divided) and the columns (whole).
    ranges = {name: (op.attributes["start"], op.attributes["end"]) for name, op in ops.items() if op.opcode == "arange"}
    assert ranges == {"offs": (0, 128), "offs.0": (0, 64), "offs.1": (64, 128)}
    stores = [op for op in divided.ops() if op.opcode == "descriptor_store"]
    assert [(op.subtile, op.operands[-1]) for op in stores] == [(0, "out_cast.0"), (1, "out_cast.1")]
    assert [c.subtile for c in divided.loop.carried] == [0, 1] * 3
    assert ops["qk.1"].location == attention().producers()["qk"].location


def test_row_extents():
    assert row_extent(attention(192, 64)) == 192
    assert row_extent(simplify(attention(128, 128))) == 128
    assert row_extent(kernel("store %pv, %v")) is None


@pytest.mark.parametrize(
    ("rows", "n", "reason"),
    [
        (128, 3, "the 128 rows of `qk` among 3 sub-tiles are 42.7 each, not a multiple of 64"),
        (192, 2, "the 192 rows of `qk` among 2 sub-tiles are 96.0 each, not a multiple of 64"),
        (64, 2, "the 64 rows of `qk` among 2 sub-tiles are 32.0 each, not a multiple of 64"),
    ],
)
def test_rows_must_suit_the_matrix_instruction(rows, n, reason):
    graph = attention(rows, 64)
    assert reason in ineligible(graph, n)
    assert "A tile of" in ineligible(graph, n)
    assert ineligible(graph, 1) == ""
    with pytest.raises(Unsupported):
        split(graph, n)


def kernel(body):
    """A loop over `body`, which sees the loaded tiles %x, %w, %u (f16), %z (f32) and %v (f32 vector)."""
    tiles = "".join(
        f"%p{name} = splat %{name}p : *f16[128, 128]\n %{name} = load %p{name} : f16[128, 128]\n" for name in "xwu"
    )
    graph = parse_graph(f"""graph g(%xp: *f16, %wp: *f16, %up: *f16, %yp: *f32) {{
  %zero = constant {{value = 0}} : i32
  %one = constant {{value = 1}} : i32
  %z = constant {{value = 0.0}} : f32[128, 128]
  %py = splat %yp : *f32[128, 128]
  %pv = splat %yp : *f32[128]
  %v = load %pv : f32[128]
  {tiles}
  for %i: i32 in [%zero, %one) step %one at "k.py":5:1 {{
    {body}
  }}
}}""")
    verify(graph)
    return graph


CONFLICTS = [
    # The same tile on both sides: its rows are the rows and the columns of the product.
    (
        '%xt = trans %x {order = [1, 0]} : f16[128, 128]\n %s = dot %x, %xt, %z : f32[128, 128] at "k.py":7:3',
        "k.py:7:3: `dot` needs the whole of axis 1 of %xt, because the right operand of a dot is shared by all rows",
    ),
    # A product used as the right operand: its rows are summed over.
    (
        "%s = dot %x, %w, %z : f32[128, 128]\n %sc = cast %s : f16[128, 128]\n"
        '%t = dot %u, %sc, %z : f32[128, 128] at "k.py":8:3',
        "k.py:8:3: `dot` needs the whole of axis 0 of %sc, because a dot sums over it",
    ),
    (
        '%s = dot %x, %w, %z : f32[128, 128]\n %m = reduce %s {axis = 0, kind = "max"} : f32[128] at "k.py":9:3',
        "k.py:9:3: `reduce` needs the whole of axis 0 of %s, because the reduction is over it",
    ),
    (
        "%s = dot %x, %w, %z : f32[128, 128]\n %st = trans %s {order = [1, 0]} : f32[128, 128]\n"
        '%r = reshape %st : f32[16384] at "k.py":6:3',
        "k.py:6:3: `reshape` needs the whole of axis 1 of %st, because the reshape mixes it into another axis",
    ),
    (
        "%s = dot %x, %w, %z : f32[128, 128]\n %st = trans %s {order = [1, 0]} : f32[128, 128]\n"
        "%both = add %s, %st : f32[128, 128]",
        "`dot` needs the whole of axis 1 of %w",
    ),
]


@pytest.mark.parametrize(("body", "reason"), CONFLICTS)
def test_conflicts_name_the_op_and_the_reason(body, reason):
    graph = kernel(body)
    assert reason in ineligible(graph, 2)
    assert ineligible(graph, 1) == ""
    marked = split(graph, 1)
    assert {op.subtile for op in marked.ops() if op.opcode in ("dot", "reduce")} == {0}


def test_a_conflict_names_the_rows_it_meets():
    reason = ineligible(kernel(CONFLICTS[2][0]), 2)
    assert "that axis runs over the rows of %s" in reason
    assert reason.endswith("so the rows cannot be divided.")


def test_a_kernel_without_rows():
    graph = kernel("%s = neg %v : f32[128]\n store %pv, %s")
    assert "has no tile of rows to divide among 2 sub-tiles" in ineligible(graph, 2)
    assert ineligible(graph, 1) == ""


def test_a_trip_count_reduced_from_a_tile_cannot_be_shared():
    graph = parse_graph("""graph g(%f: f16, %k: i32) {
  %zero = constant {value = 0} : i32
  %z = constant {value = 0.0} : f32[128, 128]
  %x = splat %f : f16[128, 128]
  %v = splat %k : i32[8]
  %n = reduce %v {axis = 0, kind = "max"} : i32
  for %i: i32 in [%zero, %n) step %n {
    %s = dot %x, %x, %z : f32[128, 128]
  }
}""")
    assert "the loop's upper bound %n is reduced from a tile" in ineligible(graph, 2)


def test_reshapes_that_keep_rows_together_divide():
    graph = kernel(
        "%s = dot %x, %w, %z : f32[128, 128]\n %r = reshape %s : f32[128, 2, 64]\n %q = reshape %r : f32[16384]"
    )
    assert find_rows(graph).axis["r"] == 0
    divided = split(graph, 2).producers()
    assert divided["r.1"].result.type.shape == (64, 2, 64)
    assert divided["q.1"].result.type.shape == (8192,)


def test_a_shared_tile_computed_in_registers_is_copied_whole():
    graph = kernel("%wn = neg %w : f16[128, 128]\n %s = dot %x, %wn, %z : f32[128, 128]\n store %py, %s")
    divided = split(graph, 2).producers()
    assert divided["wn.0"].result.type.shape == divided["wn.1"].result.type.shape == (128, 128)
    assert divided["s.1"].operands[1] == "wn.1"


def test_what_is_not_divided_is_stored_once():
    graph = kernel(
        '%s = dot %x, %w, %z : f32[128, 128]\n %m = reduce %w {axis = 0, kind = "max"} : f16[128]\n'
        "%mf = cast %m : f32[128]\n store %pv, %mf\n store %py, %s",
    )
    stores = [op for op in split(graph, 2).ops() if op.opcode == "store"]
    assert [(op.subtile, op.operands[1]) for op in stores] == [(0, "mf.0"), (0, "s.0"), (1, "s.1")]


def test_dividing_twice_or_by_nothing_is_refused():
    graph = attention()
    with pytest.raises(InputError, match="divided into sub-tiles already"):
        split(split(graph, 2), 2)
    with pytest.raises(InputError, match="at least 1"):
        split(graph, 0)


@settings(max_examples=60, deadline=None)
@given(valid_graphs(), st.integers(0, 2), st.sampled_from([1, 2, 4]))
def test_random_graphs_mean_the_same(graph, trips, n):
    divided = split(graph, n)
    verify(divided)
    np.testing.assert_array_equal(outcome(divided, trips), outcome(graph, trips))
    small = split(simplify(graph), n)
    np.testing.assert_array_equal(outcome(small, trips), outcome(graph, trips))


BOTH = """graph g(%x: *f16, %w: *f16, %y: *f32, %d: descriptor<f16[128, 64]>) {
  %zero = constant {value = 0} : i32
  %one = constant {value = 1} : i32
  %c = constant {value = 0.0} : f32[128, 128]
  %size = constant {value = 128} : i32
  %deep = constant {value = 64} : i32
  %narrow = constant {value = 1} : i64
  %wide = constant {value = 64} : i64
  %long = constant {value = 128} : i64
  %xd = descriptor %x, %size, %deep, %wide, %narrow {rank = 2} : descriptor<f16[128, 64]>
  %yd = descriptor %y, %size, %size, %long, %narrow {rank = 2} : descriptor<f32[128, 128]>
  for %i: i32 in [%zero, %one) step %one {
    %a = descriptor_load %xd, %zero, %zero : f16[128, 64]
    %b = descriptor_load %xd, %zero, %zero : f16[128, 64]
    %bt = trans %b {order = [1, 0]} : f16[64, 128]
    %s = dot %a, %bt, %c : f32[128, 128]
    descriptor_store %yd, %zero, %zero, %s
  }
}"""


def test_a_descriptor_for_rows_and_for_whole_tiles_becomes_two():
    graph = parse_graph(BOTH)
    verify(graph)
    divided = split(graph, 2)
    shapes = {name: op.result.type.shape for name, op in divided.producers().items() if op.opcode == "descriptor"}
    assert shapes == {"xd": (128, 64), "xd.rows": (64, 64), "yd": (64, 128)}
    x = np.random.default_rng(0).standard_normal((128, 64)).astype(np.float16)
    given = {
        "x": x,
        "w": x,
        "y": np.zeros((128, 128), np.float32),
        "d": evaluate.DescriptorArgument(x, (128, 64), (64, 1)),
    }
    exact = x.astype(float) @ x.astype(float).T
    found = evaluate.run(divided, given, (1,), "float64")["y"]
    np.testing.assert_allclose(found, exact, rtol=0, atol=tolerance("f64", 64, np.abs(exact).max()))
    host = parse_graph(BOTH.replace("descriptor_load %xd", "descriptor_load %d"))
    assert "the tensor descriptor argument %d is used both for rows and for whole tiles" in ineligible(host, 2)


def test_a_descriptor_argument_used_for_rows_gets_their_block_shape():
    host = parse_graph(BOTH.replace("%a = descriptor_load %xd", "%a = descriptor_load %d"))
    arguments = {value.name: value.type.shape for value in split(host, 2).arguments}
    assert arguments["d"] == (64, 64)


MATMUL = """graph g(%x: *f16, %w: *f16, %y: *f32, %n: i32) {
  %zero = constant {value = 0} : i32
  %k = constant {value = 64} : i32
  %c = constant {value = 0.0} : f32[128, 64]
  %m = constant {value = 128} : i32
  %narrow = constant {value = 1} : i64
  %wide = cast %n : i64
  %tall = constant {value = 64} : i64
  %xd = descriptor %x, %m, %n, %wide, %narrow {rank = 2} : descriptor<f16[128, 64]>
  %wd = descriptor %w, %n, %k, %tall, %narrow {rank = 2} : descriptor<f16[64, 64]>
  %yd = descriptor %y, %m, %k, %tall, %narrow {rank = 2} : descriptor<f32[128, 64]>
  for %i: i32 in [%zero, %n) step %k {
    carry %acc: f32[128, 64] from %c yields %next gives %sum: f32[128, 64]
    %a = descriptor_load %xd, %zero, %i : f16[128, 64]
    %b = descriptor_load %wd, %i, %zero : f16[64, 64]
    %next = dot %a, %b, %acc : f32[128, 64]
  }
  descriptor_store %yd, %zero, %zero, %sum
}"""


def test_offsets_that_do_not_change_stay_out_of_the_loop():
    graph = parse_graph(MATMUL)
    verify(graph)
    divided = split(graph, 2)
    assert [op.opcode for op in divided.loop.body] == ["descriptor_load"] * 3 + ["dot"] * 2
    assert divided.loop.body[1].operands == ("xd", "zero.plus64", "i")
    assert divided.after[-1].operands == ("yd", "zero.plus64", "zero", "sum.1")
    random = np.random.default_rng(0)
    x, w = random.standard_normal((128, 192)).astype(np.float16), random.standard_normal((192, 64)).astype(np.float16)
    given = {"x": x, "w": w, "y": np.zeros((128, 64), np.float32), "n": 192}
    exact = x.astype(float) @ w.astype(float)
    found = evaluate.run(divided, given, (1,), "float64")["y"]
    np.testing.assert_allclose(found, exact, rtol=0, atol=tolerance("f64", 192, np.abs(exact).max()))


def test_rows_counted_by_the_loop_are_offset_inside_it():
    text = MATMUL.replace("%a = descriptor_load %xd, %zero, %i", "%a = descriptor_load %xd, %i, %zero")
    body = split(parse_graph(text), 2).loop.body
    assert [op.opcode for op in body][:4] == ["descriptor_load", "constant", "add", "descriptor_load"]
    assert body[2].operands == ("i", "i.by64")


def test_a_kernel_without_dots_is_divided_along_its_stored_matrix():
    graph = parse_graph("""graph g(%x: *f32, %y: *f32, %n: i32) {
  %zero = constant {value = 0} : i32
  %cols = constant {value = 32} : i32
  %eight = constant {value = 8} : i32
  %wide = cast %n : i64
  %narrow = constant {value = 1} : i64
  %xd = descriptor %x, %eight, %n, %wide, %narrow {rank = 2} : descriptor<f32[8, 32]>
  %yd = descriptor %y, %eight, %n, %wide, %narrow {rank = 2} : descriptor<f32[8, 32]>
  for %i: i32 in [%zero, %n) step %cols {
    %t = descriptor_load %xd, %zero, %i : f32[8, 32]
    %e = exp2 %t : f32[8, 32]
    descriptor_store %yd, %zero, %i, %e
  }
}""")
    verify(graph)
    assert row_extent(graph) == 8
    assert "the 8 rows of %t cannot be divided by 3" in ineligible(graph, 3)
    x = np.random.default_rng(0).standard_normal((8, 96)).astype(np.float32)
    for n in (1, 2, 4, 8):
        given = {"x": x, "y": np.zeros_like(x), "n": 96}
        np.testing.assert_array_equal(evaluate.run(split(graph, n), given, (1,))["y"], np.exp2(x))

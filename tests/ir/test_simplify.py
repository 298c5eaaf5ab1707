"""Simplification keeps validity, meaning and names, and does what it says."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from twill.ir import evaluate
from twill.ir.simplify import drop_unused, fold_constants, hoist_invariants, share_equal, simplify
from twill.ir.text import parse_graph
from twill.ir.verify import verify

from .graphs import attention
from .random_graphs import valid_graphs


def outcome(graph, trips, precision="native"):
    random = np.random.default_rng(0)
    x = random.standard_normal((8, 4)).astype(np.float32)
    y = np.zeros((trips + 1, 8, 4), np.float32)
    return evaluate.run(graph, {"x": x, "y": y, "n": trips, "a": 0.75}, (1,), precision)["y"]


@settings(max_examples=80, deadline=None)
@given(valid_graphs(), st.integers(0, 3))
def test_meaning_and_validity_are_kept(graph, trips):
    smaller = simplify(graph)
    verify(smaller)
    np.testing.assert_array_equal(outcome(smaller, trips), outcome(graph, trips))
    assert simplify(smaller) == smaller
    assert len(list(smaller.ops())) <= len(list(graph.ops()))


@settings(max_examples=40, deadline=None)
@given(valid_graphs(), st.integers(0, 2))
def test_each_pass_alone_keeps_meaning(graph, trips):
    for step in (fold_constants, share_equal, hoist_invariants, drop_unused):
        smaller = step(graph)
        verify(smaller)
        np.testing.assert_array_equal(outcome(smaller, trips), outcome(graph, trips))


def loop(before="", body="", carry="", after=""):
    graph = parse_graph(f"""graph g(%n: i32, %f: f32, %y: *f32) {{
  %zero = constant {{value = 0}} : i32
  %one = constant {{value = 1}} : i32
  %v = splat %f : f32[8]
  %t = splat %f : f32[8, 8]
  {before}
  for %i: i32 in [%zero, %n) step %one {{
    {carry}
    {body}
  }}
  {after}
}}""")
    verify(graph)
    return graph


def names(ops):
    return [op.result.name for op in ops if op.results]


def test_constants_fold():
    graph = loop(
        before="""
%a = constant {value = 5} : i32
%b = add %a, %a : i32
%c = cmp %a, %b {predicate = "lt"} : i1
%h = constant {value = 1.0} : f16
%k = cast %h : f32
%k2 = exp2 %k : f32
%t2 = splat %k2 : f32[8, 8]"""
    )
    found = {op.result.name: op for op in fold_constants(graph).before}
    assert {name for name, op in found.items() if op.opcode != "constant"} == {"v", "t"}
    assert found["b"].attributes["value"] == 10
    assert found["c"].attributes["value"] is True
    assert found["k2"].attributes["value"] == 2.0
    assert found["t2"].attributes["value"] == 2.0
    assert found["t2"].result.type.shape == (8, 8)


def test_folding_rounds_as_the_kernel_would():
    graph = loop(before="%a = constant {value = 0.1} : f32\n %b = constant {value = 0.2} : f32\n %c = add %a, %b : f32")
    (folded,) = (op for op in fold_constants(graph).before if op.result.name == "c")
    assert folded.attributes["value"] == float(np.float32(0.1) + np.float32(0.2))


def test_equal_ops_are_shared_but_not_loads_nor_unlike_zeros():
    graph = loop(
        before="""
%a = mul %f, %f : f32
%p0 = constant {value = 0.0} : f32
%m0 = constant {value = -0.0} : f32
%o = constant {value = 1} : i32
%first = load %y : f32""",
        body="%b = mul %f, %f : f32\n %c = add %b, %p0 : f32\n %d = add %b, %m0 : f32\n store %y, %c\n store %y, %d",
        after="%e = mul %f, %f : f32\n %second = load %y : f32\n %s = add %e, %second : f32\n store %y, %s",
    )
    shared = share_equal(graph)
    verify(shared)
    assert names(shared.before) == ["zero", "one", "v", "t", "a", "p0", "m0", "first"]
    assert names(shared.loop.body) == ["c", "d"]
    assert names(shared.after) == ["second", "s"]
    assert shared.loop.body[0].operands == ("a", "p0")


def test_values_of_the_body_are_not_shared_with_what_follows():
    graph = loop(body="%b = mul %f, %f : f32\n store %y, %b", after="%e = mul %f, %f : f32\n store %y, %e")
    assert names(share_equal(graph).after) == ["e"]


def test_invariants_move_out_but_tiles_of_arithmetic_stay():
    graph = loop(
        body="""
%scale = mul %f, %f : f32
%scales = splat %scale : f32[8, 8]
%tile = mul %t, %scales : f32[8, 8]
%row = neg %v : f32[8]
%i1 = add %i, %one : i32
%column = expand_dims %row {axis = 1} : f32[8, 1]
%wide = broadcast %column : f32[8, 8]
%mem = load %y : f32"""
    )
    hoisted = hoist_invariants(graph)
    verify(hoisted)
    assert names(hoisted.before) == ["zero", "one", "v", "t", "scale", "scales", "row", "column", "wide"]
    assert names(hoisted.loop.body) == ["tile", "i1", "mem"]


def test_unused_work_and_idle_carried_values_go():
    graph = loop(
        before="%x = neg %f : f32",
        carry="""carry %idle: f32 from %f yields %next gives %idle_out: f32
carry %used: f32 from %f yields %sum gives %used_out: f32""",
        body="%next = neg %idle : f32\n %sum = add %used, %used : f32\n %dead = load %y : f32",
        after="store %y, %used_out",
    )
    dropped = drop_unused(graph)
    verify(dropped)
    assert names(dropped.before) == ["zero", "one"]
    assert [c.argument.name for c in dropped.loop.carried] == ["used"]
    assert names(dropped.loop.body) == ["sum"]


def test_attention_keeps_its_names_and_loses_its_invariants():
    graph = attention()
    small = simplify(graph)
    verify(small)
    assert set(small.values()) < set(graph.values())
    body = names(small.loop.body)
    assert {"factor", "factors", "m_axis", "rows_of"}.isdisjoint(body)
    assert {"k_tile", "qk", "p", "alpha", "acc_new"} <= set(body)
    assert "c1" not in small.values()

"""Homes of values: small graphs as text, every layout derived by hand."""

import pytest

from twill.codegen.layouts import Blocked, Mma, Operand, Slice, accumulator, infer, k_width, rank
from twill.ir.graph import Type
from twill.ir.text import parse_graph

# scores = a @ b, [64, 128]; their row maximum and row sum; acc += p @ c, [64, 32].
ATTENTION = """
graph small(%x: *f16, %n: i32) {
  %c0 = constant {value = 0} : i32
  %c1 = constant {value = 1} : i32
  %w = constant {value = 1} : i64
  %zero_s = constant {value = 0.0} : f32[64, 128]
  %zero_acc = constant {value = 0.0} : f32[64, 32]
  %low = constant {value = -inf} : f32[64]
  %ad = descriptor %x, %n, %n, %w, %w {rank = 2} : descriptor<f16[64, 16]>
  %bd = descriptor %x, %n, %n, %w, %w {rank = 2} : descriptor<f16[16, 128]>
  %cd = descriptor %x, %n, %n, %w, %w {rank = 2} : descriptor<f16[128, 32]>
  for %i: i32 in [%c0, %n) step %c1 {
    carry %m: f32[64] from %low yields %m_new gives %m_out: f32[64]
    carry %acc: f32[64, 32] from %zero_acc yields %acc_new gives %acc_out: f32[64, 32]
    %a = descriptor_load %ad, %i, %c0 : f16[64, 16]
    %b = descriptor_load %bd, %c0, %i : f16[16, 128]
    %c = descriptor_load %cd, %i, %c0 : f16[128, 32]
    %s = dot %a, %b, %zero_s : f32[64, 128]
    %s_max = reduce %s {axis = 1, kind = "max"} : f32[64]
    %m_new = max %m, %s_max : f32[64]
    %m_column = expand_dims %m_new {axis = 1} : f32[64, 1]
    %m_tile = broadcast %m_column : f32[64, 128]
    %p = sub %s, %m_tile : f32[64, 128]
    %b_sum = reduce %p {axis = 0, kind = "sum"} : f32[128]
    %p_half = cast %p : f16[64, 128]
    %acc_new = dot %p_half, %c, %acc : f32[64, 32]
  }
  %done = neg %acc_out : f32[64, 32]
  %left = neg %m_out : f32[64]
}
"""


def homes(text, warps=4):
    graph = parse_graph(text)
    yielded = {}
    for carried in graph.loop.carried:
        yielded[carried.argument.name] = carried.yielded
        yielded[carried.result.name] = carried.yielded
    return infer(graph, graph.ops(), yielded, warps)


def test_accumulators_slices_and_what_shares_them():
    found = homes(ATTENTION)
    scores, out = Mma(128, 4, 16), Mma(32, 4, 16)
    assert {name: found[name] for name in ("s", "p", "m_tile", "p_half")} == dict.fromkeys(
        ("s", "p", "m_tile", "p_half"), scores
    )
    # A reduction lives in a slice of its operand; what is carried shares it, before, in and after the loop.
    assert {found[name] for name in ("s_max", "m", "m_new", "m_out", "left")} == {Slice(1, scores)}
    assert found["b_sum"] == Slice(0, scores)
    assert {found[name] for name in ("acc", "acc_new", "acc_out", "done")} == {out}
    # A tile that is only ever read from shared memory still has a place to be read into.
    assert found["a"] == Operand(scores, 2)


def test_more_warps_share_an_accumulator():
    """The 64 rows of s keep 4 warps busy; 8 share its 128 columns, but the 32 of acc only down to 16."""
    found = homes(ATTENTION, warps=8)
    assert found["s"] == Mma(64, 8, 16, across=2)
    assert found["acc"] == Mma(16, 8, 16, across=2)
    assert accumulator(Type("f32", (128, 64)), Type("f16", (128, 64)), 8) == Mma(64, 8, 16)
    assert accumulator(Type("f32", (64, 8)), Type("f16", (64, 64)), 8) == Mma(8, 8, 16)  # too narrow to divide


def test_what_only_feeds_a_dot_is_computed_in_the_dot_s_operand_layout():
    text = """
graph fed(%x: *f16, %n: i32) {
  %c0 = constant {value = 0} : i32
  %c1 = constant {value = 1} : i32
  %w = constant {value = 1} : i64
  %zero = constant {value = 0.0} : f32[64, 128]
  %half = constant {value = 0.5} : f16[64, 16]
  %ad = descriptor %x, %n, %n, %w, %w {rank = 2} : descriptor<f16[64, 16]>
  %bd = descriptor %x, %n, %n, %w, %w {rank = 2} : descriptor<f16[16, 128]>
  for %i: i32 in [%c0, %n) step %c1 {
    carry %acc: f32[64, 128] from %zero yields %acc_new gives %acc_out: f32[64, 128]
    %a = descriptor_load %ad, %i, %c0 : f16[64, 16]
    %b = descriptor_load %bd, %c0, %i : f16[16, 128]
    %scaled = mul %a, %half : f16[64, 16]
    %acc_new = dot %scaled, %b, %acc : f32[64, 128]
  }
}
"""
    found = homes(text)
    operand = Operand(Mma(128, 4, 16), 2)
    assert {found["scaled"], found["a"], found["half"]} == {operand}
    # Eight bits: four share a register, and the instruction is 32 deep.
    narrow = homes(text.replace("f16", "f8e5m2"))
    assert narrow["scaled"] == Operand(Mma(128, 4, 32), 4)
    # 32 bits (tf32): one a register, 8 deep.
    assert homes(text.replace("f16", "f32"))["scaled"] == Operand(Mma(128, 4, 8), 1)


def test_what_no_dot_reaches_is_blocked():
    text = """
graph rows(%x: *f32, %n: i32) {
  %c0 = constant {value = 0} : i32
  %c1 = constant {value = 1} : i32
  %offs = arange {start = 0, end = 128} : i32[128]
  %low = constant {value = 0.0} : f32[64]
  %base = splat %x : *f32[64, 128]
  %row = expand_dims %offs {axis = 0} : i32[1, 128]
  %at = broadcast %row : i32[64, 128]
  %p = addptr %base, %at : *f32[64, 128]
  for %i: i32 in [%c0, %n) step %c1 {
    carry %m: f32[64] from %low yields %m_new gives %m_out: f32[64]
    %t = load %p : f32[64, 128]
    %u = exp %t : f32[64, 128]
    %s = reduce %u {axis = 1, kind = "sum"} : f32[64]
    %m_new = add %m, %s : f32[64]
  }
}
"""
    found = homes(text)
    # The largest tile is the root; all else follows from it.
    assert {found[name] for name in ("t", "u", "p", "at")} == {Blocked((64, 128), 4)}
    assert {found[name] for name in ("s", "m", "m_new", "m_out")} == {Slice(1, Blocked((64, 128), 4))}
    assert found["offs"] == Slice(0, Blocked((64, 128), 4))


def test_unrelated_tiles_each_get_their_own_root():
    found = homes(ATTENTION.replace("  for ", "  %lone = arange {start = 0, end = 256} : i32[256]\n  for "))
    assert found["lone"] == Blocked((256,), 4)
    assert found["s"] == Mma(128, 4, 16)


@pytest.mark.parametrize(("dtype", "k", "width"), [("f16", 16, 2), ("bf16", 16, 2), ("f8e4m3", 32, 4), ("f32", 8, 1)])
def test_an_instruction_is_256_bits_deep(dtype, k, width):
    left = Type(dtype, (64, 64))
    assert accumulator(Type("f32", (64, 512)), left, 4) == Mma(256, 4, k)  # at most 256 columns an instruction
    assert k_width(left) == width


def test_ranks():
    assert rank(Blocked((2, 3, 4), 4)) == 3
    assert rank(Slice(0, Mma(64, 4, 16))) == 1
    assert rank(Slice(0, Slice(1, Mma(64, 4, 16)))) == 0
    assert rank(Operand(Mma(64, 4, 16), 2)) == 2

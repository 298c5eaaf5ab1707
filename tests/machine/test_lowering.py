"""Kernels lowered to problems: ops and members, deps and distances, buffers and registers."""

from dataclasses import replace
from itertools import pairwise

import pytest

from twill.errors import InputError, Unsupported
from twill.machine import load, lower, static_buffers

from .graphs import LOAD_Q, MATMUL, SOFTMAX, STORE_OUT, loop

HOPPER, BLACKWELL = load("hopper"), load("blackwell")


def deps(problem):
    return {(d.src, d.dst, d.distance): d for d in problem.deps}


def test_matmul():
    problem = lower(loop(MATMUL, after=STORE_OUT), HOPPER, 16)
    assert [op.id for op in problem.ops] == ["a", "b", "sum"]
    a, _, product = problem.ops
    assert (a.variable_latency, a.min_warps, a.smem_bytes, a.registers) == (True, 1, 16384, 0)
    assert (product.unit, product.registers, product.min_warps, product.asynchronous) == ("TC", 64, 4, True)
    assert a.location == "loop.py:6:9"
    found = deps(problem)
    assert set(found) == {("a", "sum", 0), ("b", "sum", 0), ("sum", "sum", 1)}
    # A product that goes on in its own accumulator waits for nothing but the tensor core.
    chained = found["sum", "sum", 1]
    assert (chained.latency, chained.blocking, chained.in_place) == (product.occupancy, False, True)
    assert found["a", "sum", 0].blocking
    assert problem.trip_count == 16
    assert problem.colocate == (("sum",),)
    assert problem.separate == ()


def test_softmax_members():
    problem = lower(loop(SOFTMAX, LOAD_Q, STORE_OUT), HOPPER, 8)
    members = {op.id: (op.unit, op.members) for op in problem.ops}
    assert members == {
        "k": ("TMA", ("k",)),
        "s": ("TC", ("s",)),
        "m_new": ("ALU", ("top", "m_new", "drop", "alpha")),
        "t": ("ALU", ("t",)),
        "p": ("SFU", ("p",)),
        # kept = l * alpha joins the sum that is its only user, not the maximum that makes alpha: l would then
        # close a recurrence through the exponential.
        "l_new": ("ALU", ("kept", "total", "l_new")),
        "scaled": ("ALU", ("scaled",)),
        "v": ("TMA", ("v",)),
        "p16": ("ALU", ("p16",)),
        "sum": ("TC", ("sum",)),
    }


def test_softmax_costs():
    problem = lower(loop(SOFTMAX, LOAD_Q, STORE_OUT), HOPPER, 8)
    # top: 128 cycles of maxima, result after 32 + 50; m_new: 64 rows * 4 lanes at 64 a cycle = 4, + 5 dependent issue,
    # + 20 to the next op: 128 + 82 + 9 + 20 = 239. Then drop 2 + 5, alpha 256 / 16 = 16 + 20: 239 + 43 = 282.
    top = problem.op("m_new")
    assert (top.occupancy, top.latency, top.registers) == (128 + 4 + 2, 282, 2 + 2)
    found = deps(problem)
    assert found["m_new", "t", 0].latency == 239  # needs m_new alone
    assert found["m_new", "scaled", 0].latency == 282  # needs alpha
    assert (problem.op("p").occupancy, problem.op("p").latency) == (512, 512 + 20 + 20)
    assert problem.op("p16").registers == 32
    assert all(op.latency >= op.occupancy >= op.issue > 0 for op in problem.ops)


def test_softmax_deps():
    found = deps(lower(loop(SOFTMAX, LOAD_Q, STORE_OUT), HOPPER, 8))
    carried = {key for key in found if key[2]}
    assert carried == {("m_new", "m_new", 1), ("l_new", "l_new", 1), ("sum", "scaled", 1)}
    assert found["s", "t", 0].blocking
    assert not found["s", "t", 0].in_place  # the maximum reads s too
    rescaled = found["sum", "scaled", 1]
    assert (rescaled.blocking, rescaled.in_place) == (True, True)
    assert found["scaled", "sum", 0].in_place
    assert not found["p16", "sum", 0].blocking


def test_serial_softmax_takes_about_a_thousand_cycles():
    """From the scores to the second product, with the scaling by a scalar that the shipped kernel has: 1058 cycles."""
    problem = lower(loop(SOFTMAX, LOAD_Q, STORE_OUT), HOPPER, 8)
    chain = ["m_new", "t", "p", "p16", "sum"]
    found = deps(problem)
    cycles = sum(found[u, v, 0].latency for u, v in pairwise(chain))
    assert cycles == 239 + 89 + 552 + 89  # a multiplication pass adds 89


def test_limits_leave_out_what_the_kernel_holds():
    graph = loop(SOFTMAX, LOAD_Q, STORE_OUT)
    limits = lower(graph, HOPPER, 8).limits
    buffers = {buffer.name: buffer.nbytes for buffer in static_buffers(graph, HOPPER)}
    assert buffers == {"barriers": 1024, "q": 16384, "out.store": 32768}
    assert limits.smem_bytes == 232448 - 1024 - 16384 - 32768
    assert limits.reserved_registers == 24
    assert limits.registers_per_thread == 248 - 24
    assert limits.register_file == 65536 - 24 * 128
    assert limits.max_groups == 3  # two loads, one consumer
    assert limits.value_hop == 577  # the largest value is 32 KiB


def test_vectors_from_before_the_loop_take_registers():
    before = (
        "%at = arange {start = 0, end = 64} : i32[64]\n%ptr = addptr %rows, %at : *f32[64]\n%bias = load %ptr : f32[64]"
    )
    body = SOFTMAX.replace("reduce %s ", "reduce %sb ").replace("sub %s,", "sub %sb,").replace(
        "%top =", "%b1 = expand_dims %bias {axis = 1} : f32[64, 1]\n%b2 = broadcast %b1 : f32[64, 128]\n"
        "%sb = add %s, %b2 : f32[64, 128]\n%top =",
    )  # fmt: skip
    problem = lower(loop(body, LOAD_Q + "\n" + before, STORE_OUT), HOPPER, 8)
    assert problem.limits.reserved_registers == 32  # 24 + 2 (64 rows * 4 lanes / 128 threads), in steps of 8
    assert deps(problem)["s", "sb", 0].in_place


def test_carried_values_add_up_to_distances():
    body = """
    carry %new: f32[64] from %zero yields %top gives %r0: f32[64]
    carry %old: f32[64] from %zero yields %new gives %r1: f32[64]
    carry %count: i32 from %c0 yields %next gives %r2: i32
    %a = descriptor_load %o, %c0, %n : f32[64, 128]
    %next = add %count, %step : i32
    %top = reduce %a {axis = 1, kind = "max"} : f32[64]
    %c1 = expand_dims %old {axis = 1} : f32[64, 1]
    %c2 = broadcast %c1 : f32[64, 128]
    %far = sub %a, %c2 : f32[64, 128]
    descriptor_store %o, %c0, %n, %far
    """
    problem = lower(loop(body), HOPPER, 8)
    found = deps(problem)
    assert found["top", "far", 2].latency == problem.op("top").latency
    assert {op.id for op in problem.ops} == {"a", "top", "far", "store@6", "a.read"}  # counting is no op
    assert problem.op("store@6").members == ("store@6",)
    assert problem.op("store@6").smem_bytes == 32768
    assert not problem.op("store@6").variable_latency


def test_tile_used_by_arithmetic_is_read_into_registers():
    body = """
    carry %acc: f32[64, 128] from %zeros yields %sum gives %out: f32[64, 128]
    %a = descriptor_load %o, %c0, %n : f32[64, 128]
    %twice = mul %a, %a : f32[64, 128]
    %sum = add %acc, %twice : f32[64, 128]
    """
    problem = lower(loop(body, after=STORE_OUT), HOPPER, 8)
    read = problem.op("a.read")
    assert (read.unit, read.members, read.registers, read.min_warps) == ("LSU", (), 64, 4)
    found = deps(problem)
    assert found["a", "a.read", 0].blocking
    assert set(found) == {("a", "a.read", 0), ("a.read", "sum", 0), ("sum", "sum", 1)}
    assert problem.op("sum").members == ("twice", "sum")
    assert problem.colocate == (("sum", "a.read"),)


STATE = """
    carry %state: f32[64, 128] from %zeros yields %next gives %out: f32[64, 128]
    %a = descriptor_load %x, %c0, %n : f16[64, 128]
    %b = descriptor_load %y, %n, %c0 : f16[128, 128]
    %s16 = cast %state : f16[64, 128]
    %st = trans %s16 {order = [1, 0]} : f16[128, 64]
    %zs = constant {value = 0.0} : f32[64, 64]
    %look = dot %a, %st, %zs {precision = "tf32"} : f32[64, 64]
    %look16 = cast %look : f16[64, 64]
    %next = dot %look16, %a, %state {precision = "tf32"} : f32[64, 128]
"""


def test_right_operand_from_registers_is_staged():
    graph = loop(STATE, after=STORE_OUT)
    problem = lower(graph, HOPPER, 8)
    stage = problem.op("s16.stage")
    assert (stage.unit, stage.members, stage.smem_bytes) == ("LSU", (), 0)
    assert ("s16.stage", 16384) in [(buffer.name, buffer.nbytes) for buffer in static_buffers(graph, HOPPER)]
    found = deps(problem)
    assert found["s16", "s16.stage", 0].latency == problem.op("s16").latency
    assert found["s16.stage", "look", 0].latency == stage.latency
    # one slot: the next iteration writes it after the product has read it
    again = found["look", "s16.stage", 1]
    assert (again.latency, again.blocking) == (problem.op("look").latency, True)
    # The state is read by the cast as well, but the product that overwrites it depends on that: still in place.
    assert (found["next", "next", 1].in_place, found["next", "next", 1].latency) == (True, problem.op("next").occupancy)
    assert found["next", "s16", 1].blocking


def test_a_tile_in_shared_memory_for_one_product_is_read_there_by_all():
    body = (
        STATE
        + """
    %zt = constant {value = 0.0} : f32[64, 128]
    %again = dot %s16, %b, %zt {precision = "tf32"} : f32[64, 128]
    descriptor_store %o, %c0, %n, %again
"""
    )
    problem = lower(loop(body, after=STORE_OUT), HOPPER, 8)
    found = deps(problem)
    assert ("s16", "again", 0) not in found
    assert found["s16.stage", "again", 0].latency == problem.op("s16.stage").latency
    assert found["again", "s16.stage", 1].blocking
    alone = lower(loop(body.replace("dot %a, %st, %zs", "dot %a, %a, %zs"), after=STORE_OUT), HOPPER, 8)
    assert ("s16", "again", 0) in deps(alone)


def test_accumulator_that_others_read_later_is_not_overwritten():
    body = MATMUL + "descriptor_store %o, %c0, %n, %acc"
    found = deps(lower(loop(body, after=STORE_OUT), HOPPER, 8))
    copied = found["sum", "sum", 1]
    assert (copied.in_place, copied.blocking) == (False, True)


def test_accumulators_in_tensor_memory():
    problem = lower(loop(SOFTMAX, LOAD_Q, STORE_OUT), BLACKWELL, 8)
    scores, total = problem.op("s"), problem.op("sum")
    assert (scores.registers, scores.tmem_columns, scores.min_warps) == (0, 128, 1)
    assert total.tmem_columns == 0  # one accumulator for all iterations
    assert problem.limits.tmem_columns == 512 - 128
    found = deps(problem)
    assert found["s", "s.read", 0].blocking
    assert problem.op("s.read").registers == 64
    assert {("sum", "acc.read", 1), ("scaled", "scaled.write", 0), ("scaled.write", "sum", 0)} <= set(found)
    assert problem.op("p16.stage").unit == "LSU"


def test_tiles_that_exceed_shared_memory():
    wide = loop(MATMUL.replace("128]", "1024]"), "%w = constant {value = 0.0} : f32[64, 1024]")
    wide = replace(wide, loop=replace(wide.loop, carried=(replace(wide.loop.carried[0], initial="w"),)))
    with pytest.raises(InputError) as error:
        lower(wide, HOPPER, 8)
    # a 64 * 1024 * 2 = 131072 B, b 128 * 1024 * 2 = 262144 B
    message = str(error.value)
    assert message.startswith("loop.py:5:1: the tiles of 'loop' need 394240 B of shared memory")
    assert "a thread block of hopper has 232448 B: barriers 1024, a 131072, b 262144." in message
    assert "It fits when the loop steps by blocks of 64 instead of 128." in message


def test_few_rows():
    body = MATMUL.replace("f32[64, 128]", "f32[32, 128]").replace("f16[64, 128]", "f16[32, 128]")
    graph = loop(body, "%w = constant {value = 0.0} : f32[32, 128]")
    graph = replace(graph, loop=replace(graph.loop, carried=(replace(graph.loop.carried[0], initial="w"),)))
    with pytest.raises(Unsupported, match=r"loop\.py:8:9: dot `sum` has 32 rows"):
        lower(graph, HOPPER, 8)


def test_load_at_a_computed_place():
    body = """
    carry %m: f32[64] from %zero yields %top gives %r0: f32[64]
    %a = descriptor_load %o, %c0, %n : f32[64, 128]
    %top = reduce %a {axis = 1, kind = "max"} : f32[64]
    %one = reduce %top {axis = 0, kind = "max"} : f32
    %where = cast %one {signed = true} : i32
    %b = descriptor_load %o, %c0, %where : f32[64, 128] at "loop.py":9:9
    descriptor_store %o, %c0, %n, %b
    """
    with pytest.raises(Unsupported, match=r"loop\.py:9:9: the offsets of load `b` depend on what the loop"):
        lower(loop(body), HOPPER, 8)

"""Where a group's loop begins, its stages, and the order tokens between groups: small schedules by hand."""

from dataclasses import replace

from twill.codegen.pipeline import Form, Token, cuts, recorded, streams, tokens
from twill.schedule.problem import Dep, Limits, Op, Problem
from twill.schedule.schedule import Group, Placement, Schedule

LIMITS = Limits(units={"TC": 1, "ALU": 1})


def schedule(ops, deps, ii, starts, groups):
    problem = Problem("p", LIMITS, tuple(ops), tuple(deps), 8)
    placements = {id: Placement(t // ii, t % ii, (groups[id],)) for id, t in starts.items()}
    count = 1 + max(groups.values())
    return Schedule(problem, "feasible", ii, ii, "by hand", 0, placements, {}, (Group(4, 240),) * count)


def mma(id, occupancy=100, latency=120):
    return Op(id, "TC", occupancy=occupancy, issue=10, latency=latency, registers=64)


def alu(id, cycles=50):
    return Op(id, "ALU", occupancy=cycles, issue=cycles, latency=cycles, registers=64)


def order(problem):
    return {op.id: number for number, op in enumerate(problem.ops)}


def test_the_body_begins_where_no_mma_is_in_flight():
    # a is in flight from 150 to 270 = 70 mod 200. Beginning at 150 (before a) it is back at 120 < 200;
    # beginning at 10 (before b) it would cross the back edge and cost 140 + 120 - 200 = 60 cycles.
    found = schedule(
        [mma("a"), alu("b")], [Dep("a", "b", 0, 120, blocking=True)], 200, {"a": 150, "b": 410}, {"a": 0, "b": 0}
    )
    (stream,) = streams(found, order(found.problem))
    assert stream.cut == 150
    assert [(step.op, step.stage, step.slot) for step in stream.steps] == [("a", 0, 0), ("b", 1, 60)]
    assert stream.stages == 2


def test_an_accumulator_of_its_own_may_cross_the_back_edge():
    # Its only dependence is on itself and nothing in registers feeds it: either cut costs nothing,
    # so the one that needs no extra stage wins.
    chain = Dep("a", "a", 1, 100, in_place=True)
    found = schedule([mma("a"), alu("b")], [chain], 200, {"a": 150, "b": 10}, {"a": 0, "b": 0})
    (stream,) = streams(found, order(found.problem))
    assert (stream.cut, stream.stages) == (10, 1)


def test_an_operand_in_registers_keeps_the_accumulator_inside():
    deps = [Dep("a", "a", 1, 100, in_place=True), Dep("b", "a", 0, 50)]
    found = schedule([mma("a"), alu("b")], deps, 200, {"a": 150, "b": 10}, {"a": 0, "b": 0})
    (stream,) = streams(found, order(found.problem))
    assert stream.cut == 150


def test_ops_of_one_cycle_keep_their_source_order():
    found = schedule(
        [alu("first", 0), alu("second", 0)], [], 100, {"first": 30, "second": 30}, {"first": 0, "second": 0}
    )
    (stream,) = streams(found, {"first": 0, "second": 1})
    assert [step.op for step in stream.steps] == ["first", "second"]


def test_of_ops_of_one_cycle_those_that_wait_come_first():
    """The wait before `second` would else stand after all of `first`, which begins in the same cycle."""
    ops = [mma("a"), alu("first"), alu("second")]
    starts, groups = {"a": 0, "first": 130, "second": 130}, {"a": 0, "first": 0, "second": 0}
    found = schedule(ops, [Dep("a", "second", 0, 120, blocking=True)], 400, starts, groups)
    (stream,) = streams(found, order(found.problem))
    assert [step.op for step in stream.steps] == ["a", "second", "first"]


def test_an_op_that_waits_stays_behind_what_it_reads():
    ops = [mma("a"), alu("first", 0), alu("second")]
    deps = [Dep("a", "second", 0, 120, blocking=True), Dep("first", "second", 0, 0)]
    found = schedule(ops, deps, 400, {"a": 0, "first": 130, "second": 130}, {"a": 0, "first": 0, "second": 0})
    (stream,) = streams(found, order(found.problem))
    assert [step.op for step in stream.steps] == ["a", "first", "second"]


def test_a_cut_can_be_chosen_among_those_that_lose_little():
    # a is in flight from 150 to 270. From 150 on nothing is lost; from 10 on, 140 + 120 - 200 = 60 cycles, too many.
    deps = [Dep("a", "b", 0, 120, blocking=True)]
    found = schedule([mma("a"), alu("b")], deps, 200, {"a": 150, "b": 410}, {"a": 0, "b": 0})
    assert cuts(found, 0) == (150,)
    # A latency of 90 is over at 40; from 10 on, 30 cycles of 200 are lost: no more than a sixth.
    found = schedule([mma("a", 60, 90), alu("b")], [Dep("a", "b", 0, 90)], 200, {"a": 150, "b": 410}, {"a": 0, "b": 0})
    assert cuts(found, 0) == (150, 10)
    (stream,) = streams(found, order(found.problem), {0: 10})
    assert (stream.cut, stream.stages, [step.op for step in stream.steps]) == (10, 3, ["b", "a"])


def test_a_form_is_read_back_from_the_provenance():
    found = schedule([alu("a")], [], 100, {"a": 0}, {"a": 0})
    assert recorded(found) == Form()
    form = Form({0: 10, 2: 30}, turns=False)
    assert recorded(replace(found, provenance={"form": form.json()})) == form


def test_tokens_follow_the_cyclic_order_of_the_unit():
    # TC in one turn of 400: s0 at 0, s1 at 100, o0 at 200 (of the iteration before), o1 at 300 (likewise).
    ops = [mma("s0"), mma("s1"), mma("o0"), mma("o1")]
    starts = {"s0": 0, "s1": 100, "o0": 600, "o1": 700}
    groups = {"s0": 0, "s1": 1, "o0": 0, "o1": 1}
    found = tokens(schedule(ops, [], 400, starts, groups), "TC")
    # Before s1(x) comes s0(x); before o0(x) comes s1(x + 1), one turn later than s1(x); and so on around:
    # before s0(x) comes o1(x - 2), whose start 700 - 2 * 400 = -100 is the last before 0.
    assert [(t.signaller, t.waiter, t.shift) for t in found] == [
        ("s0", "s1", 0), ("s1", "o0", 1), ("o0", "o1", 0), ("o1", "s0", -2),
    ]  # fmt: skip
    assert {t.depth for t in found} == {3}


def test_one_group_alone_needs_no_tokens():
    ops = [mma("a"), mma("b")]
    assert tokens(schedule(ops, [], 400, {"a": 0, "b": 100}, {"a": 0, "b": 0}), "TC") == ()


def test_a_hand_over_needs_one_token_each_way():
    ops = [mma("a"), mma("b"), mma("c")]
    found = tokens(schedule(ops, [], 400, {"a": 0, "b": 100, "c": 200}, {"a": 0, "b": 0, "c": 1}), "TC")
    assert found == (Token("b", "c", 0, 2), Token("c", "a", -1, 2))


def test_stages_are_counted_from_the_cut():
    found = schedule([alu("a"), alu("b")], [], 100, {"a": 90, "b": 150}, {"a": 0, "b": 0})
    found = replace(found, length=200)
    (stream,) = streams(found, order(found.problem))
    assert stream.stages == 1  # cut at 90: a at slot 0, b at slot 60 of the same body

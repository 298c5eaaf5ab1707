"""Every rule of the checker: a hand-made violation of it is found, named and explained with its numbers."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest
from attention_loop import II, schedule
from hypothesis import given, settings
from hypothesis import strategies as st

from twill.schedule.checker import check
from twill.schedule.lifetimes import Transfer, transfers
from twill.schedule.problem import Dep, Limits, Op, Problem
from twill.schedule.schedule import Group, Placement, Schedule

VALID = schedule()


def moved(base: Schedule, id: str, start: int) -> Schedule:
    """`base` with op `id` starting at `start`; the length is not corrected."""
    at = Placement(*divmod(start, base.ii), base.placements[id].groups)
    return replace(base, placements={**base.placements, id: at})


def regrouped(base: Schedule, id: str, *groups: int) -> Schedule:
    at = replace(base.placements[id], groups=groups)
    return replace(base, placements={**base.placements, id: at})


def with_limits(base: Schedule, **changes: object) -> Schedule:
    return replace(base, problem=replace(base.problem, limits=replace(base.problem.limits, **changes)))


def with_op(base: Schedule, id: str, **changes: object) -> Schedule:
    ops = tuple(replace(op, **changes) if op.id == id else op for op in base.problem.ops)
    return replace(base, problem=replace(base.problem, ops=ops))


def only(base: Schedule, rule: str) -> str:
    """The message of the violations of `rule`, the only ones there are."""
    violations = check(base)
    assert {each.rule for each in violations} == {rule}
    return "\n".join(each.message for each in violations)


def tiny(
    ops: list[Op], deps: list[Dep], starts: dict[str, int], ii: int, groups: dict[str, int] | None = None
) -> Schedule:
    """A schedule of a small problem on one group, or on the groups given."""
    groups = groups or dict.fromkeys(starts, 0)
    count = max(groups.values()) + 1
    length = max(starts[op.id] + op.completion for op in ops)
    limits = Limits({"U": 1, "W": 2}, smem_bytes=100, registers_per_thread=100, signal_hop=3, value_hop=7)
    return Schedule(
        Problem("tiny", limits, tuple(ops), tuple(deps)), "feasible", ii, 1, "", length,
        {id: Placement(*divmod(at, ii), (groups[id],)) for id, at in starts.items()},
        {op.id: 1 for op in ops if op.smem_bytes}, tuple(Group(1, 100) for _ in range(count)),
    )  # fmt: skip


def test_valid_schedule_is_accepted():
    assert check(VALID) == ()


def test_answers_without_placements_are_accepted_only_as_such():
    empty = replace(VALID, placements={}, rings={}, groups=())
    assert check(replace(empty, status="infeasible")) == ()
    assert check(replace(empty, status="unknown")) == ()
    assert "no op is placed" in only(empty, "structure")
    assert "ops are placed" in only(replace(VALID, status="unknown"), "structure")


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (replace(VALID, ii=0), "ii = 0 < 1"),
        (replace(VALID, lower_bound=II + 1), "below its own lower bound 2049"),
        (replace(VALID, lower_bound=II - 1), "status is optimal, but the lower bound 2047 < ii = 2048"),
        (replace(VALID, length=1), "length is given as 1, but acc.1 completes 4894"),
        (replace(VALID, placements={k: v for k, v in VALID.placements.items() if k != "p.0"}), "op p.0 has no place"),
        (replace(VALID, placements={**VALID.placements, "ghost": Placement(0, 0, (0,))}), "no such op"),
        (replace(VALID, placements={**VALID.placements, "k": Placement(0, II, (0,))}), "outside 0 <= slot < ii"),
        (replace(VALID, placements={**VALID.placements, "k": Placement(-1, 0, (0,))}), "stage of k is -1"),
        (regrouped(VALID, "k", 3), "on group 3, but there are 3 groups"),
        (regrouped(VALID, "k"), "one or more different groups"),
        (regrouped(VALID, "k", 0, 0), "one or more different groups"),
        (replace(VALID, rings={"k": 2}), "v writes a buffer"),
        (replace(VALID, rings={**VALID.rings, "p.0": 1}), "p.0, which writes no buffer"),
    ],
)
def test_structure(broken: Schedule, said: str):
    assert said in only(broken, "structure")


def test_first_start_is_zero():
    op = Op("a", "U", 1, 1, 1)
    assert "starts at cycle 2, not at 0" in only(replace(tiny([op], [], {"a": 2}, 4), length=1), "structure")


def test_dependence_gives_both_sides():
    # p.0 at 1700 may use sub.0 from 1626 + 70 = 1696 on; one cycle less is one too few.
    assert check(moved(moved(VALID, "p.0", 1696), "alpha.0", 1680)) == ()
    message = only(moved(moved(VALID, "p.0", 1695), "alpha.0", 1680), "dependence")
    assert "start 1695 + distance 0 * ii 2048 = 1695 < 1696 = start 1626 + latency 70 + value hop 0" in message


def test_dependence_over_iterations():
    # The accumulator of iteration i - 1 is ready at 3310 + 560 - 2048 = 1822.
    late = replace(VALID.problem.deps[13], latency=1113)
    assert (late.src, late.dst, late.distance) == ("acc.0", "scaled.0", 1)
    deps = (*VALID.problem.deps[:13], late, *VALID.problem.deps[14:])
    message = only(replace(VALID, problem=replace(VALID.problem, deps=deps)), "dependence")
    assert "start 2374 + distance 1 * ii 2048 = 4422 < 4423 = start 3310 + latency 1113" in message


@pytest.mark.parametrize(("registers", "hop"), [(0, 3), (1, 7)])
def test_dependence_pays_the_hop_between_groups_only(registers: int, hop: int):
    ops = [Op("a", "U", 1, 1, 5, registers), Op("b", "W", 1, 1, 1)]
    deps = [Dep("a", "b", latency=5)]
    apart = {"a": 0, "b": 1}
    assert check(tiny(ops, deps, {"a": 0, "b": 5}, 20)) == ()
    assert check(tiny(ops, deps, {"a": 0, "b": 5 + hop}, 20, apart)) == ()
    assert f"hop {hop}" in only(tiny(ops, deps, {"a": 0, "b": 4 + hop}, 20, apart), "dependence")


def test_dependence_into_a_subset_of_the_source_groups_pays_no_hop():
    ops = [Op("a", "U", 1, 1, 5, 1), Op("b", "W", 1, 1, 1)]
    base = tiny(ops, [Dep("a", "b", latency=5)], {"a": 0, "b": 5}, 20, {"a": 0, "b": 1})
    assert check(with_op(regrouped(base, "a", 0, 1), "a", spans=2)) == ()
    reverse = with_op(regrouped(base, "b", 0, 1), "b", spans=2)
    assert "value hop 7" in only(reverse, "dependence")


def test_units_name_the_fullest_slot():
    # s.0 is busy on [750, 1262); acc.0 moved to slot 1261 meets it for one cycle.
    message = only(moved(VALID, "acc.0", 3309), "units")
    assert message == "TC holds s.0, acc.0 at slot 1261: 2 > capacity 1"


def test_units_count_an_op_longer_than_ii_more_than_once():
    long = [Op("a", "U", 9, 1, 9)]
    assert check(tiny(long, [], {"a": 0}, 9)) == ()
    assert "a (2 times) at slot 0: 2 > capacity 1" in only(tiny(long, [], {"a": 0}, 8), "units")
    wide = [Op("a", "W", 9, 1, 9)]  # capacity 2: ceil(9 / 2) = 5
    assert check(tiny(wide, [], {"a": 0}, 5)) == ()
    assert "3 > capacity 2" in only(tiny(wide, [], {"a": 0}, 4), "units")


def test_streams_forbid_a_wait_inside_an_issue_window():
    ops = [Op("k", "W", 1, 1, 2), Op("wait", "W", 1, 1, 1), Op("busy", "U", 10, 10, 10)]
    deps = [Dep("k", "wait", latency=2, blocking=True)]
    for start, inside in ((4, False), (5, True), (13, True), (14, False)):
        base = tiny(ops, deps, {"k": 0, "wait": start, "busy": 4}, 20)
        assert bool(check(base)) == inside
    message = only(tiny(ops, deps, {"k": 0, "wait": 25, "busy": 4}, 20), "streams")
    assert (
        message == "the wait of wait at slot 5 interrupts busy in group 0, 1 cycles into its issue window: 0 < 1 < 10"
    )
    # A window that runs over the end of the period covers its beginning too.
    assert "3 cycles into" in only(tiny(ops, deps, {"k": 0, "wait": 21, "busy": 18}, 20), "streams")
    # Another group's stream is not interrupted, and without a wait nothing is.
    assert check(tiny(ops, deps, {"k": 0, "wait": 5, "busy": 4}, 20, {"k": 0, "wait": 0, "busy": 1})) == ()
    plain = [replace(deps[0], blocking=False)]
    assert check(tiny(ops, plain, {"k": 0, "wait": 5, "busy": 4}, 20)) == ()


def test_streams_see_the_previous_turn_of_a_window_longer_than_ii():
    ops = [Op("k", "W", 0, 0, 0), Op("wait", "W", 0, 0, 0), Op("busy", "W", 11, 11, 11)]
    deps = [Dep("k", "wait", blocking=True)]
    assert "10 cycles into" in only(tiny(ops, deps, {"k": 0, "wait": 0, "busy": 0}, 10), "streams")


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (with_op(VALID, "k", min_warps=4), "group 0 has 1 warps, but k asks for 4"),
        (with_limits(VALID, max_warps=8), "9 warps in all > max_warps 8"),
        (with_limits(VALID, max_groups=2), "3 groups > 2"),
        (replace(VALID, groups=(Group(1, 24), *VALID.groups[1:])), "marked as no producer"),
        (replace(VALID, groups=(*VALID.groups[:2], Group(4, 240, producer=True))), "marked as a producer"),
        (replace(VALID, groups=(*VALID.groups, Group(1, 24))), "group 3 holds no op"),
        (replace(VALID, groups=(Group(1, 248, True), *VALID.groups[1:])), "claims 248 registers per thread > 240"),
        (replace(VALID, groups=(Group(1, 16, True), *VALID.groups[1:])), "claims 16 registers per thread < producer"),
        (
            replace(VALID, groups=(VALID.groups[0], Group(4, 241), Group(4, 240))),
            "claims 241 registers per thread > 240",
        ),
    ],
)
def test_roles(broken: Schedule, said: str):
    violations = check(broken)
    assert said in "\n".join(each.message for each in violations if each.rule == "roles")


def test_roles_keep_producers_apart():
    violations = check(regrouped(VALID, "k", 1))
    mixed = [each for each in violations if each.rule == "roles"]
    assert "group 1 holds k of variable latency together with s.0 of fixed latency" in mixed[0].message


def test_budgets_share_the_register_file():
    # 128 * 24 of the producer and twice 32 * 4 * 240 = 64512 <= 65536; 48 registers for the producer take 3072 more.
    raised = replace(VALID, groups=(Group(1, 48, True), *VALID.groups[1:]))
    message = only(raised, "roles")
    assert message == (
        "the groups take 128 * 1 * 48 + 32 * 4 * 240 + 32 * 4 * 240 = 67584 registers > register_file 65536"
    )
    assert check(replace(VALID, groups=(Group(1, 32, True), *VALID.groups[1:]))) == ()  # 65536, all there is
    # One group may hold more where the other holds less, in steps of 8: 163 take 168.
    uneven = replace(VALID, groups=(Group(1, 96, True), Group(4, 240), Group(4, 163)))
    assert check(uneven) == ()
    assert "32 * 4 * 168 = 64512 registers > register_file 64511" in only(
        with_limits(uneven, register_file=64511), "roles"
    )


def test_a_quota_that_is_no_multiple_of_8_is_charged_as_given():
    odd = replace(VALID, groups=(Group(1, 20, True), *VALID.groups[1:]))
    assert check(with_limits(odd, producer_registers=20, register_file=64000)) == ()  # 128 * 20 + 2 * 30720
    assert "128 * 1 * 20" in only(with_limits(odd, producer_registers=20, register_file=63999), "roles")


def test_a_quota_between_steps_is_refused():
    between = replace(VALID, groups=(Group(1, 28, True), *VALID.groups[1:]))
    assert "28 registers per thread, which is not producer_registers 24 and steps of 8 more" in only(between, "roles")


def test_producer_groups_share_one_quota():
    groups = {id: (at.groups[0] + (id != "k" and at.groups[0] > 0),) for id, at in VALID.placements.items()}
    groups["v"] = (1,)
    apart = replace(
        VALID,
        placements={id: replace(at, groups=groups[id]) for id, at in VALID.placements.items()},
        groups=(Group(1, 24, True), Group(1, 24, True), *VALID.groups[1:]),
    )
    assert check(apart) == ()  # two warps of producers still take 128 * 24
    uneven = replace(apart, groups=(Group(1, 32, True), *apart.groups[1:]))
    assert only(uneven, "roles") == (
        "the producer groups share one quota of registers per thread, but claim group 0 32 and group 1 24"
    )


def test_an_op_is_on_as_many_groups_as_it_spans():
    wide = with_op(VALID, "k", spans=2)
    assert only(wide, "structure") == "k is on groups [0], 1 in number, but spans 2"
    assert "[1, 2], 2 in number, but spans 1" in only(regrouped(VALID, "p.0", 1, 2), "structure")


def test_a_spanning_op_issues_waits_and_holds_registers_in_each_of_its_groups():
    # wide waits for k at slot 11 on groups 0 and 1; busy issues on [1, 11) in group 1.
    ops = [Op("k", "W", 1, 1, 2), Op("wide", "W", 1, 1, 1, 6, spans=2, min_warps=2), Op("busy", "U", 10, 10, 10)]
    deps = [Dep("k", "wide", latency=2, blocking=True)]
    base = tiny(ops, deps, {"k": 0, "wide": 11, "busy": 1}, 20, {"k": 0, "wide": 0, "busy": 1})
    base = replace(regrouped(base, "wide", 0, 1), groups=(Group(2, 6), Group(2, 6)))
    assert check(base) == ()
    inside = replace(moved(base, "wide", 5), length=11)
    assert "4 cycles into" in only(inside, "streams")
    for group in (0, 1):
        tight = tuple(replace(each, registers=5) if at == group else each for at, each in enumerate(base.groups))
        assert f"group {group} holds wide 6 = 6" in only(replace(base, groups=tight), "registers")
    assert "group 1 has 1 warps, but wide asks for 2" in only(
        replace(base, groups=(base.groups[0], Group(1, 6))), "roles"
    )


def sent(registers: int = 4, **limits: object) -> Schedule:
    """a (registers, or a plain signal) is used at 12 in group 1 and at 25, one iteration on at 35, in group 2."""
    ops = [Op("a", "U", 1, 1, 1, registers, min_warps=2), Op("b", "W", 1, 1, 1), Op("c", "W", 1, 1, 1)]
    deps = [Dep("a", "b", latency=1), Dep("a", "c", 1, 1)]
    base = tiny(ops, deps, {"a": 0, "b": 12, "c": 25}, 10, {"a": 0, "b": 1, "c": 2})
    base = replace(base, groups=(Group(2, 100), Group(1, 100), Group(1, 100)))
    return with_limits(base, smem_bytes=1 << 20, **limits)


def test_a_value_for_another_group_takes_shared_memory():
    # A slot is 4 bytes * 64 threads * 4 registers = 1024; it lives until its use at 35: 4 slots at ii = 10.
    assert transfers(sent()) == ()
    assert transfers(sent(transfer_bytes=4)) == (Transfer("a", 35, 2, 4, 1024),)
    assert check(with_limits(sent(transfer_bytes=4), smem_bytes=4096)) == ()
    message = only(with_limits(sent(transfer_bytes=4), smem_bytes=4095), "rings")
    assert message == "shared memory holds a to other groups 4 * 1024 = 4096 bytes > 4095"
    # Nothing crosses when the using groups run it too; what spans two groups writes twice the bytes.
    wide = with_op(regrouped(sent(transfer_bytes=4), "a", 0, 1), "a", spans=2)
    assert transfers(wide) == (Transfer("a", 35, 2, 4, 2048),)


def test_barriers_of_slots_and_signals():
    # 4 slots of the transfer: 8; a plain signal to both groups: 2.
    assert check(sent(transfer_bytes=4, max_mbarriers=8)) == ()
    message = only(sent(transfer_bytes=4, max_mbarriers=7), "barriers")
    assert message == "the rings and signals take a to other groups 2 * 4 = 8 mbarriers > 7"
    assert check(sent(0, max_mbarriers=2)) == ()
    assert "a signalled 2 * 1 = 2 mbarriers > 1" in only(sent(0, max_mbarriers=1), "barriers")
    assert check(with_limits(VALID, max_mbarriers=8)) == ()  # two rings of two slots
    assert "k 2 * 2 + v 2 * 2 = 8 mbarriers > 7" in only(with_limits(VALID, max_mbarriers=7), "barriers")


def test_a_ring_adds_its_depth_to_the_recurrence_it_carries():
    # The reader at 14 lets the buffer go at 14 + 4; the write of the next iteration at 10 needs a second slot:
    # 0 + (1 + d - 1) * 10 >= 18, and 3 more when they are on different groups.
    ops = [Op("write", "U", 1, 1, 1, smem_bytes=10), Op("read", "W", 1, 1, 1, 8)]
    deps = [Dep("write", "read", latency=1), Dep("read", "write", 1, 4, ring=True)]
    base = tiny(ops, deps, {"write": 0, "read": 14}, 10)
    assert check(replace(base, rings={"write": 2})) == ()
    assert [str(each) for each in check(base) if each.rule == "dependence"] == [
        "dependence: write may not write its buffer before read has read it: start 0 + (distance 1 + depth 1 - 1)"
        " * ii 10 = 10 < 18 = start 14 + latency 4 + signal hop 0"
    ]
    # The recurrence moves no value: read's registers do not live until the next write, and nothing is transferred.
    apart = with_limits(replace(base, rings={"write": 3}), transfer_bytes=4)
    apart = replace(regrouped(moved(apart, "read", 14), "read", 1), groups=(Group(1, 8), Group(1, 8)))
    assert check(apart) == ()
    assert transfers(apart) == ()
    # Two slots last until 20 < 18 + 3, the hop of the signal.
    assert "= 20 < 21 = start 14 + latency 4 + signal hop 3" in only(replace(apart, rings={"write": 2}), "dependence")


def test_registers_sum_what_lives_together():
    # While s.0 waits for sub.0: s.0 64 + acc.0 64 + cast.0 32, and max, sum of this and the last iteration.
    tight = replace(VALID, groups=(VALID.groups[0], Group(4, 163), Group(4, 163)))
    assert check(tight) == ()
    message = only(replace(tight, groups=(*tight.groups[:2], Group(4, 162))), "registers")
    assert "= 163 registers per thread > 162 at slot 512" in message


def test_registers_count_copies_holds_and_foreign_groups():
    limit = 10

    def held(ops: list[Op], deps: list[Dep], starts: dict[str, int], groups: dict[str, int], cap: int) -> bool:
        base = tiny(ops, deps, starts, limit, groups)
        return not check(replace(base, groups=tuple(Group(1, cap) for _ in base.groups)))

    value = Op("a", "U", 1, 1, 1, 4)
    use = Op("b", "W", 1, 1, 1)
    one = {"a": 0, "b": 0}
    # Alive on [0, 10): one copy; on [0, 11): two copies at slot 0.
    assert held([value, use], [Dep("a", "b", latency=1)], {"a": 0, "b": 10}, one, 4)
    assert not held([value, use], [Dep("a", "b", latency=1)], {"a": 0, "b": 11}, one, 7)
    # An asynchronous use holds its operand for its occupancy, unless it overwrites it.
    slow = replace(use, unit="W", occupancy=9, issue=1)
    assert not held([value, slow], [Dep("a", "b", latency=1)], {"a": 0, "b": 2}, one, 7)
    assert held([value, slow], [Dep("a", "b", latency=1, in_place=True)], {"a": 0, "b": 2}, one, 4)
    # A dep of an op to itself is an accumulator: one copy.
    assert held([replace(value, occupancy=9)], [Dep("a", "a", 1, 1)], {"a": 0}, {"a": 0}, 4)
    # In its own group it lives one cycle, in the other from first to last use: never two copies anywhere.
    assert held([value, use], [Dep("a", "b", latency=1)], {"a": 0, "b": 30}, {"a": 0, "b": 1}, 4)
    assert not held([value, use], [Dep("a", "b", latency=1)], {"a": 0, "b": 30}, {"a": 0, "b": 1}, 3)
    # Uses at 10 and at 25 of another group: alive there on [10, 25), two copies of 4.
    twice = [value, use, replace(use, id="c")]
    deps = [Dep("a", "b", latency=1), Dep("a", "c", latency=1)]
    away = {"a": 0, "b": 1, "c": 1}
    assert held(twice, deps, {"a": 0, "b": 10, "c": 25}, away, 8)
    assert not held(twice, deps, {"a": 0, "b": 10, "c": 25}, away, 7)


def test_rings_cover_the_life_of_the_buffer():
    # k is read until s.1 completes, 1774 + 560 = 2334 > 1 * 2048.
    message = only(replace(VALID, rings={"k": 1, "v": 2}), "rings")
    assert message == (
        "the ring of k has depth 1 * ii 2048 = 2048 < 2334 cycles from its issue to the completion of s.1"
    )
    assert "depth 0 < 1" in only(replace(VALID, rings={"k": 0, "v": 2}), "rings")


def test_rings_without_consumers_last_until_their_own_completion():
    ops = [Op("a", "U", 1, 1, 21, smem_bytes=10)]
    base = tiny(ops, [], {"a": 0}, 10)
    assert "10 < 21 cycles from its issue to its own completion" in only(replace(base, rings={"a": 1}), "rings")
    assert check(replace(base, rings={"a": 3})) == ()
    assert check(tiny([replace(ops[0], latency=10)], [], {"a": 0}, 10)) == ()
    assert "10 < 11" in only(tiny([replace(ops[0], latency=11)], [], {"a": 0}, 10), "rings")


def test_rings_fit_the_memories():
    message = only(replace(VALID, rings={"k": 6, "v": 2}), "rings")
    assert message == "shared memory holds k 6 * 32768 + v 2 * 32768 = 262144 bytes > 232448"
    columns = replace(with_op(VALID, "s.0", tmem_columns=128), rings={**VALID.rings, "s.0": 1})
    assert "tensor memory holds s.0 1 * 128 = 128 columns > 0" in only(columns, "rings")


def test_colocate_and_separate():
    task = VALID.problem
    apart = replace(VALID, problem=replace(task, colocate=(("s.0", "s.1"),), separate=()))
    assert "s.0 and s.1 must share a group, but are on 1 and 2" in only(apart, "colocate")
    together = replace(VALID, problem=replace(task, separate=(("s.0", "p.0", "p.1"),)))
    assert "s.0 and p.0 must not share a group" in only(together, "separate")


def test_the_checker_needs_nothing_but_python():
    forbidden = ("ortools", "torch", "triton", "matplotlib", "networkx", "numpy", "twill.solve")
    code = f"import sys, twill.schedule.checker; sys.exit(any(name in sys.modules for name in {forbidden!r}))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@st.composite
def placed_problems(draw: st.DrawFn) -> Schedule:
    """A few ops anywhere, on two groups, valid or not."""
    ii = draw(st.integers(1, 12))
    count = draw(st.integers(1, 5))
    small = st.integers(0, 15)
    ops, starts, groups = [], {}, {}
    for at in range(count):
        id = f"op{at}"
        unit = draw(st.sampled_from("UW"))
        ops.append(Op(id, unit, draw(small), draw(small), draw(small), draw(st.integers(0, 3))))
        starts[id], groups[id] = draw(st.integers(0, 30)), draw(st.integers(0, 1))
    ids = st.sampled_from(sorted(starts))
    dep = st.builds(Dep, ids, ids, st.integers(1, 2), st.integers(0, 9), st.booleans(), st.booleans())
    base = tiny(ops, draw(st.lists(dep, max_size=5)), starts, ii, groups)
    cap = draw(st.integers(1, 12))
    return replace(base, groups=tuple(Group(1, cap) for _ in range(1 + max(groups.values()))))


def simulated(base: Schedule) -> dict[str, bool]:
    """For rules 1, 2, 3 and 5 whether they hold, by running many iterations cycle by cycle; no modulo anywhere."""
    task, ii = base.problem, base.ii
    at = base.placements
    turns = range(-120 // ii - 12, 120 // ii + 12)
    window = range(ii)  # the middle of the run, where every iteration that reaches in exists
    units = True
    for unit, capacity in task.limits.units.items():
        spans = [(base.start(op.id), op.occupancy) for op in task.ops if op.unit == unit]
        for t in window:
            units &= (
                sum(i * ii + start <= t < i * ii + start + busy for start, busy in spans for i in turns) <= capacity
            )
    streams = True
    for v in {dep.dst for dep in task.deps if dep.blocking}:
        for o in task.ops:
            if v != o.id and at[v].groups == at[o.id].groups:
                begins = [base.start(o.id) + i * ii for i in turns]
                streams &= not any(begin < base.start(v) < begin + o.issue for begin in begins)
    dependence = True
    for dep in task.deps:
        value = task.op(dep.src).registers > 0
        hop = 0 if at[dep.src].groups == at[dep.dst].groups else 7 if value else 3
        dependence &= base.start(dep.dst) + dep.distance * ii >= base.start(dep.src) + dep.latency + hop
    registers = True
    for number, group in enumerate(base.groups):
        for t in window:
            live = 0
            for op in task.ops:
                uses = [dep for dep in task.deps if dep.src == op.id and at[dep.dst].groups == (number,)]
                begins = [base.start(dep.dst) + dep.distance * ii for dep in uses]
                ends = []
                for dep, begin in zip(uses, begins, strict=True):
                    user = task.op(dep.dst)
                    keeps = user.issue < user.occupancy and not dep.in_place and dep.src != dep.dst
                    ends.append(begin + (user.occupancy if keeps else 0))
                if at[op.id].groups == (number,):
                    begin = base.start(op.id)
                elif uses:
                    begin = min(begins)
                else:
                    continue
                end = max([begin + 1, *ends])
                live += op.registers * sum(i * ii + begin <= t < i * ii + end for i in turns)
            registers &= live <= group.registers
    return {"dependence": dependence, "units": units, "streams": streams, "registers": registers}


@settings(max_examples=150, deadline=None)
@given(placed_problems())
def test_verdict_agrees_with_a_simulation(base: Schedule):
    broken = {each.rule for each in check(base)}
    for rule, holds in simulated(base).items():
        assert (rule not in broken) == holds, rule


@settings(max_examples=60, deadline=None)
@given(base=placed_problems(), cycles=st.integers(0, 40))
def test_starting_everything_later_changes_no_rule(base: Schedule, cycles: int):
    # All rules speak of differences of starts, or of slots modulo ii.
    shifted = base
    for op in base.problem.ops:
        shifted = moved(shifted, op.id, base.start(op.id) + cycles)

    def rules(each: Schedule) -> list[str]:
        return [violation.rule for violation in check(each) if violation.rule != "structure"]

    assert rules(base) == rules(shifted)


@settings(max_examples=60, deadline=None)
@given(id=st.sampled_from(sorted(VALID.placements)), cycles=st.integers(-3000, 3000))
def test_a_moved_op_is_rejected_when_an_operand_is_late(id: str, cycles: int):
    start = VALID.start(id) + cycles
    if start < 0:
        return
    late = any(
        dep.dst == id != dep.src
        and start + dep.distance * II < VALID.start(dep.src) + dep.latency + (0 if dep.src not in "kv" else 50)
        for dep in VALID.problem.deps
    )
    found = any(
        each.rule == "dependence" and each.ops[1] == id != each.ops[0] for each in check(moved(VALID, id, start))
    )
    assert found == late

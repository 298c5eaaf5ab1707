"""One hand-solved instance a rule: the optimum without the rule's bite, and with it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.solve.instances import problem
from twill.schedule.checker import check
from twill.schedule.problem import Dep, Op
from twill.schedule.schedule import Schedule
from twill.solve import solve


def proved(given) -> Schedule:
    """The optimal schedule, checked independently."""
    found = solve(given, time_limit=30)
    assert found.status == "optimal", found.reason
    assert check(found) == ()
    assert found.lower_bound == found.ii
    return found


def infeasible(given) -> str:
    found = solve(given, time_limit=30)
    assert found.status == "infeasible"
    assert not found.placements
    return found.reason


def test_dependence_recurrence_bounds_the_interval() -> None:
    # a 3 cycles, b 4 cycles, on units of their own: ResMII = 4.
    a, b = Op("a", "A", 3, 1, 3), Op("b", "B", 4, 1, 4)
    forward = Dep("a", "b", 0, 3)
    assert proved(problem([a, b], [forward])).ii == 4
    # b -> a over one iteration: 3 + 4 cycles around a cycle of distance 1, II = 7; distance 2: ceil(7 / 2) = 4.
    back = Dep("b", "a", 1, 4)
    found = proved(problem([a, b], [forward, back]))
    assert (found.ii, found.reason) in {(7, "RecMII of cycle a -> b -> a"), (7, "RecMII of cycle b -> a -> b")}
    assert proved(problem([a, b], [forward, replace(back, distance=2)])).ii == 4


def test_hop_is_paid_between_groups() -> None:
    # The recurrence of 3 + 4 cycles as above, each way with a hop of 5 when a and b are apart: 7 + 2 * 5 = 17.
    a, b = Op("a", "A", 3, 1, 3), Op("b", "B", 4, 1, 4)
    deps = [Dep("a", "b", 0, 3), Dep("b", "a", 1, 4)]
    assert proved(problem([a, b], deps, signal_hop=5)).ii == 7
    apart = proved(problem([a, b], deps, signal_hop=5, separate=(("a", "b"),)))
    assert apart.ii == 17
    # With a result in registers, a -> b pays the value hop: 7 + 8 + 5 = 20.
    value = problem([replace(a, registers=1), b], deps, signal_hop=5, value_hop=8, separate=(("a", "b"),))
    assert proved(value).ii == 20


def test_unit_holds_capacity_ops_at_once() -> None:
    # 3 + 4 + 5 cycles on one unit: II = 12; with capacity 2, ceil(12 / 2) = 6, where 5 covers one place for
    # 5 of 6 cycles, and 3 + 4 = 7 > 6 share the other by reaching around into the sixth.
    ops = [Op("a", "A", 3, 1), Op("b", "A", 4, 1), Op("c", "A", 5, 1)]
    one = proved(problem(ops))
    assert (one.ii, one.reason) == (12, "ResMII of unit A (ops a, b, c)")
    assert proved(problem(ops, units={"A": 2})).ii == 6


def test_occupancy_longer_than_the_interval_counts_in_whole_turns() -> None:
    # 10 cycles on a unit of capacity 3: ceil(10 / 3) = 4, covering slots 3, 3, 2, 2 times.
    assert proved(problem([Op("a", "A", 10, 1)], units={"A": 3})).ii == 4
    # With another of 3 cycles: ceil(13 / 3) = 5; at 5, a covers every slot twice, which leaves one place for b.
    assert proved(problem([Op("a", "A", 10, 1), Op("b", "A", 3, 1)], units={"A": 3})).ii == 5


def test_op_of_no_occupancy_takes_no_unit() -> None:
    found = proved(problem([Op("a", "A", 4, 1), Op("b", "A")]))
    assert found.ii == 4


def test_blocking_wait_interrupts_no_issue_of_its_group() -> None:
    # u is asynchronous on U (4 cycles, issue 1), v waits for it and issues for 2 cycles on V; x issues for 4 on X.
    # One group, II = 4: x's issue covers all slots but its start, so v waits exactly there; u's issue of 1 has no
    # inside. v's own wait is not inside itself. So 4 is feasible.
    ops = [Op("u", "U", 4, 1, 5), Op("v", "V", 2, 2, 2), Op("x", "X", 4, 4, 4)]
    waits = [Dep("u", "v", 0, 5, blocking=True)]
    assert proved(problem(ops, waits, max_groups=1)).ii == 4
    # Now x too waits, for u: v's wait is not inside x's 4 cycles of issue, nor x's inside v's 2. At 4 both wait at the
    # same slot. A dependence v -> x of 2 that returns to v after 2 more in the next iteration but one cycle late
    # (v -> x 2, x -> v 2, distance 1) asks for slot(x) = slot(v) + 2 at II = 4, inside nothing of v (it ends at 2) but
    # v's wait is then 2 cycles into x. At II = 5: slot(x) in {2, 3} past v; v waits 2 or 3 cycles into x. At 6:
    # slot(x) = 2, and v waits at 6, when x ends.
    tight = [*waits, Dep("u", "x", 0, 5, blocking=True), Dep("v", "x", 0, 2), Dep("x", "v", 1, 2)]
    assert proved(problem(ops, tight, max_groups=1)).ii == 6
    # In groups of their own, nothing is interrupted.
    assert proved(problem(ops, tight, max_groups=2)).ii == 4


def test_issue_longer_than_the_interval_keeps_waits_out_of_its_group() -> None:
    # x issues for 6 cycles but its unit of capacity 2 allows II = 3, at which every wait of its group is interrupted.
    ops = [Op("u", "U", 1, 1, 1), Op("v", "V", 1, 1, 1), Op("x", "X", 6, 6, 6)]
    waits = [Dep("u", "v", 0, 1, blocking=True)]
    units = {"U": 1, "V": 1, "X": 2}
    assert proved(problem(ops, waits, max_groups=2, units=units)).ii == 3
    assert proved(problem(ops, waits, max_groups=1, units=units)).ii == 6


def test_variable_latency_sits_in_a_producer_group() -> None:
    ops = [Op("load", "T", 1, 1, 9, variable_latency=True), Op("use", "C", 1, 1, 1)]
    found = proved(problem(ops, [Dep("load", "use", 0, 9, blocking=True)]))
    assert [group.producer for group in found.groups] == [True, False]
    reason = infeasible(problem(ops, max_groups=1))
    assert "groups: at most 1 groups" in reason
    assert "roles: " in reason


def test_warps_of_all_groups_fit() -> None:
    # Separate groups of 4 and 8 warps: 12.
    ops = [Op("a", "A", 1, 1, min_warps=4), Op("b", "B", 1, 1, min_warps=8)]
    found = proved(problem(ops, separate=(("a", "b"),), max_warps=12))
    assert sorted(group.warps for group in found.groups) == [4, 8]
    assert "roles: " in infeasible(problem(ops, separate=(("a", "b"),), max_warps=11))


def test_registers_of_live_values_fit() -> None:
    # a (3 cycles on A) makes 10 registers, used by b 9 cycles later: alive 9 cycles. II = 3 keeps 9 / 3 copies.
    ops = [Op("a", "A", 3, 3, 9, registers=10), Op("b", "B", 3, 3, 3)]
    use = [Dep("a", "b", 0, 9)]
    assert proved(problem(ops, use, registers_per_thread=30, max_groups=1)).ii == 3
    # 29 registers hold 2 copies: II = ceil(9 / 2) = 5; 19 hold one: II = 9; 9 hold none.
    assert proved(problem(ops, use, registers_per_thread=29, max_groups=1)).ii == 5
    assert proved(problem(ops, use, registers_per_thread=19, max_groups=1)).ii == 9
    assert infeasible(problem(ops, use, registers_per_thread=9, max_groups=1)).startswith("registers: ")


def test_asynchronous_use_holds_its_operand() -> None:
    # As above, but b reads its operand for 3 more cycles: 12 in all, so two copies need II = 6 ...
    ops = [Op("a", "A", 3, 3, 9, registers=10), Op("b", "B", 3, 1, 3)]
    assert proved(problem(ops, [Dep("a", "b", 0, 9)], registers_per_thread=20, max_groups=1)).ii == 6
    # ... unless it overwrites it in place: ceil(9 / 2) = 5.
    held = [Dep("a", "b", 0, 9, in_place=True)]
    assert proved(problem(ops, held, registers_per_thread=20, max_groups=1)).ii == 5


def test_accumulator_updated_in_place_is_one_value() -> None:
    # scale -> add -> scale of the next iteration, each in place: 10 registers at every moment, at any interval.
    ops = [Op("scale", "A", 2, 2, 2, registers=10), Op("add", "B", 3, 1, 3, registers=10)]
    deps = [Dep("scale", "add", 0, 2, in_place=True), Dep("add", "scale", 1, 3, in_place=True)]
    found = proved(problem(ops, deps, registers_per_thread=10, max_groups=1))
    assert found.ii == 5
    assert infeasible(problem(ops, deps, registers_per_thread=9, max_groups=1)).startswith("registers: ")


def test_register_cap_shrinks_with_the_warps_that_share_the_file() -> None:
    # 8192 registers: 4 producer warps of 16 take 128 * 16 = 2048; the rest gives 4 warps 8 * (6144 // 1024) = 48.
    ops = [
        Op("load", "T", 1, 1, 1, min_warps=4, variable_latency=True),
        Op("a", "A", 1, 1, 1, registers=48, min_warps=4),
    ]
    found = proved(problem(ops, register_file=8192, producer_registers=16))
    assert [(group.warps, group.registers) for group in found.groups] == [(4, 16), (4, 48)]
    more = [ops[0], replace(ops[1], registers=49)]
    assert "registers: " in infeasible(problem(more, register_file=8192, producer_registers=16))


def test_ring_covers_the_life_of_its_buffer() -> None:
    # Issue to the completion of its one consumer: 10 + 4 = 14 cycles. II = 4 needs ceil(14 / 4) = 4 buffers.
    ops = [Op("load", "T", 4, 1, 10, smem_bytes=100), Op("use", "C", 4, 4, 4)]
    deps = [Dep("load", "use", 0, 10)]
    found = proved(problem(ops, deps, smem_bytes=499))
    assert (found.ii, found.rings["load"]) == (4, 4)
    # 3 buffers: ceil(14 / 3) = 5; 2: 7; 1: 14; none: infeasible.
    for size, ii in ((399, 5), (299, 7), (199, 14)):
        assert proved(problem(ops, deps, smem_bytes=size)).ii == ii
    assert infeasible(problem(ops, deps, smem_bytes=99)) == (
        "shared memory: one buffer of each ring takes 100 bytes, the limit is 99"
    )


def test_tensor_memory_is_a_ring_too() -> None:
    ops = [Op("mma", "T", 4, 1, 10, tmem_columns=256), Op("use", "C", 4, 4, 4)]
    deps = [Dep("mma", "use", 0, 10)]
    assert proved(problem(ops, deps, tmem_columns=512)).ii == 7  # two buffers for 14 cycles
    assert infeasible(problem(ops, deps, tmem_columns=255)).startswith("tensor memory: ")


def test_colocate_and_separate() -> None:
    ops = [Op(id, id, 1, 1) for id in "abcd"]
    found = proved(problem(ops, colocate=(("a", "c"), ("b", "d")), separate=(("a", "b"),)))
    at = {id: found.placements[id].groups for id in "abcd"}
    assert at["a"] == at["c"] != at["b"] == at["d"]
    assert infeasible(problem(ops, colocate=(("a", "b"),), separate=(("a", "b"),))).startswith("groups: a and b ")
    assert infeasible(problem(ops, separate=(("a", "b", "c"),), max_groups=2)).startswith("groups: at most 2 groups")


@pytest.mark.parametrize("capacity", [1, 2])
def test_interval_is_at_least_one_cycle(capacity: int) -> None:
    assert proved(problem([Op("a", "A")], units={"A": capacity})).ii == 1

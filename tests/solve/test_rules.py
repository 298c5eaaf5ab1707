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
    assert "groups: at most 1 group" in reason
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
    assert "at most 2 groups" in infeasible(problem(ops, separate=(("a", "b", "c"),), max_groups=2))


@pytest.mark.parametrize("capacity", [1, 2])
def test_interval_is_at_least_one_cycle(capacity: int) -> None:
    assert proved(problem([Op("a", "A")], units={"A": capacity})).ii == 1


def test_spanning_op_takes_the_stream_of_each_of_its_groups() -> None:
    # x issues for 6 cycles, two at once, so II = 3; but then it interrupts every wait of its groups. v waits elsewhere
    # while there is a group without x; with x on two of two groups, II = 6.
    ops = [Op("u", "U", 1, 1, 1), Op("v", "V", 1, 1, 1), Op("x", "X", 6, 6, 6, spans=2)]
    waits = [Dep("u", "v", 0, 1, blocking=True)]
    units = {"U": 1, "V": 1, "X": 2}
    found = proved(problem(ops, waits, max_groups=3, units=units))
    assert (found.ii, len(found.placements["x"].groups)) == (3, 2)
    assert proved(problem(ops, waits, max_groups=2, units=units)).ii == 6
    assert proved(problem([*ops[:2], replace(ops[2], spans=1)], waits, max_groups=2, units=units)).ii == 3


def test_hop_is_paid_unless_the_user_runs_where_its_source_does() -> None:
    # The recurrence of 3 + 4 cycles, a on both of two groups: into b it pays nothing, b into a pays 5: 7 + 5 = 12.
    a, b = Op("a", "A", 3, 1, 3, spans=2), Op("b", "B", 4, 1, 4)
    deps = [Dep("a", "b", 0, 3), Dep("b", "a", 1, 4)]
    assert proved(problem([a, b], deps, signal_hop=5, max_groups=2)).ii == 12
    assert proved(problem([a, replace(b, spans=2)], deps, signal_hop=5, max_groups=2)).ii == 7


def test_spanning_op_asks_for_its_warps_and_registers_in_each_group() -> None:
    wide = Op("wide", "A", 1, 1, 1, registers=40, min_warps=4, spans=2)
    # Two groups of 4 warps, 32 * 4 * 40 registers each.
    found = proved(problem([wide], max_warps=8, register_file=10240))
    assert [(group.warps, group.registers) for group in found.groups] == [(4, 40), (4, 40)]
    assert "roles: " in infeasible(problem([wide], max_warps=7))
    assert "registers: " in infeasible(problem([wide], max_warps=8, register_file=10239))
    assert "groups: " in infeasible(problem([wide], max_groups=1))


def test_spans_of_colocated_ops_agree() -> None:
    ops = [Op("a", "A", 1, 1, 1, spans=2), Op("b", "B", 1, 1, 1)]
    reason = infeasible(problem(ops, colocate=(("a", "b"),)))
    assert reason == "groups: a and b must share their groups (colocate), but a spans 2 and b 1"


def test_groups_have_budgets_of_their_own() -> None:
    # 48 registers and 16 on 4 warps each: 128 * 48 + 128 * 16 = 8192, where equal shares would be 32 and 32.
    ops = [Op("a", "A", 1, 1, 1, registers=48, min_warps=4), Op("b", "B", 1, 1, 1, registers=16, min_warps=4)]
    apart = (("a", "b"),)
    found = proved(problem(ops, register_file=8192, separate=apart))
    assert [group.registers for group in found.groups] == [48, 16]
    assert "registers: " in infeasible(problem(ops, register_file=8191, separate=apart))
    # 2048 more go to the smaller: 48 and 32; another 2048 to both alike: 48 and 48, and then up to 240.
    assert [g.registers for g in proved(problem(ops, register_file=10240, separate=apart)).groups] == [48, 32]
    assert [g.registers for g in proved(problem(ops, register_file=12288, separate=apart)).groups] == [48, 48]
    assert [g.registers for g in proved(problem(ops, separate=apart)).groups] == [240, 240]


def test_budgets_of_groups_of_different_widths() -> None:
    # Apart: 32 * 8 * 24 + 32 * 4 * 40 = 11264 registers.
    ops = [Op("a", "A", 1, 1, 1, registers=24, min_warps=8), Op("b", "B", 1, 1, 1, registers=40, min_warps=4)]
    found = proved(problem(ops, separate=(("a", "b"),), register_file=11264))
    assert [(group.warps, group.registers) for group in found.groups] == [(8, 24), (4, 40)]
    assert infeasible(problem(ops, separate=(("a", "b"),), register_file=11263))
    # On one group of 8 warps, one after the other at II = 2: 32 * 8 * 40 = 10240; both at once, at II = 1, 64 each.
    assert proved(problem(ops, max_groups=1, register_file=10240)).ii == 2
    assert proved(problem(ops, max_groups=1, register_file=16384)).ii == 1
    assert infeasible(problem(ops, max_groups=1, register_file=10239))
    # Free to choose, 11264 allow II = 1 with a group each.
    assert proved(problem(ops, register_file=11264)).ii == 1


def test_producers_share_a_quota_that_their_values_raise() -> None:
    # A load into 40 registers: the quota of 24 is raised by 16; 128 * 40 and 128 * 16 for the other group.
    ops = [
        Op("load", "T", 1, 1, 1, registers=40, variable_latency=True),
        Op("a", "A", 1, 1, 1, registers=16, min_warps=4),
    ]
    found = proved(problem(ops, register_file=7168))
    assert [(group.warps, group.registers) for group in found.groups] == [(1, 40), (4, 16)]
    assert infeasible(problem(ops, register_file=7167))
    assert infeasible(problem(ops, registers_per_thread=32))  # a quota of 40 is more than a thread may have
    # Five warps of producers are allocated as eight: 128 * 2 * 40 + 2048.
    wide = [replace(ops[0], min_warps=5), ops[1]]
    assert proved(problem(wide, register_file=12288)).groups[0].registers == 40
    assert infeasible(problem(wide, register_file=12287))


def test_value_between_groups_takes_shared_memory() -> None:
    # a's 10 registers reach b, in another group, 9 cycles later: at II = 3, ceil(9 / 3) = 3 slots of 4 * 32 * 10 bytes.
    ops = [Op("a", "A", 3, 3, 9, registers=10), Op("b", "B", 3, 3, 3)]
    use = [Dep("a", "b", 0, 9)]
    apart = {"separate": (("a", "b"),), "transfer_bytes": 4}
    assert proved(problem(ops, use, smem_bytes=3840, **apart)).ii == 3
    # Two slots: ceil(9 / 2) = 5; one: 9; none: infeasible, unless it is not modelled or both are in one group.
    assert proved(problem(ops, use, smem_bytes=3839, **apart)).ii == 5
    assert proved(problem(ops, use, smem_bytes=2559, **apart)).ii == 9
    assert infeasible(problem(ops, use, smem_bytes=1279, **apart))
    assert proved(problem(ops, use, smem_bytes=0, separate=(("a", "b"),))).ii == 3
    together = proved(problem(ops, use, smem_bytes=0, transfer_bytes=4))
    assert (together.ii, len(together.groups)) == (3, 1)


def test_transfers_share_the_memory_with_rings() -> None:
    # As above with one slot of 1280 bytes beside a ring of depth 4 at II = 4, 3 at 5, 2 at 7, 1 at 14 (100 bytes each).
    ops = [
        Op("a", "A", 3, 3, 9, registers=10),
        Op("b", "B", 3, 3, 3),
        Op("load", "T", 4, 1, 10, smem_bytes=100),
        Op("use", "C", 4, 4, 4),
    ]
    deps = [Dep("a", "b", 0, 9), Dep("load", "use", 0, 10)]
    apart = {"separate": (("a", "b"),), "transfer_bytes": 4}
    # At 7 two slots are sent and two loaded, 2 * 1280 + 200; at 9 one is sent and two loaded.
    assert proved(problem(ops, deps, smem_bytes=2760, **apart)).ii == 7
    assert proved(problem(ops, deps, smem_bytes=2759, **apart)).ii == 9
    assert proved(problem(ops, deps, smem_bytes=1479, **apart)).ii == 14


def test_slots_take_two_barriers() -> None:
    # As in the test of rings: 4 slots at II = 4; 3 at 5, 2 at 7 and one at 14.
    ops = [Op("load", "T", 4, 1, 10, smem_bytes=100), Op("use", "C", 4, 4, 4)]
    deps = [Dep("load", "use", 0, 10)]
    for barriers, ii in ((8, 4), (7, 5), (4, 7), (3, 14)):
        assert proved(problem(ops, deps, max_mbarriers=barriers)).ii == ii
    assert "mbarriers" in infeasible(problem(ops, deps, max_mbarriers=1))


def test_signals_and_transfers_take_two_barriers() -> None:
    signal = [Op("a", "A", 3, 3, 9), Op("b", "B", 3, 3, 3)]
    use = [Dep("a", "b", 0, 9)]
    apart = (("a", "b"),)
    assert proved(problem(signal, use, separate=apart, max_mbarriers=2)).ii == 3
    assert infeasible(problem(signal, use, separate=apart, max_mbarriers=1))
    assert len(proved(problem(signal, use, max_mbarriers=1)).groups) == 1
    # The value takes ceil(9 / 3) = 3 slots; two barriers are one slot, which lasts 9 cycles.
    value = [replace(signal[0], registers=10), signal[1]]
    assert proved(problem(value, use, separate=apart, transfer_bytes=4, max_mbarriers=6)).ii == 3
    assert proved(problem(value, use, separate=apart, transfer_bytes=4, max_mbarriers=2)).ii == 9


def test_depth_relaxes_the_recurrence_its_ring_carries() -> None:
    # The reader starts 10 after the writer and frees the buffer 8 later. As a plain dependence of distance 1: II = 18,
    # however many buffers there are.
    ops = [Op("write", "T", 4, 1, 10, tmem_columns=128), Op("read", "C", 4, 4, 4)]
    reuse = Dep("read", "write", 1, 8)
    assert proved(problem(ops, [Dep("write", "read", 0, 10), reuse])).ii == 18
    # Carried by the ring, of d buffers: ceil(18 / d), no less than the 4 cycles of a unit.
    carried = [Dep("write", "read", 0, 10), replace(reuse, ring=True)]
    for columns, ii in ((128, 18), (256, 9), (384, 6), (512, 5), (640, 4)):
        found = proved(problem(ops, carried, tmem_columns=columns))
        assert (found.ii, found.rings["write"]) == (ii, columns // 128)
    # Between groups both ways cost a signal: ceil((10 + 3 + 8 + 3) / 2) = 12. The reader's registers play no part.
    apart = {"signal_hop": 3, "value_hop": 50, "separate": (("write", "read"),)}
    assert proved(problem(ops, carried, tmem_columns=256, **apart)).ii == 12
    valued = [ops[0], replace(ops[1], registers=20)]
    assert proved(problem(valued, carried, tmem_columns=256, registers_per_thread=20, **apart)).ii == 12

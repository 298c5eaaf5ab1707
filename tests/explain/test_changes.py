"""Questions change exactly what they say, and those that say nothing are refused with what could be asked."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.schedule.attention_loop import schedule
from twill.errors import InputError
from twill.explain.changes import _one_more_slot, parse, usual_changes

VALID = schedule()
OPS = {op.id: op for op in VALID.problem.ops}


def changed(question: str):
    return parse(question, VALID).problem


def test_a_unit_twice_as_fast() -> None:
    fast = {op.id: op for op in changed("TC=2x").ops}
    # Asynchronous: 512 cycles of work become 256, its issue stays, its latency of 560 keeps the 48 beyond the work.
    assert (fast["s.0"].occupancy, fast["s.0"].issue, fast["s.0"].latency) == (256, 20, 304)
    assert fast["p.0"] == OPS["p.0"]
    # Synchronous: its issue is its occupancy.
    exp = {op.id: op for op in changed("SFU=2x").ops}["p.0"]
    assert (exp.occupancy, exp.issue) == (OPS["p.0"].occupancy // 2, OPS["p.0"].occupancy // 2)
    assert OPS["p.0"].latency - exp.latency == OPS["p.0"].occupancy - exp.occupancy


def test_dependences_of_a_faster_unit_follow() -> None:
    before = {(dep.src, dep.dst, dep.distance): dep.latency for dep in VALID.problem.deps}
    for dep in changed("TC=2x").deps:
        saved = 256 if OPS[dep.src].unit == "TC" else 0
        assert dep.latency == before[dep.src, dep.dst, dep.distance] - saved


def test_a_slower_unit() -> None:
    slow = {op.id: op for op in changed("TC=0.5x").ops}["s.0"]
    assert (slow.occupancy, slow.latency) == (1024, 1072)


@pytest.mark.parametrize(
    ("question", "field", "value"),
    [
        ("registers+16", "registers_per_thread", 256),
        ("registers=200", "registers_per_thread", 200),
        ("smem=100000", "smem_bytes", 100000),
        ("smem + 1", "smem_bytes", 232449),
        ("k+1", "smem_bytes", 232448 + 32768),
        ("k+2", "smem_bytes", 232448 + 65536),
        ("groups+1", "max_groups", 9),
        ("warps=4", "max_warps", 4),
        ("value_hop=0", "value_hop", 0),
        ("hops=7", "signal_hop", 7),
        ("mbarriers=8", "max_mbarriers", 8),
    ],
)
def test_limits(question: str, field: str, value: int) -> None:
    assert getattr(changed(question).limits, field) == value


def test_more_registers_come_with_a_file_that_has_them() -> None:
    more = changed("registers+16").limits
    assert more.register_file - VALID.problem.limits.register_file == 16 * 32 * 9  # 1 + 4 + 4 warps


def test_units_moves_and_the_cycle() -> None:
    assert changed("TC+1").limits.units["TC"] == 2
    assert changed("TC=3").limits.units["TC"] == 3
    assert changed("moves=free").colocate == ()
    assert sum(dep.latency for dep in changed("cycle=2x").deps) < sum(dep.latency for dep in VALID.problem.deps)


@pytest.mark.parametrize(
    ("question", "says"),
    [
        ("faster", "not NAME=NUMBER"),
        ("XYZ=2x", '"XYZ" is no unit of machine hopper'),
        ("TC=0x", "above 0"),
        ("TC=0", "capacity 0"),
        ("TC+2x", "a factor is written =2x"),
        ("registers=1.5", "whole"),
        ("s.0+1", "none of what can be changed"),
        ("smem=99999999999", "out of range"),
        ("warps=0", "out of range"),
    ],
)
def test_questions_that_say_nothing(question: str, says: str) -> None:
    with pytest.raises(InputError, match="what-if") as refused:
        parse(question, VALID)
    assert says in str(refused.value)
    assert "units are TC, SFU, ALU, TMA" in refused.value.hint or "Numbers go from" in refused.value.hint


def test_the_usual_questions() -> None:
    names = [change.name for change in usual_changes(VALID)]
    assert names == [
        "TC twice as fast", "SFU twice as fast", "ALU twice as fast", "TMA twice as fast", "1 more slot for k or v",
        "16 more registers a thread", "at most 9 warp groups", "values move between groups for free",
        "signals between groups cost nothing", "the tightest recurrence in half the time",
        "ops free to change groups",
    ]  # fmt: skip


def test_rings_of_one_size_beyond_three_are_counted() -> None:
    tiles = [op for op in VALID.problem.ops if op.id in ("k", "v")]
    more = tuple(replace(tiles[0], id=f"load{i}") for i in range(3))
    names = [change.name for change in _one_more_slot(replace(VALID.problem, ops=(*tiles, *more)))]
    assert names == ["1 more slot for k or v or load0 or 2 other rings"]

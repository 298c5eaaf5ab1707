"""Problems whose conflict is known by hand: exactly those rules are named, and each of them is needed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.solve.instances import HOPPER, attention, problem
from twill.schedule.checker import check
from twill.schedule.problem import Dep, Op, Problem
from twill.solve import solve
from twill.solve.conflict import Conflict, find_conflict
from twill.solve.engine import Engine
from twill.solve.relax import Member, members, relaxed
from twill.solve.sentences import chains, sentences, together

A, B = Op("a", "A", 3, 1, 3), Op("b", "B", 4, 1, 4)
ROUND = (Dep("a", "b", 0, 3), Dep("b", "a", 1, 4))

# Three ops that take turns: v waits inside x, which is asynchronous to nothing (test_rules.py has the arithmetic).
WAITING = problem(
    [Op("u", "U", 4, 1, 5), Op("v", "V", 2, 2, 2), Op("x", "X", 4, 4, 4)],
    [Dep("u", "v", 0, 5, blocking=True), Dep("u", "x", 0, 5, blocking=True), Dep("v", "x", 0, 2), Dep("x", "v", 1, 2)],
    max_groups=1,
)
LOAD = (Op("load", "T", 4, 1, 10, smem_bytes=100), Op("use", "C", 4, 4, 4))
VALUE = (Op("a", "A", 3, 3, 9, registers=10), Op("b", "B", 3, 3, 3))
ALONE = [Op(id, id.upper(), 1, 1) for id in "abc"]
VARIABLE = Op("load", "T", 1, 1, 9, variable_latency=True)

KNOWN: list[tuple[str, Problem, int, set[str], str]] = [
    ("unit", problem([Op("a", "A", 3, 1), Op("b", "A", 4, 1), Op("c", "B", 5, 1)]), 6, {"units A"},
     "7 cycles of work do not fit in 6."),
    ("capacity", problem([Op("a", "A", 4, 1), Op("b", "A", 4, 1), Op("c", "A", 4, 1)], units={"A": 2}), 5,
     {"units A"}, "12 cycles of work do not fit in 2 * 5."),
    ("recurrence", problem([A, B], ROUND), 6, {"dependences 0", "dependences 1"},
     "Once around a -> b -> a takes 7 cycles, but must end within 1 * 6 = 6."),
    ("hop", problem([A, B], ROUND, signal_hop=5, value_hop=9, separate=(("a", "b"),)), 16,
     {"dependences 0", "dependences 1", "hops signal", "groups separate 0"},
     "Once around a -> b -> a takes 7 + 10 for hops = 17 cycles, but must end within 1 * 16 = 16."),
    ("ring", problem(LOAD, [Dep("load", "use", 0, 10)], smem_bytes=399), 4, {"shared memory load", "dependences 0"},
     "At II 4 the lives of the buffers need load 4 * 100 = 400 bytes > 399."),
    ("tensor ring", problem([replace(LOAD[0], smem_bytes=0, tmem_columns=256), LOAD[1]], [Dep("load", "use", 0, 10)]),
     6, {"tensor memory load", "dependences 0"},
     "At II 6 the lives of the buffers need load 3 * 256 = 768 columns > 512."),
    ("registers", problem(VALUE, [Dep("a", "b", 0, 9)], registers_per_thread=29, max_groups=1), 4,
     {"registers limit registers_per_thread", "registers a", "groups limit max_groups", "dependences 0"},
     "a lives 9 cycles or more, so 3 iterations hold it at once at II 4: 30 registers > 29."),
    ("one value", problem([VALUE[0]], registers_per_thread=9), 20,
     {"registers limit registers_per_thread", "registers a"},
     "a alone takes 10 registers per thread > 9."),
    ("groups", problem(ALONE, separate=(("a", "b", "c"),), max_groups=2), 9,
     {"groups separate 0", "groups limit max_groups"}, ""),
    ("sets", problem(ALONE, colocate=(("a", "b"),), separate=(("a", "b"),)), 9,
     {"groups colocate 0", "groups separate 0"}, ""),
    ("role", problem([VARIABLE, Op("use", "C", 1, 1, 1)], max_groups=1), 20, {"roles load", "groups limit max_groups"},
     ""),
    ("warps", problem([Op("a", "A", 1, 1, min_warps=4), Op("b", "B", 1, 1, min_warps=8)], separate=(("a", "b"),),
                      max_warps=11), 9, {"roles limit max_warps", "groups separate 0"}, ""),
    ("barriers", problem(LOAD, [Dep("load", "use", 0, 10)], max_mbarriers=7), 4,
     {"mbarriers limit max_mbarriers", "shared memory load", "dependences 0"}, ""),
]  # fmt: skip


def conflict(given: Problem, ii: int) -> Conflict:
    return find_conflict(given, ii, Engine(60, 0, None))


@pytest.mark.parametrize(("given", "ii", "named", "how"), [case[1:] for case in KNOWN], ids=[case[0] for case in KNOWN])
def test_known_conflicts(given: Problem, ii: int, named: set[str], how: str) -> None:
    found = conflict(given, ii)
    assert {str(member) for member in found.members} == named
    assert found.excluded
    assert found.minimal
    assert together(given, found) == how
    assert all(sentence.needed for sentence in sentences(given, found))


def test_waits_exclude_an_interval() -> None:
    found = conflict(WAITING, 5)
    assert {member.family for member in found.members} == {"streams", "groups", "dependences"}
    assert found.minimal
    waits = next(sentence for sentence in sentences(WAITING, found) if sentence.rule == "streams")
    assert "the wait of v (for u)" in waits.text
    assert "x 4 cycles" in waits.text


@pytest.mark.parametrize(("given", "ii"), [(WAITING, 5), *((case[1], case[2]) for case in KNOWN)])
def test_every_member_is_needed(given: Problem, ii: int) -> None:
    """Without any one of the rules, the others have a schedule at this very interval or a shorter one."""
    found = conflict(given, ii)
    for dropped in found.members:
        rest = relaxed(given, [member for member in found.members if member != dropped])
        answer = solve(rest, time_limit=30, tiers=())
        assert answer.ii <= ii, str(dropped)
        assert check(answer) == ()


def test_nothing_left_out_is_the_problem_itself() -> None:
    given = attention(2)
    assert relaxed(given, members(given)) == given


def test_everything_left_out_has_a_schedule_at_once() -> None:
    assert solve(relaxed(attention(1), ()), tiers=()).ii == 1


def test_one_tile_of_attention_is_held_by_several_rules_together() -> None:
    found = conflict(attention(1), 2107)
    families = {member.family for member in found.members}
    assert {"units", "registers", "streams", "dependences"} <= families
    assert Member("units", "TC") in found.members
    assert "shared memory" not in families


def test_time_over_is_said() -> None:
    found = find_conflict(attention(1), 2107, Engine(0.0, 0, None))
    assert not found.excluded
    assert not found.minimal


def test_the_reason_of_an_infeasible_problem_is_its_conflict() -> None:
    # 24 registers for a producer whose tile takes 64 and waits nowhere: P may be raised, a thread's cap may not.
    small = replace(attention(2), limits=replace(HOPPER, registers_per_thread=63))
    reason = solve(small).reason
    assert reason.startswith("registers: at most 63 registers per thread")
    assert "64" in reason


def test_chains_follow_dependences() -> None:
    ab, bc, ca, bd = Dep("a", "b", 0, 1), Dep("b", "c", 0, 2), Dep("c", "a", 1, 3), Dep("b", "d", 0, 4)
    assert chains([bc, ab]) == [[ab, bc]]
    assert chains([ab, bc, ca]) == [[ab, bc, ca]]
    assert [len(chain) for chain in chains([ab, bc, bd])] == [2, 1]

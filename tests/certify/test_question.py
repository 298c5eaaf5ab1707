"""Z3's encoding: every rule of it by a small problem solved by hand, and against brute force and CP-SAT."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings

from tests.certify.small import RULES, feasible, problems
from tests.solve.instances import attention, problem
from twill.certify import question, refuted, shortest
from twill.certify.decode import completed
from twill.certify.question import Question
from twill.errors import CheckFailed
from twill.schedule.checker import check
from twill.schedule.problem import Dep, Op, Problem
from twill.solve import solve

LONGEST = 40  # cycles: no problem here needs more


def smallest(given: Problem) -> int | None:
    """The smallest interval by Z3, None where it refutes every interval at once."""
    if Question(given, 1, None).ask(60).verdict == "refuted":
        return None
    found = shortest(given, LONGEST)
    assert found is not None
    assert check(found) == ()
    return found.ii


# Derived by hand; each line changes one number of the one before or the base.

LOAD = Op("load", "T", 4, 1, 10, smem_bytes=100)
USE = Op("use", "C", 4, 4, 4)
A, B = Op("a", "A", 3, 1, 3), Op("b", "B", 4, 1, 4)
LOOP = [Dep("a", "b", 0, 3), Dep("b", "a", 1, 4)]
VALUE = [Op("a", "A", 3, 3, 9, registers=10), Op("b", "B", 3, 3, 3)]


@pytest.mark.parametrize(
    ("given", "ii"),
    [
        (problem([A, B], LOOP), 7),  # 3 + 4 cycles around
        (problem([A, B], LOOP, signal_hop=5, separate=(("a", "b"),)), 17),  # and a hop each way
        (problem([A, B, Op("c", "A", 5, 1)]), 8),  # unit A: 3 + 5
        (problem([A, Op("b", "A", 4, 1), Op("c", "A", 5, 1)], units={"A": 2}), 6),  # ceil(12 / 2)
        (problem([Op("a", "A", 10, 1), Op("b", "A", 3, 1)], units={"A": 3}), 5),  # ceil(13 / 3)
        # v waits once in the 6 cycles that x issues for: apart they run at 3 (capacity 2 of X), together at 6.
        *(
            (
                problem(
                    [Op("u", "U", 1, 1, 1), Op("v", "V", 1, 1, 1), Op("x", "X", 6, 6, 6)],
                    [Dep("u", "v", 0, 1, blocking=True)],
                    units={"U": 1, "V": 1, "X": 2},
                    max_groups=groups,
                ),
                ii,
            )
            for groups, ii in ((2, 3), (1, 6))
        ),
        # The value lives 9 cycles: 30 registers hold three copies, 29 two, 19 one, 9 none.
        *(
            (problem(VALUE, [Dep("a", "b", 0, 9)], registers_per_thread=cap, max_groups=1), ii)
            for cap, ii in ((30, 3), (29, 5), (19, 9), (9, None))
        ),
        # The buffer lives 10 + 4 = 14 cycles: 4 slots, 3, 2, 1, none.
        *(
            (problem([LOAD, USE], [Dep("load", "use", 0, 10)], smem_bytes=size), ii)
            for size, ii in ((499, 4), (399, 5), (299, 7), (199, 14), (99, None))
        ),
        # Two mbarriers a slot, and two for the signal to the other group: 4 slots and a signal of `use`.
        (problem([LOAD, USE], [Dep("load", "use", 0, 10)], max_mbarriers=8), 4),
        (problem([LOAD, USE], [Dep("load", "use", 0, 10)], max_mbarriers=7), 5),
        # A recurrence of 10 + 4 cycles that the ring carries: with depth d it asks for ceil(14 / d).
        *(
            (problem([LOAD, USE], [Dep("load", "use", 0, 10), Dep("use", "load", 1, 4, ring=True)], smem_bytes=s), ii)
            for s, ii in ((499, 4), (299, 7), (199, 14))
        ),
        # b runs on two groups at once, of which a is one: two groups are needed, four warps each.
        (problem([A, replace(B, spans=2, min_warps=4)], LOOP, max_groups=2), 7),
        (problem([A, replace(B, spans=2, min_warps=4)], LOOP, max_groups=1), None),
        (problem([A, replace(B, spans=2, min_warps=4)], LOOP, max_warps=7), None),
        # The value of a goes to the other group in 1 byte * 32 threads * 10 registers = 320 bytes a slot.
        # Ready after 9 cycles, so alive 9 cycles: at II 3, three slots.
        *(
            (
                problem(VALUE, [Dep("a", "b", 0, 9)], separate=(("a", "b"),), transfer_bytes=1, smem_bytes=size),
                ii,
            )
            for size, ii in ((960, 3), (959, 5), (639, 9), (319, None))
        ),
        # 8192 registers: four producer warps with 16 take 2048, and leave four others 48 each.
        *(
            (
                problem(
                    [
                        Op("load", "T", 1, 1, 1, min_warps=4, variable_latency=True),
                        Op("a", "A", 1, 1, 1, registers=registers, min_warps=4),
                    ],
                    register_file=8192,
                    producer_registers=16,
                ),
                ii,
            )
            for registers, ii in ((48, 1), (49, None))
        ),
        # A producer may have more than producer_registers, in steps of 8: 24 for 17, for which the file has 3072.
        *(
            (
                problem(
                    [Op("load", "T", 1, 1, 1, registers=17, variable_latency=True)],
                    register_file=file,
                    producer_registers=16,
                ),
                ii,
            )
            for file, ii in ((3072, 1), (3071, None))
        ),
    ],
)
def test_smallest_interval_by_hand(given: Problem, ii: int | None) -> None:
    assert smallest(given) == ii


def agree(without: str, examples: int, latest: int) -> None:
    """Z3, CP-SAT and brute force have the same smallest interval; brute force tries starts up to `latest` only."""

    @settings(max_examples=examples, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(problems(without))
    def compare(given: Problem) -> None:
        by_z3 = smallest(given)
        by_cp_sat = solve(given, tiers=(), time_limit=60)
        assert by_cp_sat.status == ("infeasible" if by_z3 is None else "optimal")
        assert by_z3 is None or by_cp_sat.ii == by_z3
        for ii in range(1, min(by_z3 or latest, latest + 1)):
            assert feasible(given, ii, latest) is None

    compare()


@pytest.mark.parametrize("without", ["", *RULES])
def test_brute_force_and_both_solvers_agree(without: str) -> None:
    """With every rule, and with each one left out of the problems."""
    agree(without, examples=4, latest=2)


@pytest.mark.slow
@pytest.mark.parametrize("without", ["", *RULES])
def test_brute_force_and_both_solvers_agree_on_many(without: str) -> None:
    agree(without, examples=30, latest=4)


def test_brute_force_finds_what_z3_finds() -> None:
    """On problems whose best schedule starts early: the encoding admits nothing that no enumeration would."""
    for small, ii in (
        (problem([A, B], LOOP), 7),
        (problem([A, replace(B, spans=2)], LOOP, max_groups=2), 7),
        (problem(VALUE, [Dep("a", "b", 0, 9)], registers_per_thread=19, max_groups=1), 9),
    ):
        found = feasible(small, ii, latest=9)
        assert found is not None
        assert refuted(small, ii).verdict == "schedule found"


def test_attention_is_refuted_below_its_interval_and_scheduled_at_it() -> None:
    # One sub-tile has nothing to overlap softmax with: 2108 cycles where the tensor core needs 2048.
    answer = refuted(attention(1), 2107)
    assert (answer.verdict, answer.schedule) == ("refuted", None)
    found = refuted(attention(1), 2108).schedule
    assert found is not None
    assert check(found) == ()
    assert Question(attention(1), 2048, 2107).ask(60).verdict == "refuted"  # all 60 in one question


def test_more_copies_than_are_counted_at_first() -> None:
    # The value lives 90 cycles, of 1 register each: at II 3 that is 30 copies, at 4 23, at 5 18.
    ops = [Op("a", "A", 3, 3, 90, registers=1), Op("b", "B", 3, 3, 3)]
    given = problem(ops, [Dep("a", "b", 0, 90)], registers_per_thread=22, max_groups=1)
    assert [refuted(given, ii).verdict for ii in (3, 4, 5)] == ["refuted", "refuted", "schedule found"]
    rings = problem(
        [Op("a", "A", 3, 3, 90, smem_bytes=1), Op("b", "B", 3, 3, 3)], [Dep("a", "b", 0, 90)], smem_bytes=22
    )
    # 93 cycles to the end of b: 31 slots at II 3, 24 at 4, 19 at 5.
    assert [refuted(rings, ii).verdict for ii in (3, 4, 5)] == ["refuted", "refuted", "schedule found"]


def test_no_time_and_a_stop_leave_it_open() -> None:
    assert refuted(attention(1), 2107, 0).verdict == "unknown"
    assert refuted(attention(1), 2107, stop=lambda: True).verdict == "unknown"


def test_an_open_interval_far_below_the_cycles_is_left_open() -> None:
    # 10^6 cycles at an interval of 1 or more: as many stages as an inequality of two starts would have to name.
    given = problem([replace(A, latency=10**6), B], [Dep("a", "b", 0, 10**6)])
    assert Question(given, 1, None).ask(60).verdict == "unknown"
    assert refuted(given, 4).verdict == "schedule found"


def test_ctrl_c_ends_the_search(monkeypatch: pytest.MonkeyPatch) -> None:
    def press(done: object) -> None:
        raise KeyboardInterrupt

    asked = Question(attention(1), 2048, 2107)
    monkeypatch.setattr(question, "wait", press)
    with pytest.raises(KeyboardInterrupt):
        asked.ask(60)


def test_a_wrong_encoding_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """A schedule that the checker refuses is no answer."""

    def wrong(encoding: object, model: object) -> object:
        return completed(problem([A, B], LOOP), 7, {"a": 0, "b": 1}, {"a": [0], "b": [0]})

    monkeypatch.setattr(question, "decoded", wrong)
    with pytest.raises(CheckFailed, match="II 7 does not hold: dependence: b may not use a yet"):
        refuted(problem([A, B], LOOP), 7)


def test_an_interval_never_found_is_none() -> None:
    assert shortest(problem([A, B], LOOP), 6) is None


def test_no_answer_in_time_is_an_error() -> None:
    with pytest.raises(TimeoutError, match="did not settle II 1"):
        shortest(attention(1), 1, 0)

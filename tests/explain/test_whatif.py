"""What-ifs with known answers: proved without a solve where a bound does it, else the new optimum."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.schedule.attention_loop import schedule
from tests.solve.instances import problem
from twill.explain.changes import parse, usual_changes
from twill.explain.whatif import Answer, what_ifs
from twill.schedule.problem import Dep, Op
from twill.schedule.schedule import Schedule
from twill.solve import solve

VALID = schedule()
# 14 cycles of life: 3 buffers of 100 bytes give ceil(14 / 3) = 5, 4 the 4 cycles that the units ask for.
RING = solve(
    problem(
        [Op("load", "T", 4, 1, 10, smem_bytes=100), Op("use", "C", 4, 4, 4)],
        [Dep("load", "use", 0, 10)],
        smem_bytes=399,
    )
)
# 3 + 4 cycles around, and a hop of 5 each way: 17.
HOPS = solve(
    problem(
        [Op("a", "A", 3, 1, 3), Op("b", "B", 4, 1, 4)],
        [Dep("a", "b", 0, 3), Dep("b", "a", 1, 4)],
        signal_hop=5,
        separate=(("a", "b"),),
    )
)
# 9 cycles of life, 10 registers: 29 hold two copies, ceil(9 / 2) = 5; 30 hold three, 3.
VALUE = solve(
    problem(
        [Op("a", "A", 3, 3, 9, registers=10), Op("b", "B", 3, 3, 3)], [Dep("a", "b", 0, 9)],
        registers_per_thread=29, max_groups=1,
    )
)  # fmt: skip


def ask(given: Schedule, question: str) -> Answer:
    (answer,) = what_ifs(given, [parse(question, given)], time_limit=30)
    return answer


@pytest.mark.parametrize(
    ("given", "question", "ii", "binds"),
    [
        (RING, "load+1", 4, "unit T"),
        (RING, "smem=1400", 4, "unit T"),
        (HOPS, "signal_hop=0", 7, "cycle a -> b -> a"),
        (HOPS, "hops=1", 9, "cycle a -> b -> a"),
        (HOPS, "cycle=2x", 14, "cycle a -> b -> a"),  # 2 + 2 + 10
        (VALUE, "registers+1", 3, "unit A"),
        (VALUE, "registers=19", 9, "the rules together"),
    ],
)
def test_solved(given: Schedule, question: str, ii: int, binds: str) -> None:
    answer = ask(given, question)
    assert (answer.status, answer.ii, answer.lower_bound) == ("proved", ii, ii)
    assert set(answer.binds.split()) == set(binds.split())
    assert answer.ratio == round(given.ii / ii, 4)
    assert answer.cycles > 99 * ii


def no_solve(*args: object, **options: object) -> Schedule:
    raise AssertionError("solved")


@pytest.mark.parametrize("question", ["SFU=2x", "registers+16", "k+1", "groups+1", "value_hop=0", "cycle=2x"])
def test_proved_without_a_solve(question: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("twill.solve.solve", no_solve)
    answer = ask(VALID, question)
    assert (answer.status, answer.ii, answer.binds) == ("no change", 2048, "unit TC")


def test_more_groups_than_ops_to_move_need_no_solve(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("twill.solve.solve", no_solve)
    assert ask(RING, "groups+1").binds == "no op could use another group"
    # The hops of the cycle cannot be avoided, since a and b are told to keep apart.
    assert set(ask(HOPS, "groups+1").binds.split()) == {"cycle", "a", "b", "->"}


def test_a_tighter_machine_is_solved_unless_the_schedule_fits_it() -> None:
    assert ask(VALID, "smem=131072").status == "no change"  # two buffers of 32768 bytes for each of k and v
    less = ask(RING, "smem=199")
    assert (less.status, less.ii, less.ratio) == ("proved", 14, round(5 / 14, 4))
    none = ask(RING, "smem=99")
    assert (none.status, none.ii) == ("infeasible", 0)
    assert none.binds == "shared memory: one buffer of each ring takes 100 bytes, the limit is 99"


def test_the_answers_are_sorted() -> None:
    answers = what_ifs(VALUE, usual_changes(VALUE), time_limit=30)
    intervals = [answer.ii for answer in answers]
    assert intervals == sorted(intervals)
    assert (answers[0].name, answers[0].ii) == ("16 more registers a thread", 3)
    assert (answers[-1].name, answers[-1].ii) == ("B twice as fast", 5)


def test_stopped_answers_what_bounds_answer() -> None:
    answers = what_ifs(RING, usual_changes(RING), stop=lambda: True)
    assert {answer.status for answer in answers} == {"not asked", "no change"}


def test_what_was_valid_before_is_kept_when_time_is_short() -> None:
    (short,) = what_ifs(RING, [parse("load+1", RING)], time_limit=0.0)
    assert (short.status, short.ii, short.lower_bound) == ("found", 5, 4)


def test_progress_names_the_question() -> None:
    told: list[str] = []
    what_ifs(RING, [parse("load+1", RING)], tell=told.append)
    assert told[0] == "what if 1 of 1: 1 more slot for load"
    assert any("II" in step for step in told[1:])


def test_a_schedule_with_a_gap_may_get_better() -> None:
    gap = replace(VALID, status="feasible", lower_bound=2000)
    assert ask(gap, "SFU=2x").status == "no change"  # the unit alone asks for 2048


def test_one_cycle_cannot_be_halved() -> None:
    ops = [Op("a", "A", 1, 1, 2), Op("b", "A", 1, 1, 1)]
    given = solve(problem(ops, [Dep("a", "b", 0, 2), Dep("b", "a", 1, 0)]))  # two ops 2 apart on one unit: not at II 2
    assert given.ii == 3
    assert ask(given, "A=2x").binds == "cycles are whole: it changes nothing"
    assert "A twice as fast" not in [change.name for change in usual_changes(given)]

"""Plain modulo scheduling: the start of the paper's formulation."""

from __future__ import annotations

from tests.solve.instances import problem
from twill.schedule.problem import Dep, Op
from twill.solve.engine import Engine
from twill.solve.modulo import least_interval, modulo_schedule


def scheduled(given, ii):
    return modulo_schedule(given, ii, Engine(30, 0, None))


def test_the_shortest_schedule_at_an_interval():
    # a then b, 3 + 4 cycles, on units of their own: 7 long whatever the interval; at 4 they share slots.
    given = problem([Op("a", "A", 3, 1, 3), Op("b", "B", 4, 1, 4)], [Dep("a", "b", 0, 3)])
    assert least_interval(given) == 4
    assert scheduled(given, 4) == {"a": 0, "b": 3}


def test_a_unit_taken_around_the_end_of_the_period_delays():
    # a and c of 2 cycles share A, so at II = 4 they take opposite halves; c follows b, which ends at 5: c at 6.
    ops = [Op("a", "A", 2, 1, 2), Op("b", "B", 3, 1, 3), Op("c", "A", 2, 1, 2)]
    found = scheduled(problem(ops, [Dep("a", "b", 0, 2), Dep("b", "c", 0, 3)]), 4)
    assert found == {"a": 0, "b": 2, "c": 6} or found == {"a": 0, "b": 3, "c": 6}


def test_an_interval_below_a_recurrence_or_a_unit_has_none():
    ops = [Op("a", "A", 3, 1, 3), Op("b", "B", 4, 1, 4)]
    given = problem(ops, [Dep("a", "b", 0, 3), Dep("b", "a", 1, 4)])
    assert scheduled(given, 6) is None
    assert scheduled(given, 7) == {"a": 0, "b": 3}
    crowded = problem([Op("a", "A", 3), Op("b", "A", 3)])
    assert scheduled(crowded, 5) is None


def test_capacity_above_one_and_whole_turns():
    # 10 cycles cover each of 4 slots twice and two of them a third time: capacity 3 suffices, 2 does not.
    assert scheduled(problem([Op("a", "A", 10)], units={"A": 3}), 4) is not None
    assert scheduled(problem([Op("a", "A", 10)], units={"A": 2}), 4) is None

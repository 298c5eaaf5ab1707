"""Cost normalization: optima found by hand and by trying everything."""

from __future__ import annotations

import signal
from itertools import combinations, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twill.errors import InputError
from twill.solve.normalization import normalize


def deviation(costs, small):
    return max((abs(a * y - b * x) for (a, x), (b, y) in combinations(zip(costs, small, strict=True), 2)), default=0)


def test_exact_proportions_cost_nothing_and_take_the_smallest_numbers():
    found = normalize([512, 256, 512])
    assert (found.costs, found.deviation, found.proved) == ((2, 1, 2), 0, True)


def test_rounding_is_the_least_that_the_sum_allows():
    # |100 y - 33 x| with x + y <= 3: (1, 0) gives 33, (2, 1) gives 34. With 4, (3, 1) gives |100 - 99| = 1.
    assert (normalize([100, 33], budget=3).costs, normalize([100, 33], budget=3).deviation) == ((1, 0), 33)
    assert (normalize([100, 33], budget=4).costs, normalize([100, 33], budget=4).deviation) == ((3, 1), 1)


def test_the_sum_counts_every_op_not_every_cost():
    # Two ops of 100 cycles: (3, 3, 1) sums to 7.
    assert normalize([100, 100, 33], budget=6).deviation > 1
    assert normalize([100, 100, 33], budget=7).costs == (3, 3, 1)


def test_ops_without_cost_stay_without():
    assert normalize([0, 7, 0]).costs == (0, 1, 0)
    assert normalize([0, 0]).costs == (0, 0)
    assert normalize([]).total == 0


def test_a_budget_below_one_is_refused():
    with pytest.raises(InputError, match="sum to 0"):
        normalize([3], budget=0)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, 60), min_size=2, max_size=3, unique=True), st.integers(1, 9))
def test_no_other_numbers_deviate_less(costs, budget):
    found = normalize(costs, budget)
    assert found.proved
    assert 1 <= found.total <= budget
    assert deviation(costs, found.costs) == found.deviation
    tried = [x for x in product(range(budget + 1), repeat=len(costs)) if 1 <= sum(x) <= budget]
    assert found.deviation == min(deviation(costs, small) for small in tried)


def test_ctrl_c_is_still_heard_afterwards() -> None:
    normalize([5, 7, 300], 20)
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)

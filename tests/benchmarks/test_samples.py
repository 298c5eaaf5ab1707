"""Median and spread of samples."""

import pytest

from benchmarks.samples import Summary, summarize


def test_quartiles_are_interpolated_between_the_samples():
    # Sorted 1 2 4 8: the quartiles lie 3/4 of the way from 1 to 2, halfway from 2 to 4, a quarter from 4 to 8.
    assert summarize([8, 1, 4, 2]) == Summary(3.0, 1.75, 5.0, 1.0, 8.0, 4)


def test_one_slow_sample_moves_the_maximum_and_not_the_median():
    assert summarize([1.0, 1.0, 1.0, 1.0, 100.0]) == Summary(1.0, 1.0, 1.0, 1.0, 100.0, 5)


def test_one_sample_is_its_own_spread():
    assert summarize([3]) == Summary(3.0, 3.0, 3.0, 3.0, 3.0, 1)


def test_no_sample_has_no_median():
    with pytest.raises(ValueError, match="no sample"):
        summarize([])

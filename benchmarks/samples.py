"""The figures that stand for repeated measurements."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Summary:
    """Median and spread of samples, in the samples' unit; quartiles are interpolated between samples."""

    median: float
    lower_quartile: float
    upper_quartile: float
    minimum: float
    maximum: float
    count: int


def summarize(samples: Sequence[float]) -> Summary:
    """The Summary of one or more samples. Raises ValueError for none."""
    if not samples:
        raise ValueError("there is no sample to summarize")
    if len(samples) == 1:
        only = float(samples[0])
        return Summary(only, only, only, only, only, 1)
    lower, median, upper = statistics.quantiles(samples, n=4, method="inclusive")
    return Summary(median, lower, upper, float(min(samples)), float(max(samples)), len(samples))

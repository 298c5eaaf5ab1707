"""Spans modulo ii, against counting every cycle."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from twill.schedule.modulo import Span, covering, peak, profile

spans = st.lists(
    st.builds(lambda at, length, weight: Span("x", at, at + length, weight), st.integers(0, 30), st.integers(0, 30),
              st.integers(1, 4)),
    max_size=5,
)  # fmt: skip


@given(spans, st.integers(1, 12))
def test_profile_is_the_count_of_every_slot(given_spans: list[Span], ii: int):
    counted = [
        sum(span.weight * sum(cycle % ii == slot for cycle in range(span.begin, span.end)) for span in given_spans)
        for slot in range(ii)
    ]
    steps = dict(profile(given_spans, ii))
    total, walked = 0, []
    for slot in range(ii):
        total = steps.get(slot, total)
        walked.append(total)
    assert walked == counted
    assert peak(given_spans, ii) == (counted.index(max(counted)), max(counted))
    for slot in range(ii):
        assert sum(span.weight * copies for span, copies in covering(given_spans, slot, ii)) == counted[slot]

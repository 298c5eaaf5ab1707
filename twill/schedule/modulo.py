"""Adding up spans of time that repeat every ii cycles: who covers a slot, and how often."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Span:
    """Cycles [begin, end) of iteration 0, taken by `name` at a cost of `weight`; the same again every ii cycles."""

    name: str
    begin: int
    end: int
    weight: int = 1

    def copies(self, slot: int, ii: int) -> int:
        """How many iterations cover `slot` at once: the k with begin <= slot + k * ii < end."""
        return max(0, (self.end - 1 - slot) // ii - (self.begin - 1 - slot) // ii)


def profile(spans: Iterable[Span], ii: int) -> list[tuple[int, int]]:
    """The total weight over one period as steps (slot, total), first slot 0; a step holds until the next one."""
    change = {0: 0}
    for span in spans:
        turns, rest = divmod(max(0, span.end - span.begin), ii)
        change[0] += turns * span.weight
        if not rest:
            continue
        first = span.begin % ii
        last = first + rest
        change[first] = change.get(first, 0) + span.weight
        if last > ii:  # runs over the end of the period: there again from slot 0 on
            change[0] += span.weight
            last -= ii
        if last < ii:
            change[last] = change.get(last, 0) - span.weight
    steps = []
    total = 0
    for slot in sorted(change):
        total += change[slot]
        steps.append((slot, total))
    return steps


def peak(spans: Iterable[Span], ii: int) -> tuple[int, int]:
    """(slot, total) of the largest total weight over one period; the earliest such slot."""
    return max(profile(spans, ii), key=lambda step: (step[1], -step[0]))


def covering(spans: Iterable[Span], slot: int, ii: int) -> list[tuple[Span, int]]:
    """The spans that cover `slot` modulo ii, each with its number of copies there."""
    return [(span, copies) for span in spans if (copies := span.copies(slot, ii))]

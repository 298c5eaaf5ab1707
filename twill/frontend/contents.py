"""Other contents for a small integer tensor from which a loop's bounds are read: offsets, lengths, or indices.

Which of them they are is not known: offsets never fall. No value made here exceeds the example's largest, so that
what it bounds or points at stays inside the example's tensors.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

Contents = tuple[int, ...]


def shortened(contents: Contents, wanted: int, count: Callable[[Contents], int | None]) -> Contents | None:
    """`contents` with a smaller largest value, so that `count` of it is `wanted`; None when none is found.

    count: rises with the largest value, as trip counts do; None where it has no sense. The largest value that will do
    is searched by halves, first among multiples of what the example's values are multiples of. For offsets the ranges
    of the example come first, then one range that has everything.
    """
    if min(contents, default=-1) < 0 or max(contents) == 0:
        return None
    common, most = math.gcd(*contents), max(contents)
    for unit in dict.fromkeys((common, math.gcd(common, 64), math.gcd(common, 16), 1)):
        for form in dict.fromkeys((contents, one_range(contents))):
            low, high = 0, most // unit  # `low` counts no more than wanted, or nothing does
            while low < high:
                middle = (low + high + 1) // 2
                found = count(clipped(form, middle * unit))
                low, high = (middle, high) if found is not None and found <= wanted else (low, middle - 1)
            made = clipped(form, low * unit)
            if count(made) == wanted:
                return made
    return None


def clipped(contents: Contents, largest: int) -> Contents:
    """No value above `largest`: of offsets, the ranges beyond it are empty."""
    return tuple(min(value, largest) for value in contents)


def one_range(contents: Contents) -> Contents:
    """Offsets of which the longest range of the example takes everything, and the others are empty."""
    if len(contents) < 2 or not _rises(contents):
        return contents
    gaps = [after - before for before, after in itertools.pairwise(contents)]
    at = gaps.index(max(gaps))
    return (contents[0],) * (at + 1) + (contents[-1],) * (len(contents) - at - 1)


def resized(contents: Contents, count: int) -> Contents:
    """So many elements: offsets go on with their last value, others begin again."""
    if not contents or count <= len(contents):
        return contents[:count]
    if _rises(contents):
        return contents + contents[-1:] * (count - len(contents))
    return (contents * -(-count // len(contents)))[:count]


def _rises(contents: Contents) -> bool:
    """It never falls, as offsets."""
    return len(contents) > 1 and all(before <= after for before, after in itertools.pairwise(contents))

"""Which thread blocks of a launch stand for the others."""

from __future__ import annotations

from collections.abc import Mapping

Block = tuple[int, int, int]


def first(counts: Mapping[Block, int]) -> Block:
    """The block with the fewest iterations; of several the first."""
    return min(counts, key=lambda block: (counts[block], block))


def candidates(counts: Mapping[Block, int], limit: int) -> tuple[Block, ...]:
    """At most `limit` blocks that may differ: for each number of iterations the first and the last block.

    The first and the last see other edges of the tensors, so other masks; where there are too many, an even
    sample from the fewest iterations to the most is taken.
    """
    by_count: dict[int, list[Block]] = {}
    for block in sorted(counts):
        by_count.setdefault(counts[block], []).append(block)
    found = [block for _, blocks in sorted(by_count.items()) for block in dict.fromkeys((blocks[0], blocks[-1]))]
    if len(found) <= limit:
        return tuple(found)
    picks = sorted({round(i * (len(found) - 1) / max(1, limit - 1)) for i in range(limit)})
    return tuple(found[i] for i in picks)

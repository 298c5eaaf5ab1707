"""Histogram of the experts that tokens chose, of each block of choices by itself: the first step of a counting sort."""

import torch
import triton
import triton.language as tl

import twill


def inputs(C=9000, E=16, seed=0):
    """Launch arguments for C choices of E experts, some out of range; last block and program are not full."""
    ids = torch.randint(-1, E + 1, (C,), generator=torch.Generator().manual_seed(seed))
    counts = torch.zeros(triton.cdiv(C, 256) * E, dtype=torch.int32)
    return {"ids": ids, "counts": counts, "C": C, "E": E, "BLOCK": 256, "SPAN": 4096}


def truth(ids, counts, C, E, BLOCK, **_):
    """The counts, a block at a time."""
    blocks = ids.flatten()[:C].split(BLOCK)
    return {"counts": torch.stack([torch.bincount(b[(b >= 0) & (b < E)], minlength=E) for b in blocks]).flatten()}


@twill.kernel(example=inputs, grid=lambda a: (triton.cdiv(a["C"], a["SPAN"]),), reference=truth)
@triton.jit
def moe_histogram(ids, counts, C, E, BLOCK: tl.constexpr, SPAN: tl.constexpr):
    """ids: [C] int64, the experts chosen; counts: [ceil(C / BLOCK), E] int32, zeros before the launch.

    counts[b, e] is how many of the choices b * BLOCK to (b + 1) * BLOCK are expert e. Ids outside 0 to E - 1 are not
    counted. Additions of integers: the same counts in whatever order. SPAN: choices of a program, a multiple of BLOCK.
    """
    begin = tl.program_id(0) * SPAN
    end = tl.minimum(begin + SPAN, C)
    for c in range(begin, end, BLOCK):
        at = c + tl.arange(0, BLOCK)
        expert = tl.load(ids + at, mask=at < end, other=-1)
        tl.atomic_add(counts + c // BLOCK * E + expert, 1, mask=(expert >= 0) & (expert < E))

"""Scan of the histograms of blocks: how many choices of an expert lie in the blocks before."""

import torch
import triton
import triton.language as tl

import twill


def inputs(B=6, E=100, seed=0):
    """Launch arguments for B blocks and E experts."""
    random = torch.Generator().manual_seed(seed)
    counts = torch.randint(1000, (B * E,), generator=random, dtype=torch.int32)
    return {
        "counts": counts, "before": torch.empty_like(counts), "totals": torch.empty(E, dtype=torch.int32),
        "B": B, "E": E, "BE": 128,
    }  # fmt: skip


def truth(counts, before, totals, B, E, **_):
    """An exclusive cumulative sum over the blocks."""
    counts = counts.flatten()[: B * E].view(B, E).long()
    return {"before": (counts.cumsum(0) - counts).flatten(), "totals": counts.sum(0)}


@twill.kernel(example=inputs, grid=lambda a: (triton.cdiv(a["E"], a["BE"]),), reference=truth)
@triton.jit
def moe_scan(counts, before, totals, B, E, BE: tl.constexpr):
    """counts: [B, E] int32; before: [B, E] int32; totals: [E] int32.

    before[b, e] is the sum of counts[0, e] to counts[b - 1, e]; totals[e] that of all.
    """
    expert = tl.program_id(0) * BE + tl.arange(0, BE)
    total = tl.zeros([BE], tl.int32)
    for b in range(0, B):
        count = tl.load(counts + b * E + expert, mask=expert < E, other=0)
        tl.store(before + b * E + expert, total, mask=expert < E)
        total += count
    tl.store(totals + expert, total, mask=expert < E)

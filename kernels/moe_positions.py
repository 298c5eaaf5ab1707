"""The row of each choice in the layout that is sorted by expert: the last step of a counting sort, a stable one."""

import torch
import triton
import triton.language as tl

import twill


def inputs(C=3000, E=16, seed=0):
    """Launch arguments for C choices of E experts, some of them out of range; the last block is not full."""
    random = torch.Generator().manual_seed(seed)
    ids = torch.randint(-1, E + 1, (C,), generator=random)
    before = torch.randint(1000, (triton.cdiv(C, 256) * E,), generator=random, dtype=torch.int32)
    offsets = torch.randint(1000, (E + 1,), generator=random, dtype=torch.int32) * 128
    return {
        "ids": ids, "before": before, "offsets": offsets, "positions": torch.empty(C, dtype=torch.int64),
        "C": C, "E": E, "BLOCK": 256, "BC": 128, "BD": 32,
    }  # fmt: skip


def truth(ids, before, offsets, positions, C, E, BLOCK, **_):
    """The expert's offset, its choices in the blocks before, and those before it in its own block."""
    ids = ids.flatten()[:C]
    before = before.flatten()[: triton.cdiv(C, BLOCK) * E].view(-1, E)
    ranks = [(b[:, None] == b).tril(-1).sum(1) for b in ids.split(BLOCK)]
    known = ids.clamp(0, E - 1)
    rows = offsets.flatten()[known] + before[torch.arange(C) // BLOCK, known] + torch.cat(ranks)
    return {"positions": torch.where((ids >= 0) & (ids < E), rows, -1)}


@twill.kernel(
    example=inputs,
    grid=lambda a: (triton.cdiv(a["C"], a["BC"]),),
    reference=truth,
)
@triton.jit
def moe_positions(
    ids, before, offsets, positions, C, E, BLOCK: tl.constexpr, BC: tl.constexpr, BD: tl.constexpr
):  # fmt: skip
    """ids: [C] int64; before: [ceil(C / BLOCK), E] int32; offsets: [E + 1] int32; positions: [C] int64.

    A choice's position is its expert's offset, and the expert's choices before it: those of the blocks before, and
    those of its own block, which are counted here. Ids outside 0 to E - 1 get -1.
    """
    row = tl.program_id(0) * BC
    block = row // BLOCK
    choice = row + tl.arange(0, BC)
    expert = tl.load(ids + choice, mask=choice < C, other=-1)
    there = (expert >= 0) & (expert < E)
    rank = tl.zeros([BC], tl.int32)
    for d in range(block * BLOCK, tl.minimum(row + BC, C), BD):
        earlier = d + tl.arange(0, BD)
        other = tl.load(ids + earlier, mask=earlier < C, other=-1)
        same = (other[None, :] == expert[:, None]) & (earlier[None, :] < choice[:, None])
        rank += tl.sum(same.to(tl.int32), 1)
    first = tl.load(offsets + expert, mask=there, other=0) + tl.load(before + block * E + expert, mask=there, other=0)
    tl.store(positions + choice, tl.where(there, first + rank, -1).to(tl.int64), mask=choice < C)

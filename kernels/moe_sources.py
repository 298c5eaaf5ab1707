"""What lies in each row of the layout that is sorted by expert: the rows of the choices, inverted by a scatter."""

import torch
import triton
import triton.language as tl

import twill


def inputs(C=9000, K=1, P=None, dtype="int64", seed=0):
    """Launch arguments for C choices, K of a token, among P rows (an eighth more); an eighth of them has no row.

    dtype is int64 or int32.
    """
    P = C + C // 8 if P is None else P
    random = torch.Generator().manual_seed(seed)
    positions = torch.randperm(P, generator=random)[:C]
    positions = torch.where(torch.rand(C, generator=random) < 0.125, -1, positions)
    kind = {"int64": torch.int64, "int32": torch.int32}[dtype]
    sources = torch.full((P,), -1, dtype=kind)
    return {"positions": positions, "sources": sources, "C": C, "K": K, "BLOCK": 1024, "SPAN": 4096}


def truth(positions, sources, C, K, **_):
    """The last choice of each row divided by K, or -1."""
    positions, values = positions.flatten()[:C], torch.arange(C, device=positions.device) // K
    there = positions >= 0
    nobody = torch.full((sources.numel(),), -1, device=positions.device)
    return {"sources": nobody.scatter_reduce(0, positions[there], values[there], "amax")}


@twill.kernel(example=inputs, grid=lambda a: (triton.cdiv(a["C"], a["SPAN"]),), reference=truth)
@triton.jit
def moe_sources(positions, sources, C, K, BLOCK: tl.constexpr, SPAN: tl.constexpr):
    """positions: [C] int64, the row of each choice or -1; sources: [P] int32 or int64, -1 before the launch.

    sources[p] becomes c // K for the choice c in row p: its token, or with K = 1 the choice itself. Rows without a
    choice stay -1; of several choices in one row (a routing has none) the last one counts: a maximum, the same in
    whatever order. SPAN: choices of a program, a multiple of BLOCK.
    """
    begin = tl.program_id(0) * SPAN
    end = begin + tl.minimum(C - begin, SPAN)
    for c in range(begin, end, BLOCK):
        choice = c + tl.arange(0, BLOCK)
        position = tl.load(positions + choice, mask=choice < end, other=-1)
        tl.atomic_max(sources + position, (choice // K).to(sources.dtype.element_ty), mask=position >= 0)

"""Rows gathered by index: out_p = x_source(p), 0 where there is no source."""

import torch
import triton
import triton.language as tl

import twill


def inputs(P=256, N=512, T=None, dtype="fp16", seed=0):
    """Launch arguments for P rows of N values of T tokens (half as many), some of none; dtype is fp16 or bf16."""
    T = max(P // 2, 1) if T is None else T
    kind = {"fp16": torch.float16, "bf16": torch.bfloat16}[dtype]
    random = torch.Generator().manual_seed(seed)
    return {
        "x": torch.randn(T, N, generator=random).to(kind),
        "sources": torch.randint(-1, T, (P,), generator=random), "out": torch.empty(P, N, dtype=kind),
        "P": P, "N": N, "BP": 32, "BN": 128,
    }  # fmt: skip


def truth(x, sources, out, P, N, **_):
    """The rows, in float64."""
    source = sources.flatten()[:P]
    return {"out": torch.where(source[:, None] >= 0, x.flatten().view(-1, N).double()[source.clamp(min=0)], 0)}


@twill.kernel(
    example=inputs,
    grid=lambda a: (triton.cdiv(a["P"], a["BP"]),),
    reference=truth,
)
@triton.jit
def moe_gather(x, sources, out, P, N, BP: tl.constexpr, BN: tl.constexpr):
    """x: [T, N]; sources: [P] int64, rows of x or -1; out: [P, N]; all contiguous."""
    row = tl.program_id(0) * BP + tl.arange(0, BP)
    source = tl.load(sources + row, mask=row < P, other=-1)
    begin = source * N
    place = row.to(tl.int64) * N
    for n in range(0, N, BN):
        col = n + tl.arange(0, BN)
        inside = (col < N)[None, :]
        values = tl.load(x + begin[:, None] + col[None, :], mask=(source >= 0)[:, None] & inside, other=0.0)
        tl.store(out + place[:, None] + col[None, :], values, mask=(row < P)[:, None] & inside)

"""Gradient of the weighted sum: dy_p = weight dout_t and dweight = <y_p, dout_t>, p the row of a choice of token t."""

import torch
import triton
import triton.language as tl

import twill


def inputs(P=256, K=2, N=512, T=None, dtype="fp16", seed=0):
    """Launch arguments for P rows of N values, an eighth of no choice of T tokens; dtype is fp16 or bf16."""
    T = max(P // K, 1) if T is None else T
    kind = {"fp16": torch.float16, "bf16": torch.bfloat16}[dtype]
    random = torch.Generator().manual_seed(seed)
    used = min(T * K, P)
    used -= used // 8
    sources = torch.full((P,), -1)
    sources[torch.randperm(P, generator=random)[:used]] = torch.randperm(T * K, generator=random)[:used]
    return {
        "y": torch.randn(P, N, generator=random).to(kind), "dout": torch.randn(T, N, generator=random).to(kind),
        "sources": sources, "weights": torch.rand(T * K, generator=random),
        "dy": torch.empty(P, N, dtype=kind), "dweights": torch.zeros(T * K),
        "P": P, "K": K, "N": N, "BP": 64, "BN": 64,
    }  # fmt: skip


def truth(y, dout, sources, weights, dweights, P, K, N, **_):
    """Both gradients in float64; choices without a row have a gradient of 0."""
    y = y.flatten()[: P * N].view(P, N).double()
    source = sources.flatten()[:P]
    there = source >= 0
    moved = torch.where(there[:, None], dout.flatten().view(-1, N).double()[source.clamp(min=0) // K], 0)
    dots = torch.zeros(dweights.numel(), dtype=torch.float64)
    dots[source[there]] = (moved * y).sum(1)[there]
    return {"dy": moved * weights.flatten().double()[source.clamp(min=0), None], "dweights": dots}


@twill.kernel(
    example=inputs,
    grid=lambda a: (a["P"] // a["BP"],),
    reference=truth,
    multiple_of={"P": "BP"},
)
@triton.jit
def moe_combine_gradient(y, dout, sources, weights, dy, dweights, P, K, N, BP: tl.constexpr, BN: tl.constexpr):
    """y, dy: [P, N]; dout: [T, N]; sources: [P] int64; weights, dweights: [T, K] fp32; all contiguous.

    sources[p] is t * K + j for the row of choice j of token t, or -1: then dy is 0 there. dweights holds zeros before
    the launch, which stay for choices without a row. N is a multiple of 8.
    """
    row = tl.program_id(0) * BP
    y_desc = tl.make_tensor_descriptor(y, [P, N], [N, 1], [BP, BN])
    dy_desc = tl.make_tensor_descriptor(dy, [P, N], [N, 1], [BP, BN])
    source = tl.load(sources + row + tl.arange(0, BP))
    there = source >= 0
    begin = source // K * N
    weight = tl.load(weights + source, mask=there, other=0.0)
    dot = tl.zeros([BP], tl.float32)
    for n in range(0, N, BN):
        col = n + tl.arange(0, BN)
        moved = tl.load(dout + begin[:, None] + col[None, :], mask=there[:, None] & (col < N)[None, :], other=0.0)
        moved = moved.to(tl.float32)
        dot += tl.sum(moved * y_desc.load([row, n]).to(tl.float32), 1)
        dy_desc.store([row, n], (moved * weight[:, None]).to(dy.dtype.element_ty))
    tl.store(dweights + source, dot, mask=there)

"""Grouped product of gathered rows with a SwiGLU epilogue: Y_i = silu(X_t(i) Gate_e(i)) * (X_t(i) Up_e(i)).

The first product of a mixture of experts: t(i) is the token of row i, whose values go from where they are straight into
shared memory by asynchronous copies, e(i) the expert of its tile.
"""

import torch
import triton
import triton.language as tl

import twill


def inputs(T=192, P=512, K=512, N=256, E=4, dtype="fp16", seed=0):
    """Launch arguments for P rows found among T tokens of K values, E experts of N; dtype is fp16 or bf16.

    The tiles of rows go through the experts, most of them twice; the last has no expert. Every seventh row is padding.
    """
    kind = {"fp16": torch.float16, "bf16": torch.bfloat16}[dtype]
    random = torch.Generator().manual_seed(seed)
    x = torch.randn(T, K, generator=random).to(kind)
    w = (torch.randn(E, K, 2 * N, generator=random) * K**-0.5).to(kind)
    tokens = torch.randint(0, T, (P,), generator=random, dtype=torch.int32)
    tokens[::7] = -1
    tiles = P // 128
    experts = (torch.arange(tiles) * E // max(tiles - 1, 1)).to(torch.int32)
    experts[-1:] = -1
    return {
        "x": x, "tokens": tokens, "w": w, "experts": experts, "y": torch.empty(P, N, dtype=kind),
        "T": T, "P": P, "K": K, "N": N, "E": E, "BM": 128, "BN": 128, "BK": 64,
    }  # fmt: skip


def truth(x, tokens, w, experts, T, P, K, N, E, BM, **_):
    """The gated products in float64, a tile of rows at a time; zeros without a token or an expert."""
    x = torch.cat([x.flatten()[: T * K].view(T, K).double(), torch.zeros(1, K).double()])
    rows = x[tokens[:P].long()].view(P // BM, BM, K)
    w = w.flatten()[: E * K * 2 * N].view(E, K, 2 * N).double()
    pairs = zip(rows, experts.tolist(), strict=True)
    products = [tile @ w[e] if e >= 0 else tile.new_zeros(BM, 2 * N) for tile, e in pairs]
    gate, up = torch.cat(products).chunk(2, dim=1)
    return {"y": torch.nn.functional.silu(gate) * up}


@twill.kernel(
    example=inputs,
    grid=lambda a: (a["P"] // a["BM"], triton.cdiv(a["N"], a["BN"])),
    reference=truth,
    multiple_of={"P": "BM", "K": "BK"},
)
@triton.jit
def grouped_swiglu_gather(
    x, tokens, w, experts, y, T, P, K, N, E, BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr
):  # fmt: skip
    """x: [T, K]; tokens: [P] int32; w: [E, K, 2 N], the gate's columns first; experts: [P / BM] int32; y: [P, N].

    All contiguous. Row i of y is of row tokens[i] of x, or 0 where that is negative (or not below T). experts[i] is the
    expert of the rows i * BM and following, or -1: then no iteration runs and y is 0 there. N is a multiple of 8, E * K
    below 2**31.
    """
    tile = tl.program_id(0)
    e = tl.load(experts + tile)
    end = tl.where(e >= 0, K, 0)
    row = tile * BM
    col = tl.program_id(1) * BN
    token = tl.load(tokens + row + tl.arange(0, BM))
    given = (token >= 0) & (token < T)
    begins = token.to(tl.int64) * K
    w_desc = tl.make_tensor_descriptor(w, [E * K, 2 * N], [2 * N, 1], [BK, BN])
    y_desc = tl.make_tensor_descriptor(y, [P, N], [N, 1], [BM, BN])
    gate = tl.zeros([BM, BN], tl.float32)
    up = tl.zeros([BM, BN], tl.float32)
    for k in range(0, end, BK):
        x_tile = tl.load(x + begins[:, None] + (k + tl.arange(0, BK))[None, :], mask=given[:, None])
        gate_tile = w_desc.load([e * K + k, col])
        up_tile = w_desc.load([e * K + k, N + col])
        gate = tl.dot(x_tile, gate_tile, gate)
        up = tl.dot(x_tile, up_tile, up)
    y_desc.store([row, col], (gate * tl.sigmoid(gate) * up).to(y.dtype.element_ty))

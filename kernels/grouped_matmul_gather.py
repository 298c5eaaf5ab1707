"""Grouped product of gathered rows: Y_i = X_t(i) W_e(i), t(i) being the token of row i and e(i) its tile's expert.

The gather of a mixture of experts inside its first product: the rows of X, found by index, go from where they are
straight into shared memory by asynchronous copies, and the weights by TMA.
"""

import torch
import triton
import triton.language as tl

import twill


def inputs(T=192, P=512, K=512, N=512, E=4, TRANSPOSED=False, dtype="fp16", seed=0):
    """Launch arguments for P rows found among T tokens of K values, E experts; dtype is fp16 or bf16.

    The tiles of rows go through the experts, most of them twice; the last has no expert. Every seventh row is padding.
    """
    kind = {"fp16": torch.float16, "bf16": torch.bfloat16}[dtype]
    random = torch.Generator().manual_seed(seed)
    x = torch.randn(T, K, generator=random).to(kind)
    w = (torch.randn(E, *((N, K) if TRANSPOSED else (K, N)), generator=random) * K**-0.5).to(kind)
    tokens = torch.randint(0, T, (P,), generator=random, dtype=torch.int32)
    tokens[::7] = -1
    tiles = P // 128
    experts = (torch.arange(tiles) * E // max(tiles - 1, 1)).to(torch.int32)
    experts[-1:] = -1
    return {
        "x": x, "tokens": tokens, "w": w, "experts": experts, "y": torch.empty(P, N, dtype=kind),
        "T": T, "P": P, "K": K, "N": N, "E": E, "BM": 128, "BN": 256, "BK": 64, "TRANSPOSED": TRANSPOSED,
    }  # fmt: skip


def truth(x, tokens, w, experts, T, P, K, N, E, BM, TRANSPOSED, **_):
    """The products in float64, a tile of rows at a time; zeros without a token or an expert."""
    x = torch.cat([x.flatten()[: T * K].view(T, K).double(), torch.zeros(1, K).double()])
    rows = x[tokens[:P].long()].view(P // BM, BM, K)
    w = w.flatten()[: E * K * N].view(E, *((N, K) if TRANSPOSED else (K, N))).double()
    w = w.mT if TRANSPOSED else w
    pairs = zip(rows, experts.tolist(), strict=True)
    return {"y": torch.cat([tile @ w[e] if e >= 0 else tile.new_zeros(BM, N) for tile, e in pairs])}


@twill.kernel(
    example=inputs,
    grid=lambda a: (a["P"] // a["BM"], triton.cdiv(a["N"], a["BN"])),
    reference=truth,
    multiple_of={"P": "BM", "K": "BK"},
)
@triton.jit
def grouped_matmul_gather(
    x, tokens, w, experts, y, T, P, K, N, E,
    BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr, TRANSPOSED: tl.constexpr,
):  # fmt: skip
    """x: [T, K]; tokens: [P] int32; w: [E, K, N], or [E, N, K] if TRANSPOSED; experts: [P / BM] int32; y: [P, N].

    All contiguous. Row i of y is of row tokens[i] of x, or 0 where that is negative (or not below T). experts[i] is the
    expert of the rows i * BM and following, or -1: then no iteration runs and y is 0 there. N is a multiple of 8,
    E * K (or E * N) below 2**31.
    """
    tile = tl.program_id(0)
    e = tl.load(experts + tile)
    end = tl.where(e >= 0, K, 0)
    row = tile * BM
    col = tl.program_id(1) * BN
    token = tl.load(tokens + row + tl.arange(0, BM))
    given = (token >= 0) & (token < T)
    begins = token.to(tl.int64) * K
    y_desc = tl.make_tensor_descriptor(y, [P, N], [N, 1], [BM, BN])
    acc = tl.zeros([BM, BN], tl.float32)
    if TRANSPOSED:
        # Rows of w past N of this expert are another's: their products are columns of y past N, which are not stored.
        w_desc = tl.make_tensor_descriptor(w, [E * N, K], [K, 1], [BN, BK])
        for k in range(0, end, BK):
            x_tile = tl.load(x + begins[:, None] + (k + tl.arange(0, BK))[None, :], mask=given[:, None])
            w_tile = w_desc.load([e * N + col, k])
            acc = tl.dot(x_tile, w_tile.T, acc)
    else:
        w_desc = tl.make_tensor_descriptor(w, [E * K, N], [N, 1], [BK, BN])
        for k in range(0, end, BK):
            x_tile = tl.load(x + begins[:, None] + (k + tl.arange(0, BK))[None, :], mask=given[:, None])
            w_tile = w_desc.load([e * K + k, col])
            acc = tl.dot(x_tile, w_tile, acc)
    y_desc.store([row, col], acc.to(y.dtype.element_ty))

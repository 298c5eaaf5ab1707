"""Gradient of the grouped product with SwiGLU: that in Gate and Up's products, which are computed again and not kept.

With G_i = X_i Gate_e(i), U_i = X_i Up_e(i) and s = sigmoid(G): dG = dY U s (1 + G (1 - s)), dU = dY G s.
"""

import torch
import triton
import triton.language as tl

import twill


def inputs(P=512, K=512, N=256, E=4, dtype="fp16", seed=0):
    """Launch arguments for P rows of K values, E experts of N hidden values; dtype is fp16 or bf16.

    The tiles of rows go through the experts, most of them twice; the last has no expert.
    """
    kind = {"fp16": torch.float16, "bf16": torch.bfloat16}[dtype]
    random = torch.Generator().manual_seed(seed)
    x = torch.randn(P, K, generator=random).to(kind)
    w = (torch.randn(E, K, 2 * N, generator=random) * K**-0.5).to(kind)
    dy = torch.randn(P, N, generator=random).to(kind)
    tiles = P // 128
    experts = (torch.arange(tiles) * E // max(tiles - 1, 1)).to(torch.int32)
    experts[-1:] = -1
    return {
        "x": x, "w": w, "experts": experts, "dy": dy, "dboth": torch.empty(P, 2 * N, dtype=kind),
        "P": P, "K": K, "N": N, "E": E, "BM": 128, "BN": 128, "BK": 64,
    }  # fmt: skip


def truth(x, w, experts, dy, P, K, N, E, BM, **_):
    """Both gradients in float64, a tile of rows at a time; zeros without an expert."""
    x = x.flatten()[: P * K].view(P // BM, BM, K).double()
    w = w.flatten()[: E * K * 2 * N].view(E, K, 2 * N).double()
    pairs = zip(x, experts.tolist(), strict=True)
    products = [tile @ w[e] if e >= 0 else tile.new_zeros(BM, 2 * N) for tile, e in pairs]
    gate, up = torch.cat(products).chunk(2, dim=1)
    share, dy = gate.sigmoid(), dy.flatten()[: P * N].view(P, N).double()
    return {"dboth": torch.cat([dy * up * share * (1 + gate * (1 - share)), dy * gate * share], dim=1)}


@twill.kernel(
    example=inputs,
    grid=lambda a: (a["P"] // a["BM"], triton.cdiv(a["N"], a["BN"])),
    reference=truth,
    multiple_of={"P": "BM", "K": "BK"},
)
@triton.jit
def grouped_swiglu_gradient(
    x, w, experts, dy, dboth, P, K, N, E, BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr
):  # fmt: skip
    """x: [P, K]; w: [E, K, 2 N]; experts: [P / BM] int32; dy: [P, N]; dboth: [P, 2 N]; all contiguous.

    The gate's columns come first, in w and dboth. experts[i] is the expert of the rows i * BM and following, or -1:
    then no iteration runs and dboth is 0 there (NaN where dy is infinite or NaN). N is a multiple of 8, E * K below
    2**31.
    """
    tile = tl.program_id(0)
    e = tl.load(experts + tile)
    end = tl.where(e >= 0, K, 0)
    row = tile * BM
    col = tl.program_id(1) * BN
    x_desc = tl.make_tensor_descriptor(x, [P, K], [K, 1], [BM, BK])
    w_desc = tl.make_tensor_descriptor(w, [E * K, 2 * N], [2 * N, 1], [BK, BN])
    # The gate's columns end where those of up begin.
    gate_desc = tl.make_tensor_descriptor(dboth, [P, N], [2 * N, 1], [BM, BN])
    up_desc = tl.make_tensor_descriptor(dboth, [P, 2 * N], [2 * N, 1], [BM, BN])
    gate = tl.zeros([BM, BN], tl.float32)
    up = tl.zeros([BM, BN], tl.float32)
    for k in range(0, end, BK):
        x_tile = x_desc.load([row, k])
        gate_tile = w_desc.load([e * K + k, col])
        up_tile = w_desc.load([e * K + k, N + col])
        gate = tl.dot(x_tile, gate_tile, gate)
        up = tl.dot(x_tile, up_tile, up)

    cols = col + tl.arange(0, BN)
    places = (row + tl.arange(0, BM)).to(tl.int64)[:, None] * N + cols[None, :]
    given = tl.load(dy + places, mask=(cols < N)[None, :], other=0.0).to(tl.float32)
    share = tl.sigmoid(gate)
    up_desc.store([row, N + col], (given * gate * share).to(dboth.dtype.element_ty))
    dgate = given * up * share * (1.0 + gate * (1.0 - share))
    gate_desc.store([row, col], dgate.to(dboth.dtype.element_ty))

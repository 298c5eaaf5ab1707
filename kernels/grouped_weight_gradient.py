"""Weight gradient of a grouped product: dW_e = X_eᵀ dY_e over the rows of expert e, which are read from memory."""

from itertools import pairwise

import torch
import triton
import triton.language as tl

import twill


def inputs(P=512, K=256, N=256, E=4, dtype="fp16", seed=0):
    """Launch arguments for P rows and E experts, the second without rows; dtype is fp16 or bf16."""
    kind = {"fp16": torch.float16, "bf16": torch.bfloat16}[dtype]
    random = torch.Generator().manual_seed(seed)
    x = torch.randn(P, K, generator=random).to(kind)
    dy = torch.randn(P, N, generator=random).to(kind)
    share = torch.tensor([0 if e == 1 else 1 for e in range(E)]).cumsum(0)
    ends = P // 128 * share // share[-1] * 128
    offsets = torch.cat([ends.new_zeros(1), ends]).to(torch.int32)
    return {
        "x": x, "dy": dy, "offsets": offsets, "dw": torch.empty(E, K, N, dtype=kind), "P": P, "K": K, "N": N, "E": E,
        "BM": 128, "BN": 256, "BK": 64,
    }  # fmt: skip


def truth(x, dy, offsets, P, K, N, **_):
    """The products in float64, an expert at a time."""
    x = x.flatten()[: P * K].view(P, K).double()
    dy = dy.flatten()[: P * N].view(P, N).double()
    bounds = pairwise(offsets.tolist())
    return {"dw": torch.stack([x[a:b].mT @ dy[a:b] for a, b in bounds])}


@twill.kernel(
    example=inputs,
    grid=lambda a: (a["K"] // a["BM"], triton.cdiv(a["N"], a["BN"]), a["E"]),
    reference=truth,
    multiple_of={"K": "BM"},
)
@triton.jit
def grouped_weight_gradient(
    x, dy, offsets, dw, P, K, N, E, BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr
):  # fmt: skip
    """x: [P, K]; dy: [P, N]; offsets: [E + 1] int32, rising multiples of BK up to P; dw: [E, K, N]; all contiguous.

    The rows of expert e are offsets[e] to offsets[e + 1]; without any, dw[e] is 0. N is a multiple of 8, E * K below
    2**31.
    """
    e = tl.program_id(2)
    begin = tl.load(offsets + e)
    end = tl.load(offsets + e + 1)
    row = tl.program_id(0) * BM
    col = tl.program_id(1) * BN
    x_desc = tl.make_tensor_descriptor(x, [P, K], [K, 1], [BK, BM])
    dy_desc = tl.make_tensor_descriptor(dy, [P, N], [N, 1], [BK, BN])
    dw_desc = tl.make_tensor_descriptor(dw, [E * K, N], [N, 1], [BM, BN])
    acc = tl.zeros([BM, BN], tl.float32)
    for p in range(begin, end, BK):
        x_tile = x_desc.load([p, row])
        dy_tile = dy_desc.load([p, col])
        acc = tl.dot(x_tile.T, dy_tile, acc)
    dw_desc.store([e * K + row, col], acc.to(dw.dtype.element_ty))

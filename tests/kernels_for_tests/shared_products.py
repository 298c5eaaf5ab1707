"""P = B A^T, rounded, is the left operand of one product, P A, and the right one of another, B^T P, by rows of B."""

import torch
import triton
import triton.language as tl

import twill


def inputs(M=256, N=256, seed=0):
    random = torch.Generator().manual_seed(seed)
    a, b = (torch.randn(n, 64, generator=random).half() for n in (M, N))
    return {
        "a": a, "b": b, "left": torch.empty(N, 64).half(), "right": torch.zeros(M, 64),
        "M": M, "N": N, "BM": 64, "BN": 128, "K": 64,
    }  # fmt: skip


def truth(a, b, right, M, **_):
    a, b = a.flatten()[: M * 64].view(M, 64).double(), b.double()
    added = right.double().clone()
    added.flatten()[: M * 64] += (a @ b.T @ b).flatten()
    return {"left": b @ a.T @ a, "right": added}


@twill.kernel(example=inputs, grid=lambda a: (a["N"] // a["BN"],), reference=truth, multiple_of={"M": "BM", "N": "BN"})
@triton.jit
def shared_products(a, b, left, right, M, N, BM: tl.constexpr, BN: tl.constexpr, K: tl.constexpr):
    """a: [M, K], b: [N, K]. Writes left = B A^T A, [N, K], and adds (B^T B A^T)^T to right, [M, K] fp32."""
    row = tl.program_id(0) * BN
    a_desc = tl.make_tensor_descriptor(a, [M, K], [K, 1], [BM, K])
    b_desc = tl.make_tensor_descriptor(b, [N, K], [K, 1], [BN, K])
    left_desc = tl.make_tensor_descriptor(left, [N, K], [K, 1], [BN, K])
    rows = b_desc.load([row, 0])
    total = tl.zeros([BN, K], tl.float32)
    offs_m = tl.arange(0, BM)
    offs_k = tl.arange(0, K)
    for m in range(0, M, BM):
        tile = a_desc.load([m, 0])
        product = tl.dot(rows, tile.T).to(tile.dtype)
        total = tl.dot(product, tile, total)
        part = tl.dot(rows.T, product)
        tl.atomic_add(right + m * K + offs_m[None, :] * K + offs_k[:, None], part, sem="relaxed")
    left_desc.store([row, 0], total.to(rows.dtype))

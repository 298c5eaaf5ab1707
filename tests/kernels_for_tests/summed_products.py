"""out += (A B^T) B and total += its column sums, each program adding what its rows of B give."""

import torch
import triton
import triton.language as tl

import twill


def inputs(M=128, N=128, seed=0):
    random = torch.Generator().manual_seed(seed)
    a, b = (torch.randn(n, 64, generator=random).half() for n in (M, N))
    sums = {"out": torch.zeros(M, 64), "total": torch.zeros(64)}
    return {"a": a, "b": b, **sums, "M": M, "N": N, "BM": 64, "BN": 64, "K": 64}


def truth(a, b, out, total, **_):
    product = (a.double() @ b.double().T) @ b.double()
    return {"out": out.double() + product, "total": total.double() + product.sum(0)}


@twill.kernel(example=inputs, grid=lambda a: (a["N"] // a["BN"],), reference=truth, multiple_of={"M": "BM", "N": "BN"})
@triton.jit
def summed_products(a, b, out, total, M, N, BM: tl.constexpr, BN: tl.constexpr, K: tl.constexpr):
    row = tl.program_id(0) * BN
    a_desc = tl.make_tensor_descriptor(a, [M, K], [K, 1], [BM, K])
    b_desc = tl.make_tensor_descriptor(b, [N, K], [K, 1], [BN, K])
    right = b_desc.load([row, 0])
    columns = tl.arange(0, K)
    acc = tl.zeros([BM, K], tl.float32)
    for m in range(0, M, BM):
        left = a_desc.load([m, 0])
        inner = tl.dot(left, right.T)
        product = tl.dot(inner.to(right.dtype), right)
        rows = m + tl.arange(0, BM)
        tl.atomic_add(out + rows[:, None] * K + columns[None, :], product, sem="relaxed")
        acc += product
    tl.atomic_add(total + columns, tl.sum(acc, 0))

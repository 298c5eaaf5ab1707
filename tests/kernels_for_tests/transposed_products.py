"""out += A (B^T B), each program adding what its 128 rows of B give; the second dot has a transposed left operand."""

import torch
import triton
import triton.language as tl

import twill


def inputs(M=128, N=256, seed=0):
    random = torch.Generator().manual_seed(seed)
    a, b = (torch.randn(n, 64, generator=random).half() for n in (M, N))
    return {"a": a, "b": b, "out": torch.zeros(M, 64), "M": M, "N": N, "BM": 64, "BN": 128, "K": 64}


def truth(a, b, out, **_):
    return {"out": out.double() + a.double() @ b.double().T @ b.double()}


@twill.kernel(example=inputs, grid=lambda a: (a["N"] // a["BN"],), reference=truth, multiple_of={"M": "BM", "N": "BN"})
@triton.jit
def transposed_products(a, b, out, M, N, BM: tl.constexpr, BN: tl.constexpr, K: tl.constexpr):
    row = tl.program_id(0) * BN
    a_desc = tl.make_tensor_descriptor(a, [M, K], [K, 1], [BM, K])
    b_desc = tl.make_tensor_descriptor(b, [N, K], [K, 1], [BN, K])
    right = b_desc.load([row, 0])
    rows = tl.arange(0, BM)
    columns = tl.arange(0, K)
    for m in range(0, M, BM):
        inner = tl.dot(right, a_desc.load([m, 0]).T)
        product = tl.dot(inner.to(right.dtype).T, right)
        tl.atomic_add(out + m * K + rows[:, None] * K + columns[None, :], product, sem="relaxed")

"""A product of matrices that is bound by its loads, with tile sizes to choose from."""

import torch
import triton
import triton.language as tl

import twill


def inputs(M=128, N=128, K=256, seed=0):
    random = torch.Generator().manual_seed(seed)
    a = torch.randn(M, K, generator=random).bfloat16()
    b = (torch.randn(K, N, generator=random) * K**-0.5).bfloat16()
    c = torch.empty(M, N, dtype=torch.bfloat16)
    return {"a": a, "b": b, "c": c, "M": M, "N": N, "K": K, "BLOCK_M": 128, "BLOCK_N": 64, "BLOCK_K": 64}


def truth(a, b, **_):
    return {"c": a.double() @ b.double()}


@twill.kernel(
    example=inputs,
    grid=lambda a: (a["M"] // a["BLOCK_M"], a["N"] // a["BLOCK_N"]),
    reference=truth,
    tune={"BLOCK_N": [32, 64, 96, 128], "BLOCK_K": [64, 1024]},
)
@triton.jit
def tuned(a, b, c, M, N, K, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr):
    a_desc = tl.make_tensor_descriptor(a, [M, K], [K, 1], [BLOCK_M, BLOCK_K])
    b_desc = tl.make_tensor_descriptor(b, [K, N], [N, 1], [BLOCK_K, BLOCK_N])
    c_desc = tl.make_tensor_descriptor(c, [M, N], [N, 1], [BLOCK_M, BLOCK_N])
    row = tl.program_id(0) * BLOCK_M
    col = tl.program_id(1) * BLOCK_N
    acc = tl.zeros([BLOCK_M, BLOCK_N], tl.float32)
    for k in range(0, K, BLOCK_K):
        acc = tl.dot(a_desc.load([row, k]), b_desc.load([k, col]), acc)
    c_desc.store([row, col], acc.to(tl.bfloat16))

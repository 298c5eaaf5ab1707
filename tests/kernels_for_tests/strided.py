"""C = A B + R with every pitch an argument; R is read by pointers."""

import torch
import triton
import triton.language as tl

import twill


def inputs(M=128, N=128, K=128, seed=0):
    random = torch.Generator().manual_seed(seed)
    a = torch.randn(M, K, generator=random).half()
    b = torch.randn(K, N, generator=random).half()
    bias = torch.randn(M, N, generator=random)
    return {
        "a": a, "b": b, "bias": bias, "c": torch.empty(M, N).half(), "M": M, "N": N, "K": K,
        "stride_am": K, "stride_bk": N, "stride_rm": N, "stride_rn": 1, "stride_cm": N,
    }  # fmt: skip


@twill.kernel(example=inputs, grid=lambda a: (a["M"] // 64, a["N"] // 64))
@triton.jit
def strided(a, b, bias, c, M, N, K, stride_am, stride_bk, stride_rm, stride_rn, stride_cm):
    a_desc = tl.make_tensor_descriptor(a, [M, K], [stride_am, 1], [64, 64])
    b_desc = tl.make_tensor_descriptor(b, [K, N], [stride_bk, 1], [64, 64])
    c_desc = tl.make_tensor_descriptor(c, [M, N], [stride_cm, 1], [64, 64])
    row, col = tl.program_id(0) * 64, tl.program_id(1) * 64
    acc = tl.zeros([64, 64], tl.float32)
    for k in range(0, K, 64):
        acc = tl.dot(a_desc.load([row, k]), b_desc.load([k, col]), acc)
    rows, cols = row + tl.arange(0, 64), col + tl.arange(0, 64)
    acc += tl.load(bias + rows[:, None] * stride_rm + cols[None, :] * stride_rn)
    c_desc.store([row, col], acc.to(tl.float16))

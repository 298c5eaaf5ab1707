"""Softmax of rows too long to keep: one loop finds the maximum and the sum, a second one reads the row again."""

import torch
import triton
import triton.language as tl

import twill


def inputs(M=128, N=512, seed=0):
    x = torch.randn(M, N, generator=torch.Generator().manual_seed(seed)).half()
    return {"x": x, "y": torch.empty_like(x), "lse": torch.empty(M), "M": M, "N": N, "BLOCK_M": 64, "BLOCK_N": 64}


def truth(x, **_):
    return {"y": x.double().softmax(1), "lse": x.double().logsumexp(1)}


@twill.kernel(example=inputs, grid=lambda a: (a["M"] // a["BLOCK_M"],), reference=truth)
@triton.jit
def row_softmax(x, y, lse, M, N, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr):
    """x, y: [M, N] fp16; lse: [M] fp32, the logarithm of each row's sum of exponentials."""
    row = tl.program_id(0) * BLOCK_M
    x_desc = tl.make_tensor_descriptor(x, [M, N], [N, 1], [BLOCK_M, BLOCK_N])
    y_desc = tl.make_tensor_descriptor(y, [M, N], [N, 1], [BLOCK_M, BLOCK_N])
    largest = tl.full([BLOCK_M], float("-inf"), tl.float32)
    total = tl.zeros([BLOCK_M], tl.float32)
    for n in range(0, N, BLOCK_N):
        tile = x_desc.load([row, n]).to(tl.float32)
        new = tl.maximum(largest, tl.max(tile, 1))
        total = total * tl.exp(largest - new) + tl.sum(tl.exp(tile - new[:, None]), 1)
        largest = new
    shift = largest + tl.log(total)
    tl.store(lse + row + tl.arange(0, BLOCK_M), shift)
    for n in range(0, N, BLOCK_N):
        tile = x_desc.load([row, n]).to(tl.float32)
        y_desc.store([row, n], tl.exp(tile - shift[:, None]).to(tl.float16))

"""Sum of squares of each row: a loop without products of matrices."""

import torch
import triton
import triton.language as tl

import twill


def inputs(M=128, N=512, seed=0):
    x = torch.randn(M, N, generator=torch.Generator().manual_seed(seed)).half()
    return {"x": x, "sums": torch.empty(M), "M": M, "N": N, "BLOCK_M": 64, "BLOCK_N": 128}


def truth(x, **_):
    return {"sums": x.double().square().sum(1)}


@twill.kernel(example=inputs, grid=lambda a: (a["M"] // a["BLOCK_M"],), reference=truth)
@triton.jit
def row_squares(x, sums, M, N, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr):
    row = tl.program_id(0) * BLOCK_M
    x_desc = tl.make_tensor_descriptor(x, [M, N], [N, 1], [BLOCK_M, BLOCK_N])
    total = tl.zeros([BLOCK_M], tl.float32)
    for n in range(0, N, BLOCK_N):
        tile = x_desc.load([row, n]).to(tl.float32)
        total += tl.sum(tile * tile, 1)
    tl.store(sums + row + tl.arange(0, BLOCK_M), total)

"""A matmul whose tiles all come through pointers: masked asynchronous copies, one transposed, one also read."""

import torch
import triton
import triton.language as tl

import twill


def inputs(M=256, N=200, K=168, dtype="fp16", seed=0):
    """Launch arguments: a [M, K], b [N, K]; K is a multiple of 8, N is not."""
    kind = {"fp16": torch.float16, "bf16": torch.bfloat16}[dtype]
    random = torch.Generator().manual_seed(seed)
    a, b = (torch.randn(rows, K, generator=random).to(kind) for rows in (M, N))
    return {
        "a": a, "b": b, "c": torch.empty(M, N), "sums": torch.empty(-(-N // 128), M), "M": M, "N": N, "K": K,
        "BM": 128, "BN": 128, "BK": 64,
    }  # fmt: skip


def truth(a, b, M, N, K, **_):
    """The product, and the sums of the rows of a for each block of columns, in float64."""
    a, b = a.flatten()[: M * K].view(M, K).double(), b.flatten()[: N * K].view(N, K).double()
    return {"c": a @ b.T, "sums": a.sum(1).expand(-(-N // 128), M)}


@twill.kernel(
    example=inputs,
    grid=lambda a: (triton.cdiv(a["M"], a["BM"]), triton.cdiv(a["N"], a["BN"])),
    reference=truth,
)
@triton.jit
def pointer_matmul(a, b, c, sums, M, N, K, BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr):
    """c [M, N] = a [M, K] @ b [N, K]^T; sums [blocks of N, M]: of the rows of a."""
    rows = tl.program_id(0) * BM + tl.arange(0, BM)
    cols = tl.program_id(1) * BN + tl.arange(0, BN)
    acc = tl.zeros([BM, BN], tl.float32)
    total = tl.zeros([BM], tl.float32)
    for k in range(0, K, BK):
        at = k + tl.arange(0, BK)
        a_tile = tl.load(a + rows[:, None] * K + at[None, :], mask=(rows < M)[:, None] & (at < K)[None, :], other=0.0)
        b_tile = tl.load(b + cols[:, None] * K + at[None, :], mask=(cols < N)[:, None] & (at < K)[None, :], other=0.0)
        acc = tl.dot(a_tile, b_tile.T, acc)
        total += tl.sum(a_tile.to(tl.float32), 1)
    tl.store(c + rows[:, None] * N + cols[None, :], acc, mask=(rows < M)[:, None] & (cols < N)[None, :])
    tl.store(sums + tl.program_id(1) * M + rows, total, mask=rows < M)

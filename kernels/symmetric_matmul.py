"""Symmetric product: C = X Xᵀ, of which the tiles on and above the diagonal are computed and the rest is mirrored."""

import torch
import triton
import triton.language as tl

import twill


def inputs(BATCH=2, M=512, N=512, dtype="fp16", seed=0):
    """Launch arguments for BATCH matrices X [M, N]; dtype is fp16 or bf16."""
    kind = {"fp16": torch.float16, "bf16": torch.bfloat16}[dtype]
    random = torch.Generator().manual_seed(seed)
    x = torch.randn(BATCH, M, N, generator=random).to(kind)
    c = torch.empty(BATCH, M, M, dtype=kind)
    return {"x": x, "c": c, "BATCH": BATCH, "M": M, "N": N, "BLOCK_M": 128, "BLOCK_N": 256, "BLOCK_K": 32}


def truth(x, c, BATCH, M, N, **_):
    """X Xᵀ in float64."""
    x = x.flatten()[: BATCH * M * N].view(BATCH, M, N).double()
    return {"c": x @ x.mT}


@twill.kernel(
    example=inputs,
    # Column i of tiles is BLOCK_N / BLOCK_M · (i + 1) tiles long: down to the end of its own block of the diagonal.
    grid=lambda a: (
        triton.cdiv(a["M"], a["BLOCK_N"]) * (triton.cdiv(a["M"], a["BLOCK_N"]) + 1) // 2
        * (a["BLOCK_N"] // a["BLOCK_M"]),
        a["BATCH"],
    ),
    reference=truth,
)  # fmt: skip
@triton.jit
def symmetric_matmul(x, c, BATCH, M, N, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr):
    """x: [BATCH, M, N]; c: [BATCH, M, M]; contiguous; M and N multiples of 8; BLOCK_N a multiple of BLOCK_M."""
    RATIO: tl.constexpr = BLOCK_N // BLOCK_M
    t = tl.program_id(0)
    batch = tl.program_id(1)
    # Column i of tiles begins at tile RATIO i (i + 1) / 2; the square root is rounded, so it is put right.
    i = ((tl.sqrt(8.0 * (t // RATIO) + 1.0) - 1.0) * 0.5).to(tl.int32)
    i = tl.where(RATIO * ((i + 1) * (i + 2) // 2) <= t, i + 1, i)
    i = tl.where(RATIO * (i * (i + 1) // 2) > t, i - 1, i)
    row = (t - RATIO * (i * (i + 1) // 2)) * BLOCK_M
    col = i * BLOCK_N

    x_desc = tl.make_tensor_descriptor(x, [BATCH, M, N], [M * N, N, 1], [1, BLOCK_M, BLOCK_K])
    y_desc = tl.make_tensor_descriptor(x, [BATCH, M, N], [M * N, N, 1], [1, BLOCK_N, BLOCK_K])
    c_desc = tl.make_tensor_descriptor(c, [BATCH, M, M], [M * M, M, 1], [1, BLOCK_M, BLOCK_N])
    mirror_desc = tl.make_tensor_descriptor(c, [BATCH, M, M], [M * M, M, 1], [1, BLOCK_N, BLOCK_M])
    acc = tl.zeros([BLOCK_M, BLOCK_N], tl.float32)
    for k in range(0, N, BLOCK_K):
        x_tile = x_desc.load([batch, row, k]).reshape(BLOCK_M, BLOCK_K)
        y_tile = y_desc.load([batch, col, k]).reshape(BLOCK_N, BLOCK_K)
        acc = tl.dot(x_tile, y_tile.T, acc)

    tile = acc.to(c.dtype.element_ty)
    c_desc.store([batch, row, col], tile.reshape(1, BLOCK_M, BLOCK_N))
    # The tiles of the diagonal's block cover all of it: their mirror images go below the last row, where nothing is.
    mirror = tl.where(row < col, col, M)
    mirror_desc.store([batch, mirror, row], tile.T.reshape(1, BLOCK_N, BLOCK_M))

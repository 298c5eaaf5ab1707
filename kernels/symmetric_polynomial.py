"""Symmetric polynomial: C = b A + c L Rᵀ, known to be symmetric, of which half the tiles are computed.

With A for all three it is the b A + c A² of a Newton–Schulz step; with commuting symmetric factors, the small products
of the Gram form.
"""

import torch
import triton
import triton.language as tl

import twill


def inputs(BATCH=2, M=512, b=-4.775, c=2.0315, dtype="fp16", seed=0):
    """Launch arguments for BATCH symmetric matrices A [M, M] of norm 1 and their squares; dtype is fp16 or bf16."""
    kind = {"fp16": torch.float16, "bf16": torch.bfloat16}[dtype]
    random = torch.Generator().manual_seed(seed)
    x = torch.randn(BATCH, M, M, generator=random)
    a = ((x + x.mT) * (2 * M) ** -0.5).to(kind)
    return {
        "a": a, "left": a.clone(), "right": a.clone(), "out": torch.empty_like(a),
        "BATCH": BATCH, "M": M, "b": b, "c": c, "BLOCK_M": 128, "BLOCK_N": 256, "BLOCK_K": 32,
    }  # fmt: skip


def truth(a, left, right, out, BATCH, M, b, c, **_):
    """b A + c L Rᵀ in float64."""
    a, left, right = (tensor.flatten()[: BATCH * M * M].view(BATCH, M, M).double() for tensor in (a, left, right))
    return {"out": b * a + c * left @ right.mT}


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
def symmetric_polynomial(
    a, left, right, out, BATCH, M, b, c, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr
):
    """a, left, right, out: [BATCH, M, M], contiguous; M a multiple of 8; BLOCK_N a multiple of BLOCK_M."""
    RATIO: tl.constexpr = BLOCK_N // BLOCK_M
    t = tl.program_id(0)
    batch = tl.program_id(1)
    # Column i of tiles begins at tile RATIO i (i + 1) / 2; the square root is rounded, so it is put right.
    i = ((tl.sqrt(8.0 * (t // RATIO) + 1.0) - 1.0) * 0.5).to(tl.int32)
    i = tl.where(RATIO * ((i + 1) * (i + 2) // 2) <= t, i + 1, i)
    i = tl.where(RATIO * (i * (i + 1) // 2) > t, i - 1, i)
    row = (t - RATIO * (i * (i + 1) // 2)) * BLOCK_M
    col = i * BLOCK_N

    left_desc = tl.make_tensor_descriptor(left, [BATCH, M, M], [M * M, M, 1], [1, BLOCK_M, BLOCK_K])
    right_desc = tl.make_tensor_descriptor(right, [BATCH, M, M], [M * M, M, 1], [1, BLOCK_N, BLOCK_K])
    out_desc = tl.make_tensor_descriptor(out, [BATCH, M, M], [M * M, M, 1], [1, BLOCK_M, BLOCK_N])
    mirror_desc = tl.make_tensor_descriptor(out, [BATCH, M, M], [M * M, M, 1], [1, BLOCK_N, BLOCK_M])
    acc = tl.zeros([BLOCK_M, BLOCK_N], tl.float32)
    for k in range(0, M, BLOCK_K):
        left_tile = left_desc.load([batch, row, k]).reshape(BLOCK_M, BLOCK_K)
        right_tile = right_desc.load([batch, col, k]).reshape(BLOCK_N, BLOCK_K)
        acc = tl.dot(left_tile, right_tile.T, acc)

    # By pointers: a TMA tile of A and the two tiles that are stored do not fit in shared memory.
    rows = tl.arange(0, BLOCK_M)
    cols = col + tl.arange(0, BLOCK_N)
    inside = (row + rows[:, None] < M) & (cols[None, :] < M)
    own = tl.load(a + (batch.to(tl.int64) * M + row) * M + rows[:, None] * M + cols[None, :], mask=inside, other=0.0)
    tile = (b * own.to(tl.float32) + c * acc).to(out.dtype.element_ty)
    out_desc.store([batch, row, col], tile.reshape(1, BLOCK_M, BLOCK_N))
    # The tiles of the diagonal's block cover all of it: their mirror images go below the last row, where nothing is.
    mirror = tl.where(row < col, col, M)
    mirror_desc.store([batch, mirror, row], tile.T.reshape(1, BLOCK_N, BLOCK_M))

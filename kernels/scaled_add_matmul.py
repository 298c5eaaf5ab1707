"""The product that ends a Newton–Schulz step: out = a X + B X, batched."""

import torch
import triton
import triton.language as tl

import twill


def inputs(BATCH=2, M=256, N=512, a=3.4445, dtype="fp16", seed=0):
    """Launch arguments for BATCH matrices B [M, M] and X [M, N]; dtype is fp16 or bf16."""
    kind = {"fp16": torch.float16, "bf16": torch.bfloat16}[dtype]
    random = torch.Generator().manual_seed(seed)
    b = (torch.randn(BATCH, M, M, generator=random) * M**-0.5).to(kind)
    x = torch.randn(BATCH, M, N, generator=random).to(kind)
    return {
        "b": b, "x": x, "out": torch.empty_like(x),
        "BATCH": BATCH, "M": M, "N": N, "a": a, "BLOCK_M": 128, "BLOCK_N": 256, "BLOCK_K": 64,
    }  # fmt: skip


def truth(b, x, out, BATCH, M, N, a, **_):
    """a X + B X in float64."""
    b = b.flatten()[: BATCH * M * M].view(BATCH, M, M).double()
    x = x.flatten()[: BATCH * M * N].view(BATCH, M, N).double()
    return {"out": a * x + b @ x}


@twill.kernel(
    example=inputs,
    grid=lambda a: (triton.cdiv(a["M"], a["BLOCK_M"]), triton.cdiv(a["N"], a["BLOCK_N"]), a["BATCH"]),
    reference=truth,
)
@triton.jit
def scaled_add_matmul(
    b, x, out, BATCH, M, N, a, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr
):  # fmt: skip
    """b: [BATCH, M, M]; x, out: [BATCH, M, N]; contiguous; M and N multiples of 8."""
    row = tl.program_id(0) * BLOCK_M
    col = tl.program_id(1) * BLOCK_N
    batch = tl.program_id(2)

    b_desc = tl.make_tensor_descriptor(b, [BATCH, M, M], [M * M, M, 1], [1, BLOCK_M, BLOCK_K])
    x_desc = tl.make_tensor_descriptor(x, [BATCH, M, N], [M * N, N, 1], [1, BLOCK_K, BLOCK_N])
    out_desc = tl.make_tensor_descriptor(out, [BATCH, M, N], [M * N, N, 1], [1, BLOCK_M, BLOCK_N])
    acc = tl.zeros([BLOCK_M, BLOCK_N], tl.float32)
    for k in range(0, M, BLOCK_K):
        b_tile = b_desc.load([batch, row, k]).reshape(BLOCK_M, BLOCK_K)
        x_tile = x_desc.load([batch, k, col]).reshape(BLOCK_K, BLOCK_N)
        acc = tl.dot(b_tile, x_tile, acc)

    # By pointers: with a TMA tile of X fewer stages of the loop fit in shared memory.
    rows = tl.arange(0, BLOCK_M)
    cols = col + tl.arange(0, BLOCK_N)
    inside = (row + rows[:, None] < M) & (cols[None, :] < N)
    own = tl.load(x + (batch.to(tl.int64) * M + row) * N + rows[:, None] * N + cols[None, :], mask=inside, other=0.0)
    result = (a * own.to(tl.float32) + acc).to(out.dtype.element_ty)
    out_desc.store([batch, row, col], result.reshape(1, BLOCK_M, BLOCK_N))

"""Matrix product whose epilogue adds a residual: C = activation(A B + bias) + residual."""

import torch
import triton
import triton.language as tl

import twill


def inputs(M=256, N=512, K=512, ACTIVATION="none", dtype="fp16", seed=0):
    """Launch arguments for an [M, K] by [K, N] product; dtype is fp16 or bf16."""
    kind = {"fp16": torch.float16, "bf16": torch.bfloat16}[dtype]
    random = torch.Generator().manual_seed(seed)
    a = torch.randn(M, K, generator=random).to(kind)
    b = (torch.randn(K, N, generator=random) * K**-0.5).to(kind)
    bias = torch.randn(N, generator=random)
    residual = torch.randn(M, N, generator=random).to(kind)
    return {
        "a": a, "b": b, "bias": bias, "residual": residual, "c": torch.empty(M, N, dtype=kind),
        "M": M, "N": N, "K": K,
        "BLOCK_M": 128, "BLOCK_N": 256, "BLOCK_K": 64, "ACTIVATION": ACTIVATION,
    }  # fmt: skip


def truth(a, b, bias, residual, M, N, K, ACTIVATION, **_):
    """The product and its epilogue in float64."""
    a = a.flatten()[: M * K].view(M, K).double()
    b = b.flatten()[: K * N].view(K, N).double()
    x = a @ b + bias[:N].double()
    if ACTIVATION == "silu":
        x = torch.nn.functional.silu(x)
    elif ACTIVATION == "gelu":
        x = torch.nn.functional.gelu(x, approximate="tanh")
    return {"c": x + residual.flatten()[: M * N].view(M, N).double()}


@twill.kernel(
    example=inputs,
    grid=lambda a: (triton.cdiv(a["M"], a["BLOCK_M"]), triton.cdiv(a["N"], a["BLOCK_N"])),
    reference=truth,
    tune={"BLOCK_M": [64, 128], "BLOCK_N": [128, 256], "BLOCK_K": [32, 64]},
)
@triton.jit
def matmul_residual(
    a, b, bias, residual, c, M, N, K,
    BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr, ACTIVATION: tl.constexpr,
):  # fmt: skip
    """a: [M, K]; b: [K, N]; bias: [N] fp32; residual and c: [M, N], contiguous; K and N multiples of 8.

    ACTIVATION is "silu", "gelu" (its tanh form) or "none".
    """
    a_desc = tl.make_tensor_descriptor(a, [M, K], [K, 1], [BLOCK_M, BLOCK_K])
    b_desc = tl.make_tensor_descriptor(b, [K, N], [N, 1], [BLOCK_K, BLOCK_N])
    c_desc = tl.make_tensor_descriptor(c, [M, N], [N, 1], [BLOCK_M, BLOCK_N])

    row = tl.program_id(0) * BLOCK_M
    col = tl.program_id(1) * BLOCK_N
    offs_n = col + tl.arange(0, BLOCK_N)
    # The bias first: after the loop its registers are the residual's.
    acc = tl.zeros([BLOCK_M, BLOCK_N], tl.float32) + tl.load(bias + offs_n, mask=offs_n < N, other=0.0)[None, :]
    for k in range(0, K, BLOCK_K):
        a_tile = a_desc.load([row, k])
        b_tile = b_desc.load([k, col])
        acc = tl.dot(a_tile, b_tile, acc)

    x = acc
    if ACTIVATION == "silu":
        x = x * tl.sigmoid(x)
    elif ACTIVATION == "gelu":
        x = x * tl.sigmoid(1.5957691216057308 * (x + 0.044715 * x * x * x))
    # Not by a descriptor: its tile would take the shared memory of two stages of the loop.
    offs_m = row + tl.arange(0, BLOCK_M)
    inside = (offs_m < M)[:, None] & (offs_n < N)[None, :]
    x += tl.load(residual + offs_m[:, None] * N + offs_n[None, :], mask=inside, other=0.0).to(tl.float32)
    c_desc.store([row, col], x.to(c.dtype.element_ty))

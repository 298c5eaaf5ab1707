"""Matrix product by programs that stay: C = activation(A B + bias) [+ residual], one tile of C after another.

While a tile is stored, the tiles of A and B of the next one are loaded already. Tiles are taken in groups of rows, so
that programs that run at the same time share what they read.
"""

import torch
import triton
import triton.language as tl

import twill


def inputs(M=384, N=512, K=192, programs=4, ACTIVATION="silu", RESIDUAL=False, dtype="fp16", seed=0):
    """Launch arguments for an [M, K] by [K, N] product by so many programs at most; dtype is fp16 or bf16."""
    kind = {"fp16": torch.float16, "bf16": torch.bfloat16}[dtype]
    random = torch.Generator().manual_seed(seed)
    a = torch.randn(M, K, generator=random).to(kind)
    b = (torch.randn(K, N, generator=random) * max(K, 1) ** -0.5).to(kind)
    bias = torch.randn(N, generator=random)
    residual = torch.randn(M, N, generator=random).to(kind)
    return {
        "a": a, "b": b, "bias": bias, "residual": residual, "c": torch.empty(M, N, dtype=kind),
        "M": M, "N": N, "K": K, "programs": programs,
        "BLOCK_M": 128, "BLOCK_N": 256, "BLOCK_K": 64, "GROUP": 8, "ACTIVATION": ACTIVATION, "RESIDUAL": RESIDUAL,
    }  # fmt: skip


def truth(a, b, bias, residual, M, N, K, ACTIVATION, RESIDUAL, **_):
    """The product and its epilogue in float64."""
    a = a.flatten()[: M * K].view(M, K).double()
    b = b.flatten()[: K * N].view(K, N).double()
    x = a @ b + bias[:N].double()
    if ACTIVATION == "silu":
        x = torch.nn.functional.silu(x)
    elif ACTIVATION == "gelu":
        x = torch.nn.functional.gelu(x, approximate="tanh")
    return {"c": x + residual.flatten()[: M * N].view(M, N).double() if RESIDUAL else x}


@twill.kernel(
    example=inputs,
    grid=lambda a: (min(max(a["programs"], 1), triton.cdiv(a["M"], a["BLOCK_M"]) * triton.cdiv(a["N"], a["BLOCK_N"])),),
    reference=truth,
    tune={"BLOCK_M": [64, 128], "BLOCK_N": [128, 256], "BLOCK_K": [32, 64]},
)
@triton.jit
def matmul_persistent(
    a, b, bias, residual, c, M, N, K, programs,
    BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr, GROUP: tl.constexpr,
    ACTIVATION: tl.constexpr, RESIDUAL: tl.constexpr,
):  # fmt: skip
    """a: [M, K]; b: [K, N]; bias: [N] fp32; residual and c: [M, N], contiguous; K and N multiples of 8.

    programs: at most so many run, which should be the device's multiprocessors. ACTIVATION is "silu", "gelu" (its
    tanh form) or "none". Without RESIDUAL, `residual` is not read.
    """
    a_desc = tl.make_tensor_descriptor(a, [M, K], [K, 1], [BLOCK_M, BLOCK_K])
    b_desc = tl.make_tensor_descriptor(b, [K, N], [N, 1], [BLOCK_K, BLOCK_N])
    c_desc = tl.make_tensor_descriptor(c, [M, N], [N, 1], [BLOCK_M, BLOCK_N])
    tiles_m = tl.cdiv(M, BLOCK_M)
    tiles_n = tl.cdiv(N, BLOCK_N)
    for tile in range(tl.program_id(0), tiles_m * tiles_n, tl.num_programs(0)):
        first = tile // (GROUP * tiles_n) * GROUP
        height = min(tiles_m - first, GROUP)
        place = tile % (GROUP * tiles_n)
        row = (first + place % height) * BLOCK_M
        col = place // height * BLOCK_N
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
        if RESIDUAL:
            # Not by a descriptor: its tile would take the shared memory of two stages of the loop.
            offs_m = row + tl.arange(0, BLOCK_M)
            inside = (offs_m < M)[:, None] & (offs_n < N)[None, :]
            x += tl.load(residual + offs_m[:, None] * N + offs_n[None, :], mask=inside, other=0.0).to(tl.float32)
        c_desc.store([row, col], x.to(c.dtype.element_ty))

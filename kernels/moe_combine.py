"""What the experts return, weighted and summed for each token: out_t = sum over j of weight_tj * y_position(t, j)."""

import torch
import triton
import triton.language as tl

import twill


def inputs(T=200, K=3, N=512, P=None, dtype="fp16", seed=0):
    """Launch arguments for T tokens of K choices among P rows (as many) of N values; dtype is fp16 or bf16."""
    P = T * K if P is None else P
    kind = {"fp16": torch.float16, "bf16": torch.bfloat16}[dtype]
    random = torch.Generator().manual_seed(seed)
    return {
        "y": torch.randn(P, N, generator=random).to(kind),
        "positions": torch.randint(-1, P, (T * K,), generator=random), "weights": torch.rand(T * K, generator=random),
        "out": torch.empty(T, N, dtype=kind), "T": T, "K": K, "N": N, "BT": 16, "BN": 256,
    }  # fmt: skip


def truth(y, positions, weights, out, T, K, N, **_):
    """The weighted sums in float64."""
    y = y.flatten().view(-1, N).double()
    position, weight = (of.flatten()[: T * K].view(T, K, 1) for of in (positions, weights))
    return {"out": (torch.where(position >= 0, y[position[..., 0].clamp(min=0)], 0) * weight.double()).sum(1)}


@twill.kernel(
    example=inputs,
    grid=lambda a: (triton.cdiv(a["T"], a["BT"]),),
    reference=truth,
)
@triton.jit
def moe_combine(y, positions, weights, out, T, K, N, BT: tl.constexpr, BN: tl.constexpr):
    """y: [P, N]; positions: [T, K] int64, rows of y or -1; weights: [T, K] fp32; out: [T, N]; all contiguous.

    Choices without a row count as 0, whatever their weight. The sum is in fp32, in the order of the choices. One loop
    goes through the choices of a block of columns, then of the next.
    """
    token = tl.program_id(0) * BT + tl.arange(0, BT)
    acc = tl.zeros([BT, BN], tl.float32)
    place = token.to(tl.int64) * N
    for i in range(0, K * tl.cdiv(N, BN)):
        j = i % K
        col = i // K * BN + tl.arange(0, BN)
        inside = (col < N)[None, :]
        position = tl.load(positions + token * K + j, mask=token < T, other=-1)
        weight = tl.load(weights + token * K + j, mask=position >= 0, other=0.0)
        rows = tl.load(y + position[:, None] * N + col[None, :], mask=(position >= 0)[:, None] & inside, other=0.0)
        part = weight[:, None] * rows
        acc = tl.where(j == 0, part, acc + part)
        tl.store(
            out + place[:, None] + col[None, :], acc.to(out.dtype.element_ty),
            mask=(token < T)[:, None] & inside & (j == K - 1),
        )  # fmt: skip

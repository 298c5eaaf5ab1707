"""Backward attention, gradient of the queries: dQ = scale * (P * (dO V^T - delta)) K."""

import torch
import triton
import triton.language as tl

import twill


def inputs(H=2, M=512, N=512, D=128, CAUSAL=False, dtype="fp16", seed=0):
    """Launch arguments for H heads of M queries and N keys; dtype is fp16 or bf16.

    lse is the natural logarithm of the softmax's denominator, delta the row sums of o * do.
    """
    kind = {"fp16": torch.float16, "bf16": torch.bfloat16}[dtype]
    random = torch.Generator().manual_seed(seed)
    q, k, v, do = (torch.randn(H, rows, D, generator=random).to(kind) for rows in (M, N, N, M))
    scale = D**-0.5
    scores = scores_of(q, k, scale, CAUSAL)
    lse = scores.logsumexp(-1)
    delta = ((scores.softmax(-1) @ v.double()) * do.double()).sum(-1)
    return {
        "q": q, "k": k, "v": v, "do": do, "lse": lse.float(), "delta": delta.float(), "dq": torch.empty_like(q),
        "H": H, "M": M, "N": N, "scale": scale,
        "D": D, "BLOCK_M": 128, "BLOCK_N": 64, "CAUSAL": CAUSAL,
    }  # fmt: skip


def scores_of(q, k, scale, causal):
    """scale * Q K^T in float64, masked when causal."""
    scores = scale * q.double() @ k.double().mT
    if causal:
        visible = torch.ones(scores.shape[-2:], dtype=torch.bool, device=q.device).tril()
        scores = scores.masked_fill(~visible, float("-inf"))
    return scores


def truth(q, k, v, do, lse, delta, H, M, N, scale, D, CAUSAL, **_):
    """The gradient in float64, from the lse and delta given."""
    q, do = (x.flatten()[: H * M * D].view(H, M, D).double() for x in (q, do))
    k, v = (x.flatten()[: H * N * D].view(H, N, D).double() for x in (k, v))
    lse, delta = (x.flatten()[: H * M].view(H, M, 1).double() for x in (lse, delta))
    p = (scores_of(q, k, scale, CAUSAL) - lse).exp()
    return {"dq": scale * (p * (do @ v.mT - delta)) @ k}


@twill.kernel(
    example=inputs,
    grid=lambda a: (a["M"] // a["BLOCK_M"], a["H"]),
    reference=truth,
    tune={"BLOCK_M": [64, 128], "BLOCK_N": [64, 128]},
    multiple_of={"M": "BLOCK_M", "N": "BLOCK_N"},
)
@triton.jit
def attn_bwd_dq(
    q, k, v, do, lse, delta, dq, H, M, N, scale,
    D: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, CAUSAL: tl.constexpr,
):  # fmt: skip
    """q, do, dq: [H, M, D]; k, v: [H, N, D]; lse, delta: [H, M] fp32, contiguous."""
    pid_m = tl.program_id(0)
    head = tl.program_id(1)
    q_desc = tl.make_tensor_descriptor(q, [H * M, D], [D, 1], [BLOCK_M, D])
    k_desc = tl.make_tensor_descriptor(k, [H * N, D], [D, 1], [BLOCK_N, D])
    v_desc = tl.make_tensor_descriptor(v, [H * N, D], [D, 1], [BLOCK_N, D])
    do_desc = tl.make_tensor_descriptor(do, [H * M, D], [D, 1], [BLOCK_M, D])
    dq_desc = tl.make_tensor_descriptor(dq, [H * M, D], [D, 1], [BLOCK_M, D])

    row = head * M + pid_m * BLOCK_M
    q_tile = q_desc.load([row, 0])
    do_tile = do_desc.load([row, 0])
    rows = row + tl.arange(0, BLOCK_M)
    log2_e = 1.4426950408889634
    lse_log2 = tl.load(lse + rows) * log2_e
    delta_rows = tl.load(delta + rows)
    scale_log2 = scale * log2_e
    acc = tl.zeros([BLOCK_M, D], tl.float32)
    offs_m = pid_m * BLOCK_M + tl.arange(0, BLOCK_M)
    offs_n = tl.arange(0, BLOCK_N)
    end = N
    if CAUSAL:
        end = tl.minimum(N, (pid_m + 1) * BLOCK_M)

    for n in range(0, end, BLOCK_N):
        k_tile = k_desc.load([head * N + n, 0])
        s = tl.dot(q_tile, k_tile.T)
        p = tl.exp2(s * scale_log2 - lse_log2[:, None])
        if CAUSAL:
            p = tl.where(offs_m[:, None] >= n + offs_n[None, :], p, 0.0)
        v_tile = v_desc.load([head * N + n, 0])
        dp = tl.dot(do_tile, v_tile.T)
        ds = p * (dp - delta_rows[:, None])
        acc = tl.dot(ds.to(k_tile.dtype), k_tile, acc)

    dq_desc.store([row, 0], (acc * scale).to(q_tile.dtype))

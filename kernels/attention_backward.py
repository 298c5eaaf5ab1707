"""Backward attention in a single pass over the keys: dV, dK, and dQ added up in fp32 by atomics.

With P = exp(S - lse), dP = dO V^T, dS = P * (dP - delta): dV = P^T dO, dK = scale * dS^T Q, dQ = scale * dS K.
A program owns a block of keys and goes over the queries, so it holds S and dS transposed; of dQ it knows only what its
keys give, and adds that, without the scale, to `dq`, which must be zero before the launch: dQ is scale * dq.
"""

import torch
import triton
import triton.language as tl

import twill


def inputs(H=2, G=1, M=256, N=256, D=64, CAUSAL=False, dtype="fp16", seed=0):
    """Launch arguments for H heads of N keys, each under G heads of M queries; dtype is fp16 or bf16.

    lse is the natural logarithm of the softmax's denominator, delta the row sums of o * do.
    """
    kind = {"fp16": torch.float16, "bf16": torch.bfloat16}[dtype]
    random = torch.Generator().manual_seed(seed)
    q, do = (torch.randn(H * G, M, D, generator=random).to(kind) for _ in range(2))
    k, v = (torch.randn(H, N, D, generator=random).to(kind) for _ in range(2))
    scale = D**-0.5
    scores = scores_of(q, k, scale, G, CAUSAL)
    delta = ((scores.softmax(-1) @ v.double().repeat_interleave(G, 0)) * do.double()).sum(-1)
    return {
        "q": q, "k": k, "v": v, "do": do, "lse": scores.logsumexp(-1).float(), "delta": delta.float(),
        "dq": torch.zeros(H * G, M, D), "dk": torch.empty_like(k), "dv": torch.empty_like(v),
        "H": H, "G": G, "M": M, "N": N, "scale": scale,
        "D": D, "BLOCK_M": 32 if CAUSAL else 64, "BLOCK_N": 128, "CAUSAL": CAUSAL,
    }  # fmt: skip


def scores_of(q, k, scale, group, causal):
    """scale * Q K^T in float64, [H * G, M, N], masked when causal."""
    scores = scale * q.double() @ k.double().repeat_interleave(group, 0).mT
    if causal:
        visible = torch.ones(scores.shape[-2:], dtype=torch.bool, device=q.device).tril()
        scores = scores.masked_fill(~visible, float("-inf"))
    return scores


def truth(q, k, v, do, lse, delta, dq, H, G, M, N, scale, D, CAUSAL, **_):
    """The gradients in float64, from the lse and delta given; dq is what it was and dS K."""
    q, do, dq = (x.flatten()[: H * G * M * D].view(H * G, M, D).double() for x in (q, do, dq))
    k, v = (x.flatten()[: H * N * D].view(H, N, D).double() for x in (k, v))
    lse, delta = (x.flatten()[: H * G * M].view(H * G, M, 1).double() for x in (lse, delta))
    p = (scores_of(q, k, scale, G, CAUSAL) - lse).exp()
    ds = p * (do @ v.repeat_interleave(G, 0).mT - delta)
    return {
        "dq": dq + ds @ k.repeat_interleave(G, 0),
        "dk": (scale * ds.mT @ q).view(H, G, N, D).sum(1),
        "dv": (p.mT @ do).view(H, G, N, D).sum(1),
    }  # fmt: skip


@twill.kernel(
    example=inputs,
    grid=lambda a: (a["N"] // a["BLOCK_N"], a["H"]),
    reference=truth,
    multiple_of={"M": "BLOCK_M", "N": "BLOCK_N"},
)
@triton.jit
def attention_backward(
    q, k, v, do, lse, delta, dq, dk, dv, H, G, M, N, scale,
    D: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, CAUSAL: tl.constexpr,
):  # fmt: skip
    """q, do, dq: [H * G, M, D]; k, v, dk, dv: [H, N, D]; lse, delta: [H * G, M]; contiguous. dq, lse, delta: fp32.

    Adds dQ / scale to dq, writes dk and dv. CAUSAL: query i sees the keys 0 .. i.
    """
    pid_n = tl.program_id(0)
    head = tl.program_id(1)
    rows = H * G * M
    q_desc = tl.make_tensor_descriptor(q, [rows, D], [D, 1], [BLOCK_M, D])
    do_desc = tl.make_tensor_descriptor(do, [rows, D], [D, 1], [BLOCK_M, D])
    k_desc = tl.make_tensor_descriptor(k, [H * N, D], [D, 1], [BLOCK_N, D])
    v_desc = tl.make_tensor_descriptor(v, [H * N, D], [D, 1], [BLOCK_N, D])
    dk_desc = tl.make_tensor_descriptor(dk, [H * N, D], [D, 1], [BLOCK_N, D])
    dv_desc = tl.make_tensor_descriptor(dv, [H * N, D], [D, 1], [BLOCK_N, D])
    lse_desc = tl.make_tensor_descriptor(lse, [1, rows], [rows, 1], [1, BLOCK_M])
    delta_desc = tl.make_tensor_descriptor(delta, [1, rows], [rows, 1], [1, BLOCK_M])

    key = head * N + pid_n * BLOCK_N
    k_tile = k_desc.load([key, 0])
    v_tile = v_desc.load([key, 0])
    dk_acc = tl.zeros([BLOCK_N, D], tl.float32)
    dv_acc = tl.zeros([BLOCK_N, D], tl.float32)
    log2_e = 1.4426950408889634
    scale_log2 = scale * log2_e
    offs_m = tl.arange(0, BLOCK_M)
    offs_d = tl.arange(0, D)
    offs_n = pid_n * BLOCK_N + tl.arange(0, BLOCK_N)
    first = 0
    if CAUSAL:  # the queries before it see none of these keys
        first = tl.minimum(M, pid_n * BLOCK_N)
    span = M - first

    # The group's heads one after the other: step t is query first + t % span of head t // span.
    for t in range(0, G * span, BLOCK_M):
        m = t
        row = head * G * M + t
        if CAUSAL:
            g = t // span
            m = first + t - g * span
            row = (head * G + g) * M + m
        q_tile = q_desc.load([row, 0])
        do_tile = do_desc.load([row, 0])
        lse_row = lse_desc.load([0, row]) * log2_e
        delta_row = delta_desc.load([0, row])
        s = tl.dot(k_tile, q_tile.T)
        p = tl.exp2(s * scale_log2 - lse_row)
        if CAUSAL:
            p = tl.where(offs_m[None, :] >= (offs_n - m)[:, None], p, 0.0)
        dp = tl.dot(v_tile, do_tile.T)
        dv_acc = tl.dot(p.to(do_tile.dtype), do_tile, dv_acc)
        ds = (p * (dp - delta_row)).to(q_tile.dtype)
        dk_acc = tl.dot(ds, q_tile, dk_acc)
        dq_part = tl.dot(k_tile.T, ds)  # [D, BLOCK_M]
        # The scalar part of the address comes first: what is left of it is the same in every iteration.
        tl.atomic_add(dq + row * D + offs_m[None, :] * D + offs_d[:, None], dq_part, sem="relaxed")

    dv_desc.store([key, 0], dv_acc.to(k_tile.dtype))
    dk_desc.store([key, 0], (dk_acc * scale).to(k_tile.dtype))

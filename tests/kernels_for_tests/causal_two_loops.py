"""Causal attention as two loops, over the blocks that every query of the tile sees, then over those of the diagonal."""

import torch
import triton
import triton.language as tl

import twill


def inputs(H=2, N=512, D=64, BLOCK_M=128, BLOCK_N=64, dtype="fp16", seed=0):
    kind = {"fp16": torch.float16, "bf16": torch.bfloat16}[dtype]
    random = torch.Generator().manual_seed(seed)
    q, k, v = (torch.randn(H, N, D, generator=random).to(kind) for _ in range(3))
    return {
        "q": q, "k": k, "v": v, "o": torch.empty_like(q), "H": H, "N": N, "scale": D**-0.5,
        "D": D, "BLOCK_M": BLOCK_M, "BLOCK_N": BLOCK_N,
    }  # fmt: skip


def truth(q, k, v, H, N, scale, D, **_):
    q, k, v = (x.flatten()[: H * N * D].view(H, N, D).double() for x in (q, k, v))
    hidden = ~torch.ones(N, N, dtype=torch.bool, device=q.device).tril()
    return {"o": (scale * q @ k.mT).masked_fill(hidden, float("-inf")).softmax(-1) @ v}


@triton.jit
def over_keys(
    acc, l_i, m_i, q_tile, k_desc, v_desc, first_key, begin, end, scale_log2, offs_m, offs_n,
    BLOCK_N: tl.constexpr, MASKED: tl.constexpr,
):  # fmt: skip
    """The online softmax over keys begin .. end, all of which are seen unless MASKED."""
    at = first_key + begin
    for n in range(begin, end, BLOCK_N):
        k_tile = k_desc.load([at, 0])
        s = tl.dot(q_tile, k_tile.T) * scale_log2
        if MASKED:
            s = tl.where(offs_m[:, None] >= n + offs_n[None, :], s, float("-inf"))
        m_new = tl.maximum(m_i, tl.max(s, 1))
        p = tl.exp2(s - m_new[:, None])
        alpha = tl.exp2(m_i - m_new)
        l_i = l_i * alpha + tl.sum(p, 1)
        acc = acc * alpha[:, None]
        v_tile = v_desc.load([at, 0])
        acc = tl.dot(p.to(v_tile.dtype), v_tile, acc)
        m_i = m_new
        at += BLOCK_N
    return acc, l_i, m_i


@twill.kernel(
    example=inputs,
    grid=lambda a: (a["N"] // a["BLOCK_M"], a["H"]),
    reference=truth,
    multiple_of={"N": "BLOCK_M"},
)
@triton.jit
def causal_two_loops(
    q, k, v, o, H, N, scale, D: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr
):  # fmt: skip
    """q, k, v, o: [H, N, D], contiguous; query i sees the keys 0 .. i."""
    pid = tl.program_id(0)
    head = tl.program_id(1)
    q_desc = tl.make_tensor_descriptor(q, [H * N, D], [D, 1], [BLOCK_M, D])
    k_desc = tl.make_tensor_descriptor(k, [H * N, D], [D, 1], [BLOCK_N, D])
    v_desc = tl.make_tensor_descriptor(v, [H * N, D], [D, 1], [BLOCK_N, D])
    o_desc = tl.make_tensor_descriptor(o, [H * N, D], [D, 1], [BLOCK_M, D])
    row = head * N + pid * BLOCK_M
    offs_m = pid * BLOCK_M + tl.arange(0, BLOCK_M)
    offs_n = tl.arange(0, BLOCK_N)
    m_i = tl.full([BLOCK_M], float("-inf"), tl.float32)
    l_i = tl.zeros([BLOCK_M], tl.float32)
    acc = tl.zeros([BLOCK_M, D], tl.float32)
    q_tile = q_desc.load([row, 0])
    scale_log2 = scale * 1.4426950408889634
    diagonal = pid * BLOCK_M
    acc, l_i, m_i = over_keys(
        acc, l_i, m_i, q_tile, k_desc, v_desc, head * N, 0, diagonal, scale_log2, offs_m, offs_n, BLOCK_N, False
    )
    acc, l_i, m_i = over_keys(
        acc, l_i, m_i, q_tile, k_desc, v_desc, head * N, diagonal, diagonal + BLOCK_M, scale_log2, offs_m, offs_n,
        BLOCK_N, True,
    )  # fmt: skip
    o_desc.store([row, 0], (acc / l_i[:, None]).to(q_tile.dtype))

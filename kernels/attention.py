"""Forward attention: O = softmax(scale * Q K^T) V, one pass over the keys with a running maximum."""

import torch
import triton
import triton.language as tl

import twill


def inputs(H=2, M=512, N=512, D=128, CAUSAL=False, dtype="fp16", seed=0):
    """Launch arguments for H heads of M queries and N keys; dtype is fp16 or bf16."""
    kind = {"fp16": torch.float16, "bf16": torch.bfloat16}[dtype]
    random = torch.Generator().manual_seed(seed)
    q, k, v = (torch.randn(H, rows, D, generator=random).to(kind) for rows in (M, N, N))
    return {
        "q": q, "k": k, "v": v, "o": torch.empty_like(q),
        "H": H, "M": M, "N": N, "scale": D**-0.5,
        "D": D, "BLOCK_M": 128, "BLOCK_N": 128, "CAUSAL": CAUSAL,
    }  # fmt: skip


def truth(q, k, v, H, M, N, scale, D, CAUSAL, **_):
    """Attention in float64."""
    q, k, v = (x.flatten()[: H * rows * D].view(H, rows, D).double() for x, rows in ((q, M), (k, N), (v, N)))
    scores = scale * q @ k.mT
    if CAUSAL:
        scores = scores.masked_fill(~torch.ones(M, N, dtype=torch.bool, device=q.device).tril(), float("-inf"))
    return {"o": scores.softmax(-1) @ v}


@twill.kernel(
    example=inputs,
    grid=lambda a: (a["M"] // a["BLOCK_M"], a["H"]),
    reference=truth,
    tune={"BLOCK_M": [64, 128, 256], "BLOCK_N": [64, 128]},
    multiple_of={"M": "BLOCK_M", "N": "BLOCK_N"},
)
@triton.jit
def attn_fwd(
    q, k, v, o, H, M, N, scale,
    D: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, CAUSAL: tl.constexpr,
):  # fmt: skip
    """q, o: [H, M, D]; k, v: [H, N, D], contiguous. Causal: query i sees the keys 0 .. i."""
    pid_m = tl.program_id(0)
    head = tl.program_id(1)
    q_desc = tl.make_tensor_descriptor(q, [H * M, D], [D, 1], [BLOCK_M, D])
    k_desc = tl.make_tensor_descriptor(k, [H * N, D], [D, 1], [BLOCK_N, D])
    v_desc = tl.make_tensor_descriptor(v, [H * N, D], [D, 1], [BLOCK_N, D])
    o_desc = tl.make_tensor_descriptor(o, [H * M, D], [D, 1], [BLOCK_M, D])

    row = head * M + pid_m * BLOCK_M
    q_tile = q_desc.load([row, 0])
    m_i = tl.full([BLOCK_M], float("-inf"), tl.float32)
    l_i = tl.zeros([BLOCK_M], tl.float32)
    acc = tl.zeros([BLOCK_M, D], tl.float32)
    scale_log2 = scale * 1.4426950408889634
    offs_m = pid_m * BLOCK_M + tl.arange(0, BLOCK_M)
    offs_n = tl.arange(0, BLOCK_N)
    end = N
    if CAUSAL:
        end = tl.minimum(N, (pid_m + 1) * BLOCK_M)

    for n in range(0, end, BLOCK_N):
        k_tile = k_desc.load([head * N + n, 0])
        s = tl.dot(q_tile, k_tile.T) * scale_log2
        if CAUSAL:
            s = tl.where(offs_m[:, None] >= n + offs_n[None, :], s, float("-inf"))
        m_new = tl.maximum(m_i, tl.max(s, 1))
        p = tl.exp2(s - m_new[:, None])
        alpha = tl.exp2(m_i - m_new)
        l_i = l_i * alpha + tl.sum(p, 1)
        acc = acc * alpha[:, None]
        v_tile = v_desc.load([head * N + n, 0])
        acc = tl.dot(p.to(v_tile.dtype), v_tile, acc)
        m_i = m_new

    o_desc.store([row, 0], (acc / l_i[:, None]).to(q_tile.dtype))

"""Forward attention with the log-sum-exp that its backward needs: causal, sliding window, grouped queries.

O = softmax(scale * Q K^T) V in one pass over the keys; lse = log(sum(exp(scale * Q K^T))).
"""

import torch
import triton
import triton.language as tl

import twill


def inputs(H=4, G=2, M=512, N=512, D=128, window=200, CAUSAL=False, WINDOWED=False, dtype="fp16", seed=0):
    """Launch arguments for H heads of M queries, G of them a head of N keys; dtype is fp16 or bf16."""
    kind = {"fp16": torch.float16, "bf16": torch.bfloat16}[dtype]
    random = torch.Generator().manual_seed(seed)
    q = torch.randn(H, M, D, generator=random).to(kind)
    k, v = (torch.randn(-(-H // G), N, D, generator=random).to(kind) for _ in range(2))
    return {
        "q": q, "k": k, "v": v, "o": torch.empty_like(q), "lse": torch.empty(H, M),
        "H": H, "G": G, "M": M, "N": N, "window": window, "scale": D**-0.5, "D": D, "BLOCK_M": 128,
        "BLOCK_N": 64 if D > 128 or (WINDOWED and D < 128) else 128, "CAUSAL": CAUSAL, "WINDOWED": WINDOWED,
    }  # fmt: skip


def truth(q, k, v, H, G, M, N, window, scale, D, CAUSAL, WINDOWED, **_):
    """Attention and its log-sum-exp in float64; a query without keys has o = 0 and lse = -inf."""
    q = q.flatten()[: H * M * D].view(H, M, D).double()
    heads = -(-H // G)
    k, v = (
        x.flatten()[: heads * N * D].view(heads, N, D).double().repeat_interleave(G, 0)[:H] for x in (k, v)
    )  # fmt: skip
    ahead = torch.arange(M, device=q.device)[:, None] - torch.arange(N, device=q.device)
    visible = torch.ones_like(ahead, dtype=torch.bool)
    if CAUSAL:
        visible &= ahead >= 0
    if WINDOWED:
        visible &= ahead.abs() < window
    scores = (scale * q @ k.mT).masked_fill(~visible, float("-inf"))
    return {"o": scores.softmax(-1).nan_to_num(0.0) @ v, "lse": scores.logsumexp(-1)}


@twill.kernel(
    example=inputs,
    grid=lambda a: (a["M"] // a["BLOCK_M"], a["H"]),
    reference=truth,
    tune={"BLOCK_M": [64, 128], "BLOCK_N": [64, 128]},
    multiple_of={"M": "BLOCK_M", "N": "BLOCK_N"},
)
@triton.jit
def attention_fwd(
    q, k, v, o, lse, H, G, M, N, window, scale,
    D: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, CAUSAL: tl.constexpr, WINDOWED: tl.constexpr,
):  # fmt: skip
    """q, o: [H, M, D]; k, v: [H / G, N, D]; lse: [H, M] fp32, natural logarithm; contiguous.

    CAUSAL: query i sees the keys 0 .. i. WINDOWED: query i sees keys less than `window` away.
    """
    pid_m = tl.program_id(0)
    head = tl.program_id(1)
    kv_heads = (H + G - 1) // G
    q_desc = tl.make_tensor_descriptor(q, [H * M, D], [D, 1], [BLOCK_M, D])
    k_desc = tl.make_tensor_descriptor(k, [kv_heads * N, D], [D, 1], [BLOCK_N, D])
    v_desc = tl.make_tensor_descriptor(v, [kv_heads * N, D], [D, 1], [BLOCK_N, D])
    o_desc = tl.make_tensor_descriptor(o, [H * M, D], [D, 1], [BLOCK_M, D])

    row = head * M + pid_m * BLOCK_M
    key = head // G * N
    q_tile = q_desc.load([row, 0])
    m_i = tl.full([BLOCK_M], float("-inf"), tl.float32)
    l_i = tl.zeros([BLOCK_M], tl.float32)
    acc = tl.zeros([BLOCK_M, D], tl.float32)
    scale_log2 = scale * 1.4426950408889634
    offs_m = pid_m * BLOCK_M + tl.arange(0, BLOCK_M)
    offs_n = tl.arange(0, BLOCK_N)
    begin = 0
    end = N
    if WINDOWED:
        begin = tl.maximum(0, pid_m * BLOCK_M - window + 1) // BLOCK_N * BLOCK_N
        end = tl.minimum(end, (pid_m + 1) * BLOCK_M + window - 1)
    if CAUSAL:
        end = tl.minimum(end, (pid_m + 1) * BLOCK_M)

    for n in range(begin, end, BLOCK_N):
        k_tile = k_desc.load([key + n, 0])
        s = tl.dot(q_tile, k_tile.T) * scale_log2
        if CAUSAL and not WINDOWED:
            s = tl.where(offs_m[:, None] >= n + offs_n[None, :], s, float("-inf"))
        if WINDOWED:  # both ends in one comparison: without a sign, a number below zero is a large one
            last, span = (offs_m, window) if CAUSAL else (offs_m + window - 1, 2 * window - 1)
            ago = last[:, None] - (n + offs_n[None, :])
            s = tl.where(ago.to(tl.uint32) < span, s, float("-inf"))
        m_new = tl.maximum(m_i, tl.max(s, 1))
        m_safe = m_new
        if WINDOWED:  # a row may have seen no key yet: exp2(-inf - -inf) is no number
            m_safe = tl.where(m_new == float("-inf"), 0.0, m_new)
        p = tl.exp2(s - m_safe[:, None])
        alpha = tl.exp2(m_i - m_safe)
        l_i = l_i * alpha + tl.sum(p, 1)
        acc = acc * alpha[:, None]
        v_tile = v_desc.load([key + n, 0])
        acc = tl.dot(p.to(v_tile.dtype), v_tile, acc)
        m_i = m_new

    total = l_i
    if WINDOWED:
        total = tl.where(l_i == 0.0, 1.0, l_i)
    result = (acc / total[:, None]).to(q_tile.dtype)
    if D <= 128:
        o_desc.store([row, 0], result)
    else:  # a tile of it in shared memory would take the room of two tiles of keys and values
        tl.store(o + row * D + tl.arange(0, BLOCK_M)[:, None] * D + tl.arange(0, D)[None, :], result)
    tl.store(lse + row + tl.arange(0, BLOCK_M), (m_i + tl.log2(l_i)) * 0.6931471805599453)

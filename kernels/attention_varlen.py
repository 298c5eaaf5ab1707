"""Forward attention of sequences of several lengths, packed one after the other: causal, grouped queries, log-sum-exp.

Each sequence's queries see its own keys only; where they begin and end is read from memory.
"""

import torch
import triton
import triton.language as tl

import twill


def inputs(TQ=370, TK=524, H=2, G=2, D=128, CAUSAL=False, dtype="fp16", seed=0):
    """Launch arguments for four sequences, one without queries, one without keys; H heads, G of them a head of keys."""
    kind = {"fp16": torch.float16, "bf16": torch.bfloat16}[dtype]
    random = torch.Generator().manual_seed(seed)
    at = (("q", TQ, (0, 200, 200, 330, 370)), ("k", TK, (0, 200, 264, 524, 524)))
    starts = {name: torch.tensor(cuts).mul(total).floor_divide(cuts[-1]).int() for name, total, cuts in at}
    q = torch.randn(TQ, H, D, generator=random).to(kind)
    k, v = (torch.randn(TK, -(-H // G), D, generator=random).to(kind) for _ in range(2))
    return {
        "q": q, "k": k, "v": v, "starts_q": starts["q"], "starts_k": starts["k"],
        "o": torch.zeros_like(q), "lse": torch.zeros(H, TQ),
        "TQ": TQ, "TK": TK, "B": 4, "H": H, "G": G, "LONGEST": int(starts["q"].diff().max()), "scale": D**-0.5,
        "D": D, "BLOCK_M": 128, "BLOCK_N": 128 if D == 128 else 64, "CAUSAL": CAUSAL,
    }  # fmt: skip


def truth(q, k, v, starts_q, starts_k, TQ, TK, B, H, G, scale, D, CAUSAL, **_):
    """Attention and its log-sum-exp in float64; a query without keys has o = 0 and lse = -inf."""
    heads = -(-H // G)
    q = q.flatten()[: TQ * H * D].view(TQ, H, D).double()
    k, v = (x.flatten()[: TK * heads * D].view(TK, heads, D).double() for x in (k, v))
    k, v = (x.repeat_interleave(G, 1)[:, :H] for x in (k, v))
    o, lse = torch.zeros_like(q), torch.zeros(H, TQ, dtype=torch.float64, device=q.device)
    for b in range(B):
        rows, columns = (slice(int(x[b]), int(x[b + 1])) for x in (starts_q, starts_k))
        scores = scale * torch.einsum("mhd,nhd->hmn", q[rows], k[columns])
        if CAUSAL:
            scores = scores.masked_fill(torch.ones_like(scores, dtype=torch.bool).triu(1), float("-inf"))
        o[rows] = torch.einsum("hmn,nhd->mhd", scores.softmax(-1), v[columns])
        lse[:, rows] = scores.logsumexp(-1)
    return {"o": o, "lse": lse}


@twill.kernel(
    example=inputs,
    grid=lambda a: (-(-a["LONGEST"] // a["BLOCK_M"]), a["H"], a["B"]),
    reference=truth,
)
@triton.jit
def attention_varlen(
    q, k, v, starts_q, starts_k, o, lse, TQ, TK, B, H, G, LONGEST, scale,
    D: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, CAUSAL: tl.constexpr,
):  # fmt: skip
    """q, o: [TQ, H, D]; k, v: [TK, H / G, D]; lse: [H, TQ] fp32, natural logarithm; contiguous.

    starts_q, starts_k: [B + 1] int32, where the sequences begin, and the totals. LONGEST: queries of the longest.
    CAUSAL: query i of a sequence sees its keys 0 .. i.
    """
    first = tl.program_id(0) * BLOCK_M
    head = tl.program_id(1)
    sequence = tl.program_id(2)
    kv_heads = (H + G - 1) // G
    q_desc = tl.make_tensor_descriptor(q, [TQ, H * D], [H * D, 1], [BLOCK_M, D])
    k_desc = tl.make_tensor_descriptor(k, [TK, kv_heads * D], [kv_heads * D, 1], [BLOCK_N, D])
    v_desc = tl.make_tensor_descriptor(v, [TK, kv_heads * D], [kv_heads * D, 1], [BLOCK_N, D])

    row = tl.load(starts_q + sequence) + first
    left = tl.load(starts_q + sequence + 1) - row  # queries from this program's first one on
    key = tl.load(starts_k + sequence)
    keys = tl.load(starts_k + sequence + 1) - key
    column = head // G * D
    q_tile = q_desc.load([row, head * D])
    m_i = tl.full([BLOCK_M], float("-inf"), tl.float32)
    l_i = tl.zeros([BLOCK_M], tl.float32)
    acc = tl.zeros([BLOCK_M, D], tl.float32)
    scale_log2 = scale * 1.4426950408889634
    offs_m = tl.arange(0, BLOCK_M)
    offs_n = tl.arange(0, BLOCK_N)
    end = tl.where(left > 0, keys, 0)
    seen = tl.where(offs_m < left, keys, 1)  # of each query's keys; a row behind the last query is not stored
    if CAUSAL:
        end = tl.minimum(end, first + BLOCK_M)
        seen = tl.minimum(first + offs_m + 1, keys)

    # A query's first key is in the first tile, so its maximum is a number from then on.
    for n in range(0, end, BLOCK_N):
        k_tile = k_desc.load([key + n, column])
        s = tl.dot(q_tile, k_tile.T) * scale_log2
        s = tl.where(offs_n[None, :] < (seen - n)[:, None], s, float("-inf"))
        m_new = tl.maximum(m_i, tl.max(s, 1))
        p = tl.exp2(s - m_new[:, None])
        alpha = tl.exp2(m_i - m_new)
        l_i = l_i * alpha + tl.sum(p, 1)
        acc = acc * alpha[:, None]
        v_tile = v_desc.load([key + n, column])
        acc = tl.dot(p.to(v_tile.dtype), v_tile, acc)
        m_i = m_new

    total = tl.where(l_i == 0.0, 1.0, l_i)
    inside = offs_m < left
    at = (row * H + head) * D + offs_m[:, None] * (H * D) + tl.arange(0, D)[None, :]
    tl.store(o + at, (acc / total[:, None]).to(q_tile.dtype), mask=inside[:, None])
    tl.store(lse + head * TQ + row + offs_m, (m_i + tl.log2(l_i)) * 0.6931471805599453, mask=inside)

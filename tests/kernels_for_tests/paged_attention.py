"""Attention over pages: keys and values lie in pages that a table lists, whole tiles of them or several to a tile."""

import torch
import triton
import triton.language as tl

import twill


def inputs(B=2, M=128, N=512, PAGE=128, dtype="fp16", seed=0):
    """Launch arguments for B sequences of N keys in pages of PAGE, shuffled among twice as many."""
    kind = {"fp16": torch.float16, "bf16": torch.bfloat16}[dtype]
    random = torch.Generator().manual_seed(seed)
    q = torch.randn(B, M, 64, generator=random).to(kind)
    pages = 2 * B * N // PAGE
    k, v = (torch.randn(pages, PAGE, 64, generator=random).to(kind) for _ in range(2))
    table = torch.randperm(pages, generator=random)[: B * N // PAGE].to(torch.int32).view(B, N // PAGE)
    return {
        "q": q, "k": k, "v": v, "table": table, "o": torch.empty_like(q), "B": B, "M": M, "N": N, "LISTED": N // PAGE,
        "ROWS": pages * PAGE, "scale": 0.125, "D": 64, "BM": 128, "BN": 128, "PAGE": PAGE,
    }  # fmt: skip


def truth(q, k, v, table, B, M, N, LISTED, scale, D, PAGE, **_):
    """softmax(scale q k^T) v of each sequence, in float64."""
    q = q.flatten()[: B * M * D].view(B, M, D).double()
    at = table.flatten()[: B * LISTED].long().view(B, LISTED)[:, : N // PAGE]
    k, v = (x.flatten().view(-1, PAGE, D)[at].reshape(B, N, D).double() for x in (k, v))
    return {"o": (scale * q @ k.mT).softmax(-1) @ v}


@twill.kernel(
    example=inputs, grid=lambda a: (a["M"] // a["BM"], a["B"]), reference=truth, multiple_of={"M": "BM", "N": "BN"}
)
@triton.jit
def paged_attention(
    q, k, v, table, o, B, M, N, LISTED, ROWS, scale,
    D: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr, PAGE: tl.constexpr,
):  # fmt: skip
    """q, o: [B, M, D]; k, v: [pages, PAGE, D], ROWS rows in all; table: [B, LISTED] int32, of which the first
    N / PAGE are read. PAGE divides BN."""
    row = tl.program_id(1) * M + tl.program_id(0) * BM
    mine = tl.program_id(1) * LISTED
    qd = tl.make_tensor_descriptor(q, [B * M, D], [D, 1], [BM, D])
    od = tl.make_tensor_descriptor(o, [B * M, D], [D, 1], [BM, D])
    q_tile = qd.load([row, 0])
    m = tl.full([BM], float("-inf"), tl.float32)
    total = tl.zeros([BM], tl.float32)
    acc = tl.zeros([BM, D], tl.float32)
    if PAGE == BN:
        kd = tl.make_tensor_descriptor(k, [ROWS, D], [D, 1], [BN, D])
        vd = tl.make_tensor_descriptor(v, [ROWS, D], [D, 1], [BN, D])
    for n in range(0, N, BN):
        if PAGE == BN:
            page = tl.load(table + mine + n // BN)
            k_tile = kd.load([page * BN, 0])
            v_tile = vd.load([page * BN, 0])
        else:
            at = n + tl.arange(0, BN)
            rows = tl.load(table + mine + at // PAGE) * PAGE + at % PAGE
            k_tile = tl.load(k + rows[:, None] * D + tl.arange(0, D)[None, :])
            v_tile = tl.load(v + rows[:, None] * D + tl.arange(0, D)[None, :])
        s = tl.dot(q_tile, k_tile.T) * (scale * 1.44269504)
        m_new = tl.maximum(m, tl.max(s, 1))
        p = tl.exp2(s - m_new[:, None])
        alpha = tl.exp2(m - m_new)
        total = total * alpha + tl.sum(p, 1)
        acc = acc * alpha[:, None]
        acc = tl.dot(p.to(q.dtype.element_ty), v_tile, acc)
        m = m_new
    od.store([row, 0], (acc / total[:, None]).to(o.dtype.element_ty))

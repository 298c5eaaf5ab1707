"""Causal attention by programs that stay: each takes (head, query block) after (head, query block).

Tiles have trip counts of their own, Q is loaded once a tile, and a program may have no tile at all.
"""

import torch
import triton
import triton.language as tl

import twill


def inputs(H=2, M=256, programs=5):
    random = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(H, M, 64, generator=random).to(torch.float16) for _ in range(3))
    return {
        "q": q, "k": k, "v": v, "o": torch.empty_like(q), "H": H, "M": M, "programs": programs, "scale": 0.125,
        "D": 64, "BLOCK_M": 128, "BLOCK_N": 64,
    }  # fmt: skip


def truth(q, k, v, H, M, scale, D, **_):
    q, k, v = (x.flatten()[: H * M * D].view(H, M, D).double() for x in (q, k, v))
    scores = (scale * q @ k.mT).masked_fill(~torch.ones(M, M, dtype=torch.bool).tril(), float("-inf"))
    return {"o": scores.softmax(-1) @ v}


@twill.kernel(
    example=inputs,
    grid=lambda a: (a["programs"],),
    reference=truth,
    multiple_of={"M": "BLOCK_M"},
)
@triton.jit
def persistent_attention(
    q, k, v, o, H, M, programs, scale, D: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr
):
    q_desc = tl.make_tensor_descriptor(q, [H * M, D], [D, 1], [BLOCK_M, D])
    k_desc = tl.make_tensor_descriptor(k, [H * M, D], [D, 1], [BLOCK_N, D])
    v_desc = tl.make_tensor_descriptor(v, [H * M, D], [D, 1], [BLOCK_N, D])
    o_desc = tl.make_tensor_descriptor(o, [H * M, D], [D, 1], [BLOCK_M, D])
    scale_log2 = scale * 1.4426950408889634
    offs_n = tl.arange(0, BLOCK_N)
    blocks = M // BLOCK_M
    for tile in range(tl.program_id(0), H * blocks, tl.num_programs(0)):
        head = tile // blocks
        block = tile % blocks
        row = head * M + block * BLOCK_M
        offs_m = block * BLOCK_M + tl.arange(0, BLOCK_M)
        q_tile = q_desc.load([row, 0])
        m_i = tl.full([BLOCK_M], float("-inf"), tl.float32)
        l_i = tl.zeros([BLOCK_M], tl.float32)
        acc = tl.zeros([BLOCK_M, D], tl.float32)
        for n in range(0, (block + 1) * BLOCK_M, BLOCK_N):
            k_tile = k_desc.load([head * M + n, 0])
            s = tl.dot(q_tile, k_tile.T) * scale_log2
            s = tl.where(offs_m[:, None] >= n + offs_n[None, :], s, float("-inf"))
            m_new = tl.maximum(m_i, tl.max(s, 1))
            p = tl.exp2(s - m_new[:, None])
            alpha = tl.exp2(m_i - m_new)
            l_i = l_i * alpha + tl.sum(p, 1)
            acc = acc * alpha[:, None]
            v_tile = v_desc.load([head * M + n, 0])
            acc = tl.dot(p.to(tl.float16), v_tile, acc)
            m_i = m_new
        o_desc.store([row, 0], (acc / l_i[:, None]).to(tl.float16))

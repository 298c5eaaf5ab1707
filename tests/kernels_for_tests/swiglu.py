"""Two products that share their left operand, joined by a gate: C = silu(A W) * (A V)."""

import torch
import triton
import triton.language as tl

import twill


def inputs(M=128, N=128, K=256, seed=0):
    random = torch.Generator().manual_seed(seed)
    a = torch.randn(M, K, generator=random).bfloat16()
    w, v = ((torch.randn(K, N, generator=random) * K**-0.5).bfloat16() for _ in range(2))
    return {
        "a": a, "w": w, "v": v, "c": torch.empty(M, N, dtype=torch.bfloat16), "M": M, "N": N, "K": K,
        "BLOCK_M": 128, "BLOCK_N": 64, "BLOCK_K": 64,
    }  # fmt: skip


def truth(a, w, v, **_):
    a, w, v = a.double(), w.double(), v.double()
    return {"c": torch.nn.functional.silu(a @ w) * (a @ v)}


@twill.kernel(example=inputs, grid=lambda a: (a["M"] // a["BLOCK_M"], a["N"] // a["BLOCK_N"]), reference=truth)
@triton.jit
def swiglu(a, w, v, c, M, N, K, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr):
    a_desc = tl.make_tensor_descriptor(a, [M, K], [K, 1], [BLOCK_M, BLOCK_K])
    w_desc = tl.make_tensor_descriptor(w, [K, N], [N, 1], [BLOCK_K, BLOCK_N])
    v_desc = tl.make_tensor_descriptor(v, [K, N], [N, 1], [BLOCK_K, BLOCK_N])
    c_desc = tl.make_tensor_descriptor(c, [M, N], [N, 1], [BLOCK_M, BLOCK_N])
    row = tl.program_id(0) * BLOCK_M
    col = tl.program_id(1) * BLOCK_N
    gate = tl.zeros([BLOCK_M, BLOCK_N], tl.float32)
    up = tl.zeros([BLOCK_M, BLOCK_N], tl.float32)
    for k in range(0, K, BLOCK_K):
        a_tile = a_desc.load([row, k])
        w_tile = w_desc.load([k, col])
        v_tile = v_desc.load([k, col])
        gate = tl.dot(a_tile, w_tile, gate)
        up = tl.dot(a_tile, v_tile, up)
    c_desc.store([row, col], (gate * tl.sigmoid(gate) * up).to(tl.bfloat16))

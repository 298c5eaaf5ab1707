"""Attention with a ReLU for a softmax, its tensors described in four dimensions."""

import torch
import triton
import triton.language as tl

import twill


def inputs(B=1, H=2, S=256, D=64, seed=0):
    random = torch.Generator().manual_seed(seed)
    q, k, v = (torch.randn(B, H, S, D, generator=random).half() for _ in range(3))
    return {"q": q, "k": k, "v": v, "o": torch.empty_like(q), "B": B, "H": H, "S": S, "D": D, "ROWS": 128, "KEYS": 64}


def truth(q, k, v, D, **_):
    q, k, v = q.double(), k.double(), v.double()
    return {"o": torch.relu(q @ k.mT) @ v / D}


@twill.kernel(example=inputs, grid=lambda a: (a["S"] // a["ROWS"], a["B"] * a["H"]), reference=truth)
@triton.jit
def relu_attention(q, k, v, o, B, H, S, D: tl.constexpr, ROWS: tl.constexpr, KEYS: tl.constexpr):
    row = tl.program_id(0) * ROWS
    batch = tl.program_id(1) // H
    head = tl.program_id(1) % H
    q_desc = tl.make_tensor_descriptor(q, [B, H, S, D], [H * S * D, S * D, D, 1], [1, 1, ROWS, D])
    k_desc = tl.make_tensor_descriptor(k, [B, H, S, D], [H * S * D, S * D, D, 1], [1, 1, KEYS, D])
    v_desc = tl.make_tensor_descriptor(v, [B, H, S, D], [H * S * D, S * D, D, 1], [1, 1, KEYS, D])
    o_desc = tl.make_tensor_descriptor(o, [B, H, S, D], [H * S * D, S * D, D, 1], [1, 1, ROWS, D])
    q_tile = q_desc.load([batch, head, row, 0]).reshape(ROWS, D)
    acc = tl.zeros([ROWS, D], tl.float32)
    for n in range(0, S, KEYS):
        k_tile = k_desc.load([batch, head, n, 0]).reshape(KEYS, D)
        weights = tl.maximum(tl.dot(q_tile, k_tile.T), 0.0)
        v_tile = v_desc.load([batch, head, n, 0]).reshape(KEYS, D)
        acc = tl.dot(weights.to(tl.float16), v_tile, acc)
    o_desc.store([batch, head, row, 0], (acc / D).to(tl.float16).reshape(1, 1, ROWS, D))

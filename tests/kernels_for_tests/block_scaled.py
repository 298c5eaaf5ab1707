"""Loads by pointers in the loop: a product whose blocks of k have a scale for each row, one for each tile of columns,
and a masked, gathered weight for each column."""

import torch
import triton
import triton.language as tl

import twill


def inputs():
    random = torch.Generator().manual_seed(0)

    def normal(*shape):
        return torch.randn(*shape, generator=random, dtype=torch.float32)

    return {
        "a": normal(128, 256).to(torch.float16),
        "b": normal(256, 64).to(torch.float16),
        "row_scale": normal(4, 128).abs(),
        "tile_scale": normal(4).abs(),
        "pick": torch.randint(0, 60, (4, 64), generator=random, dtype=torch.int32),
        "weight": normal(60),
        "c": torch.empty(128, 64, dtype=torch.float32),
        "K": 256,
        "BLOCK": 64,
    }


def truth(a, b, row_scale, tile_scale, pick, weight, K, BLOCK, **_):
    found = torch.zeros(128, 64, dtype=torch.float64)
    for k in range(0, K, BLOCK):
        at = k // BLOCK
        part = a[:, k : k + BLOCK].double() @ b[k : k + BLOCK].double()
        chosen = torch.where(pick[at] < 50, weight.double()[pick[at].long()], 1.0)
        found += part * row_scale[at].double()[:, None] * tile_scale[at].double() * chosen
    return {"c": found}


@twill.kernel(example=inputs, grid=lambda a: (1,), reference=truth, multiple_of={"K": "BLOCK"})
@triton.jit
def block_scaled(a, b, row_scale, tile_scale, pick, weight, c, K, BLOCK: tl.constexpr):
    a_desc = tl.make_tensor_descriptor(a, [128, K], [K, 1], [128, BLOCK])
    b_desc = tl.make_tensor_descriptor(b, [K, 64], [64, 1], [BLOCK, 64])
    rows, columns = tl.arange(0, 128), tl.arange(0, 64)
    total = tl.zeros([128, 64], tl.float32)
    for k in range(0, K, BLOCK):
        at = k // BLOCK
        part = tl.dot(a_desc.load([0, k]), b_desc.load([k, 0]))
        scale = tl.load(row_scale + at * 128 + rows) * tl.load(tile_scale + at)
        picked = tl.load(pick + at * 64 + columns)
        chosen = tl.load(weight + picked, mask=picked < 50, other=1.0)
        total += part * scale[:, None] * chosen[None, :]
    tl.store(c + rows[:, None] * 64 + columns[None, :], total)

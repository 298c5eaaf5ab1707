"""Branches on run-time values, before, in and after the loop: of scalars, of tiles, nested, around loads and stores."""

import torch
import triton
import triton.language as tl

import twill


def inputs():
    random = torch.Generator().manual_seed(0)
    return {
        "x": torch.randn(2, 64, 256, generator=random, dtype=torch.float32).to(torch.float16),
        "start": torch.randn(64, generator=random, dtype=torch.float32),
        "bound": 128,
        "y": torch.zeros(2, 64, dtype=torch.float32),
        "marks": torch.zeros(2, 64, 2, dtype=torch.float32),
        "N": 256,
        "BLOCK": 32,
    }


def truth(x, start, bound, N, BLOCK, **_):
    x, marks, y = x.double(), torch.zeros(2, 64, 2, dtype=torch.float64), torch.zeros(2, 64, dtype=torch.float64)
    for p in range(2):
        total = start.double().clone() if p else torch.zeros(64, dtype=torch.float64)
        limit = bound // 2 if p else bound
        for n in range(0, N, BLOCK):
            tile = x[p, :, n : n + BLOCK]
            if n < limit:
                total = total + tile.sum(1)
            else:
                total = torch.maximum(total, tile.amax(1) * (2.0 if n > limit else 1.0))
            if n % 128 == 96:
                marks[p, :, n // 128] = total
        if p == 1:
            y[p] = total
    return {"y": y, "marks": marks}


@twill.kernel(example=inputs, grid=lambda a: (2,), reference=truth, multiple_of={"N": 32})
@triton.jit
def gated(x, start, bound, y, marks, N, BLOCK: tl.constexpr):
    pid = tl.program_id(0)
    desc = tl.make_tensor_descriptor(x, [128, N], [N, 1], [64, BLOCK])
    rows = tl.arange(0, 64)
    total = tl.zeros([64], tl.float32)
    if pid > 0:
        total += tl.load(start + rows)
        limit = bound // 2
    else:
        limit = bound
    for n in range(0, N, BLOCK):
        tile = desc.load([pid * 64, n]).to(tl.float32)
        if n < limit:
            total += tl.sum(tile, 1)
        else:
            peak = tl.max(tile, 1)
            if n > limit:
                peak = peak * 2.0
            total = tl.maximum(total, peak)
        if n % 128 == 96:
            tl.store(marks + (pid * 64 + rows) * 2 + n // 128, total, mask=n < 256)
    if pid == 1:
        tl.store(y + pid * 64 + rows, total)

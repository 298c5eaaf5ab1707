"""Sums of the rows of each segment: where one begins and ends is read from memory before the loop."""

import itertools

import torch
import triton
import triton.language as tl

import twill


def inputs():
    random = torch.Generator().manual_seed(0)
    return {
        "x": torch.randn(256, 64, generator=random, dtype=torch.float32).to(torch.float16),
        "offsets": torch.tensor([0, 50, 50, 200, 256], dtype=torch.int32),
        "y": torch.empty(4, 64, dtype=torch.float32),
        "T": 256,
        "BLOCK": 32,
        "D": 64,
    }


def truth(x, offsets, y, T, **_):
    bounds = offsets.tolist()
    return {"y": torch.stack([x[a:b].double().sum(0) for a, b in itertools.pairwise(bounds)])}


@twill.kernel(example=inputs, grid=lambda a: (4,), reference=truth)
@triton.jit
def segment_sums(x, offsets, y, T, BLOCK: tl.constexpr, D: tl.constexpr):
    segment = tl.program_id(0)
    begin = tl.load(offsets + segment)
    end = tl.load(offsets + segment + 1)
    desc = tl.make_tensor_descriptor(x, [T, D], [D, 1], [BLOCK, D])
    rows = tl.arange(0, BLOCK)
    total = tl.zeros([D], tl.float32)
    for t in range(begin, end, BLOCK):
        tile = desc.load([t, 0]).to(tl.float32)
        total += tl.sum(tl.where((t + rows < end)[:, None], tile, 0.0), 0)
    tl.store(y + segment * D + tl.arange(0, D), total)

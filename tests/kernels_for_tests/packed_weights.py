"""Weights of 4 bits, two to an unsigned byte, made into halves in the loop: two dots, each with a computed operand."""

import torch
import triton
import triton.language as tl

import twill


def inputs(M=64, N=128, K=256, BK=64):
    """a: [M, K] fp16; packed: [K // 2, N], the first half of a block of K in the low bits, the second in the high."""
    random = torch.Generator().manual_seed(0)
    a = torch.randn(M, K, generator=random).half()
    weights = torch.randint(0, 16, (K // BK, 2, BK // 2, N), generator=random)
    packed = (weights[:, 0] | weights[:, 1] << 4).reshape(K // 2, N).to(torch.uint8)
    return {"a": a, "packed": packed, "c": torch.empty(M, N), "M": M, "N": N, "K": K, "BM": 64, "BN": 128, "BK": BK}


def truth(a, packed, K, N, BK, **_):
    """The product with the weights less 8, in float64."""
    halves = packed.view(K // BK, BK // 2, N).int()
    weights = torch.stack([halves & 15, halves >> 4], 1).reshape(K, N)
    return {"c": a.double() @ (weights.double() - 8)}


@twill.kernel(
    example=inputs,
    grid=lambda a: (triton.cdiv(a["c"].shape[0], a["BM"]), a["N"] // a["BN"]),
    reference=truth,
)
@triton.jit
def packed_weights(a, packed, c, M, N, K, BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr):
    m, n = tl.program_id(0) * BM, tl.program_id(1) * BN
    a_desc = tl.make_tensor_descriptor(a, [M, K], [K, 1], [BM, BK // 2])
    packed_desc = tl.make_tensor_descriptor(packed, [K // 2, N], [N, 1], [BK // 2, BN])
    c_desc = tl.make_tensor_descriptor(c, [M, N], [N, 1], [BM, BN])
    acc = tl.zeros([BM, BN], tl.float32)
    for k in range(0, K, BK):
        both = packed_desc.load([k // 2, n])
        low = ((both & 15).to(tl.int8) - 8).to(tl.float16)
        high = (both >> 4).to(tl.float16) - 8.0
        acc = tl.dot(a_desc.load([m, k]), low, acc)
        acc = tl.dot(a_desc.load([m, k + BK // 2]), high, acc)
    c_desc.store([m, n], acc)

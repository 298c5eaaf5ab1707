"""A kernel of your own: ordinary Triton, with one decorator that says how it is launched.

python examples/02_your_own_kernel.py
twill compile examples/02_your_own_kernel.py
"""

import torch
import triton
import triton.language as tl

import twill


def inputs(M=256, N=256, K=512):
    """Launch arguments: c[M, N] = silu(a[M, K] @ b[K, N])."""
    random = torch.Generator().manual_seed(0)
    a = torch.randn(M, K, generator=random).bfloat16()
    b = (torch.randn(K, N, generator=random) / K**0.5).bfloat16()
    return {"a": a, "b": b, "c": torch.empty(M, N).bfloat16(), "M": M, "N": N, "K": K, "BM": 128, "BN": 128, "BK": 64}


def truth(a, b, **_):
    """The same in float64; twill checks the emitted kernel against it."""
    return {"c": torch.nn.functional.silu(a.double() @ b.double())}


@twill.kernel(
    example=inputs,
    grid=lambda a: (a["M"] // a["BM"], a["N"] // a["BN"]),
    reference=truth,
    tune={"BM": [64, 128], "BN": [64, 128, 256]},  # optional: tile sizes to choose from
)
@triton.jit
def silu_matmul(a, b, c, M, N, K, BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr):
    m, n = tl.program_id(0) * BM, tl.program_id(1) * BN
    a_desc = tl.make_tensor_descriptor(a, [M, K], [K, 1], [BM, BK])
    b_desc = tl.make_tensor_descriptor(b, [K, N], [N, 1], [BK, BN])
    c_desc = tl.make_tensor_descriptor(c, [M, N], [N, 1], [BM, BN])
    acc = tl.zeros([BM, BN], tl.float32)
    for k in range(0, K, BK):
        acc = tl.dot(a_desc.load([m, k]), b_desc.load([k, n]), acc)
    c_desc.store([m, n], (acc * tl.sigmoid(acc)).to(tl.bfloat16))


if __name__ == "__main__":
    compiled = twill.compile(silu_matmul)
    print(compiled.source)
    for candidate in compiled.candidates[:4]:  # the chosen one first, the others as they rank
        print(f"{candidate.name}: {candidate.sm_cycles} SM cycles for the launch")
    for check in compiled.verify():
        print(f"{check.name:9} {'ok' if check.passed else 'FAILED'}  {check.detail}")
        assert check.passed

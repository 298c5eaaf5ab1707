"""C = A B + R as Triton's tutorial on persistent kernels writes it: a second counter of tiles for the epilogue.

R is loaded after the loop of each tile, as a tile of shared memory that is used again for the next.
"""

import torch
import triton
import triton.language as tl

import twill


def inputs():
    random = torch.Generator().manual_seed(0)
    M, N, K = 320, 128, 96
    a, b, r = (torch.randn(*shape, generator=random).to(torch.float16) for shape in ((M, K), (K, N), (M, N)))
    return {
        "a": a, "b": b, "r": r, "c": torch.empty(M, N, dtype=torch.float16), "M": M, "N": N, "K": K,
        "NUM_SMS": 2, "BLOCK_M": 64, "BLOCK_N": 128, "BLOCK_K": 32, "GROUP": 2,
    }  # fmt: skip


def truth(a, b, r, M, N, K, **_):
    return {"c": a.flatten()[: M * K].view(M, K).double() @ b.flatten()[: K * N].view(K, N).double() + r.double()}


@triton.jit
def place(tile, tiles_m, tiles_n, GROUP: tl.constexpr):
    group = tile // (GROUP * tiles_n)
    rows = min(tiles_m - group * GROUP, GROUP)
    return group * GROUP + tile % rows, tile % (GROUP * tiles_n) // rows


@twill.kernel(
    example=inputs,
    grid=lambda a: (min(a["NUM_SMS"], triton.cdiv(a["M"], a["BLOCK_M"]) * triton.cdiv(a["N"], a["BLOCK_N"])),),
    reference=truth,
)
@triton.jit
def persistent_residual(
    a, b, r, c, M, N, K, NUM_SMS: tl.constexpr,
    BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr, GROUP: tl.constexpr,
):  # fmt: skip
    a_desc = tl.make_tensor_descriptor(a, [M, K], [K, 1], [BLOCK_M, BLOCK_K])
    b_desc = tl.make_tensor_descriptor(b, [K, N], [N, 1], [BLOCK_K, BLOCK_N])
    r_desc = tl.make_tensor_descriptor(r, [M, N], [N, 1], [BLOCK_M, BLOCK_N])
    c_desc = tl.make_tensor_descriptor(c, [M, N], [N, 1], [BLOCK_M, BLOCK_N])
    start = tl.program_id(0)
    tiles_m = tl.cdiv(M, BLOCK_M)
    tiles_n = tl.cdiv(N, BLOCK_N)
    tile_c = start - NUM_SMS
    for tile in tl.range(start, tiles_m * tiles_n, NUM_SMS, flatten=False):
        at_m, at_n = place(tile, tiles_m, tiles_n, GROUP)
        acc = tl.zeros((BLOCK_M, BLOCK_N), tl.float32)
        for k in range(tl.cdiv(K, BLOCK_K)):
            x = a_desc.load([at_m * BLOCK_M, k * BLOCK_K])
            y = b_desc.load([k * BLOCK_K, at_n * BLOCK_N])
            acc = tl.dot(x, y, acc)
        tile_c += NUM_SMS
        at_m, at_n = place(tile_c, tiles_m, tiles_n, GROUP)
        rest = r_desc.load([at_m * BLOCK_M, at_n * BLOCK_N]).to(tl.float32)
        c_desc.store([at_m * BLOCK_M, at_n * BLOCK_N], (acc + rest).to(tl.float16))

"""A matmul with pages: tiles of one factor lie where a table says, rows of another where indices do, both read in the
loop."""

import torch
import triton
import triton.language as tl

import twill


def inputs(M=256, N=128, K=256, dtype="fp16", seed=0):
    """Launch arguments: a [M, K]; pages and w of rows [N], more of them than K."""
    kind = {"fp16": torch.float16, "bf16": torch.bfloat16}[dtype]
    random = torch.Generator().manual_seed(seed)
    a = torch.randn(M, K, generator=random).to(kind)
    pages, w = (torch.randn(2 * K, N, generator=random).to(kind) for _ in range(2))
    table = torch.randint(0, 2 * K // 64, (K // 64,), generator=random, dtype=torch.int32)
    pick = torch.randint(-8, 2 * K, (K,), generator=random, dtype=torch.int32)
    return {
        "a": a, "pages": pages, "table": table, "w": w, "pick": pick, "c": torch.empty(M, N), "M": M, "N": N, "K": K,
        "ROWS": 2 * K, "BM": 128, "BN": 128, "BK": 64,
    }  # fmt: skip


def truth(a, pages, table, w, pick, M, N, K, ROWS, BK, **_):
    """a @ (paged rows + picked rows), in float64; a picked row below 0 is 0."""
    a = a.flatten()[: M * K].view(M, K).double()
    pages, w = (x.flatten()[: ROWS * N].view(ROWS, N).double() for x in (pages, w))
    table, pick = table[: K // BK].long(), pick[:K].long()
    paged = pages.view(-1, BK, N)[table].reshape(K, N)
    picked = torch.where(pick[:, None] >= 0, w[pick.clamp(min=0)], 0)
    return {"c": a @ (paged + picked)}


@twill.kernel(
    example=inputs,
    grid=lambda a: (a["M"] // a["BM"], triton.cdiv(a["N"], a["BN"])),
    reference=truth,
    multiple_of={"M": "BM", "K": "BK"},
)
@triton.jit
def paged_product(a, pages, table, w, pick, c, M, N, K, ROWS, BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr):
    """a: [M, K]; pages, w: [ROWS, N]; table: [K / BK] int32 pages of BK rows; pick: [K] int32 rows; c: [M, N] fp32."""
    row, col = tl.program_id(0) * BM, tl.program_id(1) * BN
    a_desc = tl.make_tensor_descriptor(a, [M, K], [K, 1], [BM, BK])
    pages_desc = tl.make_tensor_descriptor(pages, [ROWS, N], [N, 1], [BK, BN])
    c_desc = tl.make_tensor_descriptor(c, [M, N], [N, 1], [BM, BN])
    cols = col + tl.arange(0, BN)
    acc = tl.zeros([BM, BN], tl.float32)
    for k in range(0, K, BK):
        a_tile = a_desc.load([row, k])
        page = tl.load(table + k // BK)
        page_tile = pages_desc.load([page * BK, col])
        picked = tl.load(pick + k + tl.arange(0, BK))
        w_tile = tl.load(w + picked[:, None] * N + cols[None, :], mask=(picked >= 0)[:, None] & (cols < N)[None, :])
        acc = tl.dot(a_tile, page_tile, acc)
        acc = tl.dot(a_tile, w_tile, acc)
    c_desc.store([row, col], acc)

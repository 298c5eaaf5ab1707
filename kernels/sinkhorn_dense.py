"""Half a Sinkhorn iteration with a given cost matrix, in the log domain."""

import torch
import triton
import triton.language as tl

import twill


def inputs(N=256, M=512, eps=0.25, dtype="fp32", seed=0):
    """Launch arguments for an [N, M] cost matrix; dtype is fp32, fp16 or bf16."""
    kind = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}[dtype]
    random = torch.Generator().manual_seed(seed)
    cost = torch.randn(N, M, generator=random).to(kind)
    P = triton.cdiv(M, 128) * 128
    h = torch.full((P,), float("-inf"))
    used = M - M // 4
    h[:used] = torch.randn(used, generator=random)
    shift = torch.randn(N, generator=random)
    return {
        "cost": cost, "h": h, "shift": shift, "out": torch.empty(N),
        "N": N, "M": M, "P": P, "eps": eps, "BN": 64, "BM": 128,
    }  # fmt: skip


def truth(cost, h, shift, out, N, M, eps, **_):
    """The half step in float64."""
    cost = cost.flatten()[: N * M].view(N, M).double()
    return {"out": shift[:N].double() - eps * ((h[:M].double() - cost) / eps).logsumexp(1)}


@twill.kernel(
    example=inputs,
    grid=lambda a: (triton.cdiv(a["N"], a["BN"]),),
    reference=truth,
    multiple_of={"P": "BM"},
)
@triton.jit
def sinkhorn_dense(cost, h, shift, out, N, M, P, eps, BN: tl.constexpr, BM: tl.constexpr):
    """out_i = shift_i - eps log sum_j exp((h_j - cost_ij) / eps).

    cost: [N, M] contiguous, its rows a multiple of 16 bytes; h: [P] fp32, -inf from M on; shift, out: [N] fp32;
    P: M rounded up to BM. With h_j = g_j + eps log b_j this is, for shift_i = 0, the potential f_i, and for
    shift_i = eps log a_i the h of the next half step, which is over the transposed matrix.
    """
    row = tl.program_id(0) * BN
    cost_desc = tl.make_tensor_descriptor(cost, [N, M], [M, 1], [BN, BM])
    h_desc = tl.make_tensor_descriptor(h, [1, P], [P, 1], [1, BM])

    rows = row + tl.arange(0, BN)
    scale = 1.4426950408889634 / eps
    # A finite start: the weights of a whole tile may be zero, and -inf less -inf is not a number.
    m_i = tl.full([BN], -1e30, tl.float32)
    l_i = tl.zeros([BN], tl.float32)
    for m in range(0, P, BM):
        tile = cost_desc.load([row, m]).to(tl.float32)
        h_tile = h_desc.load([0, m])
        z = (h_tile - tile) * scale
        m_new = tl.maximum(m_i, tl.max(z, 1))
        p = tl.exp2(z - m_new[:, None])
        l_i = l_i * tl.exp2(m_i - m_new) + tl.sum(p, 1)
        m_i = m_new

    log_sum = 0.6931471805599453 * (m_i + tl.log2(l_i))
    tl.store(out + rows, tl.load(shift + rows, mask=rows < N, other=0.0) - eps * log_sum, mask=rows < N)

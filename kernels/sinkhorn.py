"""Half a Sinkhorn iteration between two sets of points, in the log domain and without their cost matrix."""

import torch
import triton
import triton.language as tl

import twill


def inputs(N=256, M=512, D=64, eps=0.25, dtype="fp16", seed=0):
    """Launch arguments for N and M points of D numbers; the weights of the last quarter of the columns are zero."""
    kind = {"fp16": torch.float16, "bf16": torch.bfloat16}[dtype]
    random = torch.Generator().manual_seed(seed)
    x, y = (torch.randn(rows, D, generator=random).div(D**0.5).to(kind) for rows in (N, M))
    P = triton.cdiv(M, 128) * 128
    h = torch.full((P,), float("-inf"))
    used = M - M // 4
    h[:used] = torch.randn(used, generator=random) - y[:used].float().square().sum(1)
    shift = x.float().square().sum(1)
    return {
        "x": x, "y": y, "h": h, "shift": shift, "out": torch.empty(N),
        "N": N, "M": M, "P": P, "eps": eps, "D": D, "BN": 128, "BM": 128,
    }  # fmt: skip


def truth(x, y, h, shift, out, N, M, eps, D, **_):
    """The half step in float64."""
    x = x.flatten()[: N * D].view(N, D).double()
    y = y.flatten()[: M * D].view(M, D).double()
    z = (2 * x @ y.mT + h[:M].double()) / eps
    return {"out": shift[:N].double() - eps * z.logsumexp(1)}


@twill.kernel(
    example=inputs,
    grid=lambda a: (triton.cdiv(a["N"], a["BN"]),),
    reference=truth,
    multiple_of={"P": "BM"},
)
@triton.jit
def sinkhorn(x, y, h, shift, out, N, M, P, eps, D: tl.constexpr, BN: tl.constexpr, BM: tl.constexpr):
    """out_i = shift_i - eps log sum_j exp((2 <x_i, y_j> + h_j) / eps).

    x: [N, D]; y: [M, D], contiguous; h: [P] fp32, -inf from M on; shift, out: [N] fp32; P: M rounded up to BM.
    With h_j = g_j - |y_j|^2 + eps log b_j this is, for shift_i = |x_i|^2, the potential f_i of the squared
    Euclidean distance, and for shift_i = eps log a_i the h of the next half step, in which x and y change places.
    """
    row = tl.program_id(0) * BN
    x_desc = tl.make_tensor_descriptor(x, [N, D], [D, 1], [BN, D])
    y_desc = tl.make_tensor_descriptor(y, [M, D], [D, 1], [BM, D])
    h_desc = tl.make_tensor_descriptor(h, [1, P], [P, 1], [1, BM])

    rows = row + tl.arange(0, BN)
    x_tile = x_desc.load([row, 0])
    scale = 1.4426950408889634 / eps
    # A finite start: the weights of a whole tile may be zero, and -inf less -inf is not a number.
    m_i = tl.full([BN], -1e30, tl.float32)
    l_i = tl.zeros([BN], tl.float32)
    for m in range(0, P, BM):
        y_tile = y_desc.load([m, 0])
        h_tile = h_desc.load([0, m])
        s = tl.dot(x_tile, y_tile.T)
        z = s * (2.0 * scale) + h_tile * scale
        m_new = tl.maximum(m_i, tl.max(z, 1))
        p = tl.exp2(z - m_new[:, None])
        l_i = l_i * tl.exp2(m_i - m_new) + tl.sum(p, 1)
        m_i = m_new

    log_sum = 0.6931471805599453 * (m_i + tl.log2(l_i))
    tl.store(out + rows, tl.load(shift + rows, mask=rows < N, other=0.0) - eps * log_sum, mask=rows < N)

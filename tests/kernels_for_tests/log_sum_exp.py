"""Row-wise log-sum-exp of X Y^T + h: its sum is rescaled by members that stand around other ops in the source."""

import torch
import triton
import triton.language as tl

import twill


def inputs(N=128, M=384, D=64, seed=0):
    random = torch.Generator().manual_seed(seed)
    x, y = (torch.randn(rows, D, generator=random).div(D**0.5).half() for rows in (N, M))
    return {"x": x, "y": y, "h": torch.randn(M, generator=random), "f": torch.empty(N), "N": N, "M": M, "D": D}


def truth(x, y, h, f, N, M, D):
    y, h = y.flatten()[: M * D].view(M, D), h[:M]
    return {"f": (x.double() @ y.double().mT + h.double()).logsumexp(1)}


@twill.kernel(example=inputs, grid=lambda a: (a["N"] // 128,), reference=truth, multiple_of={"M": 128})
@triton.jit
def log_sum_exp(x, y, h, f, N, M, D: tl.constexpr):
    row = tl.program_id(0) * 128
    x_desc = tl.make_tensor_descriptor(x, [N, D], [D, 1], [128, D])
    y_desc = tl.make_tensor_descriptor(y, [M, D], [D, 1], [128, D])
    h_desc = tl.make_tensor_descriptor(h, [1, M], [M, 1], [1, 128])
    x_tile = x_desc.load([row, 0])
    m_i = tl.full([128], float("-inf"), tl.float32)
    l_i = tl.zeros([128], tl.float32)
    for m in range(0, M, 128):
        y_tile = y_desc.load([m, 0])
        h_tile = h_desc.load([0, m])
        z = (tl.dot(x_tile, y_tile.T) + h_tile) * 1.4426950408889634
        m_new = tl.maximum(m_i, tl.max(z, 1))
        l_i = l_i * tl.exp2(m_i - m_new) + tl.sum(tl.exp2(z - m_new[:, None]), 1)
        m_i = m_new
    tl.store(f + row + tl.arange(0, 128), (m_i + tl.log2(l_i)) * 0.6931471805599453)

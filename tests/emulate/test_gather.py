"""TMA gathers and scatters of rows."""

import pytest
import torch

from twill import emulate

GATHER = """\
from triton.experimental import gluon
from triton.experimental.gluon import language as gl
from triton.experimental.gluon.language.nvidia.blackwell import fence_async_shared, mbarrier, tma
from triton.experimental.gluon.nvidia.blackwell import TensorDescriptor

@gluon.jit
def kernel(src, dst, rows, column):
    layout: gl.constexpr = gl.BlockedLayout([1], [32], [4], [0])
    at = gl.load(rows + gl.arange(0, 8, layout))
    tile = gl.allocate_shared_memory(gl.float16, [8, 64], src.layout)
    bar = gl.allocate_shared_memory(gl.int64, [1], mbarrier.MBarrierLayout())
    mbarrier.init(bar, count=1)
    mbarrier.expect(bar, 8 * 64 * 2)
    tma.async_gather(src, at, column, bar, tile)
    mbarrier.wait(bar, 0)
    tma.async_scatter(dst, at, 0, tile)
    tma.store_wait(0)

def launch(src, dst, rows, column):
    layout = gl.NVMMASharedLayout.get_default_for([8, 64], gl.float16)
    descriptors = [TensorDescriptor.from_tensor(t, [1, 64], layout) for t in (src, dst)]
    kernel[(1,)](*descriptors, rows, column, num_warps=4)
"""


@pytest.mark.parametrize("seed", range(3))
def test_gather_and_scatter(tmp_path, seed):
    path = tmp_path / "gather.py"
    path.write_text(GATHER)
    src, dst = torch.randn(16, 96).half(), torch.zeros(16, 64).half()
    rows = torch.tensor([3, 0, 15, 7, 7, -1, 16, 2], dtype=torch.int32)
    emulate.load(path, seed=seed).launch(src, dst, rows, 64)
    truth = torch.zeros(16, 64).half()
    inside = [r for r in rows.tolist() if 0 <= r < 16]
    truth[inside, :32] = src[inside, 64:]
    assert torch.equal(dst, truth)


def test_a_gather_that_nobody_waits_for(tmp_path):
    path = tmp_path / "gather.py"
    path.write_text(GATHER.replace("    mbarrier.wait(bar, 0)\n", ""))
    with pytest.raises(emulate.Race, match="TMA scatter"):
        emulate.load(path).launch(torch.zeros(16, 64).half(), torch.zeros(16, 64).half(), torch.arange(8).int(), 0)

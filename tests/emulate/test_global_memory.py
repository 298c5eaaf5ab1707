"""Races on global memory: between thread blocks, which nothing orders, and between roles."""

import numpy as np
import pytest
import torch

from tests.emulate.running import MATMUL, line, module, run
from twill import emulate

EACH = "gl.store(out + {offset} + gl.arange(0, 64, ROW), gl.full([64], 1.0, gl.float32, ROW))"


def test_blocks_that_write_the_same_elements(tmp_path):
    with pytest.raises(emulate.Race, match=r"nothing orders thread blocks \(\d, 0, 0\) and \(\d, 0, 0\)") as caught:
        run(tmp_path, EACH.format(offset="32 * gl.program_id(0)"), torch.zeros(256), parameters="out", grid=(3,))
    assert caught.value.buffer in ("out[32]", "out[64]")
    assert caught.value.lines == (line(1), line(1))
    run(tmp_path, EACH.format(offset="64 * gl.program_id(0)"), torch.zeros(256), parameters="out", grid=(3,))


@pytest.mark.parametrize("seed", range(4))
def test_a_block_that_reads_what_another_writes(tmp_path, seed):
    """Whichever block goes first; reading alone is no race."""
    body = """\
        x = gl.arange(0, 64, ROW)
        y = gl.load(out + x)
        if gl.program_id(0) == 1:
            gl.store(out + x, y)
    """
    with pytest.raises(emulate.Race) as caught:
        run(tmp_path, body, torch.zeros(256), parameters="out", grid=(3,), seed=seed)
    assert set(caught.value.lines) == {line(2), line(4)}
    run(tmp_path, "y = gl.load(out + gl.arange(0, 64, ROW))", torch.zeros(64), parameters="out", grid=(3,))


ROLES = """
@gluon.jit
def left(out, ready):
    gl.store(out + gl.arange(0, 64, ROW), gl.full([64], 1.0, gl.float32, ROW))
    mbarrier.arrive(ready)


@gluon.jit
def right(out, ready):
    mbarrier.wait(ready, 0)
    gl.store(out + 64 + gl.arange(0, 64, ROW), gl.load(out + gl.arange(0, 64, ROW)))


@gluon.jit
def k(out):
    ready = gl.allocate_shared_memory(gl.int64, [1], BARRIER)
    mbarrier.init(ready, count=1)
    gl.warp_specialize([(left, (out, ready)), (right, (out, ready))], [4], [24])
"""


@pytest.mark.parametrize("seed", range(4))
def test_roles_need_a_barrier_between_them(tmp_path, seed):
    out = torch.zeros(128)
    module(tmp_path, ROLES, seed=seed).k[(1,)](out, num_warps=4)
    assert out.sum() == 128
    racy = module(tmp_path, ROLES.replace("    mbarrier.wait(ready, 0)\n", ""), seed=seed)
    with pytest.raises(emulate.Race, match="no wait or barrier orders the two") as caught:
        racy.k[(1,)](torch.zeros(128), num_warps=4)
    assert set(caught.value.roles) == {"left", "right"}


@pytest.mark.parametrize("seed", range(3))
def test_blocks_whose_tma_stores_overlap(seed):
    a, b = torch.ones(128, 64).bfloat16(), torch.ones(64, 128).bfloat16()
    text = MATMUL.read_text().replace("column = gl.program_id(1) * BLOCK_N", "column = 0 * gl.program_id(1)")
    loaded = emulate.load(MATMUL, text=text, seed=seed)
    with pytest.raises(emulate.Race, match="race on global memory: TMA store of consumer") as caught:
        loaded.launch(a, b, torch.zeros(128, 128).bfloat16(), 1)
    assert {place.action for place in caught.value.places} == {"TMA store"}
    c = torch.zeros(128, 128).bfloat16()
    emulate.load(MATMUL, seed=seed).launch(a, b, c, 1)
    assert np.all(c.float().numpy() == 64)

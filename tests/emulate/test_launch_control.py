"""Cluster launch control: all work is done once whoever takes it over, and a careless loop is caught."""

import pytest
import torch

from twill import emulate

TEXT = """\
from triton.experimental import gluon
from triton.experimental.gluon import language as gl
from triton.experimental.gluon.language.nvidia.blackwell import clc, cluster, mbarrier

BASES = gl.constexpr([[0]] * ((CTAS).bit_length() - 1))
PARTS = gl.constexpr([[1], [2]][: (CTAS).bit_length() - 1])
ROW = gl.constexpr(gl.BlockedLayout([1], [32], [4], [0], cga_layout=PARTS))
RESPONSE = gl.constexpr(gl.SwizzledSharedLayout(1, 1, 1, [0], cga_layout=BASES))

@gluon.jit
def k(out):
    bar = mbarrier.allocate_mbarrier()
    mbarrier.init(bar, count=1)
    response = gl.allocate_shared_memory(gl.int64, [2], RESPONSE)
    tile = gl.program_id(0) + gl.program_id(1) * gl.num_programs(0)
    phase = 0
    working = gl.to_tensor(True)
    while working:
        mbarrier.expect(bar, 16)
        clc.try_cancel(response, bar)
        at = out + tile * 32 + gl.arange(0, 32, ROW)
        gl.store(at, gl.load(at) + 1)
        mbarrier.wait(bar, phase)
        answer = clc.load_result(response)
        working = answer.is_canceled()
        if working:
            tile = answer.program_id(0) + answer.program_id(1) * gl.num_programs(0)
        phase ^= 1
        cluster.barrier()
"""


def run(tmp_path, seed=0, ctas=1, text=TEXT):
    """Programs of a 4 by 3 grid that got a cluster of their own, and the tiles [12, 32] they counted up."""
    path = tmp_path / "kernel.py"
    path.write_text(text.replace("CTAS", str(ctas)))
    module = emulate.load(path, seed=seed, max_steps=20_000)
    out = torch.zeros(12, 32)
    module.k[(4, 3)](out, num_warps=4, num_ctas=ctas)
    return module.emulator.statistics.programs, out


@pytest.mark.parametrize("ctas", [1, 2, 4])
def test_every_tile_is_done_once_whoever_takes_it(tmp_path, ctas):
    launched = set()
    for seed in range(6):
        programs, out = run(tmp_path, seed, ctas)
        launched.add(programs)
        assert torch.equal(out, torch.ones(12, 32))
    assert len(launched) > 1  # which tiles are taken over depends on the seed
    assert min(launched) < 12


def test_a_seed_is_repeated(tmp_path):
    assert run(tmp_path, 3)[0] == run(tmp_path, 3)[0]


def reported(tmp_path, old, new, ctas=1):
    assert TEXT.count(old) == 1
    for seed in range(6):
        try:
            run(tmp_path, seed, ctas, TEXT.replace(old, new))
        except emulate.EmulationError as error:
            return error
    raise AssertionError("nothing was reported")


def test_a_response_read_before_its_barrier_is_caught(tmp_path):
    assert reported(tmp_path, "        mbarrier.wait(bar, phase)\n", "").kind in ("race", "poison")


def test_a_response_announces_sixteen_bytes(tmp_path):
    assert reported(tmp_path, "expect(bar, 16)", "expect(bar, 8)").kind == "bytes"
    assert reported(tmp_path, "expect(bar, 16)", "expect(bar, 32)").kind == "deadlock"


def test_the_program_id_of_a_failed_request_is_undefined(tmp_path):
    used = "        gl.load(out + answer.program_id(0))\n        phase ^= 1\n"
    assert reported(tmp_path, "        phase ^= 1\n", used).kind == "bounds"


def test_no_request_follows_a_failure(tmp_path):
    again = "    mbarrier.expect(bar, 16)\n    clc.try_cancel(response, bar)\n    mbarrier.wait(bar, phase)\n"
    end = "        cluster.barrier()\n"
    assert "earlier request had failed" in str(reported(tmp_path, end, end + again))


def test_a_response_is_not_overwritten_while_another_thread_block_reads_it(tmp_path):
    assert reported(tmp_path, "        cluster.barrier()\n", "", ctas=2).kind == "race"

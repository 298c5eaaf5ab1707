"""Asynchronous copies that a barrier awaits: the module that ships with them, and with one line of it broken."""

import re
import textwrap

import pytest
import torch

from twill import emulate
from twill.emulate import verify_file
from twill.shipped import VARIANTS, module_path, schedule_path

NAME = "grouped_matmul_gather_fp16"
VARIANT = next(variant for variant in VARIANTS if variant.name == NAME)
SOURCE = module_path(VARIANT).read_text()
LINE = r"[^\n]*\n"
FULL_0, FULL_1 = "x_tile_0_ring_full", "x_tile_1_ring_full"
MUTATIONS = {
    "no fence before the MMA": (
        "consumer0", rf"(x_tile_0_ring_full{LINE})[ ]*fence_async_shared\(\)\n", r"\1", ("fence",), "x_tile_0_ring"),
    "the fence before the wait": (
        "consumer1", rf"([ ]*mbarrier\.wait\({FULL_1}{LINE})([ ]*fence_async_shared\(\)\n)", r"\2\1", ("fence",),
        "x_tile_1_ring"),
    "no arrival of the copies": (
        "loader", rf"[ ]*async_copy\.mbarrier_arrive\(x_tile_0{LINE}", "", ("deadlock",), "x_tile_0_ring_full"),
    "an arrival before its copies": (
        "loader", rf"([ ]*copy_async\(x_tile_0{LINE})([ ]*async_copy\.mbarrier_arrive\(x_tile_0{LINE})", r"\2\1",
        ("race", "poison", "unwaited"), "x_tile_0_ring"),
    "an arrival by one thread, at once": (
        "loader", r"async_copy\.mbarrier_arrive\((x_tile_1_ring_full[^\n]*), increment_count=False\)",
        r"mbarrier.arrive(\1, count=128)", ("race", "poison"), "x_tile_1_ring"),
    "arrivals that the count does not hold": (
        "loader", r"(async_copy\.mbarrier_arrive\(x_tile_1[^\n]*), increment_count=False", r"\1", ("deadlock",),
        "x_tile_1_ring_full"),
    "one arrival awaited, not one of each thread": (
        "kernel", rf"(mbarrier\.init\({FULL_0}[^\n]*count=)128", r"\g<1>1", ("barrier",), FULL_0),
    "no wait for the copies": (
        "consumer0", rf"[ ]*mbarrier\.wait\({FULL_0}{LINE}", "", ("race", "poison", "fence"), "x_tile_0_ring"),
    "no wait for a free slot": (
        "loader", rf"[ ]*mbarrier\.wait\(x_tile_0_ring_empty{LINE}", "", ("race", "barrier"), "x_tile_0_ring"),
    "no mask": ("loader", r"(copy_async\(x_tile_0[^\n]*), mask=[^\n]*\n", r"\1)\n", ("bounds",), ""),
    "a row too far": ("loader", r"gl\.arange\(64, 128", "gl.arange(65, 129", ("bounds", "result"), ""),
}  # fmt: skip


def broken(name):
    inside, old, new, kinds, subject = MUTATIONS[name]
    begin = SOURCE.index(f"def {inside}(" if inside != "kernel" else "_kernel(")
    end = SOURCE.find("\n\n\n", begin)
    changed, count = re.subn(old, new, SOURCE[begin:end], count=1)
    assert count == 1, name
    return SOURCE[:begin] + changed + SOURCE[end:], kinds, subject


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_broken_line_is_seen(name, tmp_path):
    text, kinds, subject = broken(name)
    path = tmp_path / f"{NAME}.py"
    path.write_text(text)
    report = verify_file(path, schedule=schedule_path(VARIANT), seeds=(0, 1), trip_counts=(5,), programs=1)
    assert not report.passed
    for failure in report.failures:
        assert failure.kind in kinds, str(failure)
        assert subject in str(failure)


KERNEL = """\
import triton
from triton.experimental import gluon
from triton.experimental.gluon import language as gl
from triton.experimental.gluon.language.nvidia.hopper import async_copy, mbarrier

ROW = gl.constexpr(gl.BlockedLayout([1], [32], [4], [0]))
SHARED = gl.constexpr(gl.SwizzledSharedLayout(1, 1, 1, [0]))

@gluon.jit
def kernel(x, out):
    at = gl.arange(0, 64, ROW)
    tile = gl.allocate_shared_memory(gl.float32, [64], SHARED)
    full = gl.allocate_shared_memory(gl.int64, [1], mbarrier.MBarrierLayout())
    mbarrier.init(full, count={count})
    async_copy.async_copy_global_to_shared(tile, x + at)
    async_copy.mbarrier_arrive(full{more})
    mbarrier.arrive(full, count=1)
    mbarrier.wait(full, 0)
    gl.store(out + at, tile.load(ROW))
"""


@pytest.mark.parametrize(
    ("count", "more", "kind"),
    [
        (1, "", None),  # the threads' arrivals come on top
        (129, ", increment_count=False", None),
        (1, ", increment_count=False", emulate.Race),  # complete before its copies are
        (129, "", emulate.Deadlock),
    ],
)
@pytest.mark.parametrize("seed", range(3))
def test_every_thread_arrives(tmp_path, count, more, kind, seed):
    path = tmp_path / "kernel.py"
    path.write_text(textwrap.dedent(KERNEL.format(count=count, more=more)))
    kernel = emulate.load(path, seed=seed).kernel
    x, out = torch.arange(64.0), torch.zeros(64)
    if kind is not None:
        with pytest.raises(kind):
            kernel[(1,)](x, out, num_warps=4)
        return
    kernel[(1,)](x, out, num_warps=4)
    assert torch.equal(out, x)

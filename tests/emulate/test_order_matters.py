"""Kernels whose run depends on the order of their moves: a run must find the hazard, or not answer for the others."""

import pytest
import torch

from tests.emulate.running import module
from tests.emulate.test_cluster import MULTICAST, copied, over
from tests.emulate.test_ordering import outcome, watched
from twill import emulate
from twill.emulate import trace
from twill.emulate.guided import Guided, Path
from twill.emulate.ordering import Ordering
from twill.errors import Unsupported

READERS = """
@gluon.jit
def left(out, ready):
    x = gl.load(out + gl.arange(0, 64, ROW))
    mbarrier.arrive(ready)


@gluon.jit
def right(out, ready):
    AT = out + gl.arange(0, 64, ROW)
    x = gl.load(AT)
    ORDER
    gl.store(AT, x + 1)


@gluon.jit
def k(out):
    ready = gl.allocate_shared_memory(gl.int64, [1], BARRIER)
    mbarrier.init(ready, count=1)
    gl.warp_specialize([(left, (out, ready)), (right, (out, ready))], [4], [24])
"""


@pytest.mark.parametrize("order", ["late", "early"])
def test_a_role_writes_global_memory_that_two_have_read(tmp_path, order):
    """Its own read, which is the last one, is no excuse."""
    racy = outcome(module(tmp_path, READERS.replace("ORDER", "pass")), Guided(Path(order)))
    assert isinstance(racy, emulate.Race)
    assert {place.role for place in racy.places} == {"left", "right"}
    assert outcome(module(tmp_path, READERS.replace("ORDER", "mbarrier.wait(ready, 0)")), Guided(Path(order))) is None


@pytest.mark.parametrize("seed", range(3))
def test_a_block_writes_what_roles_of_another_have_read(tmp_path, seed):
    text = READERS.replace("ORDER", "mbarrier.wait(ready, 0)").replace(
        "gl.store(AT, x + 1)", "if gl.program_id(0) == 2:\n        gl.store(AT, x + 1)"
    )
    with pytest.raises(emulate.Race, match="nothing orders thread blocks"):
        module(tmp_path, text, seed=seed).k[(3,)](torch.zeros(64), num_warps=4)


def test_atomics_of_two_blocks_may_come_in_any_order(tmp_path):
    text = """
    @gluon.jit
    def k(out):
        ticket = gl.atomic_add(out, 1)
        gl.store(out + 1 + gl.program_id(0), ticket)
    """
    loaded, watcher = module(tmp_path, text), Ordering()
    with trace.watching(watcher):
        loaded.k[(2,)](torch.zeros(3).int(), num_warps=4)
    assert "nothing orders it with atomic_add" in str(watcher.unordered)


BLACKWELL = """
from triton.experimental.gluon.language.nvidia.blackwell import (
    TensorMemoryLayout, allocate_tensor_memory, tcgen05_commit)


@gluon.jit
def left(tmem, a, b, c):
    {left}


@gluon.jit
def right(tmem, a, b, c):
    {right}


@gluon.jit
def k(out):
    layout: gl.constexpr = TensorMemoryLayout((128, 64), col_stride=1)
    tmem = allocate_tensor_memory(gl.float32, [128, 64], layout)
    a = gl.allocate_shared_memory(gl.int64, [1], BARRIER)
    b = gl.allocate_shared_memory(gl.int64, [1], BARRIER)
    c = gl.allocate_shared_memory(gl.int64, [1], BARRIER)
    mbarrier.init(a, count=1)
    mbarrier.init(b, count=1)
    mbarrier.init(c, count=1)
    gl.warp_specialize([(left, (tmem, a, b, c)), (right, (tmem, a, b, c))], [4], [24])
"""


def test_a_commit_of_nothing_new_is_in_flight_all_the_same(tmp_path):
    """That everything it waits for is over does not say that it has arrived: the two arrivals on b may swap."""
    text = BLACKWELL.format(
        left="tcgen05_commit(a)\n    mbarrier.wait(a, 0)\n    tcgen05_commit(b)\n    mbarrier.arrive(c)",
        right="mbarrier.wait(c, 0)\n    mbarrier.arrive(b)",
    )
    loaded, watcher = module(tmp_path, text), Ordering()
    with trace.watching(watcher):
        assert outcome(loaded, Guided(Path("early"))) is None
    assert "it adds to phase 1, but nothing orders it after phase 0" in str(watcher.unordered)
    waited = text.replace("mbarrier.wait(c, 0)", "mbarrier.wait(c, 0)\n    mbarrier.wait(b, 0)")
    assert watched(tmp_path, waited) is None


@pytest.mark.parametrize("order", ["late", "early"])
def test_a_commit_arrives_though_the_roles_have_ended(tmp_path, order):
    """Nobody waits for it, but it turns the parity that the left role waits for, or comes second to its arrival."""
    text = BLACKWELL.format(
        left="mbarrier.wait(b, 1)\n    mbarrier.wait(a, 1)\n    mbarrier.arrive(b)",
        right="tcgen05_commit(b)\n    mbarrier.wait(b, 0)",
    )
    loaded, watcher = module(tmp_path, text), Ordering()
    with trace.watching(watcher):
        ended = outcome(loaded, Guided(Path(order)))
    assert ended is not None or watcher.unordered is not None


def test_columns_that_roles_allocate_side_by_side(tmp_path):
    make = "allocate_tensor_memory(gl.float32, [128, 256], TensorMemoryLayout((128, 256), col_stride=1))"
    found = watched(tmp_path, BLACKWELL.format(left=f"x = {make}", right="pass"))
    assert "depend on how far other roles are" in str(found)


def test_a_clock_tells_the_order(tmp_path):
    text = """
    @gluon.jit
    def k(out):
        x = gl.inline_asm_elementwise("mov.u32 $0, %clock;", "=r", [], dtype=gl.int32, is_pure=False, pack=1)
    """
    loaded, watcher = module(tmp_path, text), Ordering()
    with trace.watching(watcher):
        loaded.k[(1,)](torch.zeros(64), num_warps=4)
    assert "depends on when it is read" in str(watcher.unordered)


@pytest.mark.parametrize("seed", range(6))
def test_a_cluster_barrier_tells_only_those_that_waited_for_it(tmp_path, seed):
    """A CTA that has arrived and not waited may reach the others' mbarriers before they are initialised."""
    start = "cluster.arrive(relaxed=True)\n{}mbarrier.expect"
    fenced = MULTICAST.replace("mbarrier.expect", "mbarrier.fence_init_release_cluster()\n" + start, 1)
    end = "cluster.arrive()\ncluster.wait()\n"
    copied(tmp_path, fenced.format("cluster.wait()\n") + end, seed, explicit=True)
    late = fenced.format("").replace("mbarrier.wait(bar", "cluster.wait()\nmbarrier.wait(bar")
    with pytest.raises(emulate.MissingClusterSync, match="no barrier of the cluster orders that"):
        copied(tmp_path, late + end, seed, explicit=True)


def test_atomics_in_a_cluster_act_once(tmp_path):
    body = "at = out + gl.arange(0, 256, HALVES)\ngl.atomic_xchg(at, 0.0)\ngl.atomic_add(at, 1.0)\n"
    _, out = over(tmp_path, body)
    assert (out == 1).all()


@pytest.mark.parametrize("where", ["out", "out + gl.arange(0, 256, WHOLE)"])
def test_atomics_of_elements_that_several_thread_blocks_hold(tmp_path, where):
    with pytest.raises(Unsupported, match="more than one CTA holds"):
        over(tmp_path, f"gl.atomic_add({where}, 1.0)\n")

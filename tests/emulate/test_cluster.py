"""Clusters of thread blocks: right programs pass under every interleaving, and each hazard of clusters is caught."""

import textwrap

import pytest
import torch

from tests.emulate.running import FIXTURES
from twill import emulate
from twill.errors import Unsupported
from twill.ir.tolerance import tolerance

GEMM = FIXTURES / "cluster_gemm.py"
TEXT = GEMM.read_text()
PAIR = ((1, 0),)
ROWS = ((1, 0), (2, 0))  # four thread blocks, which share the columns of b
SQUARE = ((1, 0), (0, 1))  # and which share both rows of a and columns of b

HEADER = """\
from triton.experimental import gluon
from triton.experimental.gluon import language as gl
from triton.experimental.gluon.language.nvidia.hopper import cluster, mbarrier, tma
from triton.experimental.gluon.nvidia.hopper import TensorDescriptor

HALVES = gl.constexpr(gl.BlockedLayout([1], [32], [4], [0], cga_layout=[[1]]))
WHOLE = gl.constexpr(gl.BlockedLayout([1], [32], [4], [0], cga_layout=[[0]]))
TILE = gl.constexpr(gl.NVMMASharedLayout(128, 16, 2, cga_layout=[[0, 0]]))

def describe(tensor):
    return TensorDescriptor.from_tensor(tensor, [64, 64], TILE)

"""
MULTICAST = """\
tile = gl.allocate_shared_memory(gl.float16, [64, 64], TILE)
bar = mbarrier.allocate_mbarrier()
mbarrier.init(bar, count=1)
mbarrier.expect(bar, source.nbytes_per_cta)
tma.async_load(source, [0, 0], bar, tile, multicast=True)
mbarrier.wait(bar, 0)
tma.async_store(target, [0, 0], tile)
tma.store_wait(0)
"""


def gemm(cga, seed=0, text=None, n=5):
    """Run the fixture; (c, float64 truth)."""
    module = emulate.load(GEMM, text=text, seed=seed, max_steps=50_000)
    random = torch.Generator().manual_seed(n)
    a = torch.randn(512, 64 * n, generator=random).half()
    b = torch.randn(64 * n, 128, generator=random).half()
    c = torch.full((512, 128), float("nan")).half()
    module.launch(a, b, c, cga)
    return c.double(), a.double() @ b.double()


def module(tmp_path, body, parameters, **options):
    path = tmp_path / "kernel.py"
    text = HEADER + f"@gluon.jit\ndef k({parameters}):\n" + textwrap.indent(textwrap.dedent(body), "    ")
    path.write_text(text)
    return emulate.load(path, max_steps=20_000, **options)


def copied(tmp_path, body, seed=0, explicit=False):
    """`body` with descriptors `source` and `target` of a tile each, in a cluster of two: (source, target)."""
    loaded = module(tmp_path, body, "source, target", seed=seed)
    loaded.emulator.explicit_cluster_sync = explicit
    source, target = torch.randn(64, 64).half(), torch.full((64, 64), float("nan")).half()
    loaded.k[(1,)](loaded.describe(source), loaded.describe(target), num_warps=4, num_ctas=2)
    return source, target


def over(tmp_path, body, seed=0, num_ctas=2):
    """`body` with pointers `x` and `out` to 256 floats, in a cluster: (x, out)."""
    loaded = module(tmp_path, body, "x, out", seed=seed)
    x, out = torch.randn(256), torch.full((256,), float("nan"))
    loaded.k[(1,)](x, out, num_warps=4, num_ctas=num_ctas)
    return x, out


@pytest.mark.parametrize("cga", [(), PAIR, ROWS, SQUARE])
@pytest.mark.parametrize("seed", range(3))
def test_the_gemm_is_right(cga, seed):
    text = TEXT if cga else TEXT.replace("multicast=True", "multicast=False")
    found, truth = gemm(cga, seed, text)
    assert (found - truth).abs().max() <= tolerance("f16", 320, float(truth.abs().max()))


def caught(old, new, cga=SQUARE, seeds=6):
    """What the mutated fixture is reported for under each seed."""
    assert TEXT.count(old) >= 1
    kinds = []
    for seed in range(seeds):
        try:
            found, truth = gemm(cga, seed, TEXT.replace(old, new, 1))
        except emulate.EmulationError as error:
            kinds.append(error.kind)
        else:
            close = (found - truth).abs().max() <= tolerance("f16", 320, float(truth.abs().max()))
            kinds.append("" if close else "wrong")
    return kinds


def test_an_empty_barrier_counts_every_thread_block_that_reads_the_tile():
    # SQUARE: the lead's tile of a is read by its own pair and that of the other columns
    kinds = caught("init(empty.index(slot), count=commits)", "init(empty.index(slot), count=1)")
    assert set(kinds) <= {"race", "barrier", "bytes"}


def test_a_multicast_announces_the_bytes_each_thread_block_receives():
    whole = "a_desc.block_type.nbytes + b_desc.block_type.nbytes"
    assert set(caught("a_desc.nbytes_per_cta + b_desc.nbytes_per_cta", whole)) <= {"deadlock"}
    assert set(caught("a_desc.nbytes_per_cta + b_desc.nbytes_per_cta", "a_desc.nbytes_per_cta")) <= {"bytes", "race"}


def test_the_lead_of_a_pair_must_wait_for_the_loads_of_both():
    own = "full = mbarrier.allocate_mbarrier(batch=depth)"
    kinds = caught("full = mbarrier.allocate_mbarrier(batch=depth, two_ctas=pairs)", own, PAIR)
    assert set(kinds) <= {"race", "poison"}


def test_a_commit_that_is_not_multicast_starves_the_others():
    old = "use_acc=i > 0, multicast=True"
    assert set(caught(old, "use_acc=i > 0, multicast=False")) <= {"deadlock"}


def test_who_reads_the_accumulator_waits_for_the_mma():
    assert set(caught("    mbarrier.wait(done, 0)\n", "")) <= {"race", "poison"}


def test_a_multicast_load_reaches_every_thread_block(tmp_path):
    for seed in range(4):
        source, target = copied(tmp_path, MULTICAST, seed)
        assert torch.equal(source, target)


def test_without_multicast_every_thread_block_loads_its_own_tile(tmp_path):
    source, target = copied(tmp_path, MULTICAST.replace(", multicast=True", ""))
    assert torch.equal(source, target)


def test_a_multicast_with_too_small_an_expect_is_caught(tmp_path):
    with pytest.raises(emulate.ByteMismatch):
        copied(tmp_path, MULTICAST.replace("source.nbytes_per_cta", "source.nbytes_per_cta // 2"))


LATE = """\
other = mbarrier.allocate_mbarrier()
mbarrier.init(other, count=1)
mbarrier.expect(other, source.nbytes_per_cta)
tma.async_load(source, [0, 0], other, tile, multicast=True)
mbarrier.wait(other, 0)
"""


@pytest.mark.parametrize("seed", range(4))
def test_an_init_after_the_first_use_of_a_barrier_is_not_published_by_the_compiler(tmp_path, seed):
    with pytest.raises(emulate.MissingClusterSync) as caught:
        copied(tmp_path, MULTICAST + "cluster.barrier()\n" + LATE, seed)
    assert caught.value.barrier.startswith("other")


def test_up_to_triton_3_7_the_source_publishes_its_barriers(tmp_path):
    ends = "cluster.arrive()\ncluster.wait()\n"
    synced = MULTICAST.replace("mbarrier.expect", "mbarrier.sync_cluster_init()\nmbarrier.expect", 1) + ends
    for seed in range(4):
        source, target = copied(tmp_path, synced, seed, explicit=True)
        assert torch.equal(source, target)
        with pytest.raises(emulate.MissingClusterSync):
            copied(tmp_path, MULTICAST + ends, seed, explicit=True)


def test_a_relaxed_barrier_of_the_cluster_alone_publishes_nothing(tmp_path):
    relaxed = "cluster.arrive(relaxed=True)\ncluster.wait()\nmbarrier.expect"
    with pytest.raises(emulate.MissingClusterSync):
        copied(tmp_path, MULTICAST.replace("mbarrier.expect", relaxed, 1), explicit=True)
    fenced = MULTICAST.replace("mbarrier.expect", "mbarrier.fence_init_release_cluster()\n" + relaxed, 1)
    source, target = copied(tmp_path, fenced + "cluster.arrive()\ncluster.wait()\n", explicit=True)
    assert torch.equal(source, target)


EARLY = """\
tile = gl.allocate_shared_memory(gl.float16, [64, 64], TILE)
bar = mbarrier.allocate_mbarrier()
mbarrier.init(bar, count=2)
mbarrier.sync_cluster_init()
mbarrier.arrive(bar, from_cta=0)
mbarrier.arrive(bar)
"""


def test_a_thread_block_must_not_end_while_another_arrives_at_it(tmp_path):
    with pytest.raises(emulate.EarlyExit) as caught:
        copied(tmp_path, EARLY, explicit=True)
    assert "CTA 1 may have ended" in str(caught.value)
    for cure in ("mbarrier.wait(bar, 0)\n", "cluster.arrive()\ncluster.wait()\n"):
        copied(tmp_path, EARLY + cure, explicit=True)
    copied(tmp_path, EARLY)  # later compilers end every kernel with a barrier of the cluster


def test_a_multicast_that_nobody_waits_for_is_caught(tmp_path):
    with pytest.raises((emulate.Unwaited, emulate.Race)):
        copied(tmp_path, MULTICAST[: MULTICAST.index("mbarrier.wait")])


def test_a_barrier_of_the_cluster_inside_a_role_is_refused(tmp_path):
    body = """\
    gl.warp_specialize([(first, ()), (second, ())], [1], [24])

    @gluon.jit
    def first():
        cluster.barrier()

    @gluon.jit
    def second():
        pass
    """
    text = textwrap.dedent(body)
    call, functions = text.split("\n", 1)
    path = tmp_path / "roles.py"
    path.write_text(HEADER + functions + f"\n@gluon.jit\ndef k():\n    {call}\n")
    with pytest.raises(emulate.BarrierMisuse, match="inside warp_specialize"):
        emulate.load(path).k[(1,)](num_warps=4, num_ctas=2)


SUM = """\
at = gl.arange(0, 256, HALVES)
value = gl.load(x + at)
gl.store(out + at, value - gl.sum(value, axis=0))
"""


@pytest.mark.parametrize("seed", range(3))
def test_a_reduction_over_a_divided_axis_joins_the_parts(tmp_path, seed):
    x, out = over(tmp_path, SUM, seed)
    torch.testing.assert_close(out, x - x.sum(), atol=1e-5, rtol=1e-5)


def test_thread_blocks_hand_over_parts_through_convert_layout(tmp_path):
    body = """\
    at = gl.arange(0, 256, HALVES)
    whole = gl.convert_layout(gl.load(x + at), WHOLE)
    everywhere = gl.arange(0, 256, WHOLE)
    gl.store(out + (255 - everywhere), whole)
    """
    x, out = over(tmp_path, body)
    assert torch.equal(out, x.flip(0))


def test_global_memory_between_thread_blocks_needs_a_barrier_of_the_cluster(tmp_path):
    body = """\
    at = gl.arange(0, 256, HALVES)
    gl.store(out + at, gl.load(x + at))
    cluster.barrier()
    gl.store(x + at, gl.load(out + (255 - at)))
    """
    x, out = over(tmp_path, body)
    assert torch.equal(x, out.flip(0))
    with pytest.raises(emulate.Race, match="global memory"):
        over(tmp_path, body.replace("    cluster.barrier()\n", ""))


def test_a_layout_that_divides_nothing_is_refused_in_a_cluster(tmp_path):
    with pytest.raises(Unsupported, match="made for 1 CTAs, the cluster has 2") as caught:
        over(tmp_path, "at = gl.arange(0, 256, gl.BlockedLayout([1], [32], [4], [0]))")
    assert caught.value.exit_code == 3


def test_reports_name_the_thread_block(tmp_path):
    body = "bar = mbarrier.allocate_mbarrier(two_ctas=True)\nmbarrier.init(bar, count=1)\nmbarrier.wait(bar, 0)\n"
    with pytest.raises(emulate.Deadlock) as caught:
        over(tmp_path, body)
    assert "k[CTA 0]" in str(caught.value)
    assert "0 of 2 arrivals" in str(caught.value)


def test_registers_that_are_divided_otherwise_than_the_buffer(tmp_path):
    body = """\
    shared = gl.allocate_shared_memory(gl.float32, [256], gl.SwizzledSharedLayout(1, 1, 1, [0], cga_layout=[[1]]))
    shared.store(gl.load(x + gl.arange(0, 256, WHOLE)))  # every CTA has all and keeps its part
    shared.load(WHOLE)
    """
    with pytest.raises(emulate.LayoutMismatch, match="divided among the CTAs otherwise") as caught:
        over(tmp_path, body)
    assert caught.value.location.line == HEADER.count("\n") + 5  # the load


def test_an_autotuned_kernel_runs_in_the_cluster_of_its_first_configuration(tmp_path):
    text = """\
    import triton

    @triton.autotune(configs=[triton.Config({}, num_warps=4, num_ctas=2)], key=[])
    @gluon.jit
    def k(out):
        gl.store(out + gl.arange(0, 64, HALVES), gl.full([64], gl.num_ctas(), gl.float32, HALVES))
    """
    path = tmp_path / "tuned.py"
    path.write_text(HEADER + textwrap.dedent(text))
    out = torch.zeros(64)
    emulate.load(path).k[(1,)](out)
    assert torch.equal(out, torch.full((64,), 2.0))


def test_a_wait_without_an_arrival(tmp_path):
    with pytest.raises(emulate.BarrierMisuse, match="before this thread block has arrived at one"):
        over(tmp_path, "cluster.wait()\n")

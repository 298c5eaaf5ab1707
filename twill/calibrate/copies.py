"""Micro-benchmarks of TMA: one load, loads of all SMs at once, one store. Each runs in a single warp."""

from triton.experimental import gluon
from triton.experimental.gluon import language as gl
from triton.experimental.gluon.language.nvidia.hopper import fence_async_shared, mbarrier, tma

from twill.calibrate.clock import clock, nanoseconds, record

tma_load = getattr(tma, "async_load", None) or tma.async_copy_global_to_shared
tma_store = getattr(tma, "async_store", None) or tma.async_copy_shared_to_global


@gluon.jit
def tma_load_kernel(out, desc, n):
    """`n` loads of one tile, each waited for; the tile is in the L2 cache after the first.

    Clock reads before the load, after its issue, and after the wait.
    """
    tile = gl.allocate_shared_memory(desc.dtype, desc.block_type.shape, desc.layout)
    full = gl.allocate_shared_memory(gl.int64, [1], mbarrier.MBarrierLayout())
    mbarrier.init(full, count=1)
    fence_async_shared()
    issued = gl.to_tensor(0).to(gl.int64)
    completed = gl.to_tensor(0).to(gl.int64)
    before_ns = nanoseconds()
    before = clock()
    for i in range(n):
        mbarrier.expect(full, desc.block_type.nbytes)
        first = clock()
        tma_load(desc, [0, 0], full, tile)
        second = clock()
        mbarrier.wait(full, i & 1)
        third = clock()
        issued += second - first
        completed += third - first
    after = clock()
    after_ns = nanoseconds()
    mbarrier.invalidate(full)
    record(out, after - before, issued, completed, after_ns - before_ns)


@gluon.jit
def tma_stream_kernel(out, desc, n, DEPTH: gl.constexpr):
    """`n` tiles through a ring of DEPTH, in every SM: the rate at which all of them load from the L2 cache.

    desc: [programs * DEPTH * rows of a tile, columns of a tile]; a program loads its own DEPTH tiles in turn.
    """
    rows: gl.constexpr = desc.block_type.shape[0]
    shape: gl.constexpr = [DEPTH] + desc.block_type.shape  # noqa: RUF005 - Gluon has no unpacking
    ring = gl.allocate_shared_memory(desc.dtype, shape, desc.layout)
    full = gl.allocate_shared_memory(gl.int64, [DEPTH, 1], mbarrier.MBarrierLayout())
    for slot in gl.static_range(DEPTH):
        mbarrier.init(full.index(slot), count=1)
    fence_async_shared()
    first_row = gl.program_id(0) * DEPTH * rows
    for slot in gl.static_range(DEPTH):
        mbarrier.expect(full.index(slot), desc.block_type.nbytes)
        tma_load(desc, [first_row + slot * rows, 0], full.index(slot), ring.index(slot))
    before_ns = nanoseconds()
    before = clock()
    for i in range(n):
        mbarrier.wait(full.index(i % DEPTH), (i // DEPTH) & 1)
        mbarrier.expect(full.index(i % DEPTH), desc.block_type.nbytes)
        tma_load(desc, [first_row + i % DEPTH * rows, 0], full.index(i % DEPTH), ring.index(i % DEPTH))
    for i in range(n, n + DEPTH):
        mbarrier.wait(full.index(i % DEPTH), (i // DEPTH) & 1)
    after = clock()
    after_ns = nanoseconds()
    for slot in gl.static_range(DEPTH):
        mbarrier.invalidate(full.index(slot))
    record(out, after - before, 0, 0, after_ns - before_ns)


@gluon.jit
def tma_store_kernel(out, desc, n):
    """`n` stores of one tile, each waited for until its shared memory may be written again."""
    layout: gl.constexpr = gl.BlockedLayout([1, 4], [4, 8], [1, 1], [1, 0])
    tile = gl.allocate_shared_memory(desc.dtype, desc.block_type.shape, desc.layout)
    tile.store(gl.full(desc.block_type.shape, 1.0, desc.dtype, layout))
    fence_async_shared()
    issued = gl.to_tensor(0).to(gl.int64)
    completed = gl.to_tensor(0).to(gl.int64)
    before_ns = nanoseconds()
    before = clock()
    for _ in range(n):
        first = clock()
        tma_store(desc, [0, 0], tile)
        second = clock()
        tma.store_wait(0)
        third = clock()
        issued += second - first
        completed += third - first
    after = clock()
    after_ns = nanoseconds()
    record(out, after - before, issued, completed, after_ns - before_ns)

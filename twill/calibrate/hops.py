"""Micro-benchmarks between two warp groups: a signal to and fro, and a tile to and fro through shared memory."""

from triton.experimental import gluon
from triton.experimental.gluon import language as gl
from triton.experimental.gluon.language.nvidia.hopper import mbarrier

from twill.calibrate.clock import clock, nanoseconds, record


@gluon.jit
def signal_first(out, n, there, back):
    """Arrives, waits for the answer; `n` round trips."""
    before_ns = nanoseconds()
    before = clock()
    for i in range(n):
        mbarrier.arrive(there, count=1)
        mbarrier.wait(back, i & 1)
    after = clock()
    after_ns = nanoseconds()
    record(out, after - before, 0, 0, after_ns - before_ns)


@gluon.jit
def signal_second(out, n, there, back):
    """Answers."""
    for i in range(n):
        mbarrier.wait(there, i & 1)
        mbarrier.arrive(back, count=1)


@gluon.jit
def signal_kernel(out, n):
    """`n` round trips of a signal between two warp groups over two mbarriers."""
    there = gl.allocate_shared_memory(gl.int64, [1], mbarrier.MBarrierLayout())
    back = gl.allocate_shared_memory(gl.int64, [1], mbarrier.MBarrierLayout())
    mbarrier.init(there, count=1)
    mbarrier.init(back, count=1)
    gl.thread_barrier()
    gl.warp_specialize([(signal_first, (out, n, there, back)), (signal_second, (out, n, there, back))], [4], [64])


@gluon.jit
def value_first(out, sink, n, COLUMNS: gl.constexpr, there, back, tile_there, tile_back):
    """Writes a tile of 64 x COLUMNS fp32, signals, waits, reads the answer; `n` round trips."""
    layout: gl.constexpr = gl.BlockedLayout([1, 4], [4, 8], [4, 1], [1, 0])
    rows = gl.arange(0, 64, layout=gl.SliceLayout(1, layout))
    columns = gl.arange(0, COLUMNS, layout=gl.SliceLayout(0, layout))
    where = sink + rows[:, None] * COLUMNS + columns[None, :]
    x = gl.load(where)
    before_ns = nanoseconds()
    before = clock()
    for i in range(n):
        tile_there.store(x)
        gl.thread_barrier()
        mbarrier.arrive(there, count=1)
        mbarrier.wait(back, i & 1)
        x = tile_back.load(layout)
    after = clock()
    after_ns = nanoseconds()
    gl.store(where, x)
    record(out, after - before, 0, 0, after_ns - before_ns)


@gluon.jit
def value_second(out, sink, n, COLUMNS: gl.constexpr, there, back, tile_there, tile_back):
    """Reads the tile into registers and writes it back."""
    layout: gl.constexpr = gl.BlockedLayout([1, 4], [4, 8], [4, 1], [1, 0])
    for i in range(n):
        mbarrier.wait(there, i & 1)
        x = tile_there.load(layout)
        tile_back.store(x)
        gl.thread_barrier()
        mbarrier.arrive(back, count=1)


@gluon.jit
def value_kernel(out, sink, n, COLUMNS: gl.constexpr):
    """`n` round trips of a 64 x COLUMNS fp32 tile: registers to shared memory to the other group's registers.

    sink: [64 * COLUMNS] fp32.
    """
    shared: gl.constexpr = gl.SwizzledSharedLayout(1, 1, 1, [1, 0])
    there = gl.allocate_shared_memory(gl.int64, [1], mbarrier.MBarrierLayout())
    back = gl.allocate_shared_memory(gl.int64, [1], mbarrier.MBarrierLayout())
    tile_there = gl.allocate_shared_memory(gl.float32, [64, COLUMNS], shared)
    tile_back = gl.allocate_shared_memory(gl.float32, [64, COLUMNS], shared)
    mbarrier.init(there, count=1)
    mbarrier.init(back, count=1)
    gl.thread_barrier()
    gl.warp_specialize(
        [
            (value_first, (out, sink, n, COLUMNS, there, back, tile_there, tile_back)),
            (value_second, (out, sink, n, COLUMNS, there, back, tile_there, tile_back)),
        ],
        [4],
        [128],
    )

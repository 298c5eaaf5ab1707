"""Micro-benchmarks of per-thread arithmetic: one instruction over and over, and the pieces of a softmax."""

from triton.experimental import gluon
from triton.experimental.gluon import language as gl

from twill.calibrate.clock import clock, nanoseconds, record


@gluon.jit
def instruction_kernel(out, sink, n, ASM: gl.constexpr, CONSTRAINTS: gl.constexpr, VALUES: gl.constexpr,
                       UNROLL: gl.constexpr, WARPS: gl.constexpr):  # fmt: skip
    """Every thread applies ASM `n * UNROLL` times to each of its VALUES values: independent chains.

    One value: the latency of dependent instructions. Many: the rate of the SM.
    sink: [VALUES * 32 * WARPS], of the instruction's type, so that the results are used.
    """
    layout: gl.constexpr = gl.BlockedLayout([VALUES], [32], [WARPS], [0])
    index = gl.arange(0, VALUES * 32 * WARPS, layout=layout)
    x = gl.load(sink + index)
    gl.thread_barrier()
    before_ns = nanoseconds()
    before = clock()
    for _ in range(n):
        for _ in gl.static_range(UNROLL):
            x = gl.inline_asm_elementwise(ASM, CONSTRAINTS, [x], dtype=x.dtype, is_pure=False, pack=1)
    gl.thread_barrier()
    after = clock()
    after_ns = nanoseconds()
    gl.store(sink + index, x)
    record(out, after - before, 0, 0, after_ns - before_ns)


@gluon.jit
def softmax_piece_kernel(out, sink, n, PIECE: gl.constexpr):
    """One warp group: a 128 x 128 fp32 tile is multiplied by one value a row, alone or with a piece before it.

    PIECE: "multiply" alone; "max" and "sum" take the value from the tile; "exp2" is applied to each element.
    sink: [128 * 128] fp32. Each iteration needs the whole of the one before it.
    """
    layout: gl.constexpr = gl.NVMMADistributedLayout(version=[3, 0], warps_per_cta=[4, 1], instr_shape=[16, 128, 16])
    rows = gl.arange(0, 128, layout=gl.SliceLayout(1, layout))
    columns = gl.arange(0, 128, layout=gl.SliceLayout(0, layout))
    where = sink + rows[:, None] * 128 + columns[None, :]
    x = gl.load(where)
    factor = gl.max(x, 1)
    gl.thread_barrier()
    before_ns = nanoseconds()
    before = clock()
    for _ in range(n):
        if PIECE == "max":
            factor = gl.max(x, 1)
        if PIECE == "sum":
            factor = gl.sum(x, 1)
        if PIECE == "exp2":
            x = gl.exp2(x)
        x = x * factor[:, None]
    gl.thread_barrier()
    after = clock()
    after_ns = nanoseconds()
    gl.store(where, x)
    record(out, after - before, 0, 0, after_ns - before_ns)


@gluon.jit
def thread_barrier_kernel(out, n, UNROLL: gl.constexpr):
    """The warps of one group meet `n * UNROLL` times."""
    gl.thread_barrier()
    before_ns = nanoseconds()
    before = clock()
    for _ in range(n):
        for _ in gl.static_range(UNROLL):
            gl.thread_barrier()
    after = clock()
    after_ns = nanoseconds()
    record(out, after - before, 0, 0, after_ns - before_ns)

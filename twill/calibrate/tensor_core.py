"""Micro-benchmarks of wgmma: issue and completion of one tile product, and products back to back."""

from triton.experimental import gluon
from triton.experimental.gluon import language as gl
from triton.experimental.gluon.language.nvidia.hopper import (
    fence_async_shared,
    warpgroup_mma,
    warpgroup_mma_wait,
)

from twill.calibrate.clock import clock, nanoseconds, record


@gluon.jit
def wgmma_kernel(out, sink, n, N: gl.constexpr, K: gl.constexpr, DTYPE: gl.constexpr, WIDTH: gl.constexpr,
                 BACK_TO_BACK: gl.constexpr):  # fmt: skip
    """One warp group multiplies [64, K] by [K, N], both in shared memory, `n` times into fp32.

    WIDTH: values of K in 32 bytes. BACK_TO_BACK: one product stays in flight while the next is issued;
    otherwise each is waited for, with a clock read before, after the issue, and after the wait.
    sink: [64 * N] fp32.
    """
    layout: gl.constexpr = gl.NVMMADistributedLayout(version=[3, 0], warps_per_cta=[4, 1], instr_shape=[16, N, WIDTH])
    filling: gl.constexpr = gl.BlockedLayout([1, 4], [4, 8], [4, 1], [1, 0])
    left_layout: gl.constexpr = gl.NVMMASharedLayout.get_default_for([64, K], DTYPE)
    right_layout: gl.constexpr = gl.NVMMASharedLayout.get_default_for([N, K], DTYPE)
    left = gl.allocate_shared_memory(DTYPE, [64, K], left_layout)
    right = gl.allocate_shared_memory(DTYPE, [N, K], right_layout)
    left.store(gl.full([64, K], 1.0, gl.float32, filling).to(DTYPE))
    right.store(gl.full([N, K], 1.0, gl.float32, filling).to(DTYPE))
    fence_async_shared()
    gl.thread_barrier()
    acc = gl.full([64, N], 0.0, gl.float32, layout)
    issued = gl.to_tensor(0).to(gl.int64)
    completed = gl.to_tensor(0).to(gl.int64)
    before_ns = nanoseconds()
    before = clock()
    for _ in range(n):
        if BACK_TO_BACK:
            acc = warpgroup_mma(left, right.permute([1, 0]), acc, is_async=True)
            acc = warpgroup_mma_wait(1, deps=[acc])
        else:
            first = clock()
            acc = warpgroup_mma(left, right.permute([1, 0]), acc, is_async=True)
            second = clock()
            acc = warpgroup_mma_wait(0, deps=[acc])
            third = clock()
            issued += second - first
            completed += third - first
    acc = warpgroup_mma_wait(0, deps=[acc])
    after = clock()
    after_ns = nanoseconds()
    rows = gl.arange(0, 64, layout=gl.SliceLayout(1, layout))
    columns = gl.arange(0, N, layout=gl.SliceLayout(0, layout))
    gl.store(sink + rows[:, None] * N + columns[None, :], acc)
    record(out, after - before, issued, completed, after_ns - before_ns)

r"""moe_combine_gradient for Hopper, written by Twill from moe_combine_gradient.py. Do not edit: change the
kernel and compile it again.

Compiled for BP=64, BN=64.
Schedule: II = 336 cycles, optimal (ResMII of unit ALU (ops moved_7.0, moved_7.1, moved_15.0, moved_15.1, dot_2.0, dot_2.1, dot_4.0, dot_4.1 and 2 more)); one iteration takes 1346.

Roles:
  consumer0: 4 warps, 240 registers a thread, 3 stages
  consumer1: 4 warps, 240 registers a thread, 3 stages
  loader: 1 warps, 24 registers a thread

Rings:
  dot_0_ring: 4 x [32, 64] bf16
  dot_1_ring: 4 x [32, 64] bf16

Steady state, one II:
           0                     84                    168                   252
      ALU |0AAA[M #3 --][dot_2.1 #0][C #1 --][a #0][v #1 -][m #3 --][c #1 -][dot_2.0 #1 ][V #2 -]1A|
      TMA |[dot.0 #3 --------------------][dot.1 #3 --------------------]..........................|
      LSU |b..................[O #3 --]............[S #1 --][E #1 --].....[o #3 --][r #1 -][b #1 ->|
  group 0 |[D #3 -].......................[d #3 -].................................................|
  group 1 |0AAA[M #3 --]......[O #3 --]............[S #1 --][E #1 --].......[dot_2.0 #1 ][V #2 -]1A|
          |                         [C #1 --]                                                      |
  group 2 |b............[dot_2.1 #0].........[a #0][v #1 -][m #3 --][c #1 -][o #3 ][r #1 -][b #1 ->|
"""

import torch
import triton
from triton.experimental import gluon
from triton.experimental.gluon import language as gl
from triton.experimental.gluon.language.nvidia.hopper import (
    fence_async_shared,
    mbarrier,
    tma,
    warpgroup_mma,
    warpgroup_mma_wait,
)
from triton.experimental.gluon.nvidia.hopper import TensorDescriptor

tma_load = getattr(tma, "async_load", None) or tma.async_copy_global_to_shared
tma_store = getattr(tma, "async_store", None) or tma.async_copy_shared_to_global
DEVICE_TYPE = "cpu" if triton.__version__.endswith("+twill") else "cuda"  # the emulator's is the CPU

BLOCKED_32x64: gl.constexpr = gl.constexpr(gl.BlockedLayout(size_per_thread=[1, 2], threads_per_warp=[1, 32], warps_per_cta=[4, 1], order=[1, 0]))
ROWS_OF_BLOCKED_32x64: gl.constexpr = gl.constexpr(gl.SliceLayout(1, BLOCKED_32x64.value))
BLOCKED_32x1: gl.constexpr = gl.constexpr(gl.BlockedLayout(size_per_thread=[1, 1], threads_per_warp=[32, 1], warps_per_cta=[4, 1], order=[1, 0]))
ROWS_OF_BLOCKED_32x1: gl.constexpr = gl.constexpr(gl.SliceLayout(1, BLOCKED_32x1.value))
COLUMNS_OF_BLOCKED_32x64: gl.constexpr = gl.constexpr(gl.SliceLayout(0, BLOCKED_32x64.value))
DY_DESC_0_STAGE_LAYOUT: gl.constexpr = gl.constexpr(gl.NVMMASharedLayout.get_default_for([32, 64], gl.bfloat16))
DY_DESC_1_STAGE_LAYOUT: gl.constexpr = gl.constexpr(gl.NVMMASharedLayout.get_default_for([32, 64], gl.bfloat16))


@gluon.jit
def consumer0(
    K, N, dot_0_ring, dot_0_ring_empty, dot_0_ring_full, dout, dweights, dy_desc, dy_desc_0_stage, sources,
    weights,
):
    """Consumer: warp group 1 of the schedule."""
    row2 = gl.program_id(0)
    row = row2 * 64
    y_desc = N.to(gl.int64)
    source3 = sources + row
    source2 = source3 + gl.arange(0, 32, layout=ROWS_OF_BLOCKED_32x64)
    source = gl.load(source2)
    there = source >= gl.full([32], 0, gl.int64, ROWS_OF_BLOCKED_32x64)
    begin3 = K.to(gl.int64)
    begin2 = source // begin3
    begin = begin2 * y_desc
    weight2 = weights + source
    weight = gl.load(weight2, mask=there, other=gl.full([32], 0.0, gl.float32, ROWS_OF_BLOCKED_32x64))
    moved2 = dout + gl.expand_dims(gl.convert_layout(begin, ROWS_OF_BLOCKED_32x1), 1)
    dot = gl.full([32], 0.0, gl.float32, ROWS_OF_BLOCKED_32x64)
    n = gl.cdiv(N, 64)
    if n >= 2:
        # prologue, body 0
        # moved_7.0 on ALU: stage 0, slot 17
        moved = gl.expand_dims(there, 1) & gl.expand_dims((0 + gl.arange(0, 64, layout=COLUMNS_OF_BLOCKED_32x64)) < N, 0)
        # moved.0 on LSU: stage 0, slot 74
        moved3 = gl.load(gl.convert_layout(moved2, BLOCKED_32x64) + gl.expand_dims(0 + gl.arange(0, 64, layout=COLUMNS_OF_BLOCKED_32x64), 0), mask=moved, other=gl.full([32, 64], 0.0, gl.bfloat16, BLOCKED_32x64))
        # prologue, body 1
        # moved_7.0 on ALU: stage 0, slot 17
        moved = gl.expand_dims(there, 1) & gl.expand_dims((64 + gl.arange(0, 64, layout=COLUMNS_OF_BLOCKED_32x64)) < N, 0)
        # moved.0 on LSU: stage 0, slot 74
        moved3_prev = moved3
        moved3 = gl.load(gl.convert_layout(moved2, BLOCKED_32x64) + gl.expand_dims(64 + gl.arange(0, 64, layout=COLUMNS_OF_BLOCKED_32x64), 0), mask=moved, other=gl.full([32, 64], 0.0, gl.bfloat16, BLOCKED_32x64))
        # moved_15.0 on ALU: stage 1, slot 297
        moved4 = moved3_prev.to(gl.float32)
        # steady state
        for i in range(2, n):
            # moved_7.0 on ALU: stage 0, slot 17
            moved = gl.expand_dims(there, 1) & gl.expand_dims(((i * 64) + gl.arange(0, 64, layout=COLUMNS_OF_BLOCKED_32x64)) < N, 0)
            # moved.0 on LSU: stage 0, slot 74
            moved3_prev = moved3
            moved3 = gl.load(gl.convert_layout(moved2, BLOCKED_32x64) + gl.expand_dims((i * 64) + gl.arange(0, 64, layout=COLUMNS_OF_BLOCKED_32x64), 0), mask=moved, other=gl.full([32, 64], 0.0, gl.bfloat16, BLOCKED_32x64))
            # cast.0 on ALU: stage 2, slot 97
            mul = moved4 * gl.expand_dims(weight, 1)
            cast = mul.to(gl.bfloat16)
            # store@31 on LSU: stage 2, slot 154
            tma.store_wait(0)
            dy_desc_0_stage.store(cast)
            fence_async_shared()
            tma_store(dy_desc, [row, (i - 2) * 64], dy_desc_0_stage)
            # dot.0.read on LSU: stage 2, slot 188
            # dot_2.0 on ALU: stage 2, slot 249
            mbarrier.wait(dot_0_ring_full.index((i + 2) % 4), ((i - 2) // 4) & 1)
            dot3 = dot_0_ring.index((i + 2) % 4).load(BLOCKED_32x64).to(gl.float32)
            mbarrier.arrive(dot_0_ring_empty.index((i + 2) % 4), count=1)
            dot4 = moved4 * dot3
            # moved_15.0 on ALU: stage 1, slot 297
            moved4 = moved3_prev.to(gl.float32)
            # dot_4.0 on ALU: stage 2, slot 329
            dot5 = gl.sum(dot4, 1)
            dot = dot + dot5
        # epilogue, body 1
        # cast.0 on ALU: stage 2, slot 97
        mul = moved4 * gl.expand_dims(weight, 1)
        cast = mul.to(gl.bfloat16)
        # store@31 on LSU: stage 2, slot 154
        tma.store_wait(0)
        dy_desc_0_stage.store(cast)
        fence_async_shared()
        tma_store(dy_desc, [row, (n - 2) * 64], dy_desc_0_stage)
        # dot.0.read on LSU: stage 2, slot 188
        # dot_2.0 on ALU: stage 2, slot 249
        mbarrier.wait(dot_0_ring_full.index((n + 2) % 4), ((n - 2) // 4) & 1)
        dot3 = dot_0_ring.index((n + 2) % 4).load(BLOCKED_32x64).to(gl.float32)
        mbarrier.arrive(dot_0_ring_empty.index((n + 2) % 4), count=1)
        dot4 = moved4 * dot3
        # moved_15.0 on ALU: stage 1, slot 297
        moved4 = moved3.to(gl.float32)
        # dot_4.0 on ALU: stage 2, slot 329
        dot5 = gl.sum(dot4, 1)
        dot = dot + dot5
        # epilogue, body 2
        # cast.0 on ALU: stage 2, slot 97
        mul = moved4 * gl.expand_dims(weight, 1)
        cast = mul.to(gl.bfloat16)
        # store@31 on LSU: stage 2, slot 154
        tma.store_wait(0)
        dy_desc_0_stage.store(cast)
        fence_async_shared()
        tma_store(dy_desc, [row, (n - 1) * 64], dy_desc_0_stage)
        # dot.0.read on LSU: stage 2, slot 188
        # dot_2.0 on ALU: stage 2, slot 249
        mbarrier.wait(dot_0_ring_full.index((n + 3) % 4), ((n - 1) // 4) & 1)
        dot3 = dot_0_ring.index((n + 3) % 4).load(BLOCKED_32x64).to(gl.float32)
        mbarrier.arrive(dot_0_ring_empty.index((n + 3) % 4), count=1)
        dot4 = moved4 * dot3
        # dot_4.0 on ALU: stage 2, slot 329
        dot5 = gl.sum(dot4, 1)
        dot = dot + dot5
    else:
        # too few iterations to fill the pipeline: one after the other
        for i in range(0, n):
            # dot.0.read on LSU: stage 2, slot 188
            # moved_7.0 on ALU: stage 0, slot 17
            moved = gl.expand_dims(there, 1) & gl.expand_dims(((i * 64) + gl.arange(0, 64, layout=COLUMNS_OF_BLOCKED_32x64)) < N, 0)
            # moved.0 on LSU: stage 0, slot 74
            moved3 = gl.load(gl.convert_layout(moved2, BLOCKED_32x64) + gl.expand_dims((i * 64) + gl.arange(0, 64, layout=COLUMNS_OF_BLOCKED_32x64), 0), mask=moved, other=gl.full([32, 64], 0.0, gl.bfloat16, BLOCKED_32x64))
            # moved_15.0 on ALU: stage 1, slot 297
            moved4 = moved3.to(gl.float32)
            # dot_2.0 on ALU: stage 2, slot 249
            mbarrier.wait(dot_0_ring_full.index(i % 4), (i // 4) & 1)
            dot3 = dot_0_ring.index(i % 4).load(BLOCKED_32x64).to(gl.float32)
            mbarrier.arrive(dot_0_ring_empty.index(i % 4), count=1)
            dot4 = moved4 * dot3
            # dot_4.0 on ALU: stage 2, slot 329
            dot5 = gl.sum(dot4, 1)
            dot = dot + dot5
            # cast.0 on ALU: stage 2, slot 97
            mul = moved4 * gl.expand_dims(weight, 1)
            cast = mul.to(gl.bfloat16)
            # store@31 on LSU: stage 2, slot 154
            tma.store_wait(0)
            dy_desc_0_stage.store(cast)
            fence_async_shared()
            tma_store(dy_desc, [row, i * 64], dy_desc_0_stage)
    # after the loop
    gl.store(dweights + source, dot, mask=there)
    tma.store_wait(0)


@gluon.jit
def consumer1(
    K, N, dot_1_ring, dot_1_ring_empty, dot_1_ring_full, dout, dweights, dy_desc, dy_desc_1_stage, sources,
    weights,
):
    """Consumer: warp group 2 of the schedule."""
    row2 = gl.program_id(0)
    row = row2 * 64
    y_desc = N.to(gl.int64)
    source3 = sources + row
    source2 = source3 + gl.arange(32, 64, layout=ROWS_OF_BLOCKED_32x64)
    source = gl.load(source2)
    there = source >= gl.full([32], 0, gl.int64, ROWS_OF_BLOCKED_32x64)
    begin3 = K.to(gl.int64)
    begin2 = source // begin3
    begin = begin2 * y_desc
    weight2 = weights + source
    weight = gl.load(weight2, mask=there, other=gl.full([32], 0.0, gl.float32, ROWS_OF_BLOCKED_32x64))
    moved2 = dout + gl.expand_dims(gl.convert_layout(begin, ROWS_OF_BLOCKED_32x1), 1)
    row_plus32 = row + 32
    dot2 = gl.full([32], 0.0, gl.float32, ROWS_OF_BLOCKED_32x64)
    n = gl.cdiv(N, 64)
    if n >= 2:
        # prologue, body 0
        # moved_7.1 on ALU: stage 0, slot 185
        moved = gl.expand_dims(there, 1) & gl.expand_dims((0 + gl.arange(0, 64, layout=COLUMNS_OF_BLOCKED_32x64)) < N, 0)
        # moved.1 on LSU: stage 0, slot 242
        moved3 = gl.load(gl.convert_layout(moved2, BLOCKED_32x64) + gl.expand_dims(0 + gl.arange(0, 64, layout=COLUMNS_OF_BLOCKED_32x64), 0), mask=moved, other=gl.full([32, 64], 0.0, gl.bfloat16, BLOCKED_32x64))
        # prologue, body 1
        # moved_7.1 on ALU: stage 0, slot 185
        moved = gl.expand_dims(there, 1) & gl.expand_dims((64 + gl.arange(0, 64, layout=COLUMNS_OF_BLOCKED_32x64)) < N, 0)
        # moved.1 on LSU: stage 0, slot 242
        moved3_prev = moved3
        moved3 = gl.load(gl.convert_layout(moved2, BLOCKED_32x64) + gl.expand_dims(64 + gl.arange(0, 64, layout=COLUMNS_OF_BLOCKED_32x64), 0), mask=moved, other=gl.full([32, 64], 0.0, gl.bfloat16, BLOCKED_32x64))
        # steady state
        for i in range(2, n):
            # moved_15.1 on ALU: stage 2, slot 153
            moved4 = moved3_prev.to(gl.float32)
            # moved_7.1 on ALU: stage 0, slot 185
            moved = gl.expand_dims(there, 1) & gl.expand_dims(((i * 64) + gl.arange(0, 64, layout=COLUMNS_OF_BLOCKED_32x64)) < N, 0)
            # cast.1 on ALU: stage 2, slot 217
            mul = moved4 * gl.expand_dims(weight, 1)
            cast = mul.to(gl.bfloat16)
            # moved.1 on LSU: stage 0, slot 242
            moved3_prev = moved3
            moved3 = gl.load(gl.convert_layout(moved2, BLOCKED_32x64) + gl.expand_dims((i * 64) + gl.arange(0, 64, layout=COLUMNS_OF_BLOCKED_32x64), 0), mask=moved, other=gl.full([32, 64], 0.0, gl.bfloat16, BLOCKED_32x64))
            # store@32 on LSU: stage 2, slot 274
            tma.store_wait(0)
            dy_desc_1_stage.store(cast)
            fence_async_shared()
            tma_store(dy_desc, [row_plus32, (i - 2) * 64], dy_desc_1_stage)
            # dot.1.read on LSU: stage 2, slot 307
            # dot_2.1 on ALU: stage 3, slot 49
            mbarrier.wait(dot_1_ring_full.index((i + 2) % 4), ((i - 2) // 4) & 1)
            dot3 = dot_1_ring.index((i + 2) % 4).load(BLOCKED_32x64).to(gl.float32)
            mbarrier.arrive(dot_1_ring_empty.index((i + 2) % 4), count=1)
            dot4 = moved4 * dot3
            # dot_4.1 on ALU: stage 3, slot 129
            dot5 = gl.sum(dot4, 1)
            dot2 = dot2 + dot5
        # epilogue, body 1
        # moved_15.1 on ALU: stage 2, slot 153
        moved4 = moved3_prev.to(gl.float32)
        # cast.1 on ALU: stage 2, slot 217
        mul = moved4 * gl.expand_dims(weight, 1)
        cast = mul.to(gl.bfloat16)
        # store@32 on LSU: stage 2, slot 274
        tma.store_wait(0)
        dy_desc_1_stage.store(cast)
        fence_async_shared()
        tma_store(dy_desc, [row_plus32, (n - 2) * 64], dy_desc_1_stage)
        # dot.1.read on LSU: stage 2, slot 307
        # dot_2.1 on ALU: stage 3, slot 49
        mbarrier.wait(dot_1_ring_full.index((n + 2) % 4), ((n - 2) // 4) & 1)
        dot3 = dot_1_ring.index((n + 2) % 4).load(BLOCKED_32x64).to(gl.float32)
        mbarrier.arrive(dot_1_ring_empty.index((n + 2) % 4), count=1)
        dot4 = moved4 * dot3
        # dot_4.1 on ALU: stage 3, slot 129
        dot5 = gl.sum(dot4, 1)
        dot2 = dot2 + dot5
        # epilogue, body 2
        # moved_15.1 on ALU: stage 2, slot 153
        moved4 = moved3.to(gl.float32)
        # cast.1 on ALU: stage 2, slot 217
        mul = moved4 * gl.expand_dims(weight, 1)
        cast = mul.to(gl.bfloat16)
        # store@32 on LSU: stage 2, slot 274
        tma.store_wait(0)
        dy_desc_1_stage.store(cast)
        fence_async_shared()
        tma_store(dy_desc, [row_plus32, (n - 1) * 64], dy_desc_1_stage)
        # dot.1.read on LSU: stage 2, slot 307
        # dot_2.1 on ALU: stage 3, slot 49
        mbarrier.wait(dot_1_ring_full.index((n + 3) % 4), ((n - 1) // 4) & 1)
        dot3 = dot_1_ring.index((n + 3) % 4).load(BLOCKED_32x64).to(gl.float32)
        mbarrier.arrive(dot_1_ring_empty.index((n + 3) % 4), count=1)
        dot4 = moved4 * dot3
        # dot_4.1 on ALU: stage 3, slot 129
        dot5 = gl.sum(dot4, 1)
        dot2 = dot2 + dot5
    else:
        # too few iterations to fill the pipeline: one after the other
        for i in range(0, n):
            # dot.1.read on LSU: stage 2, slot 307
            # moved_7.1 on ALU: stage 0, slot 185
            moved = gl.expand_dims(there, 1) & gl.expand_dims(((i * 64) + gl.arange(0, 64, layout=COLUMNS_OF_BLOCKED_32x64)) < N, 0)
            # moved.1 on LSU: stage 0, slot 242
            moved3 = gl.load(gl.convert_layout(moved2, BLOCKED_32x64) + gl.expand_dims((i * 64) + gl.arange(0, 64, layout=COLUMNS_OF_BLOCKED_32x64), 0), mask=moved, other=gl.full([32, 64], 0.0, gl.bfloat16, BLOCKED_32x64))
            # moved_15.1 on ALU: stage 2, slot 153
            moved4 = moved3.to(gl.float32)
            # dot_2.1 on ALU: stage 3, slot 49
            mbarrier.wait(dot_1_ring_full.index(i % 4), (i // 4) & 1)
            dot3 = dot_1_ring.index(i % 4).load(BLOCKED_32x64).to(gl.float32)
            mbarrier.arrive(dot_1_ring_empty.index(i % 4), count=1)
            dot4 = moved4 * dot3
            # dot_4.1 on ALU: stage 3, slot 129
            dot5 = gl.sum(dot4, 1)
            dot2 = dot2 + dot5
            # cast.1 on ALU: stage 2, slot 217
            mul = moved4 * gl.expand_dims(weight, 1)
            cast = mul.to(gl.bfloat16)
            # store@32 on LSU: stage 2, slot 274
            tma.store_wait(0)
            dy_desc_1_stage.store(cast)
            fence_async_shared()
            tma_store(dy_desc, [row_plus32, i * 64], dy_desc_1_stage)
    # after the loop
    gl.store(dweights + source, dot2, mask=there)
    tma.store_wait(0)


@gluon.jit
def loader(
    N, dot_0_ring, dot_0_ring_empty, dot_0_ring_full, dot_1_ring, dot_1_ring_empty, dot_1_ring_full, y_desc,
):
    """Producer: warp group 0 of the schedule."""
    row2 = gl.program_id(0)
    row = row2 * 64
    row_plus32 = row + 32
    n = gl.cdiv(N, 64)
    for i in range(0, n):
        # dot.0: stage 0, slot 0
        mbarrier.wait(dot_0_ring_empty.index(i % 4), ((i // 4) & 1) ^ 1)
        mbarrier.expect(dot_0_ring_full.index(i % 4), 4096)
        tma_load(y_desc, [row, i * 64], dot_0_ring_full.index(i % 4), dot_0_ring.index(i % 4))
        # dot.1: stage 0, slot 119
        mbarrier.wait(dot_1_ring_empty.index(i % 4), ((i // 4) & 1) ^ 1)
        mbarrier.expect(dot_1_ring_full.index(i % 4), 4096)
        tma_load(y_desc, [row_plus32, i * 64], dot_1_ring_full.index(i % 4), dot_1_ring.index(i % 4))


@gluon.jit
def moe_combine_gradient_kernel(dy_desc, y_desc, dout, sources, weights, dweights, K, N):
    """Shared memory, barriers, and one warp group for each of consumer0, consumer1, loader."""
    barrier: gl.constexpr = mbarrier.MBarrierLayout()
    dot_0_ring = gl.allocate_shared_memory(gl.bfloat16, [4, 32, 64], y_desc.layout)
    dot_0_ring_full = gl.allocate_shared_memory(gl.int64, [4, 1], barrier)
    dot_0_ring_empty = gl.allocate_shared_memory(gl.int64, [4, 1], barrier)
    dot_1_ring = gl.allocate_shared_memory(gl.bfloat16, [4, 32, 64], y_desc.layout)
    dot_1_ring_full = gl.allocate_shared_memory(gl.int64, [4, 1], barrier)
    dot_1_ring_empty = gl.allocate_shared_memory(gl.int64, [4, 1], barrier)
    dy_desc_0_stage = gl.allocate_shared_memory(gl.bfloat16, [32, 64], DY_DESC_0_STAGE_LAYOUT)
    dy_desc_1_stage = gl.allocate_shared_memory(gl.bfloat16, [32, 64], DY_DESC_1_STAGE_LAYOUT)
    for slot in gl.static_range(4):
        mbarrier.init(dot_0_ring_full.index(slot), count=1)
    for slot in gl.static_range(4):
        mbarrier.init(dot_0_ring_empty.index(slot), count=1)
    for slot in gl.static_range(4):
        mbarrier.init(dot_1_ring_full.index(slot), count=1)
    for slot in gl.static_range(4):
        mbarrier.init(dot_1_ring_empty.index(slot), count=1)
    fence_async_shared()  # the barriers are set up before TMA or another role sees them
    gl.warp_specialize(
        [
            (consumer0, (
                K, N, dot_0_ring, dot_0_ring_empty, dot_0_ring_full, dout, dweights, dy_desc, dy_desc_0_stage, sources,
                weights,
            )),
            (consumer1, (
                K, N, dot_1_ring, dot_1_ring_empty, dot_1_ring_full, dout, dweights, dy_desc, dy_desc_1_stage, sources,
                weights,
            )),
            (loader, (
                N, dot_0_ring, dot_0_ring_empty, dot_0_ring_full, dot_1_ring, dot_1_ring_empty, dot_1_ring_full, y_desc,
            )),
        ],
        [4, 1],
        [240, 24],
    )


def require_tensors(device_type: str | None, /, **arguments: tuple[torch.Tensor, torch.dtype]) -> None:
    """Each is a tensor of its dtype, all on the current device, which is of `device_type`."""
    (first, (tensor, _)), *_ = arguments.items()
    device = getattr(tensor, "device", None)
    for name, (tensor, dtype) in arguments.items():
        if not isinstance(tensor, torch.Tensor):
            raise TypeError(f"{name} must be a torch.Tensor, got {type(tensor).__name__}")
        if tensor.dtype != dtype:
            raise ValueError(f"{name} must be {dtype}, got {tensor.dtype}: convert it, or compile the kernel for it")
        if tensor.device != device:
            raise ValueError(f"{name} is on {tensor.device} but {first} on {device}: move them to one GPU")
    if device_type and tensor.device.type != device_type:
        raise ValueError(f"{first} is on {device}, where the kernel does not run: move the tensors to {device_type}")
    if device_type == "cuda" and tensor.device.index != torch.cuda.current_device():
        raise ValueError(
            f"{first} is on {device}, not on the current GPU: use `with torch.cuda.device({first}.device)`"
        )


def require_scalars(**arguments: tuple[float, str]) -> None:
    """Each is a number that its dtype holds."""
    for name, (value, dtype) in arguments.items():
        if not isinstance(value, (int, float) if "f" in dtype else int):
            kind = "a number" if "f" in dtype else "an int"
            raise TypeError(f"{name} must be {kind}, got {type(value).__name__}: convert it")
        if dtype == "i32" and not -(2**31) <= value < 2**31:
            raise ValueError(f"{name}={value} overflows the 32 bits the kernel computes in: split the launch")


def require_grid(grid: tuple[int, ...]) -> None:
    """One to three numbers of programs that a GPU launches; any of them may be zero."""
    if not isinstance(grid, (tuple, list)) or not 1 <= len(grid) <= 3:
        raise TypeError(f"grid must be a tuple of one to three ints, got {grid!r}")
    for extent, most in zip(grid, (2**31 - 1, 65535, 65535), strict=False):
        if not 0 <= extent <= most:
            raise ValueError(f"grid {tuple(grid)} has {extent}, not in 0..{most}: check the sizes, or split the launch")


def merged(dims: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """(size, stride) of dimensions, outermost first: without sizes of 1, and those that continue each other as one."""
    found: list[tuple[int, int]] = []
    for size, stride in dims:
        if size == 1:
            continue
        if found and found[-1][1] == size * stride:
            size *= found.pop()[0]
        found.append((size, stride))
    return found


def require_view(
    name: str,
    tensor: torch.Tensor,
    shape: list[int],
    strides: list[int],
    *,
    order: tuple[int, ...] = (),
    told: bool = False,
) -> None:
    """What TMA reads as `shape` and `strides` from the tensor's start are the tensor's elements, in its order.

    order: of the dimensions, outermost first, of the tensor compiled for, where that is not 0, 1, ... told: the caller
    gives the strides, so any order is meant.
    """
    size = tensor.element_size()
    wrong, reach = "", 1
    for extent, stride in zip(shape, strides, strict=True):
        reach += (extent - 1) * stride
        if not 0 <= extent < 2**31:
            wrong = "sizes must be in 0..2**31-1: check them, or split the launch"
    if strides[-1] != 1:
        wrong = wrong or "TMA needs a last stride of 1: make it contiguous"
    for stride in strides[:-1]:
        if stride * size % 16 or not 0 <= stride * size < 2**40:
            wrong = wrong or f"TMA needs strides of a multiple of 16 bytes, {16 // size} elements: pad its rows"
    if tensor.data_ptr() % 16:
        wrong = wrong or "TMA needs it to begin at a multiple of 16 bytes: use a tensor of its own"
    if order and tensor.dim() != len(order):
        wrong = wrong or f"it was compiled for {len(order)} dimensions: pass as many"
    if not wrong and 0 not in shape:
        own = tensor.permute(order) if order else tensor
        if own.is_contiguous():
            if reach > own.numel():
                wrong = f"that is {reach} elements: pass a tensor that large"
        else:
            held, read = zip(own.shape, own.stride(), strict=True), zip(shape, strides, strict=True)
            dims = [sorted(each, key=lambda dim: -dim[1]) if told else list(each) for each in (held, read)]
            rest = iter(merged(dims[0]))
            if not all(any(step == by and count <= most for most, step in rest) for count, by in merged(dims[1])):
                wrong = "those are other elements: pass a contiguous tensor that is as large"
    if wrong:
        got = f"{name} has shape {list(tensor.shape)} and strides {list(tensor.stride())}"
        raise ValueError(f"{got}, the kernel takes it as shape {shape} and strides {strides}; {wrong}")


def require_pointer(
    name: str, tensor: torch.Tensor, *, strides: list[int] | tuple[()] | None = (), narrow: bool = True
) -> None:
    """A tensor reached by pointers is contiguous, or its strides are among those the caller gives.

    strides: the arguments that are strides; None where it was compiled for a tensor that is not contiguous. narrow:
    its offsets have 32 bits.
    """
    last = tensor.numel() - 1
    if not tensor.is_contiguous():
        dims = merged(list(zip(tensor.shape, tensor.stride(), strict=True)))
        last = sum((size - 1) * step for size, step in dims)
        if strides is not None and any(step not in (1, *strides) for _, step in dims):
            got = f"{name} has shape {list(tensor.shape)} and strides {list(tensor.stride())}"
            raise ValueError(f"{got}, the kernel takes it as contiguous: pass a contiguous tensor")
    if narrow and last >= 2**31:
        raise ValueError(f"{name} reaches beyond the kernel's 32-bit offsets: split the launch, or use int64 offsets")


def moe_combine_gradient(y, dout, sources, weights, dy, dweights, P, K, N, BP=64, BN=64):
    """Launch the kernel on the current stream; arguments as of the source kernel `moe_combine_gradient`.

    Raises TypeError or ValueError when an argument is not what the kernel was compiled for.
    """
    if BP != 64:
        raise ValueError(f"compiled for BP=64, got {BP!r}: compile it again")
    if BN != 64:
        raise ValueError(f"compiled for BN=64, got {BN!r}: compile it again")
    require_tensors(
        DEVICE_TYPE,
        y=(y, torch.bfloat16),
        dout=(dout, torch.bfloat16),
        sources=(sources, torch.int64),
        weights=(weights, torch.float32),
        dy=(dy, torch.bfloat16),
        dweights=(dweights, torch.float32),
    )
    require_scalars(P=(P, "i32"), K=(K, "i32"), N=(N, "i32"))
    if P % BP:
        raise ValueError(f"P must be a multiple of BP, got {P}")
    grid = (P // BP,)
    require_grid(grid)
    require_view("dy", dy, [P, N], [N, 1])
    require_view("y", y, [P, N], [N, 1])
    require_pointer("dout", dout, narrow=False)
    require_pointer("sources", sources, narrow=False)
    require_pointer("weights", weights, narrow=False)
    require_pointer("dweights", dweights, narrow=False)
    if 0 in grid:
        return  # there is nothing to do
    dy_desc = TensorDescriptor(dy, [max(P, 1), max(N, 1)], [N, 1], [32, 64], gl.NVMMASharedLayout.get_default_for([32, 64], gl.bfloat16))
    y_desc = TensorDescriptor(y, [max(P, 1), max(N, 1)], [N, 1], [32, 64], gl.NVMMASharedLayout.get_default_for([32, 64], gl.bfloat16))
    moe_combine_gradient_kernel[grid](dy_desc, y_desc, dout, sources, weights, dweights, K, N, num_warps=4)

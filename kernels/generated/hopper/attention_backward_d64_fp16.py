r"""attention_backward for Hopper, written by Twill from attention_backward.py. Do not edit: change the
kernel and compile it again.

Compiled for D=64, BLOCK_M=64, BLOCK_N=128, CAUSAL=False.
Schedule: II = 1280 cycles, optimal (ResMII of unit TC (ops s, dp, dv_acc, dk_acc, dq_part), within the limits that the machine code asked for); one iteration takes 4802.

Roles:
  consumer0: 8 warps, 240 registers a thread, 3 stages
  loader: 1 warps, 24 registers a thread

Rings:
  q_tile_ring: 4 x [64, 64] f16
  do_tile_ring: 3 x [64, 64] f16
  lse_row_ring: 2 x [1, 64] f32
  delta_row_ring: 2 x [1, 64] f32

Steady state, one II:
           0                     320                   640                   960
       TC |<dv_acc #1 --][dp #2 ----------][dq_part #1 -----][dk_acc #1 -----][s #3 -----------]2vv|
      SFU |..............[p #2 -----------------------------]......................................|
      ALU |.[p_4 #2 ]..........................................[ds_3 #2 ----].....2VVVV.........3l.|
      TMA |[q_tile #3 ----]dL.................[do_tile #3 ---].....................................|
      LSU |.[store@28 #0 ---------------------------------------------------].....[t #2 --]eE......|
  group 0 |3Q..............dL.................3D...................................................|
  group 1 |.[p_4 #2 ]....[p #2 -----------------------------]K.[ds_3 #2 ----].3S..[t #2 --]eE...v3l|
          | [T #0 --]    2a                1q                                     2VVVV            |
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

BLOCKED_1x64_W8: gl.constexpr = gl.constexpr(gl.BlockedLayout(size_per_thread=[1, 2], threads_per_warp=[1, 32], warps_per_cta=[8, 1], order=[1, 0]))
COLUMNS_OF_BLOCKED_1x64_W8: gl.constexpr = gl.constexpr(gl.SliceLayout(0, BLOCKED_1x64_W8.value))
MMA_64_W8: gl.constexpr = gl.constexpr(gl.NVMMADistributedLayout(version=[3, 0], warps_per_cta=[8, 1], instr_shape=[16, 64, 16]))
LEFT_OF_MMA_64_W8: gl.constexpr = gl.constexpr(gl.DotOperandLayout(0, MMA_64_W8.value, 2))
MMA_32x2_W8: gl.constexpr = gl.constexpr(gl.NVMMADistributedLayout(version=[3, 0], warps_per_cta=[4, 2], instr_shape=[16, 32, 16]))
ROWS_OF_MMA_32x2_W8: gl.constexpr = gl.constexpr(gl.SliceLayout(1, MMA_32x2_W8.value))
DS_3_STAGE_LAYOUT: gl.constexpr = gl.constexpr(gl.NVMMASharedLayout.get_default_for([128, 64], gl.float16))
DV_DESC_0_STAGE_LAYOUT: gl.constexpr = gl.constexpr(gl.NVMMASharedLayout.get_default_for([128, 64], gl.float16))
DK_DESC_0_STAGE_LAYOUT: gl.constexpr = gl.constexpr(gl.NVMMASharedLayout.get_default_for([128, 64], gl.float16))


@gluon.jit
def consumer0(
    G, M, N, delta_row_ring, delta_row_ring_empty, delta_row_ring_full, dk_desc, dk_desc_0_stage, do_tile_ring,
    do_tile_ring_empty, do_tile_ring_full, dq, ds_3_stage, dv_desc, dv_desc_0_stage, k_tile_smem,
    k_tile_smem_full, lse_row_ring, lse_row_ring_empty, lse_row_ring_full, q_tile_ring, q_tile_ring_empty,
    q_tile_ring_full, scale, v_tile_smem, v_tile_smem_full,
):
    """Consumer: warp group 1 of the schedule."""
    mbarrier.wait(k_tile_smem_full.index(0), 0)
    mbarrier.wait(v_tile_smem_full.index(0), 0)
    pid_n = gl.program_id(0)
    head = gl.program_id(1)
    key2 = head * N
    key3 = pid_n * 128
    key = key2 + key3
    scale_log2 = scale * 1.44269502
    mul3 = G * M
    row2 = head * G
    row = row2 * M
    mul = gl.expand_dims(gl.arange(0, 64, layout=COLUMNS_OF_BLOCKED_1x64_W8), 0) * gl.full([1, 64], 64, gl.int32, BLOCKED_1x64_W8)
    dk_acc = gl.full([128, 64], 0.0, gl.float32, MMA_64_W8)
    dv_acc = gl.full([128, 64], 0.0, gl.float32, MMA_64_W8)
    n = gl.cdiv(mul3, 64)
    if n >= 2:
        # prologue, body 0
        # s on TC: stage 0, slot 978
        mbarrier.wait(q_tile_ring_full.index(0), 0)
        s = warpgroup_mma(k_tile_smem, q_tile_ring.index(0).permute([1, 0]), gl.zeros([128, 64], gl.float32, MMA_64_W8), use_acc=False, is_async=True)
        # delta_row.read on LSU: stage 0, slot 1166
        # lse_row.read on LSU: stage 0, slot 1168
        # lse_row_1 on ALU: stage 0, slot 1235
        mbarrier.wait(lse_row_ring_full.index(0), 0)
        lse_row = lse_row_ring.index(0).load(MMA_64_W8) * gl.full([1, 64], 1.44269502, gl.float32, MMA_64_W8)
        mbarrier.arrive(lse_row_ring_empty.index(0), count=1)
        # p_4 on ALU: stage 1, slot 14
        s = warpgroup_mma_wait(0, deps=[s])
        p = s * scale_log2
        p2 = p - lse_row
        # dp on TC: stage 1, slot 210
        mbarrier.wait(do_tile_ring_full.index(0), 0)
        dp = warpgroup_mma(v_tile_smem, do_tile_ring.index(0).permute([1, 0]), gl.zeros([128, 64], gl.float32, MMA_64_W8), use_acc=False, is_async=True)
        # p on SFU: stage 1, slot 210
        p3 = gl.exp2(p2)
        # ds_3 on ALU: stage 1, slot 763
        dp = warpgroup_mma_wait(0, deps=[dp])
        mbarrier.wait(delta_row_ring_full.index(0), 0)
        ds = dp - delta_row_ring.index(0).load(MMA_64_W8)
        mbarrier.arrive(delta_row_ring_empty.index(0), count=1)
        ds2 = p3 * ds
        ds3 = ds2.to(gl.float16)
        # prologue, body 1
        # s on TC: stage 0, slot 978
        mbarrier.wait(q_tile_ring_full.index(1), 0)
        s = warpgroup_mma(k_tile_smem, q_tile_ring.index(1).permute([1, 0]), gl.zeros([128, 64], gl.float32, MMA_64_W8), use_acc=False, is_async=True)
        # ds_3.stage on LSU: stage 1, slot 1038
        ds_3_stage.store(ds3)
        fence_async_shared()
        # dv_acc_1 on ALU: stage 1, slot 1038
        dv_acc2 = p3.to(gl.float16)
        # delta_row.read on LSU: stage 0, slot 1166
        # lse_row.read on LSU: stage 0, slot 1168
        # dv_acc on TC: stage 1, slot 1234
        s = warpgroup_mma_wait(0, deps=[s])
        dv_acc = warpgroup_mma(gl.convert_layout(dv_acc2, LEFT_OF_MMA_64_W8), do_tile_ring.index(0), dv_acc, is_async=True)
        # lse_row_1 on ALU: stage 0, slot 1235
        mbarrier.wait(lse_row_ring_full.index(1), 0)
        lse_row = lse_row_ring.index(1).load(MMA_64_W8) * gl.full([1, 64], 1.44269502, gl.float32, MMA_64_W8)
        mbarrier.arrive(lse_row_ring_empty.index(1), count=1)
        # p_4 on ALU: stage 1, slot 14
        p = s * scale_log2
        p2 = p - lse_row
        # dp on TC: stage 1, slot 210
        mbarrier.wait(do_tile_ring_full.index(1), 0)
        dv_acc = warpgroup_mma_wait(0, deps=[dv_acc])
        mbarrier.arrive(do_tile_ring_empty.index(0), count=1)
        dp = warpgroup_mma(v_tile_smem, do_tile_ring.index(1).permute([1, 0]), gl.zeros([128, 64], gl.float32, MMA_64_W8), use_acc=False, is_async=True)
        # p on SFU: stage 1, slot 210
        p3 = gl.exp2(p2)
        # dq_part on TC: stage 2, slot 466
        dq_part = warpgroup_mma(k_tile_smem.permute([1, 0]), ds_3_stage, gl.zeros([64, 64], gl.float32, MMA_32x2_W8), use_acc=False, is_async=True)
        # dk_acc on TC: stage 2, slot 722
        dk_acc = warpgroup_mma(ds_3_stage, q_tile_ring.index(0), dk_acc, is_async=True)
        # ds_3 on ALU: stage 1, slot 763
        dp = warpgroup_mma_wait(2, deps=[dp])
        mbarrier.wait(delta_row_ring_full.index(1), 0)
        ds = dp - delta_row_ring.index(1).load(MMA_64_W8)
        mbarrier.arrive(delta_row_ring_empty.index(1), count=1)
        ds2 = p3 * ds
        ds3 = ds2.to(gl.float16)
        dq_part, dk_acc = warpgroup_mma_wait(1, deps=[dq_part, dk_acc])
        # steady state
        for i in range(2, n):
            # s on TC: stage 0, slot 978
            mbarrier.wait(q_tile_ring_full.index(i % 4), (i // 4) & 1)
            s = warpgroup_mma(k_tile_smem, q_tile_ring.index(i % 4).permute([1, 0]), gl.zeros([128, 64], gl.float32, MMA_64_W8), use_acc=False, is_async=True)
            # ds_3.stage on LSU: stage 1, slot 1038
            dk_acc = warpgroup_mma_wait(1, deps=[dk_acc])
            mbarrier.arrive(q_tile_ring_empty.index((i + 2) % 4), count=1)
            ds_3_stage.store(ds3)
            fence_async_shared()
            # dv_acc_1 on ALU: stage 1, slot 1038
            dv_acc2 = p3.to(gl.float16)
            # delta_row.read on LSU: stage 0, slot 1166
            # lse_row.read on LSU: stage 0, slot 1168
            # dv_acc on TC: stage 1, slot 1234
            s = warpgroup_mma_wait(0, deps=[s])
            dv_acc = warpgroup_mma(gl.convert_layout(dv_acc2, LEFT_OF_MMA_64_W8), do_tile_ring.index((i + 2) % 3), dv_acc, is_async=True)
            # lse_row_1 on ALU: stage 0, slot 1235
            mbarrier.wait(lse_row_ring_full.index(i % 2), (i // 2) & 1)
            lse_row = lse_row_ring.index(i % 2).load(MMA_64_W8) * gl.full([1, 64], 1.44269502, gl.float32, MMA_64_W8)
            mbarrier.arrive(lse_row_ring_empty.index(i % 2), count=1)
            # store@28 on LSU: stage 3, slot 14
            gl.atomic_add(((dq + ((row + ((i - 2) * 64)) * 64)) + gl.convert_layout(mul, MMA_32x2_W8)) + gl.expand_dims(gl.arange(0, 64, layout=ROWS_OF_MMA_32x2_W8), 1), dq_part, sem="relaxed")
            # p_4 on ALU: stage 1, slot 14
            p = s * scale_log2
            p2 = p - lse_row
            # dp on TC: stage 1, slot 210
            mbarrier.wait(do_tile_ring_full.index(i % 3), (i // 3) & 1)
            dv_acc = warpgroup_mma_wait(0, deps=[dv_acc])
            mbarrier.arrive(do_tile_ring_empty.index((i + 2) % 3), count=1)
            dp = warpgroup_mma(v_tile_smem, do_tile_ring.index(i % 3).permute([1, 0]), gl.zeros([128, 64], gl.float32, MMA_64_W8), use_acc=False, is_async=True)
            # p on SFU: stage 1, slot 210
            p3 = gl.exp2(p2)
            # dq_part on TC: stage 2, slot 466
            dq_part = warpgroup_mma(k_tile_smem.permute([1, 0]), ds_3_stage, gl.zeros([64, 64], gl.float32, MMA_32x2_W8), use_acc=False, is_async=True)
            # dk_acc on TC: stage 2, slot 722
            dk_acc = warpgroup_mma(ds_3_stage, q_tile_ring.index((i + 3) % 4), dk_acc, is_async=True)
            # ds_3 on ALU: stage 1, slot 763
            dp = warpgroup_mma_wait(2, deps=[dp])
            mbarrier.wait(delta_row_ring_full.index(i % 2), (i // 2) & 1)
            ds = dp - delta_row_ring.index(i % 2).load(MMA_64_W8)
            mbarrier.arrive(delta_row_ring_empty.index(i % 2), count=1)
            ds2 = p3 * ds
            ds3 = ds2.to(gl.float16)
            dq_part, dk_acc = warpgroup_mma_wait(1, deps=[dq_part, dk_acc])
        # epilogue, body 1
        # ds_3.stage on LSU: stage 1, slot 1038
        dk_acc = warpgroup_mma_wait(0, deps=[dk_acc])
        mbarrier.arrive(q_tile_ring_empty.index((n + 2) % 4), count=1)
        ds_3_stage.store(ds3)
        fence_async_shared()
        # dv_acc_1 on ALU: stage 1, slot 1038
        dv_acc2 = p3.to(gl.float16)
        # dv_acc on TC: stage 1, slot 1234
        dv_acc = warpgroup_mma(gl.convert_layout(dv_acc2, LEFT_OF_MMA_64_W8), do_tile_ring.index((n + 2) % 3), dv_acc, is_async=True)
        # store@28 on LSU: stage 3, slot 14
        gl.atomic_add(((dq + ((row + ((n - 2) * 64)) * 64)) + gl.convert_layout(mul, MMA_32x2_W8)) + gl.expand_dims(gl.arange(0, 64, layout=ROWS_OF_MMA_32x2_W8), 1), dq_part, sem="relaxed")
        # dq_part on TC: stage 2, slot 466
        dv_acc = warpgroup_mma_wait(0, deps=[dv_acc])
        mbarrier.arrive(do_tile_ring_empty.index((n + 2) % 3), count=1)
        dq_part = warpgroup_mma(k_tile_smem.permute([1, 0]), ds_3_stage, gl.zeros([64, 64], gl.float32, MMA_32x2_W8), use_acc=False, is_async=True)
        # dk_acc on TC: stage 2, slot 722
        dk_acc = warpgroup_mma(ds_3_stage, q_tile_ring.index((n + 3) % 4), dk_acc, is_async=True)
        dq_part, dk_acc = warpgroup_mma_wait(0, deps=[dq_part, dk_acc])
        mbarrier.arrive(q_tile_ring_empty.index((n + 3) % 4), count=1)
        # epilogue, body 2
        # store@28 on LSU: stage 3, slot 14
        gl.atomic_add(((dq + ((row + ((n - 1) * 64)) * 64)) + gl.convert_layout(mul, MMA_32x2_W8)) + gl.expand_dims(gl.arange(0, 64, layout=ROWS_OF_MMA_32x2_W8), 1), dq_part, sem="relaxed")
    else:
        # too few iterations to fill the pipeline: one after the other
        for i in range(0, n):
            # delta_row.read on LSU: stage 0, slot 1166
            # lse_row.read on LSU: stage 0, slot 1168
            # lse_row_1 on ALU: stage 0, slot 1235
            mbarrier.wait(lse_row_ring_full.index(i % 2), (i // 2) & 1)
            lse_row = lse_row_ring.index(i % 2).load(MMA_64_W8) * gl.full([1, 64], 1.44269502, gl.float32, MMA_64_W8)
            mbarrier.arrive(lse_row_ring_empty.index(i % 2), count=1)
            # s on TC: stage 0, slot 978
            mbarrier.wait(q_tile_ring_full.index(i % 4), (i // 4) & 1)
            s = warpgroup_mma(k_tile_smem, q_tile_ring.index(i % 4).permute([1, 0]), gl.zeros([128, 64], gl.float32, MMA_64_W8), use_acc=False, is_async=True)
            # p_4 on ALU: stage 1, slot 14
            s = warpgroup_mma_wait(0, deps=[s])
            p = s * scale_log2
            p2 = p - lse_row
            # p on SFU: stage 1, slot 210
            p3 = gl.exp2(p2)
            # dp on TC: stage 1, slot 210
            mbarrier.wait(do_tile_ring_full.index(i % 3), (i // 3) & 1)
            dp = warpgroup_mma(v_tile_smem, do_tile_ring.index(i % 3).permute([1, 0]), gl.zeros([128, 64], gl.float32, MMA_64_W8), use_acc=False, is_async=True)
            # dv_acc_1 on ALU: stage 1, slot 1038
            dv_acc2 = p3.to(gl.float16)
            # dv_acc on TC: stage 1, slot 1234
            dp = warpgroup_mma_wait(0, deps=[dp])
            dv_acc = warpgroup_mma(gl.convert_layout(dv_acc2, LEFT_OF_MMA_64_W8), do_tile_ring.index(i % 3), dv_acc, is_async=True)
            # ds_3 on ALU: stage 1, slot 763
            mbarrier.wait(delta_row_ring_full.index(i % 2), (i // 2) & 1)
            ds = dp - delta_row_ring.index(i % 2).load(MMA_64_W8)
            mbarrier.arrive(delta_row_ring_empty.index(i % 2), count=1)
            ds2 = p3 * ds
            ds3 = ds2.to(gl.float16)
            # ds_3.stage on LSU: stage 1, slot 1038
            ds_3_stage.store(ds3)
            fence_async_shared()
            # dk_acc on TC: stage 2, slot 722
            dv_acc = warpgroup_mma_wait(0, deps=[dv_acc])
            mbarrier.arrive(do_tile_ring_empty.index(i % 3), count=1)
            dk_acc = warpgroup_mma(ds_3_stage, q_tile_ring.index(i % 4), dk_acc, is_async=True)
            # dq_part on TC: stage 2, slot 466
            dq_part = warpgroup_mma(k_tile_smem.permute([1, 0]), ds_3_stage, gl.zeros([64, 64], gl.float32, MMA_32x2_W8), use_acc=False, is_async=True)
            # store@28 on LSU: stage 3, slot 14
            dk_acc, dq_part = warpgroup_mma_wait(0, deps=[dk_acc, dq_part])
            mbarrier.arrive(q_tile_ring_empty.index(i % 4), count=1)
            gl.atomic_add(((dq + ((row + (i * 64)) * 64)) + gl.convert_layout(mul, MMA_32x2_W8)) + gl.expand_dims(gl.arange(0, 64, layout=ROWS_OF_MMA_32x2_W8), 1), dq_part, sem="relaxed")
    # after the loop
    cast = dv_acc.to(gl.float16)
    tma.store_wait(0)
    dv_desc_0_stage.store(cast)
    fence_async_shared()
    tma_store(dv_desc, [key, 0], dv_desc_0_stage)
    mul2 = dk_acc * scale
    cast2 = mul2.to(gl.float16)
    tma.store_wait(0)
    dk_desc_0_stage.store(cast2)
    fence_async_shared()
    tma_store(dk_desc, [key, 0], dk_desc_0_stage)
    tma.store_wait(0)


@gluon.jit
def loader(
    G, M, N, delta_desc, delta_row_ring, delta_row_ring_empty, delta_row_ring_full, do_desc, do_tile_ring,
    do_tile_ring_empty, do_tile_ring_full, k_desc, k_tile_smem, k_tile_smem_full, lse_desc, lse_row_ring,
    lse_row_ring_empty, lse_row_ring_full, q_desc, q_tile_ring, q_tile_ring_empty, q_tile_ring_full, v_desc,
    v_tile_smem, v_tile_smem_full,
):
    """Producer: warp group 0 of the schedule."""
    pid_n = gl.program_id(0)
    head = gl.program_id(1)
    key2 = head * N
    key3 = pid_n * 128
    key = key2 + key3
    mul = G * M
    row2 = head * G
    row = row2 * M
    mbarrier.expect(k_tile_smem_full.index(0), 16384)
    tma_load(k_desc, [key, 0], k_tile_smem_full.index(0), k_tile_smem)
    mbarrier.expect(v_tile_smem_full.index(0), 16384)
    tma_load(v_desc, [key, 0], v_tile_smem_full.index(0), v_tile_smem)
    n = gl.cdiv(mul, 64)
    for i in range(0, n):
        # q_tile: stage 0, slot 0
        mbarrier.wait(q_tile_ring_empty.index(i % 4), ((i // 4) & 1) ^ 1)
        mbarrier.expect(q_tile_ring_full.index(i % 4), 8192)
        tma_load(q_desc, [row + (i * 64), 0], q_tile_ring_full.index(i % 4), q_tile_ring.index(i % 4))
        # delta_row: stage 0, slot 237
        mbarrier.wait(delta_row_ring_empty.index(i % 2), ((i // 2) & 1) ^ 1)
        mbarrier.expect(delta_row_ring_full.index(i % 2), 256)
        tma_load(delta_desc, [0, row + (i * 64)], delta_row_ring_full.index(i % 2), delta_row_ring.index(i % 2))
        # lse_row: stage 0, slot 245
        mbarrier.wait(lse_row_ring_empty.index(i % 2), ((i // 2) & 1) ^ 1)
        mbarrier.expect(lse_row_ring_full.index(i % 2), 256)
        tma_load(lse_desc, [0, row + (i * 64)], lse_row_ring_full.index(i % 2), lse_row_ring.index(i % 2))
        # do_tile: stage 0, slot 512
        mbarrier.wait(do_tile_ring_empty.index(i % 3), ((i // 3) & 1) ^ 1)
        mbarrier.expect(do_tile_ring_full.index(i % 3), 8192)
        tma_load(do_desc, [row + (i * 64), 0], do_tile_ring_full.index(i % 3), do_tile_ring.index(i % 3))


@gluon.jit
def attention_backward_kernel(
    dv_desc, dk_desc, k_desc, v_desc, q_desc, delta_desc, lse_desc, do_desc, dq, G, M, N, scale,
):
    """Shared memory, barriers, and one warp group for each of consumer0, loader."""
    barrier: gl.constexpr = mbarrier.MBarrierLayout()
    q_tile_ring = gl.allocate_shared_memory(gl.float16, [4, 64, 64], q_desc.layout)
    q_tile_ring_full = gl.allocate_shared_memory(gl.int64, [4, 1], barrier)
    q_tile_ring_empty = gl.allocate_shared_memory(gl.int64, [4, 1], barrier)
    do_tile_ring = gl.allocate_shared_memory(gl.float16, [3, 64, 64], do_desc.layout)
    do_tile_ring_full = gl.allocate_shared_memory(gl.int64, [3, 1], barrier)
    do_tile_ring_empty = gl.allocate_shared_memory(gl.int64, [3, 1], barrier)
    lse_row_ring = gl.allocate_shared_memory(gl.float32, [2, 1, 64], lse_desc.layout)
    lse_row_ring_full = gl.allocate_shared_memory(gl.int64, [2, 1], barrier)
    lse_row_ring_empty = gl.allocate_shared_memory(gl.int64, [2, 1], barrier)
    delta_row_ring = gl.allocate_shared_memory(gl.float32, [2, 1, 64], delta_desc.layout)
    delta_row_ring_full = gl.allocate_shared_memory(gl.int64, [2, 1], barrier)
    delta_row_ring_empty = gl.allocate_shared_memory(gl.int64, [2, 1], barrier)
    k_tile_smem = gl.allocate_shared_memory(gl.float16, [128, 64], k_desc.layout)
    k_tile_smem_full = gl.allocate_shared_memory(gl.int64, [1, 1], barrier)
    v_tile_smem = gl.allocate_shared_memory(gl.float16, [128, 64], v_desc.layout)
    v_tile_smem_full = gl.allocate_shared_memory(gl.int64, [1, 1], barrier)
    ds_3_stage = gl.allocate_shared_memory(gl.float16, [128, 64], DS_3_STAGE_LAYOUT)
    dv_desc_0_stage = gl.allocate_shared_memory(gl.float16, [128, 64], DV_DESC_0_STAGE_LAYOUT)
    dk_desc_0_stage = gl.allocate_shared_memory(gl.float16, [128, 64], DK_DESC_0_STAGE_LAYOUT)
    for slot in gl.static_range(4):
        mbarrier.init(q_tile_ring_full.index(slot), count=1)
    for slot in gl.static_range(4):
        mbarrier.init(q_tile_ring_empty.index(slot), count=1)
    for slot in gl.static_range(3):
        mbarrier.init(do_tile_ring_full.index(slot), count=1)
    for slot in gl.static_range(3):
        mbarrier.init(do_tile_ring_empty.index(slot), count=1)
    for slot in gl.static_range(2):
        mbarrier.init(lse_row_ring_full.index(slot), count=1)
    for slot in gl.static_range(2):
        mbarrier.init(lse_row_ring_empty.index(slot), count=1)
    for slot in gl.static_range(2):
        mbarrier.init(delta_row_ring_full.index(slot), count=1)
    for slot in gl.static_range(2):
        mbarrier.init(delta_row_ring_empty.index(slot), count=1)
    for slot in gl.static_range(1):
        mbarrier.init(k_tile_smem_full.index(slot), count=1)
    for slot in gl.static_range(1):
        mbarrier.init(v_tile_smem_full.index(slot), count=1)
    fence_async_shared()  # the barriers are set up before TMA or another role sees them
    gl.warp_specialize(
        [
            (consumer0, (
                G, M, N, delta_row_ring, delta_row_ring_empty, delta_row_ring_full, dk_desc, dk_desc_0_stage, do_tile_ring,
                do_tile_ring_empty, do_tile_ring_full, dq, ds_3_stage, dv_desc, dv_desc_0_stage, k_tile_smem,
                k_tile_smem_full, lse_row_ring, lse_row_ring_empty, lse_row_ring_full, q_tile_ring, q_tile_ring_empty,
                q_tile_ring_full, scale, v_tile_smem, v_tile_smem_full,
            )),
            (loader, (
                G, M, N, delta_desc, delta_row_ring, delta_row_ring_empty, delta_row_ring_full, do_desc, do_tile_ring,
                do_tile_ring_empty, do_tile_ring_full, k_desc, k_tile_smem, k_tile_smem_full, lse_desc, lse_row_ring,
                lse_row_ring_empty, lse_row_ring_full, q_desc, q_tile_ring, q_tile_ring_empty, q_tile_ring_full, v_desc,
                v_tile_smem, v_tile_smem_full,
            )),
        ],
        [1],
        [24],
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


def attention_backward(q, k, v, do, lse, delta, dq, dk, dv, H, G, M, N, scale, D=64, BLOCK_M=64, BLOCK_N=128, CAUSAL=False):
    """Launch the kernel on the current stream; arguments as of the source kernel `attention_backward`.

    Raises TypeError or ValueError when an argument is not what the kernel was compiled for.
    """
    if D != 64:
        raise ValueError(f"compiled for D=64, got {D!r}: compile it again")
    if BLOCK_M != 64:
        raise ValueError(f"compiled for BLOCK_M=64, got {BLOCK_M!r}: compile it again")
    if BLOCK_N != 128:
        raise ValueError(f"compiled for BLOCK_N=128, got {BLOCK_N!r}: compile it again")
    if CAUSAL != False:
        raise ValueError(f"compiled for CAUSAL=False, got {CAUSAL!r}: compile it again")
    require_tensors(
        DEVICE_TYPE,
        q=(q, torch.float16),
        k=(k, torch.float16),
        v=(v, torch.float16),
        do=(do, torch.float16),
        lse=(lse, torch.float32),
        delta=(delta, torch.float32),
        dq=(dq, torch.float32),
        dk=(dk, torch.float16),
        dv=(dv, torch.float16),
    )
    require_scalars(H=(H, "i32"), G=(G, "i32"), M=(M, "i32"), N=(N, "i32"), scale=(scale, "f32"))
    if M % BLOCK_M:
        raise ValueError(f"M must be a multiple of BLOCK_M, got {M}")
    if N % BLOCK_N:
        raise ValueError(f"N must be a multiple of BLOCK_N, got {N}")
    grid = (N // BLOCK_N, H)
    require_grid(grid)
    require_view("dv", dv, [H * N, 64], [64, 1])
    require_view("dk", dk, [H * N, 64], [64, 1])
    require_view("k", k, [H * N, 64], [64, 1])
    require_view("v", v, [H * N, 64], [64, 1])
    require_view("q", q, [(H * G) * M, 64], [64, 1])
    require_view("delta", delta, [1, (H * G) * M], [(H * G) * M, 1])
    require_view("lse", lse, [1, (H * G) * M], [(H * G) * M, 1])
    require_view("do", do, [(H * G) * M, 64], [64, 1])
    require_pointer("dq", dq, narrow=False)
    if 0 in grid:
        return  # there is nothing to do
    dv_desc = TensorDescriptor(dv, [max(H * N, 1), 64], [64, 1], [128, 64], gl.NVMMASharedLayout.get_default_for([128, 64], gl.float16))
    dk_desc = TensorDescriptor(dk, [max(H * N, 1), 64], [64, 1], [128, 64], gl.NVMMASharedLayout.get_default_for([128, 64], gl.float16))
    k_desc = TensorDescriptor(k, [max(H * N, 1), 64], [64, 1], [128, 64], gl.NVMMASharedLayout.get_default_for([128, 64], gl.float16))
    v_desc = TensorDescriptor(v, [max(H * N, 1), 64], [64, 1], [128, 64], gl.NVMMASharedLayout.get_default_for([128, 64], gl.float16))
    q_desc = TensorDescriptor(q, [max((H * G) * M, 1), 64], [64, 1], [64, 64], gl.NVMMASharedLayout.get_default_for([64, 64], gl.float16))
    delta_desc = TensorDescriptor(delta, [1, max((H * G) * M, 1)], [(H * G) * M, 1], [1, 64], gl.NVMMASharedLayout.get_default_for([1, 64], gl.float32))
    lse_desc = TensorDescriptor(lse, [1, max((H * G) * M, 1)], [(H * G) * M, 1], [1, 64], gl.NVMMASharedLayout.get_default_for([1, 64], gl.float32))
    do_desc = TensorDescriptor(do, [max((H * G) * M, 1), 64], [64, 1], [64, 64], gl.NVMMASharedLayout.get_default_for([64, 64], gl.float16))
    attention_backward_kernel[grid](dv_desc, dk_desc, k_desc, v_desc, q_desc, delta_desc, lse_desc, do_desc, dq, G, M, N, scale, num_warps=8)

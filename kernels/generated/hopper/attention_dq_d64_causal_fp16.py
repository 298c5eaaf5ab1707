r"""attn_bwd_dq for Hopper, written by Twill from attention_dq.py. Do not edit: change the
kernel and compile it again.

Compiled for D=64, BLOCK_M=128, BLOCK_N=64, CAUSAL=True.
Schedule: II = 768 cycles, optimal (ResMII of unit TC (ops s.0, s.1, dp.0, dp.1, acc.0, acc.1)); one iteration takes 2830.

Roles:
  consumer0: 4 warps, 240 registers a thread, 2 stages
  consumer1: 4 warps, 240 registers a thread, 3 stages
  loader: 1 warps, 24 registers a thread

Rings:
  k_tile_ring: 5 x [64, 64] f16
  v_tile_ring: 3 x [64, 64] f16

Steady state, one II:
           0                     192                   384                   576
       TC |<s.0 #1 ][acc.1 #0 ----][s.1 #2 ------][acc.0 #0 ---][dp.0 #2 -----][dp.1 #2 -----]2SSSS|
      SFU |........................[p.1 #1 --------------------][p.0 #1 ---------------------].....|
      ALU |<c #0][acc_1.0 #0 ------------][P #1 -]......................[p #2 ][acc_1.1 #1 ------->|
      TMA |[k_tile #3 ---------------][v_tile #3 ---------------]..................................|
  group 0 |3KK........................3VVV.........................................................|
  group 1 |......[acc_1.0 #0 ------------][P #1 -]0B............[p.0 #1 ---------------------]2S...|
          |                                                     2DD                                |
  group 2 |<c #0]...0bb............[p.1 #1 --------------------]........[p #2 ][acc_1.1 #1 ------->|
          |                        2ss                                         2dd                 |
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

MMA_64: gl.constexpr = gl.constexpr(gl.NVMMADistributedLayout(version=[3, 0], warps_per_cta=[4, 1], instr_shape=[16, 64, 16]))
ROWS_OF_MMA_64: gl.constexpr = gl.constexpr(gl.SliceLayout(1, MMA_64.value))
COLUMNS_OF_MMA_64: gl.constexpr = gl.constexpr(gl.SliceLayout(0, MMA_64.value))
LEFT_OF_MMA_64: gl.constexpr = gl.constexpr(gl.DotOperandLayout(0, MMA_64.value, 2))
DQ_DESC_0_STAGE_LAYOUT: gl.constexpr = gl.constexpr(gl.NVMMASharedLayout.get_default_for([64, 64], gl.float16))
DQ_DESC_1_STAGE_LAYOUT: gl.constexpr = gl.constexpr(gl.NVMMASharedLayout.get_default_for([64, 64], gl.float16))


@gluon.jit
def consumer0(
    M, N, delta, do_tile_0_smem, do_tile_0_smem_full, dq_desc, dq_desc_0_stage, k_tile_ring, k_tile_ring_empty,
    k_tile_ring_full, lse, q_tile_0_smem, q_tile_0_smem_full, scale, v_tile_ring, v_tile_ring_empty,
    v_tile_ring_full,
):
    """Consumer: warp group 1 of the schedule."""
    mbarrier.wait(q_tile_0_smem_full.index(0), 0)
    mbarrier.wait(do_tile_0_smem_full.index(0), 0)
    pid_m = gl.program_id(0)
    head = gl.program_id(1)
    row3 = head * M
    row2 = pid_m * 128
    row = row3 + row2
    rows = row + gl.arange(0, 64, layout=ROWS_OF_MMA_64)
    lse_log23 = lse + rows
    lse_log22 = gl.load(lse_log23)
    lse_log2 = lse_log22 * gl.full([64], 1.44269502, gl.float32, ROWS_OF_MMA_64)
    delta_rows2 = delta + rows
    delta_rows = gl.load(delta_rows2)
    scale_log2 = scale * 1.44269502
    offs_m = row2 + gl.arange(0, 64, layout=ROWS_OF_MMA_64)
    end3 = pid_m + 1
    end2 = end3 * 128
    end = gl.minimum(N, end2)
    acc = gl.full([64, 64], 0.0, gl.float32, MMA_64)
    n = gl.cdiv(end, 64)
    if n >= 2:
        # prologue, body 0
        # dp.0 on TC: stage 1, slot 466
        mbarrier.wait(v_tile_ring_full.index(0), 0)
        dp = warpgroup_mma(do_tile_0_smem, v_tile_ring.index(0).permute([1, 0]), gl.zeros([64, 64], gl.float32, MMA_64), use_acc=False, is_async=True)
        # s.0 on TC: stage 1, slot 722
        mbarrier.wait(k_tile_ring_full.index(0), 0)
        s = warpgroup_mma(q_tile_0_smem, k_tile_ring.index(0).permute([1, 0]), gl.zeros([64, 64], gl.float32, MMA_64), use_acc=False, is_async=True)
        # p_5.0 on ALU: stage 2, slot 274
        dp, s = warpgroup_mma_wait(0, deps=[dp, s])
        mbarrier.arrive(v_tile_ring_empty.index(0), count=1)
        p = s * scale_log2
        p2 = p - gl.expand_dims(lse_log2, 1)
        # steady state
        for i in range(1, n):
            # p.0 on SFU: stage 2, slot 466
            p3 = gl.exp2(p2)
            # dp.0 on TC: stage 1, slot 466
            mbarrier.wait(v_tile_ring_full.index(i % 3), (i // 3) & 1)
            dp_prev = dp
            dp = warpgroup_mma(do_tile_0_smem, v_tile_ring.index(i % 3).permute([1, 0]), gl.zeros([64, 64], gl.float32, MMA_64), use_acc=False, is_async=True)
            # s.0 on TC: stage 1, slot 722
            mbarrier.wait(k_tile_ring_full.index(i % 5), (i // 5) & 1)
            s = warpgroup_mma(q_tile_0_smem, k_tile_ring.index(i % 5).permute([1, 0]), gl.zeros([64, 64], gl.float32, MMA_64), use_acc=False, is_async=True)
            # acc_1.0 on ALU: stage 3, slot 50
            p4 = gl.expand_dims(offs_m, 1) >= (((i - 1) * 64) + gl.expand_dims(gl.arange(0, 64, layout=COLUMNS_OF_MMA_64), 0))
            p5 = gl.where(p4, p3, gl.full([64, 64], 0.0, gl.float32, MMA_64))
            ds = dp_prev - gl.expand_dims(delta_rows, 1)
            ds2 = p5 * ds
            acc3 = ds2.to(gl.float16)
            # p_5.0 on ALU: stage 2, slot 274
            dp, s = warpgroup_mma_wait(0, deps=[dp, s])
            mbarrier.arrive(v_tile_ring_empty.index(i % 3), count=1)
            p = s * scale_log2
            p2 = p - gl.expand_dims(lse_log2, 1)
            # acc.0 on TC: stage 3, slot 338
            acc = warpgroup_mma(gl.convert_layout(acc3, LEFT_OF_MMA_64), k_tile_ring.index((i + 4) % 5), acc, is_async=True)
            acc = warpgroup_mma_wait(0, deps=[acc])
            mbarrier.arrive(k_tile_ring_empty.index((i + 4) % 5), count=1)
        # epilogue, body 1
        # p.0 on SFU: stage 2, slot 466
        p3 = gl.exp2(p2)
        # acc_1.0 on ALU: stage 3, slot 50
        p4 = gl.expand_dims(offs_m, 1) >= (((n - 1) * 64) + gl.expand_dims(gl.arange(0, 64, layout=COLUMNS_OF_MMA_64), 0))
        p5 = gl.where(p4, p3, gl.full([64, 64], 0.0, gl.float32, MMA_64))
        ds = dp - gl.expand_dims(delta_rows, 1)
        ds2 = p5 * ds
        acc3 = ds2.to(gl.float16)
        # acc.0 on TC: stage 3, slot 338
        acc = warpgroup_mma(gl.convert_layout(acc3, LEFT_OF_MMA_64), k_tile_ring.index((n + 4) % 5), acc, is_async=True)
        acc = warpgroup_mma_wait(0, deps=[acc])
        mbarrier.arrive(k_tile_ring_empty.index((n + 4) % 5), count=1)
    else:
        # too few iterations to fill the pipeline: one after the other
        for i in range(0, n):
            # s.0 on TC: stage 1, slot 722
            mbarrier.wait(k_tile_ring_full.index(i % 5), (i // 5) & 1)
            s = warpgroup_mma(q_tile_0_smem, k_tile_ring.index(i % 5).permute([1, 0]), gl.zeros([64, 64], gl.float32, MMA_64), use_acc=False, is_async=True)
            # p_5.0 on ALU: stage 2, slot 274
            s = warpgroup_mma_wait(0, deps=[s])
            p = s * scale_log2
            p2 = p - gl.expand_dims(lse_log2, 1)
            # p.0 on SFU: stage 2, slot 466
            p3 = gl.exp2(p2)
            # dp.0 on TC: stage 1, slot 466
            mbarrier.wait(v_tile_ring_full.index(i % 3), (i // 3) & 1)
            dp = warpgroup_mma(do_tile_0_smem, v_tile_ring.index(i % 3).permute([1, 0]), gl.zeros([64, 64], gl.float32, MMA_64), use_acc=False, is_async=True)
            # acc_1.0 on ALU: stage 3, slot 50
            p4 = gl.expand_dims(offs_m, 1) >= ((i * 64) + gl.expand_dims(gl.arange(0, 64, layout=COLUMNS_OF_MMA_64), 0))
            p5 = gl.where(p4, p3, gl.full([64, 64], 0.0, gl.float32, MMA_64))
            dp = warpgroup_mma_wait(0, deps=[dp])
            mbarrier.arrive(v_tile_ring_empty.index(i % 3), count=1)
            ds = dp - gl.expand_dims(delta_rows, 1)
            ds2 = p5 * ds
            acc3 = ds2.to(gl.float16)
            # acc.0 on TC: stage 3, slot 338
            acc = warpgroup_mma(gl.convert_layout(acc3, LEFT_OF_MMA_64), k_tile_ring.index(i % 5), acc, is_async=True)
            acc = warpgroup_mma_wait(0, deps=[acc])
            mbarrier.arrive(k_tile_ring_empty.index(i % 5), count=1)
    # after the loop
    mul = acc * scale
    cast = mul.to(gl.float16)
    tma.store_wait(0)
    dq_desc_0_stage.store(cast)
    fence_async_shared()
    tma_store(dq_desc, [row, 0], dq_desc_0_stage)
    tma.store_wait(0)


@gluon.jit
def consumer1(
    M, N, delta, do_tile_1_smem, do_tile_1_smem_full, dq_desc, dq_desc_1_stage, k_tile_ring, k_tile_ring_empty,
    k_tile_ring_full, lse, q_tile_1_smem, q_tile_1_smem_full, scale, v_tile_ring, v_tile_ring_empty,
    v_tile_ring_full,
):
    """Consumer: warp group 2 of the schedule."""
    mbarrier.wait(q_tile_1_smem_full.index(0), 0)
    mbarrier.wait(do_tile_1_smem_full.index(0), 0)
    pid_m = gl.program_id(0)
    head = gl.program_id(1)
    row3 = head * M
    row = pid_m * 128
    row2 = row3 + row
    row_plus64 = row2 + 64
    rows = row2 + gl.arange(64, 128, layout=ROWS_OF_MMA_64)
    lse_log23 = lse + rows
    lse_log22 = gl.load(lse_log23)
    lse_log2 = lse_log22 * gl.full([64], 1.44269502, gl.float32, ROWS_OF_MMA_64)
    delta_rows2 = delta + rows
    delta_rows = gl.load(delta_rows2)
    scale_log2 = scale * 1.44269502
    offs_m = row + gl.arange(64, 128, layout=ROWS_OF_MMA_64)
    end3 = pid_m + 1
    end2 = end3 * 128
    end = gl.minimum(N, end2)
    acc2 = gl.full([64, 64], 0.0, gl.float32, MMA_64)
    n = gl.cdiv(end, 64)
    if n >= 2:
        # prologue, body 0
        # s.1 on TC: stage 1, slot 210
        mbarrier.wait(k_tile_ring_full.index(0), 0)
        s = warpgroup_mma(q_tile_1_smem, k_tile_ring.index(0).permute([1, 0]), gl.zeros([64, 64], gl.float32, MMA_64), use_acc=False, is_async=True)
        # p_5.1 on ALU: stage 1, slot 530
        s = warpgroup_mma_wait(0, deps=[s])
        p = s * scale_log2
        p2 = p - gl.expand_dims(lse_log2, 1)
        # dp.1 on TC: stage 1, slot 594
        mbarrier.wait(v_tile_ring_full.index(0), 0)
        dp = warpgroup_mma(do_tile_1_smem, v_tile_ring.index(0).permute([1, 0]), gl.zeros([64, 64], gl.float32, MMA_64), use_acc=False, is_async=True)
        dp = warpgroup_mma_wait(0, deps=[dp])
        mbarrier.arrive(v_tile_ring_empty.index(0), count=1)
        # prologue, body 1
        # p.1 on SFU: stage 2, slot 210
        p3 = gl.exp2(p2)
        # s.1 on TC: stage 1, slot 210
        mbarrier.wait(k_tile_ring_full.index(1), 0)
        s = warpgroup_mma(q_tile_1_smem, k_tile_ring.index(1).permute([1, 0]), gl.zeros([64, 64], gl.float32, MMA_64), use_acc=False, is_async=True)
        # p_5.1 on ALU: stage 1, slot 530
        s = warpgroup_mma_wait(0, deps=[s])
        p = s * scale_log2
        p2 = p - gl.expand_dims(lse_log2, 1)
        # acc_1.1 on ALU: stage 2, slot 594
        p4 = gl.expand_dims(offs_m, 1) >= (0 + gl.expand_dims(gl.arange(0, 64, layout=COLUMNS_OF_MMA_64), 0))
        p5 = gl.where(p4, p3, gl.full([64, 64], 0.0, gl.float32, MMA_64))
        ds = dp - gl.expand_dims(delta_rows, 1)
        ds2 = p5 * ds
        acc3 = ds2.to(gl.float16)
        # dp.1 on TC: stage 1, slot 594
        mbarrier.wait(v_tile_ring_full.index(1), 0)
        dp = warpgroup_mma(do_tile_1_smem, v_tile_ring.index(1).permute([1, 0]), gl.zeros([64, 64], gl.float32, MMA_64), use_acc=False, is_async=True)
        dp = warpgroup_mma_wait(0, deps=[dp])
        mbarrier.arrive(v_tile_ring_empty.index(1), count=1)
        # steady state
        for i in range(2, n):
            # acc.1 on TC: stage 3, slot 82
            acc2 = warpgroup_mma(gl.convert_layout(acc3, LEFT_OF_MMA_64), k_tile_ring.index((i + 3) % 5), acc2, is_async=True)
            # p.1 on SFU: stage 2, slot 210
            p3 = gl.exp2(p2)
            # s.1 on TC: stage 1, slot 210
            mbarrier.wait(k_tile_ring_full.index(i % 5), (i // 5) & 1)
            s = warpgroup_mma(q_tile_1_smem, k_tile_ring.index(i % 5).permute([1, 0]), gl.zeros([64, 64], gl.float32, MMA_64), use_acc=False, is_async=True)
            # p_5.1 on ALU: stage 1, slot 530
            acc2, s = warpgroup_mma_wait(0, deps=[acc2, s])
            mbarrier.arrive(k_tile_ring_empty.index((i + 3) % 5), count=1)
            p = s * scale_log2
            p2 = p - gl.expand_dims(lse_log2, 1)
            # acc_1.1 on ALU: stage 2, slot 594
            p4 = gl.expand_dims(offs_m, 1) >= (((i - 1) * 64) + gl.expand_dims(gl.arange(0, 64, layout=COLUMNS_OF_MMA_64), 0))
            p5 = gl.where(p4, p3, gl.full([64, 64], 0.0, gl.float32, MMA_64))
            ds = dp - gl.expand_dims(delta_rows, 1)
            ds2 = p5 * ds
            acc3 = ds2.to(gl.float16)
            # dp.1 on TC: stage 1, slot 594
            mbarrier.wait(v_tile_ring_full.index(i % 3), (i // 3) & 1)
            dp = warpgroup_mma(do_tile_1_smem, v_tile_ring.index(i % 3).permute([1, 0]), gl.zeros([64, 64], gl.float32, MMA_64), use_acc=False, is_async=True)
            dp = warpgroup_mma_wait(0, deps=[dp])
            mbarrier.arrive(v_tile_ring_empty.index(i % 3), count=1)
        # epilogue, body 1
        # acc.1 on TC: stage 3, slot 82
        acc2 = warpgroup_mma(gl.convert_layout(acc3, LEFT_OF_MMA_64), k_tile_ring.index((n + 3) % 5), acc2, is_async=True)
        # p.1 on SFU: stage 2, slot 210
        p3 = gl.exp2(p2)
        # acc_1.1 on ALU: stage 2, slot 594
        p4 = gl.expand_dims(offs_m, 1) >= (((n - 1) * 64) + gl.expand_dims(gl.arange(0, 64, layout=COLUMNS_OF_MMA_64), 0))
        p5 = gl.where(p4, p3, gl.full([64, 64], 0.0, gl.float32, MMA_64))
        ds = dp - gl.expand_dims(delta_rows, 1)
        ds2 = p5 * ds
        acc3 = ds2.to(gl.float16)
        acc2 = warpgroup_mma_wait(0, deps=[acc2])
        mbarrier.arrive(k_tile_ring_empty.index((n + 3) % 5), count=1)
        # epilogue, body 2
        # acc.1 on TC: stage 3, slot 82
        acc2 = warpgroup_mma(gl.convert_layout(acc3, LEFT_OF_MMA_64), k_tile_ring.index((n + 4) % 5), acc2, is_async=True)
        acc2 = warpgroup_mma_wait(0, deps=[acc2])
        mbarrier.arrive(k_tile_ring_empty.index((n + 4) % 5), count=1)
    else:
        # too few iterations to fill the pipeline: one after the other
        for i in range(0, n):
            # s.1 on TC: stage 1, slot 210
            mbarrier.wait(k_tile_ring_full.index(i % 5), (i // 5) & 1)
            s = warpgroup_mma(q_tile_1_smem, k_tile_ring.index(i % 5).permute([1, 0]), gl.zeros([64, 64], gl.float32, MMA_64), use_acc=False, is_async=True)
            # p_5.1 on ALU: stage 1, slot 530
            s = warpgroup_mma_wait(0, deps=[s])
            p = s * scale_log2
            p2 = p - gl.expand_dims(lse_log2, 1)
            # p.1 on SFU: stage 2, slot 210
            p3 = gl.exp2(p2)
            # dp.1 on TC: stage 1, slot 594
            mbarrier.wait(v_tile_ring_full.index(i % 3), (i // 3) & 1)
            dp = warpgroup_mma(do_tile_1_smem, v_tile_ring.index(i % 3).permute([1, 0]), gl.zeros([64, 64], gl.float32, MMA_64), use_acc=False, is_async=True)
            # acc_1.1 on ALU: stage 2, slot 594
            p4 = gl.expand_dims(offs_m, 1) >= ((i * 64) + gl.expand_dims(gl.arange(0, 64, layout=COLUMNS_OF_MMA_64), 0))
            p5 = gl.where(p4, p3, gl.full([64, 64], 0.0, gl.float32, MMA_64))
            dp = warpgroup_mma_wait(0, deps=[dp])
            mbarrier.arrive(v_tile_ring_empty.index(i % 3), count=1)
            ds = dp - gl.expand_dims(delta_rows, 1)
            ds2 = p5 * ds
            acc3 = ds2.to(gl.float16)
            # acc.1 on TC: stage 3, slot 82
            acc2 = warpgroup_mma(gl.convert_layout(acc3, LEFT_OF_MMA_64), k_tile_ring.index(i % 5), acc2, is_async=True)
            acc2 = warpgroup_mma_wait(0, deps=[acc2])
            mbarrier.arrive(k_tile_ring_empty.index(i % 5), count=1)
    # after the loop
    mul = acc2 * scale
    cast = mul.to(gl.float16)
    tma.store_wait(0)
    dq_desc_1_stage.store(cast)
    fence_async_shared()
    tma_store(dq_desc, [row_plus64, 0], dq_desc_1_stage)
    tma.store_wait(0)


@gluon.jit
def loader(
    M, N, do_desc, do_tile_0_smem, do_tile_0_smem_full, do_tile_1_smem, do_tile_1_smem_full, k_desc,
    k_tile_ring, k_tile_ring_empty, k_tile_ring_full, q_desc, q_tile_0_smem, q_tile_0_smem_full, q_tile_1_smem,
    q_tile_1_smem_full, v_desc, v_tile_ring, v_tile_ring_empty, v_tile_ring_full,
):
    """Producer: warp group 0 of the schedule."""
    pid_m = gl.program_id(0)
    head = gl.program_id(1)
    row2 = head * M
    row3 = pid_m * 128
    row = row2 + row3
    row_plus64 = row + 64
    end3 = pid_m + 1
    end2 = end3 * 128
    end = gl.minimum(N, end2)
    k_tile = head * N
    mbarrier.expect(q_tile_0_smem_full.index(0), 8192)
    tma_load(q_desc, [row, 0], q_tile_0_smem_full.index(0), q_tile_0_smem)
    mbarrier.expect(q_tile_1_smem_full.index(0), 8192)
    tma_load(q_desc, [row_plus64, 0], q_tile_1_smem_full.index(0), q_tile_1_smem)
    mbarrier.expect(do_tile_0_smem_full.index(0), 8192)
    tma_load(do_desc, [row, 0], do_tile_0_smem_full.index(0), do_tile_0_smem)
    mbarrier.expect(do_tile_1_smem_full.index(0), 8192)
    tma_load(do_desc, [row_plus64, 0], do_tile_1_smem_full.index(0), do_tile_1_smem)
    n = gl.cdiv(end, 64)
    for i in range(0, n):
        # k_tile: stage 0, slot 0
        mbarrier.wait(k_tile_ring_empty.index(i % 5), ((i // 5) & 1) ^ 1)
        mbarrier.expect(k_tile_ring_full.index(i % 5), 8192)
        tma_load(k_desc, [k_tile + (i * 64), 0], k_tile_ring_full.index(i % 5), k_tile_ring.index(i % 5))
        # v_tile: stage 0, slot 238
        mbarrier.wait(v_tile_ring_empty.index(i % 3), ((i // 3) & 1) ^ 1)
        mbarrier.expect(v_tile_ring_full.index(i % 3), 8192)
        tma_load(v_desc, [k_tile + (i * 64), 0], v_tile_ring_full.index(i % 3), v_tile_ring.index(i % 3))


@gluon.jit
def attn_bwd_dq_kernel(dq_desc, q_desc, do_desc, k_desc, v_desc, lse, delta, M, N, scale):
    """Shared memory, barriers, and one warp group for each of consumer0, consumer1, loader."""
    barrier: gl.constexpr = mbarrier.MBarrierLayout()
    k_tile_ring = gl.allocate_shared_memory(gl.float16, [5, 64, 64], k_desc.layout)
    k_tile_ring_full = gl.allocate_shared_memory(gl.int64, [5, 1], barrier)
    k_tile_ring_empty = gl.allocate_shared_memory(gl.int64, [5, 1], barrier)
    v_tile_ring = gl.allocate_shared_memory(gl.float16, [3, 64, 64], v_desc.layout)
    v_tile_ring_full = gl.allocate_shared_memory(gl.int64, [3, 1], barrier)
    v_tile_ring_empty = gl.allocate_shared_memory(gl.int64, [3, 1], barrier)
    q_tile_0_smem = gl.allocate_shared_memory(gl.float16, [64, 64], q_desc.layout)
    q_tile_0_smem_full = gl.allocate_shared_memory(gl.int64, [1, 1], barrier)
    q_tile_1_smem = gl.allocate_shared_memory(gl.float16, [64, 64], q_desc.layout)
    q_tile_1_smem_full = gl.allocate_shared_memory(gl.int64, [1, 1], barrier)
    do_tile_0_smem = gl.allocate_shared_memory(gl.float16, [64, 64], do_desc.layout)
    do_tile_0_smem_full = gl.allocate_shared_memory(gl.int64, [1, 1], barrier)
    do_tile_1_smem = gl.allocate_shared_memory(gl.float16, [64, 64], do_desc.layout)
    do_tile_1_smem_full = gl.allocate_shared_memory(gl.int64, [1, 1], barrier)
    dq_desc_0_stage = gl.allocate_shared_memory(gl.float16, [64, 64], DQ_DESC_0_STAGE_LAYOUT)
    dq_desc_1_stage = gl.allocate_shared_memory(gl.float16, [64, 64], DQ_DESC_1_STAGE_LAYOUT)
    for slot in gl.static_range(5):
        mbarrier.init(k_tile_ring_full.index(slot), count=1)
    for slot in gl.static_range(5):
        mbarrier.init(k_tile_ring_empty.index(slot), count=2)
    for slot in gl.static_range(3):
        mbarrier.init(v_tile_ring_full.index(slot), count=1)
    for slot in gl.static_range(3):
        mbarrier.init(v_tile_ring_empty.index(slot), count=2)
    for slot in gl.static_range(1):
        mbarrier.init(q_tile_0_smem_full.index(slot), count=1)
    for slot in gl.static_range(1):
        mbarrier.init(q_tile_1_smem_full.index(slot), count=1)
    for slot in gl.static_range(1):
        mbarrier.init(do_tile_0_smem_full.index(slot), count=1)
    for slot in gl.static_range(1):
        mbarrier.init(do_tile_1_smem_full.index(slot), count=1)
    fence_async_shared()  # the barriers are set up before TMA or another role sees them
    gl.warp_specialize(
        [
            (consumer0, (
                M, N, delta, do_tile_0_smem, do_tile_0_smem_full, dq_desc, dq_desc_0_stage, k_tile_ring, k_tile_ring_empty,
                k_tile_ring_full, lse, q_tile_0_smem, q_tile_0_smem_full, scale, v_tile_ring, v_tile_ring_empty,
                v_tile_ring_full,
            )),
            (consumer1, (
                M, N, delta, do_tile_1_smem, do_tile_1_smem_full, dq_desc, dq_desc_1_stage, k_tile_ring, k_tile_ring_empty,
                k_tile_ring_full, lse, q_tile_1_smem, q_tile_1_smem_full, scale, v_tile_ring, v_tile_ring_empty,
                v_tile_ring_full,
            )),
            (loader, (
                M, N, do_desc, do_tile_0_smem, do_tile_0_smem_full, do_tile_1_smem, do_tile_1_smem_full, k_desc,
                k_tile_ring, k_tile_ring_empty, k_tile_ring_full, q_desc, q_tile_0_smem, q_tile_0_smem_full, q_tile_1_smem,
                q_tile_1_smem_full, v_desc, v_tile_ring, v_tile_ring_empty, v_tile_ring_full,
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


def attn_bwd_dq(q, k, v, do, lse, delta, dq, H, M, N, scale, D=64, BLOCK_M=128, BLOCK_N=64, CAUSAL=True):
    """Launch the kernel on the current stream; arguments as of the source kernel `attn_bwd_dq`.

    Raises TypeError or ValueError when an argument is not what the kernel was compiled for.
    """
    if D != 64:
        raise ValueError(f"compiled for D=64, got {D!r}: compile it again")
    if BLOCK_M != 128:
        raise ValueError(f"compiled for BLOCK_M=128, got {BLOCK_M!r}: compile it again")
    if BLOCK_N != 64:
        raise ValueError(f"compiled for BLOCK_N=64, got {BLOCK_N!r}: compile it again")
    if CAUSAL != True:
        raise ValueError(f"compiled for CAUSAL=True, got {CAUSAL!r}: compile it again")
    require_tensors(
        DEVICE_TYPE,
        q=(q, torch.float16),
        k=(k, torch.float16),
        v=(v, torch.float16),
        do=(do, torch.float16),
        lse=(lse, torch.float32),
        delta=(delta, torch.float32),
        dq=(dq, torch.float16),
    )
    require_scalars(H=(H, "i32"), M=(M, "i32"), N=(N, "i32"), scale=(scale, "f32"))
    if M % BLOCK_M:
        raise ValueError(f"M must be a multiple of BLOCK_M, got {M}")
    if N % BLOCK_N:
        raise ValueError(f"N must be a multiple of BLOCK_N, got {N}")
    grid = (M // BLOCK_M, H)
    require_grid(grid)
    require_view("dq", dq, [H * M, 64], [64, 1])
    require_view("q", q, [H * M, 64], [64, 1])
    require_view("do", do, [H * M, 64], [64, 1])
    require_view("k", k, [H * N, 64], [64, 1])
    require_view("v", v, [H * N, 64], [64, 1])
    require_pointer("lse", lse)
    require_pointer("delta", delta)
    if 0 in grid:
        return  # there is nothing to do
    dq_desc = TensorDescriptor(dq, [max(H * M, 1), 64], [64, 1], [64, 64], gl.NVMMASharedLayout.get_default_for([64, 64], gl.float16))
    q_desc = TensorDescriptor(q, [max(H * M, 1), 64], [64, 1], [64, 64], gl.NVMMASharedLayout.get_default_for([64, 64], gl.float16))
    do_desc = TensorDescriptor(do, [max(H * M, 1), 64], [64, 1], [64, 64], gl.NVMMASharedLayout.get_default_for([64, 64], gl.float16))
    k_desc = TensorDescriptor(k, [max(H * N, 1), 64], [64, 1], [64, 64], gl.NVMMASharedLayout.get_default_for([64, 64], gl.float16))
    v_desc = TensorDescriptor(v, [max(H * N, 1), 64], [64, 1], [64, 64], gl.NVMMASharedLayout.get_default_for([64, 64], gl.float16))
    attn_bwd_dq_kernel[grid](dq_desc, q_desc, do_desc, k_desc, v_desc, lse, delta, M, N, scale, num_warps=4)

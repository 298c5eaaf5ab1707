r"""attention_fwd for Hopper, written by Twill from attention_fwd.py. Do not edit: change the
kernel and compile it again.

Compiled for D=64, BLOCK_M=128, BLOCK_N=64, CAUSAL=True, WINDOWED=True.
Schedule: II = 868 cycles, optimal (ResMII of unit ALU (ops s_6, m_new_1, p_3, l_i_2, acc_3, acc_4)); one iteration takes 4182.

Roles:
  consumer0: 8 warps, 240 registers a thread, 5 stages
  loader: 1 warps, 24 registers a thread

Rings:
  k_tile_ring: 3 x [64, 64] f16
  v_tile_ring: 5 x [64, 64] f16

Steady state, one II:
           0                     217                   434                   651
       TC |...........[s #3 -------------------]...[acc #0 -----------------]......................|
      SFU |<p #0 ----]....................................[p #1 ---------------------------------->|
      ALU |2ssss[P #1][A #0 ][a #0][m_new_1 #2 ---][L #0 ][s_6 #3 -------------------------------->|
      TMA |[k_tile #4 ------------][v_tile #3 ------------]........................................|
  group 0 |4KK.....................3VV.............................................................|
  group 1 |<p #0 ----][A #0 ][a #0][m_new_1 #2 ---][L #0 ][p #1 ---------------------------------->|
          |2ssss[P #1]3SS                          0C     [s_6 #3 -------------------------------->|
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

MMA_64_W8: gl.constexpr = gl.constexpr(gl.NVMMADistributedLayout(version=[3, 0], warps_per_cta=[8, 1], instr_shape=[16, 64, 16]))
ROWS_OF_MMA_64_W8: gl.constexpr = gl.constexpr(gl.SliceLayout(1, MMA_64_W8.value))
COLUMNS_OF_MMA_64_W8: gl.constexpr = gl.constexpr(gl.SliceLayout(0, MMA_64_W8.value))
LEFT_OF_MMA_64_W8: gl.constexpr = gl.constexpr(gl.DotOperandLayout(0, MMA_64_W8.value, 2))
O_DESC_0_STAGE_LAYOUT: gl.constexpr = gl.constexpr(gl.NVMMASharedLayout.get_default_for([128, 64], gl.float16))


@gluon.jit
def consumer0(
    M, N, k_tile_ring, k_tile_ring_empty, k_tile_ring_full, lse, o_desc, o_desc_0_stage, q_tile_smem,
    q_tile_smem_full, scale, v_tile_ring, v_tile_ring_empty, v_tile_ring_full, window,
):
    """Consumer: warp group 1 of the schedule."""
    mbarrier.wait(q_tile_smem_full.index(0), 0)
    pid_m = gl.program_id(0)
    head = gl.program_id(1)
    row3 = head * M
    row2 = pid_m * 128
    row = row3 + row2
    scale_log2 = scale * 1.44269502
    offs_m = row2 + gl.arange(0, 128, layout=ROWS_OF_MMA_64_W8)
    begin5 = row2 - window
    begin4 = begin5 + 1
    begin3 = gl.maximum(begin4, 0)
    begin2 = begin3 // 64
    begin = begin2 * 64
    end5 = pid_m + 1
    end3 = end5 * 128
    end6 = end3 + window
    end4 = end6 - 1
    end2 = gl.minimum(N, end4)
    end = gl.minimum(end2, end3)
    m_new = gl.full([128], float("-inf"), gl.float32, ROWS_OF_MMA_64_W8)
    l_i = gl.full([128], 0.0, gl.float32, ROWS_OF_MMA_64_W8)
    acc = gl.full([128, 64], 0.0, gl.float32, MMA_64_W8)
    n = gl.cdiv(end - begin, 64)
    if n >= 4:
        # prologue, body 0
        # s on TC: stage 1, slot 110
        mbarrier.wait(k_tile_ring_full.index(0), 0)
        s = warpgroup_mma(q_tile_smem, k_tile_ring.index(0).permute([1, 0]), gl.zeros([128, 64], gl.float32, MMA_64_W8), use_acc=False, is_async=True)
        s = warpgroup_mma_wait(0, deps=[s])
        mbarrier.arrive(k_tile_ring_empty.index(0), count=1)
        # prologue, body 1
        # s_6 on ALU: stage 1, slot 466
        s2 = s * scale_log2
        ago = gl.expand_dims(offs_m, 1) - ((begin + 0 * 64) + gl.expand_dims(gl.arange(0, 64, layout=COLUMNS_OF_MMA_64_W8), 0))
        s3 = ago.to(gl.uint32, bitcast=True) < window
        s4 = gl.where(s3, s2, gl.full([128, 64], float("-inf"), gl.float32, MMA_64_W8))
        # s on TC: stage 1, slot 110
        mbarrier.wait(k_tile_ring_full.index(1), 0)
        s = warpgroup_mma(q_tile_smem, k_tile_ring.index(1).permute([1, 0]), gl.zeros([128, 64], gl.float32, MMA_64_W8), use_acc=False, is_async=True)
        # m_new_1 on ALU: stage 2, slot 238
        m_new2 = gl.max(s4, 1)
        m_new_prev = m_new
        m_new = gl.maximum(m_new, m_new2)
        m_safe = m_new == gl.full([128], float("-inf"), gl.float32, ROWS_OF_MMA_64_W8)
        m_safe2 = gl.where(m_safe, gl.full([128], 0.0, gl.float32, ROWS_OF_MMA_64_W8), m_new)
        alpha = m_new_prev - m_safe2
        alpha2 = gl.exp2(alpha)
        s = warpgroup_mma_wait(0, deps=[s])
        mbarrier.arrive(k_tile_ring_empty.index(1), count=1)
        # prologue, body 2
        # s_6 on ALU: stage 1, slot 466
        s2 = s * scale_log2
        ago = gl.expand_dims(offs_m, 1) - ((begin + 1 * 64) + gl.expand_dims(gl.arange(0, 64, layout=COLUMNS_OF_MMA_64_W8), 0))
        s3 = ago.to(gl.uint32, bitcast=True) < window
        s4_prev = s4
        s4 = gl.where(s3, s2, gl.full([128, 64], float("-inf"), gl.float32, MMA_64_W8))
        # p_3 on ALU: stage 3, slot 46
        p = s4_prev - gl.expand_dims(m_safe2, 1)
        # s on TC: stage 1, slot 110
        mbarrier.wait(k_tile_ring_full.index(2), 0)
        s = warpgroup_mma(q_tile_smem, k_tile_ring.index(2).permute([1, 0]), gl.zeros([128, 64], gl.float32, MMA_64_W8), use_acc=False, is_async=True)
        # m_new_1 on ALU: stage 2, slot 238
        m_new2 = gl.max(s4, 1)
        m_new_prev = m_new
        m_new = gl.maximum(m_new, m_new2)
        m_safe = m_new == gl.full([128], float("-inf"), gl.float32, ROWS_OF_MMA_64_W8)
        m_safe2 = gl.where(m_safe, gl.full([128], 0.0, gl.float32, ROWS_OF_MMA_64_W8), m_new)
        alpha = m_new_prev - m_safe2
        alpha2_prev = alpha2
        alpha2 = gl.exp2(alpha)
        s = warpgroup_mma_wait(0, deps=[s])
        mbarrier.arrive(k_tile_ring_empty.index(2), count=1)
        # prologue, body 3
        # p on SFU: stage 3, slot 466
        p2 = gl.exp2(p)
        # s_6 on ALU: stage 1, slot 466
        s2 = s * scale_log2
        ago = gl.expand_dims(offs_m, 1) - ((begin + 2 * 64) + gl.expand_dims(gl.arange(0, 64, layout=COLUMNS_OF_MMA_64_W8), 0))
        s3 = ago.to(gl.uint32, bitcast=True) < window
        s4_prev = s4
        s4 = gl.where(s3, s2, gl.full([128, 64], float("-inf"), gl.float32, MMA_64_W8))
        # p_3 on ALU: stage 3, slot 46
        p = s4_prev - gl.expand_dims(m_safe2, 1)
        # acc_3 on ALU: stage 4, slot 110
        acc2 = acc * gl.expand_dims(alpha2_prev, 1)
        # s on TC: stage 1, slot 110
        mbarrier.wait(k_tile_ring_full.index(0), 1)
        s = warpgroup_mma(q_tile_smem, k_tile_ring.index(0).permute([1, 0]), gl.zeros([128, 64], gl.float32, MMA_64_W8), use_acc=False, is_async=True)
        # acc_4 on ALU: stage 4, slot 174
        acc3 = p2.to(gl.float16)
        # m_new_1 on ALU: stage 2, slot 238
        m_new2 = gl.max(s4, 1)
        m_new_prev = m_new
        m_new = gl.maximum(m_new, m_new2)
        m_safe = m_new == gl.full([128], float("-inf"), gl.float32, ROWS_OF_MMA_64_W8)
        m_safe2 = gl.where(m_safe, gl.full([128], 0.0, gl.float32, ROWS_OF_MMA_64_W8), m_new)
        alpha = m_new_prev - m_safe2
        alpha2_prev_prev = alpha2_prev
        alpha2_prev = alpha2
        alpha2 = gl.exp2(alpha)
        s = warpgroup_mma_wait(0, deps=[s])
        mbarrier.arrive(k_tile_ring_empty.index(0), count=1)
        # steady state
        for i in range(4, n):
            # acc on TC: stage 4, slot 394
            mbarrier.wait(v_tile_ring_full.index((i + 1) % 5), ((i - 4) // 5) & 1)
            acc = warpgroup_mma(gl.convert_layout(acc3, LEFT_OF_MMA_64_W8), v_tile_ring.index((i + 1) % 5), acc2, is_async=True)
            # l_i_2 on ALU: stage 4, slot 394
            l_i2 = l_i * alpha2_prev_prev
            l_i3 = gl.sum(p2, 1)
            l_i = l_i2 + l_i3
            # p on SFU: stage 3, slot 466
            p2 = gl.exp2(p)
            # s_6 on ALU: stage 1, slot 466
            s2 = s * scale_log2
            ago = gl.expand_dims(offs_m, 1) - ((begin + (i - 1) * 64) + gl.expand_dims(gl.arange(0, 64, layout=COLUMNS_OF_MMA_64_W8), 0))
            s3 = ago.to(gl.uint32, bitcast=True) < window
            s4_prev = s4
            s4 = gl.where(s3, s2, gl.full([128, 64], float("-inf"), gl.float32, MMA_64_W8))
            # p_3 on ALU: stage 3, slot 46
            p = s4_prev - gl.expand_dims(m_safe2, 1)
            # acc_3 on ALU: stage 4, slot 110
            acc = warpgroup_mma_wait(0, deps=[acc])
            mbarrier.arrive(v_tile_ring_empty.index((i + 1) % 5), count=1)
            acc2 = acc * gl.expand_dims(alpha2_prev, 1)
            # s on TC: stage 1, slot 110
            mbarrier.wait(k_tile_ring_full.index(i % 3), (i // 3) & 1)
            s = warpgroup_mma(q_tile_smem, k_tile_ring.index(i % 3).permute([1, 0]), gl.zeros([128, 64], gl.float32, MMA_64_W8), use_acc=False, is_async=True)
            # acc_4 on ALU: stage 4, slot 174
            acc3 = p2.to(gl.float16)
            # m_new_1 on ALU: stage 2, slot 238
            m_new2 = gl.max(s4, 1)
            m_new_prev = m_new
            m_new = gl.maximum(m_new, m_new2)
            m_safe = m_new == gl.full([128], float("-inf"), gl.float32, ROWS_OF_MMA_64_W8)
            m_safe2 = gl.where(m_safe, gl.full([128], 0.0, gl.float32, ROWS_OF_MMA_64_W8), m_new)
            alpha = m_new_prev - m_safe2
            alpha2_prev_prev = alpha2_prev
            alpha2_prev = alpha2
            alpha2 = gl.exp2(alpha)
            s = warpgroup_mma_wait(0, deps=[s])
            mbarrier.arrive(k_tile_ring_empty.index(i % 3), count=1)
        # epilogue, body 1
        # acc on TC: stage 4, slot 394
        mbarrier.wait(v_tile_ring_full.index((n + 1) % 5), ((n - 4) // 5) & 1)
        acc = warpgroup_mma(gl.convert_layout(acc3, LEFT_OF_MMA_64_W8), v_tile_ring.index((n + 1) % 5), acc2, is_async=True)
        # l_i_2 on ALU: stage 4, slot 394
        l_i2 = l_i * alpha2_prev_prev
        l_i3 = gl.sum(p2, 1)
        l_i = l_i2 + l_i3
        # p on SFU: stage 3, slot 466
        p2 = gl.exp2(p)
        # s_6 on ALU: stage 1, slot 466
        s2 = s * scale_log2
        ago = gl.expand_dims(offs_m, 1) - ((begin + (n - 1) * 64) + gl.expand_dims(gl.arange(0, 64, layout=COLUMNS_OF_MMA_64_W8), 0))
        s3 = ago.to(gl.uint32, bitcast=True) < window
        s4_prev = s4
        s4 = gl.where(s3, s2, gl.full([128, 64], float("-inf"), gl.float32, MMA_64_W8))
        # p_3 on ALU: stage 3, slot 46
        p = s4_prev - gl.expand_dims(m_safe2, 1)
        # acc_3 on ALU: stage 4, slot 110
        acc = warpgroup_mma_wait(0, deps=[acc])
        mbarrier.arrive(v_tile_ring_empty.index((n + 1) % 5), count=1)
        acc2 = acc * gl.expand_dims(alpha2_prev, 1)
        # acc_4 on ALU: stage 4, slot 174
        acc3 = p2.to(gl.float16)
        # m_new_1 on ALU: stage 2, slot 238
        m_new2 = gl.max(s4, 1)
        m_new_prev = m_new
        m_new = gl.maximum(m_new, m_new2)
        m_safe = m_new == gl.full([128], float("-inf"), gl.float32, ROWS_OF_MMA_64_W8)
        m_safe2 = gl.where(m_safe, gl.full([128], 0.0, gl.float32, ROWS_OF_MMA_64_W8), m_new)
        alpha = m_new_prev - m_safe2
        alpha2_prev_prev = alpha2_prev
        alpha2_prev = alpha2
        alpha2 = gl.exp2(alpha)
        # epilogue, body 2
        # acc on TC: stage 4, slot 394
        mbarrier.wait(v_tile_ring_full.index((n + 2) % 5), ((n - 3) // 5) & 1)
        acc = warpgroup_mma(gl.convert_layout(acc3, LEFT_OF_MMA_64_W8), v_tile_ring.index((n + 2) % 5), acc2, is_async=True)
        # l_i_2 on ALU: stage 4, slot 394
        l_i2 = l_i * alpha2_prev_prev
        l_i3 = gl.sum(p2, 1)
        l_i = l_i2 + l_i3
        # p on SFU: stage 3, slot 466
        p2 = gl.exp2(p)
        # p_3 on ALU: stage 3, slot 46
        p = s4 - gl.expand_dims(m_safe2, 1)
        # acc_3 on ALU: stage 4, slot 110
        acc = warpgroup_mma_wait(0, deps=[acc])
        mbarrier.arrive(v_tile_ring_empty.index((n + 2) % 5), count=1)
        acc2 = acc * gl.expand_dims(alpha2_prev, 1)
        # acc_4 on ALU: stage 4, slot 174
        acc3 = p2.to(gl.float16)
        # epilogue, body 3
        # acc on TC: stage 4, slot 394
        mbarrier.wait(v_tile_ring_full.index((n + 3) % 5), ((n - 2) // 5) & 1)
        acc = warpgroup_mma(gl.convert_layout(acc3, LEFT_OF_MMA_64_W8), v_tile_ring.index((n + 3) % 5), acc2, is_async=True)
        # l_i_2 on ALU: stage 4, slot 394
        l_i2 = l_i * alpha2_prev
        l_i3 = gl.sum(p2, 1)
        l_i = l_i2 + l_i3
        # p on SFU: stage 3, slot 466
        p2 = gl.exp2(p)
        # acc_3 on ALU: stage 4, slot 110
        acc = warpgroup_mma_wait(0, deps=[acc])
        mbarrier.arrive(v_tile_ring_empty.index((n + 3) % 5), count=1)
        acc2 = acc * gl.expand_dims(alpha2, 1)
        # acc_4 on ALU: stage 4, slot 174
        acc3 = p2.to(gl.float16)
        # epilogue, body 4
        # acc on TC: stage 4, slot 394
        mbarrier.wait(v_tile_ring_full.index((n + 4) % 5), ((n - 1) // 5) & 1)
        acc = warpgroup_mma(gl.convert_layout(acc3, LEFT_OF_MMA_64_W8), v_tile_ring.index((n + 4) % 5), acc2, is_async=True)
        # l_i_2 on ALU: stage 4, slot 394
        l_i2 = l_i * alpha2
        l_i3 = gl.sum(p2, 1)
        l_i = l_i2 + l_i3
        acc = warpgroup_mma_wait(0, deps=[acc])
        mbarrier.arrive(v_tile_ring_empty.index((n + 4) % 5), count=1)
    else:
        # too few iterations to fill the pipeline: one after the other
        for i in range(0, n):
            # s on TC: stage 1, slot 110
            mbarrier.wait(k_tile_ring_full.index(i % 3), (i // 3) & 1)
            s = warpgroup_mma(q_tile_smem, k_tile_ring.index(i % 3).permute([1, 0]), gl.zeros([128, 64], gl.float32, MMA_64_W8), use_acc=False, is_async=True)
            # s_6 on ALU: stage 1, slot 466
            s = warpgroup_mma_wait(0, deps=[s])
            mbarrier.arrive(k_tile_ring_empty.index(i % 3), count=1)
            s2 = s * scale_log2
            ago = gl.expand_dims(offs_m, 1) - ((begin + i * 64) + gl.expand_dims(gl.arange(0, 64, layout=COLUMNS_OF_MMA_64_W8), 0))
            s3 = ago.to(gl.uint32, bitcast=True) < window
            s4 = gl.where(s3, s2, gl.full([128, 64], float("-inf"), gl.float32, MMA_64_W8))
            # m_new_1 on ALU: stage 2, slot 238
            m_new2 = gl.max(s4, 1)
            m_new_prev = m_new
            m_new = gl.maximum(m_new, m_new2)
            m_safe = m_new == gl.full([128], float("-inf"), gl.float32, ROWS_OF_MMA_64_W8)
            m_safe2 = gl.where(m_safe, gl.full([128], 0.0, gl.float32, ROWS_OF_MMA_64_W8), m_new)
            alpha = m_new_prev - m_safe2
            alpha2 = gl.exp2(alpha)
            # p_3 on ALU: stage 3, slot 46
            p = s4 - gl.expand_dims(m_safe2, 1)
            # p on SFU: stage 3, slot 466
            p2 = gl.exp2(p)
            # l_i_2 on ALU: stage 4, slot 394
            l_i2 = l_i * alpha2
            l_i3 = gl.sum(p2, 1)
            l_i = l_i2 + l_i3
            # acc_3 on ALU: stage 4, slot 110
            acc2 = acc * gl.expand_dims(alpha2, 1)
            # acc_4 on ALU: stage 4, slot 174
            acc3 = p2.to(gl.float16)
            # acc on TC: stage 4, slot 394
            mbarrier.wait(v_tile_ring_full.index(i % 5), (i // 5) & 1)
            acc = warpgroup_mma(gl.convert_layout(acc3, LEFT_OF_MMA_64_W8), v_tile_ring.index(i % 5), acc2, is_async=True)
            acc = warpgroup_mma_wait(0, deps=[acc])
            mbarrier.arrive(v_tile_ring_empty.index(i % 5), count=1)
    # after the loop
    total = l_i == gl.full([128], 0.0, gl.float32, ROWS_OF_MMA_64_W8)
    total2 = gl.where(total, gl.full([128], 1.0, gl.float32, ROWS_OF_MMA_64_W8), l_i)
    result = acc / gl.expand_dims(total2, 1)
    result2 = result.to(gl.float16)
    tma.store_wait(0)
    o_desc_0_stage.store(result2)
    fence_async_shared()
    tma_store(o_desc, [row, 0], o_desc_0_stage)
    log2 = gl.log2(l_i)
    add = m_new + log2
    mul = add * gl.full([128], 0.693147182, gl.float32, ROWS_OF_MMA_64_W8)
    gl.store((lse + row) + gl.arange(0, 128, layout=ROWS_OF_MMA_64_W8), mul)
    tma.store_wait(0)


@gluon.jit
def loader(
    G, M, N, k_desc, k_tile_ring, k_tile_ring_empty, k_tile_ring_full, q_desc, q_tile_smem, q_tile_smem_full,
    v_desc, v_tile_ring, v_tile_ring_empty, v_tile_ring_full, window,
):
    """Producer: warp group 0 of the schedule."""
    pid_m = gl.program_id(0)
    head = gl.program_id(1)
    row2 = head * M
    row3 = pid_m * 128
    row = row2 + row3
    key2 = head // G
    key = key2 * N
    begin5 = row3 - window
    begin4 = begin5 + 1
    begin3 = gl.maximum(begin4, 0)
    begin2 = begin3 // 64
    begin = begin2 * 64
    end5 = pid_m + 1
    end3 = end5 * 128
    end6 = end3 + window
    end4 = end6 - 1
    end2 = gl.minimum(N, end4)
    end = gl.minimum(end2, end3)
    mbarrier.expect(q_tile_smem_full.index(0), 16384)
    tma_load(q_desc, [row, 0], q_tile_smem_full.index(0), q_tile_smem)
    n = gl.cdiv(end - begin, 64)
    for i in range(0, n + 1):
        # k_tile: stage 0, slot 0
        mbarrier.wait(k_tile_ring_empty.index(i % 3), ((i // 3) & 1) ^ 1, pred=i < n)
        mbarrier.expect(k_tile_ring_full.index(i % 3), 8192, pred=i < n)
        tma_load(k_desc, [key + (begin + i * 64), 0], k_tile_ring_full.index(i % 3), k_tile_ring.index(i % 3), pred=i < n)
        # v_tile: stage 1, slot 237
        mbarrier.wait(v_tile_ring_empty.index((i + 4) % 5), (((i - 1) // 5) & 1) ^ 1, pred=i - 1 >= 0)
        mbarrier.expect(v_tile_ring_full.index((i + 4) % 5), 8192, pred=i - 1 >= 0)
        tma_load(v_desc, [key + (begin + (i - 1) * 64), 0], v_tile_ring_full.index((i + 4) % 5), v_tile_ring.index((i + 4) % 5), pred=i - 1 >= 0)


@gluon.jit
def attention_fwd_kernel(o_desc, q_desc, k_desc, v_desc, lse, G, M, N, window, scale):
    """Shared memory, barriers, and one warp group for each of consumer0, loader."""
    barrier: gl.constexpr = mbarrier.MBarrierLayout()
    k_tile_ring = gl.allocate_shared_memory(gl.float16, [3, 64, 64], k_desc.layout)
    k_tile_ring_full = gl.allocate_shared_memory(gl.int64, [3, 1], barrier)
    k_tile_ring_empty = gl.allocate_shared_memory(gl.int64, [3, 1], barrier)
    v_tile_ring = gl.allocate_shared_memory(gl.float16, [5, 64, 64], v_desc.layout)
    v_tile_ring_full = gl.allocate_shared_memory(gl.int64, [5, 1], barrier)
    v_tile_ring_empty = gl.allocate_shared_memory(gl.int64, [5, 1], barrier)
    q_tile_smem = gl.allocate_shared_memory(gl.float16, [128, 64], q_desc.layout)
    q_tile_smem_full = gl.allocate_shared_memory(gl.int64, [1, 1], barrier)
    o_desc_0_stage = gl.allocate_shared_memory(gl.float16, [128, 64], O_DESC_0_STAGE_LAYOUT)
    for slot in gl.static_range(3):
        mbarrier.init(k_tile_ring_full.index(slot), count=1)
    for slot in gl.static_range(3):
        mbarrier.init(k_tile_ring_empty.index(slot), count=1)
    for slot in gl.static_range(5):
        mbarrier.init(v_tile_ring_full.index(slot), count=1)
    for slot in gl.static_range(5):
        mbarrier.init(v_tile_ring_empty.index(slot), count=1)
    for slot in gl.static_range(1):
        mbarrier.init(q_tile_smem_full.index(slot), count=1)
    fence_async_shared()  # the barriers are set up before TMA or another role sees them
    gl.warp_specialize(
        [
            (consumer0, (
                M, N, k_tile_ring, k_tile_ring_empty, k_tile_ring_full, lse, o_desc, o_desc_0_stage, q_tile_smem,
                q_tile_smem_full, scale, v_tile_ring, v_tile_ring_empty, v_tile_ring_full, window,
            )),
            (loader, (
                G, M, N, k_desc, k_tile_ring, k_tile_ring_empty, k_tile_ring_full, q_desc, q_tile_smem, q_tile_smem_full,
                v_desc, v_tile_ring, v_tile_ring_empty, v_tile_ring_full, window,
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


def attention_fwd(q, k, v, o, lse, H, G, M, N, window, scale, D=64, BLOCK_M=128, BLOCK_N=64, CAUSAL=True, WINDOWED=True):
    """Launch the kernel on the current stream; arguments as of the source kernel `attention_fwd`.

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
    if WINDOWED != True:
        raise ValueError(f"compiled for WINDOWED=True, got {WINDOWED!r}: compile it again")
    require_tensors(
        DEVICE_TYPE,
        q=(q, torch.float16),
        k=(k, torch.float16),
        v=(v, torch.float16),
        o=(o, torch.float16),
        lse=(lse, torch.float32),
    )
    require_scalars(
        H=(H, "i32"),
        G=(G, "i32"),
        M=(M, "i32"),
        N=(N, "i32"),
        window=(window, "i32"),
        scale=(scale, "f32"),
    )
    if M % BLOCK_M:
        raise ValueError(f"M must be a multiple of BLOCK_M, got {M}")
    if N % BLOCK_N:
        raise ValueError(f"N must be a multiple of BLOCK_N, got {N}")
    grid = (M // BLOCK_M, H)
    require_grid(grid)
    require_view("o", o, [H * M, 64], [64, 1])
    require_view("q", q, [H * M, 64], [64, 1])
    require_view("k", k, [(((H + G) - 1) // G) * N, 64], [64, 1])
    require_view("v", v, [(((H + G) - 1) // G) * N, 64], [64, 1])
    require_pointer("lse", lse, narrow=False)
    if 0 in grid:
        return  # there is nothing to do
    o_desc = TensorDescriptor(o, [max(H * M, 1), 64], [64, 1], [128, 64], gl.NVMMASharedLayout.get_default_for([128, 64], gl.float16))
    q_desc = TensorDescriptor(q, [max(H * M, 1), 64], [64, 1], [128, 64], gl.NVMMASharedLayout.get_default_for([128, 64], gl.float16))
    k_desc = TensorDescriptor(k, [max((((H + G) - 1) // G) * N, 1), 64], [64, 1], [64, 64], gl.NVMMASharedLayout.get_default_for([64, 64], gl.float16))
    v_desc = TensorDescriptor(v, [max((((H + G) - 1) // G) * N, 1), 64], [64, 1], [64, 64], gl.NVMMASharedLayout.get_default_for([64, 64], gl.float16))
    attention_fwd_kernel[grid](o_desc, q_desc, k_desc, v_desc, lse, G, M, N, window, scale, num_warps=8)

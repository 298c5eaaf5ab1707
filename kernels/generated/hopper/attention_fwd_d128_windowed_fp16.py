r"""attention_fwd for Hopper, written by Twill from attention_fwd.py. Do not edit: change the
kernel and compile it again.

Compiled for D=128, BLOCK_M=128, BLOCK_N=128, CAUSAL=False, WINDOWED=True.
Schedule: II = 2048 cycles, optimal (ResMII of unit TC (ops s.0, s.1, acc.0, acc.1)); one iteration takes 5845.

Roles:
  consumer0: 4 warps, 240 registers a thread, 2 stages
  consumer1: 4 warps, 240 registers a thread, 2 stages
  loader: 1 warps, 24 registers a thread

Rings:
  k_tile_ring: 2 x [128, 128] f16
  v_tile_ring: 3 x [128, 128] f16

Steady state, one II:
           0                     512                   1024                  1536
       TC |<S #1 ][acc.0 #0 -----------][s.1 #1 -------------][acc.1 #0 -----------][s.0 #2 ------>|
      SFU |.......[p.1 #0 -------------]......................[p.0 #1 -------------]...............|
      ALU |0DD0pp.0c......[s_6.0 #1 --------].[M #1]0ll0dd1PP1C.......[s_6.1 #1 --------].[m #1]1LL|
      TMA |[k_tile #2 -----------------------------][v_tile #2 ----------------------------].......|
  group 0 |K........................................V..............................................|
  group 1 |0DD....E.......[s_6.0 #1 --------].[M #1]......1PP1C[p.0 #1 ------------]S...........1LL|
  group 2 |...0pp.[p.1 #0 -------------]s...........0ll0dd....e.......[s_6.1 #1 --------].[m #1]...|
          |       0c                                                                               |
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

MMA_128: gl.constexpr = gl.constexpr(gl.NVMMADistributedLayout(version=[3, 0], warps_per_cta=[4, 1], instr_shape=[16, 128, 16]))
ROWS_OF_MMA_128: gl.constexpr = gl.constexpr(gl.SliceLayout(1, MMA_128.value))
COLUMNS_OF_MMA_128: gl.constexpr = gl.constexpr(gl.SliceLayout(0, MMA_128.value))
LEFT_OF_MMA_128: gl.constexpr = gl.constexpr(gl.DotOperandLayout(0, MMA_128.value, 2))
O_DESC_0_STAGE_LAYOUT: gl.constexpr = gl.constexpr(gl.NVMMASharedLayout.get_default_for([64, 128], gl.float16))
O_DESC_1_STAGE_LAYOUT: gl.constexpr = gl.constexpr(gl.NVMMASharedLayout.get_default_for([64, 128], gl.float16))


@gluon.jit
def consumer0(
    M, N, k_tile_ring, k_tile_ring_empty, k_tile_ring_full, lse, o_desc, o_desc_0_stage, q_tile_0_smem,
    q_tile_0_smem_full, scale, turn_0, turn_1, v_tile_ring, v_tile_ring_empty, v_tile_ring_full, window,
):
    """Consumer: warp group 1 of the schedule."""
    mbarrier.wait(q_tile_0_smem_full.index(0), 0)
    pid_m = gl.program_id(0)
    head = gl.program_id(1)
    row2 = head * M
    row3 = pid_m * 128
    row = row2 + row3
    scale_log2 = scale * 1.44269502
    offs_m = row3 + gl.arange(0, 64, layout=ROWS_OF_MMA_128)
    begin5 = row3 - window
    begin4 = begin5 + 1
    begin3 = gl.maximum(begin4, 0)
    begin2 = begin3 // 128
    begin = begin2 * 128
    end5 = pid_m + 1
    end4 = end5 * 128
    end3 = end4 + window
    end2 = end3 - 1
    end = gl.minimum(N, end2)
    add2 = offs_m + window
    sub = add2 - gl.full([64], 1, gl.int32, ROWS_OF_MMA_128)
    mul2 = window * 2
    sub2 = mul2 - 1
    m_new = gl.full([64], float("-inf"), gl.float32, ROWS_OF_MMA_128)
    l_i = gl.full([64], 0.0, gl.float32, ROWS_OF_MMA_128)
    acc = gl.full([64, 128], 0.0, gl.float32, MMA_128)
    n = gl.cdiv(end - begin, 128)
    if n >= 1:
        # prologue, body 0
        # s.0 on TC: stage 0, slot 1689
        mbarrier.wait(k_tile_ring_full.index(0), 0)
        s = warpgroup_mma(q_tile_0_smem, k_tile_ring.index(0).permute([1, 0]), gl.zeros([64, 128], gl.float32, MMA_128), use_acc=False, is_async=True)
        # s_6.0 on ALU: stage 1, slot 341
        s = warpgroup_mma_wait(0, deps=[s])
        mbarrier.arrive(k_tile_ring_empty.index(0), count=1)
        s2 = s * scale_log2
        ago = gl.expand_dims(sub, 1) - ((begin + 0 * 128) + gl.expand_dims(gl.arange(0, 128, layout=COLUMNS_OF_MMA_128), 0))
        s3 = ago.to(gl.uint32, bitcast=True) < sub2
        s4 = gl.where(s3, s2, gl.full([64, 128], float("-inf"), gl.float32, MMA_128))
        # steady state
        for i in range(1, n):
            # m_new_1.0 on ALU: stage 1, slot 814
            m_new3 = gl.max(s4, 1)
            m_new_prev = m_new
            m_new = gl.maximum(m_new, m_new3)
            m_safe = m_new == gl.full([64], float("-inf"), gl.float32, ROWS_OF_MMA_128)
            m_safe2 = gl.where(m_safe, gl.full([64], 0.0, gl.float32, ROWS_OF_MMA_128), m_new)
            alpha = m_new_prev - m_safe2
            alpha2 = gl.exp2(alpha)
            # p_3.0 on ALU: stage 1, slot 1088
            p = s4 - gl.expand_dims(m_safe2, 1)
            # acc_3.0 on ALU: stage 1, slot 1152
            acc3 = acc * gl.expand_dims(alpha2, 1)
            # p.0 on SFU: stage 1, slot 1177
            p2 = gl.exp2(p)
            # s.0 on TC: stage 0, slot 1689
            mbarrier.wait(k_tile_ring_full.index(i % 2), (i // 2) & 1)
            mbarrier.wait(turn_1.index((i + 1) % 3), ((i - 2) // 3) & 1, pred=i - 2 >= 0)
            s = warpgroup_mma(q_tile_0_smem, k_tile_ring.index(i % 2).permute([1, 0]), gl.zeros([64, 128], gl.float32, MMA_128), use_acc=False, is_async=True)
            # l_i_2.0 on ALU: stage 1, slot 1980
            l_i3 = l_i * alpha2
            l_i4 = gl.sum(p2, 1)
            l_i = l_i3 + l_i4
            # acc_4.0 on ALU: stage 2, slot 0
            acc4 = p2.to(gl.float16)
            # acc.0 on TC: stage 2, slot 153
            mbarrier.wait(v_tile_ring_full.index((i + 2) % 3), ((i - 1) // 3) & 1)
            acc = warpgroup_mma(gl.convert_layout(acc4, LEFT_OF_MMA_128), v_tile_ring.index((i + 2) % 3), acc3, is_async=True)
            mbarrier.arrive(turn_0.index((i + 2) % 3), count=1)
            # s_6.0 on ALU: stage 1, slot 341
            s = warpgroup_mma_wait(1, deps=[s])
            mbarrier.arrive(k_tile_ring_empty.index(i % 2), count=1)
            s2 = s * scale_log2
            ago = gl.expand_dims(sub, 1) - ((begin + i * 128) + gl.expand_dims(gl.arange(0, 128, layout=COLUMNS_OF_MMA_128), 0))
            s3 = ago.to(gl.uint32, bitcast=True) < sub2
            s4 = gl.where(s3, s2, gl.full([64, 128], float("-inf"), gl.float32, MMA_128))
            acc = warpgroup_mma_wait(0, deps=[acc])
            mbarrier.arrive(v_tile_ring_empty.index((i + 2) % 3), count=1)
        # epilogue, body 1
        # m_new_1.0 on ALU: stage 1, slot 814
        m_new3 = gl.max(s4, 1)
        m_new_prev = m_new
        m_new = gl.maximum(m_new, m_new3)
        m_safe = m_new == gl.full([64], float("-inf"), gl.float32, ROWS_OF_MMA_128)
        m_safe2 = gl.where(m_safe, gl.full([64], 0.0, gl.float32, ROWS_OF_MMA_128), m_new)
        alpha = m_new_prev - m_safe2
        alpha2 = gl.exp2(alpha)
        # p_3.0 on ALU: stage 1, slot 1088
        p = s4 - gl.expand_dims(m_safe2, 1)
        # acc_3.0 on ALU: stage 1, slot 1152
        acc3 = acc * gl.expand_dims(alpha2, 1)
        # p.0 on SFU: stage 1, slot 1177
        p2 = gl.exp2(p)
        # l_i_2.0 on ALU: stage 1, slot 1980
        l_i3 = l_i * alpha2
        l_i4 = gl.sum(p2, 1)
        l_i = l_i3 + l_i4
        # acc_4.0 on ALU: stage 2, slot 0
        acc4 = p2.to(gl.float16)
        # acc.0 on TC: stage 2, slot 153
        mbarrier.wait(v_tile_ring_full.index((n + 2) % 3), ((n - 1) // 3) & 1)
        acc = warpgroup_mma(gl.convert_layout(acc4, LEFT_OF_MMA_128), v_tile_ring.index((n + 2) % 3), acc3, is_async=True)
        mbarrier.arrive(turn_0.index((n + 2) % 3), count=1)
        acc = warpgroup_mma_wait(0, deps=[acc])
        mbarrier.arrive(v_tile_ring_empty.index((n + 2) % 3), count=1)
    # after the loop
    total = l_i == gl.full([64], 0.0, gl.float32, ROWS_OF_MMA_128)
    total2 = gl.where(total, gl.full([64], 1.0, gl.float32, ROWS_OF_MMA_128), l_i)
    result = acc / gl.expand_dims(total2, 1)
    result2 = result.to(gl.float16)
    tma.store_wait(0)
    o_desc_0_stage.store(result2)
    fence_async_shared()
    tma_store(o_desc, [row, 0], o_desc_0_stage)
    log2 = gl.log2(l_i)
    add = m_new + log2
    mul = add * gl.full([64], 0.693147182, gl.float32, ROWS_OF_MMA_128)
    gl.store((lse + row) + gl.arange(0, 64, layout=ROWS_OF_MMA_128), mul)
    tma.store_wait(0)


@gluon.jit
def consumer1(
    M, N, k_tile_ring, k_tile_ring_empty, k_tile_ring_full, lse, o_desc, o_desc_1_stage, q_tile_1_smem,
    q_tile_1_smem_full, scale, turn_0, turn_1, v_tile_ring, v_tile_ring_empty, v_tile_ring_full, window,
):
    """Consumer: warp group 2 of the schedule."""
    mbarrier.wait(q_tile_1_smem_full.index(0), 0)
    pid_m = gl.program_id(0)
    head = gl.program_id(1)
    row2 = head * M
    row3 = pid_m * 128
    row = row2 + row3
    row_plus64 = row + 64
    scale_log2 = scale * 1.44269502
    offs_m = row3 + gl.arange(64, 128, layout=ROWS_OF_MMA_128)
    begin5 = row3 - window
    begin4 = begin5 + 1
    begin3 = gl.maximum(begin4, 0)
    begin2 = begin3 // 128
    begin = begin2 * 128
    end5 = pid_m + 1
    end4 = end5 * 128
    end3 = end4 + window
    end2 = end3 - 1
    end = gl.minimum(N, end2)
    add2 = offs_m + window
    sub = add2 - gl.full([64], 1, gl.int32, ROWS_OF_MMA_128)
    mul2 = window * 2
    sub2 = mul2 - 1
    m_new2 = gl.full([64], float("-inf"), gl.float32, ROWS_OF_MMA_128)
    l_i2 = gl.full([64], 0.0, gl.float32, ROWS_OF_MMA_128)
    acc2 = gl.full([64, 128], 0.0, gl.float32, MMA_128)
    n = gl.cdiv(end - begin, 128)
    if n >= 1:
        # prologue, body 0
        # s.1 on TC: stage 1, slot 665
        mbarrier.wait(k_tile_ring_full.index(0), 0)
        s = warpgroup_mma(q_tile_1_smem, k_tile_ring.index(0).permute([1, 0]), gl.zeros([64, 128], gl.float32, MMA_128), use_acc=False, is_async=True)
        # s_6.1 on ALU: stage 1, slot 1365
        s = warpgroup_mma_wait(0, deps=[s])
        mbarrier.arrive(k_tile_ring_empty.index(0), count=1)
        s2 = s * scale_log2
        ago = gl.expand_dims(sub, 1) - ((begin + 0 * 128) + gl.expand_dims(gl.arange(0, 128, layout=COLUMNS_OF_MMA_128), 0))
        s3 = ago.to(gl.uint32, bitcast=True) < sub2
        s4 = gl.where(s3, s2, gl.full([64, 128], float("-inf"), gl.float32, MMA_128))
        # m_new_1.1 on ALU: stage 1, slot 1838
        m_new3 = gl.max(s4, 1)
        m_new2_prev = m_new2
        m_new2 = gl.maximum(m_new2, m_new3)
        m_safe = m_new2 == gl.full([64], float("-inf"), gl.float32, ROWS_OF_MMA_128)
        m_safe2 = gl.where(m_safe, gl.full([64], 0.0, gl.float32, ROWS_OF_MMA_128), m_new2)
        alpha = m_new2_prev - m_safe2
        alpha2 = gl.exp2(alpha)
        # steady state
        for i in range(1, n):
            # p_3.1 on ALU: stage 2, slot 64
            p = s4 - gl.expand_dims(m_safe2, 1)
            # acc_3.1 on ALU: stage 2, slot 153
            acc3 = acc2 * gl.expand_dims(alpha2, 1)
            # p.1 on SFU: stage 2, slot 153
            p2 = gl.exp2(p)
            # s.1 on TC: stage 1, slot 665
            mbarrier.wait(k_tile_ring_full.index(i % 2), (i // 2) & 1)
            mbarrier.wait(turn_0.index((i + 2) % 3), ((i - 1) // 3) & 1)
            s = warpgroup_mma(q_tile_1_smem, k_tile_ring.index(i % 2).permute([1, 0]), gl.zeros([64, 128], gl.float32, MMA_128), use_acc=False, is_async=True)
            # l_i_2.1 on ALU: stage 2, slot 956
            l_i3 = l_i2 * alpha2
            l_i4 = gl.sum(p2, 1)
            l_i2 = l_i3 + l_i4
            # acc_4.1 on ALU: stage 2, slot 1024
            acc4 = p2.to(gl.float16)
            # acc.1 on TC: stage 2, slot 1177
            mbarrier.wait(v_tile_ring_full.index((i + 2) % 3), ((i - 1) // 3) & 1)
            acc2 = warpgroup_mma(gl.convert_layout(acc4, LEFT_OF_MMA_128), v_tile_ring.index((i + 2) % 3), acc3, is_async=True)
            mbarrier.arrive(turn_1.index((i + 2) % 3), count=1)
            # s_6.1 on ALU: stage 1, slot 1365
            s = warpgroup_mma_wait(1, deps=[s])
            mbarrier.arrive(k_tile_ring_empty.index(i % 2), count=1)
            s2 = s * scale_log2
            ago = gl.expand_dims(sub, 1) - ((begin + i * 128) + gl.expand_dims(gl.arange(0, 128, layout=COLUMNS_OF_MMA_128), 0))
            s3 = ago.to(gl.uint32, bitcast=True) < sub2
            s4 = gl.where(s3, s2, gl.full([64, 128], float("-inf"), gl.float32, MMA_128))
            # m_new_1.1 on ALU: stage 1, slot 1838
            m_new3 = gl.max(s4, 1)
            m_new2_prev = m_new2
            m_new2 = gl.maximum(m_new2, m_new3)
            m_safe = m_new2 == gl.full([64], float("-inf"), gl.float32, ROWS_OF_MMA_128)
            m_safe2 = gl.where(m_safe, gl.full([64], 0.0, gl.float32, ROWS_OF_MMA_128), m_new2)
            alpha = m_new2_prev - m_safe2
            alpha2 = gl.exp2(alpha)
            acc2 = warpgroup_mma_wait(0, deps=[acc2])
            mbarrier.arrive(v_tile_ring_empty.index((i + 2) % 3), count=1)
        # epilogue, body 1
        # p_3.1 on ALU: stage 2, slot 64
        p = s4 - gl.expand_dims(m_safe2, 1)
        # acc_3.1 on ALU: stage 2, slot 153
        acc3 = acc2 * gl.expand_dims(alpha2, 1)
        # p.1 on SFU: stage 2, slot 153
        p2 = gl.exp2(p)
        # l_i_2.1 on ALU: stage 2, slot 956
        l_i3 = l_i2 * alpha2
        l_i4 = gl.sum(p2, 1)
        l_i2 = l_i3 + l_i4
        # acc_4.1 on ALU: stage 2, slot 1024
        acc4 = p2.to(gl.float16)
        # acc.1 on TC: stage 2, slot 1177
        mbarrier.wait(v_tile_ring_full.index((n + 2) % 3), ((n - 1) // 3) & 1)
        acc2 = warpgroup_mma(gl.convert_layout(acc4, LEFT_OF_MMA_128), v_tile_ring.index((n + 2) % 3), acc3, is_async=True)
        mbarrier.arrive(turn_1.index((n + 2) % 3), count=1)
        acc2 = warpgroup_mma_wait(0, deps=[acc2])
        mbarrier.arrive(v_tile_ring_empty.index((n + 2) % 3), count=1)
    # after the loop
    total = l_i2 == gl.full([64], 0.0, gl.float32, ROWS_OF_MMA_128)
    total2 = gl.where(total, gl.full([64], 1.0, gl.float32, ROWS_OF_MMA_128), l_i2)
    result = acc2 / gl.expand_dims(total2, 1)
    result2 = result.to(gl.float16)
    tma.store_wait(0)
    o_desc_1_stage.store(result2)
    fence_async_shared()
    tma_store(o_desc, [row_plus64, 0], o_desc_1_stage)
    log2 = gl.log2(l_i2)
    add = m_new2 + log2
    mul = add * gl.full([64], 0.693147182, gl.float32, ROWS_OF_MMA_128)
    gl.store((lse + row) + gl.arange(64, 128, layout=ROWS_OF_MMA_128), mul)
    tma.store_wait(0)


@gluon.jit
def loader(
    G, M, N, k_desc, k_tile_ring, k_tile_ring_empty, k_tile_ring_full, q_desc, q_tile_0_smem,
    q_tile_0_smem_full, q_tile_1_smem, q_tile_1_smem_full, v_desc, v_tile_ring, v_tile_ring_empty,
    v_tile_ring_full, window,
):
    """Producer: warp group 0 of the schedule."""
    pid_m = gl.program_id(0)
    head = gl.program_id(1)
    row2 = head * M
    row3 = pid_m * 128
    row = row2 + row3
    key2 = head // G
    key = key2 * N
    row_plus64 = row + 64
    begin5 = row3 - window
    begin4 = begin5 + 1
    begin3 = gl.maximum(begin4, 0)
    begin2 = begin3 // 128
    begin = begin2 * 128
    end5 = pid_m + 1
    end4 = end5 * 128
    end3 = end4 + window
    end2 = end3 - 1
    end = gl.minimum(N, end2)
    mbarrier.expect(q_tile_0_smem_full.index(0), 16384)
    tma_load(q_desc, [row, 0], q_tile_0_smem_full.index(0), q_tile_0_smem)
    mbarrier.expect(q_tile_1_smem_full.index(0), 16384)
    tma_load(q_desc, [row_plus64, 0], q_tile_1_smem_full.index(0), q_tile_1_smem)
    n = gl.cdiv(end - begin, 128)
    for i in range(0, n):
        # k_tile: stage 0, slot 0
        mbarrier.wait(k_tile_ring_empty.index(i % 2), ((i // 2) & 1) ^ 1)
        mbarrier.expect(k_tile_ring_full.index(i % 2), 32768)
        tma_load(k_desc, [key + (begin + i * 128), 0], k_tile_ring_full.index(i % 2), k_tile_ring.index(i % 2))
        # v_tile: stage 0, slot 948
        mbarrier.wait(v_tile_ring_empty.index(i % 3), ((i // 3) & 1) ^ 1)
        mbarrier.expect(v_tile_ring_full.index(i % 3), 32768)
        tma_load(v_desc, [key + (begin + i * 128), 0], v_tile_ring_full.index(i % 3), v_tile_ring.index(i % 3))


@gluon.jit
def attention_fwd_kernel(o_desc, q_desc, k_desc, v_desc, lse, G, M, N, window, scale):
    """Shared memory, barriers, and one warp group for each of consumer0, consumer1, loader."""
    barrier: gl.constexpr = mbarrier.MBarrierLayout()
    k_tile_ring = gl.allocate_shared_memory(gl.float16, [2, 128, 128], k_desc.layout)
    k_tile_ring_full = gl.allocate_shared_memory(gl.int64, [2, 1], barrier)
    k_tile_ring_empty = gl.allocate_shared_memory(gl.int64, [2, 1], barrier)
    v_tile_ring = gl.allocate_shared_memory(gl.float16, [3, 128, 128], v_desc.layout)
    v_tile_ring_full = gl.allocate_shared_memory(gl.int64, [3, 1], barrier)
    v_tile_ring_empty = gl.allocate_shared_memory(gl.int64, [3, 1], barrier)
    q_tile_0_smem = gl.allocate_shared_memory(gl.float16, [64, 128], q_desc.layout)
    q_tile_0_smem_full = gl.allocate_shared_memory(gl.int64, [1, 1], barrier)
    q_tile_1_smem = gl.allocate_shared_memory(gl.float16, [64, 128], q_desc.layout)
    q_tile_1_smem_full = gl.allocate_shared_memory(gl.int64, [1, 1], barrier)
    o_desc_0_stage = gl.allocate_shared_memory(gl.float16, [64, 128], O_DESC_0_STAGE_LAYOUT)
    o_desc_1_stage = gl.allocate_shared_memory(gl.float16, [64, 128], O_DESC_1_STAGE_LAYOUT)
    # turn_0: after acc.0, s.1 may be issued
    turn_0 = gl.allocate_shared_memory(gl.int64, [3, 1], barrier)
    # turn_1: after acc.1, s.0 may be issued
    turn_1 = gl.allocate_shared_memory(gl.int64, [3, 1], barrier)
    for slot in gl.static_range(2):
        mbarrier.init(k_tile_ring_full.index(slot), count=1)
    for slot in gl.static_range(2):
        mbarrier.init(k_tile_ring_empty.index(slot), count=2)
    for slot in gl.static_range(3):
        mbarrier.init(v_tile_ring_full.index(slot), count=1)
    for slot in gl.static_range(3):
        mbarrier.init(v_tile_ring_empty.index(slot), count=2)
    for slot in gl.static_range(1):
        mbarrier.init(q_tile_0_smem_full.index(slot), count=1)
    for slot in gl.static_range(1):
        mbarrier.init(q_tile_1_smem_full.index(slot), count=1)
    for slot in gl.static_range(3):
        mbarrier.init(turn_0.index(slot), count=1)
    for slot in gl.static_range(3):
        mbarrier.init(turn_1.index(slot), count=1)
    fence_async_shared()  # the barriers are set up before TMA or another role sees them
    gl.warp_specialize(
        [
            (consumer0, (
                M, N, k_tile_ring, k_tile_ring_empty, k_tile_ring_full, lse, o_desc, o_desc_0_stage, q_tile_0_smem,
                q_tile_0_smem_full, scale, turn_0, turn_1, v_tile_ring, v_tile_ring_empty, v_tile_ring_full, window,
            )),
            (consumer1, (
                M, N, k_tile_ring, k_tile_ring_empty, k_tile_ring_full, lse, o_desc, o_desc_1_stage, q_tile_1_smem,
                q_tile_1_smem_full, scale, turn_0, turn_1, v_tile_ring, v_tile_ring_empty, v_tile_ring_full, window,
            )),
            (loader, (
                G, M, N, k_desc, k_tile_ring, k_tile_ring_empty, k_tile_ring_full, q_desc, q_tile_0_smem,
                q_tile_0_smem_full, q_tile_1_smem, q_tile_1_smem_full, v_desc, v_tile_ring, v_tile_ring_empty,
                v_tile_ring_full, window,
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


def attention_fwd(q, k, v, o, lse, H, G, M, N, window, scale, D=128, BLOCK_M=128, BLOCK_N=128, CAUSAL=False, WINDOWED=True):
    """Launch the kernel on the current stream; arguments as of the source kernel `attention_fwd`.

    Raises TypeError or ValueError when an argument is not what the kernel was compiled for.
    """
    if D != 128:
        raise ValueError(f"compiled for D=128, got {D!r}: compile it again")
    if BLOCK_M != 128:
        raise ValueError(f"compiled for BLOCK_M=128, got {BLOCK_M!r}: compile it again")
    if BLOCK_N != 128:
        raise ValueError(f"compiled for BLOCK_N=128, got {BLOCK_N!r}: compile it again")
    if CAUSAL != False:
        raise ValueError(f"compiled for CAUSAL=False, got {CAUSAL!r}: compile it again")
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
    require_view("o", o, [H * M, 128], [128, 1])
    require_view("q", q, [H * M, 128], [128, 1])
    require_view("k", k, [(((H + G) - 1) // G) * N, 128], [128, 1])
    require_view("v", v, [(((H + G) - 1) // G) * N, 128], [128, 1])
    require_pointer("lse", lse, narrow=False)
    if 0 in grid:
        return  # there is nothing to do
    o_desc = TensorDescriptor(o, [max(H * M, 1), 128], [128, 1], [64, 128], gl.NVMMASharedLayout.get_default_for([64, 128], gl.float16))
    q_desc = TensorDescriptor(q, [max(H * M, 1), 128], [128, 1], [64, 128], gl.NVMMASharedLayout.get_default_for([64, 128], gl.float16))
    k_desc = TensorDescriptor(k, [max((((H + G) - 1) // G) * N, 1), 128], [128, 1], [128, 128], gl.NVMMASharedLayout.get_default_for([128, 128], gl.float16))
    v_desc = TensorDescriptor(v, [max((((H + G) - 1) // G) * N, 1), 128], [128, 1], [128, 128], gl.NVMMASharedLayout.get_default_for([128, 128], gl.float16))
    attention_fwd_kernel[grid](o_desc, q_desc, k_desc, v_desc, lse, G, M, N, window, scale, num_warps=4)

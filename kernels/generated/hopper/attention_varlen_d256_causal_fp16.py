r"""attention_varlen for Hopper, written by Twill from attention_varlen.py. Do not edit: change the
kernel and compile it again.

Compiled for D=256, BLOCK_M=128, BLOCK_N=64, CAUSAL=True.
Schedule: II = 2048 cycles, optimal (ResMII of unit TC (ops s.0, s.1, acc.0, acc.1)); one iteration takes 4821.

Roles:
  consumer0: 4 warps, 240 registers a thread, 2 stages
  consumer1: 4 warps, 240 registers a thread, 2 stages
  loader: 1 warps, 24 registers a thread

Rings:
  k_tile_ring: 2 x [64, 256] f16
  v_tile_ring: 3 x [64, 256] f16

Steady state, one II:
           0                     512                   1024                  1536
       TC |<S #1 ][acc.1 #0 -----------][s.1 #1 -------------][acc.0 #1 -----------][s.0 #2 ------>|
      SFU |0c.................................[p.0 #1 --].................................[p.1 #1 >|
      ALU |....0e.l..........[A #1 ].1MM....P.[D #1].......1E.B1L........[a #1 ].1mm....p.1ddddb...|
      TMA |[k_tile #2 -----------------------------][v_tile #2 ----------------------------].......|
  group 0 |K........................................V..............................................|
  group 1 |..................[A #1 ].1MM....P.[p.0 #1 --]..1E.FB....................S..............|
          |                                   [D #1]          1L                                   |
  group 2 |0c..0e.lf....................s................................[a #1 ].1mm....p.1ddddb...|
          |                                                                               [p 1 #1 >|
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
MMA_256: gl.constexpr = gl.constexpr(gl.NVMMADistributedLayout(version=[3, 0], warps_per_cta=[4, 1], instr_shape=[16, 256, 16]))
COLUMNS_OF_MMA_64: gl.constexpr = gl.constexpr(gl.SliceLayout(0, MMA_64.value))
ROWS_OF_MMA_256: gl.constexpr = gl.constexpr(gl.SliceLayout(1, MMA_256.value))
LEFT_OF_MMA_256: gl.constexpr = gl.constexpr(gl.DotOperandLayout(0, MMA_256.value, 2))
COLUMNS_OF_MMA_256: gl.constexpr = gl.constexpr(gl.SliceLayout(0, MMA_256.value))


@gluon.jit
def consumer0(
    H, TQ, k_tile_ring, k_tile_ring_empty, k_tile_ring_full, lse, o, q_tile_0_smem, q_tile_0_smem_full, scale,
    starts_k, starts_q, turn_0, turn_1, v_tile_ring, v_tile_ring_empty, v_tile_ring_full,
):
    """Consumer: warp group 1 of the schedule."""
    mbarrier.wait(q_tile_0_smem_full.index(0), 0)
    first2 = gl.program_id(0)
    first = first2 * 128
    head = gl.program_id(1)
    sequence = gl.program_id(2)
    q_desc = H * 256
    row3 = starts_q + sequence
    row2 = gl.load(row3)
    row = row2 + first
    left3 = row3 + 1
    left2 = gl.load(left3)
    left = left2 - row
    key2 = starts_k + sequence
    key = gl.load(key2)
    keys3 = key2 + 1
    keys2 = gl.load(keys3)
    keys = keys2 - key
    scale_log2 = scale * 1.44269502
    end4 = left > 0
    end2 = gl.where(end4, keys, 0)
    end3 = first + 128
    end = gl.minimum(end2, end3)
    seen3 = first + gl.arange(0, 64, layout=ROWS_OF_MMA_64)
    seen2 = seen3 + gl.full([64], 1, gl.int32, ROWS_OF_MMA_64)
    seen = gl.minimum(seen2, keys)
    m_new = gl.full([64], float("-inf"), gl.float32, ROWS_OF_MMA_64)
    l_i = gl.full([64], 0.0, gl.float32, ROWS_OF_MMA_64)
    acc = gl.full([64, 256], 0.0, gl.float32, MMA_256)
    n = gl.cdiv(end, 64)
    if n >= 1:
        # prologue, body 0
        # s_6.0 on ALU: stage 0, slot 1189
        s = seen - 0
        # s.0 on TC: stage 0, slot 1689
        mbarrier.wait(k_tile_ring_full.index(0), 0)
        s2 = warpgroup_mma(q_tile_0_smem, k_tile_ring.index(0).permute([1, 0]), gl.zeros([64, 64], gl.float32, MMA_64), use_acc=False, is_async=True)
        mbarrier.arrive(turn_1.index(0), count=1)
        s2 = warpgroup_mma_wait(0, deps=[s2])
        mbarrier.arrive(k_tile_ring_empty.index(0), count=1)
        # steady state
        for i in range(1, n):
            # s_11.0 on ALU: stage 1, slot 423
            s3 = s2 * scale_log2
            s4 = gl.expand_dims(gl.arange(0, 64, layout=COLUMNS_OF_MMA_64), 0) < gl.expand_dims(s, 1)
            s5 = gl.where(s4, s3, gl.full([64, 64], float("-inf"), gl.float32, MMA_64))
            # m_new_1.0 on ALU: stage 1, slot 608
            m_new3 = gl.max(s5, 1)
            m_new_prev = m_new
            m_new = gl.maximum(m_new, m_new3)
            alpha = m_new_prev - m_new
            alpha2 = gl.exp2(alpha)
            # p_3.0 on ALU: stage 1, slot 767
            p = s5 - gl.expand_dims(m_new, 1)
            # acc_3.0 on ALU: stage 1, slot 824
            acc3 = acc * gl.expand_dims(gl.convert_layout(alpha2, ROWS_OF_MMA_256), 1)
            # p.0 on SFU: stage 1, slot 824
            p2 = gl.exp2(p)
            # acc_4.0 on ALU: stage 1, slot 1120
            acc4 = p2.to(gl.float16)
            # acc.0 on TC: stage 1, slot 1177
            mbarrier.wait(v_tile_ring_full.index((i + 2) % 3), ((i - 1) // 3) & 1)
            mbarrier.wait(turn_0.index((i + 1) % 2), ((i - 1) // 2) & 1)
            acc = warpgroup_mma(gl.convert_layout(acc4, LEFT_OF_MMA_256), v_tile_ring.index((i + 2) % 3), acc3, is_async=True)
            # s_6.0 on ALU: stage 0, slot 1189
            s = seen - (i * 64)
            # l_i_2.0 on ALU: stage 1, slot 1193
            l_i3 = l_i * alpha2
            l_i4 = gl.sum(p2, 1)
            l_i = l_i3 + l_i4
            # s.0 on TC: stage 0, slot 1689
            mbarrier.wait(k_tile_ring_full.index(i % 2), (i // 2) & 1)
            s2 = warpgroup_mma(q_tile_0_smem, k_tile_ring.index(i % 2).permute([1, 0]), gl.zeros([64, 64], gl.float32, MMA_64), use_acc=False, is_async=True)
            mbarrier.arrive(turn_1.index(i % 2), count=1)
            acc, s2 = warpgroup_mma_wait(0, deps=[acc, s2])
            mbarrier.arrive(v_tile_ring_empty.index((i + 2) % 3), count=1)
            mbarrier.arrive(k_tile_ring_empty.index(i % 2), count=1)
        # epilogue, body 1
        # s_11.0 on ALU: stage 1, slot 423
        s3 = s2 * scale_log2
        s4 = gl.expand_dims(gl.arange(0, 64, layout=COLUMNS_OF_MMA_64), 0) < gl.expand_dims(s, 1)
        s5 = gl.where(s4, s3, gl.full([64, 64], float("-inf"), gl.float32, MMA_64))
        # m_new_1.0 on ALU: stage 1, slot 608
        m_new3 = gl.max(s5, 1)
        m_new_prev = m_new
        m_new = gl.maximum(m_new, m_new3)
        alpha = m_new_prev - m_new
        alpha2 = gl.exp2(alpha)
        # p_3.0 on ALU: stage 1, slot 767
        p = s5 - gl.expand_dims(m_new, 1)
        # acc_3.0 on ALU: stage 1, slot 824
        acc3 = acc * gl.expand_dims(gl.convert_layout(alpha2, ROWS_OF_MMA_256), 1)
        # p.0 on SFU: stage 1, slot 824
        p2 = gl.exp2(p)
        # acc_4.0 on ALU: stage 1, slot 1120
        acc4 = p2.to(gl.float16)
        # acc.0 on TC: stage 1, slot 1177
        mbarrier.wait(v_tile_ring_full.index((n + 2) % 3), ((n - 1) // 3) & 1)
        mbarrier.wait(turn_0.index((n + 1) % 2), ((n - 1) // 2) & 1)
        acc = warpgroup_mma(gl.convert_layout(acc4, LEFT_OF_MMA_256), v_tile_ring.index((n + 2) % 3), acc3, is_async=True)
        # l_i_2.0 on ALU: stage 1, slot 1193
        l_i3 = l_i * alpha2
        l_i4 = gl.sum(p2, 1)
        l_i = l_i3 + l_i4
        acc = warpgroup_mma_wait(0, deps=[acc])
        mbarrier.arrive(v_tile_ring_empty.index((n + 2) % 3), count=1)
    # after the loop
    at = gl.expand_dims(gl.arange(0, 64, layout=ROWS_OF_MMA_256), 1) * q_desc
    at2 = (((row * H) + head) * 256) + at
    at3 = at2 + gl.expand_dims(gl.arange(0, 256, layout=COLUMNS_OF_MMA_256), 0)
    total = l_i == gl.full([64], 0.0, gl.float32, ROWS_OF_MMA_64)
    total2 = gl.where(total, gl.full([64], 1.0, gl.float32, ROWS_OF_MMA_64), l_i)
    div = acc / gl.expand_dims(gl.convert_layout(total2, ROWS_OF_MMA_256), 1)
    cast = div.to(gl.float16)
    inside = gl.arange(0, 64, layout=ROWS_OF_MMA_64) < left
    gl.store(o + at3, cast, mask=gl.expand_dims(gl.convert_layout(inside, ROWS_OF_MMA_256), 1))
    log2 = gl.log2(l_i)
    add = m_new + log2
    mul = add * gl.full([64], 0.693147182, gl.float32, ROWS_OF_MMA_64)
    gl.store(((lse + (head * TQ)) + row) + gl.arange(0, 64, layout=ROWS_OF_MMA_64), mul, mask=inside)


@gluon.jit
def consumer1(
    H, TQ, k_tile_ring, k_tile_ring_empty, k_tile_ring_full, lse, o, q_tile_1_smem, q_tile_1_smem_full, scale,
    starts_k, starts_q, turn_0, turn_1, v_tile_ring, v_tile_ring_empty, v_tile_ring_full,
):
    """Consumer: warp group 2 of the schedule."""
    mbarrier.wait(q_tile_1_smem_full.index(0), 0)
    first2 = gl.program_id(0)
    first = first2 * 128
    head = gl.program_id(1)
    sequence = gl.program_id(2)
    q_desc = H * 256
    row3 = starts_q + sequence
    row2 = gl.load(row3)
    row = row2 + first
    left3 = row3 + 1
    left2 = gl.load(left3)
    left = left2 - row
    key2 = starts_k + sequence
    key = gl.load(key2)
    keys3 = key2 + 1
    keys2 = gl.load(keys3)
    keys = keys2 - key
    scale_log2 = scale * 1.44269502
    end4 = left > 0
    end2 = gl.where(end4, keys, 0)
    end3 = first + 128
    end = gl.minimum(end2, end3)
    seen3 = first + gl.arange(64, 128, layout=ROWS_OF_MMA_64)
    seen2 = seen3 + gl.full([64], 1, gl.int32, ROWS_OF_MMA_64)
    seen = gl.minimum(seen2, keys)
    m_new2 = gl.full([64], float("-inf"), gl.float32, ROWS_OF_MMA_64)
    l_i2 = gl.full([64], 0.0, gl.float32, ROWS_OF_MMA_64)
    acc2 = gl.full([64, 256], 0.0, gl.float32, MMA_256)
    n = gl.cdiv(end, 64)
    if n >= 1:
        # prologue, body 0
        # s_6.1 on ALU: stage 0, slot 1962
        s = seen - 0
        # s.1 on TC: stage 1, slot 665
        mbarrier.wait(k_tile_ring_full.index(0), 0)
        s2 = warpgroup_mma(q_tile_1_smem, k_tile_ring.index(0).permute([1, 0]), gl.zeros([64, 64], gl.float32, MMA_64), use_acc=False, is_async=True)
        mbarrier.arrive(turn_0.index(0), count=1)
        s2 = warpgroup_mma_wait(0, deps=[s2])
        mbarrier.arrive(k_tile_ring_empty.index(0), count=1)
        # steady state
        for i in range(1, n):
            # s_11.1 on ALU: stage 1, slot 1447
            s3 = s2 * scale_log2
            s4 = gl.expand_dims(gl.arange(0, 64, layout=COLUMNS_OF_MMA_64), 0) < gl.expand_dims(s, 1)
            s5 = gl.where(s4, s3, gl.full([64, 64], float("-inf"), gl.float32, MMA_64))
            # m_new_1.1 on ALU: stage 1, slot 1632
            m_new3 = gl.max(s5, 1)
            m_new2_prev = m_new2
            m_new2 = gl.maximum(m_new2, m_new3)
            alpha = m_new2_prev - m_new2
            alpha2 = gl.exp2(alpha)
            # p_3.1 on ALU: stage 1, slot 1791
            p = s5 - gl.expand_dims(m_new2, 1)
            # acc_3.1 on ALU: stage 1, slot 1834
            acc3 = acc2 * gl.expand_dims(gl.convert_layout(alpha2, ROWS_OF_MMA_256), 1)
            # p.1 on SFU: stage 1, slot 1848
            p2 = gl.exp2(p)
            # s_6.1 on ALU: stage 0, slot 1962
            s = seen - (i * 64)
            # acc_4.1 on ALU: stage 2, slot 96
            acc4 = p2.to(gl.float16)
            # acc.1 on TC: stage 2, slot 153
            mbarrier.wait(v_tile_ring_full.index((i + 2) % 3), ((i - 1) // 3) & 1)
            mbarrier.wait(turn_1.index(i % 2), (i // 2) & 1)
            acc2 = warpgroup_mma(gl.convert_layout(acc4, LEFT_OF_MMA_256), v_tile_ring.index((i + 2) % 3), acc3, is_async=True)
            # l_i_2.1 on ALU: stage 2, slot 153
            l_i3 = l_i2 * alpha2
            l_i4 = gl.sum(p2, 1)
            l_i2 = l_i3 + l_i4
            # s.1 on TC: stage 1, slot 665
            mbarrier.wait(k_tile_ring_full.index(i % 2), (i // 2) & 1)
            s2 = warpgroup_mma(q_tile_1_smem, k_tile_ring.index(i % 2).permute([1, 0]), gl.zeros([64, 64], gl.float32, MMA_64), use_acc=False, is_async=True)
            mbarrier.arrive(turn_0.index(i % 2), count=1)
            acc2, s2 = warpgroup_mma_wait(0, deps=[acc2, s2])
            mbarrier.arrive(v_tile_ring_empty.index((i + 2) % 3), count=1)
            mbarrier.arrive(k_tile_ring_empty.index(i % 2), count=1)
        # epilogue, body 1
        # s_11.1 on ALU: stage 1, slot 1447
        s3 = s2 * scale_log2
        s4 = gl.expand_dims(gl.arange(0, 64, layout=COLUMNS_OF_MMA_64), 0) < gl.expand_dims(s, 1)
        s5 = gl.where(s4, s3, gl.full([64, 64], float("-inf"), gl.float32, MMA_64))
        # m_new_1.1 on ALU: stage 1, slot 1632
        m_new3 = gl.max(s5, 1)
        m_new2_prev = m_new2
        m_new2 = gl.maximum(m_new2, m_new3)
        alpha = m_new2_prev - m_new2
        alpha2 = gl.exp2(alpha)
        # p_3.1 on ALU: stage 1, slot 1791
        p = s5 - gl.expand_dims(m_new2, 1)
        # acc_3.1 on ALU: stage 1, slot 1834
        acc3 = acc2 * gl.expand_dims(gl.convert_layout(alpha2, ROWS_OF_MMA_256), 1)
        # p.1 on SFU: stage 1, slot 1848
        p2 = gl.exp2(p)
        # acc_4.1 on ALU: stage 2, slot 96
        acc4 = p2.to(gl.float16)
        # acc.1 on TC: stage 2, slot 153
        mbarrier.wait(v_tile_ring_full.index((n + 2) % 3), ((n - 1) // 3) & 1)
        acc2 = warpgroup_mma(gl.convert_layout(acc4, LEFT_OF_MMA_256), v_tile_ring.index((n + 2) % 3), acc3, is_async=True)
        # l_i_2.1 on ALU: stage 2, slot 153
        l_i3 = l_i2 * alpha2
        l_i4 = gl.sum(p2, 1)
        l_i2 = l_i3 + l_i4
        acc2 = warpgroup_mma_wait(0, deps=[acc2])
        mbarrier.arrive(v_tile_ring_empty.index((n + 2) % 3), count=1)
    # after the loop
    at = gl.expand_dims(gl.arange(64, 128, layout=ROWS_OF_MMA_256), 1) * q_desc
    at2 = (((row * H) + head) * 256) + at
    at3 = at2 + gl.expand_dims(gl.arange(0, 256, layout=COLUMNS_OF_MMA_256), 0)
    total = l_i2 == gl.full([64], 0.0, gl.float32, ROWS_OF_MMA_64)
    total2 = gl.where(total, gl.full([64], 1.0, gl.float32, ROWS_OF_MMA_64), l_i2)
    div = acc2 / gl.expand_dims(gl.convert_layout(total2, ROWS_OF_MMA_256), 1)
    cast = div.to(gl.float16)
    inside = gl.arange(64, 128, layout=ROWS_OF_MMA_64) < left
    gl.store(o + at3, cast, mask=gl.expand_dims(gl.convert_layout(inside, ROWS_OF_MMA_256), 1))
    log2 = gl.log2(l_i2)
    add = m_new2 + log2
    mul = add * gl.full([64], 0.693147182, gl.float32, ROWS_OF_MMA_64)
    gl.store(((lse + (head * TQ)) + row) + gl.arange(64, 128, layout=ROWS_OF_MMA_64), mul, mask=inside)


@gluon.jit
def loader(
    G, k_desc, k_tile_ring, k_tile_ring_empty, k_tile_ring_full, q_desc, q_tile_0_smem, q_tile_0_smem_full,
    q_tile_1_smem, q_tile_1_smem_full, starts_k, starts_q, v_desc, v_tile_ring, v_tile_ring_empty,
    v_tile_ring_full,
):
    """Producer: warp group 0 of the schedule."""
    first2 = gl.program_id(0)
    first = first2 * 128
    head = gl.program_id(1)
    sequence = gl.program_id(2)
    row3 = starts_q + sequence
    row2 = gl.load(row3)
    row = row2 + first
    left3 = row3 + 1
    left2 = gl.load(left3)
    left = left2 - row
    key2 = starts_k + sequence
    key = gl.load(key2)
    keys3 = key2 + 1
    keys2 = gl.load(keys3)
    keys = keys2 - key
    column2 = head // G
    column = column2 * 256
    q_tile = head * 256
    row_2_plus64 = row + 64
    end4 = left > 0
    end2 = gl.where(end4, keys, 0)
    end3 = first + 128
    end = gl.minimum(end2, end3)
    mbarrier.expect(q_tile_0_smem_full.index(0), 32768)
    tma_load(q_desc, [row, q_tile], q_tile_0_smem_full.index(0), q_tile_0_smem)
    mbarrier.expect(q_tile_1_smem_full.index(0), 32768)
    tma_load(q_desc, [row_2_plus64, q_tile], q_tile_1_smem_full.index(0), q_tile_1_smem)
    n = gl.cdiv(end, 64)
    for i in range(0, n):
        # k_tile: stage 0, slot 0
        mbarrier.wait(k_tile_ring_empty.index(i % 2), ((i // 2) & 1) ^ 1)
        mbarrier.expect(k_tile_ring_full.index(i % 2), 32768)
        tma_load(k_desc, [key + (i * 64), column], k_tile_ring_full.index(i % 2), k_tile_ring.index(i % 2))
        # v_tile: stage 0, slot 948
        mbarrier.wait(v_tile_ring_empty.index(i % 3), ((i // 3) & 1) ^ 1)
        mbarrier.expect(v_tile_ring_full.index(i % 3), 32768)
        tma_load(v_desc, [key + (i * 64), column], v_tile_ring_full.index(i % 3), v_tile_ring.index(i % 3))


@gluon.jit
def attention_varlen_kernel(q_desc, k_desc, v_desc, starts_q, starts_k, o, lse, TQ, H, G, scale):
    """Shared memory, barriers, and one warp group for each of consumer0, consumer1, loader."""
    barrier: gl.constexpr = mbarrier.MBarrierLayout()
    k_tile_ring = gl.allocate_shared_memory(gl.float16, [2, 64, 256], k_desc.layout)
    k_tile_ring_full = gl.allocate_shared_memory(gl.int64, [2, 1], barrier)
    k_tile_ring_empty = gl.allocate_shared_memory(gl.int64, [2, 1], barrier)
    v_tile_ring = gl.allocate_shared_memory(gl.float16, [3, 64, 256], v_desc.layout)
    v_tile_ring_full = gl.allocate_shared_memory(gl.int64, [3, 1], barrier)
    v_tile_ring_empty = gl.allocate_shared_memory(gl.int64, [3, 1], barrier)
    q_tile_0_smem = gl.allocate_shared_memory(gl.float16, [64, 256], q_desc.layout)
    q_tile_0_smem_full = gl.allocate_shared_memory(gl.int64, [1, 1], barrier)
    q_tile_1_smem = gl.allocate_shared_memory(gl.float16, [64, 256], q_desc.layout)
    q_tile_1_smem_full = gl.allocate_shared_memory(gl.int64, [1, 1], barrier)
    # turn_0: after s.1, acc.0 may be issued
    turn_0 = gl.allocate_shared_memory(gl.int64, [2, 1], barrier)
    # turn_1: after s.0, acc.1 may be issued
    turn_1 = gl.allocate_shared_memory(gl.int64, [2, 1], barrier)
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
    for slot in gl.static_range(2):
        mbarrier.init(turn_0.index(slot), count=1)
    for slot in gl.static_range(2):
        mbarrier.init(turn_1.index(slot), count=1)
    fence_async_shared()  # the barriers are set up before TMA or another role sees them
    gl.warp_specialize(
        [
            (consumer0, (
                H, TQ, k_tile_ring, k_tile_ring_empty, k_tile_ring_full, lse, o, q_tile_0_smem, q_tile_0_smem_full, scale,
                starts_k, starts_q, turn_0, turn_1, v_tile_ring, v_tile_ring_empty, v_tile_ring_full,
            )),
            (consumer1, (
                H, TQ, k_tile_ring, k_tile_ring_empty, k_tile_ring_full, lse, o, q_tile_1_smem, q_tile_1_smem_full, scale,
                starts_k, starts_q, turn_0, turn_1, v_tile_ring, v_tile_ring_empty, v_tile_ring_full,
            )),
            (loader, (
                G, k_desc, k_tile_ring, k_tile_ring_empty, k_tile_ring_full, q_desc, q_tile_0_smem, q_tile_0_smem_full,
                q_tile_1_smem, q_tile_1_smem_full, starts_k, starts_q, v_desc, v_tile_ring, v_tile_ring_empty,
                v_tile_ring_full,
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


def attention_varlen(q, k, v, starts_q, starts_k, o, lse, TQ, TK, B, H, G, LONGEST, scale, D=256, BLOCK_M=128, BLOCK_N=64, CAUSAL=True):
    """Launch the kernel on the current stream; arguments as of the source kernel `attention_varlen`.

    Raises TypeError or ValueError when an argument is not what the kernel was compiled for.
    """
    if D != 256:
        raise ValueError(f"compiled for D=256, got {D!r}: compile it again")
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
        starts_q=(starts_q, torch.int32),
        starts_k=(starts_k, torch.int32),
        o=(o, torch.float16),
        lse=(lse, torch.float32),
    )
    require_scalars(
        TQ=(TQ, "i32"),
        TK=(TK, "i32"),
        B=(B, "i32"),
        H=(H, "i32"),
        G=(G, "i32"),
        LONGEST=(LONGEST, "i32"),
        scale=(scale, "f32"),
    )
    grid = (-(-LONGEST // BLOCK_M), H, B)
    require_grid(grid)
    require_view("q", q, [TQ, H * 256], [H * 256, 1])
    require_view("k", k, [TK, (((H + G) - 1) // G) * 256], [(((H + G) - 1) // G) * 256, 1])
    require_view("v", v, [TK, (((H + G) - 1) // G) * 256], [(((H + G) - 1) // G) * 256, 1])
    require_pointer("starts_q", starts_q, narrow=False)
    require_pointer("starts_k", starts_k, narrow=False)
    require_pointer("o", o)
    require_pointer("lse", lse, narrow=False)
    if 0 in grid:
        return  # there is nothing to do
    q_desc = TensorDescriptor(q, [max(TQ, 1), max(H * 256, 1)], [H * 256, 1], [64, 256], gl.NVMMASharedLayout.get_default_for([64, 256], gl.float16))
    k_desc = TensorDescriptor(k, [max(TK, 1), max((((H + G) - 1) // G) * 256, 1)], [(((H + G) - 1) // G) * 256, 1], [64, 256], gl.NVMMASharedLayout.get_default_for([64, 256], gl.float16))
    v_desc = TensorDescriptor(v, [max(TK, 1), max((((H + G) - 1) // G) * 256, 1)], [(((H + G) - 1) // G) * 256, 1], [64, 256], gl.NVMMASharedLayout.get_default_for([64, 256], gl.float16))
    attention_varlen_kernel[grid](q_desc, k_desc, v_desc, starts_q, starts_k, o, lse, TQ, H, G, scale, num_warps=4)

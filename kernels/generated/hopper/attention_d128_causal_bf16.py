r"""attn_fwd for Hopper, written by Twill from attention.py. Do not edit: change the
kernel and compile it again.

Compiled for D=128, BLOCK_M=128, BLOCK_N=128, CAUSAL=True.
Schedule: II = 2048 cycles, optimal (ResMII of unit TC (ops s.0, s.1, acc.0, acc.1)); one iteration takes 5845.

Roles:
  consumer0: 4 warps, 240 registers a thread, 2 stages
  consumer1: 4 warps, 240 registers a thread, 2 stages
  loader: 1 warps, 24 registers a thread

Rings:
  k_tile_ring: 2 x [128, 128] bf16
  v_tile_ring: 3 x [128, 128] bf16

Steady state, one II:
           0                     512                   1024                  1536
       TC |<S #1 ][s.1 #1 -------------][acc.0 #0 -----------][acc.1 #0 -----------][s.0 #2 ------>|
      SFU |<p.0 #0].....[p.1 #0 -------------].......................................[p.0 #1 ----->|
      ALU |0mmmm.....0p0LL..0DD0CC............0cc0ll0dd.[s_11.0 #1 -]..1MMMM.....1PP[s_11.1 #1 -].m|
      TMA |[k_tile #2 -----------------------------][v_tile #1 ----------------------------].......|
  group 0 |K........................................V..............................................|
  group 1 |<p.0 #0]....0LL..0DD0CC......E...............[s_11.0 #1 -]..1MMMM.....1PPS[p.0 #1 ----->|
  group 2 |0mmmm..s..0p.[p.1 #0 -------------]0cc0ll0dd.......e.....................[s_11.1 #1 -].m|
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

MMA_128: gl.constexpr = gl.constexpr(gl.NVMMADistributedLayout(version=[3, 0], warps_per_cta=[4, 1], instr_shape=[16, 128, 16]))
ROWS_OF_MMA_128: gl.constexpr = gl.constexpr(gl.SliceLayout(1, MMA_128.value))
COLUMNS_OF_MMA_128: gl.constexpr = gl.constexpr(gl.SliceLayout(0, MMA_128.value))
LEFT_OF_MMA_128: gl.constexpr = gl.constexpr(gl.DotOperandLayout(0, MMA_128.value, 2))
O_DESC_0_STAGE_LAYOUT: gl.constexpr = gl.constexpr(gl.NVMMASharedLayout.get_default_for([64, 128], gl.bfloat16))
O_DESC_1_STAGE_LAYOUT: gl.constexpr = gl.constexpr(gl.NVMMASharedLayout.get_default_for([64, 128], gl.bfloat16))


@gluon.jit
def consumer0(
    M, N, k_tile_ring, k_tile_ring_empty, k_tile_ring_full, o_desc, o_desc_0_stage, q_tile_0_smem,
    q_tile_0_smem_full, scale, turn_0, turn_1, turn_2, turn_3, v_tile_ring, v_tile_ring_empty, v_tile_ring_full,
):
    """Consumer: warp group 1 of the schedule."""
    mbarrier.wait(q_tile_0_smem_full.index(0), 0)
    pid_m = gl.program_id(0)
    head = gl.program_id(1)
    row3 = head * M
    row2 = pid_m * 128
    row = row3 + row2
    scale_log2 = scale * 1.44269502
    offs_m = row2 + gl.arange(0, 64, layout=ROWS_OF_MMA_128)
    end3 = pid_m + 1
    end2 = end3 * 128
    end = gl.minimum(N, end2)
    m_new = gl.full([64], float("-inf"), gl.float32, ROWS_OF_MMA_128)
    l_i = gl.full([64], 0.0, gl.float32, ROWS_OF_MMA_128)
    acc = gl.full([64, 128], 0.0, gl.float32, MMA_128)
    n = gl.cdiv(end, 128)
    if n >= 1:
        # prologue, body 0
        # s.0 on TC: stage 0, slot 1689
        mbarrier.wait(k_tile_ring_full.index(0), 0)
        s = warpgroup_mma(q_tile_0_smem, k_tile_ring.index(0).permute([1, 0]), gl.zeros([64, 128], gl.float32, MMA_128), use_acc=False, is_async=True)
        mbarrier.arrive(turn_3.index(0), count=1)
        # s_11.0 on ALU: stage 1, slot 1041
        s = warpgroup_mma_wait(0, deps=[s])
        mbarrier.arrive(k_tile_ring_empty.index(0), count=1)
        s2 = s * scale_log2
        s3 = gl.expand_dims(offs_m, 1) >= (0 + gl.expand_dims(gl.arange(0, 128, layout=COLUMNS_OF_MMA_128), 0))
        s4 = gl.where(s3, s2, gl.full([64, 128], float("-inf"), gl.float32, MMA_128))
        # steady state
        for i in range(1, n):
            # m_new_1.0 on ALU: stage 1, slot 1386
            m_new3 = gl.max(s4, 1)
            m_new_prev = m_new
            m_new = gl.maximum(m_new, m_new3)
            alpha = m_new_prev - m_new
            alpha2 = gl.exp2(alpha)
            # p_3.0 on ALU: stage 1, slot 1625
            p = s4 - gl.expand_dims(m_new, 1)
            # s.0 on TC: stage 0, slot 1689
            mbarrier.wait(k_tile_ring_full.index(i % 2), (i // 2) & 1)
            mbarrier.wait(turn_2.index((i + 1) % 3), ((i - 2) // 3) & 1, pred=i - 2 >= 0)
            s = warpgroup_mma(q_tile_0_smem, k_tile_ring.index(i % 2).permute([1, 0]), gl.zeros([64, 128], gl.float32, MMA_128), use_acc=False, is_async=True)
            mbarrier.arrive(turn_3.index(i % 3), count=1)
            # p.0 on SFU: stage 1, slot 1714
            p2 = gl.exp2(p)
            # l_i_2.0 on ALU: stage 2, slot 289
            l_i3 = l_i * alpha2
            l_i4 = gl.sum(p2, 1)
            l_i = l_i3 + l_i4
            # acc_4.0 on ALU: stage 2, slot 402
            acc3 = p2.to(gl.bfloat16)
            # acc_3.0 on ALU: stage 2, slot 466
            acc4 = acc * gl.expand_dims(alpha2, 1)
            # acc.0 on TC: stage 2, slot 665
            mbarrier.wait(v_tile_ring_full.index((i + 2) % 3), ((i - 1) // 3) & 1)
            mbarrier.wait(turn_0.index(i % 3), (i // 3) & 1)
            acc = warpgroup_mma(gl.convert_layout(acc3, LEFT_OF_MMA_128), v_tile_ring.index((i + 2) % 3), acc4, is_async=True)
            mbarrier.arrive(turn_1.index((i + 2) % 3), count=1)
            # s_11.0 on ALU: stage 1, slot 1041
            s = warpgroup_mma_wait(1, deps=[s])
            mbarrier.arrive(k_tile_ring_empty.index(i % 2), count=1)
            s2 = s * scale_log2
            s3 = gl.expand_dims(offs_m, 1) >= ((i * 128) + gl.expand_dims(gl.arange(0, 128, layout=COLUMNS_OF_MMA_128), 0))
            s4 = gl.where(s3, s2, gl.full([64, 128], float("-inf"), gl.float32, MMA_128))
            acc = warpgroup_mma_wait(0, deps=[acc])
            mbarrier.arrive(v_tile_ring_empty.index((i + 2) % 3), count=1)
        # epilogue, body 1
        # m_new_1.0 on ALU: stage 1, slot 1386
        m_new3 = gl.max(s4, 1)
        m_new_prev = m_new
        m_new = gl.maximum(m_new, m_new3)
        alpha = m_new_prev - m_new
        alpha2 = gl.exp2(alpha)
        # p_3.0 on ALU: stage 1, slot 1625
        p = s4 - gl.expand_dims(m_new, 1)
        # p.0 on SFU: stage 1, slot 1714
        p2 = gl.exp2(p)
        # l_i_2.0 on ALU: stage 2, slot 289
        l_i3 = l_i * alpha2
        l_i4 = gl.sum(p2, 1)
        l_i = l_i3 + l_i4
        # acc_4.0 on ALU: stage 2, slot 402
        acc3 = p2.to(gl.bfloat16)
        # acc_3.0 on ALU: stage 2, slot 466
        acc4 = acc * gl.expand_dims(alpha2, 1)
        # acc.0 on TC: stage 2, slot 665
        mbarrier.wait(v_tile_ring_full.index((n + 2) % 3), ((n - 1) // 3) & 1)
        acc = warpgroup_mma(gl.convert_layout(acc3, LEFT_OF_MMA_128), v_tile_ring.index((n + 2) % 3), acc4, is_async=True)
        mbarrier.arrive(turn_1.index((n + 2) % 3), count=1)
        acc = warpgroup_mma_wait(0, deps=[acc])
        mbarrier.arrive(v_tile_ring_empty.index((n + 2) % 3), count=1)
    # after the loop
    div = acc / gl.expand_dims(l_i, 1)
    cast = div.to(gl.bfloat16)
    tma.store_wait(0)
    o_desc_0_stage.store(cast)
    fence_async_shared()
    tma_store(o_desc, [row, 0], o_desc_0_stage)
    tma.store_wait(0)


@gluon.jit
def consumer1(
    M, N, k_tile_ring, k_tile_ring_empty, k_tile_ring_full, o_desc, o_desc_1_stage, q_tile_1_smem,
    q_tile_1_smem_full, scale, turn_0, turn_1, turn_2, turn_3, v_tile_ring, v_tile_ring_empty, v_tile_ring_full,
):
    """Consumer: warp group 2 of the schedule."""
    mbarrier.wait(q_tile_1_smem_full.index(0), 0)
    pid_m = gl.program_id(0)
    head = gl.program_id(1)
    row3 = head * M
    row = pid_m * 128
    row2 = row3 + row
    row_plus64 = row2 + 64
    scale_log2 = scale * 1.44269502
    offs_m = row + gl.arange(64, 128, layout=ROWS_OF_MMA_128)
    end3 = pid_m + 1
    end2 = end3 * 128
    end = gl.minimum(N, end2)
    m_new2 = gl.full([64], float("-inf"), gl.float32, ROWS_OF_MMA_128)
    l_i2 = gl.full([64], 0.0, gl.float32, ROWS_OF_MMA_128)
    acc2 = gl.full([64, 128], 0.0, gl.float32, MMA_128)
    n = gl.cdiv(end, 128)
    if n >= 1:
        # prologue, body 0
        # s.1 on TC: stage 1, slot 153
        mbarrier.wait(k_tile_ring_full.index(0), 0)
        mbarrier.wait(turn_3.index(0), 0)
        s = warpgroup_mma(q_tile_1_smem, k_tile_ring.index(0).permute([1, 0]), gl.zeros([64, 128], gl.float32, MMA_128), use_acc=False, is_async=True)
        mbarrier.arrive(turn_0.index(0), count=1)
        # s_11.1 on ALU: stage 1, slot 1689
        s = warpgroup_mma_wait(0, deps=[s])
        mbarrier.arrive(k_tile_ring_empty.index(0), count=1)
        s2 = s * scale_log2
        s3 = gl.expand_dims(offs_m, 1) >= (0 + gl.expand_dims(gl.arange(0, 128, layout=COLUMNS_OF_MMA_128), 0))
        s4 = gl.where(s3, s2, gl.full([64, 128], float("-inf"), gl.float32, MMA_128))
        # m_new_1.1 on ALU: stage 1, slot 2034
        m_new3 = gl.max(s4, 1)
        m_new2_prev = m_new2
        m_new2 = gl.maximum(m_new2, m_new3)
        alpha = m_new2_prev - m_new2
        alpha2 = gl.exp2(alpha)
        # steady state
        for i in range(1, n):
            # s.1 on TC: stage 1, slot 153
            mbarrier.wait(k_tile_ring_full.index(i % 2), (i // 2) & 1)
            mbarrier.wait(turn_3.index(i % 3), (i // 3) & 1)
            s = warpgroup_mma(q_tile_1_smem, k_tile_ring.index(i % 2).permute([1, 0]), gl.zeros([64, 128], gl.float32, MMA_128), use_acc=False, is_async=True)
            mbarrier.arrive(turn_0.index(i % 3), count=1)
            # p_3.1 on ALU: stage 2, slot 225
            p = s4 - gl.expand_dims(m_new2, 1)
            # p.1 on SFU: stage 2, slot 314
            p2 = gl.exp2(p)
            # acc_3.1 on ALU: stage 2, slot 826
            acc3 = acc2 * gl.expand_dims(alpha2, 1)
            # l_i_2.1 on ALU: stage 2, slot 890
            l_i3 = l_i2 * alpha2
            l_i4 = gl.sum(p2, 1)
            l_i2 = l_i3 + l_i4
            # acc_4.1 on ALU: stage 2, slot 958
            acc4 = p2.to(gl.bfloat16)
            # acc.1 on TC: stage 2, slot 1177
            mbarrier.wait(v_tile_ring_full.index((i + 2) % 3), ((i - 1) // 3) & 1)
            mbarrier.wait(turn_1.index((i + 2) % 3), ((i - 1) // 3) & 1)
            acc2 = warpgroup_mma(gl.convert_layout(acc4, LEFT_OF_MMA_128), v_tile_ring.index((i + 2) % 3), acc3, is_async=True)
            mbarrier.arrive(turn_2.index((i + 2) % 3), count=1)
            # s_11.1 on ALU: stage 1, slot 1689
            s = warpgroup_mma_wait(1, deps=[s])
            mbarrier.arrive(k_tile_ring_empty.index(i % 2), count=1)
            s2 = s * scale_log2
            s3 = gl.expand_dims(offs_m, 1) >= ((i * 128) + gl.expand_dims(gl.arange(0, 128, layout=COLUMNS_OF_MMA_128), 0))
            s4 = gl.where(s3, s2, gl.full([64, 128], float("-inf"), gl.float32, MMA_128))
            # m_new_1.1 on ALU: stage 1, slot 2034
            m_new3 = gl.max(s4, 1)
            m_new2_prev = m_new2
            m_new2 = gl.maximum(m_new2, m_new3)
            alpha = m_new2_prev - m_new2
            alpha2 = gl.exp2(alpha)
            acc2 = warpgroup_mma_wait(0, deps=[acc2])
            mbarrier.arrive(v_tile_ring_empty.index((i + 2) % 3), count=1)
        # epilogue, body 1
        # p_3.1 on ALU: stage 2, slot 225
        p = s4 - gl.expand_dims(m_new2, 1)
        # p.1 on SFU: stage 2, slot 314
        p2 = gl.exp2(p)
        # acc_3.1 on ALU: stage 2, slot 826
        acc3 = acc2 * gl.expand_dims(alpha2, 1)
        # l_i_2.1 on ALU: stage 2, slot 890
        l_i3 = l_i2 * alpha2
        l_i4 = gl.sum(p2, 1)
        l_i2 = l_i3 + l_i4
        # acc_4.1 on ALU: stage 2, slot 958
        acc4 = p2.to(gl.bfloat16)
        # acc.1 on TC: stage 2, slot 1177
        mbarrier.wait(v_tile_ring_full.index((n + 2) % 3), ((n - 1) // 3) & 1)
        mbarrier.wait(turn_1.index((n + 2) % 3), ((n - 1) // 3) & 1)
        acc2 = warpgroup_mma(gl.convert_layout(acc4, LEFT_OF_MMA_128), v_tile_ring.index((n + 2) % 3), acc3, is_async=True)
        mbarrier.arrive(turn_2.index((n + 2) % 3), count=1)
        acc2 = warpgroup_mma_wait(0, deps=[acc2])
        mbarrier.arrive(v_tile_ring_empty.index((n + 2) % 3), count=1)
    # after the loop
    div = acc2 / gl.expand_dims(l_i2, 1)
    cast = div.to(gl.bfloat16)
    tma.store_wait(0)
    o_desc_1_stage.store(cast)
    fence_async_shared()
    tma_store(o_desc, [row_plus64, 0], o_desc_1_stage)
    tma.store_wait(0)


@gluon.jit
def loader(
    M, N, k_desc, k_tile_ring, k_tile_ring_empty, k_tile_ring_full, q_desc, q_tile_0_smem, q_tile_0_smem_full,
    q_tile_1_smem, q_tile_1_smem_full, v_desc, v_tile_ring, v_tile_ring_empty, v_tile_ring_full,
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
    mbarrier.expect(q_tile_0_smem_full.index(0), 16384)
    tma_load(q_desc, [row, 0], q_tile_0_smem_full.index(0), q_tile_0_smem)
    mbarrier.expect(q_tile_1_smem_full.index(0), 16384)
    tma_load(q_desc, [row_plus64, 0], q_tile_1_smem_full.index(0), q_tile_1_smem)
    n = gl.cdiv(end, 128)
    for i in range(0, n + 1):
        # k_tile: stage 0, slot 0
        mbarrier.wait(k_tile_ring_empty.index(i % 2), ((i // 2) & 1) ^ 1, pred=i < n)
        mbarrier.expect(k_tile_ring_full.index(i % 2), 32768, pred=i < n)
        tma_load(k_desc, [k_tile + (i * 128), 0], k_tile_ring_full.index(i % 2), k_tile_ring.index(i % 2), pred=i < n)
        # v_tile: stage 1, slot 948
        mbarrier.wait(v_tile_ring_empty.index((i + 2) % 3), (((i - 1) // 3) & 1) ^ 1, pred=i - 1 >= 0)
        mbarrier.expect(v_tile_ring_full.index((i + 2) % 3), 32768, pred=i - 1 >= 0)
        tma_load(v_desc, [k_tile + ((i - 1) * 128), 0], v_tile_ring_full.index((i + 2) % 3), v_tile_ring.index((i + 2) % 3), pred=i - 1 >= 0)


@gluon.jit
def attn_fwd_kernel(o_desc, q_desc, k_desc, v_desc, M, N, scale):
    """Shared memory, barriers, and one warp group for each of consumer0, consumer1, loader."""
    barrier: gl.constexpr = mbarrier.MBarrierLayout()
    k_tile_ring = gl.allocate_shared_memory(gl.bfloat16, [2, 128, 128], k_desc.layout)
    k_tile_ring_full = gl.allocate_shared_memory(gl.int64, [2, 1], barrier)
    k_tile_ring_empty = gl.allocate_shared_memory(gl.int64, [2, 1], barrier)
    v_tile_ring = gl.allocate_shared_memory(gl.bfloat16, [3, 128, 128], v_desc.layout)
    v_tile_ring_full = gl.allocate_shared_memory(gl.int64, [3, 1], barrier)
    v_tile_ring_empty = gl.allocate_shared_memory(gl.int64, [3, 1], barrier)
    q_tile_0_smem = gl.allocate_shared_memory(gl.bfloat16, [64, 128], q_desc.layout)
    q_tile_0_smem_full = gl.allocate_shared_memory(gl.int64, [1, 1], barrier)
    q_tile_1_smem = gl.allocate_shared_memory(gl.bfloat16, [64, 128], q_desc.layout)
    q_tile_1_smem_full = gl.allocate_shared_memory(gl.int64, [1, 1], barrier)
    o_desc_0_stage = gl.allocate_shared_memory(gl.bfloat16, [64, 128], O_DESC_0_STAGE_LAYOUT)
    o_desc_1_stage = gl.allocate_shared_memory(gl.bfloat16, [64, 128], O_DESC_1_STAGE_LAYOUT)
    # turn_0: after s.1, acc.0 may be issued
    turn_0 = gl.allocate_shared_memory(gl.int64, [3, 1], barrier)
    # turn_1: after acc.0, acc.1 may be issued
    turn_1 = gl.allocate_shared_memory(gl.int64, [3, 1], barrier)
    # turn_2: after acc.1, s.0 may be issued
    turn_2 = gl.allocate_shared_memory(gl.int64, [3, 1], barrier)
    # turn_3: after s.0, s.1 may be issued
    turn_3 = gl.allocate_shared_memory(gl.int64, [3, 1], barrier)
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
    for slot in gl.static_range(3):
        mbarrier.init(turn_2.index(slot), count=1)
    for slot in gl.static_range(3):
        mbarrier.init(turn_3.index(slot), count=1)
    fence_async_shared()  # the barriers are set up before TMA or another role sees them
    gl.warp_specialize(
        [
            (consumer0, (
                M, N, k_tile_ring, k_tile_ring_empty, k_tile_ring_full, o_desc, o_desc_0_stage, q_tile_0_smem,
                q_tile_0_smem_full, scale, turn_0, turn_1, turn_2, turn_3, v_tile_ring, v_tile_ring_empty, v_tile_ring_full,
            )),
            (consumer1, (
                M, N, k_tile_ring, k_tile_ring_empty, k_tile_ring_full, o_desc, o_desc_1_stage, q_tile_1_smem,
                q_tile_1_smem_full, scale, turn_0, turn_1, turn_2, turn_3, v_tile_ring, v_tile_ring_empty, v_tile_ring_full,
            )),
            (loader, (
                M, N, k_desc, k_tile_ring, k_tile_ring_empty, k_tile_ring_full, q_desc, q_tile_0_smem, q_tile_0_smem_full,
                q_tile_1_smem, q_tile_1_smem_full, v_desc, v_tile_ring, v_tile_ring_empty, v_tile_ring_full,
            )),
        ],
        [4, 1],
        [240, 24],
    )


def attn_fwd(q, k, v, o, H, M, N, scale, D=128, BLOCK_M=128, BLOCK_N=128, CAUSAL=True):
    """Launch the kernel on the current stream; arguments as of the source kernel `attn_fwd`.

    Raises ValueError when an argument differs from what the kernel was compiled for.
    """
    if D != 128:
        raise ValueError(f"compiled for D=128, got {D!r}: compile it again")
    if BLOCK_M != 128:
        raise ValueError(f"compiled for BLOCK_M=128, got {BLOCK_M!r}: compile it again")
    if BLOCK_N != 128:
        raise ValueError(f"compiled for BLOCK_N=128, got {BLOCK_N!r}: compile it again")
    if CAUSAL != True:
        raise ValueError(f"compiled for CAUSAL=True, got {CAUSAL!r}: compile it again")
    if q.dtype != torch.bfloat16:
        raise ValueError(f"q must be torch.bfloat16, got {q.dtype}")
    if k.dtype != torch.bfloat16:
        raise ValueError(f"k must be torch.bfloat16, got {k.dtype}")
    if v.dtype != torch.bfloat16:
        raise ValueError(f"v must be torch.bfloat16, got {v.dtype}")
    if o.dtype != torch.bfloat16:
        raise ValueError(f"o must be torch.bfloat16, got {o.dtype}")
    if M % BLOCK_M:
        raise ValueError(f"M must be a multiple of BLOCK_M, got {M}")
    if N % BLOCK_N:
        raise ValueError(f"N must be a multiple of BLOCK_N, got {N}")
    grid = (M // BLOCK_M, H)
    o_desc = TensorDescriptor(o, [max(H * M, 1), 128], [128, 1], [64, 128], gl.NVMMASharedLayout.get_default_for([64, 128], gl.bfloat16))
    q_desc = TensorDescriptor(q, [max(H * M, 1), 128], [128, 1], [64, 128], gl.NVMMASharedLayout.get_default_for([64, 128], gl.bfloat16))
    k_desc = TensorDescriptor(k, [max(H * N, 1), 128], [128, 1], [128, 128], gl.NVMMASharedLayout.get_default_for([128, 128], gl.bfloat16))
    v_desc = TensorDescriptor(v, [max(H * N, 1), 128], [128, 1], [128, 128], gl.NVMMASharedLayout.get_default_for([128, 128], gl.bfloat16))
    attn_fwd_kernel[grid](o_desc, q_desc, k_desc, v_desc, M, N, scale, num_warps=4)

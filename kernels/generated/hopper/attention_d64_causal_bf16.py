r"""attn_fwd for Hopper, written by Twill from attention.py. Do not edit: change the
kernel and compile it again.

Compiled for D=64, BLOCK_M=128, BLOCK_N=128, CAUSAL=True.
Schedule: II = 1364 cycles, optimal (ResMII of unit ALU (ops s_11.0, s_11.1, m_new_1.0, m_new_1.1, p_3.0, p_3.1, l_i_2.0, l_i_2.1 and 4 more)); one iteration takes 4575.

Roles:
  consumer0: 4 warps, 240 registers a thread, 2 stages
  consumer1: 4 warps, 240 registers a thread, 2 stages
  loader: 1 warps, 24 registers a thread

Rings:
  k_tile_ring: 3 x [128, 64] bf16
  v_tile_ring: 5 x [128, 64] bf16

Steady state, one II:
           0                     341                   682                   1023
       TC |<S #2 ]....[acc.1 #0 -----]....[s.1 #2 --------]........[acc.0 #1 -----]......[s.0 #3 ->|
      SFU |...........[p.0 #1 ------------------------].........[p.1 #1 ------------------------]..|
      ALU |1P0ddd0llll[s_11.0 #2 --------]1c[M #2 --]1ppp1C1DDD[s_11.1 #2 ---------]1LLL[m #2 --]2P|
      TMA |[k_tile #3 -------------------][v_tile #3 ------------------]...........................|
  group 0 |3K.............................3V.......................................................|
  group 1 |1P.........[p.0 #1 ------------------------]..1C1DDD....E................1LLL.3S......2P|
          |           [s_11 0 #2 --------]  [M #2 --]                                              |
  group 2 |..0ddd0lllle...................1c.........1ppp......[s_11.1 #2 ---------]....[m #2 --]..|
          |                               2s                    [p 1 #1 ------------------------]  |
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
MMA_64: gl.constexpr = gl.constexpr(gl.NVMMADistributedLayout(version=[3, 0], warps_per_cta=[4, 1], instr_shape=[16, 64, 16]))
COLUMNS_OF_MMA_128: gl.constexpr = gl.constexpr(gl.SliceLayout(0, MMA_128.value))
ROWS_OF_MMA_64: gl.constexpr = gl.constexpr(gl.SliceLayout(1, MMA_64.value))
LEFT_OF_MMA_64: gl.constexpr = gl.constexpr(gl.DotOperandLayout(0, MMA_64.value, 2))
O_DESC_0_STAGE_LAYOUT: gl.constexpr = gl.constexpr(gl.NVMMASharedLayout.get_default_for([64, 64], gl.bfloat16))
O_DESC_1_STAGE_LAYOUT: gl.constexpr = gl.constexpr(gl.NVMMASharedLayout.get_default_for([64, 64], gl.bfloat16))


@gluon.jit
def consumer0(
    M, N, k_tile_ring, k_tile_ring_empty, k_tile_ring_full, o_desc, o_desc_0_stage, q_tile_0_smem,
    q_tile_0_smem_full, scale, turn_0, turn_1, v_tile_ring, v_tile_ring_empty, v_tile_ring_full,
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
    acc = gl.full([64, 64], 0.0, gl.float32, MMA_64)
    n = gl.cdiv(end, 128)
    if n >= 1:
        # prologue, body 0
        # s.0 on TC: stage 0, slot 1215
        mbarrier.wait(k_tile_ring_full.index(0), 0)
        s = warpgroup_mma(q_tile_0_smem, k_tile_ring.index(0).permute([1, 0]), gl.zeros([64, 128], gl.float32, MMA_128), use_acc=False, is_async=True)
        mbarrier.arrive(turn_1.index(0), count=1)
        # s_11.0 on ALU: stage 1, slot 167
        s = warpgroup_mma_wait(0, deps=[s])
        mbarrier.arrive(k_tile_ring_empty.index(0), count=1)
        s2 = s * scale_log2
        s3 = gl.expand_dims(offs_m, 1) >= (0 + gl.expand_dims(gl.arange(0, 128, layout=COLUMNS_OF_MMA_128), 0))
        s4 = gl.where(s3, s2, gl.full([64, 128], float("-inf"), gl.float32, MMA_128))
        # m_new_1.0 on ALU: stage 1, slot 519
        m_new3 = gl.max(s4, 1)
        m_new_prev = m_new
        m_new = gl.maximum(m_new, m_new3)
        alpha = m_new_prev - m_new
        alpha2 = gl.exp2(alpha)
        # steady state
        for i in range(1, n):
            # s.0 on TC: stage 0, slot 1215
            mbarrier.wait(k_tile_ring_full.index(i % 3), (i // 3) & 1)
            s = warpgroup_mma(q_tile_0_smem, k_tile_ring.index(i % 3).permute([1, 0]), gl.zeros([64, 128], gl.float32, MMA_128), use_acc=False, is_async=True)
            mbarrier.arrive(turn_1.index(i % 3), count=1)
            # p_3.0 on ALU: stage 1, slot 1335
            p = s4 - gl.expand_dims(m_new, 1)
            # p.0 on SFU: stage 2, slot 167
            p2 = gl.exp2(p)
            # s_11.0 on ALU: stage 1, slot 167
            s = warpgroup_mma_wait(0, deps=[s])
            mbarrier.arrive(k_tile_ring_empty.index(i % 3), count=1)
            s2 = s * scale_log2
            s3 = gl.expand_dims(offs_m, 1) >= ((i * 128) + gl.expand_dims(gl.arange(0, 128, layout=COLUMNS_OF_MMA_128), 0))
            s4 = gl.where(s3, s2, gl.full([64, 128], float("-inf"), gl.float32, MMA_128))
            # m_new_1.0 on ALU: stage 1, slot 519
            m_new3 = gl.max(s4, 1)
            m_new_prev = m_new
            m_new = gl.maximum(m_new, m_new3)
            alpha = m_new_prev - m_new
            alpha2_prev = alpha2
            alpha2 = gl.exp2(alpha)
            # acc_3.0 on ALU: stage 2, slot 717
            acc3 = acc * gl.expand_dims(gl.convert_layout(alpha2_prev, ROWS_OF_MMA_64), 1)
            # acc_4.0 on ALU: stage 2, slot 749
            acc4 = p2.to(gl.bfloat16)
            # acc.0 on TC: stage 2, slot 865
            mbarrier.wait(v_tile_ring_full.index((i + 4) % 5), ((i - 1) // 5) & 1)
            mbarrier.wait(turn_0.index(i % 3), (i // 3) & 1)
            acc = warpgroup_mma(gl.convert_layout(acc4, LEFT_OF_MMA_64), v_tile_ring.index((i + 4) % 5), acc3, is_async=True)
            # l_i_2.0 on ALU: stage 2, slot 1133
            l_i3 = l_i * alpha2_prev
            l_i4 = gl.sum(p2, 1)
            l_i = l_i3 + l_i4
            acc = warpgroup_mma_wait(0, deps=[acc])
            mbarrier.arrive(v_tile_ring_empty.index((i + 4) % 5), count=1)
        # epilogue, body 1
        # p_3.0 on ALU: stage 1, slot 1335
        p = s4 - gl.expand_dims(m_new, 1)
        # p.0 on SFU: stage 2, slot 167
        p2 = gl.exp2(p)
        # acc_3.0 on ALU: stage 2, slot 717
        acc3 = acc * gl.expand_dims(gl.convert_layout(alpha2, ROWS_OF_MMA_64), 1)
        # acc_4.0 on ALU: stage 2, slot 749
        acc4 = p2.to(gl.bfloat16)
        # acc.0 on TC: stage 2, slot 865
        mbarrier.wait(v_tile_ring_full.index((n + 4) % 5), ((n - 1) // 5) & 1)
        acc = warpgroup_mma(gl.convert_layout(acc4, LEFT_OF_MMA_64), v_tile_ring.index((n + 4) % 5), acc3, is_async=True)
        # l_i_2.0 on ALU: stage 2, slot 1133
        l_i3 = l_i * alpha2
        l_i4 = gl.sum(p2, 1)
        l_i = l_i3 + l_i4
        acc = warpgroup_mma_wait(0, deps=[acc])
        mbarrier.arrive(v_tile_ring_empty.index((n + 4) % 5), count=1)
    # after the loop
    div = acc / gl.expand_dims(gl.convert_layout(l_i, ROWS_OF_MMA_64), 1)
    cast = div.to(gl.bfloat16)
    tma.store_wait(0)
    o_desc_0_stage.store(cast)
    fence_async_shared()
    tma_store(o_desc, [row, 0], o_desc_0_stage)
    tma.store_wait(0)


@gluon.jit
def consumer1(
    M, N, k_tile_ring, k_tile_ring_empty, k_tile_ring_full, o_desc, o_desc_1_stage, q_tile_1_smem,
    q_tile_1_smem_full, scale, turn_0, turn_1, v_tile_ring, v_tile_ring_empty, v_tile_ring_full,
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
    acc2 = gl.full([64, 64], 0.0, gl.float32, MMA_64)
    n = gl.cdiv(end, 128)
    if n >= 1:
        # prologue, body 0
        # s.1 on TC: stage 1, slot 487
        mbarrier.wait(k_tile_ring_full.index(0), 0)
        s = warpgroup_mma(q_tile_1_smem, k_tile_ring.index(0).permute([1, 0]), gl.zeros([64, 128], gl.float32, MMA_128), use_acc=False, is_async=True)
        mbarrier.arrive(turn_0.index(0), count=1)
        # s_11.1 on ALU: stage 1, slot 813
        s = warpgroup_mma_wait(0, deps=[s])
        mbarrier.arrive(k_tile_ring_empty.index(0), count=1)
        s2 = s * scale_log2
        s3 = gl.expand_dims(offs_m, 1) >= (0 + gl.expand_dims(gl.arange(0, 128, layout=COLUMNS_OF_MMA_128), 0))
        s4 = gl.where(s3, s2, gl.full([64, 128], float("-inf"), gl.float32, MMA_128))
        # m_new_1.1 on ALU: stage 1, slot 1201
        m_new3 = gl.max(s4, 1)
        m_new2_prev = m_new2
        m_new2 = gl.maximum(m_new2, m_new3)
        alpha = m_new2_prev - m_new2
        alpha2 = gl.exp2(alpha)
        # steady state
        for i in range(1, n):
            # acc_3.1 on ALU: stage 2, slot 487
            acc3 = acc2 * gl.expand_dims(gl.convert_layout(alpha2, ROWS_OF_MMA_64), 1)
            # s.1 on TC: stage 1, slot 487
            mbarrier.wait(k_tile_ring_full.index(i % 3), (i // 3) & 1)
            s = warpgroup_mma(q_tile_1_smem, k_tile_ring.index(i % 3).permute([1, 0]), gl.zeros([64, 128], gl.float32, MMA_128), use_acc=False, is_async=True)
            mbarrier.arrive(turn_0.index(i % 3), count=1)
            # p_3.1 on ALU: stage 2, slot 653
            p = s4 - gl.expand_dims(m_new2, 1)
            # s_11.1 on ALU: stage 1, slot 813
            s = warpgroup_mma_wait(0, deps=[s])
            mbarrier.arrive(k_tile_ring_empty.index(i % 3), count=1)
            s2 = s * scale_log2
            s3 = gl.expand_dims(offs_m, 1) >= ((i * 128) + gl.expand_dims(gl.arange(0, 128, layout=COLUMNS_OF_MMA_128), 0))
            s4 = gl.where(s3, s2, gl.full([64, 128], float("-inf"), gl.float32, MMA_128))
            # p.1 on SFU: stage 2, slot 814
            p2 = gl.exp2(p)
            # m_new_1.1 on ALU: stage 1, slot 1201
            m_new3 = gl.max(s4, 1)
            m_new2_prev = m_new2
            m_new2 = gl.maximum(m_new2, m_new3)
            alpha = m_new2_prev - m_new2
            alpha2_prev = alpha2
            alpha2 = gl.exp2(alpha)
            # acc_4.1 on ALU: stage 3, slot 35
            acc4 = p2.to(gl.bfloat16)
            # l_i_2.1 on ALU: stage 3, slot 99
            l_i3 = l_i2 * alpha2_prev
            l_i4 = gl.sum(p2, 1)
            l_i2 = l_i3 + l_i4
            # acc.1 on TC: stage 3, slot 167
            mbarrier.wait(v_tile_ring_full.index((i + 4) % 5), ((i - 1) // 5) & 1)
            mbarrier.wait(turn_1.index((i + 1) % 3), ((i + 1) // 3) & 1, pred=i + 1 < n)
            acc2 = warpgroup_mma(gl.convert_layout(acc4, LEFT_OF_MMA_64), v_tile_ring.index((i + 4) % 5), acc3, is_async=True)
            acc2 = warpgroup_mma_wait(0, deps=[acc2])
            mbarrier.arrive(v_tile_ring_empty.index((i + 4) % 5), count=1)
        # epilogue, body 1
        # acc_3.1 on ALU: stage 2, slot 487
        acc3 = acc2 * gl.expand_dims(gl.convert_layout(alpha2, ROWS_OF_MMA_64), 1)
        # p_3.1 on ALU: stage 2, slot 653
        p = s4 - gl.expand_dims(m_new2, 1)
        # p.1 on SFU: stage 2, slot 814
        p2 = gl.exp2(p)
        # acc_4.1 on ALU: stage 3, slot 35
        acc4 = p2.to(gl.bfloat16)
        # l_i_2.1 on ALU: stage 3, slot 99
        l_i3 = l_i2 * alpha2
        l_i4 = gl.sum(p2, 1)
        l_i2 = l_i3 + l_i4
        # acc.1 on TC: stage 3, slot 167
        mbarrier.wait(v_tile_ring_full.index((n + 4) % 5), ((n - 1) // 5) & 1)
        acc2 = warpgroup_mma(gl.convert_layout(acc4, LEFT_OF_MMA_64), v_tile_ring.index((n + 4) % 5), acc3, is_async=True)
        acc2 = warpgroup_mma_wait(0, deps=[acc2])
        mbarrier.arrive(v_tile_ring_empty.index((n + 4) % 5), count=1)
    # after the loop
    div = acc2 / gl.expand_dims(gl.convert_layout(l_i2, ROWS_OF_MMA_64), 1)
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
    mbarrier.expect(q_tile_0_smem_full.index(0), 8192)
    tma_load(q_desc, [row, 0], q_tile_0_smem_full.index(0), q_tile_0_smem)
    mbarrier.expect(q_tile_1_smem_full.index(0), 8192)
    tma_load(q_desc, [row_plus64, 0], q_tile_1_smem_full.index(0), q_tile_1_smem)
    n = gl.cdiv(end, 128)
    for i in range(0, n):
        # k_tile: stage 0, slot 0
        mbarrier.wait(k_tile_ring_empty.index(i % 3), ((i // 3) & 1) ^ 1)
        mbarrier.expect(k_tile_ring_full.index(i % 3), 16384)
        tma_load(k_desc, [k_tile + (i * 128), 0], k_tile_ring_full.index(i % 3), k_tile_ring.index(i % 3))
        # v_tile: stage 0, slot 474
        mbarrier.wait(v_tile_ring_empty.index(i % 5), ((i // 5) & 1) ^ 1)
        mbarrier.expect(v_tile_ring_full.index(i % 5), 16384)
        tma_load(v_desc, [k_tile + (i * 128), 0], v_tile_ring_full.index(i % 5), v_tile_ring.index(i % 5))


@gluon.jit
def attn_fwd_kernel(o_desc, q_desc, k_desc, v_desc, M, N, scale):
    """Shared memory, barriers, and one warp group for each of consumer0, consumer1, loader."""
    barrier: gl.constexpr = mbarrier.MBarrierLayout()
    k_tile_ring = gl.allocate_shared_memory(gl.bfloat16, [3, 128, 64], k_desc.layout)
    k_tile_ring_full = gl.allocate_shared_memory(gl.int64, [3, 1], barrier)
    k_tile_ring_empty = gl.allocate_shared_memory(gl.int64, [3, 1], barrier)
    v_tile_ring = gl.allocate_shared_memory(gl.bfloat16, [5, 128, 64], v_desc.layout)
    v_tile_ring_full = gl.allocate_shared_memory(gl.int64, [5, 1], barrier)
    v_tile_ring_empty = gl.allocate_shared_memory(gl.int64, [5, 1], barrier)
    q_tile_0_smem = gl.allocate_shared_memory(gl.bfloat16, [64, 64], q_desc.layout)
    q_tile_0_smem_full = gl.allocate_shared_memory(gl.int64, [1, 1], barrier)
    q_tile_1_smem = gl.allocate_shared_memory(gl.bfloat16, [64, 64], q_desc.layout)
    q_tile_1_smem_full = gl.allocate_shared_memory(gl.int64, [1, 1], barrier)
    o_desc_0_stage = gl.allocate_shared_memory(gl.bfloat16, [64, 64], O_DESC_0_STAGE_LAYOUT)
    o_desc_1_stage = gl.allocate_shared_memory(gl.bfloat16, [64, 64], O_DESC_1_STAGE_LAYOUT)
    # turn_0: after s.1, acc.0 may be issued
    turn_0 = gl.allocate_shared_memory(gl.int64, [3, 1], barrier)
    # turn_1: after s.0, acc.1 may be issued
    turn_1 = gl.allocate_shared_memory(gl.int64, [3, 1], barrier)
    for slot in gl.static_range(3):
        mbarrier.init(k_tile_ring_full.index(slot), count=1)
    for slot in gl.static_range(3):
        mbarrier.init(k_tile_ring_empty.index(slot), count=2)
    for slot in gl.static_range(5):
        mbarrier.init(v_tile_ring_full.index(slot), count=1)
    for slot in gl.static_range(5):
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
                M, N, k_tile_ring, k_tile_ring_empty, k_tile_ring_full, o_desc, o_desc_0_stage, q_tile_0_smem,
                q_tile_0_smem_full, scale, turn_0, turn_1, v_tile_ring, v_tile_ring_empty, v_tile_ring_full,
            )),
            (consumer1, (
                M, N, k_tile_ring, k_tile_ring_empty, k_tile_ring_full, o_desc, o_desc_1_stage, q_tile_1_smem,
                q_tile_1_smem_full, scale, turn_0, turn_1, v_tile_ring, v_tile_ring_empty, v_tile_ring_full,
            )),
            (loader, (
                M, N, k_desc, k_tile_ring, k_tile_ring_empty, k_tile_ring_full, q_desc, q_tile_0_smem, q_tile_0_smem_full,
                q_tile_1_smem, q_tile_1_smem_full, v_desc, v_tile_ring, v_tile_ring_empty, v_tile_ring_full,
            )),
        ],
        [4, 1],
        [240, 24],
    )


def attn_fwd(q, k, v, o, H, M, N, scale, D=64, BLOCK_M=128, BLOCK_N=128, CAUSAL=True):
    """Launch the kernel on the current stream; arguments as of the source kernel `attn_fwd`.

    Raises ValueError when an argument differs from what the kernel was compiled for.
    """
    if D != 64:
        raise ValueError(f"compiled for D=64, got {D!r}: compile it again")
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
    o_desc = TensorDescriptor(o, [max(H * M, 1), 64], [64, 1], [64, 64], gl.NVMMASharedLayout.get_default_for([64, 64], gl.bfloat16))
    q_desc = TensorDescriptor(q, [max(H * M, 1), 64], [64, 1], [64, 64], gl.NVMMASharedLayout.get_default_for([64, 64], gl.bfloat16))
    k_desc = TensorDescriptor(k, [max(H * N, 1), 64], [64, 1], [128, 64], gl.NVMMASharedLayout.get_default_for([128, 64], gl.bfloat16))
    v_desc = TensorDescriptor(v, [max(H * N, 1), 64], [64, 1], [128, 64], gl.NVMMASharedLayout.get_default_for([128, 64], gl.bfloat16))
    attn_fwd_kernel[grid](o_desc, q_desc, k_desc, v_desc, M, N, scale, num_warps=4)

r"""attention_dkdv for Hopper, written by Twill from attention_dkdv.py. Do not edit: change the
kernel and compile it again.

Compiled for D=128, BLOCK_M=64, BLOCK_N=128, CAUSAL=False.
Schedule: II = 2048 cycles, optimal (ResMII of unit TC (ops s.0, s.1, dp.0, dp.1, dv_acc.0, dv_acc.1, dk_acc.0, dk_acc.1)); one iteration takes 3323.

Roles:
  consumer0: 4 warps, 240 registers a thread, 1 stages
  consumer1: 4 warps, 240 registers a thread, 1 stages
  loader: 1 warps, 24 registers a thread

Rings:
  q_tile_ring: 2 x [64, 128] bf16
  do_tile_ring: 3 x [64, 128] bf16
  lse_row_ring: 2 x [1, 64] f32
  delta_row_ring: 3 x [1, 64] f32

Steady state, one II:
           0                     512                   1024                  1536
       TC |<c #0 -][F #0 ----][f #0 ----][G #0 ----][g #0 ----][s.0 #1 --][s.1 #1 --][dp.0 #1 -]1cc|
      SFU |0PPP[p.1 #0 --]..................................................................[P #1 >|
      ALU |0bb...V..........v.....0KKK.....0kkk.......................S.................1BBs.......|
      TMA |[q_tile #1 --------]EL[do_tile #1 ------]...............................................|
      LSU |....................T.........t......................R..........r.......................|
  group 0 |Q...................ELD.................................................................|
  group 1 |0PPP..V.F...........T..0KKK...G.....................AR.....S..............C..1BB.[P #1 >|
  group 2 |0bb.[p.1 #0 --]..v.f..........t.0kkk.....g.....................ar...............s....c..|
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
MMA_64: gl.constexpr = gl.constexpr(gl.NVMMADistributedLayout(version=[3, 0], warps_per_cta=[4, 1], instr_shape=[16, 64, 16]))
LEFT_OF_MMA_128: gl.constexpr = gl.constexpr(gl.DotOperandLayout(0, MMA_128.value, 2))
DV_DESC_0_STAGE_LAYOUT: gl.constexpr = gl.constexpr(gl.NVMMASharedLayout.get_default_for([64, 128], gl.bfloat16))
DK_DESC_0_STAGE_LAYOUT: gl.constexpr = gl.constexpr(gl.NVMMASharedLayout.get_default_for([64, 128], gl.bfloat16))
DV_DESC_1_STAGE_LAYOUT: gl.constexpr = gl.constexpr(gl.NVMMASharedLayout.get_default_for([64, 128], gl.bfloat16))
DK_DESC_1_STAGE_LAYOUT: gl.constexpr = gl.constexpr(gl.NVMMASharedLayout.get_default_for([64, 128], gl.bfloat16))


@gluon.jit
def consumer0(
    G, M, N, delta_row_ring, delta_row_ring_empty, delta_row_ring_full, dk_desc, dk_desc_0_stage, do_tile_ring,
    do_tile_ring_empty, do_tile_ring_full, dv_desc, dv_desc_0_stage, k_tile_0_smem, k_tile_0_smem_full,
    lse_row_ring, lse_row_ring_empty, lse_row_ring_full, q_tile_ring, q_tile_ring_empty, q_tile_ring_full,
    scale, turn_0, turn_1, turn_2, turn_3, turn_4, turn_5, turn_6, turn_7, v_tile_0_smem, v_tile_0_smem_full,
):
    """Consumer: warp group 1 of the schedule."""
    mbarrier.wait(k_tile_0_smem_full.index(0), 0)
    mbarrier.wait(v_tile_0_smem_full.index(0), 0)
    pid_n = gl.program_id(0)
    head = gl.program_id(1)
    key2 = head * N
    key3 = pid_n * 128
    key = key2 + key3
    scale_log2 = scale * 1.44269502
    mul2 = G * M
    dk_acc = gl.full([64, 128], 0.0, gl.float32, MMA_128)
    dv_acc = gl.full([64, 128], 0.0, gl.float32, MMA_128)
    n = gl.cdiv(mul2, 64)
    for i in range(0, n):
        # s.0 on TC: stage 0, slot 1215
        mbarrier.wait(q_tile_ring_full.index(i % 2), (i // 2) & 1)
        mbarrier.wait(turn_3.index((i + 1) % 2), ((i - 1) // 2) & 1, pred=i - 1 >= 0)
        s = warpgroup_mma(k_tile_0_smem, q_tile_ring.index(i % 2).permute([1, 0]), gl.zeros([64, 64], gl.float32, MMA_64), use_acc=False, is_async=True)
        mbarrier.arrive(turn_4.index(i % 2), count=1)
        # lse_row.read.0 on LSU: stage 0, slot 1239
        # lse_row_1.0 on ALU: stage 0, slot 1376
        mbarrier.wait(lse_row_ring_full.index(i % 2), (i // 2) & 1)
        lse_row = lse_row_ring.index(i % 2).load(MMA_64) * gl.full([1, 64], 1.44269502, gl.float32, MMA_64)
        mbarrier.arrive(lse_row_ring_empty.index(i % 2), count=1)
        # dp.0 on TC: stage 0, slot 1727
        mbarrier.wait(do_tile_ring_full.index(i % 3), (i // 3) & 1)
        mbarrier.wait(turn_5.index(i % 2), (i // 2) & 1)
        dp = warpgroup_mma(v_tile_0_smem, do_tile_ring.index(i % 3).permute([1, 0]), gl.zeros([64, 64], gl.float32, MMA_64), use_acc=False, is_async=True)
        mbarrier.arrive(turn_6.index(i % 2), count=1)
        # s_5.0 on ALU: stage 0, slot 1797
        s = warpgroup_mma_wait(1, deps=[s])
        s2 = s * scale_log2
        s3 = s2 - lse_row
        # p.0 on SFU: stage 0, slot 1886
        p = gl.exp2(s3)
        # dv_acc_1.0 on ALU: stage 1, slot 134
        dv_acc3 = p.to(gl.bfloat16)
        # dv_acc.0 on TC: stage 1, slot 191
        mbarrier.wait(turn_7.index(i % 2), (i // 2) & 1)
        dv_acc = warpgroup_mma(gl.convert_layout(dv_acc3, LEFT_OF_MMA_128), do_tile_ring.index(i % 3), dv_acc, is_async=True)
        mbarrier.arrive(turn_0.index(i % 2), count=1)
        # delta_row.read.0 on LSU: stage 1, slot 475
        # dk_acc_1.0 on ALU: stage 1, slot 543
        dp = warpgroup_mma_wait(1, deps=[dp])
        mbarrier.wait(delta_row_ring_full.index(i % 3), (i // 3) & 1)
        ds = dp - delta_row_ring.index(i % 3).load(MMA_64)
        mbarrier.arrive(delta_row_ring_empty.index(i % 3), count=1)
        ds2 = p * ds
        dk_acc3 = ds2.to(gl.bfloat16)
        # dk_acc.0 on TC: stage 1, slot 703
        mbarrier.wait(turn_1.index(i % 2), (i // 2) & 1)
        dk_acc = warpgroup_mma(gl.convert_layout(dk_acc3, LEFT_OF_MMA_128), q_tile_ring.index(i % 2), dk_acc, is_async=True)
        mbarrier.arrive(turn_2.index(i % 2), count=1)
        dv_acc, dk_acc = warpgroup_mma_wait(0, deps=[dv_acc, dk_acc])
        mbarrier.arrive(do_tile_ring_empty.index(i % 3), count=1)
        mbarrier.arrive(q_tile_ring_empty.index(i % 2), count=1)
    # after the loop
    cast = dv_acc.to(gl.bfloat16)
    tma.store_wait(0)
    dv_desc_0_stage.store(cast)
    fence_async_shared()
    tma_store(dv_desc, [key, 0], dv_desc_0_stage)
    mul = dk_acc * scale
    cast2 = mul.to(gl.bfloat16)
    tma.store_wait(0)
    dk_desc_0_stage.store(cast2)
    fence_async_shared()
    tma_store(dk_desc, [key, 0], dk_desc_0_stage)
    tma.store_wait(0)


@gluon.jit
def consumer1(
    G, M, N, delta_row_ring, delta_row_ring_empty, delta_row_ring_full, dk_desc, dk_desc_1_stage, do_tile_ring,
    do_tile_ring_empty, do_tile_ring_full, dv_desc, dv_desc_1_stage, k_tile_1_smem, k_tile_1_smem_full,
    lse_row_ring, lse_row_ring_empty, lse_row_ring_full, q_tile_ring, q_tile_ring_empty, q_tile_ring_full,
    scale, turn_0, turn_1, turn_2, turn_3, turn_4, turn_5, turn_6, turn_7, v_tile_1_smem, v_tile_1_smem_full,
):
    """Consumer: warp group 2 of the schedule."""
    mbarrier.wait(k_tile_1_smem_full.index(0), 0)
    mbarrier.wait(v_tile_1_smem_full.index(0), 0)
    pid_n = gl.program_id(0)
    head = gl.program_id(1)
    key2 = head * N
    key3 = pid_n * 128
    key = key2 + key3
    key_plus64 = key + 64
    scale_log2 = scale * 1.44269502
    mul2 = G * M
    dk_acc2 = gl.full([64, 128], 0.0, gl.float32, MMA_128)
    dv_acc2 = gl.full([64, 128], 0.0, gl.float32, MMA_128)
    n = gl.cdiv(mul2, 64)
    for i in range(0, n):
        # s.1 on TC: stage 0, slot 1471
        mbarrier.wait(q_tile_ring_full.index(i % 2), (i // 2) & 1)
        mbarrier.wait(turn_4.index(i % 2), (i // 2) & 1)
        s = warpgroup_mma(k_tile_1_smem, q_tile_ring.index(i % 2).permute([1, 0]), gl.zeros([64, 64], gl.float32, MMA_64), use_acc=False, is_async=True)
        mbarrier.arrive(turn_5.index(i % 2), count=1)
        # lse_row.read.1 on LSU: stage 0, slot 1495
        # lse_row_1.1 on ALU: stage 0, slot 1861
        mbarrier.wait(lse_row_ring_full.index(i % 2), (i // 2) & 1)
        lse_row = lse_row_ring.index(i % 2).load(MMA_64) * gl.full([1, 64], 1.44269502, gl.float32, MMA_64)
        mbarrier.arrive(lse_row_ring_empty.index(i % 2), count=1)
        # dp.1 on TC: stage 0, slot 1983
        mbarrier.wait(do_tile_ring_full.index(i % 3), (i // 3) & 1)
        mbarrier.wait(turn_6.index(i % 2), (i // 2) & 1)
        dp = warpgroup_mma(v_tile_1_smem, do_tile_ring.index(i % 3).permute([1, 0]), gl.zeros([64, 64], gl.float32, MMA_64), use_acc=False, is_async=True)
        mbarrier.arrive(turn_7.index(i % 2), count=1)
        # s_5.1 on ALU: stage 1, slot 5
        s = warpgroup_mma_wait(1, deps=[s])
        s2 = s * scale_log2
        s3 = s2 - lse_row
        # p.1 on SFU: stage 1, slot 94
        p = gl.exp2(s3)
        # dv_acc_1.1 on ALU: stage 1, slot 390
        dv_acc3 = p.to(gl.bfloat16)
        # dv_acc.1 on TC: stage 1, slot 447
        mbarrier.wait(turn_0.index(i % 2), (i // 2) & 1)
        dv_acc2 = warpgroup_mma(gl.convert_layout(dv_acc3, LEFT_OF_MMA_128), do_tile_ring.index(i % 3), dv_acc2, is_async=True)
        mbarrier.arrive(turn_1.index(i % 2), count=1)
        # delta_row.read.1 on LSU: stage 1, slot 703
        # dk_acc_1.1 on ALU: stage 1, slot 734
        dp = warpgroup_mma_wait(1, deps=[dp])
        mbarrier.wait(delta_row_ring_full.index(i % 3), (i // 3) & 1)
        ds = dp - delta_row_ring.index(i % 3).load(MMA_64)
        mbarrier.arrive(delta_row_ring_empty.index(i % 3), count=1)
        ds2 = p * ds
        dk_acc3 = ds2.to(gl.bfloat16)
        # dk_acc.1 on TC: stage 1, slot 959
        mbarrier.wait(turn_2.index(i % 2), (i // 2) & 1)
        dk_acc2 = warpgroup_mma(gl.convert_layout(dk_acc3, LEFT_OF_MMA_128), q_tile_ring.index(i % 2), dk_acc2, is_async=True)
        mbarrier.arrive(turn_3.index(i % 2), count=1)
        dv_acc2, dk_acc2 = warpgroup_mma_wait(0, deps=[dv_acc2, dk_acc2])
        mbarrier.arrive(do_tile_ring_empty.index(i % 3), count=1)
        mbarrier.arrive(q_tile_ring_empty.index(i % 2), count=1)
    # after the loop
    cast = dv_acc2.to(gl.bfloat16)
    tma.store_wait(0)
    dv_desc_1_stage.store(cast)
    fence_async_shared()
    tma_store(dv_desc, [key_plus64, 0], dv_desc_1_stage)
    mul = dk_acc2 * scale
    cast2 = mul.to(gl.bfloat16)
    tma.store_wait(0)
    dk_desc_1_stage.store(cast2)
    fence_async_shared()
    tma_store(dk_desc, [key_plus64, 0], dk_desc_1_stage)
    tma.store_wait(0)


@gluon.jit
def loader(
    G, M, N, delta_desc, delta_row_ring, delta_row_ring_empty, delta_row_ring_full, do_desc, do_tile_ring,
    do_tile_ring_empty, do_tile_ring_full, k_desc, k_tile_0_smem, k_tile_0_smem_full, k_tile_1_smem,
    k_tile_1_smem_full, lse_desc, lse_row_ring, lse_row_ring_empty, lse_row_ring_full, q_desc, q_tile_ring,
    q_tile_ring_empty, q_tile_ring_full, v_desc, v_tile_0_smem, v_tile_0_smem_full, v_tile_1_smem,
    v_tile_1_smem_full,
):
    """Producer: warp group 0 of the schedule."""
    pid_n = gl.program_id(0)
    head = gl.program_id(1)
    key2 = head * N
    key3 = pid_n * 128
    key = key2 + key3
    key_plus64 = key + 64
    mul = G * M
    row2 = head * G
    row = row2 * M
    mbarrier.expect(k_tile_0_smem_full.index(0), 16384)
    tma_load(k_desc, [key, 0], k_tile_0_smem_full.index(0), k_tile_0_smem)
    mbarrier.expect(k_tile_1_smem_full.index(0), 16384)
    tma_load(k_desc, [key_plus64, 0], k_tile_1_smem_full.index(0), k_tile_1_smem)
    mbarrier.expect(v_tile_0_smem_full.index(0), 16384)
    tma_load(v_desc, [key, 0], v_tile_0_smem_full.index(0), v_tile_0_smem)
    mbarrier.expect(v_tile_1_smem_full.index(0), 16384)
    tma_load(v_desc, [key_plus64, 0], v_tile_1_smem_full.index(0), v_tile_1_smem)
    n = gl.cdiv(mul, 64)
    for i in range(0, n):
        # q_tile: stage 0, slot 0
        mbarrier.wait(q_tile_ring_empty.index(i % 2), ((i // 2) & 1) ^ 1)
        mbarrier.expect(q_tile_ring_full.index(i % 2), 16384)
        tma_load(q_desc, [row + (i * 64), 0], q_tile_ring_full.index(i % 2), q_tile_ring.index(i % 2))
        # delta_row: stage 0, slot 474
        mbarrier.wait(delta_row_ring_empty.index(i % 3), ((i // 3) & 1) ^ 1)
        mbarrier.expect(delta_row_ring_full.index(i % 3), 256)
        tma_load(delta_desc, [0, row + (i * 64)], delta_row_ring_full.index(i % 3), delta_row_ring.index(i % 3))
        # lse_row: stage 0, slot 482
        mbarrier.wait(lse_row_ring_empty.index(i % 2), ((i // 2) & 1) ^ 1)
        mbarrier.expect(lse_row_ring_full.index(i % 2), 256)
        tma_load(lse_desc, [0, row + (i * 64)], lse_row_ring_full.index(i % 2), lse_row_ring.index(i % 2))
        # do_tile: stage 0, slot 490
        mbarrier.wait(do_tile_ring_empty.index(i % 3), ((i // 3) & 1) ^ 1)
        mbarrier.expect(do_tile_ring_full.index(i % 3), 16384)
        tma_load(do_desc, [row + (i * 64), 0], do_tile_ring_full.index(i % 3), do_tile_ring.index(i % 3))


@gluon.jit
def attention_dkdv_kernel(
    dv_desc, dk_desc, k_desc, v_desc, q_desc, delta_desc, lse_desc, do_desc, G, M, N, scale,
):
    """Shared memory, barriers, and one warp group for each of consumer0, consumer1, loader."""
    barrier: gl.constexpr = mbarrier.MBarrierLayout()
    q_tile_ring = gl.allocate_shared_memory(gl.bfloat16, [2, 64, 128], q_desc.layout)
    q_tile_ring_full = gl.allocate_shared_memory(gl.int64, [2, 1], barrier)
    q_tile_ring_empty = gl.allocate_shared_memory(gl.int64, [2, 1], barrier)
    do_tile_ring = gl.allocate_shared_memory(gl.bfloat16, [3, 64, 128], do_desc.layout)
    do_tile_ring_full = gl.allocate_shared_memory(gl.int64, [3, 1], barrier)
    do_tile_ring_empty = gl.allocate_shared_memory(gl.int64, [3, 1], barrier)
    lse_row_ring = gl.allocate_shared_memory(gl.float32, [2, 1, 64], lse_desc.layout)
    lse_row_ring_full = gl.allocate_shared_memory(gl.int64, [2, 1], barrier)
    lse_row_ring_empty = gl.allocate_shared_memory(gl.int64, [2, 1], barrier)
    delta_row_ring = gl.allocate_shared_memory(gl.float32, [3, 1, 64], delta_desc.layout)
    delta_row_ring_full = gl.allocate_shared_memory(gl.int64, [3, 1], barrier)
    delta_row_ring_empty = gl.allocate_shared_memory(gl.int64, [3, 1], barrier)
    k_tile_0_smem = gl.allocate_shared_memory(gl.bfloat16, [64, 128], k_desc.layout)
    k_tile_0_smem_full = gl.allocate_shared_memory(gl.int64, [1, 1], barrier)
    k_tile_1_smem = gl.allocate_shared_memory(gl.bfloat16, [64, 128], k_desc.layout)
    k_tile_1_smem_full = gl.allocate_shared_memory(gl.int64, [1, 1], barrier)
    v_tile_0_smem = gl.allocate_shared_memory(gl.bfloat16, [64, 128], v_desc.layout)
    v_tile_0_smem_full = gl.allocate_shared_memory(gl.int64, [1, 1], barrier)
    v_tile_1_smem = gl.allocate_shared_memory(gl.bfloat16, [64, 128], v_desc.layout)
    v_tile_1_smem_full = gl.allocate_shared_memory(gl.int64, [1, 1], barrier)
    dv_desc_0_stage = gl.allocate_shared_memory(gl.bfloat16, [64, 128], DV_DESC_0_STAGE_LAYOUT)
    dk_desc_0_stage = gl.allocate_shared_memory(gl.bfloat16, [64, 128], DK_DESC_0_STAGE_LAYOUT)
    dv_desc_1_stage = gl.allocate_shared_memory(gl.bfloat16, [64, 128], DV_DESC_1_STAGE_LAYOUT)
    dk_desc_1_stage = gl.allocate_shared_memory(gl.bfloat16, [64, 128], DK_DESC_1_STAGE_LAYOUT)
    # turn_0: after dv_acc.0, dv_acc.1 may be issued
    turn_0 = gl.allocate_shared_memory(gl.int64, [2, 1], barrier)
    # turn_1: after dv_acc.1, dk_acc.0 may be issued
    turn_1 = gl.allocate_shared_memory(gl.int64, [2, 1], barrier)
    # turn_2: after dk_acc.0, dk_acc.1 may be issued
    turn_2 = gl.allocate_shared_memory(gl.int64, [2, 1], barrier)
    # turn_3: after dk_acc.1, s.0 may be issued
    turn_3 = gl.allocate_shared_memory(gl.int64, [2, 1], barrier)
    # turn_4: after s.0, s.1 may be issued
    turn_4 = gl.allocate_shared_memory(gl.int64, [2, 1], barrier)
    # turn_5: after s.1, dp.0 may be issued
    turn_5 = gl.allocate_shared_memory(gl.int64, [2, 1], barrier)
    # turn_6: after dp.0, dp.1 may be issued
    turn_6 = gl.allocate_shared_memory(gl.int64, [2, 1], barrier)
    # turn_7: after dp.1, dv_acc.0 may be issued
    turn_7 = gl.allocate_shared_memory(gl.int64, [2, 1], barrier)
    for slot in gl.static_range(2):
        mbarrier.init(q_tile_ring_full.index(slot), count=1)
    for slot in gl.static_range(2):
        mbarrier.init(q_tile_ring_empty.index(slot), count=2)
    for slot in gl.static_range(3):
        mbarrier.init(do_tile_ring_full.index(slot), count=1)
    for slot in gl.static_range(3):
        mbarrier.init(do_tile_ring_empty.index(slot), count=2)
    for slot in gl.static_range(2):
        mbarrier.init(lse_row_ring_full.index(slot), count=1)
    for slot in gl.static_range(2):
        mbarrier.init(lse_row_ring_empty.index(slot), count=2)
    for slot in gl.static_range(3):
        mbarrier.init(delta_row_ring_full.index(slot), count=1)
    for slot in gl.static_range(3):
        mbarrier.init(delta_row_ring_empty.index(slot), count=2)
    for slot in gl.static_range(1):
        mbarrier.init(k_tile_0_smem_full.index(slot), count=1)
    for slot in gl.static_range(1):
        mbarrier.init(k_tile_1_smem_full.index(slot), count=1)
    for slot in gl.static_range(1):
        mbarrier.init(v_tile_0_smem_full.index(slot), count=1)
    for slot in gl.static_range(1):
        mbarrier.init(v_tile_1_smem_full.index(slot), count=1)
    for slot in gl.static_range(2):
        mbarrier.init(turn_0.index(slot), count=1)
    for slot in gl.static_range(2):
        mbarrier.init(turn_1.index(slot), count=1)
    for slot in gl.static_range(2):
        mbarrier.init(turn_2.index(slot), count=1)
    for slot in gl.static_range(2):
        mbarrier.init(turn_3.index(slot), count=1)
    for slot in gl.static_range(2):
        mbarrier.init(turn_4.index(slot), count=1)
    for slot in gl.static_range(2):
        mbarrier.init(turn_5.index(slot), count=1)
    for slot in gl.static_range(2):
        mbarrier.init(turn_6.index(slot), count=1)
    for slot in gl.static_range(2):
        mbarrier.init(turn_7.index(slot), count=1)
    fence_async_shared()  # the barriers are set up before TMA or another role sees them
    gl.warp_specialize(
        [
            (consumer0, (
                G, M, N, delta_row_ring, delta_row_ring_empty, delta_row_ring_full, dk_desc, dk_desc_0_stage, do_tile_ring,
                do_tile_ring_empty, do_tile_ring_full, dv_desc, dv_desc_0_stage, k_tile_0_smem, k_tile_0_smem_full,
                lse_row_ring, lse_row_ring_empty, lse_row_ring_full, q_tile_ring, q_tile_ring_empty, q_tile_ring_full,
                scale, turn_0, turn_1, turn_2, turn_3, turn_4, turn_5, turn_6, turn_7, v_tile_0_smem, v_tile_0_smem_full,
            )),
            (consumer1, (
                G, M, N, delta_row_ring, delta_row_ring_empty, delta_row_ring_full, dk_desc, dk_desc_1_stage, do_tile_ring,
                do_tile_ring_empty, do_tile_ring_full, dv_desc, dv_desc_1_stage, k_tile_1_smem, k_tile_1_smem_full,
                lse_row_ring, lse_row_ring_empty, lse_row_ring_full, q_tile_ring, q_tile_ring_empty, q_tile_ring_full,
                scale, turn_0, turn_1, turn_2, turn_3, turn_4, turn_5, turn_6, turn_7, v_tile_1_smem, v_tile_1_smem_full,
            )),
            (loader, (
                G, M, N, delta_desc, delta_row_ring, delta_row_ring_empty, delta_row_ring_full, do_desc, do_tile_ring,
                do_tile_ring_empty, do_tile_ring_full, k_desc, k_tile_0_smem, k_tile_0_smem_full, k_tile_1_smem,
                k_tile_1_smem_full, lse_desc, lse_row_ring, lse_row_ring_empty, lse_row_ring_full, q_desc, q_tile_ring,
                q_tile_ring_empty, q_tile_ring_full, v_desc, v_tile_0_smem, v_tile_0_smem_full, v_tile_1_smem,
                v_tile_1_smem_full,
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


def attention_dkdv(q, k, v, do, lse, delta, dk, dv, H, G, M, N, scale, D=128, BLOCK_M=64, BLOCK_N=128, CAUSAL=False):
    """Launch the kernel on the current stream; arguments as of the source kernel `attention_dkdv`.

    Raises TypeError or ValueError when an argument is not what the kernel was compiled for.
    """
    if D != 128:
        raise ValueError(f"compiled for D=128, got {D!r}: compile it again")
    if BLOCK_M != 64:
        raise ValueError(f"compiled for BLOCK_M=64, got {BLOCK_M!r}: compile it again")
    if BLOCK_N != 128:
        raise ValueError(f"compiled for BLOCK_N=128, got {BLOCK_N!r}: compile it again")
    if CAUSAL != False:
        raise ValueError(f"compiled for CAUSAL=False, got {CAUSAL!r}: compile it again")
    require_tensors(
        DEVICE_TYPE,
        q=(q, torch.bfloat16),
        k=(k, torch.bfloat16),
        v=(v, torch.bfloat16),
        do=(do, torch.bfloat16),
        lse=(lse, torch.float32),
        delta=(delta, torch.float32),
        dk=(dk, torch.bfloat16),
        dv=(dv, torch.bfloat16),
    )
    require_scalars(H=(H, "i32"), G=(G, "i32"), M=(M, "i32"), N=(N, "i32"), scale=(scale, "f32"))
    if M % BLOCK_M:
        raise ValueError(f"M must be a multiple of BLOCK_M, got {M}")
    if N % BLOCK_N:
        raise ValueError(f"N must be a multiple of BLOCK_N, got {N}")
    grid = (N // BLOCK_N, H)
    require_grid(grid)
    require_view("dv", dv, [H * N, 128], [128, 1])
    require_view("dk", dk, [H * N, 128], [128, 1])
    require_view("k", k, [H * N, 128], [128, 1])
    require_view("v", v, [H * N, 128], [128, 1])
    require_view("q", q, [(H * G) * M, 128], [128, 1])
    require_view("delta", delta, [1, (H * G) * M], [(H * G) * M, 1])
    require_view("lse", lse, [1, (H * G) * M], [(H * G) * M, 1])
    require_view("do", do, [(H * G) * M, 128], [128, 1])
    if 0 in grid:
        return  # there is nothing to do
    dv_desc = TensorDescriptor(dv, [max(H * N, 1), 128], [128, 1], [64, 128], gl.NVMMASharedLayout.get_default_for([64, 128], gl.bfloat16))
    dk_desc = TensorDescriptor(dk, [max(H * N, 1), 128], [128, 1], [64, 128], gl.NVMMASharedLayout.get_default_for([64, 128], gl.bfloat16))
    k_desc = TensorDescriptor(k, [max(H * N, 1), 128], [128, 1], [64, 128], gl.NVMMASharedLayout.get_default_for([64, 128], gl.bfloat16))
    v_desc = TensorDescriptor(v, [max(H * N, 1), 128], [128, 1], [64, 128], gl.NVMMASharedLayout.get_default_for([64, 128], gl.bfloat16))
    q_desc = TensorDescriptor(q, [max((H * G) * M, 1), 128], [128, 1], [64, 128], gl.NVMMASharedLayout.get_default_for([64, 128], gl.bfloat16))
    delta_desc = TensorDescriptor(delta, [1, max((H * G) * M, 1)], [(H * G) * M, 1], [1, 64], gl.NVMMASharedLayout.get_default_for([1, 64], gl.float32))
    lse_desc = TensorDescriptor(lse, [1, max((H * G) * M, 1)], [(H * G) * M, 1], [1, 64], gl.NVMMASharedLayout.get_default_for([1, 64], gl.float32))
    do_desc = TensorDescriptor(do, [max((H * G) * M, 1), 128], [128, 1], [64, 128], gl.NVMMASharedLayout.get_default_for([64, 128], gl.bfloat16))
    attention_dkdv_kernel[grid](dv_desc, dk_desc, k_desc, v_desc, q_desc, delta_desc, lse_desc, do_desc, G, M, N, scale, num_warps=4)

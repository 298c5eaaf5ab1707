r"""attention_dkdv for Hopper, written by Twill from attention_dkdv.py. Do not edit: change the
kernel and compile it again.

Compiled for D=64, BLOCK_M=64, BLOCK_N=128, CAUSAL=True.
Schedule: II = 1024 cycles, optimal (ResMII of unit TC (ops s.0, s.1, dp.0, dp.1, dv_acc.0, dv_acc.1, dk_acc.0, dk_acc.1)); one iteration takes 2702.

Roles:
  consumer0: 4 warps, 240 registers a thread, 2 stages
  consumer1: 4 warps, 240 registers a thread, 2 stages
  loader: 1 warps, 24 registers a thread

Rings:
  q_tile_ring: 4 x [64, 64] bf16
  do_tile_ring: 4 x [64, 64] bf16
  lse_row_ring: 2 x [1, 64] f32
  delta_row_ring: 3 x [1, 64] f32

Steady state, one II:
           0                     256                   512                   768
       TC |<A #1 ][s.1 #1 --][G #0 ----][f #0 ----][g #0 ----][dp.1 #1 -][dp.0 #1 -][F #1 ----]2AAA|
      SFU |0ppp....................................[p.0 #1 -------------]........[p.1 #1 --------->|
      ALU |<K #0 -]1S0vv[k #0 -][s_13.0 #1 -----]s............[s_13.1 #1 -----]1V.................K|
      TMA |[q_tile #2 --------]EL[do_tile #2 -------]..............................................|
      LSU |....r.................................................................t.............T..R|
  group 0 |2QQ.................EL2D................................................................|
  group 1 |<K #0 -]1S........0G.[s_13.0 #1 -----]..[p.0 #1 -------------]1C....1V...1F........T2ARK|
  group 2 |0pppr..1a.0vv[k #0 -]........0f.......s.0g.........[s_13.1 #1 -----].t[p.1 #1 --------->|
          |                                                   1c                                   |
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
DV_DESC_0_STAGE_LAYOUT: gl.constexpr = gl.constexpr(gl.NVMMASharedLayout.get_default_for([64, 64], gl.bfloat16))
DK_DESC_0_STAGE_LAYOUT: gl.constexpr = gl.constexpr(gl.NVMMASharedLayout.get_default_for([64, 64], gl.bfloat16))
DV_DESC_1_STAGE_LAYOUT: gl.constexpr = gl.constexpr(gl.NVMMASharedLayout.get_default_for([64, 64], gl.bfloat16))
DK_DESC_1_STAGE_LAYOUT: gl.constexpr = gl.constexpr(gl.NVMMASharedLayout.get_default_for([64, 64], gl.bfloat16))


@gluon.jit
def consumer0(
    G, M, N, delta_row_ring, delta_row_ring_empty, delta_row_ring_full, dk_desc, dk_desc_0_stage, do_tile_ring,
    do_tile_ring_empty, do_tile_ring_full, dv_desc, dv_desc_0_stage, k_tile_0_smem, k_tile_0_smem_full,
    lse_row_ring, lse_row_ring_empty, lse_row_ring_full, q_tile_ring, q_tile_ring_empty, q_tile_ring_full,
    scale, turn_0, turn_1, turn_2, turn_3, v_tile_0_smem, v_tile_0_smem_full,
):
    """Consumer: warp group 1 of the schedule."""
    mbarrier.wait(k_tile_0_smem_full.index(0), 0)
    mbarrier.wait(v_tile_0_smem_full.index(0), 0)
    pid_n = gl.program_id(0)
    head = gl.program_id(1)
    key3 = head * N
    key2 = pid_n * 128
    key = key3 + key2
    scale_log2 = scale * 1.44269502
    offs_n = key2 + gl.arange(0, 64, layout=ROWS_OF_MMA_64)
    first = gl.minimum(M, key2)
    span = M - first
    mul2 = G * span
    dk_acc = gl.full([64, 64], 0.0, gl.float32, MMA_64)
    dv_acc = gl.full([64, 64], 0.0, gl.float32, MMA_64)
    n = gl.cdiv(mul2, 64)
    if n >= 1:
        # prologue, body 0
        # s.0 on TC: stage 0, slot 978
        mbarrier.wait(q_tile_ring_full.index(0), 0)
        s = warpgroup_mma(k_tile_0_smem, q_tile_ring.index(0).permute([1, 0]), gl.zeros([64, 64], gl.float32, MMA_64), use_acc=False, is_async=True)
        mbarrier.arrive(turn_3.index(0), count=1)
        # lse_row.read.0 on LSU: stage 0, slot 1017
        # lse_row_1.0 on ALU: stage 1, slot 98
        mbarrier.wait(lse_row_ring_full.index(0), 0)
        lse_row = lse_row_ring.index(0).load(MMA_64) * gl.full([1, 64], 1.44269502, gl.float32, MMA_64)
        mbarrier.arrive(lse_row_ring_empty.index(0), count=1)
        # s_13.0 on ALU: stage 1, slot 249
        s = warpgroup_mma_wait(0, deps=[s])
        s2 = s * scale_log2
        s3 = s2 - lse_row
        s4 = gl.expand_dims(gl.arange(0, 64, layout=COLUMNS_OF_MMA_64), 0) >= gl.expand_dims(offs_n - (first + (0 % span)), 1)
        s5 = gl.where(s4, s3, gl.full([64, 64], float("-inf"), gl.float32, MMA_64))
        # steady state
        for i in range(1, n):
            # p.0 on SFU: stage 1, slot 466
            p = gl.exp2(s5)
            # dp.0 on TC: stage 1, slot 722
            mbarrier.wait(do_tile_ring_full.index((i + 3) % 4), ((i - 1) // 4) & 1)
            mbarrier.wait(turn_2.index((i + 1) % 2), ((i - 1) // 2) & 1)
            dp = warpgroup_mma(v_tile_0_smem, do_tile_ring.index((i + 3) % 4).permute([1, 0]), gl.zeros([64, 64], gl.float32, MMA_64), use_acc=False, is_async=True)
            # dv_acc_1.0 on ALU: stage 1, slot 786
            dv_acc3 = p.to(gl.bfloat16)
            # dv_acc.0 on TC: stage 1, slot 850
            dv_acc = warpgroup_mma(gl.convert_layout(dv_acc3, LEFT_OF_MMA_64), do_tile_ring.index((i + 3) % 4), dv_acc, is_async=True)
            # delta_row.read.0 on LSU: stage 1, slot 978
            # s.0 on TC: stage 0, slot 978
            mbarrier.wait(q_tile_ring_full.index(i % 4), (i // 4) & 1)
            s = warpgroup_mma(k_tile_0_smem, q_tile_ring.index(i % 4).permute([1, 0]), gl.zeros([64, 64], gl.float32, MMA_64), use_acc=False, is_async=True)
            mbarrier.arrive(turn_3.index(i % 2), count=1)
            # dk_acc_1.0 on ALU: stage 1, slot 1017
            dp = warpgroup_mma_wait(2, deps=[dp])
            mbarrier.wait(delta_row_ring_full.index((i + 2) % 3), ((i - 1) // 3) & 1)
            ds = dp - delta_row_ring.index((i + 2) % 3).load(MMA_64)
            mbarrier.arrive(delta_row_ring_empty.index((i + 2) % 3), count=1)
            ds2 = p * ds
            dk_acc3 = ds2.to(gl.bfloat16)
            # lse_row.read.0 on LSU: stage 0, slot 1017
            # lse_row_1.0 on ALU: stage 1, slot 98
            mbarrier.wait(lse_row_ring_full.index(i % 2), (i // 2) & 1)
            lse_row = lse_row_ring.index(i % 2).load(MMA_64) * gl.full([1, 64], 1.44269502, gl.float32, MMA_64)
            mbarrier.arrive(lse_row_ring_empty.index(i % 2), count=1)
            # dk_acc.0 on TC: stage 2, slot 210
            mbarrier.wait(turn_0.index(i % 2), (i // 2) & 1)
            dk_acc = warpgroup_mma(gl.convert_layout(dk_acc3, LEFT_OF_MMA_64), q_tile_ring.index((i + 3) % 4), dk_acc, is_async=True)
            mbarrier.arrive(turn_1.index((i + 1) % 2), count=1)
            # s_13.0 on ALU: stage 1, slot 249
            dv_acc, s = warpgroup_mma_wait(1, deps=[dv_acc, s])
            mbarrier.arrive(do_tile_ring_empty.index((i + 3) % 4), count=1)
            s2 = s * scale_log2
            s3 = s2 - lse_row
            s4 = gl.expand_dims(gl.arange(0, 64, layout=COLUMNS_OF_MMA_64), 0) >= gl.expand_dims(offs_n - (first + ((i * 64) % span)), 1)
            s5 = gl.where(s4, s3, gl.full([64, 64], float("-inf"), gl.float32, MMA_64))
            dk_acc = warpgroup_mma_wait(0, deps=[dk_acc])
            mbarrier.arrive(q_tile_ring_empty.index((i + 3) % 4), count=1)
        # epilogue, body 1
        # p.0 on SFU: stage 1, slot 466
        p = gl.exp2(s5)
        # dp.0 on TC: stage 1, slot 722
        mbarrier.wait(do_tile_ring_full.index((n + 3) % 4), ((n - 1) // 4) & 1)
        mbarrier.wait(turn_2.index((n + 1) % 2), ((n - 1) // 2) & 1)
        dp = warpgroup_mma(v_tile_0_smem, do_tile_ring.index((n + 3) % 4).permute([1, 0]), gl.zeros([64, 64], gl.float32, MMA_64), use_acc=False, is_async=True)
        # dv_acc_1.0 on ALU: stage 1, slot 786
        dv_acc3 = p.to(gl.bfloat16)
        # dv_acc.0 on TC: stage 1, slot 850
        dv_acc = warpgroup_mma(gl.convert_layout(dv_acc3, LEFT_OF_MMA_64), do_tile_ring.index((n + 3) % 4), dv_acc, is_async=True)
        # delta_row.read.0 on LSU: stage 1, slot 978
        # dk_acc_1.0 on ALU: stage 1, slot 1017
        dp = warpgroup_mma_wait(1, deps=[dp])
        mbarrier.wait(delta_row_ring_full.index((n + 2) % 3), ((n - 1) // 3) & 1)
        ds = dp - delta_row_ring.index((n + 2) % 3).load(MMA_64)
        mbarrier.arrive(delta_row_ring_empty.index((n + 2) % 3), count=1)
        ds2 = p * ds
        dk_acc3 = ds2.to(gl.bfloat16)
        # dk_acc.0 on TC: stage 2, slot 210
        dk_acc = warpgroup_mma(gl.convert_layout(dk_acc3, LEFT_OF_MMA_64), q_tile_ring.index((n + 3) % 4), dk_acc, is_async=True)
        mbarrier.arrive(turn_1.index((n + 1) % 2), count=1)
        dv_acc, dk_acc = warpgroup_mma_wait(0, deps=[dv_acc, dk_acc])
        mbarrier.arrive(do_tile_ring_empty.index((n + 3) % 4), count=1)
        mbarrier.arrive(q_tile_ring_empty.index((n + 3) % 4), count=1)
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
    scale, turn_0, turn_1, turn_2, turn_3, v_tile_1_smem, v_tile_1_smem_full,
):
    """Consumer: warp group 2 of the schedule."""
    mbarrier.wait(k_tile_1_smem_full.index(0), 0)
    mbarrier.wait(v_tile_1_smem_full.index(0), 0)
    pid_n = gl.program_id(0)
    head = gl.program_id(1)
    key3 = head * N
    key = pid_n * 128
    key2 = key3 + key
    key_plus64 = key2 + 64
    scale_log2 = scale * 1.44269502
    offs_n = key + gl.arange(64, 128, layout=ROWS_OF_MMA_64)
    first = gl.minimum(M, key)
    span = M - first
    mul2 = G * span
    dk_acc2 = gl.full([64, 64], 0.0, gl.float32, MMA_64)
    dv_acc2 = gl.full([64, 64], 0.0, gl.float32, MMA_64)
    n = gl.cdiv(mul2, 64)
    if n >= 1:
        # prologue, body 0
        # lse_row.read.1 on LSU: stage 1, slot 43
        # s.1 on TC: stage 1, slot 82
        mbarrier.wait(q_tile_ring_full.index(0), 0)
        mbarrier.wait(turn_3.index(0), 0)
        s = warpgroup_mma(k_tile_1_smem, q_tile_ring.index(0).permute([1, 0]), gl.zeros([64, 64], gl.float32, MMA_64), use_acc=False, is_async=True)
        mbarrier.arrive(turn_0.index(0), count=1)
        # lse_row_1.1 on ALU: stage 1, slot 441
        mbarrier.wait(lse_row_ring_full.index(0), 0)
        lse_row = lse_row_ring.index(0).load(MMA_64) * gl.full([1, 64], 1.44269502, gl.float32, MMA_64)
        mbarrier.arrive(lse_row_ring_empty.index(0), count=1)
        # s_13.1 on ALU: stage 1, slot 594
        s = warpgroup_mma_wait(0, deps=[s])
        s2 = s * scale_log2
        s3 = s2 - lse_row
        s4 = gl.expand_dims(gl.arange(0, 64, layout=COLUMNS_OF_MMA_64), 0) >= gl.expand_dims(offs_n - (first + (0 % span)), 1)
        s5 = gl.where(s4, s3, gl.full([64, 64], float("-inf"), gl.float32, MMA_64))
        # dp.1 on TC: stage 1, slot 594
        mbarrier.wait(do_tile_ring_full.index(0), 0)
        dp = warpgroup_mma(v_tile_1_smem, do_tile_ring.index(0).permute([1, 0]), gl.zeros([64, 64], gl.float32, MMA_64), use_acc=False, is_async=True)
        mbarrier.arrive(turn_2.index(0), count=1)
        # delta_row.read.1 on LSU: stage 1, slot 811
        # p.1 on SFU: stage 1, slot 811
        p = gl.exp2(s5)
        dp = warpgroup_mma_wait(0, deps=[dp])
        # steady state
        for i in range(1, n):
            # lse_row.read.1 on LSU: stage 1, slot 43
            # s.1 on TC: stage 1, slot 82
            mbarrier.wait(q_tile_ring_full.index(i % 4), (i // 4) & 1)
            mbarrier.wait(turn_3.index(i % 2), (i // 2) & 1)
            s = warpgroup_mma(k_tile_1_smem, q_tile_ring.index(i % 4).permute([1, 0]), gl.zeros([64, 64], gl.float32, MMA_64), use_acc=False, is_async=True)
            mbarrier.arrive(turn_0.index(i % 2), count=1)
            # dv_acc_1.1 on ALU: stage 2, slot 114
            dv_acc3 = p.to(gl.bfloat16)
            # dk_acc_1.1 on ALU: stage 2, slot 146
            mbarrier.wait(delta_row_ring_full.index((i + 2) % 3), ((i - 1) // 3) & 1)
            ds = dp - delta_row_ring.index((i + 2) % 3).load(MMA_64)
            mbarrier.arrive(delta_row_ring_empty.index((i + 2) % 3), count=1)
            ds2 = p * ds
            dk_acc3 = ds2.to(gl.bfloat16)
            # dv_acc.1 on TC: stage 2, slot 338
            mbarrier.wait(turn_1.index((i + 1) % 2), ((i - 1) // 2) & 1)
            dv_acc2 = warpgroup_mma(gl.convert_layout(dv_acc3, LEFT_OF_MMA_64), do_tile_ring.index((i + 3) % 4), dv_acc2, is_async=True)
            # lse_row_1.1 on ALU: stage 1, slot 441
            mbarrier.wait(lse_row_ring_full.index(i % 2), (i // 2) & 1)
            lse_row = lse_row_ring.index(i % 2).load(MMA_64) * gl.full([1, 64], 1.44269502, gl.float32, MMA_64)
            mbarrier.arrive(lse_row_ring_empty.index(i % 2), count=1)
            # dk_acc.1 on TC: stage 2, slot 466
            dk_acc2 = warpgroup_mma(gl.convert_layout(dk_acc3, LEFT_OF_MMA_64), q_tile_ring.index((i + 3) % 4), dk_acc2, is_async=True)
            # s_13.1 on ALU: stage 1, slot 594
            s = warpgroup_mma_wait(2, deps=[s])
            s2 = s * scale_log2
            s3 = s2 - lse_row
            s4 = gl.expand_dims(gl.arange(0, 64, layout=COLUMNS_OF_MMA_64), 0) >= gl.expand_dims(offs_n - (first + ((i * 64) % span)), 1)
            s5 = gl.where(s4, s3, gl.full([64, 64], float("-inf"), gl.float32, MMA_64))
            # dp.1 on TC: stage 1, slot 594
            mbarrier.wait(do_tile_ring_full.index(i % 4), (i // 4) & 1)
            dp = warpgroup_mma(v_tile_1_smem, do_tile_ring.index(i % 4).permute([1, 0]), gl.zeros([64, 64], gl.float32, MMA_64), use_acc=False, is_async=True)
            mbarrier.arrive(turn_2.index(i % 2), count=1)
            # delta_row.read.1 on LSU: stage 1, slot 811
            # p.1 on SFU: stage 1, slot 811
            p = gl.exp2(s5)
            dv_acc2, dk_acc2, dp = warpgroup_mma_wait(0, deps=[dv_acc2, dk_acc2, dp])
            mbarrier.arrive(do_tile_ring_empty.index((i + 3) % 4), count=1)
            mbarrier.arrive(q_tile_ring_empty.index((i + 3) % 4), count=1)
        # epilogue, body 1
        # dv_acc_1.1 on ALU: stage 2, slot 114
        dv_acc3 = p.to(gl.bfloat16)
        # dk_acc_1.1 on ALU: stage 2, slot 146
        mbarrier.wait(delta_row_ring_full.index((n + 2) % 3), ((n - 1) // 3) & 1)
        ds = dp - delta_row_ring.index((n + 2) % 3).load(MMA_64)
        mbarrier.arrive(delta_row_ring_empty.index((n + 2) % 3), count=1)
        ds2 = p * ds
        dk_acc3 = ds2.to(gl.bfloat16)
        # dv_acc.1 on TC: stage 2, slot 338
        mbarrier.wait(turn_1.index((n + 1) % 2), ((n - 1) // 2) & 1)
        dv_acc2 = warpgroup_mma(gl.convert_layout(dv_acc3, LEFT_OF_MMA_64), do_tile_ring.index((n + 3) % 4), dv_acc2, is_async=True)
        # dk_acc.1 on TC: stage 2, slot 466
        dk_acc2 = warpgroup_mma(gl.convert_layout(dk_acc3, LEFT_OF_MMA_64), q_tile_ring.index((n + 3) % 4), dk_acc2, is_async=True)
        dv_acc2, dk_acc2 = warpgroup_mma_wait(0, deps=[dv_acc2, dk_acc2])
        mbarrier.arrive(do_tile_ring_empty.index((n + 3) % 4), count=1)
        mbarrier.arrive(q_tile_ring_empty.index((n + 3) % 4), count=1)
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
    first = gl.minimum(M, key3)
    span = M - first
    mul = G * span
    row = head * G
    mbarrier.expect(k_tile_0_smem_full.index(0), 8192)
    tma_load(k_desc, [key, 0], k_tile_0_smem_full.index(0), k_tile_0_smem)
    mbarrier.expect(k_tile_1_smem_full.index(0), 8192)
    tma_load(k_desc, [key_plus64, 0], k_tile_1_smem_full.index(0), k_tile_1_smem)
    mbarrier.expect(v_tile_0_smem_full.index(0), 8192)
    tma_load(v_desc, [key, 0], v_tile_0_smem_full.index(0), v_tile_0_smem)
    mbarrier.expect(v_tile_1_smem_full.index(0), 8192)
    tma_load(v_desc, [key_plus64, 0], v_tile_1_smem_full.index(0), v_tile_1_smem)
    n = gl.cdiv(mul, 64)
    for i in range(0, n):
        # q_tile: stage 0, slot 0
        mbarrier.wait(q_tile_ring_empty.index(i % 4), ((i // 4) & 1) ^ 1)
        mbarrier.expect(q_tile_ring_full.index(i % 4), 8192)
        tma_load(q_desc, [((row + ((i * 64) // span)) * M) + (first + ((i * 64) % span)), 0], q_tile_ring_full.index(i % 4), q_tile_ring.index(i % 4))
        # delta_row: stage 0, slot 237
        mbarrier.wait(delta_row_ring_empty.index(i % 3), ((i // 3) & 1) ^ 1)
        mbarrier.expect(delta_row_ring_full.index(i % 3), 256)
        tma_load(delta_desc, [0, ((row + ((i * 64) // span)) * M) + (first + ((i * 64) % span))], delta_row_ring_full.index(i % 3), delta_row_ring.index(i % 3))
        # lse_row: stage 0, slot 245
        mbarrier.wait(lse_row_ring_empty.index(i % 2), ((i // 2) & 1) ^ 1)
        mbarrier.expect(lse_row_ring_full.index(i % 2), 256)
        tma_load(lse_desc, [0, ((row + ((i * 64) // span)) * M) + (first + ((i * 64) % span))], lse_row_ring_full.index(i % 2), lse_row_ring.index(i % 2))
        # do_tile: stage 0, slot 253
        mbarrier.wait(do_tile_ring_empty.index(i % 4), ((i // 4) & 1) ^ 1)
        mbarrier.expect(do_tile_ring_full.index(i % 4), 8192)
        tma_load(do_desc, [((row + ((i * 64) // span)) * M) + (first + ((i * 64) % span)), 0], do_tile_ring_full.index(i % 4), do_tile_ring.index(i % 4))


@gluon.jit
def attention_dkdv_kernel(
    dv_desc, dk_desc, k_desc, v_desc, q_desc, delta_desc, lse_desc, do_desc, G, M, N, scale,
):
    """Shared memory, barriers, and one warp group for each of consumer0, consumer1, loader."""
    barrier: gl.constexpr = mbarrier.MBarrierLayout()
    q_tile_ring = gl.allocate_shared_memory(gl.bfloat16, [4, 64, 64], q_desc.layout)
    q_tile_ring_full = gl.allocate_shared_memory(gl.int64, [4, 1], barrier)
    q_tile_ring_empty = gl.allocate_shared_memory(gl.int64, [4, 1], barrier)
    do_tile_ring = gl.allocate_shared_memory(gl.bfloat16, [4, 64, 64], do_desc.layout)
    do_tile_ring_full = gl.allocate_shared_memory(gl.int64, [4, 1], barrier)
    do_tile_ring_empty = gl.allocate_shared_memory(gl.int64, [4, 1], barrier)
    lse_row_ring = gl.allocate_shared_memory(gl.float32, [2, 1, 64], lse_desc.layout)
    lse_row_ring_full = gl.allocate_shared_memory(gl.int64, [2, 1], barrier)
    lse_row_ring_empty = gl.allocate_shared_memory(gl.int64, [2, 1], barrier)
    delta_row_ring = gl.allocate_shared_memory(gl.float32, [3, 1, 64], delta_desc.layout)
    delta_row_ring_full = gl.allocate_shared_memory(gl.int64, [3, 1], barrier)
    delta_row_ring_empty = gl.allocate_shared_memory(gl.int64, [3, 1], barrier)
    k_tile_0_smem = gl.allocate_shared_memory(gl.bfloat16, [64, 64], k_desc.layout)
    k_tile_0_smem_full = gl.allocate_shared_memory(gl.int64, [1, 1], barrier)
    k_tile_1_smem = gl.allocate_shared_memory(gl.bfloat16, [64, 64], k_desc.layout)
    k_tile_1_smem_full = gl.allocate_shared_memory(gl.int64, [1, 1], barrier)
    v_tile_0_smem = gl.allocate_shared_memory(gl.bfloat16, [64, 64], v_desc.layout)
    v_tile_0_smem_full = gl.allocate_shared_memory(gl.int64, [1, 1], barrier)
    v_tile_1_smem = gl.allocate_shared_memory(gl.bfloat16, [64, 64], v_desc.layout)
    v_tile_1_smem_full = gl.allocate_shared_memory(gl.int64, [1, 1], barrier)
    dv_desc_0_stage = gl.allocate_shared_memory(gl.bfloat16, [64, 64], DV_DESC_0_STAGE_LAYOUT)
    dk_desc_0_stage = gl.allocate_shared_memory(gl.bfloat16, [64, 64], DK_DESC_0_STAGE_LAYOUT)
    dv_desc_1_stage = gl.allocate_shared_memory(gl.bfloat16, [64, 64], DV_DESC_1_STAGE_LAYOUT)
    dk_desc_1_stage = gl.allocate_shared_memory(gl.bfloat16, [64, 64], DK_DESC_1_STAGE_LAYOUT)
    # turn_0: after s.1, dk_acc.0 may be issued
    turn_0 = gl.allocate_shared_memory(gl.int64, [2, 1], barrier)
    # turn_1: after dk_acc.0, dv_acc.1 may be issued
    turn_1 = gl.allocate_shared_memory(gl.int64, [2, 1], barrier)
    # turn_2: after dp.1, dp.0 may be issued
    turn_2 = gl.allocate_shared_memory(gl.int64, [2, 1], barrier)
    # turn_3: after s.0, s.1 may be issued
    turn_3 = gl.allocate_shared_memory(gl.int64, [2, 1], barrier)
    for slot in gl.static_range(4):
        mbarrier.init(q_tile_ring_full.index(slot), count=1)
    for slot in gl.static_range(4):
        mbarrier.init(q_tile_ring_empty.index(slot), count=2)
    for slot in gl.static_range(4):
        mbarrier.init(do_tile_ring_full.index(slot), count=1)
    for slot in gl.static_range(4):
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
    fence_async_shared()  # the barriers are set up before TMA or another role sees them
    gl.warp_specialize(
        [
            (consumer0, (
                G, M, N, delta_row_ring, delta_row_ring_empty, delta_row_ring_full, dk_desc, dk_desc_0_stage, do_tile_ring,
                do_tile_ring_empty, do_tile_ring_full, dv_desc, dv_desc_0_stage, k_tile_0_smem, k_tile_0_smem_full,
                lse_row_ring, lse_row_ring_empty, lse_row_ring_full, q_tile_ring, q_tile_ring_empty, q_tile_ring_full,
                scale, turn_0, turn_1, turn_2, turn_3, v_tile_0_smem, v_tile_0_smem_full,
            )),
            (consumer1, (
                G, M, N, delta_row_ring, delta_row_ring_empty, delta_row_ring_full, dk_desc, dk_desc_1_stage, do_tile_ring,
                do_tile_ring_empty, do_tile_ring_full, dv_desc, dv_desc_1_stage, k_tile_1_smem, k_tile_1_smem_full,
                lse_row_ring, lse_row_ring_empty, lse_row_ring_full, q_tile_ring, q_tile_ring_empty, q_tile_ring_full,
                scale, turn_0, turn_1, turn_2, turn_3, v_tile_1_smem, v_tile_1_smem_full,
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


def attention_dkdv(q, k, v, do, lse, delta, dk, dv, H, G, M, N, scale, D=64, BLOCK_M=64, BLOCK_N=128, CAUSAL=True):
    """Launch the kernel on the current stream; arguments as of the source kernel `attention_dkdv`.

    Raises TypeError or ValueError when an argument is not what the kernel was compiled for.
    """
    if D != 64:
        raise ValueError(f"compiled for D=64, got {D!r}: compile it again")
    if BLOCK_M != 64:
        raise ValueError(f"compiled for BLOCK_M=64, got {BLOCK_M!r}: compile it again")
    if BLOCK_N != 128:
        raise ValueError(f"compiled for BLOCK_N=128, got {BLOCK_N!r}: compile it again")
    if CAUSAL != True:
        raise ValueError(f"compiled for CAUSAL=True, got {CAUSAL!r}: compile it again")
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
    require_view("dv", dv, [H * N, 64], [64, 1])
    require_view("dk", dk, [H * N, 64], [64, 1])
    require_view("k", k, [H * N, 64], [64, 1])
    require_view("v", v, [H * N, 64], [64, 1])
    require_view("q", q, [(H * G) * M, 64], [64, 1])
    require_view("delta", delta, [1, (H * G) * M], [(H * G) * M, 1])
    require_view("lse", lse, [1, (H * G) * M], [(H * G) * M, 1])
    require_view("do", do, [(H * G) * M, 64], [64, 1])
    if 0 in grid:
        return  # there is nothing to do
    dv_desc = TensorDescriptor(dv, [max(H * N, 1), 64], [64, 1], [64, 64], gl.NVMMASharedLayout.get_default_for([64, 64], gl.bfloat16))
    dk_desc = TensorDescriptor(dk, [max(H * N, 1), 64], [64, 1], [64, 64], gl.NVMMASharedLayout.get_default_for([64, 64], gl.bfloat16))
    k_desc = TensorDescriptor(k, [max(H * N, 1), 64], [64, 1], [64, 64], gl.NVMMASharedLayout.get_default_for([64, 64], gl.bfloat16))
    v_desc = TensorDescriptor(v, [max(H * N, 1), 64], [64, 1], [64, 64], gl.NVMMASharedLayout.get_default_for([64, 64], gl.bfloat16))
    q_desc = TensorDescriptor(q, [max((H * G) * M, 1), 64], [64, 1], [64, 64], gl.NVMMASharedLayout.get_default_for([64, 64], gl.bfloat16))
    delta_desc = TensorDescriptor(delta, [1, max((H * G) * M, 1)], [(H * G) * M, 1], [1, 64], gl.NVMMASharedLayout.get_default_for([1, 64], gl.float32))
    lse_desc = TensorDescriptor(lse, [1, max((H * G) * M, 1)], [(H * G) * M, 1], [1, 64], gl.NVMMASharedLayout.get_default_for([1, 64], gl.float32))
    do_desc = TensorDescriptor(do, [max((H * G) * M, 1), 64], [64, 1], [64, 64], gl.NVMMASharedLayout.get_default_for([64, 64], gl.bfloat16))
    attention_dkdv_kernel[grid](dv_desc, dk_desc, k_desc, v_desc, q_desc, delta_desc, lse_desc, do_desc, G, M, N, scale, num_warps=4)

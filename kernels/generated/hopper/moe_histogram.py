r"""moe_histogram for Hopper, written by Twill from moe_histogram.py. Do not edit: change the
kernel and compile it again.

Compiled for BLOCK=256, BC=32.
Schedule: II = 10 cycles, optimal (ResMII of unit LSU (ops expert, store@9)); one iteration takes 530.

Roles:
  consumer0: 4 warps, 248 registers a thread, 53 stages

Rings:

Steady state, one II:
           0                 2                         5                 7
      ALU |[and #3 ---------]......................................................................|
      LSU |[expert #52 -----][store@9 #0 ---------------------------------------------------------]|
  group 0 |[expert #52 -----][S #0 -]..............................................................|
          |[and #3 ---------]                                                                      |
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

BLOCKED_32: gl.constexpr = gl.constexpr(gl.BlockedLayout(size_per_thread=[1], threads_per_warp=[32], warps_per_cta=[4], order=[0]))


@gluon.jit
def consumer0(C, E, counts, ids):
    """Consumer: warp group 0 of the schedule."""
    block = gl.program_id(0)
    begin = block * 256
    end2 = begin + 256
    end = gl.minimum(end2, C)
    cast = E.to(gl.int64)
    mul = block * E
    addptr = counts + mul
    n = gl.cdiv(end - begin, 32)
    if n >= 52:
        # prologue, body 0
        # expert on LSU: stage 0, slot 0
        expert = gl.load(ids + ((begin + 0 * 32) + gl.arange(0, 32, layout=BLOCKED_32)), mask=((begin + 0 * 32) + gl.arange(0, 32, layout=BLOCKED_32)) < end, other=gl.full([32], -1, gl.int64, BLOCKED_32))
        # prologue, body 1
        # expert on LSU: stage 0, slot 0
        expert_prev = expert
        expert = gl.load(ids + ((begin + 1 * 32) + gl.arange(0, 32, layout=BLOCKED_32)), mask=((begin + 1 * 32) + gl.arange(0, 32, layout=BLOCKED_32)) < end, other=gl.full([32], -1, gl.int64, BLOCKED_32))
        # prologue, body 2
        # expert on LSU: stage 0, slot 0
        expert_prev_prev = expert_prev
        expert_prev = expert
        expert = gl.load(ids + ((begin + 2 * 32) + gl.arange(0, 32, layout=BLOCKED_32)), mask=((begin + 2 * 32) + gl.arange(0, 32, layout=BLOCKED_32)) < end, other=gl.full([32], -1, gl.int64, BLOCKED_32))
        # prologue, body 3
        # expert on LSU: stage 0, slot 0
        expert_prev3 = expert_prev_prev
        expert_prev_prev = expert_prev
        expert_prev = expert
        expert = gl.load(ids + ((begin + 3 * 32) + gl.arange(0, 32, layout=BLOCKED_32)), mask=((begin + 3 * 32) + gl.arange(0, 32, layout=BLOCKED_32)) < end, other=gl.full([32], -1, gl.int64, BLOCKED_32))
        # prologue, body 4
        # expert on LSU: stage 0, slot 0
        expert_prev4 = expert_prev3
        expert_prev3 = expert_prev_prev
        expert_prev_prev = expert_prev
        expert_prev = expert
        expert = gl.load(ids + ((begin + 4 * 32) + gl.arange(0, 32, layout=BLOCKED_32)), mask=((begin + 4 * 32) + gl.arange(0, 32, layout=BLOCKED_32)) < end, other=gl.full([32], -1, gl.int64, BLOCKED_32))
        # prologue, body 5
        # expert on LSU: stage 0, slot 0
        expert_prev5 = expert_prev4
        expert_prev4 = expert_prev3
        expert_prev3 = expert_prev_prev
        expert_prev_prev = expert_prev
        expert_prev = expert
        expert = gl.load(ids + ((begin + 5 * 32) + gl.arange(0, 32, layout=BLOCKED_32)), mask=((begin + 5 * 32) + gl.arange(0, 32, layout=BLOCKED_32)) < end, other=gl.full([32], -1, gl.int64, BLOCKED_32))
        # prologue, body 6
        # expert on LSU: stage 0, slot 0
        expert_prev6 = expert_prev5
        expert_prev5 = expert_prev4
        expert_prev4 = expert_prev3
        expert_prev3 = expert_prev_prev
        expert_prev_prev = expert_prev
        expert_prev = expert
        expert = gl.load(ids + ((begin + 6 * 32) + gl.arange(0, 32, layout=BLOCKED_32)), mask=((begin + 6 * 32) + gl.arange(0, 32, layout=BLOCKED_32)) < end, other=gl.full([32], -1, gl.int64, BLOCKED_32))
        # prologue, body 7
        # expert on LSU: stage 0, slot 0
        expert_prev7 = expert_prev6
        expert_prev6 = expert_prev5
        expert_prev5 = expert_prev4
        expert_prev4 = expert_prev3
        expert_prev3 = expert_prev_prev
        expert_prev_prev = expert_prev
        expert_prev = expert
        expert = gl.load(ids + ((begin + 7 * 32) + gl.arange(0, 32, layout=BLOCKED_32)), mask=((begin + 7 * 32) + gl.arange(0, 32, layout=BLOCKED_32)) < end, other=gl.full([32], -1, gl.int64, BLOCKED_32))
        # prologue, body 8
        # expert on LSU: stage 0, slot 0
        expert_prev8 = expert_prev7
        expert_prev7 = expert_prev6
        expert_prev6 = expert_prev5
        expert_prev5 = expert_prev4
        expert_prev4 = expert_prev3
        expert_prev3 = expert_prev_prev
        expert_prev_prev = expert_prev
        expert_prev = expert
        expert = gl.load(ids + ((begin + 8 * 32) + gl.arange(0, 32, layout=BLOCKED_32)), mask=((begin + 8 * 32) + gl.arange(0, 32, layout=BLOCKED_32)) < end, other=gl.full([32], -1, gl.int64, BLOCKED_32))
        # prologue, body 9
        # expert on LSU: stage 0, slot 0
        expert_prev9 = expert_prev8
        expert_prev8 = expert_prev7
        expert_prev7 = expert_prev6
        expert_prev6 = expert_prev5
        expert_prev5 = expert_prev4
        expert_prev4 = expert_prev3
        expert_prev3 = expert_prev_prev
        expert_prev_prev = expert_prev
        expert_prev = expert
        expert = gl.load(ids + ((begin + 9 * 32) + gl.arange(0, 32, layout=BLOCKED_32)), mask=((begin + 9 * 32) + gl.arange(0, 32, layout=BLOCKED_32)) < end, other=gl.full([32], -1, gl.int64, BLOCKED_32))
        # prologue, body 10
        # expert on LSU: stage 0, slot 0
        expert_prev10 = expert_prev9
        expert_prev9 = expert_prev8
        expert_prev8 = expert_prev7
        expert_prev7 = expert_prev6
        expert_prev6 = expert_prev5
        expert_prev5 = expert_prev4
        expert_prev4 = expert_prev3
        expert_prev3 = expert_prev_prev
        expert_prev_prev = expert_prev
        expert_prev = expert
        expert = gl.load(ids + ((begin + 10 * 32) + gl.arange(0, 32, layout=BLOCKED_32)), mask=((begin + 10 * 32) + gl.arange(0, 32, layout=BLOCKED_32)) < end, other=gl.full([32], -1, gl.int64, BLOCKED_32))
        # prologue, body 11
        # expert on LSU: stage 0, slot 0
        expert_prev11 = expert_prev10
        expert_prev10 = expert_prev9
        expert_prev9 = expert_prev8
        expert_prev8 = expert_prev7
        expert_prev7 = expert_prev6
        expert_prev6 = expert_prev5
        expert_prev5 = expert_prev4
        expert_prev4 = expert_prev3
        expert_prev3 = expert_prev_prev
        expert_prev_prev = expert_prev
        expert_prev = expert
        expert = gl.load(ids + ((begin + 11 * 32) + gl.arange(0, 32, layout=BLOCKED_32)), mask=((begin + 11 * 32) + gl.arange(0, 32, layout=BLOCKED_32)) < end, other=gl.full([32], -1, gl.int64, BLOCKED_32))
        # prologue, body 12
        # expert on LSU: stage 0, slot 0
        expert_prev12 = expert_prev11
        expert_prev11 = expert_prev10
        expert_prev10 = expert_prev9
        expert_prev9 = expert_prev8
        expert_prev8 = expert_prev7
        expert_prev7 = expert_prev6
        expert_prev6 = expert_prev5
        expert_prev5 = expert_prev4
        expert_prev4 = expert_prev3
        expert_prev3 = expert_prev_prev
        expert_prev_prev = expert_prev
        expert_prev = expert
        expert = gl.load(ids + ((begin + 12 * 32) + gl.arange(0, 32, layout=BLOCKED_32)), mask=((begin + 12 * 32) + gl.arange(0, 32, layout=BLOCKED_32)) < end, other=gl.full([32], -1, gl.int64, BLOCKED_32))
        # prologue, body 13
        # expert on LSU: stage 0, slot 0
        expert_prev13 = expert_prev12
        expert_prev12 = expert_prev11
        expert_prev11 = expert_prev10
        expert_prev10 = expert_prev9
        expert_prev9 = expert_prev8
        expert_prev8 = expert_prev7
        expert_prev7 = expert_prev6
        expert_prev6 = expert_prev5
        expert_prev5 = expert_prev4
        expert_prev4 = expert_prev3
        expert_prev3 = expert_prev_prev
        expert_prev_prev = expert_prev
        expert_prev = expert
        expert = gl.load(ids + ((begin + 13 * 32) + gl.arange(0, 32, layout=BLOCKED_32)), mask=((begin + 13 * 32) + gl.arange(0, 32, layout=BLOCKED_32)) < end, other=gl.full([32], -1, gl.int64, BLOCKED_32))
        # prologue, body 14
        # expert on LSU: stage 0, slot 0
        expert_prev14 = expert_prev13
        expert_prev13 = expert_prev12
        expert_prev12 = expert_prev11
        expert_prev11 = expert_prev10
        expert_prev10 = expert_prev9
        expert_prev9 = expert_prev8
        expert_prev8 = expert_prev7
        expert_prev7 = expert_prev6
        expert_prev6 = expert_prev5
        expert_prev5 = expert_prev4
        expert_prev4 = expert_prev3
        expert_prev3 = expert_prev_prev
        expert_prev_prev = expert_prev
        expert_prev = expert
        expert = gl.load(ids + ((begin + 14 * 32) + gl.arange(0, 32, layout=BLOCKED_32)), mask=((begin + 14 * 32) + gl.arange(0, 32, layout=BLOCKED_32)) < end, other=gl.full([32], -1, gl.int64, BLOCKED_32))
        # prologue, body 15
        # expert on LSU: stage 0, slot 0
        expert_prev15 = expert_prev14
        expert_prev14 = expert_prev13
        expert_prev13 = expert_prev12
        expert_prev12 = expert_prev11
        expert_prev11 = expert_prev10
        expert_prev10 = expert_prev9
        expert_prev9 = expert_prev8
        expert_prev8 = expert_prev7
        expert_prev7 = expert_prev6
        expert_prev6 = expert_prev5
        expert_prev5 = expert_prev4
        expert_prev4 = expert_prev3
        expert_prev3 = expert_prev_prev
        expert_prev_prev = expert_prev
        expert_prev = expert
        expert = gl.load(ids + ((begin + 15 * 32) + gl.arange(0, 32, layout=BLOCKED_32)), mask=((begin + 15 * 32) + gl.arange(0, 32, layout=BLOCKED_32)) < end, other=gl.full([32], -1, gl.int64, BLOCKED_32))
        # prologue, body 16
        # expert on LSU: stage 0, slot 0
        expert_prev16 = expert_prev15
        expert_prev15 = expert_prev14
        expert_prev14 = expert_prev13
        expert_prev13 = expert_prev12
        expert_prev12 = expert_prev11
        expert_prev11 = expert_prev10
        expert_prev10 = expert_prev9
        expert_prev9 = expert_prev8
        expert_prev8 = expert_prev7
        expert_prev7 = expert_prev6
        expert_prev6 = expert_prev5
        expert_prev5 = expert_prev4
        expert_prev4 = expert_prev3
        expert_prev3 = expert_prev_prev
        expert_prev_prev = expert_prev
        expert_prev = expert
        expert = gl.load(ids + ((begin + 16 * 32) + gl.arange(0, 32, layout=BLOCKED_32)), mask=((begin + 16 * 32) + gl.arange(0, 32, layout=BLOCKED_32)) < end, other=gl.full([32], -1, gl.int64, BLOCKED_32))
        # prologue, body 17
        # expert on LSU: stage 0, slot 0
        expert_prev17 = expert_prev16
        expert_prev16 = expert_prev15
        expert_prev15 = expert_prev14
        expert_prev14 = expert_prev13
        expert_prev13 = expert_prev12
        expert_prev12 = expert_prev11
        expert_prev11 = expert_prev10
        expert_prev10 = expert_prev9
        expert_prev9 = expert_prev8
        expert_prev8 = expert_prev7
        expert_prev7 = expert_prev6
        expert_prev6 = expert_prev5
        expert_prev5 = expert_prev4
        expert_prev4 = expert_prev3
        expert_prev3 = expert_prev_prev
        expert_prev_prev = expert_prev
        expert_prev = expert
        expert = gl.load(ids + ((begin + 17 * 32) + gl.arange(0, 32, layout=BLOCKED_32)), mask=((begin + 17 * 32) + gl.arange(0, 32, layout=BLOCKED_32)) < end, other=gl.full([32], -1, gl.int64, BLOCKED_32))
        # prologue, body 18
        # expert on LSU: stage 0, slot 0
        expert_prev18 = expert_prev17
        expert_prev17 = expert_prev16
        expert_prev16 = expert_prev15
        expert_prev15 = expert_prev14
        expert_prev14 = expert_prev13
        expert_prev13 = expert_prev12
        expert_prev12 = expert_prev11
        expert_prev11 = expert_prev10
        expert_prev10 = expert_prev9
        expert_prev9 = expert_prev8
        expert_prev8 = expert_prev7
        expert_prev7 = expert_prev6
        expert_prev6 = expert_prev5
        expert_prev5 = expert_prev4
        expert_prev4 = expert_prev3
        expert_prev3 = expert_prev_prev
        expert_prev_prev = expert_prev
        expert_prev = expert
        expert = gl.load(ids + ((begin + 18 * 32) + gl.arange(0, 32, layout=BLOCKED_32)), mask=((begin + 18 * 32) + gl.arange(0, 32, layout=BLOCKED_32)) < end, other=gl.full([32], -1, gl.int64, BLOCKED_32))
        # prologue, body 19
        # expert on LSU: stage 0, slot 0
        expert_prev19 = expert_prev18
        expert_prev18 = expert_prev17
        expert_prev17 = expert_prev16
        expert_prev16 = expert_prev15
        expert_prev15 = expert_prev14
        expert_prev14 = expert_prev13
        expert_prev13 = expert_prev12
        expert_prev12 = expert_prev11
        expert_prev11 = expert_prev10
        expert_prev10 = expert_prev9
        expert_prev9 = expert_prev8
        expert_prev8 = expert_prev7
        expert_prev7 = expert_prev6
        expert_prev6 = expert_prev5
        expert_prev5 = expert_prev4
        expert_prev4 = expert_prev3
        expert_prev3 = expert_prev_prev
        expert_prev_prev = expert_prev
        expert_prev = expert
        expert = gl.load(ids + ((begin + 19 * 32) + gl.arange(0, 32, layout=BLOCKED_32)), mask=((begin + 19 * 32) + gl.arange(0, 32, layout=BLOCKED_32)) < end, other=gl.full([32], -1, gl.int64, BLOCKED_32))
        # prologue, body 20
        # expert on LSU: stage 0, slot 0
        expert_prev20 = expert_prev19
        expert_prev19 = expert_prev18
        expert_prev18 = expert_prev17
        expert_prev17 = expert_prev16
        expert_prev16 = expert_prev15
        expert_prev15 = expert_prev14
        expert_prev14 = expert_prev13
        expert_prev13 = expert_prev12
        expert_prev12 = expert_prev11
        expert_prev11 = expert_prev10
        expert_prev10 = expert_prev9
        expert_prev9 = expert_prev8
        expert_prev8 = expert_prev7
        expert_prev7 = expert_prev6
        expert_prev6 = expert_prev5
        expert_prev5 = expert_prev4
        expert_prev4 = expert_prev3
        expert_prev3 = expert_prev_prev
        expert_prev_prev = expert_prev
        expert_prev = expert
        expert = gl.load(ids + ((begin + 20 * 32) + gl.arange(0, 32, layout=BLOCKED_32)), mask=((begin + 20 * 32) + gl.arange(0, 32, layout=BLOCKED_32)) < end, other=gl.full([32], -1, gl.int64, BLOCKED_32))
        # prologue, body 21
        # expert on LSU: stage 0, slot 0
        expert_prev21 = expert_prev20
        expert_prev20 = expert_prev19
        expert_prev19 = expert_prev18
        expert_prev18 = expert_prev17
        expert_prev17 = expert_prev16
        expert_prev16 = expert_prev15
        expert_prev15 = expert_prev14
        expert_prev14 = expert_prev13
        expert_prev13 = expert_prev12
        expert_prev12 = expert_prev11
        expert_prev11 = expert_prev10
        expert_prev10 = expert_prev9
        expert_prev9 = expert_prev8
        expert_prev8 = expert_prev7
        expert_prev7 = expert_prev6
        expert_prev6 = expert_prev5
        expert_prev5 = expert_prev4
        expert_prev4 = expert_prev3
        expert_prev3 = expert_prev_prev
        expert_prev_prev = expert_prev
        expert_prev = expert
        expert = gl.load(ids + ((begin + 21 * 32) + gl.arange(0, 32, layout=BLOCKED_32)), mask=((begin + 21 * 32) + gl.arange(0, 32, layout=BLOCKED_32)) < end, other=gl.full([32], -1, gl.int64, BLOCKED_32))
        # prologue, body 22
        # expert on LSU: stage 0, slot 0
        expert_prev22 = expert_prev21
        expert_prev21 = expert_prev20
        expert_prev20 = expert_prev19
        expert_prev19 = expert_prev18
        expert_prev18 = expert_prev17
        expert_prev17 = expert_prev16
        expert_prev16 = expert_prev15
        expert_prev15 = expert_prev14
        expert_prev14 = expert_prev13
        expert_prev13 = expert_prev12
        expert_prev12 = expert_prev11
        expert_prev11 = expert_prev10
        expert_prev10 = expert_prev9
        expert_prev9 = expert_prev8
        expert_prev8 = expert_prev7
        expert_prev7 = expert_prev6
        expert_prev6 = expert_prev5
        expert_prev5 = expert_prev4
        expert_prev4 = expert_prev3
        expert_prev3 = expert_prev_prev
        expert_prev_prev = expert_prev
        expert_prev = expert
        expert = gl.load(ids + ((begin + 22 * 32) + gl.arange(0, 32, layout=BLOCKED_32)), mask=((begin + 22 * 32) + gl.arange(0, 32, layout=BLOCKED_32)) < end, other=gl.full([32], -1, gl.int64, BLOCKED_32))
        # prologue, body 23
        # expert on LSU: stage 0, slot 0
        expert_prev23 = expert_prev22
        expert_prev22 = expert_prev21
        expert_prev21 = expert_prev20
        expert_prev20 = expert_prev19
        expert_prev19 = expert_prev18
        expert_prev18 = expert_prev17
        expert_prev17 = expert_prev16
        expert_prev16 = expert_prev15
        expert_prev15 = expert_prev14
        expert_prev14 = expert_prev13
        expert_prev13 = expert_prev12
        expert_prev12 = expert_prev11
        expert_prev11 = expert_prev10
        expert_prev10 = expert_prev9
        expert_prev9 = expert_prev8
        expert_prev8 = expert_prev7
        expert_prev7 = expert_prev6
        expert_prev6 = expert_prev5
        expert_prev5 = expert_prev4
        expert_prev4 = expert_prev3
        expert_prev3 = expert_prev_prev
        expert_prev_prev = expert_prev
        expert_prev = expert
        expert = gl.load(ids + ((begin + 23 * 32) + gl.arange(0, 32, layout=BLOCKED_32)), mask=((begin + 23 * 32) + gl.arange(0, 32, layout=BLOCKED_32)) < end, other=gl.full([32], -1, gl.int64, BLOCKED_32))
        # prologue, body 24
        # expert on LSU: stage 0, slot 0
        expert_prev24 = expert_prev23
        expert_prev23 = expert_prev22
        expert_prev22 = expert_prev21
        expert_prev21 = expert_prev20
        expert_prev20 = expert_prev19
        expert_prev19 = expert_prev18
        expert_prev18 = expert_prev17
        expert_prev17 = expert_prev16
        expert_prev16 = expert_prev15
        expert_prev15 = expert_prev14
        expert_prev14 = expert_prev13
        expert_prev13 = expert_prev12
        expert_prev12 = expert_prev11
        expert_prev11 = expert_prev10
        expert_prev10 = expert_prev9
        expert_prev9 = expert_prev8
        expert_prev8 = expert_prev7
        expert_prev7 = expert_prev6
        expert_prev6 = expert_prev5
        expert_prev5 = expert_prev4
        expert_prev4 = expert_prev3
        expert_prev3 = expert_prev_prev
        expert_prev_prev = expert_prev
        expert_prev = expert
        expert = gl.load(ids + ((begin + 24 * 32) + gl.arange(0, 32, layout=BLOCKED_32)), mask=((begin + 24 * 32) + gl.arange(0, 32, layout=BLOCKED_32)) < end, other=gl.full([32], -1, gl.int64, BLOCKED_32))
        # prologue, body 25
        # expert on LSU: stage 0, slot 0
        expert_prev25 = expert_prev24
        expert_prev24 = expert_prev23
        expert_prev23 = expert_prev22
        expert_prev22 = expert_prev21
        expert_prev21 = expert_prev20
        expert_prev20 = expert_prev19
        expert_prev19 = expert_prev18
        expert_prev18 = expert_prev17
        expert_prev17 = expert_prev16
        expert_prev16 = expert_prev15
        expert_prev15 = expert_prev14
        expert_prev14 = expert_prev13
        expert_prev13 = expert_prev12
        expert_prev12 = expert_prev11
        expert_prev11 = expert_prev10
        expert_prev10 = expert_prev9
        expert_prev9 = expert_prev8
        expert_prev8 = expert_prev7
        expert_prev7 = expert_prev6
        expert_prev6 = expert_prev5
        expert_prev5 = expert_prev4
        expert_prev4 = expert_prev3
        expert_prev3 = expert_prev_prev
        expert_prev_prev = expert_prev
        expert_prev = expert
        expert = gl.load(ids + ((begin + 25 * 32) + gl.arange(0, 32, layout=BLOCKED_32)), mask=((begin + 25 * 32) + gl.arange(0, 32, layout=BLOCKED_32)) < end, other=gl.full([32], -1, gl.int64, BLOCKED_32))
        # prologue, body 26
        # expert on LSU: stage 0, slot 0
        expert_prev26 = expert_prev25
        expert_prev25 = expert_prev24
        expert_prev24 = expert_prev23
        expert_prev23 = expert_prev22
        expert_prev22 = expert_prev21
        expert_prev21 = expert_prev20
        expert_prev20 = expert_prev19
        expert_prev19 = expert_prev18
        expert_prev18 = expert_prev17
        expert_prev17 = expert_prev16
        expert_prev16 = expert_prev15
        expert_prev15 = expert_prev14
        expert_prev14 = expert_prev13
        expert_prev13 = expert_prev12
        expert_prev12 = expert_prev11
        expert_prev11 = expert_prev10
        expert_prev10 = expert_prev9
        expert_prev9 = expert_prev8
        expert_prev8 = expert_prev7
        expert_prev7 = expert_prev6
        expert_prev6 = expert_prev5
        expert_prev5 = expert_prev4
        expert_prev4 = expert_prev3
        expert_prev3 = expert_prev_prev
        expert_prev_prev = expert_prev
        expert_prev = expert
        expert = gl.load(ids + ((begin + 26 * 32) + gl.arange(0, 32, layout=BLOCKED_32)), mask=((begin + 26 * 32) + gl.arange(0, 32, layout=BLOCKED_32)) < end, other=gl.full([32], -1, gl.int64, BLOCKED_32))
        # prologue, body 27
        # expert on LSU: stage 0, slot 0
        expert_prev27 = expert_prev26
        expert_prev26 = expert_prev25
        expert_prev25 = expert_prev24
        expert_prev24 = expert_prev23
        expert_prev23 = expert_prev22
        expert_prev22 = expert_prev21
        expert_prev21 = expert_prev20
        expert_prev20 = expert_prev19
        expert_prev19 = expert_prev18
        expert_prev18 = expert_prev17
        expert_prev17 = expert_prev16
        expert_prev16 = expert_prev15
        expert_prev15 = expert_prev14
        expert_prev14 = expert_prev13
        expert_prev13 = expert_prev12
        expert_prev12 = expert_prev11
        expert_prev11 = expert_prev10
        expert_prev10 = expert_prev9
        expert_prev9 = expert_prev8
        expert_prev8 = expert_prev7
        expert_prev7 = expert_prev6
        expert_prev6 = expert_prev5
        expert_prev5 = expert_prev4
        expert_prev4 = expert_prev3
        expert_prev3 = expert_prev_prev
        expert_prev_prev = expert_prev
        expert_prev = expert
        expert = gl.load(ids + ((begin + 27 * 32) + gl.arange(0, 32, layout=BLOCKED_32)), mask=((begin + 27 * 32) + gl.arange(0, 32, layout=BLOCKED_32)) < end, other=gl.full([32], -1, gl.int64, BLOCKED_32))
        # prologue, body 28
        # expert on LSU: stage 0, slot 0
        expert_prev28 = expert_prev27
        expert_prev27 = expert_prev26
        expert_prev26 = expert_prev25
        expert_prev25 = expert_prev24
        expert_prev24 = expert_prev23
        expert_prev23 = expert_prev22
        expert_prev22 = expert_prev21
        expert_prev21 = expert_prev20
        expert_prev20 = expert_prev19
        expert_prev19 = expert_prev18
        expert_prev18 = expert_prev17
        expert_prev17 = expert_prev16
        expert_prev16 = expert_prev15
        expert_prev15 = expert_prev14
        expert_prev14 = expert_prev13
        expert_prev13 = expert_prev12
        expert_prev12 = expert_prev11
        expert_prev11 = expert_prev10
        expert_prev10 = expert_prev9
        expert_prev9 = expert_prev8
        expert_prev8 = expert_prev7
        expert_prev7 = expert_prev6
        expert_prev6 = expert_prev5
        expert_prev5 = expert_prev4
        expert_prev4 = expert_prev3
        expert_prev3 = expert_prev_prev
        expert_prev_prev = expert_prev
        expert_prev = expert
        expert = gl.load(ids + ((begin + 28 * 32) + gl.arange(0, 32, layout=BLOCKED_32)), mask=((begin + 28 * 32) + gl.arange(0, 32, layout=BLOCKED_32)) < end, other=gl.full([32], -1, gl.int64, BLOCKED_32))
        # prologue, body 29
        # expert on LSU: stage 0, slot 0
        expert_prev29 = expert_prev28
        expert_prev28 = expert_prev27
        expert_prev27 = expert_prev26
        expert_prev26 = expert_prev25
        expert_prev25 = expert_prev24
        expert_prev24 = expert_prev23
        expert_prev23 = expert_prev22
        expert_prev22 = expert_prev21
        expert_prev21 = expert_prev20
        expert_prev20 = expert_prev19
        expert_prev19 = expert_prev18
        expert_prev18 = expert_prev17
        expert_prev17 = expert_prev16
        expert_prev16 = expert_prev15
        expert_prev15 = expert_prev14
        expert_prev14 = expert_prev13
        expert_prev13 = expert_prev12
        expert_prev12 = expert_prev11
        expert_prev11 = expert_prev10
        expert_prev10 = expert_prev9
        expert_prev9 = expert_prev8
        expert_prev8 = expert_prev7
        expert_prev7 = expert_prev6
        expert_prev6 = expert_prev5
        expert_prev5 = expert_prev4
        expert_prev4 = expert_prev3
        expert_prev3 = expert_prev_prev
        expert_prev_prev = expert_prev
        expert_prev = expert
        expert = gl.load(ids + ((begin + 29 * 32) + gl.arange(0, 32, layout=BLOCKED_32)), mask=((begin + 29 * 32) + gl.arange(0, 32, layout=BLOCKED_32)) < end, other=gl.full([32], -1, gl.int64, BLOCKED_32))
        # prologue, body 30
        # expert on LSU: stage 0, slot 0
        expert_prev30 = expert_prev29
        expert_prev29 = expert_prev28
        expert_prev28 = expert_prev27
        expert_prev27 = expert_prev26
        expert_prev26 = expert_prev25
        expert_prev25 = expert_prev24
        expert_prev24 = expert_prev23
        expert_prev23 = expert_prev22
        expert_prev22 = expert_prev21
        expert_prev21 = expert_prev20
        expert_prev20 = expert_prev19
        expert_prev19 = expert_prev18
        expert_prev18 = expert_prev17
        expert_prev17 = expert_prev16
        expert_prev16 = expert_prev15
        expert_prev15 = expert_prev14
        expert_prev14 = expert_prev13
        expert_prev13 = expert_prev12
        expert_prev12 = expert_prev11
        expert_prev11 = expert_prev10
        expert_prev10 = expert_prev9
        expert_prev9 = expert_prev8
        expert_prev8 = expert_prev7
        expert_prev7 = expert_prev6
        expert_prev6 = expert_prev5
        expert_prev5 = expert_prev4
        expert_prev4 = expert_prev3
        expert_prev3 = expert_prev_prev
        expert_prev_prev = expert_prev
        expert_prev = expert
        expert = gl.load(ids + ((begin + 30 * 32) + gl.arange(0, 32, layout=BLOCKED_32)), mask=((begin + 30 * 32) + gl.arange(0, 32, layout=BLOCKED_32)) < end, other=gl.full([32], -1, gl.int64, BLOCKED_32))
        # prologue, body 31
        # expert on LSU: stage 0, slot 0
        expert_prev31 = expert_prev30
        expert_prev30 = expert_prev29
        expert_prev29 = expert_prev28
        expert_prev28 = expert_prev27
        expert_prev27 = expert_prev26
        expert_prev26 = expert_prev25
        expert_prev25 = expert_prev24
        expert_prev24 = expert_prev23
        expert_prev23 = expert_prev22
        expert_prev22 = expert_prev21
        expert_prev21 = expert_prev20
        expert_prev20 = expert_prev19
        expert_prev19 = expert_prev18
        expert_prev18 = expert_prev17
        expert_prev17 = expert_prev16
        expert_prev16 = expert_prev15
        expert_prev15 = expert_prev14
        expert_prev14 = expert_prev13
        expert_prev13 = expert_prev12
        expert_prev12 = expert_prev11
        expert_prev11 = expert_prev10
        expert_prev10 = expert_prev9
        expert_prev9 = expert_prev8
        expert_prev8 = expert_prev7
        expert_prev7 = expert_prev6
        expert_prev6 = expert_prev5
        expert_prev5 = expert_prev4
        expert_prev4 = expert_prev3
        expert_prev3 = expert_prev_prev
        expert_prev_prev = expert_prev
        expert_prev = expert
        expert = gl.load(ids + ((begin + 31 * 32) + gl.arange(0, 32, layout=BLOCKED_32)), mask=((begin + 31 * 32) + gl.arange(0, 32, layout=BLOCKED_32)) < end, other=gl.full([32], -1, gl.int64, BLOCKED_32))
        # prologue, body 32
        # expert on LSU: stage 0, slot 0
        expert_prev32 = expert_prev31
        expert_prev31 = expert_prev30
        expert_prev30 = expert_prev29
        expert_prev29 = expert_prev28
        expert_prev28 = expert_prev27
        expert_prev27 = expert_prev26
        expert_prev26 = expert_prev25
        expert_prev25 = expert_prev24
        expert_prev24 = expert_prev23
        expert_prev23 = expert_prev22
        expert_prev22 = expert_prev21
        expert_prev21 = expert_prev20
        expert_prev20 = expert_prev19
        expert_prev19 = expert_prev18
        expert_prev18 = expert_prev17
        expert_prev17 = expert_prev16
        expert_prev16 = expert_prev15
        expert_prev15 = expert_prev14
        expert_prev14 = expert_prev13
        expert_prev13 = expert_prev12
        expert_prev12 = expert_prev11
        expert_prev11 = expert_prev10
        expert_prev10 = expert_prev9
        expert_prev9 = expert_prev8
        expert_prev8 = expert_prev7
        expert_prev7 = expert_prev6
        expert_prev6 = expert_prev5
        expert_prev5 = expert_prev4
        expert_prev4 = expert_prev3
        expert_prev3 = expert_prev_prev
        expert_prev_prev = expert_prev
        expert_prev = expert
        expert = gl.load(ids + ((begin + 32 * 32) + gl.arange(0, 32, layout=BLOCKED_32)), mask=((begin + 32 * 32) + gl.arange(0, 32, layout=BLOCKED_32)) < end, other=gl.full([32], -1, gl.int64, BLOCKED_32))
        # prologue, body 33
        # expert on LSU: stage 0, slot 0
        expert_prev33 = expert_prev32
        expert_prev32 = expert_prev31
        expert_prev31 = expert_prev30
        expert_prev30 = expert_prev29
        expert_prev29 = expert_prev28
        expert_prev28 = expert_prev27
        expert_prev27 = expert_prev26
        expert_prev26 = expert_prev25
        expert_prev25 = expert_prev24
        expert_prev24 = expert_prev23
        expert_prev23 = expert_prev22
        expert_prev22 = expert_prev21
        expert_prev21 = expert_prev20
        expert_prev20 = expert_prev19
        expert_prev19 = expert_prev18
        expert_prev18 = expert_prev17
        expert_prev17 = expert_prev16
        expert_prev16 = expert_prev15
        expert_prev15 = expert_prev14
        expert_prev14 = expert_prev13
        expert_prev13 = expert_prev12
        expert_prev12 = expert_prev11
        expert_prev11 = expert_prev10
        expert_prev10 = expert_prev9
        expert_prev9 = expert_prev8
        expert_prev8 = expert_prev7
        expert_prev7 = expert_prev6
        expert_prev6 = expert_prev5
        expert_prev5 = expert_prev4
        expert_prev4 = expert_prev3
        expert_prev3 = expert_prev_prev
        expert_prev_prev = expert_prev
        expert_prev = expert
        expert = gl.load(ids + ((begin + 33 * 32) + gl.arange(0, 32, layout=BLOCKED_32)), mask=((begin + 33 * 32) + gl.arange(0, 32, layout=BLOCKED_32)) < end, other=gl.full([32], -1, gl.int64, BLOCKED_32))
        # prologue, body 34
        # expert on LSU: stage 0, slot 0
        expert_prev34 = expert_prev33
        expert_prev33 = expert_prev32
        expert_prev32 = expert_prev31
        expert_prev31 = expert_prev30
        expert_prev30 = expert_prev29
        expert_prev29 = expert_prev28
        expert_prev28 = expert_prev27
        expert_prev27 = expert_prev26
        expert_prev26 = expert_prev25
        expert_prev25 = expert_prev24
        expert_prev24 = expert_prev23
        expert_prev23 = expert_prev22
        expert_prev22 = expert_prev21
        expert_prev21 = expert_prev20
        expert_prev20 = expert_prev19
        expert_prev19 = expert_prev18
        expert_prev18 = expert_prev17
        expert_prev17 = expert_prev16
        expert_prev16 = expert_prev15
        expert_prev15 = expert_prev14
        expert_prev14 = expert_prev13
        expert_prev13 = expert_prev12
        expert_prev12 = expert_prev11
        expert_prev11 = expert_prev10
        expert_prev10 = expert_prev9
        expert_prev9 = expert_prev8
        expert_prev8 = expert_prev7
        expert_prev7 = expert_prev6
        expert_prev6 = expert_prev5
        expert_prev5 = expert_prev4
        expert_prev4 = expert_prev3
        expert_prev3 = expert_prev_prev
        expert_prev_prev = expert_prev
        expert_prev = expert
        expert = gl.load(ids + ((begin + 34 * 32) + gl.arange(0, 32, layout=BLOCKED_32)), mask=((begin + 34 * 32) + gl.arange(0, 32, layout=BLOCKED_32)) < end, other=gl.full([32], -1, gl.int64, BLOCKED_32))
        # prologue, body 35
        # expert on LSU: stage 0, slot 0
        expert_prev35 = expert_prev34
        expert_prev34 = expert_prev33
        expert_prev33 = expert_prev32
        expert_prev32 = expert_prev31
        expert_prev31 = expert_prev30
        expert_prev30 = expert_prev29
        expert_prev29 = expert_prev28
        expert_prev28 = expert_prev27
        expert_prev27 = expert_prev26
        expert_prev26 = expert_prev25
        expert_prev25 = expert_prev24
        expert_prev24 = expert_prev23
        expert_prev23 = expert_prev22
        expert_prev22 = expert_prev21
        expert_prev21 = expert_prev20
        expert_prev20 = expert_prev19
        expert_prev19 = expert_prev18
        expert_prev18 = expert_prev17
        expert_prev17 = expert_prev16
        expert_prev16 = expert_prev15
        expert_prev15 = expert_prev14
        expert_prev14 = expert_prev13
        expert_prev13 = expert_prev12
        expert_prev12 = expert_prev11
        expert_prev11 = expert_prev10
        expert_prev10 = expert_prev9
        expert_prev9 = expert_prev8
        expert_prev8 = expert_prev7
        expert_prev7 = expert_prev6
        expert_prev6 = expert_prev5
        expert_prev5 = expert_prev4
        expert_prev4 = expert_prev3
        expert_prev3 = expert_prev_prev
        expert_prev_prev = expert_prev
        expert_prev = expert
        expert = gl.load(ids + ((begin + 35 * 32) + gl.arange(0, 32, layout=BLOCKED_32)), mask=((begin + 35 * 32) + gl.arange(0, 32, layout=BLOCKED_32)) < end, other=gl.full([32], -1, gl.int64, BLOCKED_32))
        # prologue, body 36
        # expert on LSU: stage 0, slot 0
        expert_prev36 = expert_prev35
        expert_prev35 = expert_prev34
        expert_prev34 = expert_prev33
        expert_prev33 = expert_prev32
        expert_prev32 = expert_prev31
        expert_prev31 = expert_prev30
        expert_prev30 = expert_prev29
        expert_prev29 = expert_prev28
        expert_prev28 = expert_prev27
        expert_prev27 = expert_prev26
        expert_prev26 = expert_prev25
        expert_prev25 = expert_prev24
        expert_prev24 = expert_prev23
        expert_prev23 = expert_prev22
        expert_prev22 = expert_prev21
        expert_prev21 = expert_prev20
        expert_prev20 = expert_prev19
        expert_prev19 = expert_prev18
        expert_prev18 = expert_prev17
        expert_prev17 = expert_prev16
        expert_prev16 = expert_prev15
        expert_prev15 = expert_prev14
        expert_prev14 = expert_prev13
        expert_prev13 = expert_prev12
        expert_prev12 = expert_prev11
        expert_prev11 = expert_prev10
        expert_prev10 = expert_prev9
        expert_prev9 = expert_prev8
        expert_prev8 = expert_prev7
        expert_prev7 = expert_prev6
        expert_prev6 = expert_prev5
        expert_prev5 = expert_prev4
        expert_prev4 = expert_prev3
        expert_prev3 = expert_prev_prev
        expert_prev_prev = expert_prev
        expert_prev = expert
        expert = gl.load(ids + ((begin + 36 * 32) + gl.arange(0, 32, layout=BLOCKED_32)), mask=((begin + 36 * 32) + gl.arange(0, 32, layout=BLOCKED_32)) < end, other=gl.full([32], -1, gl.int64, BLOCKED_32))
        # prologue, body 37
        # expert on LSU: stage 0, slot 0
        expert_prev37 = expert_prev36
        expert_prev36 = expert_prev35
        expert_prev35 = expert_prev34
        expert_prev34 = expert_prev33
        expert_prev33 = expert_prev32
        expert_prev32 = expert_prev31
        expert_prev31 = expert_prev30
        expert_prev30 = expert_prev29
        expert_prev29 = expert_prev28
        expert_prev28 = expert_prev27
        expert_prev27 = expert_prev26
        expert_prev26 = expert_prev25
        expert_prev25 = expert_prev24
        expert_prev24 = expert_prev23
        expert_prev23 = expert_prev22
        expert_prev22 = expert_prev21
        expert_prev21 = expert_prev20
        expert_prev20 = expert_prev19
        expert_prev19 = expert_prev18
        expert_prev18 = expert_prev17
        expert_prev17 = expert_prev16
        expert_prev16 = expert_prev15
        expert_prev15 = expert_prev14
        expert_prev14 = expert_prev13
        expert_prev13 = expert_prev12
        expert_prev12 = expert_prev11
        expert_prev11 = expert_prev10
        expert_prev10 = expert_prev9
        expert_prev9 = expert_prev8
        expert_prev8 = expert_prev7
        expert_prev7 = expert_prev6
        expert_prev6 = expert_prev5
        expert_prev5 = expert_prev4
        expert_prev4 = expert_prev3
        expert_prev3 = expert_prev_prev
        expert_prev_prev = expert_prev
        expert_prev = expert
        expert = gl.load(ids + ((begin + 37 * 32) + gl.arange(0, 32, layout=BLOCKED_32)), mask=((begin + 37 * 32) + gl.arange(0, 32, layout=BLOCKED_32)) < end, other=gl.full([32], -1, gl.int64, BLOCKED_32))
        # prologue, body 38
        # expert on LSU: stage 0, slot 0
        expert_prev38 = expert_prev37
        expert_prev37 = expert_prev36
        expert_prev36 = expert_prev35
        expert_prev35 = expert_prev34
        expert_prev34 = expert_prev33
        expert_prev33 = expert_prev32
        expert_prev32 = expert_prev31
        expert_prev31 = expert_prev30
        expert_prev30 = expert_prev29
        expert_prev29 = expert_prev28
        expert_prev28 = expert_prev27
        expert_prev27 = expert_prev26
        expert_prev26 = expert_prev25
        expert_prev25 = expert_prev24
        expert_prev24 = expert_prev23
        expert_prev23 = expert_prev22
        expert_prev22 = expert_prev21
        expert_prev21 = expert_prev20
        expert_prev20 = expert_prev19
        expert_prev19 = expert_prev18
        expert_prev18 = expert_prev17
        expert_prev17 = expert_prev16
        expert_prev16 = expert_prev15
        expert_prev15 = expert_prev14
        expert_prev14 = expert_prev13
        expert_prev13 = expert_prev12
        expert_prev12 = expert_prev11
        expert_prev11 = expert_prev10
        expert_prev10 = expert_prev9
        expert_prev9 = expert_prev8
        expert_prev8 = expert_prev7
        expert_prev7 = expert_prev6
        expert_prev6 = expert_prev5
        expert_prev5 = expert_prev4
        expert_prev4 = expert_prev3
        expert_prev3 = expert_prev_prev
        expert_prev_prev = expert_prev
        expert_prev = expert
        expert = gl.load(ids + ((begin + 38 * 32) + gl.arange(0, 32, layout=BLOCKED_32)), mask=((begin + 38 * 32) + gl.arange(0, 32, layout=BLOCKED_32)) < end, other=gl.full([32], -1, gl.int64, BLOCKED_32))
        # prologue, body 39
        # expert on LSU: stage 0, slot 0
        expert_prev39 = expert_prev38
        expert_prev38 = expert_prev37
        expert_prev37 = expert_prev36
        expert_prev36 = expert_prev35
        expert_prev35 = expert_prev34
        expert_prev34 = expert_prev33
        expert_prev33 = expert_prev32
        expert_prev32 = expert_prev31
        expert_prev31 = expert_prev30
        expert_prev30 = expert_prev29
        expert_prev29 = expert_prev28
        expert_prev28 = expert_prev27
        expert_prev27 = expert_prev26
        expert_prev26 = expert_prev25
        expert_prev25 = expert_prev24
        expert_prev24 = expert_prev23
        expert_prev23 = expert_prev22
        expert_prev22 = expert_prev21
        expert_prev21 = expert_prev20
        expert_prev20 = expert_prev19
        expert_prev19 = expert_prev18
        expert_prev18 = expert_prev17
        expert_prev17 = expert_prev16
        expert_prev16 = expert_prev15
        expert_prev15 = expert_prev14
        expert_prev14 = expert_prev13
        expert_prev13 = expert_prev12
        expert_prev12 = expert_prev11
        expert_prev11 = expert_prev10
        expert_prev10 = expert_prev9
        expert_prev9 = expert_prev8
        expert_prev8 = expert_prev7
        expert_prev7 = expert_prev6
        expert_prev6 = expert_prev5
        expert_prev5 = expert_prev4
        expert_prev4 = expert_prev3
        expert_prev3 = expert_prev_prev
        expert_prev_prev = expert_prev
        expert_prev = expert
        expert = gl.load(ids + ((begin + 39 * 32) + gl.arange(0, 32, layout=BLOCKED_32)), mask=((begin + 39 * 32) + gl.arange(0, 32, layout=BLOCKED_32)) < end, other=gl.full([32], -1, gl.int64, BLOCKED_32))
        # prologue, body 40
        # expert on LSU: stage 0, slot 0
        expert_prev40 = expert_prev39
        expert_prev39 = expert_prev38
        expert_prev38 = expert_prev37
        expert_prev37 = expert_prev36
        expert_prev36 = expert_prev35
        expert_prev35 = expert_prev34
        expert_prev34 = expert_prev33
        expert_prev33 = expert_prev32
        expert_prev32 = expert_prev31
        expert_prev31 = expert_prev30
        expert_prev30 = expert_prev29
        expert_prev29 = expert_prev28
        expert_prev28 = expert_prev27
        expert_prev27 = expert_prev26
        expert_prev26 = expert_prev25
        expert_prev25 = expert_prev24
        expert_prev24 = expert_prev23
        expert_prev23 = expert_prev22
        expert_prev22 = expert_prev21
        expert_prev21 = expert_prev20
        expert_prev20 = expert_prev19
        expert_prev19 = expert_prev18
        expert_prev18 = expert_prev17
        expert_prev17 = expert_prev16
        expert_prev16 = expert_prev15
        expert_prev15 = expert_prev14
        expert_prev14 = expert_prev13
        expert_prev13 = expert_prev12
        expert_prev12 = expert_prev11
        expert_prev11 = expert_prev10
        expert_prev10 = expert_prev9
        expert_prev9 = expert_prev8
        expert_prev8 = expert_prev7
        expert_prev7 = expert_prev6
        expert_prev6 = expert_prev5
        expert_prev5 = expert_prev4
        expert_prev4 = expert_prev3
        expert_prev3 = expert_prev_prev
        expert_prev_prev = expert_prev
        expert_prev = expert
        expert = gl.load(ids + ((begin + 40 * 32) + gl.arange(0, 32, layout=BLOCKED_32)), mask=((begin + 40 * 32) + gl.arange(0, 32, layout=BLOCKED_32)) < end, other=gl.full([32], -1, gl.int64, BLOCKED_32))
        # prologue, body 41
        # expert on LSU: stage 0, slot 0
        expert_prev41 = expert_prev40
        expert_prev40 = expert_prev39
        expert_prev39 = expert_prev38
        expert_prev38 = expert_prev37
        expert_prev37 = expert_prev36
        expert_prev36 = expert_prev35
        expert_prev35 = expert_prev34
        expert_prev34 = expert_prev33
        expert_prev33 = expert_prev32
        expert_prev32 = expert_prev31
        expert_prev31 = expert_prev30
        expert_prev30 = expert_prev29
        expert_prev29 = expert_prev28
        expert_prev28 = expert_prev27
        expert_prev27 = expert_prev26
        expert_prev26 = expert_prev25
        expert_prev25 = expert_prev24
        expert_prev24 = expert_prev23
        expert_prev23 = expert_prev22
        expert_prev22 = expert_prev21
        expert_prev21 = expert_prev20
        expert_prev20 = expert_prev19
        expert_prev19 = expert_prev18
        expert_prev18 = expert_prev17
        expert_prev17 = expert_prev16
        expert_prev16 = expert_prev15
        expert_prev15 = expert_prev14
        expert_prev14 = expert_prev13
        expert_prev13 = expert_prev12
        expert_prev12 = expert_prev11
        expert_prev11 = expert_prev10
        expert_prev10 = expert_prev9
        expert_prev9 = expert_prev8
        expert_prev8 = expert_prev7
        expert_prev7 = expert_prev6
        expert_prev6 = expert_prev5
        expert_prev5 = expert_prev4
        expert_prev4 = expert_prev3
        expert_prev3 = expert_prev_prev
        expert_prev_prev = expert_prev
        expert_prev = expert
        expert = gl.load(ids + ((begin + 41 * 32) + gl.arange(0, 32, layout=BLOCKED_32)), mask=((begin + 41 * 32) + gl.arange(0, 32, layout=BLOCKED_32)) < end, other=gl.full([32], -1, gl.int64, BLOCKED_32))
        # prologue, body 42
        # expert on LSU: stage 0, slot 0
        expert_prev42 = expert_prev41
        expert_prev41 = expert_prev40
        expert_prev40 = expert_prev39
        expert_prev39 = expert_prev38
        expert_prev38 = expert_prev37
        expert_prev37 = expert_prev36
        expert_prev36 = expert_prev35
        expert_prev35 = expert_prev34
        expert_prev34 = expert_prev33
        expert_prev33 = expert_prev32
        expert_prev32 = expert_prev31
        expert_prev31 = expert_prev30
        expert_prev30 = expert_prev29
        expert_prev29 = expert_prev28
        expert_prev28 = expert_prev27
        expert_prev27 = expert_prev26
        expert_prev26 = expert_prev25
        expert_prev25 = expert_prev24
        expert_prev24 = expert_prev23
        expert_prev23 = expert_prev22
        expert_prev22 = expert_prev21
        expert_prev21 = expert_prev20
        expert_prev20 = expert_prev19
        expert_prev19 = expert_prev18
        expert_prev18 = expert_prev17
        expert_prev17 = expert_prev16
        expert_prev16 = expert_prev15
        expert_prev15 = expert_prev14
        expert_prev14 = expert_prev13
        expert_prev13 = expert_prev12
        expert_prev12 = expert_prev11
        expert_prev11 = expert_prev10
        expert_prev10 = expert_prev9
        expert_prev9 = expert_prev8
        expert_prev8 = expert_prev7
        expert_prev7 = expert_prev6
        expert_prev6 = expert_prev5
        expert_prev5 = expert_prev4
        expert_prev4 = expert_prev3
        expert_prev3 = expert_prev_prev
        expert_prev_prev = expert_prev
        expert_prev = expert
        expert = gl.load(ids + ((begin + 42 * 32) + gl.arange(0, 32, layout=BLOCKED_32)), mask=((begin + 42 * 32) + gl.arange(0, 32, layout=BLOCKED_32)) < end, other=gl.full([32], -1, gl.int64, BLOCKED_32))
        # prologue, body 43
        # expert on LSU: stage 0, slot 0
        expert_prev43 = expert_prev42
        expert_prev42 = expert_prev41
        expert_prev41 = expert_prev40
        expert_prev40 = expert_prev39
        expert_prev39 = expert_prev38
        expert_prev38 = expert_prev37
        expert_prev37 = expert_prev36
        expert_prev36 = expert_prev35
        expert_prev35 = expert_prev34
        expert_prev34 = expert_prev33
        expert_prev33 = expert_prev32
        expert_prev32 = expert_prev31
        expert_prev31 = expert_prev30
        expert_prev30 = expert_prev29
        expert_prev29 = expert_prev28
        expert_prev28 = expert_prev27
        expert_prev27 = expert_prev26
        expert_prev26 = expert_prev25
        expert_prev25 = expert_prev24
        expert_prev24 = expert_prev23
        expert_prev23 = expert_prev22
        expert_prev22 = expert_prev21
        expert_prev21 = expert_prev20
        expert_prev20 = expert_prev19
        expert_prev19 = expert_prev18
        expert_prev18 = expert_prev17
        expert_prev17 = expert_prev16
        expert_prev16 = expert_prev15
        expert_prev15 = expert_prev14
        expert_prev14 = expert_prev13
        expert_prev13 = expert_prev12
        expert_prev12 = expert_prev11
        expert_prev11 = expert_prev10
        expert_prev10 = expert_prev9
        expert_prev9 = expert_prev8
        expert_prev8 = expert_prev7
        expert_prev7 = expert_prev6
        expert_prev6 = expert_prev5
        expert_prev5 = expert_prev4
        expert_prev4 = expert_prev3
        expert_prev3 = expert_prev_prev
        expert_prev_prev = expert_prev
        expert_prev = expert
        expert = gl.load(ids + ((begin + 43 * 32) + gl.arange(0, 32, layout=BLOCKED_32)), mask=((begin + 43 * 32) + gl.arange(0, 32, layout=BLOCKED_32)) < end, other=gl.full([32], -1, gl.int64, BLOCKED_32))
        # prologue, body 44
        # expert on LSU: stage 0, slot 0
        expert_prev44 = expert_prev43
        expert_prev43 = expert_prev42
        expert_prev42 = expert_prev41
        expert_prev41 = expert_prev40
        expert_prev40 = expert_prev39
        expert_prev39 = expert_prev38
        expert_prev38 = expert_prev37
        expert_prev37 = expert_prev36
        expert_prev36 = expert_prev35
        expert_prev35 = expert_prev34
        expert_prev34 = expert_prev33
        expert_prev33 = expert_prev32
        expert_prev32 = expert_prev31
        expert_prev31 = expert_prev30
        expert_prev30 = expert_prev29
        expert_prev29 = expert_prev28
        expert_prev28 = expert_prev27
        expert_prev27 = expert_prev26
        expert_prev26 = expert_prev25
        expert_prev25 = expert_prev24
        expert_prev24 = expert_prev23
        expert_prev23 = expert_prev22
        expert_prev22 = expert_prev21
        expert_prev21 = expert_prev20
        expert_prev20 = expert_prev19
        expert_prev19 = expert_prev18
        expert_prev18 = expert_prev17
        expert_prev17 = expert_prev16
        expert_prev16 = expert_prev15
        expert_prev15 = expert_prev14
        expert_prev14 = expert_prev13
        expert_prev13 = expert_prev12
        expert_prev12 = expert_prev11
        expert_prev11 = expert_prev10
        expert_prev10 = expert_prev9
        expert_prev9 = expert_prev8
        expert_prev8 = expert_prev7
        expert_prev7 = expert_prev6
        expert_prev6 = expert_prev5
        expert_prev5 = expert_prev4
        expert_prev4 = expert_prev3
        expert_prev3 = expert_prev_prev
        expert_prev_prev = expert_prev
        expert_prev = expert
        expert = gl.load(ids + ((begin + 44 * 32) + gl.arange(0, 32, layout=BLOCKED_32)), mask=((begin + 44 * 32) + gl.arange(0, 32, layout=BLOCKED_32)) < end, other=gl.full([32], -1, gl.int64, BLOCKED_32))
        # prologue, body 45
        # expert on LSU: stage 0, slot 0
        expert_prev45 = expert_prev44
        expert_prev44 = expert_prev43
        expert_prev43 = expert_prev42
        expert_prev42 = expert_prev41
        expert_prev41 = expert_prev40
        expert_prev40 = expert_prev39
        expert_prev39 = expert_prev38
        expert_prev38 = expert_prev37
        expert_prev37 = expert_prev36
        expert_prev36 = expert_prev35
        expert_prev35 = expert_prev34
        expert_prev34 = expert_prev33
        expert_prev33 = expert_prev32
        expert_prev32 = expert_prev31
        expert_prev31 = expert_prev30
        expert_prev30 = expert_prev29
        expert_prev29 = expert_prev28
        expert_prev28 = expert_prev27
        expert_prev27 = expert_prev26
        expert_prev26 = expert_prev25
        expert_prev25 = expert_prev24
        expert_prev24 = expert_prev23
        expert_prev23 = expert_prev22
        expert_prev22 = expert_prev21
        expert_prev21 = expert_prev20
        expert_prev20 = expert_prev19
        expert_prev19 = expert_prev18
        expert_prev18 = expert_prev17
        expert_prev17 = expert_prev16
        expert_prev16 = expert_prev15
        expert_prev15 = expert_prev14
        expert_prev14 = expert_prev13
        expert_prev13 = expert_prev12
        expert_prev12 = expert_prev11
        expert_prev11 = expert_prev10
        expert_prev10 = expert_prev9
        expert_prev9 = expert_prev8
        expert_prev8 = expert_prev7
        expert_prev7 = expert_prev6
        expert_prev6 = expert_prev5
        expert_prev5 = expert_prev4
        expert_prev4 = expert_prev3
        expert_prev3 = expert_prev_prev
        expert_prev_prev = expert_prev
        expert_prev = expert
        expert = gl.load(ids + ((begin + 45 * 32) + gl.arange(0, 32, layout=BLOCKED_32)), mask=((begin + 45 * 32) + gl.arange(0, 32, layout=BLOCKED_32)) < end, other=gl.full([32], -1, gl.int64, BLOCKED_32))
        # prologue, body 46
        # expert on LSU: stage 0, slot 0
        expert_prev46 = expert_prev45
        expert_prev45 = expert_prev44
        expert_prev44 = expert_prev43
        expert_prev43 = expert_prev42
        expert_prev42 = expert_prev41
        expert_prev41 = expert_prev40
        expert_prev40 = expert_prev39
        expert_prev39 = expert_prev38
        expert_prev38 = expert_prev37
        expert_prev37 = expert_prev36
        expert_prev36 = expert_prev35
        expert_prev35 = expert_prev34
        expert_prev34 = expert_prev33
        expert_prev33 = expert_prev32
        expert_prev32 = expert_prev31
        expert_prev31 = expert_prev30
        expert_prev30 = expert_prev29
        expert_prev29 = expert_prev28
        expert_prev28 = expert_prev27
        expert_prev27 = expert_prev26
        expert_prev26 = expert_prev25
        expert_prev25 = expert_prev24
        expert_prev24 = expert_prev23
        expert_prev23 = expert_prev22
        expert_prev22 = expert_prev21
        expert_prev21 = expert_prev20
        expert_prev20 = expert_prev19
        expert_prev19 = expert_prev18
        expert_prev18 = expert_prev17
        expert_prev17 = expert_prev16
        expert_prev16 = expert_prev15
        expert_prev15 = expert_prev14
        expert_prev14 = expert_prev13
        expert_prev13 = expert_prev12
        expert_prev12 = expert_prev11
        expert_prev11 = expert_prev10
        expert_prev10 = expert_prev9
        expert_prev9 = expert_prev8
        expert_prev8 = expert_prev7
        expert_prev7 = expert_prev6
        expert_prev6 = expert_prev5
        expert_prev5 = expert_prev4
        expert_prev4 = expert_prev3
        expert_prev3 = expert_prev_prev
        expert_prev_prev = expert_prev
        expert_prev = expert
        expert = gl.load(ids + ((begin + 46 * 32) + gl.arange(0, 32, layout=BLOCKED_32)), mask=((begin + 46 * 32) + gl.arange(0, 32, layout=BLOCKED_32)) < end, other=gl.full([32], -1, gl.int64, BLOCKED_32))
        # prologue, body 47
        # expert on LSU: stage 0, slot 0
        expert_prev47 = expert_prev46
        expert_prev46 = expert_prev45
        expert_prev45 = expert_prev44
        expert_prev44 = expert_prev43
        expert_prev43 = expert_prev42
        expert_prev42 = expert_prev41
        expert_prev41 = expert_prev40
        expert_prev40 = expert_prev39
        expert_prev39 = expert_prev38
        expert_prev38 = expert_prev37
        expert_prev37 = expert_prev36
        expert_prev36 = expert_prev35
        expert_prev35 = expert_prev34
        expert_prev34 = expert_prev33
        expert_prev33 = expert_prev32
        expert_prev32 = expert_prev31
        expert_prev31 = expert_prev30
        expert_prev30 = expert_prev29
        expert_prev29 = expert_prev28
        expert_prev28 = expert_prev27
        expert_prev27 = expert_prev26
        expert_prev26 = expert_prev25
        expert_prev25 = expert_prev24
        expert_prev24 = expert_prev23
        expert_prev23 = expert_prev22
        expert_prev22 = expert_prev21
        expert_prev21 = expert_prev20
        expert_prev20 = expert_prev19
        expert_prev19 = expert_prev18
        expert_prev18 = expert_prev17
        expert_prev17 = expert_prev16
        expert_prev16 = expert_prev15
        expert_prev15 = expert_prev14
        expert_prev14 = expert_prev13
        expert_prev13 = expert_prev12
        expert_prev12 = expert_prev11
        expert_prev11 = expert_prev10
        expert_prev10 = expert_prev9
        expert_prev9 = expert_prev8
        expert_prev8 = expert_prev7
        expert_prev7 = expert_prev6
        expert_prev6 = expert_prev5
        expert_prev5 = expert_prev4
        expert_prev4 = expert_prev3
        expert_prev3 = expert_prev_prev
        expert_prev_prev = expert_prev
        expert_prev = expert
        expert = gl.load(ids + ((begin + 47 * 32) + gl.arange(0, 32, layout=BLOCKED_32)), mask=((begin + 47 * 32) + gl.arange(0, 32, layout=BLOCKED_32)) < end, other=gl.full([32], -1, gl.int64, BLOCKED_32))
        # prologue, body 48
        # expert on LSU: stage 0, slot 0
        expert_prev48 = expert_prev47
        expert_prev47 = expert_prev46
        expert_prev46 = expert_prev45
        expert_prev45 = expert_prev44
        expert_prev44 = expert_prev43
        expert_prev43 = expert_prev42
        expert_prev42 = expert_prev41
        expert_prev41 = expert_prev40
        expert_prev40 = expert_prev39
        expert_prev39 = expert_prev38
        expert_prev38 = expert_prev37
        expert_prev37 = expert_prev36
        expert_prev36 = expert_prev35
        expert_prev35 = expert_prev34
        expert_prev34 = expert_prev33
        expert_prev33 = expert_prev32
        expert_prev32 = expert_prev31
        expert_prev31 = expert_prev30
        expert_prev30 = expert_prev29
        expert_prev29 = expert_prev28
        expert_prev28 = expert_prev27
        expert_prev27 = expert_prev26
        expert_prev26 = expert_prev25
        expert_prev25 = expert_prev24
        expert_prev24 = expert_prev23
        expert_prev23 = expert_prev22
        expert_prev22 = expert_prev21
        expert_prev21 = expert_prev20
        expert_prev20 = expert_prev19
        expert_prev19 = expert_prev18
        expert_prev18 = expert_prev17
        expert_prev17 = expert_prev16
        expert_prev16 = expert_prev15
        expert_prev15 = expert_prev14
        expert_prev14 = expert_prev13
        expert_prev13 = expert_prev12
        expert_prev12 = expert_prev11
        expert_prev11 = expert_prev10
        expert_prev10 = expert_prev9
        expert_prev9 = expert_prev8
        expert_prev8 = expert_prev7
        expert_prev7 = expert_prev6
        expert_prev6 = expert_prev5
        expert_prev5 = expert_prev4
        expert_prev4 = expert_prev3
        expert_prev3 = expert_prev_prev
        expert_prev_prev = expert_prev
        expert_prev = expert
        expert = gl.load(ids + ((begin + 48 * 32) + gl.arange(0, 32, layout=BLOCKED_32)), mask=((begin + 48 * 32) + gl.arange(0, 32, layout=BLOCKED_32)) < end, other=gl.full([32], -1, gl.int64, BLOCKED_32))
        # prologue, body 49
        # and on ALU: stage 49, slot 0
        cmp = expert_prev48 >= gl.full([32], 0, gl.int64, BLOCKED_32)
        cmp2 = expert_prev48 < cast
        and_ = cmp & cmp2
        # expert on LSU: stage 0, slot 0
        expert_prev49 = expert_prev48
        expert_prev48 = expert_prev47
        expert_prev47 = expert_prev46
        expert_prev46 = expert_prev45
        expert_prev45 = expert_prev44
        expert_prev44 = expert_prev43
        expert_prev43 = expert_prev42
        expert_prev42 = expert_prev41
        expert_prev41 = expert_prev40
        expert_prev40 = expert_prev39
        expert_prev39 = expert_prev38
        expert_prev38 = expert_prev37
        expert_prev37 = expert_prev36
        expert_prev36 = expert_prev35
        expert_prev35 = expert_prev34
        expert_prev34 = expert_prev33
        expert_prev33 = expert_prev32
        expert_prev32 = expert_prev31
        expert_prev31 = expert_prev30
        expert_prev30 = expert_prev29
        expert_prev29 = expert_prev28
        expert_prev28 = expert_prev27
        expert_prev27 = expert_prev26
        expert_prev26 = expert_prev25
        expert_prev25 = expert_prev24
        expert_prev24 = expert_prev23
        expert_prev23 = expert_prev22
        expert_prev22 = expert_prev21
        expert_prev21 = expert_prev20
        expert_prev20 = expert_prev19
        expert_prev19 = expert_prev18
        expert_prev18 = expert_prev17
        expert_prev17 = expert_prev16
        expert_prev16 = expert_prev15
        expert_prev15 = expert_prev14
        expert_prev14 = expert_prev13
        expert_prev13 = expert_prev12
        expert_prev12 = expert_prev11
        expert_prev11 = expert_prev10
        expert_prev10 = expert_prev9
        expert_prev9 = expert_prev8
        expert_prev8 = expert_prev7
        expert_prev7 = expert_prev6
        expert_prev6 = expert_prev5
        expert_prev5 = expert_prev4
        expert_prev4 = expert_prev3
        expert_prev3 = expert_prev_prev
        expert_prev_prev = expert_prev
        expert_prev = expert
        expert = gl.load(ids + ((begin + 49 * 32) + gl.arange(0, 32, layout=BLOCKED_32)), mask=((begin + 49 * 32) + gl.arange(0, 32, layout=BLOCKED_32)) < end, other=gl.full([32], -1, gl.int64, BLOCKED_32))
        # prologue, body 50
        # and on ALU: stage 49, slot 0
        cmp = expert_prev48 >= gl.full([32], 0, gl.int64, BLOCKED_32)
        cmp2 = expert_prev48 < cast
        and__prev = and_
        and_ = cmp & cmp2
        # expert on LSU: stage 0, slot 0
        expert_prev50 = expert_prev49
        expert_prev49 = expert_prev48
        expert_prev48 = expert_prev47
        expert_prev47 = expert_prev46
        expert_prev46 = expert_prev45
        expert_prev45 = expert_prev44
        expert_prev44 = expert_prev43
        expert_prev43 = expert_prev42
        expert_prev42 = expert_prev41
        expert_prev41 = expert_prev40
        expert_prev40 = expert_prev39
        expert_prev39 = expert_prev38
        expert_prev38 = expert_prev37
        expert_prev37 = expert_prev36
        expert_prev36 = expert_prev35
        expert_prev35 = expert_prev34
        expert_prev34 = expert_prev33
        expert_prev33 = expert_prev32
        expert_prev32 = expert_prev31
        expert_prev31 = expert_prev30
        expert_prev30 = expert_prev29
        expert_prev29 = expert_prev28
        expert_prev28 = expert_prev27
        expert_prev27 = expert_prev26
        expert_prev26 = expert_prev25
        expert_prev25 = expert_prev24
        expert_prev24 = expert_prev23
        expert_prev23 = expert_prev22
        expert_prev22 = expert_prev21
        expert_prev21 = expert_prev20
        expert_prev20 = expert_prev19
        expert_prev19 = expert_prev18
        expert_prev18 = expert_prev17
        expert_prev17 = expert_prev16
        expert_prev16 = expert_prev15
        expert_prev15 = expert_prev14
        expert_prev14 = expert_prev13
        expert_prev13 = expert_prev12
        expert_prev12 = expert_prev11
        expert_prev11 = expert_prev10
        expert_prev10 = expert_prev9
        expert_prev9 = expert_prev8
        expert_prev8 = expert_prev7
        expert_prev7 = expert_prev6
        expert_prev6 = expert_prev5
        expert_prev5 = expert_prev4
        expert_prev4 = expert_prev3
        expert_prev3 = expert_prev_prev
        expert_prev_prev = expert_prev
        expert_prev = expert
        expert = gl.load(ids + ((begin + 50 * 32) + gl.arange(0, 32, layout=BLOCKED_32)), mask=((begin + 50 * 32) + gl.arange(0, 32, layout=BLOCKED_32)) < end, other=gl.full([32], -1, gl.int64, BLOCKED_32))
        # prologue, body 51
        # and on ALU: stage 49, slot 0
        cmp = expert_prev48 >= gl.full([32], 0, gl.int64, BLOCKED_32)
        cmp2 = expert_prev48 < cast
        and__prev_prev = and__prev
        and__prev = and_
        and_ = cmp & cmp2
        # expert on LSU: stage 0, slot 0
        expert_prev51 = expert_prev50
        expert_prev50 = expert_prev49
        expert_prev49 = expert_prev48
        expert_prev48 = expert_prev47
        expert_prev47 = expert_prev46
        expert_prev46 = expert_prev45
        expert_prev45 = expert_prev44
        expert_prev44 = expert_prev43
        expert_prev43 = expert_prev42
        expert_prev42 = expert_prev41
        expert_prev41 = expert_prev40
        expert_prev40 = expert_prev39
        expert_prev39 = expert_prev38
        expert_prev38 = expert_prev37
        expert_prev37 = expert_prev36
        expert_prev36 = expert_prev35
        expert_prev35 = expert_prev34
        expert_prev34 = expert_prev33
        expert_prev33 = expert_prev32
        expert_prev32 = expert_prev31
        expert_prev31 = expert_prev30
        expert_prev30 = expert_prev29
        expert_prev29 = expert_prev28
        expert_prev28 = expert_prev27
        expert_prev27 = expert_prev26
        expert_prev26 = expert_prev25
        expert_prev25 = expert_prev24
        expert_prev24 = expert_prev23
        expert_prev23 = expert_prev22
        expert_prev22 = expert_prev21
        expert_prev21 = expert_prev20
        expert_prev20 = expert_prev19
        expert_prev19 = expert_prev18
        expert_prev18 = expert_prev17
        expert_prev17 = expert_prev16
        expert_prev16 = expert_prev15
        expert_prev15 = expert_prev14
        expert_prev14 = expert_prev13
        expert_prev13 = expert_prev12
        expert_prev12 = expert_prev11
        expert_prev11 = expert_prev10
        expert_prev10 = expert_prev9
        expert_prev9 = expert_prev8
        expert_prev8 = expert_prev7
        expert_prev7 = expert_prev6
        expert_prev6 = expert_prev5
        expert_prev5 = expert_prev4
        expert_prev4 = expert_prev3
        expert_prev3 = expert_prev_prev
        expert_prev_prev = expert_prev
        expert_prev = expert
        expert = gl.load(ids + ((begin + 51 * 32) + gl.arange(0, 32, layout=BLOCKED_32)), mask=((begin + 51 * 32) + gl.arange(0, 32, layout=BLOCKED_32)) < end, other=gl.full([32], -1, gl.int64, BLOCKED_32))
        # steady state
        for i in range(52, n):
            # and on ALU: stage 49, slot 0
            cmp = expert_prev48 >= gl.full([32], 0, gl.int64, BLOCKED_32)
            cmp2 = expert_prev48 < cast
            and__prev3 = and__prev_prev
            and__prev_prev = and__prev
            and__prev = and_
            and_ = cmp & cmp2
            # expert on LSU: stage 0, slot 0
            expert_prev52 = expert_prev51
            expert_prev51 = expert_prev50
            expert_prev50 = expert_prev49
            expert_prev49 = expert_prev48
            expert_prev48 = expert_prev47
            expert_prev47 = expert_prev46
            expert_prev46 = expert_prev45
            expert_prev45 = expert_prev44
            expert_prev44 = expert_prev43
            expert_prev43 = expert_prev42
            expert_prev42 = expert_prev41
            expert_prev41 = expert_prev40
            expert_prev40 = expert_prev39
            expert_prev39 = expert_prev38
            expert_prev38 = expert_prev37
            expert_prev37 = expert_prev36
            expert_prev36 = expert_prev35
            expert_prev35 = expert_prev34
            expert_prev34 = expert_prev33
            expert_prev33 = expert_prev32
            expert_prev32 = expert_prev31
            expert_prev31 = expert_prev30
            expert_prev30 = expert_prev29
            expert_prev29 = expert_prev28
            expert_prev28 = expert_prev27
            expert_prev27 = expert_prev26
            expert_prev26 = expert_prev25
            expert_prev25 = expert_prev24
            expert_prev24 = expert_prev23
            expert_prev23 = expert_prev22
            expert_prev22 = expert_prev21
            expert_prev21 = expert_prev20
            expert_prev20 = expert_prev19
            expert_prev19 = expert_prev18
            expert_prev18 = expert_prev17
            expert_prev17 = expert_prev16
            expert_prev16 = expert_prev15
            expert_prev15 = expert_prev14
            expert_prev14 = expert_prev13
            expert_prev13 = expert_prev12
            expert_prev12 = expert_prev11
            expert_prev11 = expert_prev10
            expert_prev10 = expert_prev9
            expert_prev9 = expert_prev8
            expert_prev8 = expert_prev7
            expert_prev7 = expert_prev6
            expert_prev6 = expert_prev5
            expert_prev5 = expert_prev4
            expert_prev4 = expert_prev3
            expert_prev3 = expert_prev_prev
            expert_prev_prev = expert_prev
            expert_prev = expert
            expert = gl.load(ids + ((begin + i * 32) + gl.arange(0, 32, layout=BLOCKED_32)), mask=((begin + i * 32) + gl.arange(0, 32, layout=BLOCKED_32)) < end, other=gl.full([32], -1, gl.int64, BLOCKED_32))
            # store@9 on LSU: stage 52, slot 2
            gl.atomic_add(addptr + expert_prev52, gl.full([32], 1, gl.int32, BLOCKED_32), mask=and__prev3, sem="relaxed")
        # epilogue, body 1
        # and on ALU: stage 49, slot 0
        cmp = expert_prev48 >= gl.full([32], 0, gl.int64, BLOCKED_32)
        cmp2 = expert_prev48 < cast
        and__prev3 = and__prev_prev
        and__prev_prev = and__prev
        and__prev = and_
        and_ = cmp & cmp2
        # store@9 on LSU: stage 52, slot 2
        gl.atomic_add(addptr + expert_prev51, gl.full([32], 1, gl.int32, BLOCKED_32), mask=and__prev3, sem="relaxed")
        # epilogue, body 2
        # and on ALU: stage 49, slot 0
        cmp = expert_prev47 >= gl.full([32], 0, gl.int64, BLOCKED_32)
        cmp2 = expert_prev47 < cast
        and__prev3 = and__prev_prev
        and__prev_prev = and__prev
        and__prev = and_
        and_ = cmp & cmp2
        # store@9 on LSU: stage 52, slot 2
        gl.atomic_add(addptr + expert_prev50, gl.full([32], 1, gl.int32, BLOCKED_32), mask=and__prev3, sem="relaxed")
        # epilogue, body 3
        # and on ALU: stage 49, slot 0
        cmp = expert_prev46 >= gl.full([32], 0, gl.int64, BLOCKED_32)
        cmp2 = expert_prev46 < cast
        and__prev3 = and__prev_prev
        and__prev_prev = and__prev
        and__prev = and_
        and_ = cmp & cmp2
        # store@9 on LSU: stage 52, slot 2
        gl.atomic_add(addptr + expert_prev49, gl.full([32], 1, gl.int32, BLOCKED_32), mask=and__prev3, sem="relaxed")
        # epilogue, body 4
        # and on ALU: stage 49, slot 0
        cmp = expert_prev45 >= gl.full([32], 0, gl.int64, BLOCKED_32)
        cmp2 = expert_prev45 < cast
        and__prev3 = and__prev_prev
        and__prev_prev = and__prev
        and__prev = and_
        and_ = cmp & cmp2
        # store@9 on LSU: stage 52, slot 2
        gl.atomic_add(addptr + expert_prev48, gl.full([32], 1, gl.int32, BLOCKED_32), mask=and__prev3, sem="relaxed")
        # epilogue, body 5
        # and on ALU: stage 49, slot 0
        cmp = expert_prev44 >= gl.full([32], 0, gl.int64, BLOCKED_32)
        cmp2 = expert_prev44 < cast
        and__prev3 = and__prev_prev
        and__prev_prev = and__prev
        and__prev = and_
        and_ = cmp & cmp2
        # store@9 on LSU: stage 52, slot 2
        gl.atomic_add(addptr + expert_prev47, gl.full([32], 1, gl.int32, BLOCKED_32), mask=and__prev3, sem="relaxed")
        # epilogue, body 6
        # and on ALU: stage 49, slot 0
        cmp = expert_prev43 >= gl.full([32], 0, gl.int64, BLOCKED_32)
        cmp2 = expert_prev43 < cast
        and__prev3 = and__prev_prev
        and__prev_prev = and__prev
        and__prev = and_
        and_ = cmp & cmp2
        # store@9 on LSU: stage 52, slot 2
        gl.atomic_add(addptr + expert_prev46, gl.full([32], 1, gl.int32, BLOCKED_32), mask=and__prev3, sem="relaxed")
        # epilogue, body 7
        # and on ALU: stage 49, slot 0
        cmp = expert_prev42 >= gl.full([32], 0, gl.int64, BLOCKED_32)
        cmp2 = expert_prev42 < cast
        and__prev3 = and__prev_prev
        and__prev_prev = and__prev
        and__prev = and_
        and_ = cmp & cmp2
        # store@9 on LSU: stage 52, slot 2
        gl.atomic_add(addptr + expert_prev45, gl.full([32], 1, gl.int32, BLOCKED_32), mask=and__prev3, sem="relaxed")
        # epilogue, body 8
        # and on ALU: stage 49, slot 0
        cmp = expert_prev41 >= gl.full([32], 0, gl.int64, BLOCKED_32)
        cmp2 = expert_prev41 < cast
        and__prev3 = and__prev_prev
        and__prev_prev = and__prev
        and__prev = and_
        and_ = cmp & cmp2
        # store@9 on LSU: stage 52, slot 2
        gl.atomic_add(addptr + expert_prev44, gl.full([32], 1, gl.int32, BLOCKED_32), mask=and__prev3, sem="relaxed")
        # epilogue, body 9
        # and on ALU: stage 49, slot 0
        cmp = expert_prev40 >= gl.full([32], 0, gl.int64, BLOCKED_32)
        cmp2 = expert_prev40 < cast
        and__prev3 = and__prev_prev
        and__prev_prev = and__prev
        and__prev = and_
        and_ = cmp & cmp2
        # store@9 on LSU: stage 52, slot 2
        gl.atomic_add(addptr + expert_prev43, gl.full([32], 1, gl.int32, BLOCKED_32), mask=and__prev3, sem="relaxed")
        # epilogue, body 10
        # and on ALU: stage 49, slot 0
        cmp = expert_prev39 >= gl.full([32], 0, gl.int64, BLOCKED_32)
        cmp2 = expert_prev39 < cast
        and__prev3 = and__prev_prev
        and__prev_prev = and__prev
        and__prev = and_
        and_ = cmp & cmp2
        # store@9 on LSU: stage 52, slot 2
        gl.atomic_add(addptr + expert_prev42, gl.full([32], 1, gl.int32, BLOCKED_32), mask=and__prev3, sem="relaxed")
        # epilogue, body 11
        # and on ALU: stage 49, slot 0
        cmp = expert_prev38 >= gl.full([32], 0, gl.int64, BLOCKED_32)
        cmp2 = expert_prev38 < cast
        and__prev3 = and__prev_prev
        and__prev_prev = and__prev
        and__prev = and_
        and_ = cmp & cmp2
        # store@9 on LSU: stage 52, slot 2
        gl.atomic_add(addptr + expert_prev41, gl.full([32], 1, gl.int32, BLOCKED_32), mask=and__prev3, sem="relaxed")
        # epilogue, body 12
        # and on ALU: stage 49, slot 0
        cmp = expert_prev37 >= gl.full([32], 0, gl.int64, BLOCKED_32)
        cmp2 = expert_prev37 < cast
        and__prev3 = and__prev_prev
        and__prev_prev = and__prev
        and__prev = and_
        and_ = cmp & cmp2
        # store@9 on LSU: stage 52, slot 2
        gl.atomic_add(addptr + expert_prev40, gl.full([32], 1, gl.int32, BLOCKED_32), mask=and__prev3, sem="relaxed")
        # epilogue, body 13
        # and on ALU: stage 49, slot 0
        cmp = expert_prev36 >= gl.full([32], 0, gl.int64, BLOCKED_32)
        cmp2 = expert_prev36 < cast
        and__prev3 = and__prev_prev
        and__prev_prev = and__prev
        and__prev = and_
        and_ = cmp & cmp2
        # store@9 on LSU: stage 52, slot 2
        gl.atomic_add(addptr + expert_prev39, gl.full([32], 1, gl.int32, BLOCKED_32), mask=and__prev3, sem="relaxed")
        # epilogue, body 14
        # and on ALU: stage 49, slot 0
        cmp = expert_prev35 >= gl.full([32], 0, gl.int64, BLOCKED_32)
        cmp2 = expert_prev35 < cast
        and__prev3 = and__prev_prev
        and__prev_prev = and__prev
        and__prev = and_
        and_ = cmp & cmp2
        # store@9 on LSU: stage 52, slot 2
        gl.atomic_add(addptr + expert_prev38, gl.full([32], 1, gl.int32, BLOCKED_32), mask=and__prev3, sem="relaxed")
        # epilogue, body 15
        # and on ALU: stage 49, slot 0
        cmp = expert_prev34 >= gl.full([32], 0, gl.int64, BLOCKED_32)
        cmp2 = expert_prev34 < cast
        and__prev3 = and__prev_prev
        and__prev_prev = and__prev
        and__prev = and_
        and_ = cmp & cmp2
        # store@9 on LSU: stage 52, slot 2
        gl.atomic_add(addptr + expert_prev37, gl.full([32], 1, gl.int32, BLOCKED_32), mask=and__prev3, sem="relaxed")
        # epilogue, body 16
        # and on ALU: stage 49, slot 0
        cmp = expert_prev33 >= gl.full([32], 0, gl.int64, BLOCKED_32)
        cmp2 = expert_prev33 < cast
        and__prev3 = and__prev_prev
        and__prev_prev = and__prev
        and__prev = and_
        and_ = cmp & cmp2
        # store@9 on LSU: stage 52, slot 2
        gl.atomic_add(addptr + expert_prev36, gl.full([32], 1, gl.int32, BLOCKED_32), mask=and__prev3, sem="relaxed")
        # epilogue, body 17
        # and on ALU: stage 49, slot 0
        cmp = expert_prev32 >= gl.full([32], 0, gl.int64, BLOCKED_32)
        cmp2 = expert_prev32 < cast
        and__prev3 = and__prev_prev
        and__prev_prev = and__prev
        and__prev = and_
        and_ = cmp & cmp2
        # store@9 on LSU: stage 52, slot 2
        gl.atomic_add(addptr + expert_prev35, gl.full([32], 1, gl.int32, BLOCKED_32), mask=and__prev3, sem="relaxed")
        # epilogue, body 18
        # and on ALU: stage 49, slot 0
        cmp = expert_prev31 >= gl.full([32], 0, gl.int64, BLOCKED_32)
        cmp2 = expert_prev31 < cast
        and__prev3 = and__prev_prev
        and__prev_prev = and__prev
        and__prev = and_
        and_ = cmp & cmp2
        # store@9 on LSU: stage 52, slot 2
        gl.atomic_add(addptr + expert_prev34, gl.full([32], 1, gl.int32, BLOCKED_32), mask=and__prev3, sem="relaxed")
        # epilogue, body 19
        # and on ALU: stage 49, slot 0
        cmp = expert_prev30 >= gl.full([32], 0, gl.int64, BLOCKED_32)
        cmp2 = expert_prev30 < cast
        and__prev3 = and__prev_prev
        and__prev_prev = and__prev
        and__prev = and_
        and_ = cmp & cmp2
        # store@9 on LSU: stage 52, slot 2
        gl.atomic_add(addptr + expert_prev33, gl.full([32], 1, gl.int32, BLOCKED_32), mask=and__prev3, sem="relaxed")
        # epilogue, body 20
        # and on ALU: stage 49, slot 0
        cmp = expert_prev29 >= gl.full([32], 0, gl.int64, BLOCKED_32)
        cmp2 = expert_prev29 < cast
        and__prev3 = and__prev_prev
        and__prev_prev = and__prev
        and__prev = and_
        and_ = cmp & cmp2
        # store@9 on LSU: stage 52, slot 2
        gl.atomic_add(addptr + expert_prev32, gl.full([32], 1, gl.int32, BLOCKED_32), mask=and__prev3, sem="relaxed")
        # epilogue, body 21
        # and on ALU: stage 49, slot 0
        cmp = expert_prev28 >= gl.full([32], 0, gl.int64, BLOCKED_32)
        cmp2 = expert_prev28 < cast
        and__prev3 = and__prev_prev
        and__prev_prev = and__prev
        and__prev = and_
        and_ = cmp & cmp2
        # store@9 on LSU: stage 52, slot 2
        gl.atomic_add(addptr + expert_prev31, gl.full([32], 1, gl.int32, BLOCKED_32), mask=and__prev3, sem="relaxed")
        # epilogue, body 22
        # and on ALU: stage 49, slot 0
        cmp = expert_prev27 >= gl.full([32], 0, gl.int64, BLOCKED_32)
        cmp2 = expert_prev27 < cast
        and__prev3 = and__prev_prev
        and__prev_prev = and__prev
        and__prev = and_
        and_ = cmp & cmp2
        # store@9 on LSU: stage 52, slot 2
        gl.atomic_add(addptr + expert_prev30, gl.full([32], 1, gl.int32, BLOCKED_32), mask=and__prev3, sem="relaxed")
        # epilogue, body 23
        # and on ALU: stage 49, slot 0
        cmp = expert_prev26 >= gl.full([32], 0, gl.int64, BLOCKED_32)
        cmp2 = expert_prev26 < cast
        and__prev3 = and__prev_prev
        and__prev_prev = and__prev
        and__prev = and_
        and_ = cmp & cmp2
        # store@9 on LSU: stage 52, slot 2
        gl.atomic_add(addptr + expert_prev29, gl.full([32], 1, gl.int32, BLOCKED_32), mask=and__prev3, sem="relaxed")
        # epilogue, body 24
        # and on ALU: stage 49, slot 0
        cmp = expert_prev25 >= gl.full([32], 0, gl.int64, BLOCKED_32)
        cmp2 = expert_prev25 < cast
        and__prev3 = and__prev_prev
        and__prev_prev = and__prev
        and__prev = and_
        and_ = cmp & cmp2
        # store@9 on LSU: stage 52, slot 2
        gl.atomic_add(addptr + expert_prev28, gl.full([32], 1, gl.int32, BLOCKED_32), mask=and__prev3, sem="relaxed")
        # epilogue, body 25
        # and on ALU: stage 49, slot 0
        cmp = expert_prev24 >= gl.full([32], 0, gl.int64, BLOCKED_32)
        cmp2 = expert_prev24 < cast
        and__prev3 = and__prev_prev
        and__prev_prev = and__prev
        and__prev = and_
        and_ = cmp & cmp2
        # store@9 on LSU: stage 52, slot 2
        gl.atomic_add(addptr + expert_prev27, gl.full([32], 1, gl.int32, BLOCKED_32), mask=and__prev3, sem="relaxed")
        # epilogue, body 26
        # and on ALU: stage 49, slot 0
        cmp = expert_prev23 >= gl.full([32], 0, gl.int64, BLOCKED_32)
        cmp2 = expert_prev23 < cast
        and__prev3 = and__prev_prev
        and__prev_prev = and__prev
        and__prev = and_
        and_ = cmp & cmp2
        # store@9 on LSU: stage 52, slot 2
        gl.atomic_add(addptr + expert_prev26, gl.full([32], 1, gl.int32, BLOCKED_32), mask=and__prev3, sem="relaxed")
        # epilogue, body 27
        # and on ALU: stage 49, slot 0
        cmp = expert_prev22 >= gl.full([32], 0, gl.int64, BLOCKED_32)
        cmp2 = expert_prev22 < cast
        and__prev3 = and__prev_prev
        and__prev_prev = and__prev
        and__prev = and_
        and_ = cmp & cmp2
        # store@9 on LSU: stage 52, slot 2
        gl.atomic_add(addptr + expert_prev25, gl.full([32], 1, gl.int32, BLOCKED_32), mask=and__prev3, sem="relaxed")
        # epilogue, body 28
        # and on ALU: stage 49, slot 0
        cmp = expert_prev21 >= gl.full([32], 0, gl.int64, BLOCKED_32)
        cmp2 = expert_prev21 < cast
        and__prev3 = and__prev_prev
        and__prev_prev = and__prev
        and__prev = and_
        and_ = cmp & cmp2
        # store@9 on LSU: stage 52, slot 2
        gl.atomic_add(addptr + expert_prev24, gl.full([32], 1, gl.int32, BLOCKED_32), mask=and__prev3, sem="relaxed")
        # epilogue, body 29
        # and on ALU: stage 49, slot 0
        cmp = expert_prev20 >= gl.full([32], 0, gl.int64, BLOCKED_32)
        cmp2 = expert_prev20 < cast
        and__prev3 = and__prev_prev
        and__prev_prev = and__prev
        and__prev = and_
        and_ = cmp & cmp2
        # store@9 on LSU: stage 52, slot 2
        gl.atomic_add(addptr + expert_prev23, gl.full([32], 1, gl.int32, BLOCKED_32), mask=and__prev3, sem="relaxed")
        # epilogue, body 30
        # and on ALU: stage 49, slot 0
        cmp = expert_prev19 >= gl.full([32], 0, gl.int64, BLOCKED_32)
        cmp2 = expert_prev19 < cast
        and__prev3 = and__prev_prev
        and__prev_prev = and__prev
        and__prev = and_
        and_ = cmp & cmp2
        # store@9 on LSU: stage 52, slot 2
        gl.atomic_add(addptr + expert_prev22, gl.full([32], 1, gl.int32, BLOCKED_32), mask=and__prev3, sem="relaxed")
        # epilogue, body 31
        # and on ALU: stage 49, slot 0
        cmp = expert_prev18 >= gl.full([32], 0, gl.int64, BLOCKED_32)
        cmp2 = expert_prev18 < cast
        and__prev3 = and__prev_prev
        and__prev_prev = and__prev
        and__prev = and_
        and_ = cmp & cmp2
        # store@9 on LSU: stage 52, slot 2
        gl.atomic_add(addptr + expert_prev21, gl.full([32], 1, gl.int32, BLOCKED_32), mask=and__prev3, sem="relaxed")
        # epilogue, body 32
        # and on ALU: stage 49, slot 0
        cmp = expert_prev17 >= gl.full([32], 0, gl.int64, BLOCKED_32)
        cmp2 = expert_prev17 < cast
        and__prev3 = and__prev_prev
        and__prev_prev = and__prev
        and__prev = and_
        and_ = cmp & cmp2
        # store@9 on LSU: stage 52, slot 2
        gl.atomic_add(addptr + expert_prev20, gl.full([32], 1, gl.int32, BLOCKED_32), mask=and__prev3, sem="relaxed")
        # epilogue, body 33
        # and on ALU: stage 49, slot 0
        cmp = expert_prev16 >= gl.full([32], 0, gl.int64, BLOCKED_32)
        cmp2 = expert_prev16 < cast
        and__prev3 = and__prev_prev
        and__prev_prev = and__prev
        and__prev = and_
        and_ = cmp & cmp2
        # store@9 on LSU: stage 52, slot 2
        gl.atomic_add(addptr + expert_prev19, gl.full([32], 1, gl.int32, BLOCKED_32), mask=and__prev3, sem="relaxed")
        # epilogue, body 34
        # and on ALU: stage 49, slot 0
        cmp = expert_prev15 >= gl.full([32], 0, gl.int64, BLOCKED_32)
        cmp2 = expert_prev15 < cast
        and__prev3 = and__prev_prev
        and__prev_prev = and__prev
        and__prev = and_
        and_ = cmp & cmp2
        # store@9 on LSU: stage 52, slot 2
        gl.atomic_add(addptr + expert_prev18, gl.full([32], 1, gl.int32, BLOCKED_32), mask=and__prev3, sem="relaxed")
        # epilogue, body 35
        # and on ALU: stage 49, slot 0
        cmp = expert_prev14 >= gl.full([32], 0, gl.int64, BLOCKED_32)
        cmp2 = expert_prev14 < cast
        and__prev3 = and__prev_prev
        and__prev_prev = and__prev
        and__prev = and_
        and_ = cmp & cmp2
        # store@9 on LSU: stage 52, slot 2
        gl.atomic_add(addptr + expert_prev17, gl.full([32], 1, gl.int32, BLOCKED_32), mask=and__prev3, sem="relaxed")
        # epilogue, body 36
        # and on ALU: stage 49, slot 0
        cmp = expert_prev13 >= gl.full([32], 0, gl.int64, BLOCKED_32)
        cmp2 = expert_prev13 < cast
        and__prev3 = and__prev_prev
        and__prev_prev = and__prev
        and__prev = and_
        and_ = cmp & cmp2
        # store@9 on LSU: stage 52, slot 2
        gl.atomic_add(addptr + expert_prev16, gl.full([32], 1, gl.int32, BLOCKED_32), mask=and__prev3, sem="relaxed")
        # epilogue, body 37
        # and on ALU: stage 49, slot 0
        cmp = expert_prev12 >= gl.full([32], 0, gl.int64, BLOCKED_32)
        cmp2 = expert_prev12 < cast
        and__prev3 = and__prev_prev
        and__prev_prev = and__prev
        and__prev = and_
        and_ = cmp & cmp2
        # store@9 on LSU: stage 52, slot 2
        gl.atomic_add(addptr + expert_prev15, gl.full([32], 1, gl.int32, BLOCKED_32), mask=and__prev3, sem="relaxed")
        # epilogue, body 38
        # and on ALU: stage 49, slot 0
        cmp = expert_prev11 >= gl.full([32], 0, gl.int64, BLOCKED_32)
        cmp2 = expert_prev11 < cast
        and__prev3 = and__prev_prev
        and__prev_prev = and__prev
        and__prev = and_
        and_ = cmp & cmp2
        # store@9 on LSU: stage 52, slot 2
        gl.atomic_add(addptr + expert_prev14, gl.full([32], 1, gl.int32, BLOCKED_32), mask=and__prev3, sem="relaxed")
        # epilogue, body 39
        # and on ALU: stage 49, slot 0
        cmp = expert_prev10 >= gl.full([32], 0, gl.int64, BLOCKED_32)
        cmp2 = expert_prev10 < cast
        and__prev3 = and__prev_prev
        and__prev_prev = and__prev
        and__prev = and_
        and_ = cmp & cmp2
        # store@9 on LSU: stage 52, slot 2
        gl.atomic_add(addptr + expert_prev13, gl.full([32], 1, gl.int32, BLOCKED_32), mask=and__prev3, sem="relaxed")
        # epilogue, body 40
        # and on ALU: stage 49, slot 0
        cmp = expert_prev9 >= gl.full([32], 0, gl.int64, BLOCKED_32)
        cmp2 = expert_prev9 < cast
        and__prev3 = and__prev_prev
        and__prev_prev = and__prev
        and__prev = and_
        and_ = cmp & cmp2
        # store@9 on LSU: stage 52, slot 2
        gl.atomic_add(addptr + expert_prev12, gl.full([32], 1, gl.int32, BLOCKED_32), mask=and__prev3, sem="relaxed")
        # epilogue, body 41
        # and on ALU: stage 49, slot 0
        cmp = expert_prev8 >= gl.full([32], 0, gl.int64, BLOCKED_32)
        cmp2 = expert_prev8 < cast
        and__prev3 = and__prev_prev
        and__prev_prev = and__prev
        and__prev = and_
        and_ = cmp & cmp2
        # store@9 on LSU: stage 52, slot 2
        gl.atomic_add(addptr + expert_prev11, gl.full([32], 1, gl.int32, BLOCKED_32), mask=and__prev3, sem="relaxed")
        # epilogue, body 42
        # and on ALU: stage 49, slot 0
        cmp = expert_prev7 >= gl.full([32], 0, gl.int64, BLOCKED_32)
        cmp2 = expert_prev7 < cast
        and__prev3 = and__prev_prev
        and__prev_prev = and__prev
        and__prev = and_
        and_ = cmp & cmp2
        # store@9 on LSU: stage 52, slot 2
        gl.atomic_add(addptr + expert_prev10, gl.full([32], 1, gl.int32, BLOCKED_32), mask=and__prev3, sem="relaxed")
        # epilogue, body 43
        # and on ALU: stage 49, slot 0
        cmp = expert_prev6 >= gl.full([32], 0, gl.int64, BLOCKED_32)
        cmp2 = expert_prev6 < cast
        and__prev3 = and__prev_prev
        and__prev_prev = and__prev
        and__prev = and_
        and_ = cmp & cmp2
        # store@9 on LSU: stage 52, slot 2
        gl.atomic_add(addptr + expert_prev9, gl.full([32], 1, gl.int32, BLOCKED_32), mask=and__prev3, sem="relaxed")
        # epilogue, body 44
        # and on ALU: stage 49, slot 0
        cmp = expert_prev5 >= gl.full([32], 0, gl.int64, BLOCKED_32)
        cmp2 = expert_prev5 < cast
        and__prev3 = and__prev_prev
        and__prev_prev = and__prev
        and__prev = and_
        and_ = cmp & cmp2
        # store@9 on LSU: stage 52, slot 2
        gl.atomic_add(addptr + expert_prev8, gl.full([32], 1, gl.int32, BLOCKED_32), mask=and__prev3, sem="relaxed")
        # epilogue, body 45
        # and on ALU: stage 49, slot 0
        cmp = expert_prev4 >= gl.full([32], 0, gl.int64, BLOCKED_32)
        cmp2 = expert_prev4 < cast
        and__prev3 = and__prev_prev
        and__prev_prev = and__prev
        and__prev = and_
        and_ = cmp & cmp2
        # store@9 on LSU: stage 52, slot 2
        gl.atomic_add(addptr + expert_prev7, gl.full([32], 1, gl.int32, BLOCKED_32), mask=and__prev3, sem="relaxed")
        # epilogue, body 46
        # and on ALU: stage 49, slot 0
        cmp = expert_prev3 >= gl.full([32], 0, gl.int64, BLOCKED_32)
        cmp2 = expert_prev3 < cast
        and__prev3 = and__prev_prev
        and__prev_prev = and__prev
        and__prev = and_
        and_ = cmp & cmp2
        # store@9 on LSU: stage 52, slot 2
        gl.atomic_add(addptr + expert_prev6, gl.full([32], 1, gl.int32, BLOCKED_32), mask=and__prev3, sem="relaxed")
        # epilogue, body 47
        # and on ALU: stage 49, slot 0
        cmp = expert_prev_prev >= gl.full([32], 0, gl.int64, BLOCKED_32)
        cmp2 = expert_prev_prev < cast
        and__prev3 = and__prev_prev
        and__prev_prev = and__prev
        and__prev = and_
        and_ = cmp & cmp2
        # store@9 on LSU: stage 52, slot 2
        gl.atomic_add(addptr + expert_prev5, gl.full([32], 1, gl.int32, BLOCKED_32), mask=and__prev3, sem="relaxed")
        # epilogue, body 48
        # and on ALU: stage 49, slot 0
        cmp = expert_prev >= gl.full([32], 0, gl.int64, BLOCKED_32)
        cmp2 = expert_prev < cast
        and__prev3 = and__prev_prev
        and__prev_prev = and__prev
        and__prev = and_
        and_ = cmp & cmp2
        # store@9 on LSU: stage 52, slot 2
        gl.atomic_add(addptr + expert_prev4, gl.full([32], 1, gl.int32, BLOCKED_32), mask=and__prev3, sem="relaxed")
        # epilogue, body 49
        # and on ALU: stage 49, slot 0
        cmp = expert >= gl.full([32], 0, gl.int64, BLOCKED_32)
        cmp2 = expert < cast
        and__prev3 = and__prev_prev
        and__prev_prev = and__prev
        and__prev = and_
        and_ = cmp & cmp2
        # store@9 on LSU: stage 52, slot 2
        gl.atomic_add(addptr + expert_prev3, gl.full([32], 1, gl.int32, BLOCKED_32), mask=and__prev3, sem="relaxed")
        # epilogue, body 50
        # store@9 on LSU: stage 52, slot 2
        gl.atomic_add(addptr + expert_prev_prev, gl.full([32], 1, gl.int32, BLOCKED_32), mask=and__prev_prev, sem="relaxed")
        # epilogue, body 51
        # store@9 on LSU: stage 52, slot 2
        gl.atomic_add(addptr + expert_prev, gl.full([32], 1, gl.int32, BLOCKED_32), mask=and__prev, sem="relaxed")
        # epilogue, body 52
        # store@9 on LSU: stage 52, slot 2
        gl.atomic_add(addptr + expert, gl.full([32], 1, gl.int32, BLOCKED_32), mask=and_, sem="relaxed")
    else:
        # too few iterations to fill the pipeline: one after the other
        for i in range(0, n):
            # expert on LSU: stage 0, slot 0
            expert = gl.load(ids + ((begin + i * 32) + gl.arange(0, 32, layout=BLOCKED_32)), mask=((begin + i * 32) + gl.arange(0, 32, layout=BLOCKED_32)) < end, other=gl.full([32], -1, gl.int64, BLOCKED_32))
            # and on ALU: stage 49, slot 0
            cmp = expert >= gl.full([32], 0, gl.int64, BLOCKED_32)
            cmp2 = expert < cast
            and_ = cmp & cmp2
            # store@9 on LSU: stage 52, slot 2
            gl.atomic_add(addptr + expert, gl.full([32], 1, gl.int32, BLOCKED_32), mask=and_, sem="relaxed")


@gluon.jit
def moe_histogram_kernel(ids, counts, C, E):
    """Shared memory, barriers, and one warp group for each of consumer0."""
    barrier: gl.constexpr = mbarrier.MBarrierLayout()
    fence_async_shared()  # the barriers are set up before TMA or another role sees them
    consumer0(C, E, counts, ids)


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


def moe_histogram(ids, counts, C, E, BLOCK=256, BC=32):
    """Launch the kernel on the current stream; arguments as of the source kernel `moe_histogram`.

    Raises TypeError or ValueError when an argument is not what the kernel was compiled for.
    """
    if BLOCK != 256:
        raise ValueError(f"compiled for BLOCK=256, got {BLOCK!r}: compile it again")
    if BC != 32:
        raise ValueError(f"compiled for BC=32, got {BC!r}: compile it again")
    require_tensors(DEVICE_TYPE, ids=(ids, torch.int64), counts=(counts, torch.int32))
    require_scalars(C=(C, "i32"), E=(E, "i32"))
    grid = (triton.cdiv(C, BLOCK),)
    require_grid(grid)
    require_pointer("ids", ids)
    require_pointer("counts", counts, narrow=False)
    if 0 in grid:
        return  # there is nothing to do
    moe_histogram_kernel[grid](ids, counts, C, E, num_warps=4)

r"""moe_combine for Hopper, written by Twill from moe_combine.py. Do not edit: change the
kernel and compile it again.

Compiled for BT=16, BN=256.
Schedule: II = 432 cycles, optimal (ResMII of unit ALU (ops weight_1.0, weight_1.1, rows_4.0, rows_4.1, rows_7.0, rows_7.1, part.0, part.1 and 6 more)); one iteration takes 1433.

Roles:
  consumer0: 4 warps, 248 registers a thread, 4 stages
  consumer1: 4 warps, 248 registers a thread, 4 stages

Rings:

Steady state, one II:
           0                     108                   216                   324
      ALU |<c #0 ]0TTWowO0t[R #2 ][and.0 #1 --][r #2][and.1 #3 --][A #1 ---][a #1 ---][acc.0 #1]1cc|
      LSU |Pp.............[B #0][d #0 ]...e2SSSSE..........[s #2 ].................................|
  group 0 |P......0TTW.O..[B #0]..[and.0 #1 --].E.................[A #1 ---]..........[acc.0 #1]...|
          |                [R #2 ]        [S #2]                                                   |
  group 1 |<c #0 ]....ow0tt.....[d #0 ]...e....[r #2][and.1 #3 --]..........[a #1 ---]..........1cc|
          |p                                               [s #2 ]                                 |
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

BLOCKED_8x256: gl.constexpr = gl.constexpr(gl.BlockedLayout(size_per_thread=[1, 8], threads_per_warp=[1, 32], warps_per_cta=[4, 1], order=[1, 0]))
ROWS_OF_BLOCKED_8x256: gl.constexpr = gl.constexpr(gl.SliceLayout(1, BLOCKED_8x256.value))
BLOCKED_8x1: gl.constexpr = gl.constexpr(gl.BlockedLayout(size_per_thread=[1, 1], threads_per_warp=[32, 1], warps_per_cta=[4, 1], order=[1, 0]))
ROWS_OF_BLOCKED_8x1: gl.constexpr = gl.constexpr(gl.SliceLayout(1, BLOCKED_8x1.value))
COLUMNS_OF_BLOCKED_8x256: gl.constexpr = gl.constexpr(gl.SliceLayout(0, BLOCKED_8x256.value))


@gluon.jit
def consumer0(K, N, T, out, positions, weights, y):
    """Consumer: warp group 0 of the schedule."""
    token3 = gl.program_id(0)
    token2 = token3 * 16
    token = token2 + gl.arange(0, 8, layout=ROWS_OF_BLOCKED_8x256)
    place3 = token.to(gl.int64)
    place = N.to(gl.int64)
    place2 = place3 * place
    add = N + 255
    div = add // 256
    mul = K * div
    position2 = token < T
    position4 = token * K
    position = positions + position4
    weight2 = weights + position4
    sub = K - 1
    addptr = out + gl.expand_dims(gl.convert_layout(place2, ROWS_OF_BLOCKED_8x1), 1)
    acc = gl.full([8, 256], 0.0, gl.float32, BLOCKED_8x256)
    n = mul
    if n >= 3:
        # prologue, body 0
        # position.0 on LSU: stage 0, slot 0
        position3 = gl.load(position + (0 % K), mask=position2, other=gl.full([8], -1, gl.int64, ROWS_OF_BLOCKED_8x256))
        # prologue, body 1
        # position.0 on LSU: stage 0, slot 0
        position3_prev = position3
        position3 = gl.load(position + (1 % K), mask=position2, other=gl.full([8], -1, gl.int64, ROWS_OF_BLOCKED_8x256))
        # weight_1.0 on ALU: stage 1, slot 48
        weight = position3_prev >= gl.full([8], 0, gl.int64, ROWS_OF_BLOCKED_8x256)
        # rows_7.0 on ALU: stage 1, slot 60
        rows = gl.expand_dims(gl.convert_layout(position3_prev, ROWS_OF_BLOCKED_8x1), 1) * place
        # rows_4.0 on ALU: stage 1, slot 80
        rows2 = gl.expand_dims(weight, 1) & gl.expand_dims((((0 // K) * 256) + gl.arange(0, 256, layout=COLUMNS_OF_BLOCKED_8x256)) < N, 0)
        # rows.0 on LSU: stage 1, slot 152
        rows3 = gl.load((y + gl.convert_layout(rows, BLOCKED_8x256)) + gl.expand_dims(((0 // K) * 256) + gl.arange(0, 256, layout=COLUMNS_OF_BLOCKED_8x256), 0), mask=rows2, other=gl.full([8, 256], 0.0, gl.float16, BLOCKED_8x256))
        # weight.0 on LSU: stage 1, slot 184
        weight3 = gl.load(weight2 + (0 % K), mask=weight, other=gl.full([8], 0.0, gl.float32, ROWS_OF_BLOCKED_8x256))
        # prologue, body 2
        # position.0 on LSU: stage 0, slot 0
        position3_prev = position3
        position3 = gl.load(position + (2 % K), mask=position2, other=gl.full([8], -1, gl.int64, ROWS_OF_BLOCKED_8x256))
        # weight_1.0 on ALU: stage 1, slot 48
        weight = position3_prev >= gl.full([8], 0, gl.int64, ROWS_OF_BLOCKED_8x256)
        # rows_7.0 on ALU: stage 1, slot 60
        rows = gl.expand_dims(gl.convert_layout(position3_prev, ROWS_OF_BLOCKED_8x1), 1) * place
        # rows_4.0 on ALU: stage 1, slot 80
        rows2 = gl.expand_dims(weight, 1) & gl.expand_dims((((1 // K) * 256) + gl.arange(0, 256, layout=COLUMNS_OF_BLOCKED_8x256)) < N, 0)
        # and.0 on ALU: stage 2, slot 112
        and_ = gl.expand_dims(position2, 1) & gl.expand_dims((((0 // K) * 256) + gl.arange(0, 256, layout=COLUMNS_OF_BLOCKED_8x256)) < N, 0)
        and_2 = and_ & ((0 % K) == sub)
        # rows.0 on LSU: stage 1, slot 152
        rows3_prev = rows3
        rows3 = gl.load((y + gl.convert_layout(rows, BLOCKED_8x256)) + gl.expand_dims(((1 // K) * 256) + gl.arange(0, 256, layout=COLUMNS_OF_BLOCKED_8x256), 0), mask=rows2, other=gl.full([8, 256], 0.0, gl.float16, BLOCKED_8x256))
        # weight.0 on LSU: stage 1, slot 184
        weight3_prev = weight3
        weight3 = gl.load(weight2 + (1 % K), mask=weight, other=gl.full([8], 0.0, gl.float32, ROWS_OF_BLOCKED_8x256))
        # part.0 on ALU: stage 2, slot 272
        part = rows3_prev.to(gl.float32)
        part2 = gl.expand_dims(weight3_prev, 1) * part
        # acc.0 on ALU: stage 2, slot 368
        acc3 = acc + part2
        acc = gl.where((0 % K) == 0, part2, acc3)
        # steady state
        for i in range(3, n):
            # position.0 on LSU: stage 0, slot 0
            position3_prev = position3
            position3 = gl.load(position + (i % K), mask=position2, other=gl.full([8], -1, gl.int64, ROWS_OF_BLOCKED_8x256))
            # cast.0 on ALU: stage 3, slot 32
            cast = acc.to(gl.float16)
            # weight_1.0 on ALU: stage 1, slot 48
            weight = position3_prev >= gl.full([8], 0, gl.int64, ROWS_OF_BLOCKED_8x256)
            # rows_7.0 on ALU: stage 1, slot 60
            rows = gl.expand_dims(gl.convert_layout(position3_prev, ROWS_OF_BLOCKED_8x1), 1) * place
            # store@68 on LSU: stage 3, slot 73
            gl.store(gl.convert_layout(addptr, BLOCKED_8x256) + gl.expand_dims((((i - 3) // K) * 256) + gl.arange(0, 256, layout=COLUMNS_OF_BLOCKED_8x256), 0), cast, mask=and_2)
            # rows_4.0 on ALU: stage 1, slot 80
            rows2 = gl.expand_dims(weight, 1) & gl.expand_dims(((((i - 1) // K) * 256) + gl.arange(0, 256, layout=COLUMNS_OF_BLOCKED_8x256)) < N, 0)
            # and.0 on ALU: stage 2, slot 112
            and_ = gl.expand_dims(position2, 1) & gl.expand_dims(((((i - 2) // K) * 256) + gl.arange(0, 256, layout=COLUMNS_OF_BLOCKED_8x256)) < N, 0)
            and_2 = and_ & (((i - 2) % K) == sub)
            # rows.0 on LSU: stage 1, slot 152
            rows3_prev = rows3
            rows3 = gl.load((y + gl.convert_layout(rows, BLOCKED_8x256)) + gl.expand_dims((((i - 1) // K) * 256) + gl.arange(0, 256, layout=COLUMNS_OF_BLOCKED_8x256), 0), mask=rows2, other=gl.full([8, 256], 0.0, gl.float16, BLOCKED_8x256))
            # weight.0 on LSU: stage 1, slot 184
            weight3_prev = weight3
            weight3 = gl.load(weight2 + ((i - 1) % K), mask=weight, other=gl.full([8], 0.0, gl.float32, ROWS_OF_BLOCKED_8x256))
            # part.0 on ALU: stage 2, slot 272
            part = rows3_prev.to(gl.float32)
            part2 = gl.expand_dims(weight3_prev, 1) * part
            # acc.0 on ALU: stage 2, slot 368
            acc3 = acc + part2
            acc = gl.where(((i - 2) % K) == 0, part2, acc3)
        # epilogue, body 1
        # cast.0 on ALU: stage 3, slot 32
        cast = acc.to(gl.float16)
        # weight_1.0 on ALU: stage 1, slot 48
        weight = position3 >= gl.full([8], 0, gl.int64, ROWS_OF_BLOCKED_8x256)
        # rows_7.0 on ALU: stage 1, slot 60
        rows = gl.expand_dims(gl.convert_layout(position3, ROWS_OF_BLOCKED_8x1), 1) * place
        # store@68 on LSU: stage 3, slot 73
        gl.store(gl.convert_layout(addptr, BLOCKED_8x256) + gl.expand_dims((((n - 3) // K) * 256) + gl.arange(0, 256, layout=COLUMNS_OF_BLOCKED_8x256), 0), cast, mask=and_2)
        # rows_4.0 on ALU: stage 1, slot 80
        rows2 = gl.expand_dims(weight, 1) & gl.expand_dims(((((n - 1) // K) * 256) + gl.arange(0, 256, layout=COLUMNS_OF_BLOCKED_8x256)) < N, 0)
        # and.0 on ALU: stage 2, slot 112
        and_ = gl.expand_dims(position2, 1) & gl.expand_dims(((((n - 2) // K) * 256) + gl.arange(0, 256, layout=COLUMNS_OF_BLOCKED_8x256)) < N, 0)
        and_2 = and_ & (((n - 2) % K) == sub)
        # rows.0 on LSU: stage 1, slot 152
        rows3_prev = rows3
        rows3 = gl.load((y + gl.convert_layout(rows, BLOCKED_8x256)) + gl.expand_dims((((n - 1) // K) * 256) + gl.arange(0, 256, layout=COLUMNS_OF_BLOCKED_8x256), 0), mask=rows2, other=gl.full([8, 256], 0.0, gl.float16, BLOCKED_8x256))
        # weight.0 on LSU: stage 1, slot 184
        weight3_prev = weight3
        weight3 = gl.load(weight2 + ((n - 1) % K), mask=weight, other=gl.full([8], 0.0, gl.float32, ROWS_OF_BLOCKED_8x256))
        # part.0 on ALU: stage 2, slot 272
        part = rows3_prev.to(gl.float32)
        part2 = gl.expand_dims(weight3_prev, 1) * part
        # acc.0 on ALU: stage 2, slot 368
        acc3 = acc + part2
        acc = gl.where(((n - 2) % K) == 0, part2, acc3)
        # epilogue, body 2
        # cast.0 on ALU: stage 3, slot 32
        cast = acc.to(gl.float16)
        # store@68 on LSU: stage 3, slot 73
        gl.store(gl.convert_layout(addptr, BLOCKED_8x256) + gl.expand_dims((((n - 2) // K) * 256) + gl.arange(0, 256, layout=COLUMNS_OF_BLOCKED_8x256), 0), cast, mask=and_2)
        # and.0 on ALU: stage 2, slot 112
        and_ = gl.expand_dims(position2, 1) & gl.expand_dims(((((n - 1) // K) * 256) + gl.arange(0, 256, layout=COLUMNS_OF_BLOCKED_8x256)) < N, 0)
        and_2 = and_ & (((n - 1) % K) == sub)
        # part.0 on ALU: stage 2, slot 272
        part = rows3.to(gl.float32)
        part2 = gl.expand_dims(weight3, 1) * part
        # acc.0 on ALU: stage 2, slot 368
        acc3 = acc + part2
        acc = gl.where(((n - 1) % K) == 0, part2, acc3)
        # epilogue, body 3
        # cast.0 on ALU: stage 3, slot 32
        cast = acc.to(gl.float16)
        # store@68 on LSU: stage 3, slot 73
        gl.store(gl.convert_layout(addptr, BLOCKED_8x256) + gl.expand_dims((((n - 1) // K) * 256) + gl.arange(0, 256, layout=COLUMNS_OF_BLOCKED_8x256), 0), cast, mask=and_2)
    else:
        # too few iterations to fill the pipeline: one after the other
        for i in range(0, n):
            # position.0 on LSU: stage 0, slot 0
            position3 = gl.load(position + (i % K), mask=position2, other=gl.full([8], -1, gl.int64, ROWS_OF_BLOCKED_8x256))
            # weight_1.0 on ALU: stage 1, slot 48
            weight = position3 >= gl.full([8], 0, gl.int64, ROWS_OF_BLOCKED_8x256)
            # weight.0 on LSU: stage 1, slot 184
            weight3 = gl.load(weight2 + (i % K), mask=weight, other=gl.full([8], 0.0, gl.float32, ROWS_OF_BLOCKED_8x256))
            # rows_4.0 on ALU: stage 1, slot 80
            rows2 = gl.expand_dims(weight, 1) & gl.expand_dims((((i // K) * 256) + gl.arange(0, 256, layout=COLUMNS_OF_BLOCKED_8x256)) < N, 0)
            # rows_7.0 on ALU: stage 1, slot 60
            rows = gl.expand_dims(gl.convert_layout(position3, ROWS_OF_BLOCKED_8x1), 1) * place
            # rows.0 on LSU: stage 1, slot 152
            rows3 = gl.load((y + gl.convert_layout(rows, BLOCKED_8x256)) + gl.expand_dims(((i // K) * 256) + gl.arange(0, 256, layout=COLUMNS_OF_BLOCKED_8x256), 0), mask=rows2, other=gl.full([8, 256], 0.0, gl.float16, BLOCKED_8x256))
            # part.0 on ALU: stage 2, slot 272
            part = rows3.to(gl.float32)
            part2 = gl.expand_dims(weight3, 1) * part
            # acc.0 on ALU: stage 2, slot 368
            acc3 = acc + part2
            acc = gl.where((i % K) == 0, part2, acc3)
            # and.0 on ALU: stage 2, slot 112
            and_ = gl.expand_dims(position2, 1) & gl.expand_dims((((i // K) * 256) + gl.arange(0, 256, layout=COLUMNS_OF_BLOCKED_8x256)) < N, 0)
            and_2 = and_ & ((i % K) == sub)
            # cast.0 on ALU: stage 3, slot 32
            cast = acc.to(gl.float16)
            # store@68 on LSU: stage 3, slot 73
            gl.store(gl.convert_layout(addptr, BLOCKED_8x256) + gl.expand_dims(((i // K) * 256) + gl.arange(0, 256, layout=COLUMNS_OF_BLOCKED_8x256), 0), cast, mask=and_2)


@gluon.jit
def consumer1(K, N, T, out, positions, weights, y):
    """Consumer: warp group 1 of the schedule."""
    token3 = gl.program_id(0)
    token2 = token3 * 16
    token = token2 + gl.arange(8, 16, layout=ROWS_OF_BLOCKED_8x256)
    place3 = token.to(gl.int64)
    place = N.to(gl.int64)
    place2 = place3 * place
    add = N + 255
    div = add // 256
    mul = K * div
    position2 = token < T
    position4 = token * K
    position = positions + position4
    weight2 = weights + position4
    sub = K - 1
    addptr = out + gl.expand_dims(gl.convert_layout(place2, ROWS_OF_BLOCKED_8x1), 1)
    acc2 = gl.full([8, 256], 0.0, gl.float32, BLOCKED_8x256)
    n = mul
    if n >= 3:
        # prologue, body 0
        # position.1 on LSU: stage 0, slot 1
        position3 = gl.load(position + (0 % K), mask=position2, other=gl.full([8], -1, gl.int64, ROWS_OF_BLOCKED_8x256))
        # and.1 on ALU: stage 0, slot 208
        and_ = gl.expand_dims(position2, 1) & gl.expand_dims((((0 // K) * 256) + gl.arange(0, 256, layout=COLUMNS_OF_BLOCKED_8x256)) < N, 0)
        and_2 = and_ & ((0 % K) == sub)
        # prologue, body 1
        # position.1 on LSU: stage 0, slot 1
        position3_prev = position3
        position3 = gl.load(position + (1 % K), mask=position2, other=gl.full([8], -1, gl.int64, ROWS_OF_BLOCKED_8x256))
        # rows_7.1 on ALU: stage 1, slot 52
        rows = gl.expand_dims(gl.convert_layout(position3_prev, ROWS_OF_BLOCKED_8x1), 1) * place
        # weight_1.1 on ALU: stage 1, slot 56
        weight = position3_prev >= gl.full([8], 0, gl.int64, ROWS_OF_BLOCKED_8x256)
        # weight.1 on LSU: stage 1, slot 151
        weight3 = gl.load(weight2 + (0 % K), mask=weight, other=gl.full([8], 0.0, gl.float32, ROWS_OF_BLOCKED_8x256))
        # rows_4.1 on ALU: stage 1, slot 176
        rows2 = gl.expand_dims(weight, 1) & gl.expand_dims((((0 // K) * 256) + gl.arange(0, 256, layout=COLUMNS_OF_BLOCKED_8x256)) < N, 0)
        # and.1 on ALU: stage 0, slot 208
        and_ = gl.expand_dims(position2, 1) & gl.expand_dims((((1 // K) * 256) + gl.arange(0, 256, layout=COLUMNS_OF_BLOCKED_8x256)) < N, 0)
        and_2_prev = and_2
        and_2 = and_ & ((1 % K) == sub)
        # rows.1 on LSU: stage 1, slot 237
        rows3 = gl.load((y + gl.convert_layout(rows, BLOCKED_8x256)) + gl.expand_dims(((0 // K) * 256) + gl.arange(0, 256, layout=COLUMNS_OF_BLOCKED_8x256), 0), mask=rows2, other=gl.full([8, 256], 0.0, gl.float16, BLOCKED_8x256))
        # prologue, body 2
        # position.1 on LSU: stage 0, slot 1
        position3_prev = position3
        position3 = gl.load(position + (2 % K), mask=position2, other=gl.full([8], -1, gl.int64, ROWS_OF_BLOCKED_8x256))
        # rows_7.1 on ALU: stage 1, slot 52
        rows = gl.expand_dims(gl.convert_layout(position3_prev, ROWS_OF_BLOCKED_8x1), 1) * place
        # weight_1.1 on ALU: stage 1, slot 56
        weight = position3_prev >= gl.full([8], 0, gl.int64, ROWS_OF_BLOCKED_8x256)
        # weight.1 on LSU: stage 1, slot 151
        weight3_prev = weight3
        weight3 = gl.load(weight2 + (1 % K), mask=weight, other=gl.full([8], 0.0, gl.float32, ROWS_OF_BLOCKED_8x256))
        # rows_4.1 on ALU: stage 1, slot 176
        rows2 = gl.expand_dims(weight, 1) & gl.expand_dims((((1 // K) * 256) + gl.arange(0, 256, layout=COLUMNS_OF_BLOCKED_8x256)) < N, 0)
        # and.1 on ALU: stage 0, slot 208
        and_ = gl.expand_dims(position2, 1) & gl.expand_dims((((2 // K) * 256) + gl.arange(0, 256, layout=COLUMNS_OF_BLOCKED_8x256)) < N, 0)
        and_2_prev_prev = and_2_prev
        and_2_prev = and_2
        and_2 = and_ & ((2 % K) == sub)
        # rows.1 on LSU: stage 1, slot 237
        rows3_prev = rows3
        rows3 = gl.load((y + gl.convert_layout(rows, BLOCKED_8x256)) + gl.expand_dims(((1 // K) * 256) + gl.arange(0, 256, layout=COLUMNS_OF_BLOCKED_8x256), 0), mask=rows2, other=gl.full([8, 256], 0.0, gl.float16, BLOCKED_8x256))
        # part.1 on ALU: stage 2, slot 320
        part = rows3_prev.to(gl.float32)
        part2 = gl.expand_dims(weight3_prev, 1) * part
        # acc.1 on ALU: stage 2, slot 416
        acc3 = acc2 + part2
        acc2 = gl.where((0 % K) == 0, part2, acc3)
        # steady state
        for i in range(3, n):
            # position.1 on LSU: stage 0, slot 1
            position3_prev = position3
            position3 = gl.load(position + (i % K), mask=position2, other=gl.full([8], -1, gl.int64, ROWS_OF_BLOCKED_8x256))
            # rows_7.1 on ALU: stage 1, slot 52
            rows = gl.expand_dims(gl.convert_layout(position3_prev, ROWS_OF_BLOCKED_8x1), 1) * place
            # weight_1.1 on ALU: stage 1, slot 56
            weight = position3_prev >= gl.full([8], 0, gl.int64, ROWS_OF_BLOCKED_8x256)
            # cast.1 on ALU: stage 3, slot 64
            cast = acc2.to(gl.float16)
            # store@69 on LSU: stage 3, slot 105
            gl.store(gl.convert_layout(addptr, BLOCKED_8x256) + gl.expand_dims((((i - 3) // K) * 256) + gl.arange(0, 256, layout=COLUMNS_OF_BLOCKED_8x256), 0), cast, mask=and_2_prev_prev)
            # weight.1 on LSU: stage 1, slot 151
            weight3_prev = weight3
            weight3 = gl.load(weight2 + ((i - 1) % K), mask=weight, other=gl.full([8], 0.0, gl.float32, ROWS_OF_BLOCKED_8x256))
            # rows_4.1 on ALU: stage 1, slot 176
            rows2 = gl.expand_dims(weight, 1) & gl.expand_dims(((((i - 1) // K) * 256) + gl.arange(0, 256, layout=COLUMNS_OF_BLOCKED_8x256)) < N, 0)
            # and.1 on ALU: stage 0, slot 208
            and_ = gl.expand_dims(position2, 1) & gl.expand_dims((((i // K) * 256) + gl.arange(0, 256, layout=COLUMNS_OF_BLOCKED_8x256)) < N, 0)
            and_2_prev_prev = and_2_prev
            and_2_prev = and_2
            and_2 = and_ & ((i % K) == sub)
            # rows.1 on LSU: stage 1, slot 237
            rows3_prev = rows3
            rows3 = gl.load((y + gl.convert_layout(rows, BLOCKED_8x256)) + gl.expand_dims((((i - 1) // K) * 256) + gl.arange(0, 256, layout=COLUMNS_OF_BLOCKED_8x256), 0), mask=rows2, other=gl.full([8, 256], 0.0, gl.float16, BLOCKED_8x256))
            # part.1 on ALU: stage 2, slot 320
            part = rows3_prev.to(gl.float32)
            part2 = gl.expand_dims(weight3_prev, 1) * part
            # acc.1 on ALU: stage 2, slot 416
            acc3 = acc2 + part2
            acc2 = gl.where(((i - 2) % K) == 0, part2, acc3)
        # epilogue, body 1
        # rows_7.1 on ALU: stage 1, slot 52
        rows = gl.expand_dims(gl.convert_layout(position3, ROWS_OF_BLOCKED_8x1), 1) * place
        # weight_1.1 on ALU: stage 1, slot 56
        weight = position3 >= gl.full([8], 0, gl.int64, ROWS_OF_BLOCKED_8x256)
        # cast.1 on ALU: stage 3, slot 64
        cast = acc2.to(gl.float16)
        # store@69 on LSU: stage 3, slot 105
        gl.store(gl.convert_layout(addptr, BLOCKED_8x256) + gl.expand_dims((((n - 3) // K) * 256) + gl.arange(0, 256, layout=COLUMNS_OF_BLOCKED_8x256), 0), cast, mask=and_2_prev_prev)
        # weight.1 on LSU: stage 1, slot 151
        weight3_prev = weight3
        weight3 = gl.load(weight2 + ((n - 1) % K), mask=weight, other=gl.full([8], 0.0, gl.float32, ROWS_OF_BLOCKED_8x256))
        # rows_4.1 on ALU: stage 1, slot 176
        rows2 = gl.expand_dims(weight, 1) & gl.expand_dims(((((n - 1) // K) * 256) + gl.arange(0, 256, layout=COLUMNS_OF_BLOCKED_8x256)) < N, 0)
        # rows.1 on LSU: stage 1, slot 237
        rows3_prev = rows3
        rows3 = gl.load((y + gl.convert_layout(rows, BLOCKED_8x256)) + gl.expand_dims((((n - 1) // K) * 256) + gl.arange(0, 256, layout=COLUMNS_OF_BLOCKED_8x256), 0), mask=rows2, other=gl.full([8, 256], 0.0, gl.float16, BLOCKED_8x256))
        # part.1 on ALU: stage 2, slot 320
        part = rows3_prev.to(gl.float32)
        part2 = gl.expand_dims(weight3_prev, 1) * part
        # acc.1 on ALU: stage 2, slot 416
        acc3 = acc2 + part2
        acc2 = gl.where(((n - 2) % K) == 0, part2, acc3)
        # epilogue, body 2
        # cast.1 on ALU: stage 3, slot 64
        cast = acc2.to(gl.float16)
        # store@69 on LSU: stage 3, slot 105
        gl.store(gl.convert_layout(addptr, BLOCKED_8x256) + gl.expand_dims((((n - 2) // K) * 256) + gl.arange(0, 256, layout=COLUMNS_OF_BLOCKED_8x256), 0), cast, mask=and_2_prev)
        # part.1 on ALU: stage 2, slot 320
        part = rows3.to(gl.float32)
        part2 = gl.expand_dims(weight3, 1) * part
        # acc.1 on ALU: stage 2, slot 416
        acc3 = acc2 + part2
        acc2 = gl.where(((n - 1) % K) == 0, part2, acc3)
        # epilogue, body 3
        # cast.1 on ALU: stage 3, slot 64
        cast = acc2.to(gl.float16)
        # store@69 on LSU: stage 3, slot 105
        gl.store(gl.convert_layout(addptr, BLOCKED_8x256) + gl.expand_dims((((n - 1) // K) * 256) + gl.arange(0, 256, layout=COLUMNS_OF_BLOCKED_8x256), 0), cast, mask=and_2)
    else:
        # too few iterations to fill the pipeline: one after the other
        for i in range(0, n):
            # position.1 on LSU: stage 0, slot 1
            position3 = gl.load(position + (i % K), mask=position2, other=gl.full([8], -1, gl.int64, ROWS_OF_BLOCKED_8x256))
            # weight_1.1 on ALU: stage 1, slot 56
            weight = position3 >= gl.full([8], 0, gl.int64, ROWS_OF_BLOCKED_8x256)
            # weight.1 on LSU: stage 1, slot 151
            weight3 = gl.load(weight2 + (i % K), mask=weight, other=gl.full([8], 0.0, gl.float32, ROWS_OF_BLOCKED_8x256))
            # rows_4.1 on ALU: stage 1, slot 176
            rows2 = gl.expand_dims(weight, 1) & gl.expand_dims((((i // K) * 256) + gl.arange(0, 256, layout=COLUMNS_OF_BLOCKED_8x256)) < N, 0)
            # rows_7.1 on ALU: stage 1, slot 52
            rows = gl.expand_dims(gl.convert_layout(position3, ROWS_OF_BLOCKED_8x1), 1) * place
            # rows.1 on LSU: stage 1, slot 237
            rows3 = gl.load((y + gl.convert_layout(rows, BLOCKED_8x256)) + gl.expand_dims(((i // K) * 256) + gl.arange(0, 256, layout=COLUMNS_OF_BLOCKED_8x256), 0), mask=rows2, other=gl.full([8, 256], 0.0, gl.float16, BLOCKED_8x256))
            # part.1 on ALU: stage 2, slot 320
            part = rows3.to(gl.float32)
            part2 = gl.expand_dims(weight3, 1) * part
            # acc.1 on ALU: stage 2, slot 416
            acc3 = acc2 + part2
            acc2 = gl.where((i % K) == 0, part2, acc3)
            # and.1 on ALU: stage 0, slot 208
            and_ = gl.expand_dims(position2, 1) & gl.expand_dims((((i // K) * 256) + gl.arange(0, 256, layout=COLUMNS_OF_BLOCKED_8x256)) < N, 0)
            and_2 = and_ & ((i % K) == sub)
            # cast.1 on ALU: stage 3, slot 64
            cast = acc2.to(gl.float16)
            # store@69 on LSU: stage 3, slot 105
            gl.store(gl.convert_layout(addptr, BLOCKED_8x256) + gl.expand_dims(((i // K) * 256) + gl.arange(0, 256, layout=COLUMNS_OF_BLOCKED_8x256), 0), cast, mask=and_2)


@gluon.jit
def moe_combine_kernel(y, positions, weights, out, T, K, N):
    """Shared memory, barriers, and one warp group for each of consumer0, consumer1."""
    barrier: gl.constexpr = mbarrier.MBarrierLayout()
    fence_async_shared()  # the barriers are set up before TMA or another role sees them
    gl.warp_specialize(
        [
            (consumer0, (K, N, T, out, positions, weights, y,)),
            (consumer1, (K, N, T, out, positions, weights, y,)),
        ],
        [4],
        [248],
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


def moe_combine(y, positions, weights, out, T, K, N, BT=16, BN=256):
    """Launch the kernel on the current stream; arguments as of the source kernel `moe_combine`.

    Raises TypeError or ValueError when an argument is not what the kernel was compiled for.
    """
    if BT != 16:
        raise ValueError(f"compiled for BT=16, got {BT!r}: compile it again")
    if BN != 256:
        raise ValueError(f"compiled for BN=256, got {BN!r}: compile it again")
    require_tensors(
        DEVICE_TYPE,
        y=(y, torch.float16),
        positions=(positions, torch.int64),
        weights=(weights, torch.float32),
        out=(out, torch.float16),
    )
    require_scalars(T=(T, "i32"), K=(K, "i32"), N=(N, "i32"))
    grid = (triton.cdiv(T, BT),)
    require_grid(grid)
    require_pointer("y", y, narrow=False)
    require_pointer("positions", positions, narrow=False)
    require_pointer("weights", weights, narrow=False)
    require_pointer("out", out, narrow=False)
    if 0 in grid:
        return  # there is nothing to do
    moe_combine_kernel[grid](y, positions, weights, out, T, K, N, num_warps=4)

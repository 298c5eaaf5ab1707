r"""symmetric_matmul for Hopper, written by Twill from symmetric_matmul.py. Do not edit: change the
kernel and compile it again.

Compiled for BLOCK_M=128, BLOCK_N=256, BLOCK_K=32.
Schedule: II = 712 cycles, optimal (ResMII of unit TMA (ops x_tile.0, x_tile.1, y_tile)); one iteration takes 1906.

Roles:
  consumer0: 4 warps, 240 registers a thread, 1 stages
  consumer1: 4 warps, 240 registers a thread, 1 stages
  loader: 1 warps, 24 registers a thread

Rings:
  x_tile_0_ring: 3 x [1, 64, 32] bf16
  x_tile_1_ring: 3 x [1, 64, 32] bf16
  y_tile_ring: 4 x [1, 256, 32] bf16

Steady state, one II:
           0                     178                   356                   534
       TC |<acc.1 #0 ----------][acc.0 #0 --------------------].........................[acc.1 #1 >|
      TMA |[y_tile #2 -----------------------------------------------][x_tile.1 #2 ][x_tile.0 #2 -]|
  group 0 |2YYY.......................................................2xx...........2XXX...........|
  group 1 |.....................0A.................................................................|
  group 2 |.............................................................................1aa........|
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

MMA_256: gl.constexpr = gl.constexpr(gl.NVMMADistributedLayout(version=[3, 0], warps_per_cta=[4, 1], instr_shape=[16, 256, 16]))
BLOCKED_256x64: gl.constexpr = gl.constexpr(gl.BlockedLayout(size_per_thread=[1, 2], threads_per_warp=[1, 32], warps_per_cta=[4, 1], order=[1, 0]))
C_DESC_0_STAGE_LAYOUT: gl.constexpr = gl.constexpr(gl.NVMMASharedLayout.get_default_for([1, 64, 256], gl.bfloat16))
MIRROR_DESC_0_STAGE_LAYOUT: gl.constexpr = gl.constexpr(gl.NVMMASharedLayout.get_default_for([1, 256, 64], gl.bfloat16))
C_DESC_1_STAGE_LAYOUT: gl.constexpr = gl.constexpr(gl.NVMMASharedLayout.get_default_for([1, 64, 256], gl.bfloat16))
MIRROR_DESC_1_STAGE_LAYOUT: gl.constexpr = gl.constexpr(gl.NVMMASharedLayout.get_default_for([1, 256, 64], gl.bfloat16))


@gluon.jit
def consumer0(
    M, N, c_desc, c_desc_0_stage, mirror_desc, mirror_desc_0_stage, turn_0, turn_1, x_tile_0_ring,
    x_tile_0_ring_empty, x_tile_0_ring_full, y_tile_ring, y_tile_ring_empty, y_tile_ring_full,
):
    """Consumer: warp group 1 of the schedule."""
    t = gl.program_id(0)
    batch = gl.program_id(1)
    i_22 = t // 2
    i_21 = i_22.to(gl.float32)
    i_20 = i_21 * 8.0
    i_19 = i_20 + 1.0
    i_17 = gl.sqrt(i_19)
    i_14 = i_17 - 1.0
    i_11 = i_14 * 0.5
    i_8 = i_11.to(gl.int32)
    i_7 = i_8 + 1
    i_18 = i_8 + 2
    i_16 = i_7 * i_18
    i_13 = i_16 // 2
    i_10 = i_13 * 2
    i_6 = i_10 <= t
    i_4 = gl.where(i_6, i_7, i_8)
    i_15 = i_4 + 1
    i_12 = i_4 * i_15
    i_9 = i_12 // 2
    i_5 = i_9 * 2
    i_2 = i_5 > t
    i_3 = i_4 - 1
    i_ = gl.where(i_2, i_3, i_4)
    row6 = i_ + 1
    row5 = i_ * row6
    row4 = row5 // 2
    row3 = row4 * 2
    row2 = t - row3
    row = row2 * 128
    col = i_ * 256
    acc = gl.full([64, 256], 0.0, gl.float32, MMA_256)
    n = gl.cdiv(N, 32)
    for i in range(0, n):
        # acc.0 on TC: stage 2, slot 166
        mbarrier.wait(x_tile_0_ring_full.index(i % 3), (i // 3) & 1)
        mbarrier.wait(y_tile_ring_full.index(i % 4), (i // 4) & 1)
        mbarrier.wait(turn_1.index(i % 2), (i // 2) & 1)
        acc = warpgroup_mma(x_tile_0_ring.index(i % 3).reshape([64, 32]), y_tile_ring.index(i % 4).reshape([256, 32]).permute([1, 0]), acc, is_async=True)
        mbarrier.arrive(turn_0.index(i % 2), count=1)
        acc = warpgroup_mma_wait(1, deps=[acc])
        mbarrier.arrive(x_tile_0_ring_empty.index((i + 2) % 3), count=1, pred=i >= 1)
        mbarrier.arrive(y_tile_ring_empty.index((i + 3) % 4), count=1, pred=i >= 1)
    acc = warpgroup_mma_wait(0, deps=[acc])
    mbarrier.arrive(x_tile_0_ring_empty.index((n + 2) % 3), count=1, pred=n >= 1)
    mbarrier.arrive(y_tile_ring_empty.index((n + 3) % 4), count=1, pred=n >= 1)
    # after the loop
    tile = acc.to(gl.bfloat16)
    tma.store_wait(0)
    c_desc_0_stage.reshape([64, 256]).store(tile)
    fence_async_shared()
    tma_store(c_desc, [batch, row, col], c_desc_0_stage)
    tma.store_wait(0)
    mirror_desc_0_stage.reshape([256, 64]).store(gl.convert_layout(gl.permute(tile, [1, 0]), BLOCKED_256x64))
    fence_async_shared()
    tma_store(mirror_desc, [batch, gl.where(row < col, col, M), row], mirror_desc_0_stage)
    tma.store_wait(0)


@gluon.jit
def consumer1(
    M, N, c_desc, c_desc_1_stage, mirror_desc, mirror_desc_1_stage, turn_0, turn_1, x_tile_1_ring,
    x_tile_1_ring_empty, x_tile_1_ring_full, y_tile_ring, y_tile_ring_empty, y_tile_ring_full,
):
    """Consumer: warp group 2 of the schedule."""
    t = gl.program_id(0)
    batch = gl.program_id(1)
    i_22 = t // 2
    i_21 = i_22.to(gl.float32)
    i_20 = i_21 * 8.0
    i_19 = i_20 + 1.0
    i_17 = gl.sqrt(i_19)
    i_14 = i_17 - 1.0
    i_11 = i_14 * 0.5
    i_8 = i_11.to(gl.int32)
    i_7 = i_8 + 1
    i_18 = i_8 + 2
    i_16 = i_7 * i_18
    i_13 = i_16 // 2
    i_10 = i_13 * 2
    i_6 = i_10 <= t
    i_4 = gl.where(i_6, i_7, i_8)
    i_15 = i_4 + 1
    i_12 = i_4 * i_15
    i_9 = i_12 // 2
    i_5 = i_9 * 2
    i_2 = i_5 > t
    i_3 = i_4 - 1
    i_ = gl.where(i_2, i_3, i_4)
    row6 = i_ + 1
    row5 = i_ * row6
    row4 = row5 // 2
    row3 = row4 * 2
    row2 = t - row3
    row = row2 * 128
    col = i_ * 256
    row_plus64 = row + 64
    acc2 = gl.full([64, 256], 0.0, gl.float32, MMA_256)
    n = gl.cdiv(N, 32)
    for i in range(0, n):
        # acc.1 on TC: stage 1, slot 622
        mbarrier.wait(x_tile_1_ring_full.index(i % 3), (i // 3) & 1)
        mbarrier.wait(y_tile_ring_full.index(i % 4), (i // 4) & 1)
        mbarrier.wait(turn_0.index((i + 1) % 2), ((i - 1) // 2) & 1, pred=i - 1 >= 0)
        acc2 = warpgroup_mma(x_tile_1_ring.index(i % 3).reshape([64, 32]), y_tile_ring.index(i % 4).reshape([256, 32]).permute([1, 0]), acc2, is_async=True)
        mbarrier.arrive(turn_1.index(i % 2), count=1)
        acc2 = warpgroup_mma_wait(1, deps=[acc2])
        mbarrier.arrive(x_tile_1_ring_empty.index((i + 2) % 3), count=1, pred=i >= 1)
        mbarrier.arrive(y_tile_ring_empty.index((i + 3) % 4), count=1, pred=i >= 1)
    acc2 = warpgroup_mma_wait(0, deps=[acc2])
    mbarrier.arrive(x_tile_1_ring_empty.index((n + 2) % 3), count=1, pred=n >= 1)
    mbarrier.arrive(y_tile_ring_empty.index((n + 3) % 4), count=1, pred=n >= 1)
    # after the loop
    tile = acc2.to(gl.bfloat16)
    tma.store_wait(0)
    c_desc_1_stage.reshape([64, 256]).store(tile)
    fence_async_shared()
    tma_store(c_desc, [batch, row_plus64, col], c_desc_1_stage)
    tma.store_wait(0)
    mirror_desc_1_stage.reshape([256, 64]).store(gl.convert_layout(gl.permute(tile, [1, 0]), BLOCKED_256x64))
    fence_async_shared()
    tma_store(mirror_desc, [batch, gl.where(row < col, col, M), row_plus64], mirror_desc_1_stage)
    tma.store_wait(0)


@gluon.jit
def loader(
    N, x_desc, x_tile_0_ring, x_tile_0_ring_empty, x_tile_0_ring_full, x_tile_1_ring, x_tile_1_ring_empty,
    x_tile_1_ring_full, y_desc, y_tile_ring, y_tile_ring_empty, y_tile_ring_full,
):
    """Producer: warp group 0 of the schedule."""
    t = gl.program_id(0)
    batch = gl.program_id(1)
    i_22 = t // 2
    i_21 = i_22.to(gl.float32)
    i_20 = i_21 * 8.0
    i_19 = i_20 + 1.0
    i_17 = gl.sqrt(i_19)
    i_14 = i_17 - 1.0
    i_11 = i_14 * 0.5
    i_8 = i_11.to(gl.int32)
    i_7 = i_8 + 1
    i_18 = i_8 + 2
    i_16 = i_7 * i_18
    i_13 = i_16 // 2
    i_10 = i_13 * 2
    i_6 = i_10 <= t
    i_4 = gl.where(i_6, i_7, i_8)
    i_15 = i_4 + 1
    i_12 = i_4 * i_15
    i_9 = i_12 // 2
    i_5 = i_9 * 2
    i_2 = i_5 > t
    i_3 = i_4 - 1
    i_ = gl.where(i_2, i_3, i_4)
    row6 = i_ + 1
    row5 = i_ * row6
    row4 = row5 // 2
    row3 = row4 * 2
    row2 = t - row3
    row = row2 * 128
    col = i_ * 256
    row_plus64 = row + 64
    n = gl.cdiv(N, 32)
    for i in range(0, n):
        # y_tile: stage 0, slot 0
        mbarrier.wait(y_tile_ring_empty.index(i % 4), ((i // 4) & 1) ^ 1)
        mbarrier.expect(y_tile_ring_full.index(i % 4), 16384)
        tma_load(y_desc, [batch, col, i * 32], y_tile_ring_full.index(i % 4), y_tile_ring.index(i % 4))
        # x_tile.1: stage 0, slot 474
        mbarrier.wait(x_tile_1_ring_empty.index(i % 3), ((i // 3) & 1) ^ 1)
        mbarrier.expect(x_tile_1_ring_full.index(i % 3), 4096)
        tma_load(x_desc, [batch, row_plus64, i * 32], x_tile_1_ring_full.index(i % 3), x_tile_1_ring.index(i % 3))
        # x_tile.0: stage 0, slot 593
        mbarrier.wait(x_tile_0_ring_empty.index(i % 3), ((i // 3) & 1) ^ 1)
        mbarrier.expect(x_tile_0_ring_full.index(i % 3), 4096)
        tma_load(x_desc, [batch, row, i * 32], x_tile_0_ring_full.index(i % 3), x_tile_0_ring.index(i % 3))


@gluon.jit
def symmetric_matmul_kernel(c_desc, mirror_desc, y_desc, x_desc, M, N):
    """Shared memory, barriers, and one warp group for each of consumer0, consumer1, loader."""
    barrier: gl.constexpr = mbarrier.MBarrierLayout()
    x_tile_0_ring = gl.allocate_shared_memory(gl.bfloat16, [3, 1, 64, 32], x_desc.layout)
    x_tile_0_ring_full = gl.allocate_shared_memory(gl.int64, [3, 1], barrier)
    x_tile_0_ring_empty = gl.allocate_shared_memory(gl.int64, [3, 1], barrier)
    x_tile_1_ring = gl.allocate_shared_memory(gl.bfloat16, [3, 1, 64, 32], x_desc.layout)
    x_tile_1_ring_full = gl.allocate_shared_memory(gl.int64, [3, 1], barrier)
    x_tile_1_ring_empty = gl.allocate_shared_memory(gl.int64, [3, 1], barrier)
    y_tile_ring = gl.allocate_shared_memory(gl.bfloat16, [4, 1, 256, 32], y_desc.layout)
    y_tile_ring_full = gl.allocate_shared_memory(gl.int64, [4, 1], barrier)
    y_tile_ring_empty = gl.allocate_shared_memory(gl.int64, [4, 1], barrier)
    c_desc_0_stage = gl.allocate_shared_memory(gl.bfloat16, [1, 64, 256], C_DESC_0_STAGE_LAYOUT)
    mirror_desc_0_stage = gl.allocate_shared_memory(gl.bfloat16, [1, 256, 64], MIRROR_DESC_0_STAGE_LAYOUT)
    c_desc_1_stage = gl.allocate_shared_memory(gl.bfloat16, [1, 64, 256], C_DESC_1_STAGE_LAYOUT)
    mirror_desc_1_stage = gl.allocate_shared_memory(gl.bfloat16, [1, 256, 64], MIRROR_DESC_1_STAGE_LAYOUT)
    # turn_0: after acc.0, acc.1 may be issued
    turn_0 = gl.allocate_shared_memory(gl.int64, [2, 1], barrier)
    # turn_1: after acc.1, acc.0 may be issued
    turn_1 = gl.allocate_shared_memory(gl.int64, [2, 1], barrier)
    for slot in gl.static_range(3):
        mbarrier.init(x_tile_0_ring_full.index(slot), count=1)
    for slot in gl.static_range(3):
        mbarrier.init(x_tile_0_ring_empty.index(slot), count=1)
    for slot in gl.static_range(3):
        mbarrier.init(x_tile_1_ring_full.index(slot), count=1)
    for slot in gl.static_range(3):
        mbarrier.init(x_tile_1_ring_empty.index(slot), count=1)
    for slot in gl.static_range(4):
        mbarrier.init(y_tile_ring_full.index(slot), count=1)
    for slot in gl.static_range(4):
        mbarrier.init(y_tile_ring_empty.index(slot), count=2)
    for slot in gl.static_range(2):
        mbarrier.init(turn_0.index(slot), count=1)
    for slot in gl.static_range(2):
        mbarrier.init(turn_1.index(slot), count=1)
    fence_async_shared()  # the barriers are set up before TMA or another role sees them
    gl.warp_specialize(
        [
            (consumer0, (
                M, N, c_desc, c_desc_0_stage, mirror_desc, mirror_desc_0_stage, turn_0, turn_1, x_tile_0_ring,
                x_tile_0_ring_empty, x_tile_0_ring_full, y_tile_ring, y_tile_ring_empty, y_tile_ring_full,
            )),
            (consumer1, (
                M, N, c_desc, c_desc_1_stage, mirror_desc, mirror_desc_1_stage, turn_0, turn_1, x_tile_1_ring,
                x_tile_1_ring_empty, x_tile_1_ring_full, y_tile_ring, y_tile_ring_empty, y_tile_ring_full,
            )),
            (loader, (
                N, x_desc, x_tile_0_ring, x_tile_0_ring_empty, x_tile_0_ring_full, x_tile_1_ring, x_tile_1_ring_empty,
                x_tile_1_ring_full, y_desc, y_tile_ring, y_tile_ring_empty, y_tile_ring_full,
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


def symmetric_matmul(x, c, BATCH, M, N, BLOCK_M=128, BLOCK_N=256, BLOCK_K=32):
    """Launch the kernel on the current stream; arguments as of the source kernel `symmetric_matmul`.

    Raises TypeError or ValueError when an argument is not what the kernel was compiled for.
    """
    if BLOCK_M != 128:
        raise ValueError(f"compiled for BLOCK_M=128, got {BLOCK_M!r}: compile it again")
    if BLOCK_N != 256:
        raise ValueError(f"compiled for BLOCK_N=256, got {BLOCK_N!r}: compile it again")
    if BLOCK_K != 32:
        raise ValueError(f"compiled for BLOCK_K=32, got {BLOCK_K!r}: compile it again")
    require_tensors(DEVICE_TYPE, x=(x, torch.bfloat16), c=(c, torch.bfloat16))
    require_scalars(BATCH=(BATCH, "i32"), M=(M, "i32"), N=(N, "i32"))
    grid = (triton.cdiv(M, BLOCK_N) * (triton.cdiv(M, BLOCK_N) + 1) // 2 * (BLOCK_N // BLOCK_M), BATCH)
    require_grid(grid)
    require_view("c", c, [BATCH, M, M], [M * M, M, 1])
    require_view("x", x, [BATCH, M, N], [M * N, N, 1])
    if 0 in grid:
        return  # there is nothing to do
    c_desc = TensorDescriptor(c, [max(BATCH, 1), max(M, 1), max(M, 1)], [M * M, M, 1], [1, 64, 256], gl.NVMMASharedLayout.get_default_for([1, 64, 256], gl.bfloat16))
    mirror_desc = TensorDescriptor(c, [max(BATCH, 1), max(M, 1), max(M, 1)], [M * M, M, 1], [1, 256, 64], gl.NVMMASharedLayout.get_default_for([1, 256, 64], gl.bfloat16))
    y_desc = TensorDescriptor(x, [max(BATCH, 1), max(M, 1), max(N, 1)], [M * N, N, 1], [1, 256, 32], gl.NVMMASharedLayout.get_default_for([1, 256, 32], gl.bfloat16))
    x_desc = TensorDescriptor(x, [max(BATCH, 1), max(M, 1), max(N, 1)], [M * N, N, 1], [1, 64, 32], gl.NVMMASharedLayout.get_default_for([1, 64, 32], gl.bfloat16))
    symmetric_matmul_kernel[grid](c_desc, mirror_desc, y_desc, x_desc, M, N, num_warps=4)

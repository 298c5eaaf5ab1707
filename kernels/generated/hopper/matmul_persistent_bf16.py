r"""matmul_persistent for Hopper, written by Twill from matmul_persistent.py. Do not edit: change the
kernel and compile it again.

Compiled for BLOCK_M=128, BLOCK_N=256, BLOCK_K=64, GROUP=8, ACTIVATION=silu, RESIDUAL=False.
Schedule: II = 1422 cycles, optimal (ResMII of unit TMA (ops a_tile.0, a_tile.1, b_tile)); one iteration takes 3010.

Roles:
  consumer0: 4 warps, 240 registers a thread, 1 stages
  consumer1: 4 warps, 240 registers a thread, 1 stages
  loader: 1 warps, 24 registers a thread

Rings:
  a_tile_0_ring: 3 x [64, 64] bf16
  a_tile_1_ring: 3 x [64, 64] bf16
  b_tile_ring: 3 x [64, 256] bf16

Steady state, one II:
           0                     355                   711                   1066
       TC |<c #0 ]........................[acc_8.0 #1 -------------------][acc_8.1 #1 ------------>|
      TMA |[a_tile.0 #2 -][b_tile #2 ----------------------------------------------][a_tile.1 #2 -]|
  group 0 |2A.............2B........................................................2a.............|
  group 1 |...............................1C.......................................................|
  group 2 |...............................................................c........................|
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

BLOCKED_64x256: gl.constexpr = gl.constexpr(gl.BlockedLayout(size_per_thread=[1, 8], threads_per_warp=[1, 32], warps_per_cta=[4, 1], order=[1, 0]))
COLUMNS_OF_BLOCKED_64x256: gl.constexpr = gl.constexpr(gl.SliceLayout(0, BLOCKED_64x256.value))
MMA_256: gl.constexpr = gl.constexpr(gl.NVMMADistributedLayout(version=[3, 0], warps_per_cta=[4, 1], instr_shape=[16, 256, 16]))
C_DESC_0_STAGE_LAYOUT: gl.constexpr = gl.constexpr(gl.NVMMASharedLayout.get_default_for([64, 256], gl.bfloat16))
C_DESC_1_STAGE_LAYOUT: gl.constexpr = gl.constexpr(gl.NVMMASharedLayout.get_default_for([64, 256], gl.bfloat16))


@gluon.jit
def consumer0(
    K, M, N, a_tile_0_ring, a_tile_0_ring_empty, a_tile_0_ring_full, b_tile_ring, b_tile_ring_empty,
    b_tile_ring_full, bias, c_desc, c_desc_0_stage, turn_0, turn_1, turns_over,
):
    """Consumer: warp group 1 of the schedule."""
    tiles_m2 = M + 127
    tiles_m = tiles_m2 // 128
    tiles_n2 = N + 255
    tiles_n = tiles_n2 // 256
    program_id = gl.program_id(0)
    mul = tiles_m * tiles_n
    num_programs = gl.num_programs(0)
    first3 = tiles_n * 8
    done = 0
    tile_number = 0
    for tile in range(program_id, mul, num_programs):
        first2 = tile // first3
        first = first2 * 8
        height2 = tiles_m - first
        height = gl.minimum(height2, 8)
        place = tile % first3
        row3 = place % height
        row2 = first + row3
        row = row2 * 128
        col2 = place // height
        col = col2 * 256
        offs_n = col + gl.arange(0, 256, layout=COLUMNS_OF_BLOCKED_64x256)
        acc6 = offs_n < N
        acc5 = bias + offs_n
        acc4 = gl.load(acc5, mask=acc6, other=gl.full([256], 0.0, gl.float32, COLUMNS_OF_BLOCKED_64x256))
        acc3 = gl.expand_dims(acc4, 0) + gl.full([1, 256], 0.0, gl.float32, BLOCKED_64x256)
        acc = gl.convert_layout(acc3, MMA_256).broadcast_to([64, 256])
        n = gl.maximum(gl.cdiv(K, 64), 0)
        for i in range(0, n):
            # acc_8.0 on TC: stage 1, slot 504
            mbarrier.wait(a_tile_0_ring_full.index((done + i) % 3), ((done + i) // 3) & 1)
            mbarrier.wait(b_tile_ring_full.index((done + i) % 3), ((done + i) // 3) & 1)
            mbarrier.wait(turn_1.index((done + i + 1) % 2), ((done + i - 1) // 2) & 1, pred=i - 1 >= 0)
            acc = warpgroup_mma(a_tile_0_ring.index((done + i) % 3), b_tile_ring.index((done + i) % 3), acc, is_async=True)
            mbarrier.arrive(turn_0.index((done + i) % 2), count=1)
            acc = warpgroup_mma_wait(1, deps=[acc])
            mbarrier.arrive(a_tile_0_ring_empty.index((done + i + 2) % 3), count=1, pred=i >= 1)
            mbarrier.arrive(b_tile_ring_empty.index((done + i + 2) % 3), count=1, pred=i >= 1)
        acc = warpgroup_mma_wait(0, deps=[acc])
        mbarrier.arrive(a_tile_0_ring_empty.index((done + n + 2) % 3), count=1, pred=n >= 1)
        mbarrier.arrive(b_tile_ring_empty.index((done + n + 2) % 3), count=1, pred=n >= 1)
        mbarrier.arrive(turns_over.index(0), count=1)
        # after the loop
        x = gl.full([64, 256], 0.0, gl.float32, MMA_256) - acc
        x2 = gl.exp(x)
        x3 = x2 + gl.full([64, 256], 1.0, gl.float32, MMA_256)
        x4 = gl.full([64, 256], 1.0, gl.float32, MMA_256) / x3
        x5 = acc * x4
        cast = x5.to(gl.bfloat16)
        tma.store_wait(0)
        c_desc_0_stage.store(cast)
        fence_async_shared()
        tma_store(c_desc, [row, col], c_desc_0_stage)
        mbarrier.wait(turns_over.index(0), tile_number & 1)
        done += n
        tile_number += 1
    tma.store_wait(0)


@gluon.jit
def consumer1(
    K, M, N, a_tile_1_ring, a_tile_1_ring_empty, a_tile_1_ring_full, b_tile_ring, b_tile_ring_empty,
    b_tile_ring_full, bias, c_desc, c_desc_1_stage, turn_0, turn_1, turns_over,
):
    """Consumer: warp group 2 of the schedule."""
    tiles_m2 = M + 127
    tiles_m = tiles_m2 // 128
    tiles_n2 = N + 255
    tiles_n = tiles_n2 // 256
    program_id = gl.program_id(0)
    mul = tiles_m * tiles_n
    num_programs = gl.num_programs(0)
    first2 = tiles_n * 8
    done = 0
    tile_number = 0
    for tile in range(program_id, mul, num_programs):
        first3 = tile // first2
        first = first3 * 8
        height2 = tiles_m - first
        height = gl.minimum(height2, 8)
        place = tile % first2
        row3 = place % height
        row2 = first + row3
        row = row2 * 128
        col2 = place // height
        col = col2 * 256
        offs_n = col + gl.arange(0, 256, layout=COLUMNS_OF_BLOCKED_64x256)
        acc6 = offs_n < N
        acc5 = bias + offs_n
        acc4 = gl.load(acc5, mask=acc6, other=gl.full([256], 0.0, gl.float32, COLUMNS_OF_BLOCKED_64x256))
        acc3 = gl.expand_dims(acc4, 0) + gl.full([1, 256], 0.0, gl.float32, BLOCKED_64x256)
        row_plus64 = row + 64
        acc2 = gl.convert_layout(acc3, MMA_256).broadcast_to([64, 256])
        n = gl.maximum(gl.cdiv(K, 64), 0)
        for i in range(0, n):
            # acc_8.1 on TC: stage 1, slot 1016
            mbarrier.wait(a_tile_1_ring_full.index((done + i) % 3), ((done + i) // 3) & 1)
            mbarrier.wait(b_tile_ring_full.index((done + i) % 3), ((done + i) // 3) & 1)
            mbarrier.wait(turn_0.index((done + i) % 2), ((done + i) // 2) & 1)
            acc2 = warpgroup_mma(a_tile_1_ring.index((done + i) % 3), b_tile_ring.index((done + i) % 3), acc2, is_async=True)
            mbarrier.arrive(turn_1.index((done + i) % 2), count=1)
            acc2 = warpgroup_mma_wait(1, deps=[acc2])
            mbarrier.arrive(a_tile_1_ring_empty.index((done + i + 2) % 3), count=1, pred=i >= 1)
            mbarrier.arrive(b_tile_ring_empty.index((done + i + 2) % 3), count=1, pred=i >= 1)
        acc2 = warpgroup_mma_wait(0, deps=[acc2])
        mbarrier.arrive(a_tile_1_ring_empty.index((done + n + 2) % 3), count=1, pred=n >= 1)
        mbarrier.arrive(b_tile_ring_empty.index((done + n + 2) % 3), count=1, pred=n >= 1)
        mbarrier.arrive(turns_over.index(0), count=1)
        # after the loop
        x = gl.full([64, 256], 0.0, gl.float32, MMA_256) - acc2
        x2 = gl.exp(x)
        x3 = x2 + gl.full([64, 256], 1.0, gl.float32, MMA_256)
        x4 = gl.full([64, 256], 1.0, gl.float32, MMA_256) / x3
        x5 = acc2 * x4
        cast = x5.to(gl.bfloat16)
        tma.store_wait(0)
        c_desc_1_stage.store(cast)
        fence_async_shared()
        tma_store(c_desc, [row_plus64, col], c_desc_1_stage)
        mbarrier.wait(turns_over.index(0), tile_number & 1)
        done += n
        tile_number += 1
    tma.store_wait(0)


@gluon.jit
def loader(
    K, M, N, a_desc, a_tile_0_ring, a_tile_0_ring_empty, a_tile_0_ring_full, a_tile_1_ring, a_tile_1_ring_empty,
    a_tile_1_ring_full, b_desc, b_tile_ring, b_tile_ring_empty, b_tile_ring_full,
):
    """Producer: warp group 0 of the schedule."""
    tiles_m2 = M + 127
    tiles_m = tiles_m2 // 128
    tiles_n2 = N + 255
    tiles_n = tiles_n2 // 256
    program_id = gl.program_id(0)
    mul = tiles_m * tiles_n
    num_programs = gl.num_programs(0)
    first3 = tiles_n * 8
    done = 0
    for tile in range(program_id, mul, num_programs):
        first2 = tile // first3
        first = first2 * 8
        height2 = tiles_m - first
        height = gl.minimum(height2, 8)
        place = tile % first3
        row3 = place % height
        row2 = first + row3
        row = row2 * 128
        col2 = place // height
        col = col2 * 256
        row_plus64 = row + 64
        n = gl.maximum(gl.cdiv(K, 64), 0)
        for i in range(0, n):
            # a_tile.0: stage 0, slot 0
            mbarrier.wait(a_tile_0_ring_empty.index((done + i) % 3), (((done + i) // 3) & 1) ^ 1)
            mbarrier.expect(a_tile_0_ring_full.index((done + i) % 3), 8192)
            tma_load(a_desc, [row, i * 64], a_tile_0_ring_full.index((done + i) % 3), a_tile_0_ring.index((done + i) % 3))
            # b_tile: stage 0, slot 237
            mbarrier.wait(b_tile_ring_empty.index((done + i) % 3), (((done + i) // 3) & 1) ^ 1)
            mbarrier.expect(b_tile_ring_full.index((done + i) % 3), 32768)
            tma_load(b_desc, [i * 64, col], b_tile_ring_full.index((done + i) % 3), b_tile_ring.index((done + i) % 3))
            # a_tile.1: stage 0, slot 1185
            mbarrier.wait(a_tile_1_ring_empty.index((done + i) % 3), (((done + i) // 3) & 1) ^ 1)
            mbarrier.expect(a_tile_1_ring_full.index((done + i) % 3), 8192)
            tma_load(a_desc, [row_plus64, i * 64], a_tile_1_ring_full.index((done + i) % 3), a_tile_1_ring.index((done + i) % 3))
        done += n


@gluon.jit
def matmul_persistent_kernel(c_desc, a_desc, b_desc, bias, M, N, K):
    """Shared memory, barriers, and one warp group for each of consumer0, consumer1, loader."""
    barrier: gl.constexpr = mbarrier.MBarrierLayout()
    a_tile_0_ring = gl.allocate_shared_memory(gl.bfloat16, [3, 64, 64], a_desc.layout)
    a_tile_0_ring_full = gl.allocate_shared_memory(gl.int64, [3, 1], barrier)
    a_tile_0_ring_empty = gl.allocate_shared_memory(gl.int64, [3, 1], barrier)
    a_tile_1_ring = gl.allocate_shared_memory(gl.bfloat16, [3, 64, 64], a_desc.layout)
    a_tile_1_ring_full = gl.allocate_shared_memory(gl.int64, [3, 1], barrier)
    a_tile_1_ring_empty = gl.allocate_shared_memory(gl.int64, [3, 1], barrier)
    b_tile_ring = gl.allocate_shared_memory(gl.bfloat16, [3, 64, 256], b_desc.layout)
    b_tile_ring_full = gl.allocate_shared_memory(gl.int64, [3, 1], barrier)
    b_tile_ring_empty = gl.allocate_shared_memory(gl.int64, [3, 1], barrier)
    c_desc_0_stage = gl.allocate_shared_memory(gl.bfloat16, [64, 256], C_DESC_0_STAGE_LAYOUT)
    c_desc_1_stage = gl.allocate_shared_memory(gl.bfloat16, [64, 256], C_DESC_1_STAGE_LAYOUT)
    # turn_0: after acc_8.0, acc_8.1 may be issued
    turn_0 = gl.allocate_shared_memory(gl.int64, [2, 1], barrier)
    # turn_1: after acc_8.1, acc_8.0 may be issued
    turn_1 = gl.allocate_shared_memory(gl.int64, [2, 1], barrier)
    # turns_over: every group that takes turns has issued the last MMA of a tile
    turns_over = gl.allocate_shared_memory(gl.int64, [1, 1], barrier)
    for slot in gl.static_range(3):
        mbarrier.init(a_tile_0_ring_full.index(slot), count=1)
    for slot in gl.static_range(3):
        mbarrier.init(a_tile_0_ring_empty.index(slot), count=1)
    for slot in gl.static_range(3):
        mbarrier.init(a_tile_1_ring_full.index(slot), count=1)
    for slot in gl.static_range(3):
        mbarrier.init(a_tile_1_ring_empty.index(slot), count=1)
    for slot in gl.static_range(3):
        mbarrier.init(b_tile_ring_full.index(slot), count=1)
    for slot in gl.static_range(3):
        mbarrier.init(b_tile_ring_empty.index(slot), count=2)
    for slot in gl.static_range(2):
        mbarrier.init(turn_0.index(slot), count=1)
    for slot in gl.static_range(2):
        mbarrier.init(turn_1.index(slot), count=1)
    mbarrier.init(turns_over.index(0), count=2)
    fence_async_shared()  # the barriers are set up before TMA or another role sees them
    gl.warp_specialize(
        [
            (consumer0, (
                K, M, N, a_tile_0_ring, a_tile_0_ring_empty, a_tile_0_ring_full, b_tile_ring, b_tile_ring_empty,
                b_tile_ring_full, bias, c_desc, c_desc_0_stage, turn_0, turn_1, turns_over,
            )),
            (consumer1, (
                K, M, N, a_tile_1_ring, a_tile_1_ring_empty, a_tile_1_ring_full, b_tile_ring, b_tile_ring_empty,
                b_tile_ring_full, bias, c_desc, c_desc_1_stage, turn_0, turn_1, turns_over,
            )),
            (loader, (
                K, M, N, a_desc, a_tile_0_ring, a_tile_0_ring_empty, a_tile_0_ring_full, a_tile_1_ring, a_tile_1_ring_empty,
                a_tile_1_ring_full, b_desc, b_tile_ring, b_tile_ring_empty, b_tile_ring_full,
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


def matmul_persistent(a, b, bias, residual, c, M, N, K, programs, BLOCK_M=128, BLOCK_N=256, BLOCK_K=64, GROUP=8, ACTIVATION='silu', RESIDUAL=False):
    """Launch the kernel on the current stream; arguments as of the source kernel `matmul_persistent`.

    Raises TypeError or ValueError when an argument is not what the kernel was compiled for.
    """
    if BLOCK_M != 128:
        raise ValueError(f"compiled for BLOCK_M=128, got {BLOCK_M!r}: compile it again")
    if BLOCK_N != 256:
        raise ValueError(f"compiled for BLOCK_N=256, got {BLOCK_N!r}: compile it again")
    if BLOCK_K != 64:
        raise ValueError(f"compiled for BLOCK_K=64, got {BLOCK_K!r}: compile it again")
    if GROUP != 8:
        raise ValueError(f"compiled for GROUP=8, got {GROUP!r}: compile it again")
    if ACTIVATION != 'silu':
        raise ValueError(f"compiled for ACTIVATION='silu', got {ACTIVATION!r}: compile it again")
    if RESIDUAL != False:
        raise ValueError(f"compiled for RESIDUAL=False, got {RESIDUAL!r}: compile it again")
    require_tensors(
        DEVICE_TYPE,
        a=(a, torch.bfloat16),
        b=(b, torch.bfloat16),
        bias=(bias, torch.float32),
        residual=(residual, torch.bfloat16),
        c=(c, torch.bfloat16),
    )
    require_scalars(M=(M, "i32"), N=(N, "i32"), K=(K, "i32"), programs=(programs, "i32"))
    grid = (min(max(programs, 1), triton.cdiv(M, BLOCK_M) * triton.cdiv(N, BLOCK_N)),)
    require_grid(grid)
    require_view("c", c, [M, N], [N, 1])
    require_view("a", a, [M, K], [K, 1])
    require_view("b", b, [K, N], [N, 1])
    require_pointer("bias", bias)
    if 0 in grid:
        return  # there is nothing to do
    c_desc = TensorDescriptor(c, [max(M, 1), max(N, 1)], [N, 1], [64, 256], gl.NVMMASharedLayout.get_default_for([64, 256], gl.bfloat16))
    a_desc = TensorDescriptor(a, [max(M, 1), max(K, 1)], [K, 1], [64, 64], gl.NVMMASharedLayout.get_default_for([64, 64], gl.bfloat16))
    b_desc = TensorDescriptor(b, [max(K, 1), max(N, 1)], [N, 1], [64, 256], gl.NVMMASharedLayout.get_default_for([64, 256], gl.bfloat16))
    matmul_persistent_kernel[grid](c_desc, a_desc, b_desc, bias, M, N, K, num_warps=4)

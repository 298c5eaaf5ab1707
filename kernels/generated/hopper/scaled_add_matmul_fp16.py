r"""scaled_add_matmul for Hopper, written by Twill from scaled_add_matmul.py. Do not edit: change the
kernel and compile it again.

Compiled for BLOCK_M=128, BLOCK_N=256, BLOCK_K=64.
Schedule: II = 1422 cycles, optimal (ResMII of unit TMA (ops b_tile.0, b_tile.1, x_tile)); one iteration takes 3010.

Roles:
  consumer0: 4 warps, 240 registers a thread, 1 stages
  consumer1: 4 warps, 240 registers a thread, 1 stages
  loader: 1 warps, 24 registers a thread

Rings:
  b_tile_0_ring: 3 x [1, 64, 64] f16
  b_tile_1_ring: 3 x [1, 64, 64] f16
  x_tile_ring: 3 x [1, 64, 256] f16

Steady state, one II:
           0                     355                   711                   1066
       TC |<a #0 ]........................[acc.0 #1 ---------------------][acc.1 #1 -------------->|
      TMA |[b_tile.0 #2 -][x_tile #2 ----------------------------------------------][b_tile.1 #2 -]|
  group 0 |2B.............2X........................................................2b.............|
  group 1 |...............................1A.......................................................|
  group 2 |...............................................................a........................|
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
ROWS_OF_MMA_256: gl.constexpr = gl.constexpr(gl.SliceLayout(1, MMA_256.value))
COLUMNS_OF_MMA_256: gl.constexpr = gl.constexpr(gl.SliceLayout(0, MMA_256.value))
OUT_DESC_0_STAGE_LAYOUT: gl.constexpr = gl.constexpr(gl.NVMMASharedLayout.get_default_for([1, 64, 256], gl.float16))
OUT_DESC_1_STAGE_LAYOUT: gl.constexpr = gl.constexpr(gl.NVMMASharedLayout.get_default_for([1, 64, 256], gl.float16))


@gluon.jit
def consumer0(
    M, N, a, b_tile_0_ring, b_tile_0_ring_empty, b_tile_0_ring_full, out_desc, out_desc_0_stage, turn_0, turn_1,
    x, x_tile_ring, x_tile_ring_empty, x_tile_ring_full,
):
    """Consumer: warp group 1 of the schedule."""
    row2 = gl.program_id(0)
    row = row2 * 128
    col2 = gl.program_id(1)
    col = col2 * 256
    batch = gl.program_id(2)
    b_desc = M.to(gl.int64)
    x_desc = N.to(gl.int64)
    acc = gl.full([64, 256], 0.0, gl.float32, MMA_256)
    n = gl.cdiv(M, 64)
    for i in range(0, n):
        # acc.0 on TC: stage 1, slot 504
        mbarrier.wait(b_tile_0_ring_full.index(i % 3), (i // 3) & 1)
        mbarrier.wait(x_tile_ring_full.index(i % 3), (i // 3) & 1)
        mbarrier.wait(turn_1.index((i + 1) % 2), ((i - 1) // 2) & 1, pred=i - 1 >= 0)
        acc = warpgroup_mma(b_tile_0_ring.index(i % 3).reshape([64, 64]), x_tile_ring.index(i % 3).reshape([64, 256]), acc, is_async=True)
        mbarrier.arrive(turn_0.index(i % 2), count=1)
        acc = warpgroup_mma_wait(1, deps=[acc])
        mbarrier.arrive(b_tile_0_ring_empty.index((i + 2) % 3), count=1, pred=i >= 1)
        mbarrier.arrive(x_tile_ring_empty.index((i + 2) % 3), count=1, pred=i >= 1)
    acc = warpgroup_mma_wait(0, deps=[acc])
    mbarrier.arrive(b_tile_0_ring_empty.index((n + 2) % 3), count=1, pred=n >= 1)
    mbarrier.arrive(x_tile_ring_empty.index((n + 2) % 3), count=1, pred=n >= 1)
    # after the loop
    own = gl.expand_dims(gl.arange(0, 64, layout=ROWS_OF_MMA_256), 1) * N
    cols = col + gl.arange(0, 256, layout=COLUMNS_OF_MMA_256)
    inside = row + gl.expand_dims(gl.arange(0, 64, layout=ROWS_OF_MMA_256), 1)
    inside2 = inside < M
    inside3 = gl.expand_dims(cols, 0) < N
    inside4 = inside2 & inside3
    own2 = gl.load(((x + (((batch.to(gl.int64) * b_desc) + row.to(gl.int64)) * x_desc)) + own) + gl.expand_dims(cols, 0), mask=inside4, other=gl.full([64, 256], 0.0, gl.float16, MMA_256))
    result = own2.to(gl.float32)
    result2 = a * result
    result3 = result2 + acc
    result4 = result3.to(gl.float16)
    tma.store_wait(0)
    out_desc_0_stage.reshape([64, 256]).store(result4)
    fence_async_shared()
    tma_store(out_desc, [batch, row, col], out_desc_0_stage)
    tma.store_wait(0)


@gluon.jit
def consumer1(
    M, N, a, b_tile_1_ring, b_tile_1_ring_empty, b_tile_1_ring_full, out_desc, out_desc_1_stage, turn_0, turn_1,
    x, x_tile_ring, x_tile_ring_empty, x_tile_ring_full,
):
    """Consumer: warp group 2 of the schedule."""
    row2 = gl.program_id(0)
    row = row2 * 128
    col2 = gl.program_id(1)
    col = col2 * 256
    batch = gl.program_id(2)
    b_desc = M.to(gl.int64)
    x_desc = N.to(gl.int64)
    row_plus64 = row + 64
    acc2 = gl.full([64, 256], 0.0, gl.float32, MMA_256)
    n = gl.cdiv(M, 64)
    for i in range(0, n):
        # acc.1 on TC: stage 1, slot 1016
        mbarrier.wait(b_tile_1_ring_full.index(i % 3), (i // 3) & 1)
        mbarrier.wait(x_tile_ring_full.index(i % 3), (i // 3) & 1)
        mbarrier.wait(turn_0.index(i % 2), (i // 2) & 1)
        acc2 = warpgroup_mma(b_tile_1_ring.index(i % 3).reshape([64, 64]), x_tile_ring.index(i % 3).reshape([64, 256]), acc2, is_async=True)
        mbarrier.arrive(turn_1.index(i % 2), count=1)
        acc2 = warpgroup_mma_wait(1, deps=[acc2])
        mbarrier.arrive(b_tile_1_ring_empty.index((i + 2) % 3), count=1, pred=i >= 1)
        mbarrier.arrive(x_tile_ring_empty.index((i + 2) % 3), count=1, pred=i >= 1)
    acc2 = warpgroup_mma_wait(0, deps=[acc2])
    mbarrier.arrive(b_tile_1_ring_empty.index((n + 2) % 3), count=1, pred=n >= 1)
    mbarrier.arrive(x_tile_ring_empty.index((n + 2) % 3), count=1, pred=n >= 1)
    # after the loop
    own = gl.expand_dims(gl.arange(64, 128, layout=ROWS_OF_MMA_256), 1) * N
    cols = col + gl.arange(0, 256, layout=COLUMNS_OF_MMA_256)
    inside = row + gl.expand_dims(gl.arange(64, 128, layout=ROWS_OF_MMA_256), 1)
    inside2 = inside < M
    inside3 = gl.expand_dims(cols, 0) < N
    inside4 = inside2 & inside3
    own2 = gl.load(((x + (((batch.to(gl.int64) * b_desc) + row.to(gl.int64)) * x_desc)) + own) + gl.expand_dims(cols, 0), mask=inside4, other=gl.full([64, 256], 0.0, gl.float16, MMA_256))
    result = own2.to(gl.float32)
    result2 = a * result
    result3 = result2 + acc2
    result4 = result3.to(gl.float16)
    tma.store_wait(0)
    out_desc_1_stage.reshape([64, 256]).store(result4)
    fence_async_shared()
    tma_store(out_desc, [batch, row_plus64, col], out_desc_1_stage)
    tma.store_wait(0)


@gluon.jit
def loader(
    M, b_desc, b_tile_0_ring, b_tile_0_ring_empty, b_tile_0_ring_full, b_tile_1_ring, b_tile_1_ring_empty,
    b_tile_1_ring_full, x_desc, x_tile_ring, x_tile_ring_empty, x_tile_ring_full,
):
    """Producer: warp group 0 of the schedule."""
    row2 = gl.program_id(0)
    row = row2 * 128
    col2 = gl.program_id(1)
    col = col2 * 256
    batch = gl.program_id(2)
    row_plus64 = row + 64
    n = gl.cdiv(M, 64)
    for i in range(0, n):
        # b_tile.0: stage 0, slot 0
        mbarrier.wait(b_tile_0_ring_empty.index(i % 3), ((i // 3) & 1) ^ 1)
        mbarrier.expect(b_tile_0_ring_full.index(i % 3), 8192)
        tma_load(b_desc, [batch, row, i * 64], b_tile_0_ring_full.index(i % 3), b_tile_0_ring.index(i % 3))
        # x_tile: stage 0, slot 237
        mbarrier.wait(x_tile_ring_empty.index(i % 3), ((i // 3) & 1) ^ 1)
        mbarrier.expect(x_tile_ring_full.index(i % 3), 32768)
        tma_load(x_desc, [batch, i * 64, col], x_tile_ring_full.index(i % 3), x_tile_ring.index(i % 3))
        # b_tile.1: stage 0, slot 1185
        mbarrier.wait(b_tile_1_ring_empty.index(i % 3), ((i // 3) & 1) ^ 1)
        mbarrier.expect(b_tile_1_ring_full.index(i % 3), 8192)
        tma_load(b_desc, [batch, row_plus64, i * 64], b_tile_1_ring_full.index(i % 3), b_tile_1_ring.index(i % 3))


@gluon.jit
def scaled_add_matmul_kernel(out_desc, b_desc, x_desc, x, M, N, a):
    """Shared memory, barriers, and one warp group for each of consumer0, consumer1, loader."""
    barrier: gl.constexpr = mbarrier.MBarrierLayout()
    b_tile_0_ring = gl.allocate_shared_memory(gl.float16, [3, 1, 64, 64], b_desc.layout)
    b_tile_0_ring_full = gl.allocate_shared_memory(gl.int64, [3, 1], barrier)
    b_tile_0_ring_empty = gl.allocate_shared_memory(gl.int64, [3, 1], barrier)
    b_tile_1_ring = gl.allocate_shared_memory(gl.float16, [3, 1, 64, 64], b_desc.layout)
    b_tile_1_ring_full = gl.allocate_shared_memory(gl.int64, [3, 1], barrier)
    b_tile_1_ring_empty = gl.allocate_shared_memory(gl.int64, [3, 1], barrier)
    x_tile_ring = gl.allocate_shared_memory(gl.float16, [3, 1, 64, 256], x_desc.layout)
    x_tile_ring_full = gl.allocate_shared_memory(gl.int64, [3, 1], barrier)
    x_tile_ring_empty = gl.allocate_shared_memory(gl.int64, [3, 1], barrier)
    out_desc_0_stage = gl.allocate_shared_memory(gl.float16, [1, 64, 256], OUT_DESC_0_STAGE_LAYOUT)
    out_desc_1_stage = gl.allocate_shared_memory(gl.float16, [1, 64, 256], OUT_DESC_1_STAGE_LAYOUT)
    # turn_0: after acc.0, acc.1 may be issued
    turn_0 = gl.allocate_shared_memory(gl.int64, [2, 1], barrier)
    # turn_1: after acc.1, acc.0 may be issued
    turn_1 = gl.allocate_shared_memory(gl.int64, [2, 1], barrier)
    for slot in gl.static_range(3):
        mbarrier.init(b_tile_0_ring_full.index(slot), count=1)
    for slot in gl.static_range(3):
        mbarrier.init(b_tile_0_ring_empty.index(slot), count=1)
    for slot in gl.static_range(3):
        mbarrier.init(b_tile_1_ring_full.index(slot), count=1)
    for slot in gl.static_range(3):
        mbarrier.init(b_tile_1_ring_empty.index(slot), count=1)
    for slot in gl.static_range(3):
        mbarrier.init(x_tile_ring_full.index(slot), count=1)
    for slot in gl.static_range(3):
        mbarrier.init(x_tile_ring_empty.index(slot), count=2)
    for slot in gl.static_range(2):
        mbarrier.init(turn_0.index(slot), count=1)
    for slot in gl.static_range(2):
        mbarrier.init(turn_1.index(slot), count=1)
    fence_async_shared()  # the barriers are set up before TMA or another role sees them
    gl.warp_specialize(
        [
            (consumer0, (
                M, N, a, b_tile_0_ring, b_tile_0_ring_empty, b_tile_0_ring_full, out_desc, out_desc_0_stage, turn_0, turn_1,
                x, x_tile_ring, x_tile_ring_empty, x_tile_ring_full,
            )),
            (consumer1, (
                M, N, a, b_tile_1_ring, b_tile_1_ring_empty, b_tile_1_ring_full, out_desc, out_desc_1_stage, turn_0, turn_1,
                x, x_tile_ring, x_tile_ring_empty, x_tile_ring_full,
            )),
            (loader, (
                M, b_desc, b_tile_0_ring, b_tile_0_ring_empty, b_tile_0_ring_full, b_tile_1_ring, b_tile_1_ring_empty,
                b_tile_1_ring_full, x_desc, x_tile_ring, x_tile_ring_empty, x_tile_ring_full,
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


def scaled_add_matmul(b, x, out, BATCH, M, N, a, BLOCK_M=128, BLOCK_N=256, BLOCK_K=64):
    """Launch the kernel on the current stream; arguments as of the source kernel `scaled_add_matmul`.

    Raises TypeError or ValueError when an argument is not what the kernel was compiled for.
    """
    if BLOCK_M != 128:
        raise ValueError(f"compiled for BLOCK_M=128, got {BLOCK_M!r}: compile it again")
    if BLOCK_N != 256:
        raise ValueError(f"compiled for BLOCK_N=256, got {BLOCK_N!r}: compile it again")
    if BLOCK_K != 64:
        raise ValueError(f"compiled for BLOCK_K=64, got {BLOCK_K!r}: compile it again")
    require_tensors(DEVICE_TYPE, b=(b, torch.float16), x=(x, torch.float16), out=(out, torch.float16))
    require_scalars(BATCH=(BATCH, "i32"), M=(M, "i32"), N=(N, "i32"), a=(a, "f32"))
    grid = (triton.cdiv(M, BLOCK_M), triton.cdiv(N, BLOCK_N), BATCH)
    require_grid(grid)
    require_view("out", out, [BATCH, M, N], [M * N, N, 1])
    require_view("b", b, [BATCH, M, M], [M * M, M, 1])
    require_view("x", x, [BATCH, M, N], [M * N, N, 1])
    require_pointer("x", x, narrow=False)
    if 0 in grid:
        return  # there is nothing to do
    out_desc = TensorDescriptor(out, [max(BATCH, 1), max(M, 1), max(N, 1)], [M * N, N, 1], [1, 64, 256], gl.NVMMASharedLayout.get_default_for([1, 64, 256], gl.float16))
    b_desc = TensorDescriptor(b, [max(BATCH, 1), max(M, 1), max(M, 1)], [M * M, M, 1], [1, 64, 64], gl.NVMMASharedLayout.get_default_for([1, 64, 64], gl.float16))
    x_desc = TensorDescriptor(x, [max(BATCH, 1), max(M, 1), max(N, 1)], [M * N, N, 1], [1, 64, 256], gl.NVMMASharedLayout.get_default_for([1, 64, 256], gl.float16))
    scaled_add_matmul_kernel[grid](out_desc, b_desc, x_desc, x, M, N, a, num_warps=4)

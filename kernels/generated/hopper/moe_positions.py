r"""moe_positions for Hopper, written by Twill from moe_positions.py. Do not edit: change the
kernel and compile it again.

Compiled for BLOCK=256, BC=128, BD=32.
Schedule: II = 793 cycles, optimal (RecMII of cycle rank_2 -> rank_2); one iteration takes 1555.

Roles:
  consumer0: 4 warps, 248 registers a thread, 1 stages

Rings:

Steady state, one II:
           0                     198                   396                   594
      ALU |<rank_2 #0]..........................................[rank_1 #1 -----------------]...1rr|
      LSU |O.......................................................................................|
  group 0 |<rank_2 #0]..........................................[rank_1 #1 -----------------]...1rr|
          |O                                                                                       |
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

BLOCKED_128x32: gl.constexpr = gl.constexpr(gl.BlockedLayout(size_per_thread=[1, 1], threads_per_warp=[1, 32], warps_per_cta=[4, 1], order=[1, 0]))
ROWS_OF_BLOCKED_128x32: gl.constexpr = gl.constexpr(gl.SliceLayout(1, BLOCKED_128x32.value))
COLUMNS_OF_BLOCKED_128x32: gl.constexpr = gl.constexpr(gl.SliceLayout(0, BLOCKED_128x32.value))


@gluon.jit
def consumer0(C, E, before, ids, offsets, positions):
    """Consumer: warp group 0 of the schedule."""
    row2 = gl.program_id(0)
    row = row2 * 128
    block = row // 256
    choice = row + gl.arange(0, 128, layout=ROWS_OF_BLOCKED_128x32)
    expert2 = choice < C
    expert3 = ids + choice
    expert = gl.load(expert3, mask=expert2, other=gl.full([128], -1, gl.int64, ROWS_OF_BLOCKED_128x32))
    there2 = expert >= gl.full([128], 0, gl.int64, ROWS_OF_BLOCKED_128x32)
    there4 = E.to(gl.int64)
    there3 = expert < there4
    there = there2 & there3
    mul = block * 256
    add2 = row + 128
    min = gl.minimum(add2, C)
    rank = gl.full([128], 0, gl.int32, ROWS_OF_BLOCKED_128x32)
    n = gl.cdiv(min - mul, 32)
    for i in range(0, n):
        # other on LSU: stage 0, slot 0
        other = gl.load(ids + ((mul + i * 32) + gl.arange(0, 32, layout=COLUMNS_OF_BLOCKED_128x32)), mask=((mul + i * 32) + gl.arange(0, 32, layout=COLUMNS_OF_BLOCKED_128x32)) < C, other=gl.full([32], -1, gl.int64, COLUMNS_OF_BLOCKED_128x32))
        # rank_1 on ALU: stage 0, slot 481
        same = gl.expand_dims(other, 0) == gl.expand_dims(expert, 1)
        same2 = gl.expand_dims((mul + i * 32) + gl.arange(0, 32, layout=COLUMNS_OF_BLOCKED_128x32), 0) < gl.expand_dims(choice, 1)
        same3 = same & same2
        rank2 = gl.where(same3, 1, 0).to(gl.int32)
        # rank_2 on ALU: stage 0, slot 762
        rank3 = gl.sum(rank2, 1)
        rank = rank + rank3
    # after the loop
    first = gl.load(offsets + expert, mask=there, other=gl.full([128], 0, gl.int32, ROWS_OF_BLOCKED_128x32))
    first2 = gl.load((before + (block * E)) + expert, mask=there, other=gl.full([128], 0, gl.int32, ROWS_OF_BLOCKED_128x32))
    first3 = first + first2
    add = first3 + rank
    select = gl.where(there, add, gl.full([128], -1, gl.int32, ROWS_OF_BLOCKED_128x32))
    cast = select.to(gl.int64)
    gl.store(positions + choice, cast, mask=expert2)


@gluon.jit
def moe_positions_kernel(ids, before, offsets, positions, C, E):
    """Shared memory, barriers, and one warp group for each of consumer0."""
    barrier: gl.constexpr = mbarrier.MBarrierLayout()
    fence_async_shared()  # the barriers are set up before TMA or another role sees them
    consumer0(C, E, before, ids, offsets, positions)


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


def moe_positions(ids, before, offsets, positions, C, E, BLOCK=256, BC=128, BD=32):
    """Launch the kernel on the current stream; arguments as of the source kernel `moe_positions`.

    Raises TypeError or ValueError when an argument is not what the kernel was compiled for.
    """
    if BLOCK != 256:
        raise ValueError(f"compiled for BLOCK=256, got {BLOCK!r}: compile it again")
    if BC != 128:
        raise ValueError(f"compiled for BC=128, got {BC!r}: compile it again")
    if BD != 32:
        raise ValueError(f"compiled for BD=32, got {BD!r}: compile it again")
    require_tensors(
        DEVICE_TYPE,
        ids=(ids, torch.int64),
        before=(before, torch.int32),
        offsets=(offsets, torch.int32),
        positions=(positions, torch.int64),
    )
    require_scalars(C=(C, "i32"), E=(E, "i32"))
    grid = (triton.cdiv(C, BC),)
    require_grid(grid)
    require_pointer("ids", ids)
    require_pointer("before", before, narrow=False)
    require_pointer("offsets", offsets, narrow=False)
    require_pointer("positions", positions)
    if 0 in grid:
        return  # there is nothing to do
    moe_positions_kernel[grid](ids, before, offsets, positions, C, E, num_warps=4)

r"""moe_sources for Hopper, written by Twill from moe_sources.py. Do not edit: change the
kernel and compile it again.

Compiled for BLOCK=1024, SPAN=4096.
Schedule: II = 538 cycles, optimal (ResMII of unit LSU (ops position, store@9)); one iteration takes 1614.

Roles:
  consumer0: 4 warps, 248 registers a thread, 3 stages

Rings:

Steady state, one II:
           0                     134                   269                   403
      ALU |0CC.....................................................................................|
      LSU |[P #2 ---][store@9 #0 -----------------------------------------------------------------]|
  group 0 |[P #2 ---][S #0 ----]...................................................................|
          |0CC                                                                                     |
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

BLOCKED_1024: gl.constexpr = gl.constexpr(gl.BlockedLayout(size_per_thread=[8], threads_per_warp=[32], warps_per_cta=[4], order=[0]))


@gluon.jit
def consumer0(C, K, positions, sources):
    """Consumer: warp group 0 of the schedule."""
    begin2 = gl.program_id(0)
    begin = begin2 * 4096
    end3 = C - begin
    end2 = gl.minimum(end3, 4096)
    end = begin + end2
    n = gl.cdiv(end - begin, 1024)
    if n >= 2:
        # prologue, body 0
        # position on LSU: stage 0, slot 0
        position = gl.load(positions + ((begin + 0 * 1024) + gl.arange(0, 1024, layout=BLOCKED_1024)), mask=((begin + 0 * 1024) + gl.arange(0, 1024, layout=BLOCKED_1024)) < end, other=gl.full([1024], -1, gl.int64, BLOCKED_1024))
        # prologue, body 1
        # position on LSU: stage 0, slot 0
        position_prev = position
        position = gl.load(positions + ((begin + 1 * 1024) + gl.arange(0, 1024, layout=BLOCKED_1024)), mask=((begin + 1 * 1024) + gl.arange(0, 1024, layout=BLOCKED_1024)) < end, other=gl.full([1024], -1, gl.int64, BLOCKED_1024))
        # steady state
        for i in range(2, n):
            # cmp on ALU: stage 2, slot 0
            cmp = position_prev >= gl.full([1024], 0, gl.int64, BLOCKED_1024)
            # position on LSU: stage 0, slot 0
            position_prev_prev = position_prev
            position_prev = position
            position = gl.load(positions + ((begin + i * 1024) + gl.arange(0, 1024, layout=BLOCKED_1024)), mask=((begin + i * 1024) + gl.arange(0, 1024, layout=BLOCKED_1024)) < end, other=gl.full([1024], -1, gl.int64, BLOCKED_1024))
            # store@9 on LSU: stage 2, slot 64
            gl.atomic_max(sources + position_prev_prev, (((begin + (i - 2) * 1024) + gl.arange(0, 1024, layout=BLOCKED_1024)) // K).to(gl.int64), mask=cmp, sem="relaxed")
        # epilogue, body 1
        # cmp on ALU: stage 2, slot 0
        cmp = position_prev >= gl.full([1024], 0, gl.int64, BLOCKED_1024)
        # store@9 on LSU: stage 2, slot 64
        gl.atomic_max(sources + position_prev, (((begin + (n - 2) * 1024) + gl.arange(0, 1024, layout=BLOCKED_1024)) // K).to(gl.int64), mask=cmp, sem="relaxed")
        # epilogue, body 2
        # cmp on ALU: stage 2, slot 0
        cmp = position >= gl.full([1024], 0, gl.int64, BLOCKED_1024)
        # store@9 on LSU: stage 2, slot 64
        gl.atomic_max(sources + position, (((begin + (n - 1) * 1024) + gl.arange(0, 1024, layout=BLOCKED_1024)) // K).to(gl.int64), mask=cmp, sem="relaxed")
    else:
        # too few iterations to fill the pipeline: one after the other
        for i in range(0, n):
            # position on LSU: stage 0, slot 0
            position = gl.load(positions + ((begin + i * 1024) + gl.arange(0, 1024, layout=BLOCKED_1024)), mask=((begin + i * 1024) + gl.arange(0, 1024, layout=BLOCKED_1024)) < end, other=gl.full([1024], -1, gl.int64, BLOCKED_1024))
            # cmp on ALU: stage 2, slot 0
            cmp = position >= gl.full([1024], 0, gl.int64, BLOCKED_1024)
            # store@9 on LSU: stage 2, slot 64
            gl.atomic_max(sources + position, (((begin + i * 1024) + gl.arange(0, 1024, layout=BLOCKED_1024)) // K).to(gl.int64), mask=cmp, sem="relaxed")


@gluon.jit
def moe_sources_kernel(positions, sources, C, K):
    """Shared memory, barriers, and one warp group for each of consumer0."""
    barrier: gl.constexpr = mbarrier.MBarrierLayout()
    fence_async_shared()  # the barriers are set up before TMA or another role sees them
    consumer0(C, K, positions, sources)


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


def moe_sources(positions, sources, C, K, BLOCK=1024, SPAN=4096):
    """Launch the kernel on the current stream; arguments as of the source kernel `moe_sources`.

    Raises TypeError or ValueError when an argument is not what the kernel was compiled for.
    """
    if BLOCK != 1024:
        raise ValueError(f"compiled for BLOCK=1024, got {BLOCK!r}: compile it again")
    if SPAN != 4096:
        raise ValueError(f"compiled for SPAN=4096, got {SPAN!r}: compile it again")
    require_tensors(DEVICE_TYPE, positions=(positions, torch.int64), sources=(sources, torch.int64))
    require_scalars(C=(C, "i32"), K=(K, "i32"))
    grid = (triton.cdiv(C, SPAN),)
    require_grid(grid)
    require_pointer("positions", positions)
    require_pointer("sources", sources, narrow=False)
    if 0 in grid:
        return  # there is nothing to do
    moe_sources_kernel[grid](positions, sources, C, K, num_warps=4)

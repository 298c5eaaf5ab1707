r"""moe_histogram for Hopper, written by Twill from moe_histogram.py. Do not edit: change the
kernel and compile it again.

Compiled for BLOCK=256, SPAN=4096.
Schedule: II = 76 cycles, optimal (ResMII of unit LSU (ops expert, store@13)); one iteration takes 608.

Roles:
  consumer0: 4 warps, 248 registers a thread, 8 stages

Rings:

Steady state, one II:
           0                     19                    38                    57
      ALU |..........................................................[and #1 -----]................|
      LSU |[expert #7 -------][store@13 #0 -------------------------------------------------------]|
  group 0 |[expert #7 -------][S #0 --]..............................[and #1 -----]................|
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

BLOCKED_256: gl.constexpr = gl.constexpr(gl.BlockedLayout(size_per_thread=[8], threads_per_warp=[32], warps_per_cta=[4], order=[0]))


@gluon.jit
def consumer0(C, E, counts, ids):
    """Consumer: warp group 0 of the schedule."""
    begin2 = gl.program_id(0)
    begin = begin2 * 4096
    end2 = begin + 4096
    end = gl.minimum(end2, C)
    cast = E.to(gl.int64)
    n = gl.cdiv(end - begin, 256)
    if n >= 7:
        # prologue, body 0
        # expert on LSU: stage 0, slot 0
        expert = gl.load(ids + ((begin + 0 * 256) + gl.arange(0, 256, layout=BLOCKED_256)), mask=((begin + 0 * 256) + gl.arange(0, 256, layout=BLOCKED_256)) < end, other=gl.full([256], -1, gl.int64, BLOCKED_256))
        # prologue, body 1
        # expert on LSU: stage 0, slot 0
        expert_prev = expert
        expert = gl.load(ids + ((begin + 1 * 256) + gl.arange(0, 256, layout=BLOCKED_256)), mask=((begin + 1 * 256) + gl.arange(0, 256, layout=BLOCKED_256)) < end, other=gl.full([256], -1, gl.int64, BLOCKED_256))
        # prologue, body 2
        # expert on LSU: stage 0, slot 0
        expert_prev_prev = expert_prev
        expert_prev = expert
        expert = gl.load(ids + ((begin + 2 * 256) + gl.arange(0, 256, layout=BLOCKED_256)), mask=((begin + 2 * 256) + gl.arange(0, 256, layout=BLOCKED_256)) < end, other=gl.full([256], -1, gl.int64, BLOCKED_256))
        # prologue, body 3
        # expert on LSU: stage 0, slot 0
        expert_prev3 = expert_prev_prev
        expert_prev_prev = expert_prev
        expert_prev = expert
        expert = gl.load(ids + ((begin + 3 * 256) + gl.arange(0, 256, layout=BLOCKED_256)), mask=((begin + 3 * 256) + gl.arange(0, 256, layout=BLOCKED_256)) < end, other=gl.full([256], -1, gl.int64, BLOCKED_256))
        # prologue, body 4
        # expert on LSU: stage 0, slot 0
        expert_prev4 = expert_prev3
        expert_prev3 = expert_prev_prev
        expert_prev_prev = expert_prev
        expert_prev = expert
        expert = gl.load(ids + ((begin + 4 * 256) + gl.arange(0, 256, layout=BLOCKED_256)), mask=((begin + 4 * 256) + gl.arange(0, 256, layout=BLOCKED_256)) < end, other=gl.full([256], -1, gl.int64, BLOCKED_256))
        # prologue, body 5
        # expert on LSU: stage 0, slot 0
        expert_prev5 = expert_prev4
        expert_prev4 = expert_prev3
        expert_prev3 = expert_prev_prev
        expert_prev_prev = expert_prev
        expert_prev = expert
        expert = gl.load(ids + ((begin + 5 * 256) + gl.arange(0, 256, layout=BLOCKED_256)), mask=((begin + 5 * 256) + gl.arange(0, 256, layout=BLOCKED_256)) < end, other=gl.full([256], -1, gl.int64, BLOCKED_256))
        # prologue, body 6
        # expert on LSU: stage 0, slot 0
        expert_prev6 = expert_prev5
        expert_prev5 = expert_prev4
        expert_prev4 = expert_prev3
        expert_prev3 = expert_prev_prev
        expert_prev_prev = expert_prev
        expert_prev = expert
        expert = gl.load(ids + ((begin + 6 * 256) + gl.arange(0, 256, layout=BLOCKED_256)), mask=((begin + 6 * 256) + gl.arange(0, 256, layout=BLOCKED_256)) < end, other=gl.full([256], -1, gl.int64, BLOCKED_256))
        # and on ALU: stage 6, slot 50
        cmp = expert_prev6 >= gl.full([256], 0, gl.int64, BLOCKED_256)
        cmp2 = expert_prev6 < cast
        and_ = cmp & cmp2
        # steady state
        for i in range(7, n):
            # expert on LSU: stage 0, slot 0
            expert_prev7 = expert_prev6
            expert_prev6 = expert_prev5
            expert_prev5 = expert_prev4
            expert_prev4 = expert_prev3
            expert_prev3 = expert_prev_prev
            expert_prev_prev = expert_prev
            expert_prev = expert
            expert = gl.load(ids + ((begin + i * 256) + gl.arange(0, 256, layout=BLOCKED_256)), mask=((begin + i * 256) + gl.arange(0, 256, layout=BLOCKED_256)) < end, other=gl.full([256], -1, gl.int64, BLOCKED_256))
            # store@13 on LSU: stage 7, slot 16
            gl.atomic_add((counts + (((begin + (i - 7) * 256) // 256) * E)) + expert_prev7, gl.full([256], 1, gl.int32, BLOCKED_256), mask=and_, sem="relaxed")
            # and on ALU: stage 6, slot 50
            cmp = expert_prev6 >= gl.full([256], 0, gl.int64, BLOCKED_256)
            cmp2 = expert_prev6 < cast
            and_ = cmp & cmp2
        # epilogue, body 1
        # store@13 on LSU: stage 7, slot 16
        gl.atomic_add((counts + (((begin + (n - 7) * 256) // 256) * E)) + expert_prev6, gl.full([256], 1, gl.int32, BLOCKED_256), mask=and_, sem="relaxed")
        # and on ALU: stage 6, slot 50
        cmp = expert_prev5 >= gl.full([256], 0, gl.int64, BLOCKED_256)
        cmp2 = expert_prev5 < cast
        and_ = cmp & cmp2
        # epilogue, body 2
        # store@13 on LSU: stage 7, slot 16
        gl.atomic_add((counts + (((begin + (n - 6) * 256) // 256) * E)) + expert_prev5, gl.full([256], 1, gl.int32, BLOCKED_256), mask=and_, sem="relaxed")
        # and on ALU: stage 6, slot 50
        cmp = expert_prev4 >= gl.full([256], 0, gl.int64, BLOCKED_256)
        cmp2 = expert_prev4 < cast
        and_ = cmp & cmp2
        # epilogue, body 3
        # store@13 on LSU: stage 7, slot 16
        gl.atomic_add((counts + (((begin + (n - 5) * 256) // 256) * E)) + expert_prev4, gl.full([256], 1, gl.int32, BLOCKED_256), mask=and_, sem="relaxed")
        # and on ALU: stage 6, slot 50
        cmp = expert_prev3 >= gl.full([256], 0, gl.int64, BLOCKED_256)
        cmp2 = expert_prev3 < cast
        and_ = cmp & cmp2
        # epilogue, body 4
        # store@13 on LSU: stage 7, slot 16
        gl.atomic_add((counts + (((begin + (n - 4) * 256) // 256) * E)) + expert_prev3, gl.full([256], 1, gl.int32, BLOCKED_256), mask=and_, sem="relaxed")
        # and on ALU: stage 6, slot 50
        cmp = expert_prev_prev >= gl.full([256], 0, gl.int64, BLOCKED_256)
        cmp2 = expert_prev_prev < cast
        and_ = cmp & cmp2
        # epilogue, body 5
        # store@13 on LSU: stage 7, slot 16
        gl.atomic_add((counts + (((begin + (n - 3) * 256) // 256) * E)) + expert_prev_prev, gl.full([256], 1, gl.int32, BLOCKED_256), mask=and_, sem="relaxed")
        # and on ALU: stage 6, slot 50
        cmp = expert_prev >= gl.full([256], 0, gl.int64, BLOCKED_256)
        cmp2 = expert_prev < cast
        and_ = cmp & cmp2
        # epilogue, body 6
        # store@13 on LSU: stage 7, slot 16
        gl.atomic_add((counts + (((begin + (n - 2) * 256) // 256) * E)) + expert_prev, gl.full([256], 1, gl.int32, BLOCKED_256), mask=and_, sem="relaxed")
        # and on ALU: stage 6, slot 50
        cmp = expert >= gl.full([256], 0, gl.int64, BLOCKED_256)
        cmp2 = expert < cast
        and_ = cmp & cmp2
        # epilogue, body 7
        # store@13 on LSU: stage 7, slot 16
        gl.atomic_add((counts + (((begin + (n - 1) * 256) // 256) * E)) + expert, gl.full([256], 1, gl.int32, BLOCKED_256), mask=and_, sem="relaxed")
    else:
        # too few iterations to fill the pipeline: one after the other
        for i in range(0, n):
            # expert on LSU: stage 0, slot 0
            expert = gl.load(ids + ((begin + i * 256) + gl.arange(0, 256, layout=BLOCKED_256)), mask=((begin + i * 256) + gl.arange(0, 256, layout=BLOCKED_256)) < end, other=gl.full([256], -1, gl.int64, BLOCKED_256))
            # and on ALU: stage 6, slot 50
            cmp = expert >= gl.full([256], 0, gl.int64, BLOCKED_256)
            cmp2 = expert < cast
            and_ = cmp & cmp2
            # store@13 on LSU: stage 7, slot 16
            gl.atomic_add((counts + (((begin + i * 256) // 256) * E)) + expert, gl.full([256], 1, gl.int32, BLOCKED_256), mask=and_, sem="relaxed")


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


def moe_histogram(ids, counts, C, E, BLOCK=256, SPAN=4096):
    """Launch the kernel on the current stream; arguments as of the source kernel `moe_histogram`.

    Raises TypeError or ValueError when an argument is not what the kernel was compiled for.
    """
    if BLOCK != 256:
        raise ValueError(f"compiled for BLOCK=256, got {BLOCK!r}: compile it again")
    if SPAN != 4096:
        raise ValueError(f"compiled for SPAN=4096, got {SPAN!r}: compile it again")
    require_tensors(DEVICE_TYPE, ids=(ids, torch.int64), counts=(counts, torch.int32))
    require_scalars(C=(C, "i32"), E=(E, "i32"))
    grid = (triton.cdiv(C, SPAN),)
    require_grid(grid)
    require_pointer("ids", ids)
    require_pointer("counts", counts, narrow=False)
    if 0 in grid:
        return  # there is nothing to do
    moe_histogram_kernel[grid](ids, counts, C, E, num_warps=4)

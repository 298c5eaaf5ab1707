r"""moe_scan for Hopper, written by Twill from moe_scan.py. Do not edit: change the
kernel and compile it again.

Compiled for BE=128.
Schedule: II = 27 cycles, optimal (RecMII of cycle total -> total); one iteration takes 510.

Roles:
  consumer0: 4 warps, 248 registers a thread, 19 stages

Rings:

Steady state, one II:
           0                   6                     13                     20
      ALU |..............................................................................[T #1 ]...|
      LSU |[count #18 -][store@8 #0 ]..............................................................|
  group 0 |[count #18 -][store@8 #0 ]....................................................[T #1 ]...|
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

BLOCKED_128: gl.constexpr = gl.constexpr(gl.BlockedLayout(size_per_thread=[4], threads_per_warp=[32], warps_per_cta=[4], order=[0]))


@gluon.jit
def consumer0(B, E, before, counts, totals):
    """Consumer: warp group 0 of the schedule."""
    expert3 = gl.program_id(0)
    expert2 = expert3 * 128
    expert = expert2 + gl.arange(0, 128, layout=BLOCKED_128)
    count = expert < E
    total = gl.full([128], 0, gl.int32, BLOCKED_128)
    n = B
    if n >= 18:
        # prologue, body 0
        # count on LSU: stage 0, slot 0
        count2 = gl.load((counts + (0 * E)) + expert, mask=count, other=gl.full([128], 0, gl.int32, BLOCKED_128))
        # prologue, body 1
        # count on LSU: stage 0, slot 0
        count2_prev = count2
        count2 = gl.load((counts + (1 * E)) + expert, mask=count, other=gl.full([128], 0, gl.int32, BLOCKED_128))
        # prologue, body 2
        # count on LSU: stage 0, slot 0
        count2_prev_prev = count2_prev
        count2_prev = count2
        count2 = gl.load((counts + (2 * E)) + expert, mask=count, other=gl.full([128], 0, gl.int32, BLOCKED_128))
        # prologue, body 3
        # count on LSU: stage 0, slot 0
        count2_prev3 = count2_prev_prev
        count2_prev_prev = count2_prev
        count2_prev = count2
        count2 = gl.load((counts + (3 * E)) + expert, mask=count, other=gl.full([128], 0, gl.int32, BLOCKED_128))
        # prologue, body 4
        # count on LSU: stage 0, slot 0
        count2_prev4 = count2_prev3
        count2_prev3 = count2_prev_prev
        count2_prev_prev = count2_prev
        count2_prev = count2
        count2 = gl.load((counts + (4 * E)) + expert, mask=count, other=gl.full([128], 0, gl.int32, BLOCKED_128))
        # prologue, body 5
        # count on LSU: stage 0, slot 0
        count2_prev5 = count2_prev4
        count2_prev4 = count2_prev3
        count2_prev3 = count2_prev_prev
        count2_prev_prev = count2_prev
        count2_prev = count2
        count2 = gl.load((counts + (5 * E)) + expert, mask=count, other=gl.full([128], 0, gl.int32, BLOCKED_128))
        # prologue, body 6
        # count on LSU: stage 0, slot 0
        count2_prev6 = count2_prev5
        count2_prev5 = count2_prev4
        count2_prev4 = count2_prev3
        count2_prev3 = count2_prev_prev
        count2_prev_prev = count2_prev
        count2_prev = count2
        count2 = gl.load((counts + (6 * E)) + expert, mask=count, other=gl.full([128], 0, gl.int32, BLOCKED_128))
        # prologue, body 7
        # count on LSU: stage 0, slot 0
        count2_prev7 = count2_prev6
        count2_prev6 = count2_prev5
        count2_prev5 = count2_prev4
        count2_prev4 = count2_prev3
        count2_prev3 = count2_prev_prev
        count2_prev_prev = count2_prev
        count2_prev = count2
        count2 = gl.load((counts + (7 * E)) + expert, mask=count, other=gl.full([128], 0, gl.int32, BLOCKED_128))
        # prologue, body 8
        # count on LSU: stage 0, slot 0
        count2_prev8 = count2_prev7
        count2_prev7 = count2_prev6
        count2_prev6 = count2_prev5
        count2_prev5 = count2_prev4
        count2_prev4 = count2_prev3
        count2_prev3 = count2_prev_prev
        count2_prev_prev = count2_prev
        count2_prev = count2
        count2 = gl.load((counts + (8 * E)) + expert, mask=count, other=gl.full([128], 0, gl.int32, BLOCKED_128))
        # prologue, body 9
        # count on LSU: stage 0, slot 0
        count2_prev9 = count2_prev8
        count2_prev8 = count2_prev7
        count2_prev7 = count2_prev6
        count2_prev6 = count2_prev5
        count2_prev5 = count2_prev4
        count2_prev4 = count2_prev3
        count2_prev3 = count2_prev_prev
        count2_prev_prev = count2_prev
        count2_prev = count2
        count2 = gl.load((counts + (9 * E)) + expert, mask=count, other=gl.full([128], 0, gl.int32, BLOCKED_128))
        # prologue, body 10
        # count on LSU: stage 0, slot 0
        count2_prev10 = count2_prev9
        count2_prev9 = count2_prev8
        count2_prev8 = count2_prev7
        count2_prev7 = count2_prev6
        count2_prev6 = count2_prev5
        count2_prev5 = count2_prev4
        count2_prev4 = count2_prev3
        count2_prev3 = count2_prev_prev
        count2_prev_prev = count2_prev
        count2_prev = count2
        count2 = gl.load((counts + (10 * E)) + expert, mask=count, other=gl.full([128], 0, gl.int32, BLOCKED_128))
        # prologue, body 11
        # count on LSU: stage 0, slot 0
        count2_prev11 = count2_prev10
        count2_prev10 = count2_prev9
        count2_prev9 = count2_prev8
        count2_prev8 = count2_prev7
        count2_prev7 = count2_prev6
        count2_prev6 = count2_prev5
        count2_prev5 = count2_prev4
        count2_prev4 = count2_prev3
        count2_prev3 = count2_prev_prev
        count2_prev_prev = count2_prev
        count2_prev = count2
        count2 = gl.load((counts + (11 * E)) + expert, mask=count, other=gl.full([128], 0, gl.int32, BLOCKED_128))
        # prologue, body 12
        # count on LSU: stage 0, slot 0
        count2_prev12 = count2_prev11
        count2_prev11 = count2_prev10
        count2_prev10 = count2_prev9
        count2_prev9 = count2_prev8
        count2_prev8 = count2_prev7
        count2_prev7 = count2_prev6
        count2_prev6 = count2_prev5
        count2_prev5 = count2_prev4
        count2_prev4 = count2_prev3
        count2_prev3 = count2_prev_prev
        count2_prev_prev = count2_prev
        count2_prev = count2
        count2 = gl.load((counts + (12 * E)) + expert, mask=count, other=gl.full([128], 0, gl.int32, BLOCKED_128))
        # prologue, body 13
        # count on LSU: stage 0, slot 0
        count2_prev13 = count2_prev12
        count2_prev12 = count2_prev11
        count2_prev11 = count2_prev10
        count2_prev10 = count2_prev9
        count2_prev9 = count2_prev8
        count2_prev8 = count2_prev7
        count2_prev7 = count2_prev6
        count2_prev6 = count2_prev5
        count2_prev5 = count2_prev4
        count2_prev4 = count2_prev3
        count2_prev3 = count2_prev_prev
        count2_prev_prev = count2_prev
        count2_prev = count2
        count2 = gl.load((counts + (13 * E)) + expert, mask=count, other=gl.full([128], 0, gl.int32, BLOCKED_128))
        # prologue, body 14
        # count on LSU: stage 0, slot 0
        count2_prev14 = count2_prev13
        count2_prev13 = count2_prev12
        count2_prev12 = count2_prev11
        count2_prev11 = count2_prev10
        count2_prev10 = count2_prev9
        count2_prev9 = count2_prev8
        count2_prev8 = count2_prev7
        count2_prev7 = count2_prev6
        count2_prev6 = count2_prev5
        count2_prev5 = count2_prev4
        count2_prev4 = count2_prev3
        count2_prev3 = count2_prev_prev
        count2_prev_prev = count2_prev
        count2_prev = count2
        count2 = gl.load((counts + (14 * E)) + expert, mask=count, other=gl.full([128], 0, gl.int32, BLOCKED_128))
        # prologue, body 15
        # count on LSU: stage 0, slot 0
        count2_prev15 = count2_prev14
        count2_prev14 = count2_prev13
        count2_prev13 = count2_prev12
        count2_prev12 = count2_prev11
        count2_prev11 = count2_prev10
        count2_prev10 = count2_prev9
        count2_prev9 = count2_prev8
        count2_prev8 = count2_prev7
        count2_prev7 = count2_prev6
        count2_prev6 = count2_prev5
        count2_prev5 = count2_prev4
        count2_prev4 = count2_prev3
        count2_prev3 = count2_prev_prev
        count2_prev_prev = count2_prev
        count2_prev = count2
        count2 = gl.load((counts + (15 * E)) + expert, mask=count, other=gl.full([128], 0, gl.int32, BLOCKED_128))
        # prologue, body 16
        # count on LSU: stage 0, slot 0
        count2_prev16 = count2_prev15
        count2_prev15 = count2_prev14
        count2_prev14 = count2_prev13
        count2_prev13 = count2_prev12
        count2_prev12 = count2_prev11
        count2_prev11 = count2_prev10
        count2_prev10 = count2_prev9
        count2_prev9 = count2_prev8
        count2_prev8 = count2_prev7
        count2_prev7 = count2_prev6
        count2_prev6 = count2_prev5
        count2_prev5 = count2_prev4
        count2_prev4 = count2_prev3
        count2_prev3 = count2_prev_prev
        count2_prev_prev = count2_prev
        count2_prev = count2
        count2 = gl.load((counts + (16 * E)) + expert, mask=count, other=gl.full([128], 0, gl.int32, BLOCKED_128))
        # prologue, body 17
        # count on LSU: stage 0, slot 0
        count2_prev17 = count2_prev16
        count2_prev16 = count2_prev15
        count2_prev15 = count2_prev14
        count2_prev14 = count2_prev13
        count2_prev13 = count2_prev12
        count2_prev12 = count2_prev11
        count2_prev11 = count2_prev10
        count2_prev10 = count2_prev9
        count2_prev9 = count2_prev8
        count2_prev8 = count2_prev7
        count2_prev7 = count2_prev6
        count2_prev6 = count2_prev5
        count2_prev5 = count2_prev4
        count2_prev4 = count2_prev3
        count2_prev3 = count2_prev_prev
        count2_prev_prev = count2_prev
        count2_prev = count2
        count2 = gl.load((counts + (17 * E)) + expert, mask=count, other=gl.full([128], 0, gl.int32, BLOCKED_128))
        # total on ALU: stage 17, slot 24
        total_prev = total
        total = total + count2_prev17
        # steady state
        for i in range(18, n):
            # count on LSU: stage 0, slot 0
            count2_prev17 = count2_prev16
            count2_prev16 = count2_prev15
            count2_prev15 = count2_prev14
            count2_prev14 = count2_prev13
            count2_prev13 = count2_prev12
            count2_prev12 = count2_prev11
            count2_prev11 = count2_prev10
            count2_prev10 = count2_prev9
            count2_prev9 = count2_prev8
            count2_prev8 = count2_prev7
            count2_prev7 = count2_prev6
            count2_prev6 = count2_prev5
            count2_prev5 = count2_prev4
            count2_prev4 = count2_prev3
            count2_prev3 = count2_prev_prev
            count2_prev_prev = count2_prev
            count2_prev = count2
            count2 = gl.load((counts + (i * E)) + expert, mask=count, other=gl.full([128], 0, gl.int32, BLOCKED_128))
            # store@8 on LSU: stage 18, slot 4
            gl.store((before + ((i - 18) * E)) + expert, total_prev, mask=count)
            # total on ALU: stage 17, slot 24
            total_prev = total
            total = total + count2_prev17
        # epilogue, body 1
        # store@8 on LSU: stage 18, slot 4
        gl.store((before + ((n - 18) * E)) + expert, total_prev, mask=count)
        # total on ALU: stage 17, slot 24
        total_prev = total
        total = total + count2_prev16
        # epilogue, body 2
        # store@8 on LSU: stage 18, slot 4
        gl.store((before + ((n - 17) * E)) + expert, total_prev, mask=count)
        # total on ALU: stage 17, slot 24
        total_prev = total
        total = total + count2_prev15
        # epilogue, body 3
        # store@8 on LSU: stage 18, slot 4
        gl.store((before + ((n - 16) * E)) + expert, total_prev, mask=count)
        # total on ALU: stage 17, slot 24
        total_prev = total
        total = total + count2_prev14
        # epilogue, body 4
        # store@8 on LSU: stage 18, slot 4
        gl.store((before + ((n - 15) * E)) + expert, total_prev, mask=count)
        # total on ALU: stage 17, slot 24
        total_prev = total
        total = total + count2_prev13
        # epilogue, body 5
        # store@8 on LSU: stage 18, slot 4
        gl.store((before + ((n - 14) * E)) + expert, total_prev, mask=count)
        # total on ALU: stage 17, slot 24
        total_prev = total
        total = total + count2_prev12
        # epilogue, body 6
        # store@8 on LSU: stage 18, slot 4
        gl.store((before + ((n - 13) * E)) + expert, total_prev, mask=count)
        # total on ALU: stage 17, slot 24
        total_prev = total
        total = total + count2_prev11
        # epilogue, body 7
        # store@8 on LSU: stage 18, slot 4
        gl.store((before + ((n - 12) * E)) + expert, total_prev, mask=count)
        # total on ALU: stage 17, slot 24
        total_prev = total
        total = total + count2_prev10
        # epilogue, body 8
        # store@8 on LSU: stage 18, slot 4
        gl.store((before + ((n - 11) * E)) + expert, total_prev, mask=count)
        # total on ALU: stage 17, slot 24
        total_prev = total
        total = total + count2_prev9
        # epilogue, body 9
        # store@8 on LSU: stage 18, slot 4
        gl.store((before + ((n - 10) * E)) + expert, total_prev, mask=count)
        # total on ALU: stage 17, slot 24
        total_prev = total
        total = total + count2_prev8
        # epilogue, body 10
        # store@8 on LSU: stage 18, slot 4
        gl.store((before + ((n - 9) * E)) + expert, total_prev, mask=count)
        # total on ALU: stage 17, slot 24
        total_prev = total
        total = total + count2_prev7
        # epilogue, body 11
        # store@8 on LSU: stage 18, slot 4
        gl.store((before + ((n - 8) * E)) + expert, total_prev, mask=count)
        # total on ALU: stage 17, slot 24
        total_prev = total
        total = total + count2_prev6
        # epilogue, body 12
        # store@8 on LSU: stage 18, slot 4
        gl.store((before + ((n - 7) * E)) + expert, total_prev, mask=count)
        # total on ALU: stage 17, slot 24
        total_prev = total
        total = total + count2_prev5
        # epilogue, body 13
        # store@8 on LSU: stage 18, slot 4
        gl.store((before + ((n - 6) * E)) + expert, total_prev, mask=count)
        # total on ALU: stage 17, slot 24
        total_prev = total
        total = total + count2_prev4
        # epilogue, body 14
        # store@8 on LSU: stage 18, slot 4
        gl.store((before + ((n - 5) * E)) + expert, total_prev, mask=count)
        # total on ALU: stage 17, slot 24
        total_prev = total
        total = total + count2_prev3
        # epilogue, body 15
        # store@8 on LSU: stage 18, slot 4
        gl.store((before + ((n - 4) * E)) + expert, total_prev, mask=count)
        # total on ALU: stage 17, slot 24
        total_prev = total
        total = total + count2_prev_prev
        # epilogue, body 16
        # store@8 on LSU: stage 18, slot 4
        gl.store((before + ((n - 3) * E)) + expert, total_prev, mask=count)
        # total on ALU: stage 17, slot 24
        total_prev = total
        total = total + count2_prev
        # epilogue, body 17
        # store@8 on LSU: stage 18, slot 4
        gl.store((before + ((n - 2) * E)) + expert, total_prev, mask=count)
        # total on ALU: stage 17, slot 24
        total_prev = total
        total = total + count2
        # epilogue, body 18
        # store@8 on LSU: stage 18, slot 4
        gl.store((before + ((n - 1) * E)) + expert, total_prev, mask=count)
    else:
        # too few iterations to fill the pipeline: one after the other
        for i in range(0, n):
            # count on LSU: stage 0, slot 0
            count2 = gl.load((counts + (i * E)) + expert, mask=count, other=gl.full([128], 0, gl.int32, BLOCKED_128))
            # store@8 on LSU: stage 18, slot 4
            gl.store((before + (i * E)) + expert, total, mask=count)
            # total on ALU: stage 17, slot 24
            total = total + count2
    # after the loop
    gl.store(totals + expert, total, mask=count)


@gluon.jit
def moe_scan_kernel(counts, before, totals, B, E):
    """Shared memory, barriers, and one warp group for each of consumer0."""
    barrier: gl.constexpr = mbarrier.MBarrierLayout()
    fence_async_shared()  # the barriers are set up before TMA or another role sees them
    consumer0(B, E, before, counts, totals)


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


def moe_scan(counts, before, totals, B, E, BE=128):
    """Launch the kernel on the current stream; arguments as of the source kernel `moe_scan`.

    Raises TypeError or ValueError when an argument is not what the kernel was compiled for.
    """
    if BE != 128:
        raise ValueError(f"compiled for BE=128, got {BE!r}: compile it again")
    require_tensors(
        DEVICE_TYPE,
        counts=(counts, torch.int32),
        before=(before, torch.int32),
        totals=(totals, torch.int32),
    )
    require_scalars(B=(B, "i32"), E=(E, "i32"))
    grid = (triton.cdiv(E, BE),)
    require_grid(grid)
    require_pointer("counts", counts, narrow=False)
    require_pointer("before", before, narrow=False)
    require_pointer("totals", totals)
    if 0 in grid:
        return  # there is nothing to do
    moe_scan_kernel[grid](counts, before, totals, B, E, num_warps=4)

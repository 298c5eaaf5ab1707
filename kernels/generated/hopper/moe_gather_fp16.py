r"""moe_gather for Hopper, written by Twill from moe_gather.py. Do not edit: change the
kernel and compile it again.

Compiled for BP=32, BN=128.
Schedule: II = 128 cycles, optimal (ResMII of unit ALU (ops values_5.0, values_5.1, and.0, and.1)); one iteration takes 697.

Roles:
  consumer0: 4 warps, 248 registers a thread, 5 stages
  consumer1: 4 warps, 248 registers a thread, 5 stages

Rings:

Steady state, one II:
           0                     32                    64                    96
      ALU |[values_5.1 #5 ------][values_5.0 #5 ------][and.1 #5 -----------][and.0 #5 -----------]|
      LSU |<store@20 #0 ---][store@19 #0 --------][values.1 #5 --------][values.0 #5 --------]1tttt|
  group 0 |.................[store@19 #0 --------]......................[values.0 #5 --------].....|
          |                      [values_5 0 #5 ------]                      [and 0 #5 -----------]|
  group 1 |<store@20 #0 ---]......................[values.1 #5 --------]......................1tttt|
          |[values_5 1 #5 ------]                      [and 1 #5 -----------]                      |
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

BLOCKED_16x128: gl.constexpr = gl.constexpr(gl.BlockedLayout(size_per_thread=[1, 4], threads_per_warp=[1, 32], warps_per_cta=[4, 1], order=[1, 0]))
ROWS_OF_BLOCKED_16x128: gl.constexpr = gl.constexpr(gl.SliceLayout(1, BLOCKED_16x128.value))
BLOCKED_16x1: gl.constexpr = gl.constexpr(gl.BlockedLayout(size_per_thread=[1, 1], threads_per_warp=[32, 1], warps_per_cta=[4, 1], order=[1, 0]))
ROWS_OF_BLOCKED_16x1: gl.constexpr = gl.constexpr(gl.SliceLayout(1, BLOCKED_16x1.value))
COLUMNS_OF_BLOCKED_16x128: gl.constexpr = gl.constexpr(gl.SliceLayout(0, BLOCKED_16x128.value))


@gluon.jit
def consumer0(N, P, out, sources, x):
    """Consumer: warp group 0 of the schedule."""
    row3 = gl.program_id(0)
    row2 = row3 * 32
    row = row2 + gl.arange(0, 16, layout=ROWS_OF_BLOCKED_16x128)
    source = row < P
    source3 = sources + row
    source2 = gl.load(source3, mask=source, other=gl.full([16], -1, gl.int64, ROWS_OF_BLOCKED_16x128))
    begin2 = N.to(gl.int64)
    begin = source2 * begin2
    place2 = row.to(gl.int64)
    place = place2 * begin2
    values = source2 >= gl.full([16], 0, gl.int64, ROWS_OF_BLOCKED_16x128)
    values3 = x + gl.expand_dims(gl.convert_layout(begin, ROWS_OF_BLOCKED_16x1), 1)
    addptr = out + gl.expand_dims(gl.convert_layout(place, ROWS_OF_BLOCKED_16x1), 1)
    n = gl.cdiv(N, 128)
    if n >= 4:
        # prologue, body 0
        # values_5.0 on ALU: stage 0, slot 32
        values2 = gl.expand_dims(values, 1) & gl.expand_dims((0 + gl.arange(0, 128, layout=COLUMNS_OF_BLOCKED_16x128)) < N, 0)
        # values.0 on LSU: stage 0, slot 89
        values4 = gl.load(gl.convert_layout(values3, BLOCKED_16x128) + gl.expand_dims(0 + gl.arange(0, 128, layout=COLUMNS_OF_BLOCKED_16x128), 0), mask=values2, other=gl.full([16, 128], 0.0, gl.float16, BLOCKED_16x128))
        # and.0 on ALU: stage 0, slot 96
        and_ = gl.expand_dims(source, 1) & gl.expand_dims((0 + gl.arange(0, 128, layout=COLUMNS_OF_BLOCKED_16x128)) < N, 0)
        # prologue, body 1
        # values_5.0 on ALU: stage 0, slot 32
        values2 = gl.expand_dims(values, 1) & gl.expand_dims((128 + gl.arange(0, 128, layout=COLUMNS_OF_BLOCKED_16x128)) < N, 0)
        # values.0 on LSU: stage 0, slot 89
        values4_prev = values4
        values4 = gl.load(gl.convert_layout(values3, BLOCKED_16x128) + gl.expand_dims(128 + gl.arange(0, 128, layout=COLUMNS_OF_BLOCKED_16x128), 0), mask=values2, other=gl.full([16, 128], 0.0, gl.float16, BLOCKED_16x128))
        # and.0 on ALU: stage 0, slot 96
        and__prev = and_
        and_ = gl.expand_dims(source, 1) & gl.expand_dims((128 + gl.arange(0, 128, layout=COLUMNS_OF_BLOCKED_16x128)) < N, 0)
        # prologue, body 2
        # values_5.0 on ALU: stage 0, slot 32
        values2 = gl.expand_dims(values, 1) & gl.expand_dims((256 + gl.arange(0, 128, layout=COLUMNS_OF_BLOCKED_16x128)) < N, 0)
        # values.0 on LSU: stage 0, slot 89
        values4_prev_prev = values4_prev
        values4_prev = values4
        values4 = gl.load(gl.convert_layout(values3, BLOCKED_16x128) + gl.expand_dims(256 + gl.arange(0, 128, layout=COLUMNS_OF_BLOCKED_16x128), 0), mask=values2, other=gl.full([16, 128], 0.0, gl.float16, BLOCKED_16x128))
        # and.0 on ALU: stage 0, slot 96
        and__prev_prev = and__prev
        and__prev = and_
        and_ = gl.expand_dims(source, 1) & gl.expand_dims((256 + gl.arange(0, 128, layout=COLUMNS_OF_BLOCKED_16x128)) < N, 0)
        # prologue, body 3
        # values_5.0 on ALU: stage 0, slot 32
        values2 = gl.expand_dims(values, 1) & gl.expand_dims((384 + gl.arange(0, 128, layout=COLUMNS_OF_BLOCKED_16x128)) < N, 0)
        # values.0 on LSU: stage 0, slot 89
        values4_prev3 = values4_prev_prev
        values4_prev_prev = values4_prev
        values4_prev = values4
        values4 = gl.load(gl.convert_layout(values3, BLOCKED_16x128) + gl.expand_dims(384 + gl.arange(0, 128, layout=COLUMNS_OF_BLOCKED_16x128), 0), mask=values2, other=gl.full([16, 128], 0.0, gl.float16, BLOCKED_16x128))
        # and.0 on ALU: stage 0, slot 96
        and__prev3 = and__prev_prev
        and__prev_prev = and__prev
        and__prev = and_
        and_ = gl.expand_dims(source, 1) & gl.expand_dims((384 + gl.arange(0, 128, layout=COLUMNS_OF_BLOCKED_16x128)) < N, 0)
        # steady state
        for i in range(4, n):
            # values_5.0 on ALU: stage 0, slot 32
            values2 = gl.expand_dims(values, 1) & gl.expand_dims(((i * 128) + gl.arange(0, 128, layout=COLUMNS_OF_BLOCKED_16x128)) < N, 0)
            # values.0 on LSU: stage 0, slot 89
            values4_prev4 = values4_prev3
            values4_prev3 = values4_prev_prev
            values4_prev_prev = values4_prev
            values4_prev = values4
            values4 = gl.load(gl.convert_layout(values3, BLOCKED_16x128) + gl.expand_dims((i * 128) + gl.arange(0, 128, layout=COLUMNS_OF_BLOCKED_16x128), 0), mask=values2, other=gl.full([16, 128], 0.0, gl.float16, BLOCKED_16x128))
            # and.0 on ALU: stage 0, slot 96
            and__prev4 = and__prev3
            and__prev3 = and__prev_prev
            and__prev_prev = and__prev
            and__prev = and_
            and_ = gl.expand_dims(source, 1) & gl.expand_dims(((i * 128) + gl.arange(0, 128, layout=COLUMNS_OF_BLOCKED_16x128)) < N, 0)
            # store@19 on LSU: stage 5, slot 25
            gl.store(gl.convert_layout(addptr, BLOCKED_16x128) + gl.expand_dims(((i - 4) * 128) + gl.arange(0, 128, layout=COLUMNS_OF_BLOCKED_16x128), 0), values4_prev4, mask=and__prev4)
        # epilogue, body 1
        # store@19 on LSU: stage 5, slot 25
        gl.store(gl.convert_layout(addptr, BLOCKED_16x128) + gl.expand_dims(((n - 4) * 128) + gl.arange(0, 128, layout=COLUMNS_OF_BLOCKED_16x128), 0), values4_prev3, mask=and__prev3)
        # epilogue, body 2
        # store@19 on LSU: stage 5, slot 25
        gl.store(gl.convert_layout(addptr, BLOCKED_16x128) + gl.expand_dims(((n - 3) * 128) + gl.arange(0, 128, layout=COLUMNS_OF_BLOCKED_16x128), 0), values4_prev_prev, mask=and__prev_prev)
        # epilogue, body 3
        # store@19 on LSU: stage 5, slot 25
        gl.store(gl.convert_layout(addptr, BLOCKED_16x128) + gl.expand_dims(((n - 2) * 128) + gl.arange(0, 128, layout=COLUMNS_OF_BLOCKED_16x128), 0), values4_prev, mask=and__prev)
        # epilogue, body 4
        # store@19 on LSU: stage 5, slot 25
        gl.store(gl.convert_layout(addptr, BLOCKED_16x128) + gl.expand_dims(((n - 1) * 128) + gl.arange(0, 128, layout=COLUMNS_OF_BLOCKED_16x128), 0), values4, mask=and_)
    else:
        # too few iterations to fill the pipeline: one after the other
        for i in range(0, n):
            # values_5.0 on ALU: stage 0, slot 32
            values2 = gl.expand_dims(values, 1) & gl.expand_dims(((i * 128) + gl.arange(0, 128, layout=COLUMNS_OF_BLOCKED_16x128)) < N, 0)
            # values.0 on LSU: stage 0, slot 89
            values4 = gl.load(gl.convert_layout(values3, BLOCKED_16x128) + gl.expand_dims((i * 128) + gl.arange(0, 128, layout=COLUMNS_OF_BLOCKED_16x128), 0), mask=values2, other=gl.full([16, 128], 0.0, gl.float16, BLOCKED_16x128))
            # and.0 on ALU: stage 0, slot 96
            and_ = gl.expand_dims(source, 1) & gl.expand_dims(((i * 128) + gl.arange(0, 128, layout=COLUMNS_OF_BLOCKED_16x128)) < N, 0)
            # store@19 on LSU: stage 5, slot 25
            gl.store(gl.convert_layout(addptr, BLOCKED_16x128) + gl.expand_dims((i * 128) + gl.arange(0, 128, layout=COLUMNS_OF_BLOCKED_16x128), 0), values4, mask=and_)


@gluon.jit
def consumer1(N, P, out, sources, x):
    """Consumer: warp group 1 of the schedule."""
    row3 = gl.program_id(0)
    row2 = row3 * 32
    row = row2 + gl.arange(16, 32, layout=ROWS_OF_BLOCKED_16x128)
    source = row < P
    source3 = sources + row
    source2 = gl.load(source3, mask=source, other=gl.full([16], -1, gl.int64, ROWS_OF_BLOCKED_16x128))
    begin2 = N.to(gl.int64)
    begin = source2 * begin2
    place2 = row.to(gl.int64)
    place = place2 * begin2
    values = source2 >= gl.full([16], 0, gl.int64, ROWS_OF_BLOCKED_16x128)
    values3 = x + gl.expand_dims(gl.convert_layout(begin, ROWS_OF_BLOCKED_16x1), 1)
    addptr = out + gl.expand_dims(gl.convert_layout(place, ROWS_OF_BLOCKED_16x1), 1)
    n = gl.cdiv(N, 128)
    if n >= 4:
        # prologue, body 0
        # values_5.1 on ALU: stage 0, slot 0
        values2 = gl.expand_dims(values, 1) & gl.expand_dims((0 + gl.arange(0, 128, layout=COLUMNS_OF_BLOCKED_16x128)) < N, 0)
        # values.1 on LSU: stage 0, slot 57
        values4 = gl.load(gl.convert_layout(values3, BLOCKED_16x128) + gl.expand_dims(0 + gl.arange(0, 128, layout=COLUMNS_OF_BLOCKED_16x128), 0), mask=values2, other=gl.full([16, 128], 0.0, gl.float16, BLOCKED_16x128))
        # and.1 on ALU: stage 0, slot 64
        and_ = gl.expand_dims(source, 1) & gl.expand_dims((0 + gl.arange(0, 128, layout=COLUMNS_OF_BLOCKED_16x128)) < N, 0)
        # prologue, body 1
        # values_5.1 on ALU: stage 0, slot 0
        values2 = gl.expand_dims(values, 1) & gl.expand_dims((128 + gl.arange(0, 128, layout=COLUMNS_OF_BLOCKED_16x128)) < N, 0)
        # values.1 on LSU: stage 0, slot 57
        values4_prev = values4
        values4 = gl.load(gl.convert_layout(values3, BLOCKED_16x128) + gl.expand_dims(128 + gl.arange(0, 128, layout=COLUMNS_OF_BLOCKED_16x128), 0), mask=values2, other=gl.full([16, 128], 0.0, gl.float16, BLOCKED_16x128))
        # and.1 on ALU: stage 0, slot 64
        and__prev = and_
        and_ = gl.expand_dims(source, 1) & gl.expand_dims((128 + gl.arange(0, 128, layout=COLUMNS_OF_BLOCKED_16x128)) < N, 0)
        # prologue, body 2
        # values_5.1 on ALU: stage 0, slot 0
        values2 = gl.expand_dims(values, 1) & gl.expand_dims((256 + gl.arange(0, 128, layout=COLUMNS_OF_BLOCKED_16x128)) < N, 0)
        # values.1 on LSU: stage 0, slot 57
        values4_prev_prev = values4_prev
        values4_prev = values4
        values4 = gl.load(gl.convert_layout(values3, BLOCKED_16x128) + gl.expand_dims(256 + gl.arange(0, 128, layout=COLUMNS_OF_BLOCKED_16x128), 0), mask=values2, other=gl.full([16, 128], 0.0, gl.float16, BLOCKED_16x128))
        # and.1 on ALU: stage 0, slot 64
        and__prev_prev = and__prev
        and__prev = and_
        and_ = gl.expand_dims(source, 1) & gl.expand_dims((256 + gl.arange(0, 128, layout=COLUMNS_OF_BLOCKED_16x128)) < N, 0)
        # prologue, body 3
        # values_5.1 on ALU: stage 0, slot 0
        values2 = gl.expand_dims(values, 1) & gl.expand_dims((384 + gl.arange(0, 128, layout=COLUMNS_OF_BLOCKED_16x128)) < N, 0)
        # values.1 on LSU: stage 0, slot 57
        values4_prev3 = values4_prev_prev
        values4_prev_prev = values4_prev
        values4_prev = values4
        values4 = gl.load(gl.convert_layout(values3, BLOCKED_16x128) + gl.expand_dims(384 + gl.arange(0, 128, layout=COLUMNS_OF_BLOCKED_16x128), 0), mask=values2, other=gl.full([16, 128], 0.0, gl.float16, BLOCKED_16x128))
        # and.1 on ALU: stage 0, slot 64
        and__prev3 = and__prev_prev
        and__prev_prev = and__prev
        and__prev = and_
        and_ = gl.expand_dims(source, 1) & gl.expand_dims((384 + gl.arange(0, 128, layout=COLUMNS_OF_BLOCKED_16x128)) < N, 0)
        # steady state
        for i in range(4, n):
            # values_5.1 on ALU: stage 0, slot 0
            values2 = gl.expand_dims(values, 1) & gl.expand_dims(((i * 128) + gl.arange(0, 128, layout=COLUMNS_OF_BLOCKED_16x128)) < N, 0)
            # values.1 on LSU: stage 0, slot 57
            values4_prev4 = values4_prev3
            values4_prev3 = values4_prev_prev
            values4_prev_prev = values4_prev
            values4_prev = values4
            values4 = gl.load(gl.convert_layout(values3, BLOCKED_16x128) + gl.expand_dims((i * 128) + gl.arange(0, 128, layout=COLUMNS_OF_BLOCKED_16x128), 0), mask=values2, other=gl.full([16, 128], 0.0, gl.float16, BLOCKED_16x128))
            # and.1 on ALU: stage 0, slot 64
            and__prev4 = and__prev3
            and__prev3 = and__prev_prev
            and__prev_prev = and__prev
            and__prev = and_
            and_ = gl.expand_dims(source, 1) & gl.expand_dims(((i * 128) + gl.arange(0, 128, layout=COLUMNS_OF_BLOCKED_16x128)) < N, 0)
            # store@20 on LSU: stage 4, slot 121
            gl.store(gl.convert_layout(addptr, BLOCKED_16x128) + gl.expand_dims(((i - 4) * 128) + gl.arange(0, 128, layout=COLUMNS_OF_BLOCKED_16x128), 0), values4_prev4, mask=and__prev4)
        # epilogue, body 1
        # store@20 on LSU: stage 4, slot 121
        gl.store(gl.convert_layout(addptr, BLOCKED_16x128) + gl.expand_dims(((n - 4) * 128) + gl.arange(0, 128, layout=COLUMNS_OF_BLOCKED_16x128), 0), values4_prev3, mask=and__prev3)
        # epilogue, body 2
        # store@20 on LSU: stage 4, slot 121
        gl.store(gl.convert_layout(addptr, BLOCKED_16x128) + gl.expand_dims(((n - 3) * 128) + gl.arange(0, 128, layout=COLUMNS_OF_BLOCKED_16x128), 0), values4_prev_prev, mask=and__prev_prev)
        # epilogue, body 3
        # store@20 on LSU: stage 4, slot 121
        gl.store(gl.convert_layout(addptr, BLOCKED_16x128) + gl.expand_dims(((n - 2) * 128) + gl.arange(0, 128, layout=COLUMNS_OF_BLOCKED_16x128), 0), values4_prev, mask=and__prev)
        # epilogue, body 4
        # store@20 on LSU: stage 4, slot 121
        gl.store(gl.convert_layout(addptr, BLOCKED_16x128) + gl.expand_dims(((n - 1) * 128) + gl.arange(0, 128, layout=COLUMNS_OF_BLOCKED_16x128), 0), values4, mask=and_)
    else:
        # too few iterations to fill the pipeline: one after the other
        for i in range(0, n):
            # values_5.1 on ALU: stage 0, slot 0
            values2 = gl.expand_dims(values, 1) & gl.expand_dims(((i * 128) + gl.arange(0, 128, layout=COLUMNS_OF_BLOCKED_16x128)) < N, 0)
            # values.1 on LSU: stage 0, slot 57
            values4 = gl.load(gl.convert_layout(values3, BLOCKED_16x128) + gl.expand_dims((i * 128) + gl.arange(0, 128, layout=COLUMNS_OF_BLOCKED_16x128), 0), mask=values2, other=gl.full([16, 128], 0.0, gl.float16, BLOCKED_16x128))
            # and.1 on ALU: stage 0, slot 64
            and_ = gl.expand_dims(source, 1) & gl.expand_dims(((i * 128) + gl.arange(0, 128, layout=COLUMNS_OF_BLOCKED_16x128)) < N, 0)
            # store@20 on LSU: stage 4, slot 121
            gl.store(gl.convert_layout(addptr, BLOCKED_16x128) + gl.expand_dims((i * 128) + gl.arange(0, 128, layout=COLUMNS_OF_BLOCKED_16x128), 0), values4, mask=and_)


@gluon.jit
def moe_gather_kernel(x, sources, out, P, N):
    """Shared memory, barriers, and one warp group for each of consumer0, consumer1."""
    barrier: gl.constexpr = mbarrier.MBarrierLayout()
    fence_async_shared()  # the barriers are set up before TMA or another role sees them
    gl.warp_specialize(
        [
            (consumer0, (N, P, out, sources, x,)),
            (consumer1, (N, P, out, sources, x,)),
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


def moe_gather(x, sources, out, P, N, BP=32, BN=128):
    """Launch the kernel on the current stream; arguments as of the source kernel `moe_gather`.

    Raises TypeError or ValueError when an argument is not what the kernel was compiled for.
    """
    if BP != 32:
        raise ValueError(f"compiled for BP=32, got {BP!r}: compile it again")
    if BN != 128:
        raise ValueError(f"compiled for BN=128, got {BN!r}: compile it again")
    require_tensors(DEVICE_TYPE, x=(x, torch.float16), sources=(sources, torch.int64), out=(out, torch.float16))
    require_scalars(P=(P, "i32"), N=(N, "i32"))
    grid = (triton.cdiv(P, BP),)
    require_grid(grid)
    require_pointer("x", x, narrow=False)
    require_pointer("sources", sources)
    require_pointer("out", out, narrow=False)
    if 0 in grid:
        return  # there is nothing to do
    moe_gather_kernel[grid](x, sources, out, P, N, num_warps=4)

r"""moe_tile_table for Hopper, written by Twill from moe_tile_table.py. Do not edit: change the
kernel and compile it again.

Compiled for ROWS=128, BT=128.
Schedule: II = 41 cycles, optimal (RecMII of cycle ended -> ended); one iteration takes 548.

Roles:
  consumer0: 4 warps, 248 registers a thread, 13 stages

Rings:

Steady state, one II:
           0                    10                    20                   30
      ALU |................................[ended #0 --]....1MMMM........1eeee.....................|
      LSU |2E...............................................[S #0 --]..............................|
  group 0 |2E..............................[ended #0 --]....[S #0 --]....1eeee.....................|
          |                                                 1MMMM                                  |
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
def consumer0(E, TILES, experts, offsets, totals):
    """Consumer: warp group 0 of the schedule."""
    tile3 = gl.program_id(0)
    tile2 = tile3 * 128
    tile = tile2 + gl.arange(0, 128, layout=BLOCKED_128)
    cmp = tile == gl.full([128], 0, gl.int32, BLOCKED_128)
    ended = gl.full([128], 0, gl.int32, BLOCKED_128)
    end = gl.full([128], 0, gl.int32, BLOCKED_128)
    n = E
    if n >= 12:
        # prologue, body 0
        # end on LSU: stage 0, slot 0
        end2 = gl.load(totals + 0)
        # prologue, body 1
        # end on LSU: stage 0, slot 0
        end2_prev = end2
        end2 = gl.load(totals + 1)
        # prologue, body 2
        # end on LSU: stage 0, slot 0
        end2_prev_prev = end2_prev
        end2_prev = end2
        end2 = gl.load(totals + 2)
        # prologue, body 3
        # end on LSU: stage 0, slot 0
        end2_prev3 = end2_prev_prev
        end2_prev_prev = end2_prev
        end2_prev = end2
        end2 = gl.load(totals + 3)
        # prologue, body 4
        # end on LSU: stage 0, slot 0
        end2_prev4 = end2_prev3
        end2_prev3 = end2_prev_prev
        end2_prev_prev = end2_prev
        end2_prev = end2
        end2 = gl.load(totals + 4)
        # prologue, body 5
        # end on LSU: stage 0, slot 0
        end2_prev5 = end2_prev4
        end2_prev4 = end2_prev3
        end2_prev3 = end2_prev_prev
        end2_prev_prev = end2_prev
        end2_prev = end2
        end2 = gl.load(totals + 5)
        # prologue, body 6
        # end on LSU: stage 0, slot 0
        end2_prev6 = end2_prev5
        end2_prev5 = end2_prev4
        end2_prev4 = end2_prev3
        end2_prev3 = end2_prev_prev
        end2_prev_prev = end2_prev
        end2_prev = end2
        end2 = gl.load(totals + 6)
        # prologue, body 7
        # end on LSU: stage 0, slot 0
        end2_prev7 = end2_prev6
        end2_prev6 = end2_prev5
        end2_prev5 = end2_prev4
        end2_prev4 = end2_prev3
        end2_prev3 = end2_prev_prev
        end2_prev_prev = end2_prev
        end2_prev = end2
        end2 = gl.load(totals + 7)
        # prologue, body 8
        # end on LSU: stage 0, slot 0
        end2_prev8 = end2_prev7
        end2_prev7 = end2_prev6
        end2_prev6 = end2_prev5
        end2_prev5 = end2_prev4
        end2_prev4 = end2_prev3
        end2_prev3 = end2_prev_prev
        end2_prev_prev = end2_prev
        end2_prev = end2
        end2 = gl.load(totals + 8)
        # prologue, body 9
        # end on LSU: stage 0, slot 0
        end2_prev9 = end2_prev8
        end2_prev8 = end2_prev7
        end2_prev7 = end2_prev6
        end2_prev6 = end2_prev5
        end2_prev5 = end2_prev4
        end2_prev4 = end2_prev3
        end2_prev3 = end2_prev_prev
        end2_prev_prev = end2_prev
        end2_prev = end2
        end2 = gl.load(totals + 9)
        # prologue, body 10
        # end on LSU: stage 0, slot 0
        end2_prev10 = end2_prev9
        end2_prev9 = end2_prev8
        end2_prev8 = end2_prev7
        end2_prev7 = end2_prev6
        end2_prev6 = end2_prev5
        end2_prev5 = end2_prev4
        end2_prev4 = end2_prev3
        end2_prev3 = end2_prev_prev
        end2_prev_prev = end2_prev
        end2_prev = end2
        end2 = gl.load(totals + 10)
        # prologue, body 11
        # end on LSU: stage 0, slot 0
        end2_prev11 = end2_prev10
        end2_prev10 = end2_prev9
        end2_prev9 = end2_prev8
        end2_prev8 = end2_prev7
        end2_prev7 = end2_prev6
        end2_prev6 = end2_prev5
        end2_prev5 = end2_prev4
        end2_prev4 = end2_prev3
        end2_prev3 = end2_prev_prev
        end2_prev_prev = end2_prev
        end2_prev = end2
        end2 = gl.load(totals + 11)
        # mul_1 on ALU: stage 11, slot 23
        mul = end * gl.full([128], 128, gl.int32, BLOCKED_128)
        # end_5 on ALU: stage 11, slot 29
        end = end + ((end2_prev11 + 127) // 128)
        # steady state
        for i in range(12, n):
            # end on LSU: stage 0, slot 0
            end2_prev11 = end2_prev10
            end2_prev10 = end2_prev9
            end2_prev9 = end2_prev8
            end2_prev8 = end2_prev7
            end2_prev7 = end2_prev6
            end2_prev6 = end2_prev5
            end2_prev5 = end2_prev4
            end2_prev4 = end2_prev3
            end2_prev3 = end2_prev_prev
            end2_prev_prev = end2_prev
            end2_prev = end2
            end2 = gl.load(totals + i)
            # ended on ALU: stage 12, slot 15
            ended2 = tile >= end
            ended3 = gl.where(ended2, 1, 0).to(gl.int32)
            ended = ended + ended3
            # store@4 on LSU: stage 12, slot 23
            gl.store((offsets + (i - 12)) + tile, mul, mask=cmp)
            # mul_1 on ALU: stage 11, slot 23
            mul = end * gl.full([128], 128, gl.int32, BLOCKED_128)
            # end_5 on ALU: stage 11, slot 29
            end = end + ((end2_prev11 + 127) // 128)
        # epilogue, body 1
        # ended on ALU: stage 12, slot 15
        ended2 = tile >= end
        ended3 = gl.where(ended2, 1, 0).to(gl.int32)
        ended = ended + ended3
        # store@4 on LSU: stage 12, slot 23
        gl.store((offsets + (n - 12)) + tile, mul, mask=cmp)
        # mul_1 on ALU: stage 11, slot 23
        mul = end * gl.full([128], 128, gl.int32, BLOCKED_128)
        # end_5 on ALU: stage 11, slot 29
        end = end + ((end2_prev10 + 127) // 128)
        # epilogue, body 2
        # ended on ALU: stage 12, slot 15
        ended2 = tile >= end
        ended3 = gl.where(ended2, 1, 0).to(gl.int32)
        ended = ended + ended3
        # store@4 on LSU: stage 12, slot 23
        gl.store((offsets + (n - 11)) + tile, mul, mask=cmp)
        # mul_1 on ALU: stage 11, slot 23
        mul = end * gl.full([128], 128, gl.int32, BLOCKED_128)
        # end_5 on ALU: stage 11, slot 29
        end = end + ((end2_prev9 + 127) // 128)
        # epilogue, body 3
        # ended on ALU: stage 12, slot 15
        ended2 = tile >= end
        ended3 = gl.where(ended2, 1, 0).to(gl.int32)
        ended = ended + ended3
        # store@4 on LSU: stage 12, slot 23
        gl.store((offsets + (n - 10)) + tile, mul, mask=cmp)
        # mul_1 on ALU: stage 11, slot 23
        mul = end * gl.full([128], 128, gl.int32, BLOCKED_128)
        # end_5 on ALU: stage 11, slot 29
        end = end + ((end2_prev8 + 127) // 128)
        # epilogue, body 4
        # ended on ALU: stage 12, slot 15
        ended2 = tile >= end
        ended3 = gl.where(ended2, 1, 0).to(gl.int32)
        ended = ended + ended3
        # store@4 on LSU: stage 12, slot 23
        gl.store((offsets + (n - 9)) + tile, mul, mask=cmp)
        # mul_1 on ALU: stage 11, slot 23
        mul = end * gl.full([128], 128, gl.int32, BLOCKED_128)
        # end_5 on ALU: stage 11, slot 29
        end = end + ((end2_prev7 + 127) // 128)
        # epilogue, body 5
        # ended on ALU: stage 12, slot 15
        ended2 = tile >= end
        ended3 = gl.where(ended2, 1, 0).to(gl.int32)
        ended = ended + ended3
        # store@4 on LSU: stage 12, slot 23
        gl.store((offsets + (n - 8)) + tile, mul, mask=cmp)
        # mul_1 on ALU: stage 11, slot 23
        mul = end * gl.full([128], 128, gl.int32, BLOCKED_128)
        # end_5 on ALU: stage 11, slot 29
        end = end + ((end2_prev6 + 127) // 128)
        # epilogue, body 6
        # ended on ALU: stage 12, slot 15
        ended2 = tile >= end
        ended3 = gl.where(ended2, 1, 0).to(gl.int32)
        ended = ended + ended3
        # store@4 on LSU: stage 12, slot 23
        gl.store((offsets + (n - 7)) + tile, mul, mask=cmp)
        # mul_1 on ALU: stage 11, slot 23
        mul = end * gl.full([128], 128, gl.int32, BLOCKED_128)
        # end_5 on ALU: stage 11, slot 29
        end = end + ((end2_prev5 + 127) // 128)
        # epilogue, body 7
        # ended on ALU: stage 12, slot 15
        ended2 = tile >= end
        ended3 = gl.where(ended2, 1, 0).to(gl.int32)
        ended = ended + ended3
        # store@4 on LSU: stage 12, slot 23
        gl.store((offsets + (n - 6)) + tile, mul, mask=cmp)
        # mul_1 on ALU: stage 11, slot 23
        mul = end * gl.full([128], 128, gl.int32, BLOCKED_128)
        # end_5 on ALU: stage 11, slot 29
        end = end + ((end2_prev4 + 127) // 128)
        # epilogue, body 8
        # ended on ALU: stage 12, slot 15
        ended2 = tile >= end
        ended3 = gl.where(ended2, 1, 0).to(gl.int32)
        ended = ended + ended3
        # store@4 on LSU: stage 12, slot 23
        gl.store((offsets + (n - 5)) + tile, mul, mask=cmp)
        # mul_1 on ALU: stage 11, slot 23
        mul = end * gl.full([128], 128, gl.int32, BLOCKED_128)
        # end_5 on ALU: stage 11, slot 29
        end = end + ((end2_prev3 + 127) // 128)
        # epilogue, body 9
        # ended on ALU: stage 12, slot 15
        ended2 = tile >= end
        ended3 = gl.where(ended2, 1, 0).to(gl.int32)
        ended = ended + ended3
        # store@4 on LSU: stage 12, slot 23
        gl.store((offsets + (n - 4)) + tile, mul, mask=cmp)
        # mul_1 on ALU: stage 11, slot 23
        mul = end * gl.full([128], 128, gl.int32, BLOCKED_128)
        # end_5 on ALU: stage 11, slot 29
        end = end + ((end2_prev_prev + 127) // 128)
        # epilogue, body 10
        # ended on ALU: stage 12, slot 15
        ended2 = tile >= end
        ended3 = gl.where(ended2, 1, 0).to(gl.int32)
        ended = ended + ended3
        # store@4 on LSU: stage 12, slot 23
        gl.store((offsets + (n - 3)) + tile, mul, mask=cmp)
        # mul_1 on ALU: stage 11, slot 23
        mul = end * gl.full([128], 128, gl.int32, BLOCKED_128)
        # end_5 on ALU: stage 11, slot 29
        end = end + ((end2_prev + 127) // 128)
        # epilogue, body 11
        # ended on ALU: stage 12, slot 15
        ended2 = tile >= end
        ended3 = gl.where(ended2, 1, 0).to(gl.int32)
        ended = ended + ended3
        # store@4 on LSU: stage 12, slot 23
        gl.store((offsets + (n - 2)) + tile, mul, mask=cmp)
        # mul_1 on ALU: stage 11, slot 23
        mul = end * gl.full([128], 128, gl.int32, BLOCKED_128)
        # end_5 on ALU: stage 11, slot 29
        end = end + ((end2 + 127) // 128)
        # epilogue, body 12
        # ended on ALU: stage 12, slot 15
        ended2 = tile >= end
        ended3 = gl.where(ended2, 1, 0).to(gl.int32)
        ended = ended + ended3
        # store@4 on LSU: stage 12, slot 23
        gl.store((offsets + (n - 1)) + tile, mul, mask=cmp)
    else:
        # too few iterations to fill the pipeline: one after the other
        for i in range(0, n):
            # mul_1 on ALU: stage 11, slot 23
            mul = end * gl.full([128], 128, gl.int32, BLOCKED_128)
            # store@4 on LSU: stage 12, slot 23
            gl.store((offsets + i) + tile, mul, mask=cmp)
            # end on LSU: stage 0, slot 0
            end2 = gl.load(totals + i)
            # end_5 on ALU: stage 11, slot 29
            end = end + ((end2 + 127) // 128)
            # ended on ALU: stage 12, slot 15
            ended2 = tile >= end
            ended3 = gl.where(ended2, 1, 0).to(gl.int32)
            ended = ended + ended3
    # after the loop
    mul2 = end * gl.full([128], 128, gl.int32, BLOCKED_128)
    gl.store((offsets + E) + tile, mul2, mask=cmp)
    cmp2 = ended < E
    select = gl.where(cmp2, ended, gl.full([128], -1, gl.int32, BLOCKED_128))
    cmp3 = tile < TILES
    gl.store(experts + tile, select, mask=cmp3)


@gluon.jit
def moe_tile_table_kernel(totals, offsets, experts, TILES, E):
    """Shared memory, barriers, and one warp group for each of consumer0."""
    barrier: gl.constexpr = mbarrier.MBarrierLayout()
    fence_async_shared()  # the barriers are set up before TMA or another role sees them
    consumer0(E, TILES, experts, offsets, totals)


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


def moe_tile_table(totals, offsets, experts, TILES, E, ROWS=128, BT=128):
    """Launch the kernel on the current stream; arguments as of the source kernel `moe_tile_table`.

    Raises TypeError or ValueError when an argument is not what the kernel was compiled for.
    """
    if ROWS != 128:
        raise ValueError(f"compiled for ROWS=128, got {ROWS!r}: compile it again")
    if BT != 128:
        raise ValueError(f"compiled for BT=128, got {BT!r}: compile it again")
    require_tensors(
        DEVICE_TYPE,
        totals=(totals, torch.int32),
        offsets=(offsets, torch.int32),
        experts=(experts, torch.int32),
    )
    require_scalars(TILES=(TILES, "i32"), E=(E, "i32"))
    grid = (triton.cdiv(TILES, BT),)
    require_grid(grid)
    require_pointer("totals", totals)
    require_pointer("offsets", offsets, narrow=False)
    require_pointer("experts", experts)
    if 0 in grid:
        return  # there is nothing to do
    moe_tile_table_kernel[grid](totals, offsets, experts, TILES, E, num_warps=4)

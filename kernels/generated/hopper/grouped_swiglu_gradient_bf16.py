r"""grouped_swiglu_gradient for Hopper, written by Twill from grouped_swiglu_gradient.py. Do not edit: change the
kernel and compile it again.

Compiled for BM=128, BN=128, BK=64.
Schedule: II = 1422 cycles, optimal (ResMII of unit TMA (ops x_tile.0, x_tile.1, gate_tile, up_tile)); one iteration takes 2735.

Roles:
  consumer0: 4 warps, 240 registers a thread, 1 stages
  consumer1: 4 warps, 240 registers a thread, 1 stages
  loader: 1 warps, 24 registers a thread

Rings:
  x_tile_0_ring: 3 x [64, 64] bf16
  x_tile_1_ring: 3 x [64, 64] bf16
  gate_tile_ring: 3 x [64, 128] bf16
  up_tile_ring: 3 x [64, 128] bf16

Steady state, one II:
           0                     355                   711                   1066
       TC |..[up.1 #0 ------][up.0 #0 ------]............[gate.1 #0 ----][gate.0 #0 ----]..........|
      TMA |[up_tile #1 ----------------][x_tile.1 #1 -][x_tile.0 #1 -][gate_tile #1 --------------]|
  group 0 |1U...........................1x.............1X.............1G...........................|
  group 1 |..................P...........................................A.........................|
  group 2 |..p...........................................a.........................................|
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

MMA_128: gl.constexpr = gl.constexpr(gl.NVMMADistributedLayout(version=[3, 0], warps_per_cta=[4, 1], instr_shape=[16, 128, 16]))
ROWS_OF_MMA_128: gl.constexpr = gl.constexpr(gl.SliceLayout(1, MMA_128.value))
COLUMNS_OF_MMA_128: gl.constexpr = gl.constexpr(gl.SliceLayout(0, MMA_128.value))
UP_DESC_0_STAGE_LAYOUT: gl.constexpr = gl.constexpr(gl.NVMMASharedLayout.get_default_for([64, 128], gl.bfloat16))
GATE_DESC_0_STAGE_LAYOUT: gl.constexpr = gl.constexpr(gl.NVMMASharedLayout.get_default_for([64, 128], gl.bfloat16))
UP_DESC_1_STAGE_LAYOUT: gl.constexpr = gl.constexpr(gl.NVMMASharedLayout.get_default_for([64, 128], gl.bfloat16))
GATE_DESC_1_STAGE_LAYOUT: gl.constexpr = gl.constexpr(gl.NVMMASharedLayout.get_default_for([64, 128], gl.bfloat16))


@gluon.jit
def consumer0(
    K, N, dy, experts, gate_desc, gate_desc_0_stage, gate_tile_ring, gate_tile_ring_empty, gate_tile_ring_full,
    turn_0, turn_1, turn_2, turn_3, up_desc, up_desc_0_stage, up_tile_ring, up_tile_ring_empty,
    up_tile_ring_full, x_tile_0_ring, x_tile_0_ring_empty, x_tile_0_ring_full,
):
    """Consumer: warp group 1 of the schedule."""
    tile = gl.program_id(0)
    e2 = experts + tile
    e = gl.load(e2)
    end2 = e >= 0
    end = gl.where(end2, K, 0)
    row = tile * 128
    col2 = gl.program_id(1)
    col = col2 * 128
    up_tile = N + col
    gate = gl.full([64, 128], 0.0, gl.float32, MMA_128)
    up = gl.full([64, 128], 0.0, gl.float32, MMA_128)
    n = gl.cdiv(end, 64)
    for i in range(0, n):
        # up.0 on TC: stage 1, slot 286
        mbarrier.wait(x_tile_0_ring_full.index(i % 3), (i // 3) & 1)
        mbarrier.wait(up_tile_ring_full.index(i % 3), (i // 3) & 1)
        mbarrier.wait(turn_0.index(i % 2), (i // 2) & 1)
        up = warpgroup_mma(x_tile_0_ring.index(i % 3), up_tile_ring.index(i % 3), up, is_async=True)
        mbarrier.arrive(turn_1.index(i % 2), count=1)
        # gate.0 on TC: stage 1, slot 997
        mbarrier.wait(gate_tile_ring_full.index(i % 3), (i // 3) & 1)
        mbarrier.wait(turn_2.index(i % 2), (i // 2) & 1)
        gate = warpgroup_mma(x_tile_0_ring.index(i % 3), gate_tile_ring.index(i % 3), gate, is_async=True)
        mbarrier.arrive(turn_3.index(i % 2), count=1)
        up, gate = warpgroup_mma_wait(1, deps=[up, gate])
        mbarrier.arrive(x_tile_0_ring_empty.index((i + 2) % 3), count=1, pred=i >= 1)
        mbarrier.arrive(gate_tile_ring_empty.index((i + 2) % 3), count=1, pred=i >= 1)
        mbarrier.arrive(up_tile_ring_empty.index(i % 3), count=1)
    gate = warpgroup_mma_wait(0, deps=[gate])
    mbarrier.arrive(x_tile_0_ring_empty.index((n + 2) % 3), count=1, pred=n >= 1)
    mbarrier.arrive(gate_tile_ring_empty.index((n + 2) % 3), count=1, pred=n >= 1)
    # after the loop
    places = row + gl.arange(0, 64, layout=ROWS_OF_MMA_128)
    places2 = places.to(gl.int64)
    places3 = gl.expand_dims(places2, 1) * N.to(gl.int64)
    cols = col + gl.arange(0, 128, layout=COLUMNS_OF_MMA_128)
    places4 = gl.expand_dims(cols, 0).to(gl.int64)
    places5 = places3 + places4
    given = cols < N
    given2 = gl.load(dy + places5, mask=gl.expand_dims(given, 0), other=gl.full([64, 128], 0.0, gl.bfloat16, MMA_128))
    given3 = given2.to(gl.float32)
    mul = given3 * gate
    share = gl.full([64, 128], 0.0, gl.float32, MMA_128) - gate
    share2 = gl.exp(share)
    share3 = share2 + gl.full([64, 128], 1.0, gl.float32, MMA_128)
    share4 = gl.full([64, 128], 1.0, gl.float32, MMA_128) / share3
    mul2 = mul * share4
    cast = mul2.to(gl.bfloat16)
    tma.store_wait(0)
    up_desc_0_stage.store(cast)
    fence_async_shared()
    tma_store(up_desc, [row, up_tile], up_desc_0_stage)
    dgate = given3 * up
    dgate2 = dgate * share4
    dgate3 = gl.full([64, 128], 1.0, gl.float32, MMA_128) - share4
    dgate4 = gate * dgate3
    dgate5 = dgate4 + gl.full([64, 128], 1.0, gl.float32, MMA_128)
    dgate6 = dgate2 * dgate5
    cast2 = dgate6.to(gl.bfloat16)
    tma.store_wait(0)
    gate_desc_0_stage.store(cast2)
    fence_async_shared()
    tma_store(gate_desc, [row, col], gate_desc_0_stage)
    tma.store_wait(0)


@gluon.jit
def consumer1(
    K, N, dy, experts, gate_desc, gate_desc_1_stage, gate_tile_ring, gate_tile_ring_empty, gate_tile_ring_full,
    turn_0, turn_1, turn_2, turn_3, up_desc, up_desc_1_stage, up_tile_ring, up_tile_ring_empty,
    up_tile_ring_full, x_tile_1_ring, x_tile_1_ring_empty, x_tile_1_ring_full,
):
    """Consumer: warp group 2 of the schedule."""
    tile = gl.program_id(0)
    e2 = experts + tile
    e = gl.load(e2)
    end2 = e >= 0
    end = gl.where(end2, K, 0)
    row = tile * 128
    col2 = gl.program_id(1)
    col = col2 * 128
    up_tile = N + col
    row_plus64 = row + 64
    gate2 = gl.full([64, 128], 0.0, gl.float32, MMA_128)
    up2 = gl.full([64, 128], 0.0, gl.float32, MMA_128)
    n = gl.cdiv(end, 64)
    for i in range(0, n):
        # up.1 on TC: stage 1, slot 30
        mbarrier.wait(x_tile_1_ring_full.index(i % 3), (i // 3) & 1)
        mbarrier.wait(up_tile_ring_full.index(i % 3), (i // 3) & 1)
        mbarrier.wait(turn_3.index((i + 1) % 2), ((i - 1) // 2) & 1, pred=i - 1 >= 0)
        up2 = warpgroup_mma(x_tile_1_ring.index(i % 3), up_tile_ring.index(i % 3), up2, is_async=True)
        mbarrier.arrive(turn_0.index(i % 2), count=1)
        # gate.1 on TC: stage 1, slot 741
        mbarrier.wait(gate_tile_ring_full.index(i % 3), (i // 3) & 1)
        mbarrier.wait(turn_1.index(i % 2), (i // 2) & 1)
        gate2 = warpgroup_mma(x_tile_1_ring.index(i % 3), gate_tile_ring.index(i % 3), gate2, is_async=True)
        mbarrier.arrive(turn_2.index(i % 2), count=1)
        up2, gate2 = warpgroup_mma_wait(1, deps=[up2, gate2])
        mbarrier.arrive(x_tile_1_ring_empty.index((i + 2) % 3), count=1, pred=i >= 1)
        mbarrier.arrive(gate_tile_ring_empty.index((i + 2) % 3), count=1, pred=i >= 1)
        mbarrier.arrive(up_tile_ring_empty.index(i % 3), count=1)
    gate2 = warpgroup_mma_wait(0, deps=[gate2])
    mbarrier.arrive(x_tile_1_ring_empty.index((n + 2) % 3), count=1, pred=n >= 1)
    mbarrier.arrive(gate_tile_ring_empty.index((n + 2) % 3), count=1, pred=n >= 1)
    # after the loop
    places = row + gl.arange(64, 128, layout=ROWS_OF_MMA_128)
    places2 = places.to(gl.int64)
    places3 = gl.expand_dims(places2, 1) * N.to(gl.int64)
    cols = col + gl.arange(0, 128, layout=COLUMNS_OF_MMA_128)
    places4 = gl.expand_dims(cols, 0).to(gl.int64)
    places5 = places3 + places4
    given = cols < N
    given2 = gl.load(dy + places5, mask=gl.expand_dims(given, 0), other=gl.full([64, 128], 0.0, gl.bfloat16, MMA_128))
    given3 = given2.to(gl.float32)
    mul = given3 * gate2
    share = gl.full([64, 128], 0.0, gl.float32, MMA_128) - gate2
    share2 = gl.exp(share)
    share3 = share2 + gl.full([64, 128], 1.0, gl.float32, MMA_128)
    share4 = gl.full([64, 128], 1.0, gl.float32, MMA_128) / share3
    mul2 = mul * share4
    cast = mul2.to(gl.bfloat16)
    tma.store_wait(0)
    up_desc_1_stage.store(cast)
    fence_async_shared()
    tma_store(up_desc, [row_plus64, up_tile], up_desc_1_stage)
    dgate = given3 * up2
    dgate2 = dgate * share4
    dgate3 = gl.full([64, 128], 1.0, gl.float32, MMA_128) - share4
    dgate4 = gate2 * dgate3
    dgate5 = dgate4 + gl.full([64, 128], 1.0, gl.float32, MMA_128)
    dgate6 = dgate2 * dgate5
    cast2 = dgate6.to(gl.bfloat16)
    tma.store_wait(0)
    gate_desc_1_stage.store(cast2)
    fence_async_shared()
    tma_store(gate_desc, [row_plus64, col], gate_desc_1_stage)
    tma.store_wait(0)


@gluon.jit
def loader(
    K, N, experts, gate_tile_ring, gate_tile_ring_empty, gate_tile_ring_full, up_tile_ring, up_tile_ring_empty,
    up_tile_ring_full, w_desc, x_desc, x_tile_0_ring, x_tile_0_ring_empty, x_tile_0_ring_full, x_tile_1_ring,
    x_tile_1_ring_empty, x_tile_1_ring_full,
):
    """Producer: warp group 0 of the schedule."""
    tile = gl.program_id(0)
    e2 = experts + tile
    e = gl.load(e2)
    end2 = e >= 0
    end = gl.where(end2, K, 0)
    row = tile * 128
    col2 = gl.program_id(1)
    col = col2 * 128
    gate_tile = e * K
    up_tile = N + col
    row_plus64 = row + 64
    n = gl.cdiv(end, 64)
    for i in range(0, n):
        # up_tile: stage 0, slot 0
        mbarrier.wait(up_tile_ring_empty.index(i % 3), ((i // 3) & 1) ^ 1)
        mbarrier.expect(up_tile_ring_full.index(i % 3), 16384)
        tma_load(w_desc, [gate_tile + (i * 64), up_tile], up_tile_ring_full.index(i % 3), up_tile_ring.index(i % 3))
        # x_tile.1: stage 0, slot 474
        mbarrier.wait(x_tile_1_ring_empty.index(i % 3), ((i // 3) & 1) ^ 1)
        mbarrier.expect(x_tile_1_ring_full.index(i % 3), 8192)
        tma_load(x_desc, [row_plus64, i * 64], x_tile_1_ring_full.index(i % 3), x_tile_1_ring.index(i % 3))
        # x_tile.0: stage 0, slot 711
        mbarrier.wait(x_tile_0_ring_empty.index(i % 3), ((i // 3) & 1) ^ 1)
        mbarrier.expect(x_tile_0_ring_full.index(i % 3), 8192)
        tma_load(x_desc, [row, i * 64], x_tile_0_ring_full.index(i % 3), x_tile_0_ring.index(i % 3))
        # gate_tile: stage 0, slot 948
        mbarrier.wait(gate_tile_ring_empty.index(i % 3), ((i // 3) & 1) ^ 1)
        mbarrier.expect(gate_tile_ring_full.index(i % 3), 16384)
        tma_load(w_desc, [gate_tile + (i * 64), col], gate_tile_ring_full.index(i % 3), gate_tile_ring.index(i % 3))


@gluon.jit
def grouped_swiglu_gradient_kernel(up_desc, gate_desc, w_desc, x_desc, experts, dy, K, N):
    """Shared memory, barriers, and one warp group for each of consumer0, consumer1, loader."""
    barrier: gl.constexpr = mbarrier.MBarrierLayout()
    x_tile_0_ring = gl.allocate_shared_memory(gl.bfloat16, [3, 64, 64], x_desc.layout)
    x_tile_0_ring_full = gl.allocate_shared_memory(gl.int64, [3, 1], barrier)
    x_tile_0_ring_empty = gl.allocate_shared_memory(gl.int64, [3, 1], barrier)
    x_tile_1_ring = gl.allocate_shared_memory(gl.bfloat16, [3, 64, 64], x_desc.layout)
    x_tile_1_ring_full = gl.allocate_shared_memory(gl.int64, [3, 1], barrier)
    x_tile_1_ring_empty = gl.allocate_shared_memory(gl.int64, [3, 1], barrier)
    gate_tile_ring = gl.allocate_shared_memory(gl.bfloat16, [3, 64, 128], w_desc.layout)
    gate_tile_ring_full = gl.allocate_shared_memory(gl.int64, [3, 1], barrier)
    gate_tile_ring_empty = gl.allocate_shared_memory(gl.int64, [3, 1], barrier)
    up_tile_ring = gl.allocate_shared_memory(gl.bfloat16, [3, 64, 128], w_desc.layout)
    up_tile_ring_full = gl.allocate_shared_memory(gl.int64, [3, 1], barrier)
    up_tile_ring_empty = gl.allocate_shared_memory(gl.int64, [3, 1], barrier)
    up_desc_0_stage = gl.allocate_shared_memory(gl.bfloat16, [64, 128], UP_DESC_0_STAGE_LAYOUT)
    gate_desc_0_stage = gl.allocate_shared_memory(gl.bfloat16, [64, 128], GATE_DESC_0_STAGE_LAYOUT)
    up_desc_1_stage = gl.allocate_shared_memory(gl.bfloat16, [64, 128], UP_DESC_1_STAGE_LAYOUT)
    gate_desc_1_stage = gl.allocate_shared_memory(gl.bfloat16, [64, 128], GATE_DESC_1_STAGE_LAYOUT)
    # turn_0: after up.1, up.0 may be issued
    turn_0 = gl.allocate_shared_memory(gl.int64, [2, 1], barrier)
    # turn_1: after up.0, gate.1 may be issued
    turn_1 = gl.allocate_shared_memory(gl.int64, [2, 1], barrier)
    # turn_2: after gate.1, gate.0 may be issued
    turn_2 = gl.allocate_shared_memory(gl.int64, [2, 1], barrier)
    # turn_3: after gate.0, up.1 may be issued
    turn_3 = gl.allocate_shared_memory(gl.int64, [2, 1], barrier)
    for slot in gl.static_range(3):
        mbarrier.init(x_tile_0_ring_full.index(slot), count=1)
    for slot in gl.static_range(3):
        mbarrier.init(x_tile_0_ring_empty.index(slot), count=1)
    for slot in gl.static_range(3):
        mbarrier.init(x_tile_1_ring_full.index(slot), count=1)
    for slot in gl.static_range(3):
        mbarrier.init(x_tile_1_ring_empty.index(slot), count=1)
    for slot in gl.static_range(3):
        mbarrier.init(gate_tile_ring_full.index(slot), count=1)
    for slot in gl.static_range(3):
        mbarrier.init(gate_tile_ring_empty.index(slot), count=2)
    for slot in gl.static_range(3):
        mbarrier.init(up_tile_ring_full.index(slot), count=1)
    for slot in gl.static_range(3):
        mbarrier.init(up_tile_ring_empty.index(slot), count=2)
    for slot in gl.static_range(2):
        mbarrier.init(turn_0.index(slot), count=1)
    for slot in gl.static_range(2):
        mbarrier.init(turn_1.index(slot), count=1)
    for slot in gl.static_range(2):
        mbarrier.init(turn_2.index(slot), count=1)
    for slot in gl.static_range(2):
        mbarrier.init(turn_3.index(slot), count=1)
    fence_async_shared()  # the barriers are set up before TMA or another role sees them
    gl.warp_specialize(
        [
            (consumer0, (
                K, N, dy, experts, gate_desc, gate_desc_0_stage, gate_tile_ring, gate_tile_ring_empty, gate_tile_ring_full,
                turn_0, turn_1, turn_2, turn_3, up_desc, up_desc_0_stage, up_tile_ring, up_tile_ring_empty,
                up_tile_ring_full, x_tile_0_ring, x_tile_0_ring_empty, x_tile_0_ring_full,
            )),
            (consumer1, (
                K, N, dy, experts, gate_desc, gate_desc_1_stage, gate_tile_ring, gate_tile_ring_empty, gate_tile_ring_full,
                turn_0, turn_1, turn_2, turn_3, up_desc, up_desc_1_stage, up_tile_ring, up_tile_ring_empty,
                up_tile_ring_full, x_tile_1_ring, x_tile_1_ring_empty, x_tile_1_ring_full,
            )),
            (loader, (
                K, N, experts, gate_tile_ring, gate_tile_ring_empty, gate_tile_ring_full, up_tile_ring, up_tile_ring_empty,
                up_tile_ring_full, w_desc, x_desc, x_tile_0_ring, x_tile_0_ring_empty, x_tile_0_ring_full, x_tile_1_ring,
                x_tile_1_ring_empty, x_tile_1_ring_full,
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


def grouped_swiglu_gradient(x, w, experts, dy, dboth, P, K, N, E, BM=128, BN=128, BK=64):
    """Launch the kernel on the current stream; arguments as of the source kernel `grouped_swiglu_gradient`.

    Raises TypeError or ValueError when an argument is not what the kernel was compiled for.
    """
    if BM != 128:
        raise ValueError(f"compiled for BM=128, got {BM!r}: compile it again")
    if BN != 128:
        raise ValueError(f"compiled for BN=128, got {BN!r}: compile it again")
    if BK != 64:
        raise ValueError(f"compiled for BK=64, got {BK!r}: compile it again")
    require_tensors(
        DEVICE_TYPE,
        x=(x, torch.bfloat16),
        w=(w, torch.bfloat16),
        experts=(experts, torch.int32),
        dy=(dy, torch.bfloat16),
        dboth=(dboth, torch.bfloat16),
    )
    require_scalars(P=(P, "i32"), K=(K, "i32"), N=(N, "i32"), E=(E, "i32"))
    if P % BM:
        raise ValueError(f"P must be a multiple of BM, got {P}")
    if K % BK:
        raise ValueError(f"K must be a multiple of BK, got {K}")
    grid = (P // BM, triton.cdiv(N, BN))
    require_grid(grid)
    require_view("dboth", dboth, [P, N * 2], [N * 2, 1])
    require_view("dboth", dboth, [P, N], [N * 2, 1])
    require_view("w", w, [E * K, N * 2], [N * 2, 1])
    require_view("x", x, [P, K], [K, 1])
    require_pointer("experts", experts)
    require_pointer("dy", dy, narrow=False)
    if 0 in grid:
        return  # there is nothing to do
    up_desc = TensorDescriptor(dboth, [max(P, 1), max(N * 2, 1)], [N * 2, 1], [64, 128], gl.NVMMASharedLayout.get_default_for([64, 128], gl.bfloat16))
    gate_desc = TensorDescriptor(dboth, [max(P, 1), max(N, 1)], [N * 2, 1], [64, 128], gl.NVMMASharedLayout.get_default_for([64, 128], gl.bfloat16))
    w_desc = TensorDescriptor(w, [max(E * K, 1), max(N * 2, 1)], [N * 2, 1], [64, 128], gl.NVMMASharedLayout.get_default_for([64, 128], gl.bfloat16))
    x_desc = TensorDescriptor(x, [max(P, 1), max(K, 1)], [K, 1], [64, 64], gl.NVMMASharedLayout.get_default_for([64, 64], gl.bfloat16))
    grouped_swiglu_gradient_kernel[grid](up_desc, gate_desc, w_desc, x_desc, experts, dy, K, N, num_warps=4)

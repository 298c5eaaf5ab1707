r"""grouped_swiglu_gather for Hopper, written by Twill from grouped_swiglu_gather.py. Do not edit: change the
kernel and compile it again.

Compiled for BM=128, BN=128, BK=64.
Schedule: II = 1422 cycles, optimal (ResMII of unit TMA (ops x_tile, gate_tile, up_tile)); one iteration takes 2735.

Roles:
  consumer0: 8 warps, 232 registers a thread, 1 stages
  loader: 4 warps, 48 registers a thread

Rings:
  x_tile_ring: 3 x [128, 64] f16
  gate_tile_ring: 3 x [64, 128] f16
  up_tile_ring: 3 x [64, 128] f16

Steady state, one II:
           0                     355                   711                   1066
       TC |........[up #0 ------------------------]......[gate #0 ----------------------]..........|
      TMA |[up_tile #1 ----------------][x_tile #1 ------------------][gate_tile #1 --------------]|
  group 0 |1U...........................[X #1 -]......................1G...........................|
  group 1 |........u.....................................g.........................................|
"""

import torch
import triton
from triton.experimental import gluon
from triton.experimental.gluon import language as gl
from triton.experimental.gluon.language.nvidia.hopper import (
    async_copy,
    fence_async_shared,
    mbarrier,
    tma,
    warpgroup_mma,
    warpgroup_mma_wait,
)
from triton.experimental.gluon.nvidia.hopper import TensorDescriptor

tma_load = getattr(tma, "async_load", None) or tma.async_copy_global_to_shared
tma_store = getattr(tma, "async_store", None) or tma.async_copy_shared_to_global
copy_async = getattr(async_copy, "async_load", None) or async_copy.async_copy_global_to_shared
meet = getattr(gl, "barrier", None) or gl.thread_barrier
DEVICE_TYPE = "cpu" if triton.__version__.endswith("+twill") else "cuda"  # the emulator's is the CPU

MMA_128_W8: gl.constexpr = gl.constexpr(gl.NVMMADistributedLayout(version=[3, 0], warps_per_cta=[8, 1], instr_shape=[16, 128, 16]))
COPIED_128x64: gl.constexpr = gl.constexpr(gl.BlockedLayout(size_per_thread=[1, 8], threads_per_warp=[4, 8], warps_per_cta=[4, 1], order=[1, 0]))
ROWS_OF_COPIED_128x64: gl.constexpr = gl.constexpr(gl.SliceLayout(1, COPIED_128x64.value))
COLUMNS_OF_COPIED_128x64: gl.constexpr = gl.constexpr(gl.SliceLayout(0, COPIED_128x64.value))
X_TILE_RING_LAYOUT: gl.constexpr = gl.constexpr(gl.NVMMASharedLayout.get_default_for([128, 64], gl.float16))
Y_DESC_0_STAGE_LAYOUT: gl.constexpr = gl.constexpr(gl.NVMMASharedLayout.get_default_for([128, 128], gl.float16))


@gluon.jit
def consumer0(
    K, experts, gate_tile_ring, gate_tile_ring_empty, gate_tile_ring_full, up_tile_ring, up_tile_ring_empty,
    up_tile_ring_full, x_tile_ring, x_tile_ring_empty, x_tile_ring_full, y_desc, y_desc_0_stage,
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
    gate = gl.full([128, 128], 0.0, gl.float32, MMA_128_W8)
    up = gl.full([128, 128], 0.0, gl.float32, MMA_128_W8)
    n = gl.cdiv(end, 64)
    for i in range(0, n):
        # up on TC: stage 1, slot 127
        mbarrier.wait(x_tile_ring_full.index(i % 3), (i // 3) & 1)
        fence_async_shared()
        mbarrier.wait(up_tile_ring_full.index(i % 3), (i // 3) & 1)
        up = warpgroup_mma(x_tile_ring.index(i % 3), up_tile_ring.index(i % 3), up, is_async=True)
        # gate on TC: stage 1, slot 741
        mbarrier.wait(gate_tile_ring_full.index(i % 3), (i // 3) & 1)
        gate = warpgroup_mma(x_tile_ring.index(i % 3), gate_tile_ring.index(i % 3), gate, is_async=True)
        up, gate = warpgroup_mma_wait(1, deps=[up, gate])
        mbarrier.arrive(x_tile_ring_empty.index((i + 2) % 3), count=1, pred=i >= 1)
        mbarrier.arrive(gate_tile_ring_empty.index((i + 2) % 3), count=1, pred=i >= 1)
        mbarrier.arrive(up_tile_ring_empty.index(i % 3), count=1)
    gate = warpgroup_mma_wait(0, deps=[gate])
    mbarrier.arrive(x_tile_ring_empty.index((n + 2) % 3), count=1, pred=n >= 1)
    mbarrier.arrive(gate_tile_ring_empty.index((n + 2) % 3), count=1, pred=n >= 1)
    # after the loop
    sub = gl.full([128, 128], 0.0, gl.float32, MMA_128_W8) - gate
    exp = gl.exp(sub)
    add = exp + gl.full([128, 128], 1.0, gl.float32, MMA_128_W8)
    div = gl.full([128, 128], 1.0, gl.float32, MMA_128_W8) / add
    mul = gate * div
    mul2 = mul * up
    cast = mul2.to(gl.float16)
    tma.store_wait(0)
    y_desc_0_stage.store(cast)
    fence_async_shared()
    tma_store(y_desc, [row, col], y_desc_0_stage)
    tma.store_wait(0)


@gluon.jit
def loader(
    K, N, T, experts, gate_tile_ring, gate_tile_ring_empty, gate_tile_ring_full, tokens, up_tile_ring,
    up_tile_ring_empty, up_tile_ring_full, w_desc, x, x_tile_ring, x_tile_ring_empty, x_tile_ring_full,
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
    token3 = tokens + row
    token2 = token3 + gl.arange(0, 128, layout=ROWS_OF_COPIED_128x64)
    token = gl.load(token2)
    given2 = token >= gl.full([128], 0, gl.int32, ROWS_OF_COPIED_128x64)
    given3 = token < T
    given = given2 & given3
    begins2 = token.to(gl.int64)
    begins3 = K.to(gl.int64)
    begins = begins2 * begins3
    x_tile = x + gl.expand_dims(begins, 1)
    gate_tile = e * K
    up_tile = N + col
    n = gl.cdiv(end, 64)
    for i in range(0, n):
        # up_tile: stage 0, slot 0
        mbarrier.wait(up_tile_ring_empty.index(i % 3), ((i // 3) & 1) ^ 1)
        meet()
        mbarrier.expect(up_tile_ring_full.index(i % 3), 16384)
        tma_load(w_desc, [gate_tile + (i * 64), up_tile], up_tile_ring_full.index(i % 3), up_tile_ring.index(i % 3))
        # x_tile: stage 0, slot 474
        mbarrier.wait(x_tile_ring_empty.index(i % 3), ((i // 3) & 1) ^ 1)
        x_tile2 = x_tile + (gl.expand_dims((i * 64) + gl.arange(0, 64, layout=COLUMNS_OF_COPIED_128x64), 0).broadcast_to([128, 64]))
        copy_async(x_tile_ring.index(i % 3), gl.max_contiguous(gl.multiple_of(x_tile2, [1, 16]), [1, 8]), mask=gl.max_constancy(gl.expand_dims(given, 1).broadcast_to([128, 64]), [1, 8]))
        async_copy.mbarrier_arrive(x_tile_ring_full.index(i % 3), increment_count=False)
        # gate_tile: stage 0, slot 948
        mbarrier.wait(gate_tile_ring_empty.index(i % 3), ((i // 3) & 1) ^ 1)
        meet()
        mbarrier.expect(gate_tile_ring_full.index(i % 3), 16384)
        tma_load(w_desc, [gate_tile + (i * 64), col], gate_tile_ring_full.index(i % 3), gate_tile_ring.index(i % 3))


@gluon.jit
def grouped_swiglu_gather_kernel(y_desc, w_desc, x, tokens, experts, T, K, N):
    """Shared memory, barriers, and one warp group for each of consumer0, loader."""
    barrier: gl.constexpr = mbarrier.MBarrierLayout()
    x_tile_ring = gl.allocate_shared_memory(gl.float16, [3, 128, 64], X_TILE_RING_LAYOUT)
    x_tile_ring_full = gl.allocate_shared_memory(gl.int64, [3, 1], barrier)
    x_tile_ring_empty = gl.allocate_shared_memory(gl.int64, [3, 1], barrier)
    gate_tile_ring = gl.allocate_shared_memory(gl.float16, [3, 64, 128], w_desc.layout)
    gate_tile_ring_full = gl.allocate_shared_memory(gl.int64, [3, 1], barrier)
    gate_tile_ring_empty = gl.allocate_shared_memory(gl.int64, [3, 1], barrier)
    up_tile_ring = gl.allocate_shared_memory(gl.float16, [3, 64, 128], w_desc.layout)
    up_tile_ring_full = gl.allocate_shared_memory(gl.int64, [3, 1], barrier)
    up_tile_ring_empty = gl.allocate_shared_memory(gl.int64, [3, 1], barrier)
    y_desc_0_stage = gl.allocate_shared_memory(gl.float16, [128, 128], Y_DESC_0_STAGE_LAYOUT)
    for slot in gl.static_range(3):
        mbarrier.init(x_tile_ring_full.index(slot), count=128)
    for slot in gl.static_range(3):
        mbarrier.init(x_tile_ring_empty.index(slot), count=1)
    for slot in gl.static_range(3):
        mbarrier.init(gate_tile_ring_full.index(slot), count=1)
    for slot in gl.static_range(3):
        mbarrier.init(gate_tile_ring_empty.index(slot), count=1)
    for slot in gl.static_range(3):
        mbarrier.init(up_tile_ring_full.index(slot), count=1)
    for slot in gl.static_range(3):
        mbarrier.init(up_tile_ring_empty.index(slot), count=1)
    fence_async_shared()  # the barriers are set up before TMA or another role sees them
    gl.warp_specialize(
        [
            (consumer0, (
                K, experts, gate_tile_ring, gate_tile_ring_empty, gate_tile_ring_full, up_tile_ring, up_tile_ring_empty,
                up_tile_ring_full, x_tile_ring, x_tile_ring_empty, x_tile_ring_full, y_desc, y_desc_0_stage,
            )),
            (loader, (
                K, N, T, experts, gate_tile_ring, gate_tile_ring_empty, gate_tile_ring_full, tokens, up_tile_ring,
                up_tile_ring_empty, up_tile_ring_full, w_desc, x, x_tile_ring, x_tile_ring_empty, x_tile_ring_full,
            )),
        ],
        [4],
        [48],
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


def require_vectors(name: str, tensor: torch.Tensor, elements: int, /, **counts: int) -> None:
    """The tensor, copied 16 bytes or `elements` at a time, begins at a multiple of that, and by `counts` rows do."""
    if tensor.data_ptr() % 16:
        raise ValueError(f"{name} is copied 16 bytes at a time, and begins elsewhere: use a tensor of its own")
    for what, count in counts.items():
        if count % elements:
            raise ValueError(
                f"{what} must be a multiple of {elements}, got {count}: {name} is copied 16 bytes at a time"
            )


def grouped_swiglu_gather(x, tokens, w, experts, y, T, P, K, N, E, BM=128, BN=128, BK=64):
    """Launch the kernel on the current stream; arguments as of the source kernel `grouped_swiglu_gather`.

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
        x=(x, torch.float16),
        tokens=(tokens, torch.int32),
        w=(w, torch.float16),
        experts=(experts, torch.int32),
        y=(y, torch.float16),
    )
    require_scalars(T=(T, "i32"), P=(P, "i32"), K=(K, "i32"), N=(N, "i32"), E=(E, "i32"))
    if P % BM:
        raise ValueError(f"P must be a multiple of BM, got {P}")
    if K % BK:
        raise ValueError(f"K must be a multiple of BK, got {K}")
    grid = (P // BM, triton.cdiv(N, BN))
    require_grid(grid)
    require_view("y", y, [P, N], [N, 1])
    require_view("w", w, [E * K, N * 2], [N * 2, 1])
    require_pointer("x", x, narrow=False)
    require_pointer("tokens", tokens, narrow=False)
    require_pointer("experts", experts)
    require_vectors("x", x, 8, K=K)
    if 0 in grid:
        return  # there is nothing to do
    y_desc = TensorDescriptor(y, [max(P, 1), max(N, 1)], [N, 1], [128, 128], gl.NVMMASharedLayout.get_default_for([128, 128], gl.float16))
    w_desc = TensorDescriptor(w, [max(E * K, 1), max(N * 2, 1)], [N * 2, 1], [64, 128], gl.NVMMASharedLayout.get_default_for([64, 128], gl.float16))
    grouped_swiglu_gather_kernel[grid](y_desc, w_desc, x, tokens, experts, T, K, N, num_warps=8)

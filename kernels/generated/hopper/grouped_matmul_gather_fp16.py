r"""grouped_matmul_gather for Hopper, written by Twill from grouped_matmul_gather.py. Do not edit: change the
kernel and compile it again.

Compiled for BM=128, BN=256, BK=64, TRANSPOSED=False.
Schedule: II = 1422 cycles, optimal (ResMII of unit TMA (ops x_tile.0, x_tile.1, w_tile)); one iteration takes 2870.

Roles:
  consumer0: 4 warps, 232 registers a thread, 1 stages
  consumer1: 4 warps, 232 registers a thread, 1 stages
  loader: 4 warps, 48 registers a thread

Rings:
  x_tile_0_ring: 2 x [64, 64] f16
  x_tile_1_ring: 3 x [64, 64] f16
  w_tile_ring: 3 x [64, 256] f16

Steady state, one II:
           0                     355                   711                   1066
       TC |.......................[acc.0 #0 --------------------][acc.1 #0 ---------------------]..|
      TMA |[w_tile #1 -----------------------------------------------][x_tile.0 #1 ][x_tile.1 #1 -]|
  group 0 |1W.........................................................1XXX..........1xxx...........|
  group 1 |.......................A................................................................|
  group 2 |......................................................0a................................|
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

MMA_256: gl.constexpr = gl.constexpr(gl.NVMMADistributedLayout(version=[3, 0], warps_per_cta=[4, 1], instr_shape=[16, 256, 16]))
COPIED_64x64: gl.constexpr = gl.constexpr(gl.BlockedLayout(size_per_thread=[1, 8], threads_per_warp=[4, 8], warps_per_cta=[4, 1], order=[1, 0]))
ROWS_OF_COPIED_64x64: gl.constexpr = gl.constexpr(gl.SliceLayout(1, COPIED_64x64.value))
COLUMNS_OF_COPIED_64x64: gl.constexpr = gl.constexpr(gl.SliceLayout(0, COPIED_64x64.value))
X_TILE_0_RING_LAYOUT: gl.constexpr = gl.constexpr(gl.NVMMASharedLayout.get_default_for([64, 64], gl.float16))
X_TILE_1_RING_LAYOUT: gl.constexpr = gl.constexpr(gl.NVMMASharedLayout.get_default_for([64, 64], gl.float16))
Y_DESC_0_STAGE_LAYOUT: gl.constexpr = gl.constexpr(gl.NVMMASharedLayout.get_default_for([64, 256], gl.float16))
Y_DESC_1_STAGE_LAYOUT: gl.constexpr = gl.constexpr(gl.NVMMASharedLayout.get_default_for([64, 256], gl.float16))


@gluon.jit
def consumer0(
    K, experts, turn_0, turn_1, w_tile_ring, w_tile_ring_empty, w_tile_ring_full, x_tile_0_ring,
    x_tile_0_ring_empty, x_tile_0_ring_full, y_desc, y_desc_0_stage,
):
    """Consumer: warp group 1 of the schedule."""
    tile = gl.program_id(0)
    e2 = experts + tile
    e = gl.load(e2)
    end2 = e >= 0
    end = gl.where(end2, K, 0)
    row = tile * 128
    col2 = gl.program_id(1)
    col = col2 * 256
    acc = gl.full([64, 256], 0.0, gl.float32, MMA_256)
    n = gl.cdiv(end, 64)
    for i in range(0, n):
        # acc.0 on TC: stage 1, slot 364
        mbarrier.wait(x_tile_0_ring_full.index(i % 2), (i // 2) & 1)
        fence_async_shared()
        mbarrier.wait(w_tile_ring_full.index(i % 3), (i // 3) & 1)
        mbarrier.wait(turn_1.index((i + 1) % 2), ((i - 1) // 2) & 1, pred=i - 1 >= 0)
        acc = warpgroup_mma(x_tile_0_ring.index(i % 2), w_tile_ring.index(i % 3), acc, is_async=True)
        mbarrier.arrive(turn_0.index(i % 2), count=1)
        acc = warpgroup_mma_wait(1, deps=[acc])
        mbarrier.arrive(x_tile_0_ring_empty.index((i + 1) % 2), count=1, pred=i >= 1)
        mbarrier.arrive(w_tile_ring_empty.index((i + 2) % 3), count=1, pred=i >= 1)
    acc = warpgroup_mma_wait(0, deps=[acc])
    mbarrier.arrive(x_tile_0_ring_empty.index((n + 1) % 2), count=1, pred=n >= 1)
    mbarrier.arrive(w_tile_ring_empty.index((n + 2) % 3), count=1, pred=n >= 1)
    # after the loop
    cast = acc.to(gl.float16)
    tma.store_wait(0)
    y_desc_0_stage.store(cast)
    fence_async_shared()
    tma_store(y_desc, [row, col], y_desc_0_stage)
    tma.store_wait(0)


@gluon.jit
def consumer1(
    K, experts, turn_0, turn_1, w_tile_ring, w_tile_ring_empty, w_tile_ring_full, x_tile_1_ring,
    x_tile_1_ring_empty, x_tile_1_ring_full, y_desc, y_desc_1_stage,
):
    """Consumer: warp group 2 of the schedule."""
    tile = gl.program_id(0)
    e2 = experts + tile
    e = gl.load(e2)
    end2 = e >= 0
    end = gl.where(end2, K, 0)
    row = tile * 128
    col2 = gl.program_id(1)
    col = col2 * 256
    acc2 = gl.full([64, 256], 0.0, gl.float32, MMA_256)
    n = gl.cdiv(end, 64)
    for i in range(0, n):
        # acc.1 on TC: stage 1, slot 876
        mbarrier.wait(x_tile_1_ring_full.index(i % 3), (i // 3) & 1)
        fence_async_shared()
        mbarrier.wait(w_tile_ring_full.index(i % 3), (i // 3) & 1)
        mbarrier.wait(turn_0.index(i % 2), (i // 2) & 1)
        acc2 = warpgroup_mma(x_tile_1_ring.index(i % 3), w_tile_ring.index(i % 3), acc2, is_async=True)
        mbarrier.arrive(turn_1.index(i % 2), count=1)
        acc2 = warpgroup_mma_wait(1, deps=[acc2])
        mbarrier.arrive(x_tile_1_ring_empty.index((i + 2) % 3), count=1, pred=i >= 1)
        mbarrier.arrive(w_tile_ring_empty.index((i + 2) % 3), count=1, pred=i >= 1)
    acc2 = warpgroup_mma_wait(0, deps=[acc2])
    mbarrier.arrive(x_tile_1_ring_empty.index((n + 2) % 3), count=1, pred=n >= 1)
    mbarrier.arrive(w_tile_ring_empty.index((n + 2) % 3), count=1, pred=n >= 1)
    # after the loop
    cast = acc2.to(gl.float16)
    tma.store_wait(0)
    y_desc_1_stage.store(cast)
    fence_async_shared()
    tma_store(y_desc, [row + 64, col], y_desc_1_stage)
    tma.store_wait(0)


@gluon.jit
def loader(
    K, T, experts, tokens, w_desc, w_tile_ring, w_tile_ring_empty, w_tile_ring_full, x, x_tile_0_ring,
    x_tile_0_ring_empty, x_tile_0_ring_full, x_tile_1_ring, x_tile_1_ring_empty, x_tile_1_ring_full,
):
    """Producer: warp group 0 of the schedule."""
    tile = gl.program_id(0)
    e2 = experts + tile
    e = gl.load(e2)
    end2 = e >= 0
    end = gl.where(end2, K, 0)
    row = tile * 128
    col2 = gl.program_id(1)
    col = col2 * 256
    token5 = tokens + row
    token3 = token5 + gl.arange(0, 64, layout=ROWS_OF_COPIED_64x64)
    token4 = token5 + gl.arange(64, 128, layout=ROWS_OF_COPIED_64x64)
    token = gl.load(token3)
    token2 = gl.load(token4)
    given3 = token >= gl.full([64], 0, gl.int32, ROWS_OF_COPIED_64x64)
    given5 = token2 >= gl.full([64], 0, gl.int32, ROWS_OF_COPIED_64x64)
    given4 = token < T
    given6 = token2 < T
    given = given3 & given4
    given2 = given5 & given6
    begins3 = token.to(gl.int64)
    begins5 = token2.to(gl.int64)
    begins4 = K.to(gl.int64)
    begins = begins3 * begins4
    begins2 = begins5 * begins4
    x_tile = x + gl.expand_dims(begins, 1)
    x_tile3 = x + gl.expand_dims(begins2, 1)
    w_tile = e * K
    n = gl.cdiv(end, 64)
    for i in range(0, n):
        # w_tile: stage 0, slot 0
        mbarrier.wait(w_tile_ring_empty.index(i % 3), ((i // 3) & 1) ^ 1)
        meet()
        mbarrier.expect(w_tile_ring_full.index(i % 3), 32768)
        tma_load(w_desc, [w_tile + (i * 64), col], w_tile_ring_full.index(i % 3), w_tile_ring.index(i % 3))
        # x_tile.0: stage 0, slot 948
        mbarrier.wait(x_tile_0_ring_empty.index(i % 2), ((i // 2) & 1) ^ 1)
        x_tile2 = x_tile + (gl.expand_dims((i * 64) + gl.arange(0, 64, layout=COLUMNS_OF_COPIED_64x64), 0).broadcast_to([64, 64]))
        copy_async(x_tile_0_ring.index(i % 2), gl.max_contiguous(gl.multiple_of(x_tile2, [1, 16]), [1, 8]), mask=gl.max_constancy(gl.expand_dims(given, 1).broadcast_to([64, 64]), [1, 8]))
        async_copy.mbarrier_arrive(x_tile_0_ring_full.index(i % 2), increment_count=False)
        # x_tile.1: stage 0, slot 1185
        mbarrier.wait(x_tile_1_ring_empty.index(i % 3), ((i // 3) & 1) ^ 1)
        x_tile4 = x_tile3 + (gl.expand_dims((i * 64) + gl.arange(0, 64, layout=COLUMNS_OF_COPIED_64x64), 0).broadcast_to([64, 64]))
        copy_async(x_tile_1_ring.index(i % 3), gl.max_contiguous(gl.multiple_of(x_tile4, [1, 16]), [1, 8]), mask=gl.max_constancy(gl.expand_dims(given2, 1).broadcast_to([64, 64]), [1, 8]))
        async_copy.mbarrier_arrive(x_tile_1_ring_full.index(i % 3), increment_count=False)


@gluon.jit
def grouped_matmul_gather_kernel(y_desc, w_desc, x, tokens, experts, T, K):
    """Shared memory, barriers, and one warp group for each of consumer0, consumer1, loader."""
    barrier: gl.constexpr = mbarrier.MBarrierLayout()
    x_tile_0_ring = gl.allocate_shared_memory(gl.float16, [2, 64, 64], X_TILE_0_RING_LAYOUT)
    x_tile_0_ring_full = gl.allocate_shared_memory(gl.int64, [2, 1], barrier)
    x_tile_0_ring_empty = gl.allocate_shared_memory(gl.int64, [2, 1], barrier)
    x_tile_1_ring = gl.allocate_shared_memory(gl.float16, [3, 64, 64], X_TILE_1_RING_LAYOUT)
    x_tile_1_ring_full = gl.allocate_shared_memory(gl.int64, [3, 1], barrier)
    x_tile_1_ring_empty = gl.allocate_shared_memory(gl.int64, [3, 1], barrier)
    w_tile_ring = gl.allocate_shared_memory(gl.float16, [3, 64, 256], w_desc.layout)
    w_tile_ring_full = gl.allocate_shared_memory(gl.int64, [3, 1], barrier)
    w_tile_ring_empty = gl.allocate_shared_memory(gl.int64, [3, 1], barrier)
    y_desc_0_stage = gl.allocate_shared_memory(gl.float16, [64, 256], Y_DESC_0_STAGE_LAYOUT)
    y_desc_1_stage = gl.allocate_shared_memory(gl.float16, [64, 256], Y_DESC_1_STAGE_LAYOUT)
    # turn_0: after acc.0, acc.1 may be issued
    turn_0 = gl.allocate_shared_memory(gl.int64, [2, 1], barrier)
    # turn_1: after acc.1, acc.0 may be issued
    turn_1 = gl.allocate_shared_memory(gl.int64, [2, 1], barrier)
    for slot in gl.static_range(2):
        mbarrier.init(x_tile_0_ring_full.index(slot), count=128)
    for slot in gl.static_range(2):
        mbarrier.init(x_tile_0_ring_empty.index(slot), count=1)
    for slot in gl.static_range(3):
        mbarrier.init(x_tile_1_ring_full.index(slot), count=128)
    for slot in gl.static_range(3):
        mbarrier.init(x_tile_1_ring_empty.index(slot), count=1)
    for slot in gl.static_range(3):
        mbarrier.init(w_tile_ring_full.index(slot), count=1)
    for slot in gl.static_range(3):
        mbarrier.init(w_tile_ring_empty.index(slot), count=2)
    for slot in gl.static_range(2):
        mbarrier.init(turn_0.index(slot), count=1)
    for slot in gl.static_range(2):
        mbarrier.init(turn_1.index(slot), count=1)
    fence_async_shared()  # the barriers are set up before TMA or another role sees them
    gl.warp_specialize(
        [
            (consumer0, (
                K, experts, turn_0, turn_1, w_tile_ring, w_tile_ring_empty, w_tile_ring_full, x_tile_0_ring,
                x_tile_0_ring_empty, x_tile_0_ring_full, y_desc, y_desc_0_stage,
            )),
            (consumer1, (
                K, experts, turn_0, turn_1, w_tile_ring, w_tile_ring_empty, w_tile_ring_full, x_tile_1_ring,
                x_tile_1_ring_empty, x_tile_1_ring_full, y_desc, y_desc_1_stage,
            )),
            (loader, (
                K, T, experts, tokens, w_desc, w_tile_ring, w_tile_ring_empty, w_tile_ring_full, x, x_tile_0_ring,
                x_tile_0_ring_empty, x_tile_0_ring_full, x_tile_1_ring, x_tile_1_ring_empty, x_tile_1_ring_full,
            )),
        ],
        [4, 4],
        [232, 48],
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


def grouped_matmul_gather(x, tokens, w, experts, y, T, P, K, N, E, BM=128, BN=256, BK=64, TRANSPOSED=False):
    """Launch the kernel on the current stream; arguments as of the source kernel `grouped_matmul_gather`.

    Raises TypeError or ValueError when an argument is not what the kernel was compiled for.
    """
    if BM != 128:
        raise ValueError(f"compiled for BM=128, got {BM!r}: compile it again")
    if BN != 256:
        raise ValueError(f"compiled for BN=256, got {BN!r}: compile it again")
    if BK != 64:
        raise ValueError(f"compiled for BK=64, got {BK!r}: compile it again")
    if TRANSPOSED != False:
        raise ValueError(f"compiled for TRANSPOSED=False, got {TRANSPOSED!r}: compile it again")
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
    require_view("w", w, [E * K, N], [N, 1])
    require_pointer("x", x, narrow=False)
    require_pointer("tokens", tokens, narrow=False)
    require_pointer("experts", experts)
    require_vectors("x", x, 8, K=K)
    if 0 in grid:
        return  # there is nothing to do
    y_desc = TensorDescriptor(y, [max(P, 1), max(N, 1)], [N, 1], [64, 256], gl.NVMMASharedLayout.get_default_for([64, 256], gl.float16))
    w_desc = TensorDescriptor(w, [max(E * K, 1), max(N, 1)], [N, 1], [64, 256], gl.NVMMASharedLayout.get_default_for([64, 256], gl.float16))
    grouped_matmul_gather_kernel[grid](y_desc, w_desc, x, tokens, experts, T, K, num_warps=4)

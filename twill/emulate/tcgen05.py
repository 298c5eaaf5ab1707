"""Stand-in for tcgen05: matrix multiplication and copies into tensor memory, and the commit that tells they are done.

The operations one role issues happen in order, each at some moment after its issue. Nobody is ordered after
them but who waits for an mbarrier that a later commit of the same role arrives at.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from twill.emulate import block_scales, dtypes, holdings, layouts, mbarrier
from twill.emulate.accesses import Access, Clock
from twill.emulate.constants import unwrap
from twill.emulate.memory import SharedMemory
from twill.emulate.report import Place, Unwaited
from twill.emulate.scheduler import Queue, Scheduler, active
from twill.emulate.tensor_memory import TensorMemory
from twill.emulate.values import Array, refuse
from twill.emulate.wgmma import multiply

FLOATS = (dtypes.float16, dtypes.bfloat16, dtypes.float32, dtypes.float8e5, dtypes.float8e4nv)


@dataclass
class Pipe(Queue):
    """The tcgen05 operations of one role. Unlike wgmmas they may outlive the role, if somebody waits for them."""

    operations: list[tuple[Place, int, str]] = field(default_factory=list)  # MMAs, copies; epoch; what it fills
    copied: int = 0  # epoch of the newest copy
    commits: int = 0  # in clocks under -agent: a commit may be in flight when all it waits for is known to be over

    def start(self, place: Place, run: Callable[[], None]) -> None:
        self.issue(place, run)
        self.pending = [event for event in self.pending if not event.done]

    def busy(self) -> bool:
        return any(not event.done for event in self.pending)

    def check_end(self, final: Clock) -> None:
        """Every operation is over before the thread block is."""
        for place, epoch, filled in self.operations:
            if final.get(self.agent, 0) < epoch:
                raise Unwaited(
                    f"{place} was never waited for: it may still run when the thread block has ended.",
                    hint="Commit it to an mbarrier (tcgen05_commit), and wait for that barrier's phase.",
                    location=place.where,
                    places=(place,),
                    buffer=filled,
                )


def _pipe(scheduler: Scheduler) -> Pipe:
    task = scheduler.current()
    pipe = scheduler.pipes.get(task.agent)
    if pipe is None:
        pipe = scheduler.pipes[task.agent] = Pipe(scheduler.agent())
    assert isinstance(pipe, Pipe)
    return pipe


def tcgen05_mma(
    a: Any,
    b: Any,
    acc: Any,
    *,
    use_acc: Any = True,
    pred: Any = True,
    mbarriers: Any = None,
    mbarrier_preds: Any = None,
    **newer: Any,
) -> None:
    """acc [M, N] = a [M, K] @ b [K, N] (+ acc); a from shared or tensor memory, b from shared memory.

    Returns at once. With `mbarriers`, each is arrived at when this and all earlier operations of the role
    are done; else a later tcgen05_commit must do so.
    """
    scheduler = active()
    scheduler.pause()
    a, b, acc = unwrap(a), unwrap(b), unwrap(acc)
    multicast = _newer("tcgen05_mma", newer, {"multicast"}).get("multicast")
    ctas = holdings.pair(getattr(getattr(acc, "layout", None), "two_ctas", False))
    if not ctas:
        return
    descs = (a, b) if unwrap(multicast) else ()
    (a, b, acc), reads = _held((a, b, acc), ctas)
    _check(a, b, acc)
    if unwrap(pred):
        _start(reads, acc, lambda: multiply(a.data, b.data, b.dtype), bool(unwrap(use_acc)), "tcgen05 MMA")
        _signal(mbarriers, mbarrier_preds, descs)


def _held(views: Sequence[Any], ctas: list[int]) -> tuple[list[Any], list[Any]]:
    """Of each operand, what the CTAs an MMA works for hold together or alike; and all that it reads.

    views: the operands, the accumulator third.
    """
    held = [view.held_by(ctas) if isinstance(view, SharedMemory) else [view] for view in views]
    return [each[0] for each in held], [copy for place, each in enumerate(held) if place != 2 for copy in each]


def tcgen05_mma_scaled(
    a: Any,
    b: Any,
    acc: Any,
    a_scale: Any,
    b_scale: Any,
    a_type: Any,
    b_type: Any,
    *,
    use_acc: Any = True,
    pred: Any = True,
    mbarriers: Any = None,
    mbarrier_preds: Any = None,
    **newer: Any,
) -> None:
    """acc [M, N] = (a * a_scale) [M, K] @ (b * b_scale) [K, N] (+ acc), with the forms of `block_scales.py`.

    The scales lie in tensor memory, as [M, blocks of K] and [N, blocks of K]. As asynchronous as `tcgen05_mma`.
    """
    scheduler = active()
    scheduler.pause()
    a, b, acc, a_scale, b_scale = (unwrap(operand) for operand in (a, b, acc, a_scale, b_scale))
    multicast = _newer("tcgen05_mma_scaled", newer, {"multicast"}).get("multicast")
    ctas = holdings.pair(getattr(getattr(acc, "layout", None), "two_ctas", False))
    if not ctas:
        return
    descs = (a, b) if unwrap(multicast) else ()
    (a, b, acc, a_scale, b_scale), reads = _held((a, b, acc, a_scale, b_scale), ctas)
    a_form, b_form = unwrap(a_type), unwrap(b_type)
    block_scales.check(a, b, acc, a_scale, b_scale, a_form, b_form)

    def product() -> Array:
        x = block_scales.decoded(a.data, a_form, a_scale.data)
        y = block_scales.decoded(np.ascontiguousarray(b.data.T), b_form, b_scale.data)
        return multiply(x, y.T, dtypes.float16)  # their values are exact in float32, and none is rounded to tf32

    if unwrap(pred):
        _start(reads, acc, product, bool(unwrap(use_acc)), "scaled tcgen05 MMA")
        _signal(mbarriers, mbarrier_preds, descs)


def _start(
    reads: Sequence[Any], acc: TensorMemory, product: Callable[[], Array], accumulate: bool, action: str
) -> None:
    """Issue an MMA that reads `reads` and updates `acc` at some moment from now on."""
    scheduler = active()
    place = scheduler.place(action)
    pipe, clock = _pipe(scheduler), scheduler.current().clock
    epoch = pipe.next_epoch()
    in_tensor_memory = [operand for operand in reads if isinstance(operand, TensorMemory)]
    for operand in reads:
        if isinstance(operand, TensorMemory):  # only a copy is sure to be over when the MMA starts
            known = {**clock, pipe.agent: max(clock.get(pipe.agent, 0), pipe.copied)}
            operand.allocation.history.record(Access(place, operand, False, "generic", pipe.agent, epoch), known)
        else:
            operand.allocation.history.record(Access(place, operand, False, "async", pipe.agent, epoch), clock)
            operand.check_valid(place)
    in_order = {**clock, pipe.agent: epoch - 1}
    acc.allocation.history.record(Access(place, acc, True, "generic", pipe.agent, epoch), in_order)
    if not accumulate and not pipe.busy():
        acc.poison()

    def happen() -> None:
        for operand in in_tensor_memory:
            operand.check_valid(place)
        result = product()
        if accumulate:
            acc.check_valid(place)
            result = result + acc.data
        acc.fill(result.astype(acc.dtype.numpy))

    pipe.start(place, happen)
    pipe.operations.append((place, epoch, acc.path))


def tcgen05_copy(src: Any, dst: Any) -> None:
    """Copy shared memory to tensor memory of the same shape and type; returns at once."""
    scheduler = active()
    scheduler.pause()
    src, dst = unwrap(src), unwrap(dst)
    if isinstance(src, TensorMemory) or not isinstance(src, SharedMemory) or not isinstance(dst, TensorMemory):
        refuse("tcgen05_copy copies from shared to tensor memory.")
    for cta in holdings.pair():
        _copy(src.part(cta), dst.part(cta))


def _copy(src: SharedMemory, dst: TensorMemory) -> None:
    scheduler = active()
    if src.shape != dst.shape or src.dtype != dst.dtype:
        refuse(f"tcgen05_copy of {src.dtype}{src.shape} to {dst.dtype}{dst.shape}.")
    place = scheduler.place("tcgen05 copy")
    pipe, clock = _pipe(scheduler), scheduler.current().clock
    epoch = pipe.next_epoch()
    src.allocation.history.record(Access(place, src, False, "async", pipe.agent, epoch), clock)
    src.check_valid(place)
    in_order = {**clock, pipe.agent: epoch - 1}
    dst.allocation.history.record(Access(place, dst, True, "generic", pipe.agent, epoch), in_order)
    if not pipe.busy():
        dst.poison()
    pipe.start(place, lambda: dst.fill(src.data))
    pipe.operations.append((place, epoch, dst.path))
    pipe.copied = epoch


def tcgen05_commit(barrier: Any, pred: Any = True, **newer: Any) -> None:
    """Arrive once at `barrier` when all that this role issued to tcgen05 so far is done."""
    scheduler = active()
    scheduler.pause()
    descs = unwrap(_newer("tcgen05_commit", newer, {"descs"}).get("descs")) or ()
    if not unwrap(pred) or not holdings.pair():
        return
    place = scheduler.place("tcgen05 commit")
    pipe, task = _pipe(scheduler), scheduler.current()
    pipe.commits += 1
    clock = {**task.clock, pipe.agent: pipe.issued, -pipe.agent: pipe.commits}
    for cta in holdings.committed(descs):
        signal = mbarrier.find(barrier, place, cta)
        pipe.start(place, functools.partial(signal.arrive, 1, clock, place))
        if scheduler.cluster is not None:
            scheduler.cluster.remote(place, cta, signal.name, (pipe.agent, pipe.issued))
    task.release()


def _signal(barriers: Sequence[Any] | None, preds: Sequence[Any] | None, descs: Sequence[Any] = ()) -> None:
    if barriers is None:
        return
    barriers = list(unwrap(barriers))
    preds = [True] * len(barriers) if preds is None else list(unwrap(preds))
    if len(preds) != len(barriers):
        refuse(f"{len(barriers)} mbarriers, but {len(preds)} predicates.")
    for barrier, pred in zip(barriers, preds, strict=True):
        tcgen05_commit(barrier, pred, descs=descs)


def _newer(function: str, given: dict[str, Any], known: set[str]) -> dict[str, Any]:
    """Parameters of later versions of Triton, all of them known."""
    for name in given:
        if name not in known:
            raise TypeError(f"{function} got {name}")
    return given


def tcgen05_mma_barrier_count(smems: Any, multicast: Any = False, two_ctas: Any = False) -> int:
    """How many CTAs commit to the same mbarrier after an MMA that reads `smems`; with pairs, their leads."""
    smems = list(unwrap(smems))
    if not smems or not unwrap(multicast):
        return 1
    divided = [sum(1 << bit for bit, basis in enumerate(view.layout.cga_layout) if any(basis)) for view in smems]
    step = 2 if unwrap(two_ctas) else 1
    return sum(any(not cta & bits for bits in divided) for cta in range(0, 1 << len(smems[0].layout.cga_layout), step))


def _check(a: Any, b: Any, acc: Any) -> None:
    """What the compiler and the instruction demand of the operands."""
    if isinstance(b, TensorMemory) or not isinstance(b, SharedMemory) or not isinstance(a, SharedMemory):
        refuse("tcgen05_mma takes a from shared or tensor memory, and b from shared memory.")
    if not isinstance(acc, TensorMemory):
        refuse(f"the accumulator of tcgen05_mma is {acc!r}, not tensor memory.")
    if any(view.rank != 2 for view in (a, b, acc)):
        refuse(f"tcgen05_mma of views with {a.rank}, {b.rank} and {acc.rank} dimensions; it takes two each.")
    (m, k), (k_b, n) = a.shape, b.shape
    if k != k_b or acc.shape != [m, n] or (a.dtype != b.dtype and not (a.dtype.is_fp8() and b.dtype.is_fp8())):
        refuse(f"tcgen05_mma of {a.dtype}[{m}, {k}], {b.dtype}[{k_b}, {n}] and an accumulator {acc.shape}.")
    if k * a.dtype.primitive_bitwidth % 256 or n % 8:
        refuse(f"tcgen05_mma of [{m}, {k}] by [{k}, {n}]: n must be a multiple of 8, k of 32 bytes.")
    exact = a.dtype in (dtypes.int8, dtypes.uint8) and acc.dtype is dtypes.int32
    half = acc.dtype is dtypes.float16 and (a.dtype is dtypes.float16 or a.dtype.is_fp8())
    if not (exact or half or (a.dtype in FLOATS and acc.dtype is dtypes.float32)):
        refuse(f"tcgen05_mma does not accumulate {a.dtype} in {acc.dtype}.")
    if acc.layout.block[1] > 256 or m % acc.layout.block[0]:
        refuse(f"{acc.path} of shape {acc.shape} has blocks {list(acc.layout.block)}; columns are at most 256.")
    for view in (a, b):
        if not isinstance(view, TensorMemory) and not isinstance(view.layout, layouts.NVMMASharedLayout):
            refuse(f"{view.path} needs an NVMMASharedLayout to be read by tcgen05_mma, not {view.layout}.")

"""Stand-in for tcgen05: matrix multiplication and copies into tensor memory, and the commit that tells they are done.

The operations one role issues happen in order, each at some moment after its issue. Nobody is ordered after
them but who waits for an mbarrier that a later commit of the same role arrives at.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from twill.emulate import dtypes, layouts, mbarrier
from twill.emulate.accesses import Access, Clock
from twill.emulate.constants import unwrap
from twill.emulate.memory import SharedMemory
from twill.emulate.report import Place, Unwaited
from twill.emulate.scheduler import Queue, Scheduler, active
from twill.emulate.tensor_memory import TensorMemory
from twill.emulate.values import refuse
from twill.emulate.wgmma import multiply

FLOATS = (dtypes.float16, dtypes.bfloat16, dtypes.float32, dtypes.float8e5, dtypes.float8e4nv)


@dataclass
class Pipe(Queue):
    """The tcgen05 operations of one role. Unlike wgmmas they may outlive the role, if somebody waits for them."""

    operations: list[tuple[Place, int]] = field(default_factory=list)  # MMAs and copies with their epochs
    copied: int = 0  # epoch of the newest copy

    def start(self, place: Place, run: Callable[[], None]) -> None:
        self.issue(place, run)
        self.pending = [event for event in self.pending if not event.done]

    def busy(self) -> bool:
        return any(not event.done for event in self.pending)

    def check_end(self, final: Clock) -> None:
        """Every operation is over before the thread block is."""
        for place, epoch in self.operations:
            if final.get(self.agent, 0) < epoch:
                raise Unwaited(
                    f"{place} was never waited for: it may still run when the thread block has ended.",
                    hint="Commit it to an mbarrier (tcgen05_commit), and wait for that barrier's phase.",
                    location=place.where,
                    places=(place,),
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
    _refuse_newer("tcgen05_mma", newer, {"multicast"})
    _check(a, b, acc)
    if not unwrap(pred):
        return
    accumulate = bool(unwrap(use_acc))
    place = scheduler.place("tcgen05 MMA")
    pipe, clock = _pipe(scheduler), scheduler.current().clock
    epoch = pipe.next_epoch()
    for operand in (a, b):
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
        if isinstance(a, TensorMemory):
            a.check_valid(place)
        product = multiply(a.data, b.data, b.dtype)
        if accumulate:
            acc.check_valid(place)
            product = product + acc.data
        acc.fill(product.astype(acc.dtype.numpy))

    pipe.start(place, happen)
    pipe.operations.append((place, epoch))
    _signal(mbarriers, mbarrier_preds)


def tcgen05_copy(src: Any, dst: Any) -> None:
    """Copy shared memory to tensor memory of the same shape and type; returns at once."""
    scheduler = active()
    scheduler.pause()
    src, dst = unwrap(src), unwrap(dst)
    if isinstance(src, TensorMemory) or not isinstance(src, SharedMemory) or not isinstance(dst, TensorMemory):
        refuse("tcgen05_copy copies from shared to tensor memory.")
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
    pipe.operations.append((place, epoch))
    pipe.copied = epoch


def tcgen05_commit(barrier: Any, pred: Any = True, **newer: Any) -> None:
    """Arrive once at `barrier` when all that this role issued to tcgen05 so far is done."""
    scheduler = active()
    scheduler.pause()
    _refuse_newer("tcgen05_commit", newer, {"descs"})
    if not unwrap(pred):
        return
    place = scheduler.place("tcgen05 commit")
    pipe, task = _pipe(scheduler), scheduler.current()
    signal = mbarrier.find(barrier, place)
    clock = {**task.clock, pipe.agent: pipe.issued}
    pipe.start(place, lambda: signal.arrive(1, clock, place))
    task.release()


def _signal(barriers: Sequence[Any] | None, preds: Sequence[Any] | None) -> None:
    if barriers is None:
        return
    barriers = list(unwrap(barriers))
    preds = [True] * len(barriers) if preds is None else list(unwrap(preds))
    if len(preds) != len(barriers):
        refuse(f"{len(barriers)} mbarriers, but {len(preds)} predicates.")
    for barrier, pred in zip(barriers, preds, strict=True):
        tcgen05_commit(barrier, pred)


def _refuse_newer(function: str, given: dict[str, Any], known: set[str]) -> None:
    """Parameters of later versions of Triton: those that matter only to several thread blocks are let through."""
    for name, value in given.items():
        if name not in known:
            raise TypeError(f"{function} got {name}")
        if name == "multicast" and unwrap(value):
            refuse(f"{function} with {name}: the emulator runs clusters of one thread block only.")


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

"""Stand-in for wgmma: asynchronous matrix multiplication by one warp group, and its wait.

Between issue and the wait that covers it an operation may read its shared operands at any moment; the
operations of one role happen in order. The result is a token until such a wait returns it as a tensor.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from twill.emulate import dtypes, holdings, layouts
from twill.emulate.accesses import Access
from twill.emulate.constants import unwrap
from twill.emulate.dtypes import DType
from twill.emulate.memory import SharedMemory
from twill.emulate.scheduler import active
from twill.emulate.tokens import Accumulator
from twill.emulate.values import Array, Tensor, refuse


def fence_async_shared(cluster: Any = False) -> None:
    """Make this role's earlier writes, and those it is ordered after, visible to TMA and wgmma."""
    scheduler = active()
    scheduler.pause()
    task = scheduler.current()
    for access in scheduler.unfenced:
        if access.before(task.clock):
            access.fences.append((task.agent, task.clock[task.agent]))
    own = (task.agent, task.clock[task.agent])  # who is ordered after a write of this epoch is so after the fence too
    scheduler.unfenced = [access for access in scheduler.unfenced if (access.agent, access.epoch) != own]


def warpgroup_mma(
    a: Tensor | SharedMemory,
    b: SharedMemory,
    acc: Tensor | Accumulator,
    *,
    use_acc: Any = True,
    precision: Any = None,
    max_num_imprecise_acc: Any = None,
    is_async: Any = False,
) -> Tensor | Accumulator:
    """a [M, K] @ b [K, N] + acc [M, N]; a from registers or shared memory, b from shared memory."""
    scheduler = active()
    scheduler.pause()
    a, b, acc = unwrap(a), unwrap(b), unwrap(acc)
    _check(a, b, acc)
    a, b, widen = _parts(a, b, acc)
    accumulate = bool(use_acc)
    place = scheduler.place("wgmma")
    task = scheduler.current()
    epoch = task.mmas.next_epoch()
    for operand in (a, b):
        if isinstance(operand, SharedMemory):
            access = Access(place, operand, False, "async", task.mmas.agent, epoch)
            operand.allocation.history.record(access, task.clock)
            operand.check_valid(place)
    token = Accumulator(place, acc.shape, acc.dtype, acc.layout)

    def happen() -> None:
        product = widen(multiply(a.data, b.data, b.dtype))
        if accumulate:
            before = acc.data if isinstance(acc, Tensor) else acc.result.value
            product = product + before
        token.result.value = product.astype(token.dtype.numpy)

    task.mmas.issue(place, happen, b.path).token = token
    if unwrap(is_async):
        return token
    _retire(0)
    return Tensor(token.result.value, token.dtype, token.layout)


def _parts(a: Any, b: Any, acc: Any) -> tuple[Any, Any, Callable[[Array], Array]]:
    """The operands as the running CTA of a cluster holds them, and its part of the product in the whole accumulator."""
    box = holdings.part_of(tuple(acc.shape), acc.layout, "the accumulator of warpgroup_mma")
    if box is None:
        return a, b, lambda product: product
    left = a.part() if isinstance(a, SharedMemory) else Tensor(a.data[box[0]], a.dtype, layouts.ANY)
    right, shape = b.part(), tuple(acc.shape)
    held = [piece.stop - piece.start for piece in box]
    if [left.shape[0], right.shape[1]] != held or left.shape[1] != right.shape[0]:
        refuse(
            f"warpgroup_mma of [{left.shape[0]}, {left.shape[1]}] by [{right.shape[0]}, {right.shape[1]}] in each CTA, "
            f"which holds {held} of the accumulator: the CGA layouts do not fit."
        )

    def widen(product: Array) -> Array:
        whole = np.full(shape, 0 if product.dtype.kind == "i" else np.nan, product.dtype)
        whole[box] = product
        return whole

    return left, right, widen


def warpgroup_mma_wait(num_outstanding: Any = 0, deps: Any = None) -> Any:
    """Wait for all but the `num_outstanding` newest operations of this role; returns `deps` as values.

    A dep whose operation is among the newest stays a token.
    """
    scheduler = active()
    scheduler.pause()
    if deps is None:
        raise ValueError("warpgroup_mma_wait needs deps")
    _retire(int(unwrap(num_outstanding)))
    place = scheduler.place("warpgroup_mma_wait")
    results = []
    for dep in deps:
        dep = unwrap(dep)
        if not isinstance(dep, Accumulator):
            results.append(dep)
            continue
        if dep.waited_at is not None:
            dep.misused("as a dep")
        dep.waited_at = place
        results.append(dep.waited())
    return results[0] if len(results) == 1 else tuple(results)


def _retire(outstanding: int) -> None:
    task = active().current()
    for event in task.mmas.retire(outstanding, task.clock):
        event.token.result.retired = True


def multiply(a: Array, b: Array, dtype: DType) -> Array:
    """The product with exact operands, accumulated in float32 (integers exactly)."""
    if dtype.is_int():
        return np.rint(a.astype(np.float64) @ b.astype(np.float64)).astype(np.int64)
    import torch

    x, y = a.astype(np.float32, copy=False), b.astype(np.float32, copy=False)
    if dtype is dtypes.float32:  # wgmma reads tf32: the low 13 bits of the mantissa are dropped
        x, y = _truncate(x), _truncate(y)
    # torch, for its thread count can be set: BLAS threads of many test workers fight over few cores.
    return torch.matmul(torch.from_numpy(np.ascontiguousarray(x)), torch.from_numpy(np.ascontiguousarray(y))).numpy()


def _truncate(x: Array) -> Array:
    return (np.ascontiguousarray(x).view(np.uint32) & np.uint32(0xFFFFE000)).view(np.float32)


def _check(a: Any, b: Any, acc: Any) -> None:
    """What the compiler and the instruction demand of the operands."""
    for name, operand in (("a", a), ("b", b)):
        if isinstance(operand, Accumulator):
            operand.misused(f"as operand {name} of warpgroup_mma")
    if isinstance(acc, Accumulator) and acc.waited_at is not None:
        acc.misused("as the accumulator of warpgroup_mma")
    if not isinstance(b, SharedMemory) or not isinstance(a, (Tensor, SharedMemory)):
        refuse("warpgroup_mma takes b from shared memory, and a from registers or shared memory.")
    if not isinstance(acc, (Tensor, Accumulator)):
        refuse(f"the accumulator of warpgroup_mma is {acc!r}, not a tensor.")
    (m, k), (k_b, n), shape = a.shape, b.shape, tuple(acc.shape)
    if k != k_b or shape != (m, n) or a.dtype != b.dtype:
        refuse(f"warpgroup_mma of {a.dtype}[{m}, {k}], {b.dtype}[{k_b}, {n}] and an accumulator {list(shape)}.")
    if m % 64 or n % 8 or k * a.dtype.primitive_bitwidth % 256:
        refuse(f"warpgroup_mma of [{m}, {k}] by [{k}, {n}]: m must be a multiple of 64, n of 8, k of 32 bytes.")
    task = active().current()
    layout: Any = acc.layout
    if isinstance(layout, layouts.NVMMADistributedLayout):
        if layout.version[0] != 3 or layout.warps != task.warps or task.warps % 4:
            refuse(f"{task.role} has {task.warps} warps, but accumulates in {layout}.")
    elif not layouts.is_open(layout):
        refuse(f"the accumulator of warpgroup_mma needs an NVMMADistributedLayout, not {layout}.")
    if isinstance(a, Tensor) and not layouts.is_open(a.layout):
        given: Any = a.layout
        registers = isinstance(given, layouts.DotOperandLayout) and given.operand_index == 0
        if not registers or not layouts.agree(given.parent, layout):
            refuse(f"operand a of warpgroup_mma needs DotOperandLayout(0, {layout}, ...), not {a.layout}.")
    for view in (a, b):
        if isinstance(view, SharedMemory) and not isinstance(view.layout, layouts.NVMMASharedLayout):
            refuse(f"{view.path} needs an NVMMASharedLayout to be read by warpgroup_mma, not {view.layout}.")

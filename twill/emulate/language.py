"""Stand-in for `triton.experimental.gluon.language`: creation, selection, the program.

Shapes and layouts are in `shapes.py`, elementwise mathematics in `mathematics.py`, reductions in `reductions.py`,
loads and stores through pointers in `pointers.py`, inline PTX in `inline_assembly.py`, `warp_specialize` in
`roles.py`. A name that is in none of them is reported as unsupported, with the line that uses it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, wraps
from types import ModuleType
from typing import Any

import numpy as np

from twill.emulate import cluster, cluster_barriers, dtypes, holdings, layouts, memory, values
from twill.emulate.constants import unwrap
from twill.emulate.dtypes import DType
from twill.emulate.memory import SharedMemory
from twill.emulate.report import AssertionFailed
from twill.emulate.scheduler import active
from twill.emulate.values import Array, Tensor, as_tensor, common_layout, operands, refuse


def builtin(function: Callable[..., Any]) -> Callable[..., Any]:
    """A Gluon function: compile-time wrappers come off its arguments."""

    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        return function(*map(unwrap, args), **{name: unwrap(value) for name, value in kwargs.items()})

    return call


def _placed(data: Array, dtype: DType, layout: Any) -> Tensor:
    """A new block, with its layout checked against its rank and the warps that run."""
    check_layout(data.shape, layout)
    return Tensor(data, dtype, layout)


def check_layout(shape: tuple[int, ...], layout: Any) -> None:
    """The layout has the block's rank and is made for as many warps as the role has."""
    if layouts.is_open(layout):
        return
    if not isinstance(layout, layouts.DistributedLayout):
        refuse(f"{layout!r} is not a register layout.")
    if layout.rank is not None and layout.rank != len(shape):
        refuse(f"layout {layout} has rank {layout.rank}, the tensor shape {list(shape)}.")
    holdings.check_layout(layout)
    task = active().current()
    if layout.warps is not None and layout.warps != task.warps:
        refuse(f"{task.role} runs on {task.warps} warps, but uses {layout}, made for {layout.warps}.")


# Creation


@builtin
def arange(start: int, end: int, layout: Any = None) -> Tensor:
    if end <= start or (end - start) & (end - start - 1):
        refuse(f"arange({start}, {end}): the length must be a power of two.")
    return _placed(np.arange(start, end, dtype=np.int32), dtypes.int32, layout)


@builtin
def full(shape: Any, value: Any, dtype: DType, layout: Any = None) -> Tensor:
    scalar = values.cast(as_tensor(value), dtype) if isinstance(value, Tensor) else None
    filler = scalar.data if scalar is not None else np.asarray(value).astype(dtype.numpy)
    shape = tuple(int(extent) for extent in shape)
    return _placed(np.full(shape, filler, dtype.numpy), dtype, layout)


@builtin
def zeros(shape: Any, dtype: DType, layout: Any = None) -> Tensor:
    return full(shape, 0, dtype, layout)


@builtin
def full_like(input: Tensor, value: Any, shape: Any = None, dtype: Any = None, layout: Any = None) -> Tensor:
    return full(shape or input.shape, value, dtype or input.dtype, layout or input.layout)


@builtin
def zeros_like(input: Tensor, shape: Any = None, dtype: Any = None, layout: Any = None) -> Tensor:
    return full_like(input, 0, shape, dtype, layout)


@builtin
def to_tensor(x: Any) -> Tensor:
    return as_tensor(x)


@builtin
def allocate_shared_memory(element_ty: DType, shape: Any, layout: Any, value: Any = None) -> SharedMemory:
    """A buffer that is poison until written; named after the variable it is bound to."""
    scheduler = active()
    if not isinstance(layout, layouts.SharedLayout):
        refuse(f"allocate_shared_memory needs a shared layout, not {layout!r}.")
    line = scheduler.here().line
    name = scheduler.names.get(line, f"buffer@{line}")
    buffer = memory.allocate(name, element_ty, [int(extent) for extent in shape], layout)
    if value is not None:
        buffer.store(value)
    return buffer


# Selection and conversion


@builtin
def where(condition: Any, x: Any, y: Any) -> Tensor:
    mask = values.cast(as_tensor(condition), dtypes.int1)
    a, b = operands(x, y)
    values.check_ranks(mask, a, b)
    layout = common_layout(mask, a, b)
    return Tensor(np.where(mask.data, a.data, b.data).astype(a.dtype.numpy, copy=False), a.dtype, layout)


@builtin
def cast(input: Any, dtype: DType, fp_downcast_rounding: Any = None, bitcast: bool = False) -> Tensor:
    return as_tensor(input).to(dtype, fp_downcast_rounding, bitcast)


# The program


@builtin
def program_id(axis: int) -> Tensor:
    return as_tensor(active().program[axis])


@builtin
def num_programs(axis: int) -> Tensor:
    return as_tensor(active().grid[axis])


def num_warps() -> int:
    return active().current().warps


def num_ctas() -> int:
    return cluster.size()


def thread_barrier() -> None:
    """Threads of one role are in step here anyway."""
    active().pause()


def barrier(*, cluster: Any = False) -> None:
    """As thread_barrier; with `cluster`, of all its thread blocks."""
    if unwrap(cluster):
        cluster_barriers.barrier()
    else:
        thread_barrier()


@builtin
def static_assert(condition: Any, message: str = "") -> None:
    _claim("static_assert", condition, message)


@builtin
def device_assert(condition: Any, message: str = "", mask: Any = None) -> None:
    _claim("device_assert", as_tensor(condition) if mask is None else where(mask, condition, True), message)


def _claim(what: str, condition: Any, message: str) -> None:
    if not np.all(condition.data if isinstance(condition, Tensor) else condition):
        place = active().place(what)
        text = f": {message}" if message else ""
        raise AssertionFailed(f"{place} does not hold{text}.", location=place.where, places=(place,))


def static_print(*args: Any, **kwargs: Any) -> None:
    """Nothing: a compile-time print says nothing about the kernel."""


device_print = static_print


def _same(x: Any, *args: Any, **kwargs: Any) -> Any:
    return x


multiple_of = max_contiguous = max_constancy = _same


def assume(condition: Any) -> None:
    _claim("assume", unwrap(condition), "")


def static_range(start: Any, stop: Any = None, step: Any = 1) -> range:
    """A loop unrolled at compile time: its index is a compile-time value."""
    start, stop, step = unwrap(start), unwrap(stop), unwrap(step)
    for bound in (start, stop, step):
        if isinstance(bound, Tensor):
            refuse("the bounds of static_range must be compile-time values.")
    return range(start) if stop is None else range(start, stop, step)


@builtin
def cdiv(x: Any, div: Any) -> Any:
    if isinstance(x, Tensor) or isinstance(div, Tensor):
        return (x + (div - 1)) // div
    return -(-x // div)


METHODS = {
    "broadcast_to", "trans", "permute", "reshape", "expand_dims", "cast", "split", "join", "ravel", "cdiv", "gather",
    "atomic_add", "atomic_and", "atomic_cas", "atomic_max", "atomic_min", "atomic_or", "atomic_xchg", "atomic_xor",
    "store", "max", "min", "sum", "reduce", "xor_sum", "reduce_or", "abs", "exp", "exp2", "log", "log2", "sqrt",
    "rsqrt", "sin", "cos", "floor", "ceil",
}  # fmt: skip


@cache
def _rooms() -> tuple[ModuleType, ...]:
    from twill.emulate import atomics, inline_assembly, mathematics, pointers, reductions, shapes

    return atomics, inline_assembly, mathematics, pointers, reductions, shapes


def __getattr__(name: str) -> Any:
    for module in _rooms():
        if name in module.__all__:
            return getattr(module, name)
    raise AttributeError(name)

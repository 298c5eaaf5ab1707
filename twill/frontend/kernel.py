"""The decorator by which a kernel file says how its kernel is launched."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, TypeVar

ATTRIBUTE = "__twill_kernel__"

F = TypeVar("F")


@dataclass(frozen=True)
class KernelInfo:
    """What `twill.kernel` was told about one kernel; see there for the meaning of each field."""

    example: Callable[..., Mapping[str, Any]] | None = None
    grid: Callable[[Mapping[str, Any]], Any] | Sequence[int] | None = None
    reference: Callable[..., Mapping[str, Any]] | None = None
    tune: Mapping[str, Sequence[int]] = field(default_factory=dict)
    multiple_of: Mapping[str, str | int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if isinstance(self.tune, Mapping):  # anything else is refused where the kernel's place is known
            tune = {name: tuple(v) if isinstance(v, (list, range)) else v for name, v in self.tune.items()}
            object.__setattr__(self, "tune", MappingProxyType(tune))
        object.__setattr__(self, "multiple_of", MappingProxyType(dict(self.multiple_of)))


def kernel(
    *,
    example: Callable[..., Mapping[str, Any]] | None = None,
    grid: Callable[[Mapping[str, Any]], Any] | Sequence[int] | None = None,
    reference: Callable[..., Mapping[str, Any]] | None = None,
    tune: Mapping[str, Sequence[int]] | None = None,
    multiple_of: Mapping[str, str | int] | None = None,
) -> Callable[[F], F]:
    """Attach launch facts to a `@triton.jit` kernel and return that same kernel object.

    example: called without a GPU, returns every launch argument by name: torch tensors (or host
        tensor descriptors), scalars, constexprs. Its keyword parameters are settable by the user:
        those named like a constexpr by `-D NAME=VALUE`, the others by `--example NAME=VALUE`.
    grid: the launch grid, as a function of the dict of launch arguments, or a tuple.
    reference: called with the launch arguments by name, returns the expected outputs by argument
        name, in float64.
    tune: tile sizes the search may choose, by constexpr name, such as {"BLOCK_M": [64, 128]}. All
        combinations are compared by what the loops of the example's launch take, so `grid` must follow
        the sizes; the example's own are where the search begins, whether listed or not.
    multiple_of: integer arguments that must be a multiple of a constexpr (by name) or a number;
        generated launchers refuse other values.

    Returns a decorator. Works above `@triton.jit`, `@triton.autotune` and `@triton.heuristics`.
    """
    info = KernelInfo(example, grid, reference, tune or {}, multiple_of or {})

    def attach(function: F) -> F:
        setattr(function, ATTRIBUTE, info)
        return function

    return attach

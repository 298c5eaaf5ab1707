"""Gluon's layout classes, carried as opaque values that can be compared and checked for rank and warps.

The emulator never distributes a tensor over threads; it only checks that what the kernel combines has
the layouts the compiler would accept.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from twill.emulate.constants import unwrap


def _freeze(value: Any) -> Any:
    value = unwrap(value)
    return tuple(_freeze(item) for item in value) if isinstance(value, (list, tuple)) else value


def _listed(value: Any) -> Any:
    value = unwrap(value)
    return [_listed(item) for item in value] if isinstance(value, (list, tuple)) else value


class _Frozen:
    """Lists become tuples and constexpr wrappers go, so that equality and hashing are by value."""

    def __post_init__(self) -> None:
        for item in fields(self):  # type: ignore[arg-type]
            object.__setattr__(self, item.name, _freeze(getattr(self, item.name)))


class DistributedLayout(_Frozen):
    """How a tensor lies in registers."""

    @property
    def rank(self) -> int | None:
        return None

    @property
    def warps(self) -> int | None:
        """Warps the layout is made for; None when it says nothing about them."""
        return None


class SharedLayout(_Frozen):
    """How a buffer lies in shared memory."""


@dataclass(frozen=True)
class AutoLayout(DistributedLayout):
    pass


@dataclass(frozen=True)
class CoalescedLayout(DistributedLayout):
    pass


@dataclass(frozen=True)
class InferredLayout(DistributedLayout):
    """A layout the compiler would infer (of a permute or reshape); it combines with any other."""


ANY = InferredLayout()


@dataclass(frozen=True)
class BlockedLayout(DistributedLayout):
    size_per_thread: Any
    threads_per_warp: Any
    warps_per_cta: Any
    order: Any
    cga_layout: Any = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        ranks = {len(self.size_per_thread), len(self.threads_per_warp), len(self.warps_per_cta), len(self.order)}
        if len(ranks) != 1:
            raise ValueError(f"the lists of {self} have different lengths")

    @property
    def rank(self) -> int:
        return len(self.order)

    @property
    def warps(self) -> int:
        return math.prod(self.warps_per_cta)


@dataclass(frozen=True)
class SliceLayout(DistributedLayout):
    dim: int
    parent: Any

    @property
    def rank(self) -> int | None:
        return None if self.parent.rank is None else self.parent.rank - 1

    @property
    def warps(self) -> int | None:
        return self.parent.warps


@dataclass(frozen=True)
class DistributedLinearLayout(DistributedLayout):
    reg_bases: Any
    lane_bases: Any
    warp_bases: Any
    block_bases: Any
    shape: Any

    def __post_init__(self) -> None:
        """Lists stay lists here: kernels extend them at compile time."""
        for item in fields(self):
            object.__setattr__(self, item.name, _listed(getattr(self, item.name)))

    def __hash__(self) -> int:
        return hash(tuple(_freeze(getattr(self, item.name)) for item in fields(self)))

    @property
    def rank(self) -> int:
        return len(self.shape)

    @property
    def warps(self) -> int:
        return 1 << len(self.warp_bases)


@dataclass(frozen=True)
class NVMMADistributedLayout(DistributedLayout):
    version: Any
    warps_per_cta: Any
    instr_shape: Any
    cga_layout: Any = ()

    @property
    def rank(self) -> int:
        return len(self.warps_per_cta)

    @property
    def warps(self) -> int:
        return math.prod(self.warps_per_cta)


@dataclass(frozen=True)
class DotOperandLayout(DistributedLayout):
    operand_index: int
    parent: Any
    k_width: int

    @property
    def rank(self) -> int | None:
        return self.parent.rank

    @property
    def warps(self) -> int | None:
        return self.parent.warps


@dataclass(frozen=True)
class NVMMASharedLayout(SharedLayout):
    swizzle_byte_width: int
    element_bitwidth: int
    rank: int = 2
    transposed: bool = False
    fp4_padded: bool = False
    cga_layout: Any = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.element_bitwidth not in (8, 16, 32, 64) or self.swizzle_byte_width not in (0, 32, 64, 128):
            raise ValueError(f"{self} has a width that no Hopper instruction takes")

    @staticmethod
    def get_default_for(
        block_shape: Sequence[int],
        dtype: Any,
        transposed: bool = False,
        fp4_padded: bool = False,
        cga_layout: Any = None,
    ) -> NVMMASharedLayout:
        """The widest swizzle the innermost extent allows, as Gluon picks it."""
        shape = list(_freeze(block_shape))
        rank = len(shape)
        if transposed:
            shape = shape[1:] + shape[:1]
        width = shape[-1] * (2 if fp4_padded else 1) * dtype.primitive_bitwidth // 8
        swizzle = next((w for w in (128, 64, 32) if width >= w and width % w == 0), 0)
        if rank < 2 or math.prod(shape[:-1]) < 8:
            swizzle = 0
        return NVMMASharedLayout(swizzle, dtype.primitive_bitwidth, rank, transposed, fp4_padded, cga_layout or ())


@dataclass(frozen=True)
class SwizzledSharedLayout(SharedLayout):
    vec: int
    per_phase: int
    max_phase: int
    order: Any
    cga_layout: Any = ()


@dataclass(frozen=True)
class PaddedSharedLayout(SharedLayout):
    interval_padding_pairs: Any
    offset_bases: Any
    block_bases: Any
    shape: Any


@dataclass(frozen=True)
class SharedLinearLayout(SharedLayout):
    offset_bases: Any
    block_bases: Any = ()
    alignment: int = 16


class MBarrierLayout(SwizzledSharedLayout):
    """Layout of mbarriers; takes the block layout only, as Gluon's does."""

    def __init__(self, cga_layout: Any = None) -> None:
        super().__init__(vec=1, per_phase=1, max_phase=1, order=(0,), cga_layout=cga_layout or ())

    @staticmethod
    def multicta(num_ctas: int, two_cta: bool = False) -> MBarrierLayout:
        """A barrier of each CTA, or with `two_cta` of each pair."""
        num_ctas, two_cta = int(unwrap(num_ctas)), bool(unwrap(two_cta))
        if num_ctas & (num_ctas - 1) or num_ctas < 1 + two_cta:
            raise ValueError(f"{num_ctas} CTAs{' in pairs' if two_cta else ''}: their number must be a power of two")
        bits = num_ctas.bit_length() - 1 - two_cta
        return MBarrierLayout([*([[0]] if two_cta else []), *([1 << bit] for bit in range(bits))])


def is_open(layout: object) -> bool:
    """True for a layout still to be inferred: it agrees with every other."""
    return layout is None or isinstance(layout, (AutoLayout, CoalescedLayout, InferredLayout))


def agree(a: object, b: object) -> bool:
    """May the compiler combine two tensors of these layouts?"""
    return is_open(a) or is_open(b) or a == b or _sliced_open(a) or _sliced_open(b)


def _sliced_open(layout: object) -> bool:
    return isinstance(layout, SliceLayout) and is_open(layout.parent)


def reshaped_place(place: Sequence[int], before: Sequence[int], after: Sequence[int]) -> list[int]:
    """Where an element of a block of shape `before` is once the block is reshaped, in row-major order, to `after`."""
    flat = 0
    for at, extent in zip(place, before, strict=True):
        flat = flat * extent + at
    found = []
    for extent in reversed(after):
        flat, at = divmod(flat, extent)
        found.append(at)
    return found[::-1]

"""CGA layouts: which thread blocks (CTAs) of a cluster hold which part of a tensor.

A CGA layout is one basis for each bit of a CTA's rank in its cluster; a CTA's block coordinate is the exclusive or of
the bases of the bits that are set. A zero basis makes the CTAs that differ in that bit alone hold the same part.
In register layouts given by bases, the bases count elements; everywhere else they count parts.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from twill.emulate import layouts

Bases = tuple[tuple[int, ...], ...]
Box = tuple[slice, ...]


def bases(layout: Any) -> Bases | None:
    """The bases of a layout, in parts; None when it is still open, or says nothing of CTAs."""
    if layouts.is_open(layout):
        return None
    if isinstance(layout, layouts.SliceLayout):
        parent = bases(layout.parent)
        return None if parent is None else tuple(b[: layout.dim] + b[layout.dim + 1 :] for b in parent)
    if isinstance(layout, layouts.DotOperandLayout):
        parent = bases(layout.parent)
        if parent is None:
            return None
        return tuple(_without(b, len(b) - 1 if layout.operand_index == 0 else len(b) - 2) for b in parent)
    if hasattr(layout, "cga_layout"):
        return tuple(tuple(basis) for basis in layout.cga_layout or ())
    if hasattr(layout, "block_bases"):
        return _parts(layout)
    return None


def _without(basis: tuple[int, ...], axis: int) -> tuple[int, ...]:
    return (*basis[:axis], 0, *basis[axis + 1 :])


def _parts(layout: Any) -> Bases | None:
    """Bases in elements as bases in parts, where every part is one contiguous piece."""
    shape = getattr(layout, "shape", None)
    if not layout.block_bases:
        return ()
    if shape is None:
        extents = [2 * max(at) for at in zip(*layout.offset_bases, *layout.block_bases, strict=True)]
        shape = [extent or 1 for extent in extents]
    pieces = [extent // count for extent, count in zip(shape, splits(layout.block_bases, len(shape)), strict=True)]
    if any(at % piece for basis in layout.block_bases for at, piece in zip(basis, pieces, strict=True)):
        return None
    return tuple(tuple(at // piece for at, piece in zip(basis, pieces, strict=True)) for basis in layout.block_bases)


def splits(cga: Sequence[Sequence[int]], rank: int) -> tuple[int, ...]:
    """Into how many parts each of the last `rank` axes is divided."""
    counts = [1] * rank
    for basis in cga:
        for axis, at in enumerate(reversed(basis)):
            if at and axis < rank:
                counts[rank - 1 - axis] *= 2
    return tuple(counts)


def parts(cga: Bases) -> int:
    """Into how many different parts a tensor is divided."""
    return 1 << sum(any(basis) for basis in cga)


def replica(cga: Bases, cta: int) -> int:
    """Which of the copies of the tensor a CTA's part belongs to."""
    held = [bit for bit, basis in enumerate(cga) if not any(basis)]
    return sum((cta >> bit & 1) << place for place, bit in enumerate(held))


def replicas(cga: Bases) -> int:
    return 1 << sum(not any(basis) for basis in cga)


def lead(cga: Bases, cta: int) -> int:
    """The smallest rank of those that hold the same part as `cta`."""
    return cta & ~sum(1 << bit for bit, basis in enumerate(cga) if not any(basis))


def sharing(cga: Bases, cta: int) -> list[int]:
    """The CTAs that hold the same part as `cta`, ascending."""
    return [other for other in range(1 << len(cga)) if lead(cga, other) == lead(cga, cta)]


@functools.lru_cache(maxsize=4096)
def box(cga: Bases, shape: tuple[int, ...], cta: int) -> Box:
    """The part of a tensor of `shape` that `cta` holds. Raises ValueError when the tensor cannot be divided so."""
    rank = len(shape)
    counts = splits(cga, rank)
    at = [0] * rank
    for bit, basis in enumerate(cga):
        if cta >> bit & 1:
            for axis, step in enumerate(reversed(basis)):
                if axis < rank:
                    at[rank - 1 - axis] ^= step
    result = []
    for extent, count, place in zip(shape, counts, at, strict=True):
        if extent % count or place >= count:
            raise ValueError(f"a tensor of shape {list(shape)} is not divided by the CGA layout {list(cga)}")
        piece = extent // count
        result.append(slice(place * piece, (place + 1) * piece))
    return tuple(result)


def permuted(cga: Bases, order: Sequence[int]) -> Bases:
    """The bases of a tensor whose axes are permuted; axes before the bases' own are not divided."""
    wide = [(0,) * (len(order) - len(basis)) + basis for basis in cga]
    return tuple(tuple(basis[axis] for axis in order) for basis in wide)


def reshaped(cga: Bases, before: Sequence[int], after: Sequence[int]) -> Bases | None:
    """The bases of a tensor reshaped in row-major order; None when its parts are no longer boxes."""
    pieces = [extent // count for extent, count in zip(before, splits(cga, len(before)), strict=True)]
    places = (
        [at * piece for at, piece in zip((0,) * (len(before) - len(basis)) + basis, pieces, strict=True)]
        for basis in cga
    )
    moved = [layouts.reshaped_place(place, before, after) for place in places]
    pieces = [extent // count for extent, count in zip(after, splits(moved, len(after)), strict=True)]
    if any(at % piece for place in moved for at, piece in zip(place, pieces, strict=True)):
        return None
    return tuple(tuple(at // piece for at, piece in zip(place, pieces, strict=True)) for place in moved)


def union(boxes: Sequence[Box]) -> Box | None:
    """The box that several boxes fill together; None when they leave gaps."""
    if not boxes[0]:
        return boxes[0]
    whole = tuple(
        slice(min(b[axis].start for b in boxes), max(b[axis].stop for b in boxes)) for axis in range(len(boxes[0]))
    )
    distinct = {tuple((s.start, s.stop) for s in b) for b in boxes}
    volume = sum(math.prod(stop - start for start, stop in b) for b in distinct)
    return whole if volume == math.prod(s.stop - s.start for s in whole) else None


def mask(index: Box, shape: tuple[int, ...]) -> Any:
    """[*shape] bool: what lies inside a box."""
    inside = np.zeros(shape, np.bool_)
    inside[index] = True
    return inside

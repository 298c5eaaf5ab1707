"""Who of a cluster does what: parts of register tensors, and the CTAs a tensor core operation works for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from twill.emulate import cga, layouts
from twill.emulate.cluster import current, layout_bases
from twill.emulate.scheduler import active
from twill.emulate.values import Array


def check_layout(layout: Any) -> None:
    """A register layout that says how CTAs divide a tensor is made for as many as the cluster has."""
    given = not isinstance(layout, layouts.DistributedLinearLayout) and cga.bases(layout) is not None
    if given and current() is not None:
        layout_bases(layout, "a tensor")


def leads(layout: Any, what: str) -> bool:
    """Is the running CTA the one of lowest rank that holds its part?"""
    if current() is None:
        return True
    me = active().current().cta
    return cga.lead(layout_bases(layout, what), me) == me


def owned(shape: tuple[int, ...], layout: Any, write: bool) -> Array | None:
    """[*shape] bool: the elements of a register tensor that the running CTA loads, or stores; None for all.

    Of several CTAs with the same part only the lead stores.
    """
    here = current()
    if here is None:
        return None
    me = active().current().cta
    if not shape:
        return None if me == 0 or not write else np.zeros(shape, np.bool_)
    bases = layout_bases(layout, "an access of global memory")
    if write and cga.lead(bases, me) != me:
        return np.zeros(shape, np.bool_)
    inside: Array = cga.mask(cga.box(bases, shape, me), shape)
    return inside


def part_of(shape: tuple[int, ...], layout: Any, what: str) -> cga.Box | None:
    """The part of a register tensor that the running CTA holds; None without a cluster."""
    if current() is None:
        return None
    return cga.box(layout_bases(layout, what), shape, active().current().cta)


def gathered(data: Array, layout: Any, what: str, axis: int | None = None) -> Array:
    """A register tensor with the parts of all CTAs, where they divide it (along `axis`; None: at all).

    All CTAs meet for it, as the compiler makes them.
    """
    here = current()
    if here is None or not data.ndim:
        return data
    bases = layout_bases(layout, what)
    counts = cga.splits(bases, data.ndim)
    if (max(counts) if axis is None else counts[axis]) == 1:
        return data
    meeting = here.meet(what, brings=data)
    whole = data.copy()
    for cta, other in meeting.brought.items():
        box = cga.box(bases, data.shape, cta)
        whole[box] = other[box]
    return whole


def pair(two_ctas: bool | None = None) -> list[int]:
    """The CTAs that a tcgen05 operation of the running one works for; none when the other of its pair issues it.

    two_ctas: whether it works for pairs; None for an operation that follows the kernel's MMAs.
    """
    here = current()
    me = active().current().cta
    if here is None or not (here.two_ctas if two_ctas is None else two_ctas):
        return [me]
    return [] if me & 1 else [me, me + 1]


def committed(descs: Sequence[Any]) -> list[int]:
    """The CTAs whose barriers a tcgen05 commit of the running one reaches: those that share a tile of `descs`."""
    here = current()
    if here is None:
        return [0]
    me, held = active().current().cta, []
    for view in descs:
        bases = layout_bases(view.layout, view.path)
        held.append(sum(1 << bit for bit, basis in enumerate(bases) if not any(basis)))
    same = 1 if here.two_ctas else 0
    return [cta for cta in range(here.size) if any(not (cta ^ me) & ~(bits | same) for bits in (0, *held))]

"""A longer example: the launch whose longest program makes at least so many iterations.

Which arguments drive the loop is read off the graph, which ones the grid off the launch; their names mean nothing.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType

from twill.errors import TwillError
from twill.frontend.contents import one_range, resized
from twill.frontend.grid_arguments import grid_arguments, is_positive
from twill.frontend.launch import ArgumentSpec, Launch
from twill.frontend.trips import driving_arguments, driving_tensors, largest_trip_count, rows_aligned
from twill.ir.graph import Graph

_MOST_ELEMENTS = 1 << 25  # of a tensor of the longer example
_MORE = (*range(8), 12, 16, 24)  # iterations to aim at beyond those wanted: not all of a count need be in proportion


def lengthened(graph: Graph, launch: Launch, trip_count: int) -> Launch | None:
    """The first of `lengthenings`; None when there is none."""
    return next(lengthenings(graph, launch, trip_count), None)


def lengthenings(graph: Graph, launch: Launch, trip_count: int) -> Iterator[Launch]:
    """`launch` with larger arguments and tensors, so that its longest program makes `trip_count` iterations or more.

    One argument that drives the loop grows, all of them, or one or all with one that drives the grid (a causal loop
    needs more rows to see more columns), by the same factor. A tensor's extents that are multiples of its old value
    grow with it (and, tried behind that, those too that are its number of blocks, of a size that is a constexpr), and
    scalars that hold strides of such a tensor follow. Bounds read from memory get longer ranges: one range takes
    everything, or all grow with the argument that is their largest value. Nothing where no such launch is found; the
    launch itself alone when it is long enough.
    """
    try:
        if largest_trip_count(graph, launch) >= trip_count:
            yield launch
            return
        for name in driving_tensors(graph, launch):
            merged = launch.with_values({name: one_range(launch.argument(name).contents or ())})
            if _reaches(graph, merged, trip_count):
                yield merged
        for names, blocks in itertools.product(_candidates(graph, launch), (False, True)):
            for more in _MORE:
                longer = _scaled(graph, launch, names, trip_count + more, blocks)
                if longer is not None and _reaches(graph, longer, trip_count):
                    yield longer
                    break
    except TwillError:
        pass  # bounds that only the running kernel knows


def _candidates(graph: Graph, launch: Launch) -> Iterator[tuple[str, ...]]:
    """Arguments to grow together, single ones first."""
    driving = (*driving_arguments(graph, launch), *_bounding(graph, launch))
    others = [name for name in grid_arguments(launch) if name not in driving]
    yield from ((name,) for name in driving)
    if len(driving) > 1:  # a window, and the columns it is on
        yield driving
        yield from ((*driving, name) for name in others)
    yield from itertools.product(driving, others)
    yield from ((name,) for name in others)


def _bounding(graph: Graph, launch: Launch) -> list[str]:
    """Integer arguments that are the largest value of a tensor the loop's bounds are read from."""
    largest = {max(launch.argument(name).contents or (0,)) for name in driving_tensors(graph, launch)}
    return [spec.name for spec in launch.arguments if is_positive(spec) and spec.value in largest]


def _scaled(graph: Graph, launch: Launch, names: tuple[str, ...], trip_count: int, blocks: bool) -> Launch | None:
    """The launch with `names` larger by the factor from its own trip count to `trip_count`; None if it has no sense."""
    own = max(1, largest_trip_count(graph, launch))
    values: dict[str, int] = {}
    for name in names:
        spec = launch.argument(name)
        if not is_positive(spec):
            return None
        old = int(str(spec.value))
        unit = math.lcm(launch.multiple(name), math.gcd(old, 16))  # what the kernel was compiled for holds on
        values[name] = -(-old * trip_count // own // unit) * unit
    sizes = {int(str(launch.argument(name).value)): value for name, value in values.items()}
    units = [unit for unit in launch.constants.values() if type(unit) is int and unit > 1] if blocks else []
    counted = {
        old // unit: new // unit for old, new in sizes.items() for unit in units if old % unit == new % unit == 0
    }
    tiled = {op.operands[0] for op in graph.before if op.opcode == "descriptor"}
    tensors = {
        spec.name: _grown(spec, sizes, counted, aligned=spec.name in tiled or spec.kind == "descriptor")
        for spec in launch.arguments
        if spec.shape is not None
    }
    strides = _strides(launch, tensors)
    if strides is None or any(math.prod(spec.shape or ()) > _MOST_ELEMENTS for spec in tensors.values()):
        return None
    for spec in launch.arguments:
        if is_positive(spec) and spec.name not in values and spec.value in strides:
            values[spec.name] = strides[int(str(spec.value))]
            if values[spec.name] % launch.multiple(spec.name):
                return None
    arguments = tuple(tensors.get(spec.name, spec) for spec in launch.arguments)
    return replace(launch, arguments=arguments).with_values(values)


def _grown(
    spec: ArgumentSpec,
    sizes: Mapping[int, int],
    counted: Mapping[int, int] = MappingProxyType({}),
    *,
    aligned: bool = True,
) -> ArgumentSpec:
    """A tensor whose extents follow the arguments. Gaps between rows stay.

    sizes: old values to new ones, of which extents may be multiples. counted: old to new numbers of blocks. aligned:
    rows that begin elsewhere than before begin where TMA can read them; of a contiguous tensor that is read by
    pointers alone they follow one another.
    """
    assert spec.shape is not None
    assert spec.strides is not None
    shape = []
    for extent in spec.shape:
        old = max((size for size in sizes if extent % size == 0 and extent), default=0)
        shape.append(extent // old * sizes[old] if old else counted.get(extent, extent))
    strides = list(spec.strides)
    unit = 1 if not aligned and _contiguous(spec) else 16 if spec.dtype.startswith(("f8", "i8", "u8")) else 8
    for axis, stride in enumerate(spec.strides):
        inner = [at for at in range(len(shape)) if spec.strides[at] < stride]
        scale = math.prod(shape[at] for at in inner), max(1, math.prod(spec.shape[at] for at in inner))
        strides[axis] = stride if scale[0] == scale[1] else -(-stride * scale[0] // scale[1] // unit) * unit
    grown = replace(spec, shape=tuple(shape), strides=tuple(strides))
    return grown if spec.contents is None else replace(grown, contents=_grown_contents(spec.contents, grown, sizes))


def _contiguous(spec: ArgumentSpec) -> bool:
    """Its elements follow one another in the order of its strides."""
    extents = zip(spec.shape or (), spec.strides or (), strict=True)
    reach = 1 + sum((extent - 1) * stride for extent, stride in extents)
    return reach == math.prod(spec.shape or ())


def _grown_contents(contents: tuple[int, ...], grown: ArgumentSpec, sizes: Mapping[int, int]) -> tuple[int, ...]:
    """Of the grown tensor; where the largest value is an argument that grows, all values grow with it."""
    extents = zip(grown.shape or (), grown.strides or (), strict=True)
    contents = resized(contents, 1 + sum((extent - 1) * stride for extent, stride in extents))
    old = max(contents, default=0)
    return tuple(value * sizes[old] // old for value in contents) if old in sizes else contents


def _strides(launch: Launch, tensors: Mapping[str, ArgumentSpec]) -> dict[int, int] | None:
    """New values of the strides that changed, by old value; None when one of them becomes two different ones."""
    found: dict[int, set[int]] = {}
    for name, new in tensors.items():
        for old, stride in zip(launch.argument(name).strides or (), new.strides or (), strict=True):
            found.setdefault(old, set()).add(stride)
    held = {spec.value for spec in launch.arguments if is_positive(spec)}
    if any(len(new) > 1 for old, new in found.items() if old in held and old > 1):
        return None
    return {old: next(iter(new)) for old, new in found.items() if old > 1 and new != {old}}


def _reaches(graph: Graph, launch: Launch, trip_count: int) -> bool:
    """It runs so long, and rows start where TMA can read them, at multiples of 16 bytes."""
    if launch.grid is None or min(launch.grid) < 1:
        return False
    try:
        return rows_aligned(graph, launch) and largest_trip_count(graph, launch) >= trip_count
    except TwillError:
        return False  # programs that read behind the end of a tensor with the loop's bounds

"""How often the loop runs: its bounds evaluated on integers, for one program or a whole launch.

With an outer loop it runs once for each tile of a program. The trip count of a program is then that of its longest
tile, which is what its rings and its pipeline see of it; 0 without tiles.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from twill.errors import InputError
from twill.frontend.contents import shortened
from twill.frontend.grid_arguments import grid_arguments
from twill.frontend.launch import Launch
from twill.frontend.scalars import Program, Scalars
from twill.ir.graph import Graph, Loop, Outer, Type
from twill.ir.outer import depends_on_tile
from twill.ir.vectors import multiples

_MOST_PROGRAMS = 512  # of a grid that are looked at; a larger one is sampled evenly
_MOST_VALUES = 512  # of one argument that are tried


@dataclass(frozen=True)
class Trip:
    """Scalar arguments under which the longest-running program makes `trip_count` iterations.

    overrides: only what differs from the example: a scalar's value, or all values of a tensor that the loop's
    bounds are read from. empty: a tensor descriptor has no elements then,
    so a host must not make it as it stands (TMA refuses extents of zero).
    """

    trip_count: int
    overrides: Mapping[str, int | tuple[int, ...]]
    empty: bool = False


def trip_count(graph: Graph, launch: Launch, program: Program = (0, 0, 0)) -> int:
    """Iterations of the loop in one program, of its longest tile with an outer loop.

    Raises Unsupported when the bounds come from memory whose values the launch does not hold.
    """
    return max(tile_trips(graph, launch, program), default=0)


def tile_trips(graph: Graph, launch: Launch, program: Program = (0, 0, 0)) -> tuple[int, ...]:
    """Iterations of the loop in each tile of one program; of a single one without an outer loop.

    Raises as trip_count.
    """
    values = Scalars(graph, launch, program)
    if graph.outer is None:
        return (len(_range(graph.loop, values)),)
    tiles = _range(graph.outer, values)
    if depends_on_tile(graph).isdisjoint((graph.loop.lower, graph.loop.upper, graph.loop.step)):
        return (len(_range(graph.loop, values)),) * len(tiles) if tiles else ()
    return tuple(len(_range(graph.loop, values.of_tile(tile))) for tile in tiles)


def tile_counts(graph: Graph, launch: Launch) -> dict[Program, int]:
    """Tiles by program, for the programs that `trip_counts` looks at; 1 of each without an outer loop."""
    return {program: len(tile_trips(graph, launch, program)) for program in programs(launch)}


def _range(loop: Loop | Outer, values: Scalars) -> range:
    lower, upper, step = (int(values[name]) for name in (loop.lower, loop.upper, loop.step))
    if step <= 0:
        which = "outer loop" if isinstance(loop, Outer) else "loop"
        raise InputError(f"the {which}'s step is {step}, it must be positive.", location=loop.location)
    return range(lower, upper, step)


def trip_counts(graph: Graph, launch: Launch) -> dict[Program, int]:
    """Iterations by program, for all programs of the grid or an even sample of them. Raises as trip_count."""
    return {program: trip_count(graph, launch, program) for program in programs(launch)}


def largest_trip_count(graph: Graph, launch: Launch) -> int:
    """Iterations of the program that runs longest. Raises as trip_count."""
    return max(trip_counts(graph, launch).values(), default=0)


def programs(launch: Launch) -> Iterator[Program]:
    """The program ids of the launch, x fastest; an even sample with both ends when there are many."""
    if launch.grid is None:
        raise InputError(
            f"kernel `{launch.kernel}` has no grid.", hint="Give grid=... to @twill.kernel.", location=launch.source
        )
    x, y, z = launch.grid
    total = x * y * z
    count = min(total, _MOST_PROGRAMS)
    for i in range(count):
        at = i if count == total else i * (total - 1) // (count - 1)
        yield at % x, at // x % y, at // (x * y)


def driving_arguments(graph: Graph, launch: Launch) -> tuple[str, ...]:
    """The integer scalar arguments that the loop's bounds depend on, in signature order."""
    seen = _behind_bounds(graph)
    return tuple(
        spec.name for spec in launch.arguments
        if spec.kind == "scalar" and spec.name in seen and spec.dtype in ("i32", "i64") and spec.value is not None
    )  # fmt: skip


def driving_tensors(graph: Graph, launch: Launch) -> tuple[str, ...]:
    """The tensors of known values that the loop's bounds are read from, in signature order."""
    seen = _behind_bounds(graph)
    return tuple(spec.name for spec in launch.arguments if spec.contents is not None and spec.name in seen)


def _behind_bounds(graph: Graph) -> set[str]:
    """Every value that the loop's bounds depend on."""
    producers = graph.producers()
    todo = [graph.loop.lower, graph.loop.upper, graph.loop.step]
    seen: set[str] = set()
    while todo:
        name = todo.pop()
        if name not in seen:
            seen.add(name)
            todo += producers[name].operands if name in producers else ()
            if graph.outer is not None and name == graph.outer.index.name:
                todo += [graph.outer.lower, graph.outer.upper, graph.outer.step]
    return seen


def reachable_trips(graph: Graph, launch: Launch, wanted: Iterable[int] = range(5)) -> list[Trip]:
    """For each wanted trip count that smaller arguments can reach, the largest arguments that do.

    One argument is changed at a time, so that every access stays inside the example's tensors: an integer to a
    smaller multiple of what `multiple_of` and copies in vectors ask, the values of a tensor that the bounds are read
    from to shorter ranges (`contents.py`). Where none leaves the loop empty, as with several loops that became one,
    each is also changed with all others at their smallest. The example's own count needs no override.
    """
    missing = set(wanted)
    found: dict[int, Trip] = {}
    own = largest_trip_count(graph, launch)
    if own in missing:
        found[own] = Trip(own, {})
    least = own
    driving = list(driving_arguments(graph, launch))
    if not driving and not driving_tensors(graph, launch):
        driving = grid_arguments(launch)  # bounds that only the program's place decides: fewer programs
    for name in driving:
        for value in _smaller_values(graph, launch, name):
            if missing <= set(found):
                break
            trip = _under(graph, launch, {name: value})
            least = min(least, own if trip is None else trip.trip_count)
            if trip is not None and trip.trip_count in missing:
                found.setdefault(trip.trip_count, trip)
    if least > 0 and not missing <= set(found):
        for trip in _alone(graph, launch, driving):
            if trip.trip_count in missing:
                found.setdefault(trip.trip_count, trip)
    for name in driving_tensors(graph, launch):
        count_of = _counting(graph, launch, name)
        for count in sorted(missing - set(found)):
            contents = shortened(launch.argument(name).contents or (), count, count_of)
            if contents is not None:
                found[count] = Trip(count, {name: contents})
    return [found[count] for count in sorted(found)]


def _under(graph: Graph, launch: Launch, overrides: Mapping[str, int]) -> Trip | None:
    """The trip count under other arguments; None where they have no sense."""
    changed = launch.with_values(overrides)
    if changed.grid is None or min(changed.grid) < 1:
        return None
    try:
        count = largest_trip_count(graph, changed)
    except InputError:
        return None  # the argument is the step, and zero
    if not rows_aligned(graph, changed):
        return None
    extents = descriptor_extents(graph, changed)
    return Trip(count, overrides, any(0 in sizes for sizes, _ in extents.values()))


def _alone(graph: Graph, launch: Launch, names: Sequence[str]) -> Iterator[Trip]:
    """Trip counts with one argument at the example's value or a smaller one, and the others at their smallest."""
    smaller = {name: _smaller_values(graph, launch, name) for name in names}
    least = {name: values[-1] for name, values in smaller.items() if values}
    for name in least:
        others = {other: value for other, value in least.items() if other != name}
        for changed in ({}, *({name: value} for value in smaller[name])):
            trip = _under(graph, launch, {**others, **changed})
            if trip is not None and others:
                yield trip


def _counting(graph: Graph, launch: Launch, name: str) -> Callable[[tuple[int, ...]], int | None]:
    """The largest trip count by the contents of tensor `name`; None where a program reads outside of a tensor."""

    @cache
    def count(contents: tuple[int, ...]) -> int | None:
        try:
            return largest_trip_count(graph, launch.with_values({name: contents}))
        except InputError:
            return None

    return count


def descriptor_extents(graph: Graph, launch: Launch) -> dict[str, tuple[tuple[int, ...], tuple[int, ...]]]:
    """(sizes, strides in elements) of every tensor descriptor the kernel makes, by name."""
    values = Scalars(graph, launch, (0, 0, 0))
    found = {}
    for op in graph.before:
        if op.opcode == "descriptor":
            numbers = tuple(int(values[name]) for name in op.operands[1:])
            rank = len(numbers) // 2
            found[op.result.name] = numbers[:rank], numbers[rank:]
    return found


def _smaller_values(graph: Graph, launch: Launch, name: str) -> list[int]:
    """Values below the example's, largest first: multiples of what is asked, thinned to the loop's step if many."""
    example = launch.argument(name).value
    assert isinstance(example, int)
    unit = math.lcm(launch.multiple(name), multiples(graph).get(name, 1))
    if example // unit > _MOST_VALUES:
        steps = Scalars(graph, launch, (0, 0, 0)).get(graph.loop.step)
        unit = math.lcm(unit, int(steps) if steps else 1)
    values = [value for value in range((example - 1) // unit * unit, -1, -unit) if value < example]
    return values if len(values) <= _MOST_VALUES else values[-_MOST_VALUES:]


def rows_aligned(graph: Graph, launch: Launch) -> bool:
    """Rows of tensor descriptors begin where TMA can read them, at multiples of 16 bytes (and of 8 elements)."""
    bits = {name: Type(value.type.dtype).bits for name, value in graph.values().items()}
    return all(
        stride % max(8, 128 // bits[name]) == 0
        for name, (_, strides) in descriptor_extents(graph, launch).items()
        for stride in strides[:-1]
    )

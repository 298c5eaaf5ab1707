"""How often the loop runs: its bounds evaluated on integers, for one program or a whole launch."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from twill.errors import InputError, Unsupported
from twill.frontend.launch import Constant, Launch
from twill.ir.graph import Graph, Op

Program = tuple[int, int, int]
Number = bool | int | float

_MOST_PROGRAMS = 512  # of a grid that are looked at; a larger one is sampled evenly
_MOST_VALUES = 512  # of one argument that are tried


@dataclass(frozen=True)
class Trip:
    """Scalar arguments under which the longest-running program makes `trip_count` iterations.

    overrides: only what differs from the example. empty: a tensor descriptor has no elements then,
    so a host must not make it as it stands (TMA refuses extents of zero).
    """

    trip_count: int
    overrides: Mapping[str, int]
    empty: bool = False


def trip_count(graph: Graph, launch: Launch, program: Program = (0, 0, 0)) -> int:
    """Iterations of the loop in one program. Raises Unsupported when the bounds come from memory."""
    values = Scalars(graph, launch, program)
    lower, upper, step = (int(values[name]) for name in (graph.loop.lower, graph.loop.upper, graph.loop.step))
    if step <= 0:
        raise InputError(f"the loop's step is {step}, it must be positive.", location=graph.loop.location)
    return max(0, -(-(upper - lower) // step))


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
    producers = graph.producers()
    todo = [graph.loop.lower, graph.loop.upper, graph.loop.step]
    seen: set[str] = set()
    while todo:
        name = todo.pop()
        if name not in seen:
            seen.add(name)
            todo += producers[name].operands if name in producers else ()
    return tuple(
        spec.name for spec in launch.arguments
        if spec.kind == "scalar" and spec.name in seen and spec.dtype in ("i32", "i64") and spec.value is not None
    )  # fmt: skip


def reachable_trips(graph: Graph, launch: Launch, wanted: Iterable[int] = range(5)) -> list[Trip]:
    """For each wanted trip count that smaller arguments can reach, the largest arguments that do.

    One integer argument is changed at a time, to a smaller multiple of what `multiple_of` asks, so
    that every access stays inside the example's tensors. The example's own count needs no override.
    """
    missing = set(wanted)
    found: dict[int, Trip] = {}
    own = largest_trip_count(graph, launch)
    if own in missing:
        found[own] = Trip(own, {})
    for name in driving_arguments(graph, launch):
        for value in _smaller_values(graph, launch, name):
            if missing <= set(found):
                break
            changed = launch.with_values({name: value})
            if changed.grid is None or min(changed.grid) < 1:
                continue
            try:
                count = largest_trip_count(graph, changed)
            except InputError:
                continue  # the argument is the step, and zero
            extents = descriptor_extents(graph, changed)
            if count in missing and count not in found and _well_formed(extents):
                found[count] = Trip(count, {name: value}, any(0 in sizes for sizes, _ in extents.values()))
    return [found[count] for count in sorted(found)]


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
    unit = launch.multiple(name)
    if example // unit > _MOST_VALUES:
        steps = Scalars(graph, launch, (0, 0, 0)).get(graph.loop.step)
        unit = math.lcm(unit, int(steps) if steps else 1)
    values = [value for value in range((example - 1) // unit * unit, -1, -unit) if value < example]
    return values if len(values) <= _MOST_VALUES else values[-_MOST_VALUES:]


def _well_formed(extents: Mapping[str, tuple[tuple[int, ...], tuple[int, ...]]]) -> bool:
    """Rows start where TMA can read them: at multiples of 16 bytes, which 8 elements of 16 bits and more are."""
    return all(stride % 8 == 0 for _, strides in extents.values() for stride in strides[:-1])


class Scalars:
    """The scalar values before the loop in one program, computed when asked for.

    known: values by name, of the arguments and of what was computed; producers: the ops that can be.
    """

    def __init__(self, graph: Graph, launch: Launch, program: Program) -> None:
        self.graph = graph
        self.program = program
        self.grid = launch.grid or (1, 1, 1)
        self.known: dict[str, Constant] = dict(launch.scalars)
        self.producers = {op.result.name: op for op in graph.before if op.results}

    def get(self, name: str) -> Number | None:
        """The value, None when it cannot be known."""
        try:
            return self[name]
        except (Unsupported, InputError):
            return None

    def __getitem__(self, name: str) -> Number:
        found = self.known.get(name)
        if isinstance(found, (bool, int, float)):
            return found
        op = self.producers.get(name)
        if op is None:
            raise InputError(
                f"the loop's trip count depends on argument `{name}`, whose value is not known.",
                hint="Give @twill.kernel(example=...) with a value for it.",
                location=self.graph.loop.location,
            )
        self.known[name] = found = self.compute(op)
        return found

    def compute(self, op: Op) -> Number:
        if op.opcode == "constant" and isinstance(op.attributes["value"], (bool, int, float)):
            return op.attributes["value"]
        if op.opcode in ("program_id", "num_programs"):
            extents = self.program if op.opcode == "program_id" else self.grid
            return extents[int(str(op.attributes["axis"]))]
        if op.opcode not in _MEANINGS or op.result.type.shape:
            raise Unsupported(
                f"the loop's trip count depends on `{op.opcode}`: it is not known before the kernel runs.",
                hint="Compute the bounds from scalar arguments and program ids.",
                location=op.location or self.graph.loop.location,
            )
        return _MEANINGS[op.opcode](op, *(self[name] for name in op.operands))


def _divide(op: Op, a: int, b: int) -> int:
    """Integer division toward zero."""
    if b == 0:
        raise InputError("a division by zero in the loop's bounds.", location=op.location)
    return abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)


def _compare(op: Op, a: Number, b: Number) -> bool:
    return {"eq": a == b, "ne": a != b, "lt": a < b, "le": a <= b, "gt": a > b, "ge": a >= b}[
        str(op.attributes["predicate"])
    ]


def _cast(op: Op, a: Number) -> Number:
    if op.result.type.is_float:
        return float(a)
    if op.result.type.dtype == "i1":
        return bool(a)
    bits = op.result.type.bits
    return (int(a) + (1 << (bits - 1))) % (1 << bits) - (1 << (bits - 1))


_MEANINGS: Mapping[str, Callable[..., Number]] = {
    "add": lambda op, a, b: a + b,
    "sub": lambda op, a, b: a - b,
    "mul": lambda op, a, b: a * b,
    "div": lambda op, a, b: a / b if op.result.type.is_float else _divide(op, a, b),
    "rem": lambda op, a, b: math.fmod(a, b) if op.result.type.is_float else a - b * _divide(op, a, b),
    "max": lambda op, a, b: max(a, b),
    "min": lambda op, a, b: min(a, b),
    "and": lambda op, a, b: a & b,
    "or": lambda op, a, b: a | b,
    "xor": lambda op, a, b: a ^ b,
    "shl": lambda op, a, b: a << b,
    "shr": lambda op, a, b: a >> b,
    "neg": lambda op, a: -a,
    "abs": lambda op, a: abs(a),
    "floor": lambda op, a: float(math.floor(a)),
    "ceil": lambda op, a: float(math.ceil(a)),
    "select": lambda op, c, a, b: a if c else b,
    "cmp": _compare,
    "cast": _cast,
}

"""The sequential meaning of a Graph, on NumPy: what every later stage must preserve.

`run` executes each program of the grid, one after the other, op by op in program order.
twill.ir.elementwise says what an op computes in the two precisions, twill.ir.memory what memory is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from twill.errors import InputError, Location
from twill.ir import elementwise
from twill.ir.arguments import Bound, DescriptorArgument, bind
from twill.ir.dtypes import numpy_dtype
from twill.ir.elementwise import Precision
from twill.ir.graph import Graph, Op, Type, Value
from twill.ir.memory import Descriptor, Memory, Pointer
from twill.ir.outer import depends_on_tile

__all__ = ["DescriptorArgument", "bind", "run", "run_program", "updates"]

ProgramId = tuple[int, int, int]


def run(
    graph: Graph,
    arguments: Mapping[str, Any],
    grid: Sequence[int],
    precision: Precision = "native",
    programs: Iterable[Sequence[int]] | None = None,
) -> dict[str, np.ndarray]:
    """Executes the graph and returns the tensors it wrote, by argument name.

    arguments: by name, for each graph argument (others are ignored): a NumPy array or CPU torch
        tensor for a pointer, a number for a scalar, a DescriptorArgument for a descriptor.
    grid: number of programs along up to three axes. programs: run only these program ids.
    precision: "native" rounds as the hardware does and writes into the arguments themselves;
        "float64" rounds no float, leaves the arguments alone and returns float64 arrays.

    Raises InputError when an argument is missing or of the wrong type, CheckFailed when an access
    leaves its tensor.
    """
    memories = _run(graph, arguments, grid, precision, programs)
    return {name: memory.array for name, memory in memories.items() if memory.written}


def updates(
    graph: Graph,
    arguments: Mapping[str, Any],
    grid: Sequence[int],
    programs: Iterable[Sequence[int]] | None = None,
) -> dict[str, np.ndarray]:
    """How often atomics combine into each element of a tensor's memory, by argument name; leaves the arguments alone.

    Takes and raises what `run` does; {} without atomics.
    """
    if not any(op.opcode == "atomic" for op in graph.ops()):
        return {}
    memories = _run(graph, arguments, grid, "float64", programs)
    return {name: memory.updates for name, memory in memories.items() if memory.updates is not None}


def _run(
    graph: Graph,
    arguments: Mapping[str, Any],
    grid: Sequence[int],
    precision: Precision,
    programs: Iterable[Sequence[int]] | None,
) -> dict[str, Memory]:
    """The memory of each tensor argument after the programs have run, by name."""
    extents = _triple(grid, 1)
    environment = bind(graph, arguments, precision)
    ids: Iterable[Sequence[int]] = _program_ids(extents) if programs is None else programs
    for program in ids:
        run_program(graph, environment, _triple(program, 0), extents, precision)
    memories = [(name, _memory(bound)) for name, bound in environment.items()]
    return {name: memory for name, memory in memories if memory is not None}


def run_program(
    graph: Graph, environment: Mapping[str, Bound], program: ProgramId, grid: ProgramId, precision: Precision = "native"
) -> dict[str, Bound]:
    """Executes one program on what `bind` returned; returns the values visible at its end, by name."""
    evaluator = _Evaluator(graph, dict(environment), program, grid, precision)
    with np.errstate(all="ignore"):
        evaluator.run()
    return evaluator.values


class _Evaluator:
    """One program: the values defined so far, by name."""

    def __init__(
        self, graph: Graph, values: dict[str, Bound], program: ProgramId, grid: ProgramId, precision: Precision
    ) -> None:
        self.graph = graph
        self.values = values
        self.types = {name: value.type for name, value in graph.values().items()}
        self.program = program
        self.grid = grid
        self.precision = precision

    def run(self) -> None:
        outer = self.graph.outer
        if outer is None:
            self.turn(self.graph.before)
            return
        of_tile = depends_on_tile(self.graph)
        once = [op for op in self.graph.before if op.results and op.result.name not in of_tile]
        for op in once:
            self.execute(op)
        lower, upper, step = (int(self.array(name)) for name in (outer.lower, outer.upper, outer.step))
        outside, known = dict(self.values), {op.result.name for op in once}
        dtype = numpy_dtype(outer.index.type.dtype)
        for index in range(lower, upper, _positive(step, outer.location)):
            self.values = {**outside, outer.index.name: np.asarray(index, dtype)}
            self.turn([op for op in self.graph.before if not op.results or op.result.name not in known])

    def turn(self, before: Iterable[Op]) -> None:
        """The loop with what runs before and after it, once."""
        loop = self.graph.loop
        for op in before:
            self.execute(op)
        lower, upper, step = (int(self.array(name)) for name in (loop.lower, loop.upper, loop.step))
        outside = dict(self.values)
        carried = [self.values[c.initial] for c in loop.carried]
        dtype = numpy_dtype(loop.index.type.dtype)
        for index in range(lower, upper, _positive(step, loop.location)):
            self.values = dict(outside)
            self.values[loop.index.name] = np.asarray(index, dtype)
            self.values.update({c.argument.name: value for c, value in zip(loop.carried, carried, strict=True)})
            for op in loop.body:
                self.execute(op)
            carried = [self.values[c.yielded] for c in loop.carried]
        self.values = outside
        self.values.update({c.result.name: value for c, value in zip(loop.carried, carried, strict=True)})
        for op in self.graph.after:
            self.execute(op)

    def execute(self, op: Op) -> None:
        match op.opcode:
            case "store":
                mask = self.array(op.operands[2]) if len(op.operands) > 2 else None
                self.pointer(op.operands[0]).store(self.array(op.operands[1]), mask, op.location)
            case "atomic":
                mask = self.array(op.operands[2]) if len(op.operands) > 2 else None
                kind = str(op.attributes["kind"])
                self.pointer(op.operands[0]).update(kind, self.array(op.operands[1]), mask, op.location)
            case "descriptor_store":
                descriptor, *offsets, tile = op.operands
                self.descriptor(descriptor).store(self.integers(offsets), self.array(tile))
            case _:
                self.values[op.result.name] = self.result(op)

    def result(self, op: Op) -> Bound:
        match op.opcode:
            case "constant":
                return elementwise.constant(op.attributes["value"], op.result.type, self.precision)
            case "arange":
                return np.arange(op.attributes["start"], op.attributes["end"], dtype=np.int32)  # type: ignore[arg-type]
            case "program_id":
                return np.asarray(self.program[op.attributes["axis"]], np.int32)  # type: ignore[index]
            case "num_programs":
                return np.asarray(self.grid[op.attributes["axis"]], np.int32)  # type: ignore[index]
            case "load" | "async_load":
                pointer, *rest = op.operands
                mask, other = (*(self.array(name) for name in rest), None, None)[:2]
                return self.pointer(pointer).load(mask, other, op.location)
            case "addptr":
                pointer, offset = op.operands
                base = self.pointer(pointer)
                return Pointer(base.memory, base.offset + self.array(offset).astype(np.int64))
            case "descriptor":
                return self.make_descriptor(op)
            case "descriptor_load":
                return self.descriptor(op.operands[0]).load(self.integers(op.operands[1:]), op.result.type)
        if op.result.type.kind == "pointer":
            return self.moved(op)
        types = [self.types[name] for name in op.operands]
        return elementwise.compute(op, [self.array(name) for name in op.operands], types, self.precision)

    def make_descriptor(self, op: Op) -> Descriptor:
        rank = len(op.result.type.shape)
        base = self.pointer(op.operands[0])
        sizes, strides = self.integers(op.operands[1 : 1 + rank]), self.integers(op.operands[1 + rank :])
        descriptor = Descriptor(base.memory, int(base.offset), sizes, strides, op.result.type.shape)
        descriptor.check(op.location)
        return descriptor

    def moved(self, op: Op) -> Pointer:
        """A shape op or a select on pointers: the same on their offsets."""
        bound = [self.values[name] for name in op.operands]
        memories = {id(x.memory): x.memory for x in bound if isinstance(x, Pointer)}
        if len(memories) != 1:
            raise InputError(
                f"%{op.result.name} chooses between pointers into different tensors.", location=op.location
            )
        offsets = [x.offset if isinstance(x, Pointer) else np.asarray(x) for x in bound]
        types = [
            Type("i64", self.types[n].shape) if self.types[n].kind == "pointer" else self.types[n] for n in op.operands
        ]
        as_integers = Op(
            op.opcode, op.operands, (Value(op.result.name, Type("i64", op.result.type.shape)),), op.attributes
        )
        return Pointer(next(iter(memories.values())), elementwise.compute(as_integers, offsets, types, self.precision))

    def array(self, name: str) -> np.ndarray:
        return self.values[name]  # type: ignore[return-value]

    def pointer(self, name: str) -> Pointer:
        return self.values[name]  # type: ignore[return-value]

    def descriptor(self, name: str) -> Descriptor:
        return self.values[name]  # type: ignore[return-value]

    def integers(self, names: Sequence[str]) -> tuple[int, ...]:
        return tuple(int(self.array(name)) for name in names)


def _memory(bound: Bound) -> Memory | None:
    return bound.memory if isinstance(bound, Pointer | Descriptor) else None


def _program_ids(grid: Sequence[int]) -> Iterator[ProgramId]:
    for z in range(grid[2]):
        for y in range(grid[1]):
            for x in range(grid[0]):
                yield x, y, z


def _triple(extents: Sequence[int], missing: int) -> ProgramId:
    x, y, z = (*(int(n) for n in extents), *(missing,) * 3)[:3]
    return x, y, z


def _positive(step: int, where: Location | None) -> int:
    if step <= 0:
        raise InputError(f"the loop's step is {step}, not positive.", location=where)
    return step

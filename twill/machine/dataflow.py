"""How values reach the ops of the loop body: through free ops, through carried values, across iterations.

A *free* op belongs to no scheduling op: whoever uses its result recomputes it. Free are shape ops
(constant, splat, broadcast, trans, ...), arithmetic on scalars, index vectors (arithmetic on
constants, aranges and scalars), and the addresses of what the loader fetches. Dependences flow through
free ops as if they were not there.
"""

from __future__ import annotations

from dataclasses import dataclass

from twill.ir.addresses import address_values
from twill.ir.graph import Graph, Op, Type, Value
from twill.ir.opcodes import MEMORY, SHAPE, SOURCES

SHAPE_OPS = SHAPE | SOURCES | {"bitcast", "descriptor", "addptr"}
HEAVY_OPS = MEMORY | {"dot", "reduce"}


@dataclass(frozen=True)
class Source:
    """Where an operand comes from.

    op: index in the body of the op that computes it, None when it is defined before the loop. value: its
    name before free ops took it further (a result, a carried argument, or a value from before the loop).
    distance: iterations ago. transposed: a `trans` lies between.
    """

    op: int | None
    value: str
    distance: int = 0
    transposed: bool = False


@dataclass(frozen=True)
class Use:
    """Operand `position` of body op `consumer` reads what body op `producer` computed `distance` iterations ago."""

    producer: int
    consumer: int
    position: int
    source: Source


class Dataflow:
    """The body of a graph seen from its non-free ops, numbered by their index in the body."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.body = graph.loop.body
        self._carried = {c.argument.name: c for c in graph.loop.carried}
        self._index = {value.name: i for i, op in enumerate(self.body) for value in op.results}
        self.types: dict[str, Type] = {name: value.type for name, value in graph.values().items()}
        self._free = _free_values(graph)
        self.producers = graph.producers()
        self.active = tuple(i for i, op in enumerate(self.body) if not self.is_free(op))
        self.uses: dict[int, list[Use]] = {i: [] for i in self.active}
        for consumer in self.active:
            for use in self.operands(consumer):
                self.uses[use.producer].append(use)
        self.axes = _vector_axes(graph)

    def is_free(self, op: Op) -> bool:
        return bool(op.results) and all(value.name in self._free for value in op.results)

    def operands(self, consumer: int) -> list[Use]:
        """The uses that body op `consumer` makes of what the body computes."""
        return [
            Use(source.op, consumer, position, source)
            for position, name in enumerate(self.body[consumer].operands)
            for source in self.sources(name)
            if source.op is not None
        ]

    def sources(self, name: str) -> list[Source]:
        """All sources of a value, each with its least distance."""
        found: dict[tuple[int | None, str, bool], Source] = {}
        pending = [(name, 0, False)]
        seen: set[tuple[str, bool]] = set()
        while pending:
            # nearest iteration first, so that the first visit has the least distance
            pending.sort(key=lambda item: item[1])
            name, distance, transposed = pending.pop(0)
            if (name, transposed) in seen:
                continue
            seen.add((name, transposed))
            if name in self._carried:
                yielded = self._carried[name].yielded
                if yielded in self._index and yielded not in self._free:
                    source = Source(self._index[yielded], name, distance + 1, transposed)
                    found.setdefault((source.op, name, transposed), source)
                else:
                    pending.append((yielded, distance + 1, transposed))
                continue
            op = self.producers.get(name)
            if op is not None and name in self._free:
                flipped = transposed != (op.opcode == "trans")
                pending += [(operand, distance, flipped) for operand in op.operands]
                continue
            source = Source(self._index.get(name), name, distance, transposed)
            found.setdefault((source.op, name, transposed), source)
        return list(found.values())

    def precedes(self, first: int, last: int) -> bool:
        """Body op `last` depends on body op `first` of the same iteration."""
        pending, seen = [first], {first}
        while pending:
            for use in self.uses[pending.pop()]:
                if use.source.distance == 0 and use.consumer not in seen:
                    seen.add(use.consumer)
                    pending.append(use.consumer)
        return last in seen - {first}

    def indirections(self, name: str) -> int:
        """How many loads of the loop, each found by the one before, lead to an address."""
        index = self._index.get(name)
        if index is None or name not in self._free:
            return 0
        op = self.body[index]
        return max(map(self.indirections, op.operands), default=0) + (op.opcode == "load")

    def axis(self, name: str) -> int | None:
        """0 for a vector over the rows of a tile, 1 over its columns; None when there is no 2-D tile about it."""
        return self.axes.get(name)


def is_vector(type: Type) -> bool:
    """At most one axis longer than 1."""
    return sum(extent != 1 for extent in type.shape) <= 1


def _free_values(graph: Graph) -> set[str]:
    """Names of the results of free ops, before and in the loop."""
    ops = (*graph.before, *graph.loop.body)
    addresses = address_values(graph)
    inside = {id(op) for op in graph.loop.body if op.opcode == "load"}  # the loader loads its indices itself
    free = {v.name for op in ops for v in op.results if _always_free(op)}
    # A carried tensor is state: what is computed from it is scheduled, never recomputed.
    scheduled = {c.argument.name for c in graph.loop.carried if c.argument.type.shape}
    for op in ops:
        from_state = bool(scheduled & set(op.operands))
        address = op.results and op.results[0].name in addresses and (op.opcode not in HEAVY_OPS or id(op) in inside)
        if op.results and not from_state and (address or _index_arithmetic(op)):
            free.add(op.results[0].name)
        if from_state or not all(value.name in free for value in op.results):
            scheduled |= {value.name for value in op.results}
    return free


def _index_arithmetic(op: Op) -> bool:
    type = op.results[0].type
    return op.opcode not in HEAVY_OPS and is_vector(type) and not type.is_float


def _always_free(op: Op) -> bool:
    if op.opcode in SHAPE_OPS:
        return True
    return op.opcode not in HEAVY_OPS and bool(op.results) and not op.results[0].type.shape


def _vector_axes(graph: Graph) -> dict[str, int]:
    """Which axis of the tiles each 1-D value runs along, from reductions and expand_dims, spread through arithmetic."""
    types = {name: value.type for name, value in graph.values().items()}
    axes: dict[str, int] = {}
    same: list[tuple[str, ...]] = [
        (c.argument.name, c.initial, c.yielded, c.result.name)
        for c in graph.loop.carried
        if len(c.argument.type.shape) == 1
    ]
    # A vector loaded in the loop lies as its mask and the indices it is found by.
    fetching = {id(op) for op in graph.loop.body if op.opcode in ("load", "addptr")}
    for op in graph.ops():
        if op.opcode == "reduce" and len(types[op.operands[0]].shape) == 2:
            axes[op.result.name] = 0 if op.attributes["axis"] == 1 else 1
        elif op.opcode == "expand_dims" and len(types[op.operands[0]].shape) == 1:
            axes.setdefault(op.operands[0], 0 if op.attributes["axis"] == 1 else 1)
        elif (op.opcode not in SHAPE_OPS | HEAVY_OPS or id(op) in fetching) and _is_1d(op.results):
            same.append((op.result.name, *(o for o in op.operands if len(types[o].shape) == 1)))
    constants = {v.name for op in graph.ops() if op.opcode in ("constant", "splat") for v in op.results}
    changed = True
    while changed:
        changed = False
        for names in same:
            names = tuple(name for name in names if name not in constants)
            known = next((axes[name] for name in names if name in axes), None)
            for name in names:
                if known is not None and name not in axes:
                    axes[name] = known
                    changed = True
    return axes


def _is_1d(results: tuple[Value, ...]) -> bool:
    return len(results) == 1 and len(results[0].type.shape) == 1

"""Removes work from a Graph without changing what it means: a valid graph in, a valid graph out.

`simplify` folds constants, shares equal pure ops, moves loop-invariant ones out of the body and
drops what nobody uses, until nothing changes. Names, locations and the order of what stays are kept.

What moves out of the body are scalars, constants, shape ops and vectors. Whole tiles of arithmetic
stay: computed once before the loop they would hold registers through all of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np

from twill.ir import elementwise
from twill.ir.graph import Attribute, Graph, Loop, Op, Outer, Type
from twill.ir.induction import replace_inductions
from twill.ir.opcodes import ELEMENTWISE, PURE, SHAPE, SOURCES, STORES
from twill.ir.outer import invariants_first

Range = TypeVar("Range", Loop, Outer)


def simplify(graph: Graph) -> Graph:
    """The graph without constant, repeated, loop-invariant and unused work, nor induction variables."""
    while True:
        smaller = drop_unused(hoist_invariants(share_equal(replace_inductions(fold_constants(graph)))))
        smaller = invariants_first(smaller)
        if smaller == graph:
            return graph
        graph = smaller


def fold_constants(graph: Graph) -> Graph:
    """Scalar ops on constants become constants, as do splats and reshapings of constants; masks that hold go."""
    constants: dict[str, Op] = {}

    def folded(op: Op) -> Op:
        if op.opcode == "constant":
            constants[op.result.name] = op
            return op
        if op.opcode == "atomic" and len(op.operands) == 3 and _holds(constants.get(op.operands[2])):
            return replace(op, operands=op.operands[:2])
        if not op.operands or any(name not in constants for name in op.operands):
            return op
        if op.opcode in SHAPE:
            made = replace(op, opcode="constant", operands=(), attributes=constants[op.operands[0]].attributes)
        elif op.opcode in ELEMENTWISE and op.result.type.shape == ():
            made = replace(op, opcode="constant", operands=(), attributes={"value": _fold(op, constants)})
        else:
            return op
        constants[op.result.name] = made
        return made

    return _each(graph, folded)


def _holds(mask: Op | None) -> bool:
    """The mask is known and true everywhere."""
    return mask is not None and mask.attributes["value"] is True


def _fold(op: Op, constants: Mapping[str, Op]) -> Attribute:
    producers = [constants[name] for name in op.operands]
    types = [producer.result.type for producer in producers]
    with np.errstate(all="ignore"):
        values = [elementwise.constant(p.attributes["value"], p.result.type, "native") for p in producers]
        found: Attribute = elementwise.compute(op, values, types, "native").item()
    return float(found) if op.result.type.is_float else found  # type: ignore[arg-type]


def share_equal(graph: Graph) -> Graph:
    """Of several equal pure ops visible to one another, the first one stands for all."""
    renamed: dict[str, str] = {}

    def shared(ops: Sequence[Op], known: dict[object, str]) -> tuple[Op, ...]:
        kept = []
        for op in ops:
            op = replace(op, operands=tuple(renamed.get(name, name) for name in op.operands))
            if op.opcode in PURE:
                first = known.setdefault(_identity(op), op.result.name)
                if first != op.result.name:
                    renamed[op.result.name] = first
                    continue
            kept.append(op)
        return tuple(kept)

    known: dict[object, str] = {}
    before = shared(graph.before, known)
    body = shared(graph.loop.body, dict(known))
    after = shared(graph.after, dict(known))
    outer = _rename_range(graph.outer, renamed) if graph.outer is not None else None
    return replace(graph, before=before, loop=_rename(graph.loop, body, renamed), after=after, outer=outer)


def _identity(op: Op) -> object:
    """Equal for ops that compute the same value; 0.0 and -0.0, or 1 and True, are not the same."""
    attributes = tuple(sorted((key, type(value).__name__, repr(value)) for key, value in op.attributes.items()))
    return op.opcode, op.operands, attributes, op.result.type, op.subtile


def hoist_invariants(graph: Graph) -> Graph:
    """Cheap pure ops of the body whose operands are defined before the loop move there."""
    loop = graph.loop
    inside = {loop.index.name, *(carried.argument.name for carried in loop.carried)}
    moved, kept = [], []
    for op in loop.body:
        if op.opcode in PURE and _is_cheap(op) and inside.isdisjoint(op.operands):
            moved.append(op)
        else:
            kept.append(op)
            inside.update(value.name for value in op.results)
    return replace(graph, before=(*graph.before, *moved), loop=replace(loop, body=tuple(kept)))


def _is_cheap(op: Op) -> bool:
    """Holds no registers of a whole tile through the loop."""
    if op.opcode in SHAPE | SOURCES | {"descriptor"}:
        return True
    return op.opcode in ELEMENTWISE | {"addptr"} and _axes(op.result.type) <= 1


def _axes(type: Type) -> int:
    return sum(extent > 1 for extent in type.shape)


def drop_unused(graph: Graph) -> Graph:
    """Without pure ops and loads nobody uses, and without carried values that only feed themselves."""
    loop = graph.loop
    live = {name for each in (loop, graph.outer) if each is not None for name in (each.lower, each.upper, each.step)}
    for op in graph.ops():
        if op.opcode in STORES:
            live.update(op.operands)
    producers = graph.producers()
    sources = {name: c for c in loop.carried for name in (c.argument.name, c.result.name)}
    pending = list(live)
    while pending:
        name = pending.pop()
        needed: tuple[str, ...] = ()
        if name in producers:
            needed = producers[name].operands
        elif name in sources:
            carried = sources[name]
            needed = (carried.argument.name, carried.result.name, carried.initial, carried.yielded)
        fresh = [operand for operand in needed if operand not in live]
        live.update(fresh)
        pending += fresh

    def used(ops: Sequence[Op]) -> tuple[Op, ...]:
        return tuple(op for op in ops if op.opcode in STORES or op.result.name in live)

    kept = tuple(carried for carried in loop.carried if carried.argument.name in live)
    loop = replace(loop, carried=kept, body=used(loop.body))
    return replace(graph, before=used(graph.before), loop=loop, after=used(graph.after))


def _each(graph: Graph, function: Callable[[Op], Op]) -> Graph:
    """The graph with every op replaced, in program order."""
    before = tuple(function(op) for op in graph.before)
    body = tuple(function(op) for op in graph.loop.body)
    after = tuple(function(op) for op in graph.after)
    return replace(graph, before=before, loop=replace(graph.loop, body=body), after=after)


def _rename(loop: Loop, body: tuple[Op, ...], renamed: Mapping[str, str]) -> Loop:
    def name(value: str) -> str:
        return renamed.get(value, value)

    carried = tuple(replace(c, initial=name(c.initial), yielded=name(c.yielded)) for c in loop.carried)
    return replace(_rename_range(loop, renamed), carried=carried, body=body)


def _rename_range(loop: Range, renamed: Mapping[str, str]) -> Range:
    bounds = {role: getattr(loop, role) for role in ("lower", "upper", "step")}
    return replace(loop, **{role: renamed.get(value, value) for role, value in bounds.items()})

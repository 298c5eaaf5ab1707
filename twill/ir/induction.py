"""Turns scalars that every iteration moves by a fixed step into functions of the loop index.

    off = 0                                for k in range(lower, upper, step):
    for k in range(lower, upper, step):        off = 0 + by * ((k - lower) / step)
        ...; off += by               ->        ...

Loads of different iterations then depend on nothing but the iteration's number, so a loader may run
ahead. A valid graph in, a valid graph out.
"""

from __future__ import annotations

from dataclasses import replace

from twill.ir.graph import Carried, Graph, Op, Type, Value

_SIGNED = {"signed": True}


def replace_inductions(graph: Graph) -> Graph:
    """The graph without loop-carried integers that change by a loop-invariant step."""
    body = {value.name: op for op in graph.loop.body for value in op.results}
    used_after = {name for op in graph.after for name in op.operands}
    inside = set(body) | {carried.argument.name for carried in graph.loop.carried} | {graph.loop.index.name}
    prefix: list[Op] = []
    kept: list[Carried] = []
    for carried in graph.loop.carried:
        by = induction_step(carried, body, inside)
        if by is None or carried.result.name in used_after:
            kept.append(carried)
        else:
            prefix += _function_of_index(graph, carried, by)
    if not prefix:
        return graph
    loop = replace(graph.loop, carried=tuple(kept), body=(*prefix, *graph.loop.body))
    return replace(graph, loop=loop)


def induction_step(carried: Carried, body: dict[str, Op], inside: set[str]) -> tuple[str, str] | None:
    """(opcode, value) by which the carried scalar changes each time; None when it is no induction variable."""
    type = carried.argument.type
    op = body.get(carried.yielded)
    if type.shape or type.kind != "value" or not type.dtype.startswith("i") or op is None:
        return None
    name = carried.argument.name
    if op.opcode not in {"add", "sub"} or name not in op.operands:
        return None
    if op.opcode == "sub" and op.operands[0] != name:
        return None
    by = op.operands[1] if op.operands[0] == name else op.operands[0]
    return None if by in inside else (op.opcode, by)


def _function_of_index(graph: Graph, carried: Carried, by: tuple[str, str]) -> list[Op]:
    """Ops that compute the carried argument, under its own name, from the loop index."""
    loop, name = graph.loop, carried.argument.name
    opcode, step = by
    index_type, type = loop.index.type, carried.argument.type

    def op(code: str, result: str, type: Type, *operands: str) -> Op:
        attributes = {} if code in {"add", "sub", "mul"} else _SIGNED
        return Op(code, operands, (Value(result, type),), attributes, loop.location)

    ops = [op("sub", f"{name}.past", index_type, loop.index.name, loop.lower)]
    past = f"{name}.past"
    if step != loop.step:
        ops.append(op("div", f"{name}.turn", index_type, past, loop.step))
        past = f"{name}.turn"
    if index_type.dtype != type.dtype:
        ops.append(op("cast", f"{name}.count", type, past))
        past = f"{name}.count"
    if step != loop.step:
        ops.append(op("mul", f"{name}.moved", type, past, step))
        past = f"{name}.moved"
    ops.append(op(opcode, name, type, carried.initial, past))
    return ops

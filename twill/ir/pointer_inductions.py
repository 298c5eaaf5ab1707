"""Turns pointers that every iteration moves by a fixed step into functions of the loop index.

    at = a + rows[:, None] * S + cols[None, :]        for k in range(lower, upper, step):
    for k in range(lower, upper, step):                   at = (a + ...) + by * ((k - lower) / step)
        ...; at += by                          ->         ...

As `twill.ir.induction` does for integers: a loader may run ahead then. A valid graph in, a valid graph out.
"""

from __future__ import annotations

from dataclasses import replace

from twill.ir.graph import Carried, Graph, Op, Type, Value


def pointers_of_index(graph: Graph) -> Graph:
    """The graph without loop-carried pointers that move by a loop-invariant step and are not used after the loop."""
    body = {value.name: op for op in graph.loop.body for value in op.results}
    inside = set(body) | {carried.argument.name for carried in graph.loop.carried} | {graph.loop.index.name}
    used_after = {name for op in graph.after for name in op.operands}
    prefix: list[Op] = []
    kept: list[Carried] = []
    for carried in graph.loop.carried:
        op = body.get(carried.yielded)
        moved = op is not None and op.opcode == "addptr" and op.operands[0] == carried.argument.name
        if op is None or not moved or op.operands[1] in inside or carried.result.name in used_after:
            kept.append(carried)
        else:
            prefix += _function_of_index(graph, carried, op.operands[1])
    if not prefix:
        return graph
    loop = replace(graph.loop, carried=tuple(kept), body=(*prefix, *graph.loop.body))
    return replace(graph, loop=loop)


def _function_of_index(graph: Graph, carried: Carried, by: str) -> list[Op]:
    """Ops that compute the carried pointers, under their own name, from the loop index."""
    loop, name = graph.loop, carried.argument.name
    step = graph.values()[by].type
    number = Type(step.dtype)

    def op(opcode: str, suffix: str, type: Type, *operands: str) -> Op:
        signed = {"signed": True} if opcode in ("div", "cast") else {}
        return Op(opcode, operands, (Value(f"{name}{suffix}", type),), signed, loop.location)

    ops = [
        op("sub", ".past", loop.index.type, loop.index.name, loop.lower),
        op("div", ".turn", loop.index.type, f"{name}.past", loop.step),
    ]
    if loop.index.type != number:
        ops.append(op("cast", ".count", number, f"{name}.turn"))
    if step.shape:
        ops.append(op("splat", ".counts", step, ops[-1].result.name))
    ops.append(op("mul", ".moved", step, ops[-1].result.name, by))
    ops.append(op("addptr", "", carried.argument.type, carried.initial, f"{name}.moved"))
    return ops

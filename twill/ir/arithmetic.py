"""How much arithmetic goes into an output of a kernel, for the tolerance of its result."""

from __future__ import annotations

from twill.ir.graph import Graph

_NARROW = ("f8e5m2", "f8e4m3", "bf16", "f16")


def arithmetic(graph: Graph, trip_count: int, additions: int = 0) -> tuple[int, str, int]:
    """(terms summed into an output, narrowest float a value is rounded to, how often), read off the graph.

    Every dot's products pass into the output, those of the loop once per iteration. A value is rounded to
    a narrow type where an op makes one from wider ones; sub-tiles repeat the ops, so one of them counts.
    additions: the most atomics that combine into one element, each a sum of so many terms of its own.
    """
    types = {name: value.type for name, value in graph.values().items()}
    length, roundings, narrow = 1, 0, "f32"
    body = set(map(id, graph.loop.body))
    for op in graph.ops():
        if op.subtile not in (None, 0):
            continue
        if op.opcode == "dot":
            inner = types[op.operands[0]].shape[1]
            length += inner * (max(1, trip_count) if id(op) in body else 1)
            if types[op.operands[0]].dtype == "f32":  # tf32 keeps the 11 bits of an f16
                roundings, narrow = roundings + 4, _narrower(narrow, "f16")
        if op.opcode == "atomic" and types[op.operands[1]].dtype in _NARROW:  # memory is rounded each time
            roundings, narrow = roundings + additions, _narrower(narrow, types[op.operands[1]].dtype)
        if op.opcode in ("reduce",):
            length += types[op.operands[0]].shape[int(str(op.attributes["axis"]))]
        for value in op.results:
            computed = op.opcode not in ("load", "descriptor_load", "constant", "trans", "broadcast", "expand_dims")
            if computed and value.type.kind == "value" and value.type.dtype in _NARROW:
                roundings, narrow = roundings + 1, _narrower(narrow, value.type.dtype)
    return length * max(1, additions), narrow, max(2, roundings)


def _narrower(a: str, b: str) -> str:
    order = [*_NARROW, "f32", "f64"]
    return min(a, b, key=order.index)

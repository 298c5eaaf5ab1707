"""Which kernel arguments a graph reads and which it writes."""

from __future__ import annotations

from twill.ir.graph import Graph, Op

_READS = frozenset({"load", "descriptor_load"})
_WRITES = frozenset({"store", "descriptor_store"})
_ADDRESS = frozenset({"descriptor", "addptr", "splat", "broadcast", "expand_dims", "trans", "reshape", "select"})


def accesses(graph: Graph) -> dict[str, str]:
    """ "r", "w" or "rw" for every tensor argument that is accessed at all."""
    roots: dict[str, set[str]] = {value.name: {value.name} for value in graph.arguments if value.type.kind != "value"}
    for carried in graph.loop.carried:
        if carried.argument.type.kind == "pointer":
            roots[carried.argument.name] = set()  # filled below, once its initial value is known
    found: dict[str, set[str]] = {}
    for op in graph.before:
        _visit(op, roots, found)
    for carried in graph.loop.carried:
        if carried.argument.type.kind == "pointer":
            for name in (carried.argument.name, carried.result.name):
                roots[name] = roots.get(carried.initial, set())
    for op in (*graph.loop.body, *graph.after):
        _visit(op, roots, found)
    return {name: "".join(sorted(modes)) for name, modes in found.items()}


def _visit(op: Op, roots: dict[str, set[str]], found: dict[str, set[str]]) -> None:
    if op.opcode in _READS or op.opcode in _WRITES:
        for name in roots.get(op.operands[0], ()):
            found.setdefault(name, set()).add("r" if op.opcode in _READS else "w")
    elif op.opcode in _ADDRESS and op.result.type.kind != "value":
        roots[op.result.name] = set().union(*(roots.get(name, set()) for name in op.operands))

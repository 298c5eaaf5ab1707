"""Which kernel arguments a graph reads and which it writes."""

from __future__ import annotations

from twill.ir.graph import Graph, Op

_READS = frozenset({"load", "async_load", "descriptor_load"})
_WRITES = frozenset({"store", "descriptor_store"})
_UPDATES = frozenset({"atomic"})  # read what they write
_ADDRESS = frozenset({"descriptor", "addptr", "splat", "broadcast", "expand_dims", "trans", "reshape", "select"})


def accesses(graph: Graph) -> dict[str, str]:
    """ "r", "w" or "rw" for every tensor argument that is accessed at all."""
    found: dict[str, set[str]] = {}
    for opcode, names in _accessing(graph):
        for name in names:
            modes = "rw" if opcode in _UPDATES else "r" if opcode in _READS else "w"
            found.setdefault(name, set()).update(modes)
    return {name: "".join(sorted(modes)) for name, modes in found.items()}


def read_by_pointers(graph: Graph) -> set[str]:
    """The tensor arguments that are read by pointers."""
    return {name for opcode, names in _accessing(graph) if opcode in ("load", "async_load") for name in names}


def _accessing(graph: Graph) -> list[tuple[str, set[str]]]:
    """Every op that reads or writes memory: its opcode and the tensor arguments it may reach."""
    roots: dict[str, set[str]] = {value.name: {value.name} for value in graph.arguments if value.type.kind != "value"}
    for carried in graph.loop.carried:
        if carried.argument.type.kind == "pointer":
            roots[carried.argument.name] = set()  # filled below, once its initial value is known
    found: list[tuple[str, set[str]]] = []
    for op in graph.before:
        _visit(op, roots, found)
    for carried in graph.loop.carried:
        if carried.argument.type.kind == "pointer":
            for name in (carried.argument.name, carried.result.name):
                roots[name] = roots.get(carried.initial, set())
    for op in (*graph.loop.body, *graph.after):
        _visit(op, roots, found)
    return found


def _visit(op: Op, roots: dict[str, set[str]], found: list[tuple[str, set[str]]]) -> None:
    if op.opcode in _READS | _WRITES | _UPDATES:
        found.append((op.opcode, roots.get(op.operands[0], set())))
    elif op.opcode in _ADDRESS and op.result.type.kind != "value":
        roots[op.result.name] = set().union(*(roots.get(name, set()) for name in op.operands))

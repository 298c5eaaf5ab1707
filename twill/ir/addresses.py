"""The values that only the addresses and masks of what the loader fetches are made of.

The loader computes these *address values*, whatever group computes the rest. Among them are indices that the loop
loads (a page of a page table).
"""

from __future__ import annotations

from twill.ir.graph import Graph, Op
from twill.ir.opcodes import ELEMENTWISE, FETCHES, SHAPE, SOURCES


def address_values(graph: Graph) -> frozenset[str]:
    """Values before and in the loop whose every use is in addresses or masks of what the loader fetches in it."""
    if not any(op.opcode in FETCHES for op in graph.loop.body):
        return frozenset()
    pure = ELEMENTWISE | SHAPE | SOURCES | {"addptr", "load"}
    loop = graph.loop
    elsewhere = {loop.lower, loop.upper, loop.step} | {name for op in graph.after for name in op.operands}
    elsewhere |= {name for carried in loop.carried for name in (carried.initial, carried.yielded)}
    if graph.outer is not None:
        elsewhere |= {graph.outer.lower, graph.outer.upper, graph.outer.step}
    users: dict[str, list[Op]] = {}
    for op in (*graph.before, *loop.body):
        for name in op.operands:
            users.setdefault(name, []).append(op)
    found: set[str] = set()
    for op in reversed((*graph.before, *loop.body)):
        if not op.results or op.opcode not in pure or op.result.name in elsewhere:
            continue
        uses = users.get(op.result.name, [])
        if uses and all(use.opcode in FETCHES or (use.results and use.result.name in found) for use in uses):
            found.add(op.result.name)
    return frozenset(found)

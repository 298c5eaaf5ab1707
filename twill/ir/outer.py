"""The loop around the loop: what of a graph belongs to one of its turns, a tile, and what is the same for all."""

from __future__ import annotations

from dataclasses import replace

from twill.ir.graph import Graph


def depends_on_tile(graph: Graph) -> frozenset[str]:
    """The outer loop's index and the values before the inner loop that depend on it; none without an outer loop."""
    if graph.outer is None:
        return frozenset()
    found = {graph.outer.index.name}
    for op in graph.before:
        if not found.isdisjoint(op.operands):
            found |= {value.name for value in op.results}
    return frozenset(found)


def invariants_first(graph: Graph) -> Graph:
    """The graph with the ops before the inner loop that are the same for all tiles ahead of the others, as its text
    has them; stores among them keep their place."""
    if graph.outer is None:
        return graph
    of_tile = depends_on_tile(graph)
    later = [op for op in graph.before if not op.results or op.result.name in of_tile]
    ahead = [op for op in graph.before if op.results and op.result.name not in of_tile]
    return replace(graph, before=(*ahead, *later))

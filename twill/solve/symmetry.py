"""Which ops of a problem may be exchanged for one another, such as those of like sub-tiles."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import islice

from twill.schedule.problem import Problem

MOST = 24  # exchanges looked at; four like sub-tiles have as many


def exchanges(problem: Problem) -> tuple[Mapping[str, str], ...]:
    """Ways to rename the ops that leave the problem as it is, at most 24; the first changes nothing.

    Applied to a valid schedule, each gives a valid schedule with the same tiers.
    """
    import networkx
    from networkx.algorithms.isomorphism import DiGraphMatcher

    graph = networkx.DiGraph()
    for op in problem.ops:
        # What no rule reads does not tell ops apart.
        alike = replace(op, id="", label="", location="", subtile=None, members=())
        graph.add_node(op.id, colour=repr(alike))
    for kind, sets in (("colocate", problem.colocate), ("separate", problem.separate)):
        for number, members in enumerate(sets):
            graph.add_node((kind, number), colour=kind)
            graph.add_edges_from(((kind, number), id, {"deps": ()}) for id in members)
    for dep in problem.deps:
        alike_dep = repr(replace(dep, src="", dst=""))
        known = graph.get_edge_data(dep.src, dep.dst, {"deps": ()})["deps"]
        graph.add_edge(dep.src, dep.dst, deps=tuple(sorted((*known, alike_dep))))
    _refine(graph)
    ids = [op.id for op in problem.ops]
    same = {id: id for id in ids}
    if len(set(networkx.get_node_attributes(graph, "colour").values())) == len(graph):
        return (same,)
    matcher = DiGraphMatcher(
        graph,
        graph,
        node_match=lambda a, b: a["colour"] == b["colour"],
        edge_match=lambda a, b: a["deps"] == b["deps"],
    )
    found: list[Mapping[str, str]] = [same]
    for renamed in islice(matcher.isomorphisms_iter(), MOST):
        names = {id: renamed[id] for id in ids}
        if names not in found:
            found.append(names)
    return tuple(found[:MOST])


def _refine(graph) -> None:  # type: ignore[no-untyped-def]  # a networkx.DiGraph, which has no types
    """Tell nodes apart by their neighbours' colours, until that tells no more of them apart."""
    kinds = 0
    while True:
        seen = {
            node: (
                graph.nodes[node]["colour"],
                tuple(sorted((graph.nodes[u]["colour"], data["deps"]) for u, _, data in graph.in_edges(node, True))),
                tuple(sorted((graph.nodes[v]["colour"], data["deps"]) for _, v, data in graph.out_edges(node, True))),
            )
            for node in graph
        }
        number = {colour: k for k, colour in enumerate(sorted(set(seen.values())))}
        for node, colour in seen.items():
            graph.nodes[node]["colour"] = f"{number[colour]:06d}"
        if len(number) == kinds:
            return
        kinds = len(number)

"""How urgent an op is: the longest way of dependences from it to the end."""

from __future__ import annotations

from twill.schedule.problem import Problem


def heights(problem: Problem, ii: int | None = None) -> dict[str, int]:
    """Cycles from the start of each op to the completion of the last op that waits for it.

    Within one iteration when `ii` is None; else over all of them, a dependence of distance d counting
    ii * d less (Rau's HeightR). Recurrences that rings carry do not count. ii is at least RecMII.
    """
    import networkx

    graph = networkx.DiGraph()
    graph.add_node("")  # where every iteration ends
    for op in problem.ops:
        graph.add_edge("", op.id, weight=-op.completion)
    for dep in problem.deps:
        if dep.ring or (ii is None and dep.distance):
            continue
        weight = dep.distance * (ii or 0) - dep.latency  # the shortest way backwards is the longest forwards
        known = graph.get_edge_data(dep.dst, dep.src)
        if dep.src != dep.dst and (known is None or weight < known["weight"]):
            graph.add_edge(dep.dst, dep.src, weight=weight)
    way = networkx.single_source_bellman_ford_path_length(graph, "")
    return {op.id: -way[op.id] for op in problem.ops}

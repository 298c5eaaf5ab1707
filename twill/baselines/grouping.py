"""Warp groups a list scheduler would choose before it schedules: one loads, the others by what belongs together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations, pairwise

from twill.schedule.problem import Dep, Op, Problem

Groups = dict[str, tuple[int, ...]]


def groupings(problem: Problem) -> Iterator[Groups]:
    """Assignments that keep `colocate`, `separate` and roles, each once: by values, by sub-tile, all in one.

    Ops of variable latency share the first group. By values: ops stay together where a register value
    passes between them. Ops that span groups take the first ones, as many as they need.
    """
    seen: list[Groups] = []
    for label in (_by_values(problem), _by_subtile(problem), dict.fromkeys((op.id for op in problem.ops), 0)):
        found = _numbered(problem, label)
        if found not in seen and _allowed(problem, found):
            seen.append(found)
            yield found


def hop(problem: Problem, groups: Mapping[str, tuple[int, ...]], dep: Dep) -> int:
    """Cycles a dependence takes beyond its latency because its ends are on different groups (rule 1)."""
    if set(groups[dep.dst]) <= set(groups[dep.src]):
        return 0
    value = problem.op(dep.src).registers > 0 and not dep.ring  # what a ring carries is a mere signal
    return problem.limits.value_hop if value else problem.limits.signal_hop


def _by_values(problem: Problem) -> dict[str, int]:
    """The connected component of each op, joined by values in registers and by `colocate`."""
    import networkx

    loads = {op.id for op in problem.ops if op.variable_latency}
    graph = networkx.Graph()
    graph.add_nodes_from(op.id for op in problem.ops)
    graph.add_edges_from(pair for ids in problem.colocate for pair in pairwise(ids))
    graph.add_edges_from(
        (dep.src, dep.dst)
        for dep in problem.deps
        if not dep.ring and problem.op(dep.src).registers and not loads & {dep.src, dep.dst}
    )
    return {id: at for at, ids in enumerate(networkx.connected_components(graph)) for id in ids}


def _by_subtile(problem: Problem) -> dict[str, int]:
    return {op.id: op.subtile or 0 for op in problem.ops}


def _numbered(problem: Problem, label: dict[str, int]) -> Groups:
    """Groups from 0, the loads' first, the others' in the order of their first op."""
    loads = [op for op in problem.ops if op.variable_latency]
    base = 1 if loads else 0
    numbers: dict[int, int] = {}
    for op in problem.ops:
        if not op.variable_latency:
            numbers.setdefault(label[op.id], base + len(numbers))

    def place(op: Op) -> tuple[int, ...]:
        if op.spans > 1:
            return tuple(range(base, base + op.spans))
        return (0,) if op.variable_latency else (numbers[label[op.id]],)

    placed = {op.id: place(op) for op in problem.ops}
    # An op that spans groups may leave one of the numbers without any op: close the gaps.
    used = {old: new for new, old in enumerate(sorted({group for groups in placed.values() for group in groups}))}
    return {id: tuple(used[group] for group in groups) for id, groups in placed.items()}


def _allowed(problem: Problem, groups: Groups) -> bool:
    if max(group for each in groups.values() for group in each) >= problem.limits.max_groups:
        return False
    together = all(groups[id] == groups[ids[0]] for ids in problem.colocate for id in ids)
    apart = all(not set(groups[a]) & set(groups[b]) for ids in problem.separate for a, b in combinations(ids, 2))
    return together and apart

"""Lower bounds on the interval with their arithmetic: the work of a unit, and the latency around a recurrence.

Derived apart from `twill.solve.bounds`: recurrences by bisection over negative cycles (networkx).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from typing import Any

import networkx

from twill.certify.places import classes, exclusions
from twill.schedule.problem import Dep, Problem


@dataclass(frozen=True)
class UnitBound:
    """An iteration keeps `unit` busy for the summed occupancies of `ops` (id, cycles): II >= sum / capacity."""

    unit: str
    capacity: int
    ops: tuple[tuple[str, int], ...]

    @property
    def cycles(self) -> int:
        return sum(occupancy for _, occupancy in self.ops)

    @property
    def ii(self) -> int:
        return -(-self.cycles // self.capacity)


@dataclass(frozen=True)
class Edge:
    """A dependence of a recurrence; hop: cycles it takes longer in every schedule, its ends never sharing a group."""

    src: str
    dst: str
    latency: int
    hop: int
    distance: int


@dataclass(frozen=True)
class CycleBound:
    """A recurrence: II >= (latencies + hops) / distances."""

    edges: tuple[Edge, ...]

    @property
    def cycles(self) -> int:
        return sum(edge.latency + edge.hop for edge in self.edges)

    @property
    def distance(self) -> int:
        return sum(edge.distance for edge in self.edges)

    @property
    def ii(self) -> int:
        return -(-self.cycles // self.distance)

    def __str__(self) -> str:
        return " -> ".join([*(edge.src for edge in self.edges), self.edges[0].src])


@dataclass(frozen=True)
class Bounds:
    """MII = max(1, ResMII, RecMII); unit and cycle are those that attain the two, None where there is none."""

    units: tuple[UnitBound, ...]
    cycle: CycleBound | None
    edges: tuple[Edge, ...]

    @property
    def unit(self) -> UnitBound | None:
        return max(self.units, key=lambda unit: unit.ii, default=None)

    @property
    def mii(self) -> int:
        return max(1, self.unit.ii if self.unit else 0, self.cycle.ii if self.cycle else 0)


def bounds(problem: Problem) -> Bounds:
    """The bounds of every unit and of the tightest recurrence. The problem has no cycle of distance 0 that takes time.

    Recurrences that a ring carries are left out: a deeper ring removes them.
    """
    units = []
    for unit, capacity in problem.limits.units.items():
        ops = tuple((op.id, op.occupancy) for op in problem.ops if op.unit == unit and op.occupancy > 0)
        if ops:
            units.append(UnitBound(unit, capacity, ops))
    edges = _edges(problem)
    return Bounds(tuple(units), _tightest(edges), edges)


def through(edges: Sequence[Edge], ops: Sequence[str]) -> CycleBound | None:
    """The tightest recurrence through `ops` in this order and back to the first; None if there is none."""
    steps = [[edge for edge in edges if (edge.src, edge.dst) == pair] for pair in pairwise([*ops, ops[0]])]
    found = [CycleBound(chosen) for chosen in product(*steps)] if all(steps) else []
    return max((cycle for cycle in found if cycle.distance > 0), key=lambda cycle: cycle.ii, default=None)


def _edges(problem: Problem) -> tuple[Edge, ...]:
    class_of, apart = classes(problem), exclusions(problem)

    def hop(dep: Dep) -> int:
        u, v = problem.op(dep.src), problem.op(dep.dst)
        a, b = class_of[u.id], class_of[v.id]
        if a == b or not (apart.has_edge(a, b) or v.spans > u.spans):
            return 0
        return problem.limits.value_hop if u.registers > 0 else problem.limits.signal_hop

    return tuple(Edge(dep.src, dep.dst, dep.latency, hop(dep), dep.distance) for dep in problem.deps if not dep.ring)


def _tightest(edges: Sequence[Edge]) -> CycleBound | None:
    """The recurrence with the largest bound, the interval of which is found by bisection."""
    low, high = 0, 1 + sum(edge.latency + edge.hop for edge in edges)  # no cycle fails at `high`
    best: CycleBound | None = None
    while low < high:
        middle = (low + high) // 2
        cycle = _failing(edges, middle)
        if cycle is None:
            high = middle
        else:
            best, low = cycle, max(middle + 1, cycle.ii)
    return best


def _failing(edges: Sequence[Edge], ii: int) -> CycleBound | None:
    """A recurrence that `ii` is too short for: its latencies exceed ii * distance."""
    graph: Any = networkx.DiGraph()
    for edge in edges:
        weight = ii * edge.distance - edge.latency - edge.hop
        if not graph.has_edge(edge.src, edge.dst) or weight < graph.edges[edge.src, edge.dst]["weight"]:
            graph.add_edge(edge.src, edge.dst, weight=weight, edge=edge)
    anywhere = object()
    graph.add_edges_from([(anywhere, node) for node in list(graph)], weight=0)
    if anywhere not in graph:
        return None
    try:
        nodes = networkx.find_negative_cycle(graph, anywhere)
    except networkx.NetworkXError:
        return None
    return CycleBound(tuple(graph.edges[pair]["edge"] for pair in pairwise(nodes)))

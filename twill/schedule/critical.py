"""What the cycles of the dependence graph demand: the critical cycle and RecMII, and cycles within one iteration."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

from twill.schedule.problem import Dep, Problem


@dataclass(frozen=True)
class Cycle:
    """A cycle of dependences: each dep's dst is the next one's src. Latencies exclude hops between groups."""

    deps: tuple[Dep, ...]

    @property
    def ops(self) -> tuple[str, ...]:
        """Its ops in order."""
        return tuple(dep.src for dep in self.deps)

    @property
    def latency(self) -> int:
        """Cycles once around it."""
        return sum(dep.latency for dep in self.deps)

    @property
    def distance(self) -> int:
        """Iterations once around it."""
        return sum(dep.distance for dep in self.deps)

    @property
    def rec_mii(self) -> int:
        """The least ii it allows: its latency divided by its distance, rounded up."""
        return -(-self.latency // self.distance)

    def __str__(self) -> str:
        return " -> ".join((*self.ops, self.ops[0]))


def critical_cycle(problem: Problem) -> Cycle | None:
    """The cycle with the largest latency per iteration, which sets RecMII; None when no cycle takes time.

    Recurrences that a ring carries are left out: a deeper ring removes them. The problem has no
    cycle of distance 0 with positive latency (`instant_cycle`).
    """
    worst: Cycle | None = None
    for deps in _components(dep for dep in problem.deps if not dep.ring):
        # Each round finds a cycle of larger ratio than the last, so the rounds end with the largest.
        found: Cycle | None = None
        ratio = Fraction(worst.latency, worst.distance) if worst else Fraction(0)
        while (found := _positive_cycle(deps, ratio)) is not None:
            worst = found
            ratio = Fraction(worst.latency, worst.distance)
    return worst


def instant_cycle(problem: Problem) -> Cycle | None:
    """A cycle of distance 0 with positive latency, which no schedule can keep; None when there is none."""
    import networkx

    for deps in _components([dep for dep in problem.deps if dep.distance == 0]):
        for dep in deps:
            if dep.latency > 0:
                between = {(each.src, each.dst): each for each in deps}
                way = networkx.shortest_path(networkx.DiGraph(list(between)), dep.dst, dep.src)
                return Cycle((dep, *(between[pair] for pair in pairwise(way))))
    return None


def _components(deps: Iterable[Dep]) -> list[list[Dep]]:
    """The deps that lie on cycles, by strongly connected component, in the order of their first dep."""
    import networkx

    deps = list(deps)
    graph = networkx.DiGraph((dep.src, dep.dst) for dep in deps)
    component = {id: at for at, ids in enumerate(networkx.strongly_connected_components(graph)) for id in ids}
    inside: dict[int, list[Dep]] = {}
    for dep in deps:
        if component[dep.src] == component[dep.dst]:
            inside.setdefault(component[dep.src], []).append(dep)
    return list(inside.values())


def _positive_cycle(deps: Sequence[Dep], ratio: Fraction) -> Cycle | None:
    """A cycle whose latency exceeds ratio * distance, by Bellman-Ford on longest paths; None when there is none."""
    weights = [dep.latency * ratio.denominator - dep.distance * ratio.numerator for dep in deps]
    longest = dict.fromkeys((id for dep in deps for id in (dep.src, dep.dst)), 0)
    entered: dict[str, Dep] = {}  # the dep that gave an op its longest path so far
    changed = True
    while changed:
        changed = False
        for dep, weight in zip(deps, weights, strict=True):
            if longest[dep.src] + weight > longest[dep.dst]:
                longest[dep.dst] = longest[dep.src] + weight
                entered[dep.dst] = dep
                changed = True
        # With only positive improvements, a cycle among the entering deps is a positive cycle.
        if changed and (cycle := _cycle_among(entered)) is not None:
            return cycle
    return None


def _cycle_among(entered: dict[str, Dep]) -> Cycle | None:
    done: set[str] = set()
    for first in entered:
        path: list[str] = []
        on_path: set[str] = set()
        id = first
        while id in entered and id not in done and id not in on_path:
            path.append(id)
            on_path.add(id)
            id = entered[id].src
        if id in on_path:
            backwards = path[path.index(id) :]
            return Cycle(tuple(entered[each] for each in reversed(backwards)))
        done |= on_path
    return None

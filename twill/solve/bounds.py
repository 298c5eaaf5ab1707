"""Lower bounds on the initiation interval: the busiest unit and the tightest recurrence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from twill.errors import InputError
from twill.schedule.problem import Problem


@dataclass(frozen=True)
class ResMII:
    """Cycles one iteration keeps the busiest unit occupied, that unit, and the ops that run on it."""

    ii: int
    unit: str
    ops: tuple[str, ...]

    def __str__(self) -> str:
        named = ", ".join(self.ops[:8]) + (f" and {len(self.ops) - 8} more" if len(self.ops) > 8 else "")
        return f"ResMII of unit {self.unit} (ops {named})"


@dataclass(frozen=True)
class RecMII:
    """Cycles per iteration of the tightest recurrence: its ops in order, summed latency and distance.

    A loop without recurrences has ii 0 and no ops.
    """

    ii: int
    ops: tuple[str, ...]
    latency: int
    distance: int

    def __str__(self) -> str:
        if not self.ops:
            return "RecMII 0 (no recurrence)"
        return f"RecMII of cycle {' -> '.join((*self.ops, self.ops[0]))}"


def res_mii(problem: Problem) -> ResMII:
    """ceil(sum of occupancies / capacity), the largest over all units (the first listed, on a tie)."""
    best = ResMII(0, "", ())
    for unit, capacity in problem.limits.units.items():
        ops = [op for op in problem.ops if op.unit == unit and op.occupancy > 0]
        ii = -(-sum(op.occupancy for op in ops) // capacity)
        if ii > best.ii:
            best = ResMII(ii, unit, tuple(op.id for op in ops))
    return best


def rec_mii(problem: Problem, hops: Mapping[int, int] | None = None) -> RecMII:
    """ceil(latency / distance), the largest over all cycles of dependences; exact.

    Recurrences that a ring carries are left out: a deeper ring removes them. hops: cycles to add to
    the latency of dependences (by index), where no grouping avoids them.
    Raises InputError for a cycle of distance 0 and positive latency: it can never be scheduled.

    Cycles of growing ratio are found one after the other: while some cycle has
    latency - ii * distance > 0, ii is raised to that cycle's ratio.
    """
    hops = hops or {}
    edges = [
        (dep.src, dep.dst, dep.latency + hops.get(k, 0), dep.distance)
        for k, dep in enumerate(problem.deps)
        if not dep.ring
    ]
    best = RecMII(0, (), 0, 0)
    while cycle := _positive_cycle([op.id for op in problem.ops], edges, best.ii):
        latency = sum(edge[2] for edge in cycle)
        distance = sum(edge[3] for edge in cycle)
        ops = tuple(edge[0] for edge in cycle)
        if distance <= 0:
            raise InputError(
                f"The dependences {' -> '.join((*ops, ops[0]))} form a cycle of distance 0 and latency {latency}: "
                "each of these ops would have to wait for itself.",
                hint="Give the dependence that reaches back to an earlier iteration its distance of 1 or more.",
            )
        best = RecMII(-(-latency // distance), ops, latency, distance)
    return best


def _positive_cycle(
    nodes: list[str], edges: list[tuple[str, str, int, int]], ii: int
) -> list[tuple[str, str, int, int]]:
    """A cycle with sum of latency - ii * distance > 0 as its edges in order, or [] (Bellman-Ford)."""
    longest = dict.fromkeys(nodes, 0)
    by: dict[str, tuple[str, str, int, int]] = {}
    changed = ""
    for _ in nodes:
        changed = ""
        for edge in edges:
            src, dst, latency, distance = edge
            if longest[src] + latency - ii * distance > longest[dst]:
                longest[dst] = longest[src] + latency - ii * distance
                by[dst] = edge
                changed = dst
        if not changed:
            return []
    # Some path still grows after |nodes| rounds: walking back that far ends inside a cycle.
    node = changed
    for _ in nodes:
        node = by[node][0]
    cycle: list[tuple[str, str, int, int]] = []
    at = node
    while not cycle or at != node:
        cycle.append(by[at])
        at = by[at][0]
    return cycle[::-1]

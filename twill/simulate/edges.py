"""What an op of a running loop waits for, with the same hops and depths as the rules of the schedule."""

from __future__ import annotations

from dataclasses import dataclass

from twill.schedule.lifetimes import has_ring, transfers, uses
from twill.schedule.problem import Dep, Op, Problem
from twill.schedule.schedule import Schedule
from twill.solve.tiers import paid_hop


@dataclass(frozen=True)
class Edge:
    """Iteration i of an op starts no earlier than `latency` cycles after iteration i - `distance` of `src` began.

    since: the first iteration that waits (before, the ring has free slots). at_unit: the unit's queue keeps the
    order, the instruction stream does not wait. completes: the latency ends when `src` has completed, so it
    varies as that does. cause: what is waited for, in words. reuse: it waits for a free slot, not for a result.
    """

    src: str
    distance: int
    latency: int
    cause: str
    since: int = 0
    at_unit: bool = False
    completes: bool = True
    reuse: bool = False


def edges(schedule: Schedule) -> dict[str, tuple[Edge, ...]]:
    """The edges into each op: dependences with their hops, free ring slots, and slots of values between groups."""
    problem = schedule.problem
    index = {op.id: op for op in problem.ops}
    found: dict[str, list[Edge]] = {op.id: [] for op in problem.ops}
    for dep in problem.deps:
        found[dep.dst].append(_dependence(schedule, dep, index))
    for op in problem.ops:
        if has_ring(op):
            found[op.id] += _reuse(schedule, op, index)
    for sent in transfers(schedule):
        home = set(schedule.placements[sent.id].groups)
        for dep in uses(problem, sent.id):
            if set(schedule.placements[dep.dst].groups) - home:
                cause = f"a free slot for {sent.id}, which {dep.dst} takes"
                distance = sent.depth - dep.distance
                if _holds(schedule, dep.dst, sent.id, distance, 0):
                    found[sent.id].append(Edge(dep.dst, distance, 0, cause, sent.depth, completes=False, reuse=True))
    return {id: tuple(each) for id, each in found.items()}


def _dependence(schedule: Schedule, dep: Dep, index: dict[str, Op]) -> Edge:
    at, src, dst = schedule.placements, index[dep.src], index[dep.dst]
    hop = paid_hop(schedule, dep)
    if dep.ring:
        distance = dep.distance + schedule.rings[dep.dst] - 1
        cause = f"a free slot of {dep.dst}, which {dep.src} reads"
        return Edge(dep.src, distance, dep.latency + hop, cause, distance, reuse=True)
    inside = set(at[dep.dst].groups) <= set(at[dep.src].groups)
    queued = inside and dst.asynchronous and not dep.blocking and src.unit == dst.unit
    return Edge(dep.src, dep.distance, dep.latency + hop, dep.src, dep.distance, at_unit=queued)


def _reuse(schedule: Schedule, op: Op, index: dict[str, Op]) -> list[Edge]:
    """A slot is written again when everybody who read it has completed; without readers, when its writer has."""
    depth, cause = schedule.rings[op.id], f"a free slot of {op.id}"
    readers = uses(schedule.problem, op.id)
    if not readers:
        return [Edge(op.id, depth, op.completion, cause, depth, reuse=True)]
    return [
        Edge(
            dep.dst, depth - dep.distance, index[dep.dst].completion, f"{cause}, which {dep.dst} reads", depth,
            reuse=True,
        )
        for dep in readers
    ]  # fmt: skip


def _holds(schedule: Schedule, src: str, dst: str, distance: int, latency: int) -> bool:
    """The schedule itself keeps the edge: only a value's first use in each group frees its slot."""
    return schedule.start(dst) + distance * schedule.ii >= schedule.start(src) + latency


def ranks(problem: Problem, incoming: dict[str, tuple[Edge, ...]]) -> dict[str, int]:
    """A place for each op after all that it waits for in the same iteration, to order ops of one start."""
    from graphlib import TopologicalSorter

    before = {
        op.id: {edge.src for edge in incoming[op.id] if edge.distance == 0 and edge.src != op.id and edge.since == 0}
        for op in problem.ops
    }
    return {id: rank for rank, id in enumerate(TopologicalSorter(before).static_order())}

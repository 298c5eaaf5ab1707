"""A list scheduler: one iteration as fast as its operands and units allow, iterations one after the other.

This is what a compiler without software pipelining does, on the same machine and by the same rules: the
loads in a warp group of their own, signals and values between groups at their cost, registers and memory
within their limits. All ops of an iteration start before any of the next does (one stage), so iterations
only overlap in what is still in flight then.
"""

from __future__ import annotations

from collections.abc import Mapping

from twill.baselines.answer import complete
from twill.baselines.grouping import Groups, groupings, hop
from twill.baselines.priority import heights
from twill.schedule.checker import check
from twill.schedule.lifetimes import has_ring, ring_life
from twill.schedule.problem import Dep, Problem
from twill.schedule.schedule import Schedule


def list_schedule(problem: Problem) -> Schedule:
    """The best one-stage schedule over a few groupings, accepted by the checker.

    Whatever can start first is placed first, on ties the op with the longest way to the end (list
    scheduling by critical path). Where that takes too many registers, ops are placed in the order of
    the problem. `unknown` with the last violation when none is valid.
    """
    answers: list[Schedule] = []
    reason = "no assignment of warp groups keeps colocate, separate and max_groups"
    for groups in groupings(problem):
        for place in (_by_urgency, _in_order):
            schedule = _repeated(problem, place(problem, groups), groups)
            violations = check(schedule)
            if not violations:
                answers.append(schedule)
                break  # the order of the problem only stands in
            reason = str(violations[0])
    if not answers:
        return Schedule(problem, "unknown", 0, 1, reason, 0, {}, {}, ())
    return min(answers, key=lambda each: ((problem.trip_count - 1) * each.ii + each.length, len(each.groups)))


class _Iteration:
    """Starts of one iteration as they are set: a unit takes as many ops at once as its capacity, a stream one issue."""

    def __init__(self, problem: Problem, groups: Groups) -> None:
        self.starts: dict[str, int] = {}
        self._problem, self._groups = problem, groups
        self._lanes = {unit: [0] * capacity for unit, capacity in problem.limits.units.items()}  # free again when
        self._stream = dict.fromkeys((group for each in groups.values() for group in each), 0)
        self._operands: dict[str, list[Dep]] = {op.id: [] for op in problem.ops}
        for dep in _within(problem):
            self._operands[dep.dst].append(dep)

    def ready(self, id: str) -> bool:
        return all(dep.src in self.starts for dep in self._operands[id])

    def earliest(self, id: str) -> int:
        problem, groups = self._problem, self._groups
        operands = (self.starts[dep.src] + dep.latency + hop(problem, groups, dep) for dep in self._operands[id])
        free = min(self._lanes[problem.op(id).unit])
        return max(free, *(self._stream[group] for group in groups[id]), *operands, 0)

    def place(self, id: str) -> None:
        at, op = self.earliest(id), self._problem.op(id)
        self.starts[id] = at
        lanes = self._lanes[op.unit]
        lanes[lanes.index(min(lanes))] = at + op.occupancy
        for group in self._groups[id]:
            self._stream[group] = at + op.issue


def _by_urgency(problem: Problem, groups: Groups) -> dict[str, int]:
    height = heights(problem)
    iteration = _Iteration(problem, groups)
    waiting = [op.id for op in problem.ops]
    while waiting:
        ready = [id for id in waiting if iteration.ready(id)]
        best = min(ready, key=lambda id: (iteration.earliest(id), -height[id]))
        iteration.place(best)
        waiting.remove(best)
    return iteration.starts


def _in_order(problem: Problem, groups: Groups) -> dict[str, int]:
    import networkx

    graph = networkx.DiGraph()
    graph.add_nodes_from(op.id for op in problem.ops)
    graph.add_edges_from((dep.src, dep.dst) for dep in _within(problem))
    order = {op.id: at for at, op in enumerate(problem.ops)}
    iteration = _Iteration(problem, groups)
    for id in networkx.lexicographical_topological_sort(graph, key=order.__getitem__):
        iteration.place(id)
    return iteration.starts


def _within(problem: Problem) -> list[Dep]:
    """The dependences inside one iteration."""
    return [dep for dep in problem.deps if dep.distance == 0 and not dep.ring]


def _repeated(problem: Problem, starts: Mapping[str, int], groups: Groups) -> Schedule:
    """The iteration repeated as soon as one stage allows, later where memory or registers ask for it."""
    first = min(starts.values())
    bounds = [1, max(starts.values()) - first + 1]
    for dep in problem.deps:
        if dep.distance:
            late = starts[dep.src] + dep.latency + hop(problem, groups, dep) - starts[dep.dst]
            bounds.append(-(-late // dep.distance))
    for unit in problem.limits.units:
        on = [op for op in problem.ops if op.unit == unit]
        bounds.append(_span([(starts[op.id], op.occupancy) for op in on]))
    for group in {group for each in groups.values() for group in each}:
        on = [op for op in problem.ops if group in groups[op.id]]
        bounds.append(_span([(starts[op.id], op.issue) for op in on]))
    reason = "list scheduling"
    schedule = complete(problem, max(bounds), starts, groups, reason)
    if not check(schedule):
        return schedule
    # Every value and every buffer of an iteration dead before the next: nothing is there twice.
    lives = [ring_life(schedule, op)[0] for op in problem.ops if has_ring(op)]
    return complete(problem, max(*bounds, schedule.length, *lives), starts, groups, reason)


def _span(taken: list[tuple[int, int]]) -> int:
    """Cycles from the first start to the last end."""
    if not taken:
        return 0
    return max(start + cycles for start, cycles in taken) - min(start for start, _ in taken)

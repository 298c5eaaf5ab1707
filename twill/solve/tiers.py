"""The tiers of the objective after the interval, and what a given schedule scores in each."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from twill.schedule.problem import Dep
from twill.schedule.schedule import Schedule
from twill.solve.grouping import hop

# Slack stands after what the loop costs: among the schedules of equal time it picks those that a late
# result of the tensor core stalls least, and so issues the next tile's QK ahead of this tile's softmax.
TIERS = ("total time", "register traffic", "groups", "slack", "ring slack")


def total_time(schedule: Schedule) -> int:
    """(trip_count - 1) * ii + length, in cycles."""
    return (schedule.problem.trip_count - 1) * schedule.ii + schedule.length


def register_traffic(schedule: Schedule) -> int:
    """Registers per thread that values take in groups that use them without defining them, summed."""
    at = schedule.placements
    uses = [dep for dep in schedule.problem.deps if not dep.ring]
    foreign = {(dep.src, g) for dep in uses for g in set(at[dep.dst].groups) - set(at[dep.src].groups)}
    return sum(schedule.problem.op(id).registers for id, _ in foreign)


def groups(schedule: Schedule) -> int:
    """Number of warp groups."""
    return len(schedule.groups)


def slack(schedule: Schedule) -> int:
    """Cycles by which every awaited result of fixed latency may be late before its wait stalls; at most ii.

    What varies by nature, a load, has its slack in the depth of its ring (`ring_slack`), as have the
    recurrences that a ring carries.
    """
    least = schedule.ii
    for dep in schedule.problem.deps:
        if dep.blocking and not dep.ring and not schedule.problem.op(dep.src).variable_latency:
            apart = paid_hop(schedule, dep)
            gap = schedule.start(dep.dst) + dep.distance * schedule.ii - schedule.start(dep.src)
            least = min(least, gap - dep.latency - apart)
    return least


def ring_slack(schedule: Schedule) -> int:
    """Depth that rings written by ops of variable latency have beyond what their buffers' lives need, summed."""
    total = 0
    for op in schedule.problem.ops:
        if op.variable_latency and op.id in schedule.rings:
            total += schedule.rings[op.id] - needed_depth(schedule, op.id)
    return total


def needed_depth(schedule: Schedule, id: str) -> int:
    """The least depth that covers the life of the buffer op `id` writes and frees it in time (rules 6 and 1)."""
    problem, ii = schedule.problem, schedule.ii
    ends = [
        schedule.start(dep.dst) + dep.distance * ii + problem.op(dep.dst).completion - schedule.start(id)
        for dep in problem.deps
        if dep.src == id and not dep.ring
    ]
    depth = max(1, -(-max(ends, default=problem.op(id).completion) // ii))
    for dep in problem.deps:
        if dep.dst == id and dep.ring:
            free = schedule.start(dep.src) + dep.latency + paid_hop(schedule, dep)
            depth = max(depth, -(-(free - schedule.start(id)) // ii) - dep.distance + 1)
    return depth


def paid_hop(schedule: Schedule, dep: Dep) -> int:
    """Cycles of the hop that `dep` pays where the schedule has its ends (rule 1)."""
    at = schedule.placements
    return 0 if set(at[dep.dst].groups) <= set(at[dep.src].groups) else hop(schedule.problem, dep)


SCORES: Mapping[str, Callable[[Schedule], int]] = {
    "total time": total_time,
    "register traffic": register_traffic,
    "groups": groups,
    "slack": slack,
    "ring slack": ring_slack,
}

"""From the solver's times to program order: the steady state of each group, its stages, its tokens."""

from __future__ import annotations

from dataclasses import dataclass

from twill.schedule.schedule import Schedule


@dataclass(frozen=True)
class Step:
    """One op of a group's steady state. In body j it works on iteration j - stage."""

    op: str
    stage: int
    slot: int  # cycles after the group's cut


@dataclass(frozen=True)
class Stream:
    """The steady state of one group: its steps in issue order.

    cut: the cycle (modulo ii) at which the loop body of this group begins; the schedule itself has
    no beginning, so the cut is a free choice of the code generator.
    """

    group: int
    cut: int
    steps: tuple[Step, ...]

    @property
    def stages(self) -> int:
        """Number of stages; bodies 0 .. stages - 2 are the prologue."""
        return 1 + max(step.stage for step in self.steps)


@dataclass(frozen=True)
class Token:
    """Order token between two groups that alternate on a unit.

    Before issuing `waiter` of iteration x, its group waits until `signaller` of iteration x + shift
    was issued. depth: of its ring of barriers.
    """

    signaller: str
    waiter: str
    shift: int
    depth: int


def streams(schedule: Schedule, order: dict[str, int]) -> tuple[Stream, ...]:
    """The stream of every group that has ops.

    order: position of each op in the source, which decides between ops that start in the same cycle.
    """
    members: dict[int, list[str]] = {}
    for id, placement in schedule.placements.items():
        for group in placement.groups:
            members.setdefault(group, []).append(id)
    return tuple(_stream(schedule, group, ids, order) for group, ids in sorted(members.items()))


def _stream(schedule: Schedule, group: int, ids: list[str], order: dict[str, int]) -> Stream:
    ii = schedule.ii
    start = {id: schedule.start(id) for id in ids}
    ranked = sorted(ids, key=lambda id: (start[id] % ii, order[id]))
    candidates = sorted({start[id] % ii for id in ids})
    cut = min(candidates, key=lambda c: (_stall(schedule, ids, c), _depth(start, c, ii), start[ranked[0]] != c))
    steps = [Step(id, (start[id] - cut) // ii, (start[id] - cut) % ii) for id in ids]
    first = min(step.stage for step in steps)
    steps = [Step(step.op, step.stage - first, step.slot) for step in steps]
    steps.sort(key=lambda step: (step.slot, -step.stage, order[step.op]))
    return Stream(group, cut, tuple(steps))


def _stall(schedule: Schedule, ids: list[str], cut: int) -> int:
    """Cycles the group would lose by draining its asynchronous MMAs at the cut.

    An accumulator in flight across the back edge is copied by the loop's phi, which makes ptxas
    serialize every wgmma of the kernel, so all but in-place accumulators are drained there.
    """
    ii = schedule.ii
    lost = 0
    problem = schedule.problem
    fed = {dep.dst for dep in problem.deps if not dep.in_place and problem.op(dep.src).registers}
    chained = {dep.src for dep in problem.deps if dep.in_place and dep.src == dep.dst} - fed
    for id in ids:
        op = problem.op(id)
        if op.asynchronous and not op.variable_latency and id not in chained:
            issued = (schedule.start(id) - cut) % ii
            lost = max(lost, issued + op.latency - ii)
    return lost


def _depth(start: dict[str, int], cut: int, ii: int) -> int:
    """Number of stages with the body beginning at `cut`."""
    stages = [(time - cut) // ii for time in start.values()]
    return max(stages) - min(stages)


def tokens(schedule: Schedule, unit: str) -> tuple[Token, ...]:
    """The order of `unit`'s ops among groups, one token for each hand-over in its cyclic order.

    In the first and last iterations some signallers do not exist, and their waiters run unordered:
    up to max |shift| iterations ahead. A waiter that a signal has lapped twice would see its parity
    come round again and wait for ever, so the barriers form rings one deeper than that.
    """
    ii = schedule.ii
    ids = [op.id for op in schedule.problem.ops if op.unit == unit]
    ring = sorted(ids, key=lambda id: schedule.start(id) % ii)
    pairs = []
    for before, after in zip(ring, ring[1:] + ring[:1], strict=True):
        if schedule.placements[before].groups != schedule.placements[after].groups:
            distance = schedule.start(after) - schedule.start(before)
            pairs.append((before, after, distance // ii))
    depth = 1 + max((abs(shift) for _, _, shift in pairs), default=0)
    return tuple(Token(*pair, depth) for pair in pairs)

"""From the solver's times to program order: the steady state of each group, its stages, its tokens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from twill.schedule.schedule import Schedule

_LOSS = 1 / 6  # of the interval: beyond it, no cut is worth a try


@dataclass(frozen=True)
class Form:
    """What a schedule leaves open to the code generator.

    cuts: the cut of groups that do not begin their loop body where they would by themselves. turns: groups
    that alternate on the tensor core wait for order tokens.
    """

    cuts: Mapping[int, int] = field(default_factory=lambda: MappingProxyType({}))
    turns: bool = True

    def json(self) -> dict[str, Any]:
        """The form as `recorded` reads it in a schedule's provenance."""
        return {"cuts": {str(group): cut for group, cut in sorted(self.cuts.items())}, "turns": self.turns}


def recorded(schedule: Schedule) -> Form:
    """The form that the schedule's provenance asks for; the code generator's own without one."""
    found = schedule.provenance.get("form")
    if not isinstance(found, Mapping):
        return Form()
    return Form({int(group): int(cut) for group, cut in found["cuts"].items()}, bool(found["turns"]))


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


def streams(
    schedule: Schedule, order: Mapping[str, int], chosen: Mapping[int, int] | None = None
) -> tuple[Stream, ...]:
    """The stream of every group that has ops.

    order: position of each op in the source, which decides between ops that start in the same cycle, after
    those that wait: a wait must not interrupt what begins with it. chosen: cuts of groups that do not take their own.
    """
    members = _members(schedule)
    given = chosen or {}
    return tuple(_stream(schedule, group, ids, order, given.get(group)) for group, ids in sorted(members.items()))


def cuts(schedule: Schedule, group: int) -> tuple[int, ...]:
    """Where the loop body of a group may begin without a long wait for its MMAs there, best first."""
    ids = _members(schedule)[group]
    ranked = sorted((_rank(schedule, ids, cut), cut) for cut in {schedule.start(id) % schedule.ii for id in ids})
    return tuple(cut for (lost, _, _), cut in ranked if lost <= max(ranked[0][0][0], schedule.ii * _LOSS))


def _members(schedule: Schedule) -> dict[int, list[str]]:
    members: dict[int, list[str]] = {}
    for id, placement in schedule.placements.items():
        for group in placement.groups:
            members.setdefault(group, []).append(id)
    return members


def _rank(schedule: Schedule, ids: list[str], cut: int) -> tuple[int, int, bool]:
    start = {id: schedule.start(id) for id in ids}
    first = min(time % schedule.ii for time in start.values())
    return _stall(schedule, ids, cut), _depth(start, cut, schedule.ii), first != cut


def _stream(schedule: Schedule, group: int, ids: list[str], order: Mapping[str, int], cut: int | None) -> Stream:
    ii = schedule.ii
    start = {id: schedule.start(id) for id in ids}
    if cut is None:
        cut = min((_rank(schedule, ids, time % ii), time % ii) for time in start.values())[1]
    steps = [Step(id, (start[id] - cut) // ii, (start[id] - cut) % ii) for id in ids]
    first = min(step.stage for step in steps)
    steps = [Step(step.op, step.stage - first, step.slot) for step in steps]
    early = _waiting(schedule)
    steps.sort(key=lambda step: (step.slot, -step.stage, step.op not in early, order[step.op]))
    return Stream(group, cut, tuple(steps))


def _waiting(schedule: Schedule) -> set[str]:
    """Ops that begin with a wait, and not with an op that they depend on."""
    deps = schedule.problem.deps
    tied = {dep.dst for dep in deps if schedule.start(dep.src) == schedule.start(dep.dst) + dep.distance * schedule.ii}
    return {dep.dst for dep in deps if dep.blocking} - tied


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

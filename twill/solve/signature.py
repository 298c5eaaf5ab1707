"""What makes two schedules of one interval genuinely different: roles, orders, stages and depths.

A shift in time, a move of slots that overtakes nothing, and other numbers for the groups change no
signature; `image` gives that of a schedule whose like sub-tiles are exchanged.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from twill.schedule.problem import Problem
from twill.schedule.schedule import Schedule

SHORT = 16  # an op that takes less than this part of the interval, waits for nothing and is synchronous, is a detail
BUSY = 0.9  # a unit with this share of the busiest unit's load has an order that counts

Cycle = tuple[tuple[str, int], ...]
"""Ops in cyclic order, beginning with the first of them in the problem, and how many iterations each is behind it."""


@dataclass(frozen=True)
class Signature:
    """What a schedule decides but for its slots.

    roles: the ops of each group. streams: for each of them the landmarks it executes, as a cycle. units:
    the landmarks on each of the busiest units, as a cycle. depths: of each ring.
    """

    roles: tuple[tuple[str, ...], ...]
    streams: tuple[Cycle, ...]
    units: tuple[tuple[str, Cycle], ...]
    depths: tuple[tuple[str, int], ...]


def signature(schedule: Schedule) -> Signature:
    """The signature of a schedule with placements. Ops at the same slot count as in the order of the problem."""
    problem, ii = schedule.problem, schedule.ii
    known = landmarks(problem, ii)
    members = [
        tuple(op.id for op in problem.ops if group in schedule.placements[op.id].groups)
        for group in range(len(schedule.groups))
    ]
    rank = _rank(problem)
    roles = sorted(filter(None, members), key=lambda ids: [rank[id] for id in ids])
    return Signature(
        roles=tuple(roles),
        streams=tuple(_cycle(schedule, [id for id in ids if id in known]) for ids in roles),
        units=tuple(
            (unit, _cycle(schedule, [op.id for op in problem.ops if op.unit == unit and op.id in known]))
            for unit in busiest(problem)
        ),
        depths=tuple((op.id, schedule.rings[op.id]) for op in problem.ops if op.id in schedule.rings),
    )


def image(given: Signature, renamed: Mapping[str, str], problem: Problem) -> Signature:
    """The signature of the schedule that places op `renamed[u]` as the one of `given` places u."""
    rank = _rank(problem)
    streams: dict[tuple[str, ...], Cycle] = {}
    for ids, cycle in zip(given.roles, given.streams, strict=True):
        role = tuple(sorted((renamed[id] for id in ids), key=rank.__getitem__))
        streams[role] = _turned([(renamed[id], behind) for id, behind in cycle], rank)
    roles = sorted(streams, key=lambda ids: [rank[id] for id in ids])
    depths = sorted(((renamed[id], depth) for id, depth in given.depths), key=lambda ring: rank[ring[0]])
    return Signature(
        roles=tuple(roles),
        streams=tuple(streams[role] for role in roles),
        units=tuple((unit, _turned([(renamed[id], n) for id, n in cycle], rank)) for unit, cycle in given.units),
        depths=tuple(depths),
    )


def landmarks(problem: Problem, ii: int) -> frozenset[str]:
    """The ops whose order counts: asynchronous ones, those that wait, and those that take a 16th of `ii` or more.

    The rest is short arithmetic between them, which the assembler reorders as it sees fit.
    """
    waiting = {dep.dst for dep in problem.deps if dep.blocking}
    return frozenset(
        op.id
        for op in problem.ops
        if op.asynchronous or op.id in waiting or 0 < ii <= SHORT * max(op.occupancy, op.issue)
    )


def busiest(problem: Problem) -> tuple[str, ...]:
    """The units with the largest load for their capacity, or almost, in the order of their first ops."""
    load: dict[str, float] = {}
    for op in problem.ops:
        load[op.unit] = load.get(op.unit, 0.0) + op.occupancy / problem.limits.units[op.unit]
    most = max(load.values(), default=0.0)
    return tuple(unit for unit, busy in load.items() if most and busy >= BUSY * most)


def among(cycle: Cycle, ids: Collection[str], problem: Problem) -> Cycle:
    """The cycle of those of its ops that are among `ids`."""
    return _turned([(id, behind) for id, behind in cycle if id in ids], _rank(problem))


def descents(cycle: Cycle, problem: Problem) -> list[tuple[str, str, bool]]:
    """The steps of a cycle as (u, v, by index): going round it, exactly one step leads to an earlier slot.

    A schedule has the same order if that is so of it, another one if two steps or more do. By index: u
    stands before v in the problem, so that at one and the same slot u is the earlier.
    """
    rank = _rank(problem)
    ids = [id for id, _ in cycle]
    return [(u, v, rank[u] < rank[v]) for u, v in zip(ids, [*ids[1:], *ids[:1]], strict=True)]


def _cycle(schedule: Schedule, ids: Iterable[str]) -> Cycle:
    """The ops in the order of their slots from that of the first on; `ids` are in the order of the problem."""
    ids = list(ids)
    turns = {id: divmod(schedule.start(id) - schedule.start(ids[0]), schedule.ii) for id in ids}
    return tuple((id, turns[id][0]) for id in sorted(ids, key=lambda id: turns[id][1]))


def _turned(cycle: list[tuple[str, int]], rank: Mapping[str, int]) -> Cycle:
    """The same cycle from its first op in the problem on: what came before that is then one iteration later."""
    if not cycle:
        return ()
    at = min(range(len(cycle)), key=lambda k: rank[cycle[k][0]])
    behind = cycle[at][1]
    late = [(id, n - behind) for id, n in cycle[at:]]
    return (*late, *((id, n - behind - 1) for id, n in cycle[:at]))


def _rank(problem: Problem) -> dict[str, int]:
    return {op.id: k for k, op in enumerate(problem.ops)}

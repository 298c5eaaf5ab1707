"""In words, what a schedule does otherwise than another of the same problem and interval."""

from __future__ import annotations

from itertools import pairwise

from twill.schedule.problem import Problem
from twill.solve.signature import Cycle, Signature, among


def differences(other: Signature, first: Signature, problem: Problem) -> tuple[str, ...]:
    """What `other` does otherwise than `first`, such as "qk.1 before pv.0 on TC", each thing said once.

    Roles come first, then orders on units, then those in one group, then stages and depths. Empty for equal
    signatures.
    """
    found = [_role(ids, _nearest(ids, first)) for ids in other.roles if ids not in first.roles]
    before = dict(first.units)
    streams = dict(zip(first.roles, first.streams, strict=True))
    cycles = [(cycle, before[unit], f" on {unit}") for unit, cycle in other.units]
    for ids, cycle in zip(other.roles, other.streams, strict=True):
        shared = among(cycle, _nearest(ids, first), problem)
        if shared:
            was = among(streams[_nearest(ids, first)], [id for id, _ in shared], problem)
            cycles.append((shared, was, ""))
    told: set[frozenset[str]] = set()
    later: dict[str, int] = {}
    for cycle, was, where in cycles:
        for u, v in _overtaken(cycle, was):
            if frozenset((u, v)) not in told:
                told.add(frozenset((u, v)))
                found.append(f"{u} before {v}{where}")
        behind = dict(was)
        later |= {id: n - behind[id] for id, n in cycle if n != behind[id] and id not in later}
    found += [_stage(id, by) for id, by in later.items()]
    depths = dict(first.depths)
    found += [f"ring of {id} {depth} instead of {depths[id]}" for id, depth in other.depths if depth != depths[id]]
    return tuple(found)


def _nearest(ids: tuple[str, ...], first: Signature) -> tuple[str, ...]:
    """The group of the first schedule that shares most ops with this one."""
    return max(first.roles, key=lambda role: len(set(role) & set(ids)))


def _role(ids: tuple[str, ...], nearest: tuple[str, ...]) -> str:
    """A group that the first schedule does not have: one op, one that lost or won a few, or another altogether."""
    if len(ids) == 1:
        return f"{ids[0]} in a group of its own"
    gone, new = [id for id in nearest if id not in ids], [id for id in ids if id not in nearest]
    if len(gone) + len(new) < min(len(ids), len(nearest)):
        kept = next(id for id in ids if id in nearest)
        parts = [f"without {_listed(gone)}"] if gone else []
        parts += [f"with {_listed(new)}"] if new else []
        return f"{kept} in a group {' and '.join(parts)}"
    return f"{_listed(list(ids))} in one group"


def _listed(ids: list[str]) -> str:
    return ids[0] if len(ids) == 1 else f"{', '.join(ids[:-1])} and {ids[-1]}"


def _overtaken(cycle: Cycle, was: Cycle) -> list[tuple[str, str]]:
    """Neighbours (u, v) of the one cycle that stand the other way round in the other, from its first op on."""
    if len(cycle) < 3:  # two ops have one cyclic order
        return []
    place = {id: k for k, (id, _) in enumerate(was)}
    return [(u, v) for u, v in pairwise(id for id, _ in cycle) if place[u] > place[v]]


def _stage(id: str, by: int) -> str:
    count = "an iteration" if abs(by) == 1 else f"{abs(by)} iterations"
    return f"{id} {count} {'later' if by > 0 else 'ahead'}"

"""Every op's group chosen beforehand: the problems in which a schedule is looked for when groups are many."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from twill.schedule.problem import Op, Problem
from twill.solve.grouping import Grouping, gathered, grouping

WARP_GROUP = 128  # threads


def packings(problem: Problem) -> list[Problem]:
    """`problem` with its groups settled, in several ways, the most promising first; none where ops span groups.

    Values stay in their group where they can; loads share a group. What is left is packed into 1, 2, ...
    groups so that each has as much register area as its registers hold.
    """
    if any(op.spans > 1 for op in problem.ops):
        return []
    groups = grouping(problem)
    groups = gathered(problem, groups) or groups
    loads = [k for k in range(len(groups.classes)) if groups.producer(k)]
    others = [k for k in range(len(groups.classes)) if not groups.producer(k)]
    producers = _packed(groups, loads, 1) or _packed(groups, loads, len(loads)) or []
    ways: dict[tuple[frozenset[int], ...], float] = {}
    for count in range(1, max(1, min(len(others), groups.max_groups - len(producers))) + 1):
        packed = _packed(groups, others, count)
        if packed is not None:
            key = tuple(frozenset(members) for members in (*producers, *packed))
            ways.setdefault(key, _pressure(problem, groups, packed))
    ranked = sorted(ways, key=lambda key: (ways[key], len(key)))
    return [
        _settled(problem, [tuple(op.id for k in sorted(pack) for op in groups.classes[k]) for pack in packs])
        for packs in ranked
    ]


def _packed(groups: Grouping, classes: list[int], count: int) -> list[list[int]] | None:
    """The classes in at most `count` groups: the heaviest first, each to the lightest group it may join."""
    bins: list[list[int]] = [[] for _ in range(count)]
    for k in sorted(classes, key=lambda k: (-_area(groups.classes[k]), k)):
        open_ = [b for b in bins if all((min(k, j), max(k, j)) not in groups.apart for j in b)]
        if not open_:
            return None
        min(open_, key=lambda b: sum(_area(groups.classes[j]) for j in b)).append(k)
    return [b for b in bins if b]


def _area(ops: tuple[Op, ...]) -> int:
    """Register-cycles that the values of these ops take at least, their streams' cycles where they have none."""
    return sum(op.registers * max(op.latency, 1) + op.issue for op in ops)


def _pressure(problem: Problem, groups: Grouping, packed: list[list[int]]) -> float:
    """The largest share of its registers that a group's values take, the file being divided evenly by warps."""
    limits = problem.limits
    warps = [max(groups.warps(k) for k in members) for members in packed]
    free = limits.register_file - WARP_GROUP * limits.producer_registers
    cap = max(1, min(limits.registers_per_thread, free // (32 * max(1, sum(warps)))))
    return max((sum(_area(groups.classes[k]) for k in members) / cap for members in packed), default=0.0)


def kept_in_groups(problem: Problem, groups: Mapping[str, tuple[int, ...]]) -> Problem | None:
    """`problem` with its ops kept in these groups; None where ops span several."""
    packs: dict[tuple[int, ...], list[str]] = {}
    for id, on in groups.items():
        packs.setdefault(on, []).append(id)
    if any(len(on) > 1 for on in packs):
        return None
    return _settled(problem, [tuple(ids) for ids in packs.values()])


def _settled(problem: Problem, packs: Sequence[tuple[str, ...]]) -> Problem:
    """`problem` with the ops of each pack colocated and all packs apart."""
    apart = (tuple(ids[0] for ids in packs),) if len(packs) > 1 else ()
    return replace(problem, colocate=tuple(packs), separate=apart)

"""What is known about warp groups before solving: ops that move as one, and those that never meet."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations
from typing import Any

from twill.schedule.problem import Dep, Op, Problem

NAMED_BARRIERS = 16  # a thread block has 16; each group takes one


@dataclass(frozen=True)
class Grouping:
    """Classes of ops that share one group, the pairs of classes that cannot, and how many groups there may be.

    classes: in the order in which they are given groups, mutually exclusive ones first, so that
    class k only ever needs the groups of the classes before it and as many more as it spans.
    conflict: a sentence when the sets contradict each other.
    """

    classes: tuple[tuple[Op, ...], ...]
    apart: frozenset[tuple[int, int]]
    clique: int
    max_groups: int
    conflict: str = ""

    @cached_property
    def class_of(self) -> dict[str, int]:
        return {op.id: k for k, ops in enumerate(self.classes) for op in ops}

    def together(self, u: str, v: str) -> bool | None:
        """Whether two ops share a group in every (True), in no (False), or in some schedules (None)."""
        a, b = self.class_of[u], self.class_of[v]
        if a == b:
            return True
        return False if (min(a, b), max(a, b)) in self.apart else None

    def inside(self, src: str, dst: str) -> bool | None:
        """Whether the groups of dst are among those of src, so that no hop is paid (rule 1), as in `together`."""
        together = self.together(src, dst)
        if together is None and self.spans(self.class_of[dst]) > self.spans(self.class_of[src]):
            return False
        return together

    def settled(self, k: int) -> range | None:
        """The groups that class k is given without loss: mutually exclusive classes get theirs in order."""
        first = sum(self.spans(j) for j in range(k))
        last = first + self.spans(k)
        return range(first, last) if k < self.clique and last <= self.max_groups else None

    @cached_property
    def least_groups(self) -> int:
        """Groups that mutually exclusive classes, or a single one, take at least."""
        alone = max(self.spans(k) for k in range(len(self.classes)))
        return max(alone, sum(self.spans(k) for k in range(self.clique)))

    @cached_property
    def places(self) -> int:
        """Groups there are if no two classes share one."""
        return sum(self.spans(k) for k in range(len(self.classes)))

    def spans(self, k: int) -> int:
        """Groups that the ops of class k run on together."""
        return self.classes[k][0].spans

    def producer(self, k: int) -> bool:
        """Whether class k is of variable latency."""
        return any(op.variable_latency for op in self.classes[k])

    def warps(self, k: int) -> int:
        return max(op.min_warps for op in self.classes[k])


def grouping(problem: Problem) -> Grouping:
    """Classes from the colocate sets, exclusions from the separate sets and from rule 4."""
    import networkx  # a tenth of a second that `import twill.solve` does not need

    joined = networkx.Graph()
    joined.add_nodes_from(op.id for op in problem.ops)
    for together in problem.colocate:
        networkx.add_path(joined, together)
    order = {op.id: k for k, op in enumerate(problem.ops)}
    components = [sorted(ids, key=order.__getitem__) for ids in networkx.connected_components(joined)]
    components.sort(key=lambda ids: order[ids[0]])
    owner = {id: k for k, ids in enumerate(components) for id in ids}

    apart = networkx.Graph()
    apart.add_nodes_from(range(len(components)))
    conflict = ""
    for separate in problem.separate:
        for u, v in combinations(separate, 2):
            if owner[u] == owner[v]:
                conflict = f"groups: {u} and {v} must share a group (colocate) and must not (separate)"
            apart.add_edge(owner[u], owner[v])
    kinds = [{problem.op(id).variable_latency for id in ids} for ids in components]
    for ids, kind in zip(components, kinds, strict=True):
        if len(kind) == 2:
            producer = next(id for id in ids if problem.op(id).variable_latency)
            other = next(id for id in ids if not problem.op(id).variable_latency)
            conflict = f"groups and roles: {producer} has variable latency and must share a group with {other}"
        wide, narrow = max(ids, key=lambda id: problem.op(id).spans), min(ids, key=lambda id: problem.op(id).spans)
        if problem.op(wide).spans != problem.op(narrow).spans:
            counts = f"{wide} spans {problem.op(wide).spans} and {narrow} {problem.op(narrow).spans}"
            conflict = f"groups: {wide} and {narrow} must share their groups (colocate), but {counts}"
    apart.add_edges_from((a, b) for a, b in combinations(range(len(components)), 2) if not kinds[a] & kinds[b])
    apart.remove_edges_from(list(networkx.selfloop_edges(apart)))

    clique = _clique(apart, components)
    ranked = clique + [k for k in range(len(components)) if k not in clique]
    rank = {k: position for position, k in enumerate(ranked)}
    limits = problem.limits
    places = sum(problem.op(ids[0]).spans for ids in components)
    return Grouping(
        classes=tuple(tuple(problem.op(id) for id in components[k]) for k in ranked),
        apart=frozenset((min(rank[a], rank[b]), max(rank[a], rank[b])) for a, b in apart.edges),
        clique=len(clique),
        max_groups=max(1, min(limits.max_groups, limits.max_warps, NAMED_BARRIERS, places)),
        conflict=conflict,
    )


def gathered(problem: Problem, groups: Grouping) -> Grouping | None:
    """A narrower grouping in which no register value leaves its group where that can be; None if it is not narrower.

    Schedules of the narrower problem are schedules of the wider one, and far faster to find where ops are free.
    """
    values = [
        (dep.src, dep.dst)
        for dep in problem.deps
        if problem.op(dep.src).registers > 0
        and not dep.ring
        and problem.op(dep.src).spans == problem.op(dep.dst).spans
        and groups.together(dep.src, dep.dst) is not False
    ]
    narrower = grouping(replace(problem, colocate=(*problem.colocate, *values)))
    return None if narrower.conflict or len(narrower.classes) == len(groups.classes) else narrower


def forced_hop(problem: Problem, groups: Grouping, dep: Dep) -> int:
    """The hop of `dep` that every grouping pays: 0 unless dst can never be where src is."""
    return hop(problem, dep) if groups.inside(dep.src, dep.dst) is False else 0


def hop(problem: Problem, dep: Dep) -> int:
    """Cycles the dependence takes longer between two groups (rule 1); what a ring carries is a mere signal."""
    limits = problem.limits
    return limits.value_hop if problem.op(dep.src).registers > 0 and not dep.ring else limits.signal_hop


def _clique(apart: Any, components: list[list[str]]) -> list[int]:
    """A large set of mutually exclusive classes, grown greedily from the most excluded (deterministic)."""
    clique: list[int] = []
    for k in sorted(apart, key=lambda k: (-len(components[k]), k)):
        if all(apart.has_edge(k, other) for other in clique):
            clique.append(k)
    return sorted(clique)

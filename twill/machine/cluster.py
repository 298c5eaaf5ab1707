"""Which graph ops of the body make one scheduling op.

Loads, stores, dots and tile-sized transcendentals stand alone. A chain of other tile-sized arithmetic
whose only consumer is the next one is one op. Arithmetic on vectors joins the one consumer it has, else
the reduction that feeds it, as long as the ops stay acyclic within an iteration and no recurrence across
iterations takes in an op that it did not already hold.
"""

from __future__ import annotations

from dataclasses import dataclass

from twill.ir.graph import Op
from twill.machine.dataflow import HEAVY_OPS, Dataflow, is_vector
from twill.machine.machine import Machine


@dataclass(frozen=True)
class Cluster:
    """Body indices in program order, and the name the scheduling op gets."""

    id: str
    members: tuple[int, ...]


def member_name(body: tuple[Op, ...], index: int) -> str:
    """A graph op's name in `members`: its first result, or "store@<index in the body>"."""
    op = body[index]
    return op.results[0].name if op.results else f"store@{index}"


def clusters(flow: Dataflow, machine: Machine) -> tuple[Cluster, ...]:
    """All non-free ops of the body, each in exactly one cluster, ordered by first member."""
    tiles = any(len(v.type.shape) > 1 and not is_vector(v.type) for op in flow.body for v in op.results)
    kind = {i: _kind(flow.body[i], machine, tiles) for i in flow.active}
    merging = _Merging(flow)

    for i in reversed(flow.active):  # consumers first, so that a chain grows from its end
        following = {use.consumer for use in flow.uses[i]}
        now = all(use.source.distance == 0 for use in flow.uses[i])
        if len(following) == 1 and now and _same_subtile(flow, i, next(iter(following))):
            (j,) = following
            if kind[i] == kind[j] and kind[i] in ("arithmetic", "vector"):
                merging.merge(i, j)

    for i in flow.active:
        if kind[i] != "vector":
            continue
        feeding = [u.producer for u in flow.operands(i) if u.source.distance == 0]
        using = [u.consumer for u in flow.uses[i] if u.source.distance == 0]
        for j in (*sorted(feeding, reverse=True), *sorted(using)):
            joins = kind[j] in ("reduce", "vector") and _same_subtile(flow, i, j)
            if joins and not merging.together(i, j) and merging.allowed(i, j):
                merging.merge(i, j)
                break
    return tuple(Cluster(_name(flow, members), members) for members in merging.groups())


def _kind(op: Op, machine: Machine, tiles: bool) -> str:
    """reduce, alone (heavy or transcendental), vector, or arithmetic (tile-sized; in 1-D kernels, anything)."""
    if op.opcode == "reduce":
        return "reduce"
    if op.opcode in HEAVY_OPS:
        return "alone"
    if tiles and is_vector(op.result.type):
        return "vector"
    instruction = machine.instructions.get(op.opcode)
    return "alone" if instruction and instruction.of("mufu") else "arithmetic"


def _same_subtile(flow: Dataflow, i: int, j: int) -> bool:
    return flow.graph.subtiles == 1 or flow.body[i].subtile == flow.body[j].subtile


def _name(flow: Dataflow, members: tuple[int, ...]) -> str:
    """The first member whose result leaves the cluster (is used outside it, or carried on)."""
    yielded = {c.yielded for c in flow.graph.loop.carried}
    for i in members:
        leaves = any(use.consumer not in members for use in flow.uses[i])
        if leaves or any(v.name in yielded for v in flow.body[i].results):
            return member_name(flow.body, i)
    return member_name(flow.body, members[-1])


class _Merging:
    """Clusters under construction: sets of body indices, and what reaches what between them."""

    def __init__(self, flow: Dataflow) -> None:
        self._of = {i: frozenset({i}) for i in flow.active}
        self._now: dict[int, set[int]] = {i: set() for i in flow.active}
        self._ever: dict[int, set[int]] = {i: set() for i in flow.active}
        for uses in flow.uses.values():
            for use in uses:
                self._ever[use.producer].add(use.consumer)
                if use.source.distance == 0:
                    self._now[use.producer].add(use.consumer)

    def together(self, i: int, j: int) -> bool:
        return j in self._of[i]

    def merge(self, i: int, j: int) -> None:
        union = self._of[i] | self._of[j]
        for k in union:
            self._of[k] = union

    def groups(self) -> list[tuple[int, ...]]:
        return sorted({tuple(sorted(group)) for group in self._of.values()})

    def allowed(self, i: int, j: int) -> bool:
        """Merging the clusters of i and j leaves an iteration acyclic and no recurrence with more clusters."""
        union = self._of[i] | self._of[j]
        if self._returns(union, self._now):
            return False
        return self._returns(union, self._ever) <= self._returns(self._of[i], self._ever) | self._returns(
            self._of[j], self._ever
        )

    def _returns(self, group: frozenset[int], edges: dict[int, set[int]]) -> set[int]:
        """Ops outside `group` on a path from it back into it, clusters being crossed as a whole."""
        after = self._reach(group, edges)
        return {k for k in after if self._reach(self._of[k] | {k}, edges) & group or edges[k] & group}

    def _reach(self, group: frozenset[int], edges: dict[int, set[int]]) -> set[int]:
        """Ops outside `group` that depend on it."""
        found: set[int] = set()
        pending = list(group)
        while pending:
            for k in edges[pending.pop()]:
                if k not in found and k not in group:
                    found |= self._of[k]
                    pending += list(self._of[k])
        return found - group

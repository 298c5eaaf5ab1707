"""Who runs where: a Boolean for each class of ops and each warp group."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations

import networkx
import z3

from twill.certify.logic import Term, all_of, any_of, at_most, no
from twill.schedule.problem import Dep, Problem

NAMED_BARRIERS = 16  # of a thread block; a group takes one


class Places:
    """on(op, group) for ops that move as one, with what the sets, the roles and `spans` say of them.

    groups: how many there may be; some may stay empty. Groups are alike, so they are numbered by the
    first class on them; the classes that come first exclude one another and so have groups of their own.
    rules: what has to hold of the Booleans.
    """

    def __init__(self, problem: Problem, context: z3.Context) -> None:
        self.problem = problem
        self.context = context
        self.rules: list[Term] = []
        self._derived: dict[tuple[str, int, int], Term] = {}
        apart = exclusions(problem)
        order = _exclusive_first(apart)
        number = {k: position for position, k in enumerate(order)}
        self.class_of = {id: number[k] for id, k in classes(problem).items()}
        self._apart = {frozenset((number[a], number[b])) for a, b in apart.edges}
        self._spans = [{op.spans for op in problem.ops if self.class_of[op.id] == k} for k in range(len(order))]
        limits = problem.limits
        wanted = sum(max(spans) for spans in self._spans)
        self.groups = range(min(limits.max_groups, NAMED_BARRIERS, limits.max_warps, wanted))
        self._on: list[list[Term]] = []
        for k in range(len(order)):
            self._on.append(self._row(k))

    def on(self, op: str, group: int) -> Term:
        """`op` runs on `group`."""
        return self._on[self.class_of[op]][group]

    def inside(self, u: str, v: str) -> Term:
        """Every group of v is one of u: false only where that is not so, unless nothing holds it true."""
        a, b = self.class_of[u], self.class_of[v]
        if a == b:
            return True
        if frozenset((a, b)) in self._apart or self.problem.op(v).spans > self.problem.op(u).spans:
            return False
        return no(self._when("outside", a, b, (all_of([self._on[b][g], no(self._on[a][g])]) for g in self.groups)))

    def share(self, u: str, v: str) -> Term:
        """u and v have a group in common: true wherever they have."""
        a, b = sorted((self.class_of[u], self.class_of[v]))
        if a == b:
            return True
        if frozenset((a, b)) in self._apart:
            return False
        return self._when("share", a, b, (all_of([self._on[a][g], self._on[b][g]]) for g in self.groups))

    def used(self, group: int) -> Term:
        """Some op runs on `group`."""
        return any_of(row[group] for row in self._on)

    def _when(self, name: str, a: int, b: int, cases: Iterable[Term]) -> Term:
        """A literal that each case implies."""
        if (name, a, b) not in self._derived:
            literal = z3.Bool(f"{name} {a} {b}", self.context)
            self._derived[name, a, b] = literal
            self.rules += [any_of([no(case), literal]) for case in cases]
        return self._derived[name, a, b]

    def _row(self, k: int) -> list[Term]:
        """Class k on each group: on `spans` of them, on none that an excluded class has, each opened in its turn.

        Group g needs a class that comes no later on g - 1; so far `spans` of each class can be open.
        """
        reach = sum(max(spans) for spans in self._spans[: k + 1])
        row: list[Term] = []
        if len(self._spans[k]) == 1 and all(frozenset((j, k)) in self._apart for j in range(k)):
            first = reach - max(self._spans[k])  # the next groups are its own, all the same which
            row = [first <= g < reach for g in self.groups]
        for g in self.groups[len(row) :]:
            rivals = [self._on[j][g] for j in range(k) if frozenset((j, k)) in self._apart]
            opened = any_of([*(self._on[j][g - 1] for j in range(k)), *row[-1:]]) if g else True
            free = g < reach and opened is not False and not any(rival is True for rival in rivals)
            here: Term = z3.Bool(f"class {k} on group {g}", self.context) if free else False
            self.rules += [any_of([no(here), opened]), *(any_of([no(here), no(rival)]) for rival in rivals)]
            row.append(here)
        self.rules += [self._exactly(row, spans) for spans in self._spans[k]]
        if frozenset((k,)) in self._apart:
            self.rules.append(False)
        return row

    @staticmethod
    def _exactly(row: list[Term], count: int) -> Term:
        there = sum(1 for on in row if on is True)
        free = [on for on in row if not isinstance(on, bool)]
        if not there <= count <= there + len(free):
            return False
        if count == 1 and there == 0:
            return all_of([any_of(free), at_most([(on, 1) for on in free], 1)])
        return all_of([at_most([(on, 1) for on in free], count - there), _at_least(free, count - there)])


def _at_least(free: list[Term], count: int) -> Term:
    return at_most([(no(on), 1) for on in free], len(free) - count)


def classes(problem: Problem) -> dict[str, int]:
    """For each op the number of the class of ops that are on the same groups, by the colocate sets."""
    together = networkx.utils.UnionFind(op.id for op in problem.ops)
    for ids in problem.colocate:
        together.union(*ids)
    number: dict[str, int] = {}
    for op in problem.ops:
        number.setdefault(together[op.id], len(number))
    return {op.id: number[together[op.id]] for op in problem.ops}


def exclusions(problem: Problem) -> networkx.Graph:
    """The pairs of classes without a common group: separate sets, and variable latency beside fixed (rule 4).

    A class that contradicts itself is joined to itself.
    """
    class_of = classes(problem)
    apart = networkx.Graph()
    apart.add_nodes_from(class_of.values())
    for ids in problem.separate:
        apart.add_edges_from((class_of[u], class_of[v]) for u, v in combinations(ids, 2))
    for u, v in combinations(problem.ops, 2):
        if u.variable_latency != v.variable_latency:
            apart.add_edge(class_of[u.id], class_of[v.id])
    return apart


def uses_of(problem: Problem) -> dict[str, list[Dep]]:
    """For each op the dependences that use its result; those that a ring carries use none."""
    found: dict[str, list[Dep]] = {op.id: [] for op in problem.ops}
    for dep in problem.deps:
        if not dep.ring:
            found[dep.src].append(dep)
    return found


def _exclusive_first(apart: networkx.Graph) -> list[int]:
    """The classes, those first that exclude one another (grown from the most excluded)."""
    clique: list[int] = []
    for k in sorted(apart, key=lambda k: (-apart.degree(k), k)):
        if all(apart.has_edge(k, other) for other in clique) and not apart.has_edge(k, k):
            clique.append(k)
    return clique + [k for k in sorted(apart) if k not in clique]

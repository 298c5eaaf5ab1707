"""Rule 6 for Z3: depths of rings, transfers between groups and barriers inside the machine."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import z3

from twill.certify.logic import Term, all_of, any_of, at_most, no
from twill.certify.places import Places, uses_of
from twill.certify.times import Moment, Times
from twill.schedule.problem import Op, Problem


class Memory:
    """Depths are unary: a ring has `count` slots or more, for each count up to `detail` or what memory could hold."""

    def __init__(self, problem: Problem, times: Times, places: Places, detail: int) -> None:
        self.problem = problem
        self.limits = problem.limits
        self.detail = detail
        self.times = times
        self.places = places
        self.context = places.context
        self.uses = uses_of(problem)
        self.rules: list[Term] = []
        self.rings = {op.id: self._ring(op) for op in problem.ops if op.smem_bytes > 0 or op.tmem_columns > 0}
        self.sent = {op.id: self._transfer(op) for op in problem.ops if self._may_be_sent(op)}

    def assertions(self) -> list[Term]:
        """Lives are covered, and rings and transfers fit shared memory, tensor memory and the barriers."""
        return [*self.rules, *self.fits(())]

    def fits(self, extra: Sequence[tuple[str, Term]]) -> list[Term]:
        """The limits hold with a further slot for the ring of each op whose `extra` is true."""
        limits, op = self.limits, self.problem.op
        rings = [(id, deep) for id, ring in self.rings.items() for deep in ring] + list(extra)
        sent = [(id, deep) for id, ring in self.sent.items() for deep in ring]
        shared = [(deep, op(id).smem_bytes) for id, deep in rings] + [(deep, self._slot(op(id))) for id, deep in sent]
        plain = [each for each in self.problem.ops if not each.registers and each.id not in self.rings]
        pairs = [*(deep for _, deep in rings), *(deep for _, deep in sent), *(self._signalled(each) for each in plain)]
        return [
            at_most(shared, limits.smem_bytes),
            at_most([(deep, op(id).tmem_columns) for id, deep in rings], limits.tmem_columns),
            at_most([(term, 2) for term in pairs], limits.max_mbarriers),
        ]

    def depths(self, id: str) -> list[tuple[int, Term]]:
        """Each depth the ring of op `id` could have, with whether it is that deep."""
        return list(enumerate(self.rings[id], 1))

    def beyond(self, id: str) -> Term:
        """The ring of op `id` is as deep as is counted, and may be deeper."""
        return self.rings[id][-1] if len(self.rings[id]) == self.detail else False

    def too_short(self, op: Op, count: int) -> list[Term]:
        """Reasons why `count` slots do not cover the life of the buffer: count * ii < its length."""
        start = Moment(op.id)
        if not self.uses[op.id]:
            return [self.times.apart(Moment(op.id, count), Moment(op.id, 0, op.completion), 1)]
        return [
            self.times.apart(start, Moment(dep.dst, dep.distance - count, self.problem.op(dep.dst).completion), 1)
            for dep in self.uses[op.id]
        ]

    def _ring(self, op: Op) -> list[Term]:
        """depth * ii >= start(v) + distance * ii + completion(v) - start(u) for each use; of the last slot on, none."""
        sizes = ((op.smem_bytes, self.limits.smem_bytes), (op.tmem_columns, self.limits.tmem_columns))
        ring = self._unary(f"depth of {op.id}", min(limit // size for size, limit in sizes if size > 0), True)
        for count, deeper in self._deeper(ring):
            self.rules += [any_of([no(short), deeper]) for short in self.too_short(op, count)]
        return ring

    def _unary(self, name: str, most: int, there: Term) -> list[Term]:
        """Literals "at least 1", "at least 2", ... `most`, each implying the one before; `there` implies the first."""
        counts = range(1, min(most, self.detail) + 1)
        terms: list[Term] = [z3.Bool(f"{name} >= {count}", self.context) for count in counts]
        self.rules.append(any_of([no(there), terms[0] if terms else False]))
        self.rules += [any_of([no(after), before]) for before, after in pairwise(terms)]
        return terms

    def _deeper(self, ring: list[Term]) -> list[tuple[int, Term]]:
        """Each depth with whether the ring is deeper: never than memory holds, not counted beyond `detail`."""
        last: Term = len(ring) == self.detail
        return list(enumerate([*ring[1:], last] if ring else [], 1))

    def _may_be_sent(self, op: Op) -> bool:
        return bool(self._slot(op)) and any(self.places.inside(op.id, dep.dst) is not True for dep in self.uses[op.id])

    def _slot(self, op: Op) -> int:
        """Bytes of shared memory that a value of `op` takes on its way to other groups."""
        return self.limits.transfer_bytes * 32 * op.min_warps * op.spans * op.registers

    def _signalled(self, op: Op) -> Term:
        """A result without registers and ring is used in a group that does not run `op`."""
        return any_of(no(self.places.inside(op.id, dep.dst)) for dep in self.uses[op.id])

    def _transfer(self, op: Op) -> list[Term]:
        """depth * ii >= first use in the last group to begin - start(u), at least one slot once it is sent."""
        most = self.limits.smem_bytes // self._slot(op)
        uses, start = self.uses[op.id], Moment(op.id)
        ring = self._unary(f"transfers of {op.id}", most, self._signalled(op))
        for g in self.places.groups:
            away = all_of([no(self.places.on(op.id, g)), any_of(self.places.on(dep.dst, g) for dep in uses)])
            for count, deeper in self._deeper(ring):
                late = [
                    any_of(
                        [
                            no(self.places.on(dep.dst, g)),
                            self.times.apart(start, Moment(dep.dst, dep.distance - count), 1),
                        ]
                    )
                    for dep in uses
                ]  # every use in this group is too late, and so its first
                self.rules.append(any_of([no(all_of([away, *late])), deeper]))
        return ring

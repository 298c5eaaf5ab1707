"""Rules 4 and 5 for Z3: warps and registers of each group inside the machine, and live values inside the registers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise

import z3

from twill.certify.logic import Term, all_of, any_of, at_most, no
from twill.certify.places import Places, uses_of
from twill.certify.times import Moment, OutOfTime, Times
from twill.schedule.problem import Dep, Limits, Op, Problem

STEP = 8  # registers per thread are given out in steps


class Registers:
    """Budgets and copies are unary: more than so many registers, so many copies or more (counted up to `detail`)."""

    def __init__(self, problem: Problem, times: Times, places: Places, detail: int, over: Callable[[], bool]) -> None:
        self.over = over
        self.problem = problem
        self.limits = problem.limits
        self.detail = detail
        self.times = times
        self.places = places
        self.context = places.context
        self.uses = uses_of(problem)
        self.rules: list[Term] = []
        self._producing = self._roles()
        self._warps = self._warp_steps()

    def assertions(self) -> list[Term]:
        """Rules 4 (but for who may sit with whom, which `places` says) and 5."""
        self.rules.append(at_most([step for steps in self._warps for step in steps], self.limits.max_warps))
        caps = self._caps()
        for g in self.places.groups:
            self._live(g, caps[g])
        return self.rules

    def _roles(self) -> list[Term]:
        """For each group whether an op of variable latency is on it."""
        loads = [op.id for op in self.problem.ops if op.variable_latency]
        roles = []
        for g in self.places.groups:
            role = z3.Bool(f"group {g} produces", self.context) if loads else False
            self.rules += [any_of([no(self.places.on(id, g)), role]) for id in loads]
            self.rules.append(any_of([no(role), *(self.places.on(id, g) for id in loads)]))
            roles.append(role)
        return roles

    def _warp_steps(self) -> list[list[tuple[Term, int]]]:
        """warps(group) = max of min_warps of its ops, as increments: the sum of those true is what it has at least."""
        sizes = sorted({op.min_warps for op in self.problem.ops})
        steps: list[list[tuple[Term, int]]] = []
        for g in self.places.groups:
            steps.append([])
            for below, size in pairwise([0, *sizes]):
                literal = z3.Bool(f"group {g} has {size} warps", self.context)
                wide = [op for op in self.problem.ops if op.min_warps >= size]
                self.rules += [any_of([no(self.places.on(op.id, g)), literal]) for op in wide]
                steps[g].append((literal, size - below))
        return steps

    def _caps(self) -> list[list[tuple[Term, int]]]:
        """For each group its registers per thread as increments, what they cost of the file being paid for.

        128 * ceil(p / 4) * P + sum over other groups of 32 * warps * (registers in steps of 8) <= register_file.
        """
        limits = self.limits
        quota = quotas(limits)
        others = [*range(0, limits.registers_per_thread, STEP), limits.registers_per_thread]
        more = self._chain("the producers' quota", quota)
        charges: list[tuple[Term, int]] = []
        for four in self._fours():
            for (below, level), term in zip(pairwise([0, *quota]), (True, *more), strict=True):
                charges.append((all_of([four, term]), 128 * (level - below)))
        caps = []
        for g in self.places.groups:
            role = self._producing[g]
            own = self._chain(f"the registers of group {g}", others)
            for (below, level), term in zip(pairwise(_rounded(level) for level in others), own, strict=True):
                for wide, warps in self._warps[g]:
                    charges.append((all_of([no(role), wide, term]), 32 * warps * (level - below)))
            cap = [(all_of([no(role), term]), b - a) for (a, b), term in zip(pairwise(others), own, strict=True)]
            cap += [
                (all_of([role, term]), level - below)
                for (below, level), term in zip(pairwise([0, *quota]), (True, *more), strict=True)
            ]
            caps.append(cap)
        self.rules.append(at_most(charges, limits.register_file))
        return caps

    def _chain(self, name: str, levels: list[int]) -> list[Term]:
        """Literals "more than level k", each implying the one before."""
        chain: list[Term] = [z3.Bool(f"{name} are more than {level}", self.context) for level in levels[:-1]]
        self.rules += [any_of([no(after), before]) for before, after in pairwise(chain)]
        return chain

    def _fours(self) -> list[Term]:
        """Whether the producers' warps take more than 0, 1, 2, ... allocations of four."""
        terms = [
            (all_of([self._producing[g], wide]), warps) for g in self.places.groups for wide, warps in self._warps[g]
        ]
        most = min(self.limits.max_warps, sum(warps for term, warps in terms if term is not False))
        fours: list[Term] = []
        for count in range(-(-most // 4)):
            four = z3.Bool(f"the producers take more than {count} fours of warps", self.context)
            total = sum(warps for term, warps in terms if term is not False)
            self.rules.append(at_most([*terms, (no(four), total - 4 * count)], total))
            fours.append(four)
        return fours

    def _live(self, group: int, cap: list[tuple[Term, int]]) -> None:
        """Rule 5: at the slot of each op that begins a life, copies * registers of the values there <= registers."""
        values = [op for op in self.problem.ops if op.registers > 0]
        begins = {op.id for op in values} | {dep.dst for op in values for dep in self.uses[op.id]}
        most = sum(weight for _, weight in cap)
        largest = max(self.limits.registers_per_thread, self.limits.producer_registers)
        for at in (op.id for op in self.problem.ops if op.id in begins):
            if self.over():
                raise OutOfTime
            if self.places.on(at, group) is False:
                continue
            there: list[tuple[Term, int]] = []
            for op in values:
                lives = [life for life in self._lives(op, group) if life[0] is not False]
                if not lives:
                    continue
                for count in range(1, min(self.detail, largest // op.registers + 1) + 1):
                    literal = z3.Bool(f"{op.id} {count} times in group {group} at {at}", self.context)
                    for given, begin, end in lives:
                        copies = self.times.copies(begin, end, at, count)
                        self.rules.append(any_of([no(all_of([given, copies])), literal]))
                    if count * op.registers > largest:
                        self.rules.append(no(literal))
                    else:
                        there.append((literal, op.registers))
            spare = [(no(term), weight) for term, weight in cap]
            self.rules.append(any_of([no(self.places.on(at, group)), at_most([*there, *spare], most)]))

    def _lives(self, op: Op, group: int) -> Iterator[tuple[Term, Moment, Moment]]:
        """The stretches that make up the life of a value in a group, each with when it counts.

        At home it begins at its start, elsewhere at any use there (the longest stretch being from the
        first); it ends where any use there releases it, and a cycle after its beginning at the least.
        """
        uses = [(dep, self.places.on(dep.dst, group)) for dep in self.uses[op.id]]
        home = self.places.on(op.id, group)
        begins = [(home, Moment(op.id))]
        if not all(self.places.inside(op.id, dep.dst) is True for dep, _ in uses):
            begins += [(all_of([no(home), on]), Moment(dep.dst, dep.distance)) for dep, on in uses]
        for given, begin in begins:
            yield given, begin, Moment(begin.op, begin.turns, 1)
            for dep, on in uses:
                end = Moment(dep.dst, dep.distance, self._hold(dep))
                if (end.op, end.turns, end.cycles) != (begin.op, begin.turns, 0):
                    yield all_of([given, on]), begin, end

    def _hold(self, dep: Dep) -> int:
        """Cycles an asynchronous use reads its operand for, unless it writes over it."""
        user = self.problem.op(dep.dst)
        return user.occupancy if user.issue < user.occupancy and not dep.in_place and dep.src != dep.dst else 0


def quotas(limits: Limits) -> list[int]:
    """What producer groups may have: producer_registers, or that and a multiple of 8 up to what a thread may have."""
    least = limits.producer_registers
    return [least, *range(least + STEP, limits.registers_per_thread + 1, STEP)]


def _rounded(registers: int) -> int:
    return -(-registers // STEP) * STEP

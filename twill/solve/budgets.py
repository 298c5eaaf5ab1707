"""Rule 4: the warps and the registers of each group, together inside the machine."""

from __future__ import annotations

from functools import cached_property

from ortools.sat.python import cp_model

from twill.schedule.problem import REGISTER_STEP, Limits, in_register_steps
from twill.solve.variables import Variables


class Budgets:
    """The registers per thread of every group, as decisions of the model where they are not settled by arithmetic.

    Sums of the largest groups there could be bound what the file has to hold. Where it holds that, each
    group simply has `registers_per_thread`. Otherwise, with W(g) the warps of group g and R(g) its
    registers, 128 * ceil(producer warps / 4) * P + sum over other groups of 32 * W(g) * 8 * ceil(R(g) / 8)
    <= register_file, where all producer groups have P registers, producer_registers plus a multiple of 8.
    """

    def __init__(self, variables: Variables) -> None:
        self.v = variables
        self.model = variables.model
        self.limits = variables.problem.limits
        self.grouping = variables.grouping
        classes = range(len(self.grouping.classes))
        self.producers = [k for k in classes if self.grouping.producer(k)]
        self.others = [k for k in classes if not self.grouping.producer(k)]
        self._steps: dict[int, cp_model.IntVar] = {}
        self._warps()

    def cap(self, g: int) -> cp_model.LinearExprT:
        """Registers per thread of group g: P when it holds ops of variable latency, else its own budget."""
        for k in range(len(self.grouping.classes)):
            if g in (self.grouping.settled(k) or ()):
                return self.quota if self.grouping.producer(k) else self._own(g)
        if not self._producers_hold_values:
            return self._own(g)
        if not self.others:
            return self.quota
        most = max(self.limits.registers_per_thread, most_quota(self.limits))
        cap = self.model.new_int_var(0, most, f"cap {g}")
        own = self._own(g)
        for k, row in enumerate(self.v.member):
            self.model.add(cap <= (self.quota if self.grouping.producer(k) else own)).only_enforce_if(row[g])
        return cap

    def fit_file(self) -> None:
        """The budgets asked for so far, and the quota of the producers, fit the register file."""
        taken = self._producers_take()
        for g, steps in self._steps.items():
            taken += self._take(g, steps)
        self.model.add(taken <= self.limits.register_file)

    @cached_property
    def quota(self) -> cp_model.LinearExprT:
        """P, of all producer groups: more than producer_registers only where a value may live there."""
        least = self.limits.producer_registers
        raises = (most_quota(self.limits) - least) // REGISTER_STEP
        if not raises or not self._producers_hold_values:
            return least
        return least + REGISTER_STEP * self.model.new_int_var(0, raises, "steps of the producer quota")

    @cached_property
    def _producers_hold_values(self) -> bool:
        problem = self.v.problem
        values = {op.id for op in problem.ops if op.registers > 0}
        loads = {op.id for op in problem.ops if op.variable_latency}
        return bool(values & loads) or any(d.src in values and d.dst in loads and not d.ring for d in problem.deps)

    @cached_property
    def roomy(self) -> bool:
        """Whether the file holds registers_per_thread for as many other warps as there can be."""
        quota = most_quota(self.limits) if self._producers_hold_values else self.limits.producer_registers
        warps = min(self._most(self.others), self.limits.max_warps)
        others = 32 * warps * in_register_steps(self.limits.registers_per_thread)
        return 128 * -(-self._most(self.producers) // 4) * quota + others <= self.limits.register_file

    def _own(self, g: int) -> cp_model.LinearExprT:
        """Registers per thread of group g if it is no producer: registers_per_thread and 8 * steps at most."""
        if self.roomy:
            return self.limits.registers_per_thread
        most = -(-self.limits.registers_per_thread // REGISTER_STEP)
        steps = self._steps[g] = self.model.new_int_var(0, most, f"register steps {g}")
        if REGISTER_STEP * most == self.limits.registers_per_thread:
            return REGISTER_STEP * steps
        cap = self.model.new_int_var(0, self.limits.registers_per_thread, f"registers {g}")
        self.model.add(cap <= REGISTER_STEP * steps)
        return cap

    def _take(self, g: int, steps: cp_model.IntVar) -> cp_model.LinearExprT:
        """32 * W(g) * 8 * steps, of the widest class on g; no product where all classes are as wide."""
        widths = {self.grouping.warps(k) for k in self.others}
        if len(widths) == 1:
            return 32 * REGISTER_STEP * widths.pop() * steps
        most = self.limits.register_file
        file = self.model.new_int_var(0, most, f"registers of the file {g}")
        for k in self.others:
            taken = 32 * REGISTER_STEP * self.grouping.warps(k) * steps
            self.model.add(file >= taken).only_enforce_if(self.v.member[k][g])
        return file

    def _producers_take(self) -> cp_model.LinearExprT:
        """128 * ceil(producer warps / 4) * P."""
        most = -(-min(self._most(self.producers), self.limits.max_warps) // 4)
        if most <= 1:  # some group has a producer if there is one
            return 128 * most * self.quota
        fours = self.model.new_int_var(0, most, "producer warps in fours")
        self.model.add(4 * fours >= self.warps[True])
        if isinstance(self.quota, int):
            return 128 * self.quota * fours
        taken = self.model.new_int_var(0, max(0, self.limits.register_file), "registers of producers")
        for count in range(1, most + 1):
            reached = self.model.new_bool_var(f"{count} fours of producer warps")
            self.model.add(fours <= count - 1).only_enforce_if(~reached)
            self.model.add(taken >= 128 * count * self.quota).only_enforce_if(reached)
        return taken

    def _warps(self) -> None:
        """W(g) = max of min_warps of its ops; the sum over groups <= max_warps."""
        self.warps: dict[bool, cp_model.LinearExprT] = {}
        by_fours = self._most(self.producers) > 4  # the file is charged by their number
        if self._most(self.producers) + self._most(self.others) <= self.limits.max_warps and not by_fours:
            return
        for producer, kinds in ((True, self.producers), (False, self.others)):
            most = max((self.grouping.warps(k) for k in kinds), default=0)
            role = "producer" if producer else "other"
            counts = [self.model.new_int_var(0, most, f"{role} warps {g}") for g in range(self.grouping.max_groups)]
            for g, count in enumerate(counts):
                for k in kinds:
                    self.model.add(count >= self.grouping.warps(k) * self.v.member[k][g])
            self.warps[producer] = sum(counts)
        self.model.add(self.warps[True] + self.warps[False] <= self.limits.max_warps)

    def _most(self, kinds: list[int]) -> int:
        """The most warps that classes of one role can have in all: each in as many groups as there may be."""
        both = bool(self.producers) and bool(self.others)
        places = max(0, self.grouping.max_groups - both)
        widths = sorted((self.grouping.warps(k) for k in kinds for _ in range(self.grouping.spans(k))), reverse=True)
        return sum(widths[:places])


def most_quota(limits: Limits) -> int:
    """The most registers per thread of producer groups: producer_registers, or that and 8s up to what a thread may
    have."""
    least = limits.producer_registers
    return least + max(0, limits.registers_per_thread - least) // REGISTER_STEP * REGISTER_STEP

"""Rule 6: rings of buffers, rings of values on their way to other groups, and the barriers of both."""

from __future__ import annotations

from collections import defaultdict

from ortools.sat.python import cp_model

from twill.schedule.problem import Dep, Op
from twill.solve.grouping import hop
from twill.solve.lives import Lives
from twill.solve.variables import Variables

MBARRIERS = 2  # of a slot or a signal: full and empty


class Buffers:
    """The depths of all rings, and that they fit shared memory, tensor memory and the barriers."""

    def __init__(self, variables: Variables, lives: Lives) -> None:
        self.v = variables
        self.model = variables.model
        self.problem = variables.problem
        self.lives = lives
        self._depth: dict[str, cp_model.IntVar] = {}
        self._reach: dict[str, cp_model.LinearExprT] = {}
        self._uses: dict[str, list[Dep]] = defaultdict(list)
        for dep in self.problem.deps:
            if not dep.ring:
                self._uses[dep.src].append(dep)

    def add_constraints(self) -> None:
        limits = self.problem.limits
        rings = [op for op in self.problem.ops if op.smem_bytes > 0 or op.tmem_columns > 0]
        depth = {op.id: self.depth(op.id) + self.v.extra.get(op.id, 0) for op in rings}
        sent = self._transfers()
        shared = sum(depth[op.id] * op.smem_bytes for op in rings)
        shared += sum(count * self._slot_bytes(id) for id, count in sent.items())
        columns = sum(depth[op.id] * op.tmem_columns for op in rings)
        self.model.add(shared <= limits.smem_bytes)
        self.model.add(columns <= limits.tmem_columns)
        self._barriers(rings, sum(depth.values()), sent)

    def depth(self, id: str) -> cp_model.IntVar:
        """Rule 6: depth(u) * ii >= start(v) + distance * ii + completion(v) - start(u) for each consumer v of u.

        A buffer may be written again when its last consumer has completed. `extra` is depth beyond that,
        for the goal of ring slack.
        """
        if id not in self._depth:
            self._add_depth(self.problem.op(id), self._uses[id])
        return self._depth[id]

    def reach(self, id: str) -> cp_model.LinearExprT:
        """depth * ii, in cycles, of the ring of op `id`."""
        self.depth(id)
        return self._reach[id]

    def _add_depth(self, op: Op, uses: list[Dep]) -> None:
        longest = max(each.completion for each in self.problem.ops)
        carried = [dep.latency + hop(self.problem, dep) for dep in self.problem.deps if dep.ring and dep.dst == op.id]
        farthest = max((dep.distance for dep in uses), default=0)
        most = 2 * self.v.reach + 2 + farthest + -(-max([longest, *carried]) // self.v.lowest)
        depth = self._depth[op.id] = self.model.new_int_var(1, most, f"depth {op.id}")
        if op.variable_latency:
            self.v.extra[op.id] = self.model.new_bool_var(f"extra depth {op.id}")
        life = self._reach[op.id] = self.v.times_ii(depth, 1, most, f"depth {op.id} * ii")
        for dep in uses:
            used = self.v.start[dep.dst] + dep.distance * self.v.ii - self.v.start[op.id]
            self.model.add(life >= used + self.problem.op(dep.dst).completion)
        if not uses:
            self.model.add(life >= op.completion)

    def _transfers(self) -> dict[str, cp_model.IntVar]:
        """Rule 6: for a value sent to other groups, depth * ii >= first use there - start(u), and depth >= 1.

        By stages and slots: depth >= stage(first use) - stage(u) + [slot(first use) > slot(u)].
        """
        if not self.problem.limits.transfer_bytes:
            return {}
        most = 2 * self.v.reach + 2 + max((dep.distance for dep in self.problem.deps), default=0)
        depth: dict[str, cp_model.IntVar] = {}
        for g in range(self.v.grouping.max_groups):
            self.lives.in_group(g)  # fills `foreign` and `first_use`
        for (id, g), foreign in self.lives.foreign.items():
            if id not in depth:
                fits = self.problem.limits.smem_bytes // self._slot_bytes(id)
                depth[id] = self.model.new_int_var(0, min(most, fits), f"slots to send {id}")
            stage, slot = self.lives.first_use[id, g]
            self.model.add(depth[id] >= foreign)
            turns = stage - self.v.stage[id] + self.v.after(slot, self.v.slot[id])
            self.model.add(depth[id] >= turns).only_enforce_if(foreign)
        return depth

    def _slot_bytes(self, id: str) -> int:
        op = self.problem.op(id)
        return self.problem.limits.transfer_bytes * 32 * op.min_warps * op.spans * op.registers

    def _barriers(self, rings: list[Op], slots: cp_model.LinearExprT, sent: dict[str, cp_model.IntVar]) -> None:
        """Rule 6: 2 * (slots of rings and transfers + plain signals to other groups) <= max_mbarriers.

        Left out where no slots and signals that fit the memories come to as many.
        """
        limits = self.problem.limits
        plain = [op for op in self.problem.ops if not op.registers and op not in rings]
        sizes = [op.smem_bytes for op in rings if op.smem_bytes] + [self._slot_bytes(id) for id in sent]
        columns = [op.tmem_columns for op in rings if op.tmem_columns]
        most = len(plain)
        most += limits.smem_bytes // min(sizes) if sizes else 0
        most += limits.tmem_columns // min(columns) if columns else 0
        if MBARRIERS * most <= limits.max_mbarriers:
            return
        signals = sum(self._signal(op) for op in plain)
        taken = MBARRIERS * (slots + sum(sent.values()) + signals)
        self.model.add(taken <= limits.max_mbarriers)

    def _signal(self, op: Op) -> cp_model.LinearExprT:
        """Whether another group uses the result of an op that has neither registers nor a ring."""
        inside = [self.v.inside(op.id, dep.dst) for dep in self._uses[op.id]]
        if any(known is False for known in inside):
            return 1
        open_ = [literal for literal in inside if literal is not True]
        if not open_:
            return 0
        signal = self.model.new_bool_var(f"{op.id} signals")
        for literal in open_:
            self.model.add_implication(~literal, signal)
        return signal

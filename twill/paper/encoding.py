"""The paper's satisfiability problem at one interval: time-indexed Booleans, a method a constraint family.

op(v, i, t): op v of copy i of the straight-line program starts at time t. live(v, i, t): its result is
still needed at t. opw[v, w]: v runs on warp group w. `docs/paper-formulation.md` lists the families and
what the text leaves open.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise

from twill.paper.costs import Costs
from twill.paper.system import FALSE, TRUE, System, negated
from twill.schedule.lifetimes import hold
from twill.schedule.problem import Dep, Op

FAMILIES = (
    "dependence", "capacity", "memory", "variable latency", "registers", "spill", "concurrency", "sets",
)  # fmt: skip


@dataclass(frozen=True)
class Warps:
    """What the paper takes as given: warp groups in all, and registers per thread of those that do not load."""

    groups: int
    registers: int


@dataclass(frozen=True)
class Answer:
    """A satisfying assignment in normalized cycles: starts of copy 0, occupancies, and the warp groups of each op."""

    ii: int
    length: int
    start: Mapping[str, int]
    occupancy: Mapping[str, int]
    groups: Mapping[str, tuple[int, ...]]


class Encoding:
    """The system at interval `ii` for every length up to copies * ii; `completed_by` assumes one length.

    The copies are one schedule shifted by ii (the paper's consistency), so op(v, i, t) is the variable
    of copy 0 at t - i * ii, and a constraint at t is the constraint at t + ii: each is stated for the
    times of one period, slots 0 to ii - 1, where the steady state is. families: the constraints to state.
    """

    def __init__(self, costs: Costs, ii: int, copies: int, warps: Warps, families: Collection[str] = FAMILIES) -> None:
        self.costs = costs
        self.problem = costs.problem
        self.ii = ii
        self.longest = copies * ii
        self.warps = warps
        self.families = families
        self.system = System()
        self.number = {op.id: k for k, op in enumerate(self.problem.ops)}
        self.uses: dict[str, list[Dep]] = {op.id: [] for op in self.problem.ops}
        for dep in self.problem.deps:
            self.uses[dep.src].append(dep)
        # The loading group, if there is one, is number 0.
        self.loader = 0 if any(op.variable_latency for op in self.problem.ops) else None
        self.op: dict[str, list[str]] = {}
        self._started: dict[str, list[str]] = {}
        self.opw: dict[tuple[str, int], str] = {}
        self._together: dict[tuple[str, str], str] = {}
        self._issuing: dict[tuple[str, int], str] = {}
        self._variables()
        self.uniqueness()
        self.warp_uniqueness()
        stated: dict[str, Callable[[], None]] = {
            "dependence": self.dependence,
            "capacity": self.capacity,
            "memory": self.memory,
            "variable latency": self.variable_latency,
            "registers": self.registers,
            "spill": self.spill,
            "concurrency": self.concurrency,
            "sets": self.sets,
        }
        for family in families:
            stated[family]()

    def completed_by(self, length: int) -> list[str]:
        """Completion: t + cycles(v) > length => not op(v, 0, t); as assumptions, so that lengths share one solver."""
        return [self.started(op.id, length - op.completion) for op in self.problem.ops]

    def answer(self, true: Collection[str], length: int) -> Answer:
        """What an assignment says; true: the variables that hold."""
        start = {id: next(t for t, literal in enumerate(row) if literal in true) for id, row in self.op.items()}
        groups = {
            op.id: tuple(w for w in range(self.warps.groups) if self.opw[op.id, w] in true) for op in self.problem.ops
        }
        occupancy = {op.id: op.occupancy for op in self.problem.ops}
        return Answer(self.ii, length, start, occupancy, groups)

    # Variables.

    def _variables(self) -> None:
        for op in self.problem.ops:
            k = self.number[op.id]
            times = range(max(0, self.longest - op.completion + 1))
            self.op[op.id] = [self.system.variable(f"op_{k}_{t}") for t in times]
            self._started[op.id] = [self.system.variable(f"started_{k}_{t}") for t in times]
            for w in range(self.warps.groups):
                self.opw[op.id, w] = self.system.variable(f"opw_{k}_{w}")

    def started(self, id: str, t: int) -> str:
        """Copy 0 of op `id` starts at t or before: the sum of op(v, 0, t') over t' <= t, kept as a Boolean."""
        row = self._started[id]
        if t < 0 or not row:
            return FALSE
        return row[min(t, len(row) - 1)]

    def starts_in(self, id: str, slots: Iterable[int]) -> list[str]:
        """The literals of `id` starting, in whatever copy, in one of these slots of the period."""
        return [literal for slot in slots for literal in self.op[id][slot % self.ii :: self.ii]]

    # Constraint families.

    def uniqueness(self) -> None:
        """sum over t of op(v, i, t) = 1."""
        for op in self.problem.ops:
            before = FALSE
            for now, done in zip(self.op[op.id], self._started[op.id], strict=True):
                self.system.imply(now, done)
                self.system.imply(before, done)
                self.system.clause(negated(done), before, now)
                self.system.clause(negated(now), negated(before))
                before = done
            self.system.clause(before)

    def warp_uniqueness(self) -> None:
        """sum over w of opw(v, w) = the number of warp groups v spans."""
        for op in self.problem.ops:
            self.system.exactly([self.opw[op.id, w] for w in range(self.warps.groups)], op.spans)

    def dependence(self) -> None:
        """op(u, i, t) => not op(v, i + distance, t') for t' < t + d."""
        for dep in self.problem.deps:
            self._follow(dep, dep.latency)

    def spill(self) -> None:
        """A consumer on a group without the producer starts d + spillcost(u) after it, or later."""
        for k, dep in enumerate(self.problem.deps):
            cost = self.costs.spill(self.problem.op(dep.src))
            if cost == 0 or dep.src == dep.dst:
                continue
            apart = self.system.variable(f"apart_{k}")
            for w in range(self.warps.groups):
                self.system.clause(negated(self.opw[dep.dst, w]), self.opw[dep.src, w], apart)
            self._follow(dep, dep.latency + cost, negated(apart))

    def _follow(self, dep: Dep, delay: int, unless: str = FALSE) -> None:
        """The end of `dep` starts `delay` after its beginning, unless the literal holds."""
        ahead = delay - dep.distance * self.ii
        if dep.src == dep.dst:
            self.system.clause(TRUE if ahead <= 0 else FALSE, unless)
            return
        for t, starts in enumerate(self.op[dep.src]):
            self.system.clause(negated(starts), negated(self.started(dep.dst, t + ahead - 1)), unless)

    def capacity(self) -> None:
        """sum over v, i, c of op(v, i, t - c) * RRT(v)[f, c] <= capacity(f), at each time t."""
        for unit, capacity in self.problem.limits.units.items():
            ops = [op for op in self.problem.ops if op.unit == unit and op.occupancy > 0]
            left = capacity - sum(op.occupancy // self.ii for op in ops)  # whole turns cover every time
            for t in range(self.ii):
                terms: list[tuple[str, int]] = []
                for op in ops:  # of its literals in fewer than ii slots at most one holds
                    slots = range(t - op.occupancy % self.ii + 1, t + 1)
                    terms += [(starts, 1) for starts in self.starts_in(op.id, slots)]
                self.system.at_most(terms, left)

    def live(self, op: Op, buffer: bool) -> list[str]:
        """live(v, 0, t) for t from 0 on: v has started and some use of it is not over.

        A register value is released when its last user starts, or has read it where that works on by
        itself (asynchronous, not in place); a buffer when its last user completes.
        """
        ends: list[tuple[str, int]] = []
        for dep in self.uses[op.id]:
            user = self.problem.op(dep.dst)
            held = user.completion if buffer else hold(dep, user)
            ends.append((dep.dst, held + dep.distance * self.ii))
        if not buffer:
            ends.append((op.id, 1))  # at least a cycle
        elif not ends:
            ends.append((op.id, op.completion))
        kind = "buffer" if buffer else "value"
        literals = []
        for t in range(self.longest + max(delay for _, delay in ends)):
            alive = self.system.variable(f"{kind}_{self.number[op.id]}_{t}")
            for user_id, delay in ends:
                self.system.clause(negated(self.started(op.id, t)), self.started(user_id, t - delay), alive)
            literals.append(alive)
        return literals

    def memory(self) -> None:
        """sum over v, i of live(v, i, t) * footprint(v, m) <= capacity(m), at each time t."""
        buffers = [op for op in self.problem.ops if op.smem_bytes or op.tmem_columns]
        live = {op.id: self.live(op, buffer=True) for op in buffers}
        limits = self.problem.limits
        for attribute, limit in (("smem_bytes", limits.smem_bytes), ("tmem_columns", limits.tmem_columns)):
            self._at_most_live({id: (row, getattr(self.problem.op(id), attribute)) for id, row in live.items()}, limit)

    def variable_latency(self) -> None:
        """variable_latency(v) <=> opw(v, W_vl)."""
        if self.loader is None:
            return
        for op in self.problem.ops:
            on = self.opw[op.id, self.loader]
            self.system.clause(on if op.variable_latency else negated(on))

    def registers(self) -> None:
        """sum over v, i of live(v, i, t) * opw(v, w) * registers(v) <= limit, at each time t on each group w."""
        values = [op for op in self.problem.ops if op.registers]
        live = {op.id: self.live(op, buffer=False) for op in values}
        for w in range(self.warps.groups):
            held: dict[str, tuple[list[str], int]] = {}
            for op in values:
                here = [self.system.variable(f"held_{self.number[op.id]}_{w}_{t}") for t in range(len(live[op.id]))]
                for alive, kept in zip(live[op.id], here, strict=True):
                    self.system.clause(negated(alive), negated(self.opw[op.id, w]), kept)
                held[op.id] = (here, op.registers)
            limit = self.problem.limits.producer_registers if w == self.loader else self.warps.registers
            self._at_most_live(held, limit)

    def _at_most_live(self, rows: Mapping[str, tuple[list[str], int]], limit: int) -> None:
        """At each time the weights of what is live sum to at most `limit`; every copy counts.

        In the steady state, a copy that began k intervals ago is at its own time t + k * ii, so all
        copies are met by stepping through copy 0, those too that began before the program.
        """
        for t in range(self.ii):
            terms = [(alive, weight) for row, weight in rows.values() for alive in row[t :: self.ii]]
            self.system.at_most(terms, limit)

    def concurrency(self) -> None:
        """Where v waits on group w at t, no other op o of w starts in [t - (issue(o) - 1), t]."""
        waiting = sorted({dep.dst for dep in self.problem.deps if dep.blocking}, key=self.number.__getitem__)
        for id in waiting:
            for other in self.problem.ops:
                if other.id == id or other.issue == 0:
                    continue
                apart = negated(self._same_group(id, other.id))
                for slot in range(self.ii):
                    for waits in self.starts_in(id, (slot,)):
                        self.system.clause(negated(waits), negated(self._issues(other, slot)), apart)

    def _issues(self, op: Op, slot: int) -> str:
        """Some copy of `op` takes its group's stream in this slot of the period."""
        if (op.id, slot) not in self._issuing:
            issuing = self.system.variable(f"issuing_{self.number[op.id]}_{slot}")
            for starts in self.starts_in(op.id, range(slot - min(op.issue, self.ii) + 1, slot + 1)):
                self.system.imply(starts, issuing)
            self._issuing[op.id, slot] = issuing
        return self._issuing[op.id, slot]

    def _same_group(self, u: str, v: str) -> str:
        """u and v share a warp group."""
        a, b = sorted((u, v), key=self.number.__getitem__)
        if (a, b) not in self._together:
            same = self.system.variable(f"together_{self.number[a]}_{self.number[b]}")
            for w in range(self.warps.groups):
                self.system.clause(negated(self.opw[a, w]), negated(self.opw[b, w]), same)
            self._together[a, b] = same
        return self._together[a, b]

    def sets(self) -> None:
        """Colocated ops share their groups, no two separate ops share one. Not in the paper; the code needs it."""
        for w in range(self.warps.groups):
            for together in self.problem.colocate:
                for u, v in pairwise(together):
                    self.system.imply(self.opw[u, w], self.opw[v, w])
                    self.system.imply(self.opw[v, w], self.opw[u, w])
            for apart in self.problem.separate:
                self.system.at_most_one([self.opw[id, w] for id in apart])
        self._name_groups()

    def _name_groups(self) -> None:
        """Groups are alike, so the ops of the largest separate set may be given theirs in order."""
        largest = [self.problem.op(id) for id in max(self.problem.separate, key=len, default=())]
        if "variable latency" not in self.families or any(op.variable_latency or op.spans > 1 for op in largest):
            return
        for w, op in enumerate(largest, 0 if self.loader is None else 1):
            self.system.clause(self.opw[op.id, w] if w < self.warps.groups else FALSE)

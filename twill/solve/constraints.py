"""Rules 1 to 6 as CP-SAT constraints, one method a rule; `add_constraints` is the index of the model."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass

from ortools.sat.python import cp_model

from twill.schedule.problem import Dep, Op
from twill.solve.grouping import hop
from twill.solve.variables import Variables

PAIR = True
NOV = False
NOV0 = True
FAMILIES = ("units", "streams", "roles", "registers", "shared memory", "tensor memory", "groups")


@dataclass(frozen=True)
class Life:
    """When a register value lives in one group: stages and slots of its start and its (exclusive) end."""

    registers: int
    alive: object
    stage: object
    slot: cp_model.IntVar
    end_stage: object
    end_slot: cp_model.IntVar


class Constraints:
    """Adds the rules of a schedule to the model of `variables`, less the families left out."""

    def __init__(self, variables: Variables, families: Collection[str] = FAMILIES) -> None:
        self.v = variables
        self.model = variables.model
        self.problem = variables.problem
        self.families = families
        self.depth: dict[str, cp_model.IntVar] = {}
        self.extra: dict[str, cp_model.IntVar] = {}
        self.foreign: dict[tuple[str, int], cp_model.IntVar] = {}
        self.consumer_cap: cp_model.IntVar | int = self.problem.limits.registers_per_thread

    def add_constraints(self) -> None:
        self.dependence()
        if "units" in self.families:
            self.units()
        if "streams" in self.families:
            self.streams()
        if "roles" in self.families:
            self.roles()
        if "registers" in self.families:
            self.registers()
        self.rings()

    def dependence(self) -> None:
        """Rule 1: start(v) + distance * ii >= start(u) + latency + hop * [groups differ].

        A result is used when it is there, and visible in the group that uses it.
        """
        for dep in self.problem.deps:
            self.model.add(self.gap(dep) >= dep.latency + self.hop_term(dep))

    def units(self) -> None:
        """Rule 2: at each slot, sum over ops of the unit of their coverage modulo ii <= capacity.

        The anchor's unit is cut open at the anchor when it is of capacity 1: nothing can reach
        around the end of the period, where the anchor starts.
        """
        for unit, capacity in self.problem.limits.units.items():
            ops = [op for op in self.problem.ops if op.unit == unit and op.occupancy > 0]
            if len(ops) < 2 and capacity >= 1 and all(op.occupancy <= capacity * self.v.lowest for op in ops):
                continue
            if capacity == 1:
                self._exclusive_unit(ops)
            else:
                loads = [self._modular(op.id, self.v.slot[op.id], op.occupancy, op.occupancy, None) for op in ops]
                self._cumulative([(turns, pair, 1) for turns, pair in loads], capacity)

    def _exclusive_unit(self, ops: list[Op]) -> None:
        anchored = any(op.id == self.v.anchor for op in ops)
        intervals = []
        for op in ops:
            slot = self.v.slot[op.id]
            intervals.append(self.model.new_fixed_size_interval_var(slot, op.occupancy, f"{op.id} busy"))
            if anchored:
                self.model.add(slot + op.occupancy <= self.v.ii)
            elif PAIR:
                pass
            else:
                again = self.v.next_turn(slot, f"{op.id} next slot")
                intervals.append(self.model.new_fixed_size_interval_var(again, op.occupancy, f"{op.id} busy again"))
        if PAIR:
            for i, a in enumerate(ops):
                for b in ops[:i]:
                    sa, sb = self.v.slot[a.id], self.v.slot[b.id]
                    later = self.v.after(sa, sb)
                    self.model.add(sa >= sb + b.occupancy).only_enforce_if(later)
                    self.model.add(sb + self.v.ii >= sa + a.occupancy).only_enforce_if(later)
                    self.model.add(sb >= sa + a.occupancy).only_enforce_if(~later)
                    self.model.add(sa + self.v.ii >= sb + b.occupancy).only_enforce_if(~later)
            if (not anchored) if NOV else NOV0: return
        self.model.add_no_overlap(intervals)

    def streams(self) -> None:
        """Rule 3: a blocking wait at slot(v) is not strictly inside (slot(o), slot(o) + issue(o)) modulo ii.

        The wait stops the group's one instruction stream, so no other op may be in the middle of its
        issue. Either slot(o) >= slot(v) >= slot(o) + issue(o) - ii or slot(v) >= slot(o) + issue(o).
        """
        waiting = {dep.dst for dep in self.problem.deps if dep.blocking}
        for v in (op.id for op in self.problem.ops if op.id in waiting):
            for o in self.problem.ops:
                together = self.v.together(v, o.id)
                if o.id == v or o.issue < 2 or together is False:
                    continue
                wait, issue = self.v.slot[v], self.v.slot[o.id]
                later = self.v.after(wait, issue)
                given = [] if together is True else [together]
                self.model.add(wait >= issue + o.issue - self.v.ii).only_enforce_if(~later, *given)
                self.model.add(wait >= issue + o.issue).only_enforce_if(later, *given)

    def roles(self) -> None:
        """Rule 4: warps(group) = max of its ops' min_warps; their sum <= max_warps; register cap by warps.

        Producer groups take producer_registers a thread, their warps rounded up to fours; the rest
        of the register file is shared by the other groups, in steps of 8 a thread.
        That variable latency stays apart from fixed is in the grouping already.
        """
        grouping, limits, model = self.v.grouping, self.problem.limits, self.model
        classes = range(len(grouping.classes))
        totals = {}
        for producer in (True, False):
            terms = []
            kinds = [k for k in classes if grouping.producer(k) == producer]
            most = max((grouping.warps(k) for k in kinds), default=0)
            for g in range(grouping.max_groups):
                warps = model.new_int_var(0, most, f"{'producer' if producer else 'other'} warps {g}")
                for k in kinds:
                    model.add(warps >= grouping.warps(k) * self.v.member[k][g])
                terms.append(warps)
            totals[producer] = model.new_int_var(0, limits.max_warps, f"{'producer' if producer else 'other'} warps")
            model.add(totals[producer] == sum(terms))
        model.add(totals[True] + totals[False] <= limits.max_warps)
        if not any(op.registers for op in self.problem.ops) and limits.producer_registers == 0:
            return
        fours = model.new_int_var(0, -(-limits.max_warps // 4), "producer warps in fours")
        model.add(4 * fours >= totals[True])
        self.consumer_cap = model.new_int_var(0, limits.registers_per_thread, "register cap")
        rows = []
        for fourth in range(-(-limits.max_warps // 4) + 1):
            left = limits.register_file - 128 * fourth * limits.producer_registers
            for warps in range(limits.max_warps + 1):
                if left >= 0:
                    rows.append((fourth, warps, min(limits.registers_per_thread, 8 * (left // (256 * max(1, warps))))))
        model.add_allowed_assignments([fours, totals[False], self.consumer_cap], rows)

    def registers(self) -> None:
        """Rule 5: at each slot, sum of the registers of the values living in a group <= its cap.

        In each group where it is defined or used, a value lives from its definition (elsewhere: its
        first use) to the end of its last use there; lives longer than ii count in whole copies too.
        """
        uses: dict[str, list[Dep]] = defaultdict(list)
        for dep in self.problem.deps:
            uses[dep.src].append(dep)
        values = [op for op in self.problem.ops if op.registers > 0]
        for g in range(self.v.grouping.max_groups):
            lives = [life for op in values if (life := self._life(op, uses[op.id], g))]
            cap = self._cap(g) if lives else 0
            for event in lives:
                here = [self._copies(life, event) for life in lives]
                enforced = self.model.add(sum(here) <= cap)
                if event.alive is not True:
                    enforced.only_enforce_if(event.alive)

    def _copies(self, life: Life, event: Life) -> cp_model.LinearExprT:
        """Registers that the copies of a value take at the start of another, in the group of both.

        Its copies at slot x: (stage of end - stage of start) + [slot of end > x] - [slot of start > x].
        """
        x = event.slot
        copies = life.end_stage - life.stage
        copies += self._after(life.end_slot, x) - self._after(life.slot, x)
        if life.alive is True:
            return life.registers * copies
        there = self.model.new_int_var(0, 2 * self.v.reach + 4, "copies")
        self.model.add(there >= copies).only_enforce_if(life.alive)
        return life.registers * there

    def _after(self, a: cp_model.IntVar, b: cp_model.IntVar) -> cp_model.LinearExprT:
        return 0 if a.index == b.index else self.v.after(a, b)

    def rings(self) -> None:
        """Rule 6: depth * ii >= start(v) + distance * ii + completion(v) - start(u); sizes fit the memory.

        A buffer may be written again when its last consumer has completed. `extra` is depth beyond that.
        """
        limits = self.problem.limits
        shared = limits.smem_bytes if "shared memory" in self.families else None
        tensor = limits.tmem_columns if "tensor memory" in self.families else None
        ends = defaultdict(list)
        for dep in self.problem.deps:
            ends[dep.src].append(self.gap(dep) + self.problem.op(dep.dst).completion)
        for op in self.problem.ops:
            if op.smem_bytes <= 0 and op.tmem_columns <= 0:
                continue
            most = 2 * self.v.reach + 2 + max((d.distance for d in self.problem.deps if d.src == op.id), default=0)
            most += -(-max((each.completion for each in self.problem.ops), default=0) // self.v.lowest)
            for limit, size in ((shared, op.smem_bytes), (tensor, op.tmem_columns)):
                if limit is not None and size > 0:
                    most = min(most, limit // size)
            if most < 1:
                self.model.add_bool_or([])  # not even one buffer fits
                return
            depth = self.depth[op.id] = self.model.new_int_var(1, most, f"depth {op.id}")
            self.extra[op.id] = self.model.new_int_var(0, 1 if op.variable_latency else 0, f"extra {op.id}")
            life = self.v.times_ii(depth, 1, most, f"depth {op.id} * ii")
            for end in ends[op.id] or [op.completion]:
                self.model.add(life >= end)
        for limit, attribute in ((shared, "smem_bytes"), (tensor, "tmem_columns")):
            if limit is not None:
                sizes = [((self.depth[op.id] + self.extra[op.id]), getattr(op, attribute)) for op in self.problem.ops if getattr(op, attribute) > 0]
                self.model.add(sum(depth * size for depth, size in sizes) <= limit)

    # Pieces shared by the rules above.

    def gap(self, dep: Dep) -> cp_model.LinearExprT:
        """start(v) + distance * ii - start(u)."""
        return self.v.start[dep.dst] + dep.distance * self.v.ii - self.v.start[dep.src]

    def hop_term(self, dep: Dep) -> cp_model.LinearExprT:
        """The hop of `dep`, paid when its ends are on different groups."""
        together = self.v.together(dep.src, dep.dst)
        if isinstance(together, bool):
            return 0 if together else hop(self.problem, dep)
        return hop(self.problem, dep) * (1 - together)

    def _cap(self, group: int) -> cp_model.LinearExprT:
        """Registers per thread of a group: producer_registers when it holds an op of variable latency."""
        producers = [row[group] for k, row in enumerate(self.v.member) if self.v.grouping.producer(k)]
        if not producers or "roles" not in self.families:
            return self.consumer_cap
        others = [row[group] for k, row in enumerate(self.v.member) if not self.v.grouping.producer(k)]
        limits = self.problem.limits
        cap = self.model.new_int_var(0, max(limits.registers_per_thread, limits.producer_registers), f"cap {group}")
        for literal in producers:
            self.model.add(cap <= limits.producer_registers).only_enforce_if(literal)
        for literal in others:
            self.model.add(cap <= self.consumer_cap).only_enforce_if(literal)
        return cap

    def _life(self, op: Op, uses: list[Dep], group: int) -> Life | None:
        """When a value lives in a group, or None if it never does."""
        home = self.v.on(op.id, group)
        here = [(dep, self.v.on(dep.dst, group)) for dep in uses]
        away = [(dep, on) for dep, on in here if self.v.together(op.id, dep.dst) is not True]
        k = self.v.grouping.class_of[op.id]
        at_home = k < self.v.grouping.clique and k == group
        if k < self.v.grouping.clique and k != group and not away:
            return None
        if not away and group > k:
            return None
        name = f"{op.id} in {group}"
        if away:
            foreign = self.foreign[op.id, group] = self.model.new_bool_var(f"{name} from elsewhere")
            for _, on in away:
                self.model.add_bool_or(~on, home, foreign)
            self.model.add_bool_or(~foreign, *(on for _, on in away))
            self.model.add_implication(foreign, ~home)
            alive = self.model.new_bool_var(f"{name} alive")
            self.model.add_bool_or(~alive, home, foreign)
            self.model.add_implication(home, alive)
            self.model.add_implication(foreign, alive)
        else:
            alive = True if at_home else home
        reach = self.v.reach + 2 + max((dep.distance for dep in uses), default=0)
        if away:
            slot, stage = self._moment(name, reach)
            begin = self.v.times_ii(stage, -reach, reach, f"{name} stage * ii") + slot
            self.model.add(slot == self.v.slot[op.id]).only_enforce_if(home)
            self.model.add(stage == self.v.stage[op.id]).only_enforce_if(home)
            for dep, on in away:
                self.model.add(begin <= self.v.start[dep.dst] + dep.distance * self.v.ii).only_enforce_if(foreign, on)
        else:
            slot, stage, begin = self.v.slot[op.id], self.v.stage[op.id], self.v.start[op.id]
            here = self._last(here)
            if len(here) == 1 and self._hold(here[0][0]) == 0 and (here[0][0].latency > 0 or here[0][0].src == here[0][0].dst):
                dep = here[0][0]
                return Life(op.registers, alive, stage, slot, self.v.stage[dep.dst] + dep.distance, self.v.slot[dep.dst])
        end_slot, end_stage = self._moment(f"{name} end", 2 * reach)
        end = self.v.times_ii(end_stage, -2 * reach, 2 * reach, f"{name} end stage * ii") + end_slot
        self.model.add(end >= begin + 1)
        for dep, on in here:
            c = self.model.add(end >= self.v.start[dep.dst] + dep.distance * self.v.ii + self._hold(dep))
            if on is not True: c.only_enforce_if(on)
        return Life(op.registers, alive, stage, slot, end_stage, end_slot)

    def _moment(self, name: str, reach: int):
        slot = self.model.new_int_var(0, self.v.highest - 1, f"{name} slot")
        stage = self.model.new_int_var(-reach, reach, f"{name} stage")
        if not self.v.fixed:
            self.model.add(slot < self.v.ii)
        return slot, stage

    def _hold(self, dep: Dep) -> int:
        user = self.problem.op(dep.dst)
        in_place = dep.in_place or dep.src == dep.dst
        return user.occupancy if user.asynchronous and not in_place else 0

    def _last(self, here):
        """Uses that no other use is known to outlast (by dependences of distance 0)."""
        kept = []
        for i, (a, on) in enumerate(here):
            dominated = False
            for j, (b, _) in enumerate(here):
                if i != j and b.distance >= a.distance:
                    path = self._path(a.dst, b.dst)
                    if path is not None and path + self._hold(b) >= self._hold(a):
                        back = self._path(b.dst, a.dst)
                        tie = a.distance == b.distance and back is not None and back + self._hold(a) >= self._hold(b)
                        if not tie or j < i:
                            dominated = True
            if not dominated:
                kept.append((a, on))
        return kept

    def _path(self, u, v):
        if not hasattr(self, "_paths"):
            ids = [op.id for op in self.problem.ops]
            P = {(a, a): 0 for a in ids}
            for d in self.problem.deps:
                if d.distance == 0:
                    P[d.src, d.dst] = max(P.get((d.src, d.dst), 0), d.latency)
            for m in ids:
                for a in ids:
                    if (a, m) in P:
                        for b in ids:
                            if (m, b) in P and P[a, m] + P[m, b] > P.get((a, b), -1):
                                P[a, b] = P[a, m] + P[m, b]
            self._paths = P
        return self._paths.get((u, v))

    def _modular(self, name: str, slot: cp_model.IntVar, length: cp_model.LinearExprT, known: int | None, alive: cp_model.IntVar | None):
        """`length` cycles from `slot` on, modulo ii: (whole turns, the rest as an interval and its repetition).

        The rest is laid out on two periods, so that in the second one whatever ran over the end of the
        first is seen where it belongs.
        """
        ii, model = self.v.ii, self.model
        if known is not None and known <= self.v.lowest:
            turns: cp_model.LinearExprT = 0
            rest: cp_model.LinearExprT = known
        else:
            most = -(-known // self.v.lowest) if known is not None else 2 * self.v.reach + 4
            turns = model.new_int_var(0, most, f"{name} turns")
            rest = model.new_int_var(0, self.v.highest, f"{name} rest")
            if not self.v.fixed:
                model.add(rest <= ii)
            total = self.v.times_ii(turns, 0, most, f"{name} turns * ii") + rest
            enforced = model.add(total >= length)
            if alive is not None:
                enforced.only_enforce_if(alive)
                model.add(turns == 0).only_enforce_if(~alive)
        intervals = []
        for begin in (slot, self.v.next_turn(slot, f"{name} next slot")):
            end = model.new_int_var(0, 3 * self.v.highest, f"{name} end")
            if alive is None:
                model.add(end == begin + rest)
                intervals.append(model.new_interval_var(begin, rest, end, name))
            else:
                model.add(end == begin + rest).only_enforce_if(alive)
                intervals.append(model.new_optional_interval_var(begin, rest, end, alive, name))
        return turns, intervals

    def _cumulative(self, loads, capacity: cp_model.LinearExprT) -> None:
        whole = sum(turns * weight for turns, _, weight in loads)
        intervals = [interval for _, pair, _ in loads for interval in pair]
        weights = [weight for _, pair, weight in loads for _ in pair]
        room = capacity - whole
        if not isinstance(room, int):
            free = self.model.new_int_var(0, 1 << 20, "room")
            self.model.add(free == room)
            room = free
        self.model.add_cumulative(intervals, weights, room)

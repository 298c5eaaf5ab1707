"""The program of an emitted kernel: the statements of its roles, barriers, order tokens and waits as they stand there.

A role's statements run in their order: what comes before the loop, the prologue, the steady state, the epilogue, the
code after the loop. An op of the loop costs what the schedule counts on; what stands outside costs what the
machine file says (`outside`). A barrier's phase is over when all who arrive at it have, and its waiters know one
`signal_hop` later.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from twill.codegen.plan import Plan, Role
from twill.codegen.statements import (
    DONE,
    Arrive,
    AsyncCopy,
    Barrier,
    Mma,
    MmaWait,
    Stmt,
    StoreWait,
    TmaLoad,
    TmaStore,
    Wait,
)
from twill.codegen.turns import TURNS_OVER
from twill.errors import CheckFailed
from twill.machine import Machine
from twill.schedule.problem import Op
from twill.simulate.edges import Edge, edges
from twill.simulate.latency import LoadLatency
from twill.simulate.outside import Outside
from twill.simulate.program import Need, Program, Task
from twill.simulate.unrolled import Place, segments

Phase = tuple[int, str, int]  # block, barrier, iteration that completes it


@dataclass
class _Draft:
    """A task whose waits for other roles are still to be resolved."""

    task: Task
    needs: list[Need]
    phases: list[tuple[Phase, str]] = field(default_factory=list)
    before: list[tuple[tuple[int, int, int], Edge]] = field(default_factory=list)


def plan_program(
    plan: Plan, machine: Machine, iterations: int, latency: LoadLatency, blocks: int = 1, tiles: int = 1
) -> Program:
    """`iterations` iterations of `blocks` thread blocks that start together on one SM and share its units.

    tiles: of an outer loop, which each have so many iterations.

    Raises CheckFailed when a role waits for a phase that nobody completes.
    """
    writer = _Writer(plan, machine, iterations, latency, tiles)
    for block in range(blocks):
        for role in sorted(plan.roles, key=lambda role: role.group):
            writer.role(role, block)
    tasks = writer.resolved()
    groups = len(plan.schedule.groups)
    streams: list[list[int]] = [[] for _ in range(groups * blocks)]
    for at, task in enumerate(tasks):
        streams[task.streams[0]].append(at)
    busy = tuple(latency.occupancy(op) for op in plan.schedule.problem.ops)
    order = tuple(tuple(stream) for stream in streams)
    return Program(plan.schedule, iterations * tiles, busy, tasks, order, plan.schedule.problem.limits.units, {})


class _Writer:
    """Writes the tasks of all roles, then joins them where they wait for each other."""

    def __init__(self, plan: Plan, machine: Machine, iterations: int, latency: LoadLatency, tiles: int) -> None:
        self.plan, self.iterations, self.latency, self.tiles = plan, iterations, latency, tiles
        self.ops = plan.schedule.problem.ops
        self.number = {op.id: position for position, op in enumerate(self.ops)}
        self.edges = edges(plan.schedule)
        self.hop = plan.schedule.problem.limits.signal_hop
        self.outside = Outside(plan, machine)
        self.drafts: list[_Draft] = []
        self.loops: dict[tuple[int, int, int], int] = {}  # block, op, iteration: its task
        self.arrivals: dict[Phase, list[tuple[int, int, bool]]] = defaultdict(list)  # task, cycles, varies
        self.counts = {f"{buffer.name}_empty": buffer.readers for buffer in plan.buffers} | {TURNS_OVER: plan.turning}

    def role(self, role: Role, block: int) -> None:
        _RoleWriter(self, role, block).write()

    def resolved(self) -> tuple[Task, ...]:
        tasks = []
        for draft in self.drafts:
            needs = list(draft.needs)
            for phase, cause in draft.phases:
                found = self.arrivals.get(phase, [])
                if len(found) < self.counts.get(phase[1], 1):
                    message = (
                        f"{draft.task.name} waits for iteration {phase[2]} of barrier {phase[1]}, which nobody ends."
                    )
                    raise CheckFailed(message, hint="This is a defect of Twill.", location=self.plan.name)
                needs += [Need(source, cycles, cause, completes=varies) for source, cycles, varies in found]
            for place, edge in draft.before:
                needs.append(Need(self.loops[place], edge.latency, edge.cause, edge.at_unit, edge.completes))
            tasks.append(draft.task._replace(needs=tuple(needs)))
        return tuple(tasks)


class _RoleWriter:
    """Writes the tasks of one role of one block."""

    def __init__(self, writer: _Writer, role: Role, block: int) -> None:
        self.all, self.statements, self.warps, self.block = writer, role.body, role.warps, block
        self.stream = block * len(writer.plan.schedule.groups) + role.group
        self.group = role.group
        self.begun = 0  # where the role's order has the last task, and where that has issued
        self.clock = 0
        self.until = 0  # where all so far have issued
        self.origin: int | None = None  # of the schedule's times, since the last wait
        self.mmas: list[tuple[int, int, str]] = []  # task, cycles until complete, name
        self.stores: list[tuple[int, int]] = []
        self.needs: list[Need] = []  # of waits not yet followed by a task
        self.phases: list[tuple[Phase, str]] = []
        self.last: tuple[int, int] | None = None  # the task before, outside the loop, and its cycles
        self.done: dict[str, tuple[Op, int]] = {}  # ops of the loop that the stream waits through: their last task
        self.iteration = 0

    def write(self) -> None:
        turned = self.all.iterations >= self.all.plan.threshold
        for op, iteration, at, statements in segments(self.statements, self.all.iterations, self.all.tiles, turned):
            if op:
                self.op(self.all.ops[self.all.number[op]], iteration, at, statements)
            else:
                self.plain(at, statements)
        if self.needs or self.phases:
            self.task(-1, "the end", "", 0, 0, 0)

    def op(self, op: Op, iteration: int, at: Place, statements: list[Stmt]) -> None:
        """One op of the loop, at the last statement that computes; what it gives back, it gives back after that."""
        self.iteration = iteration + at.before(DONE)
        work = [number for number, each in enumerate(statements) if not isinstance(each, (*_WAITS, Arrive))]
        last = work[-1] if work else 0
        held: list[Arrive] = []
        if not statements:
            self.issue(op, iteration, None, at)
        for number, each in enumerate(statements):
            if isinstance(each, Arrive) and number < last:
                held.append(each)
            elif isinstance(each, Arrive):
                self.arrive(each, at)
            elif isinstance(each, _WAITS):
                self.wait(each, at)
            if number == last:
                self.issue(op, iteration, each, at)
                for arrive in held:
                    self.arrive(arrive, at)

    def issue(self, op: Op, iteration: int, statement: Stmt | None, at: Place) -> None:
        if isinstance(statement, TmaLoad | AsyncCopy) and not at.holds(statement.conditions):
            return
        number = self.all.number[op.id]
        busy, load = self.all.latency.occupancy(op), op if op.variable_latency else None
        running = iteration + at.before(DONE)
        self.interleave(self.all.plan.schedule.start(op.id) + running * self.all.plan.schedule.ii)
        task = self.task(number, op.id, op.unit, busy, op.issue, op.completion, op.asynchronous, load)
        self.all.loops[self.block, number, running] = task
        for edge in self.all.edges[op.id]:
            groups = self.all.plan.schedule.placements[edge.src].groups
            here = self.group in groups or not op.members
            if here and not edge.reuse and max(edge.since, edge.distance) <= iteration:
                place = self.block, self.all.number[edge.src], running - edge.distance
                self.all.drafts[task].before.append((place, edge))
        if isinstance(statement, TmaLoad | AsyncCopy):
            phase = self.phase(statement.barrier, at)
            self.all.arrivals[phase].append((task, op.completion + self.all.hop, True))
        elif isinstance(statement, Mma):
            self.mmas.append((task, op.completion, op.id))
        elif isinstance(statement, TmaStore):
            self.stores.append((task, op.completion))
        if not op.asynchronous:
            self.done[op.id] = op, task

    def interleave(self, start: int) -> None:
        """The next op may issue into those before it as far as the schedule lays it there, back to the last wait."""
        if self.origin is None:
            self.clock = self.until
            self.origin = self.clock - start
        else:
            self.clock = max(self.begun, min(self.until, self.origin + start))

    def plain(self, at: Place, statements: list[Stmt]) -> None:
        """Statements outside the loop, each after the one before is complete; after the loop, after all of its ops."""
        if not statements:
            return
        if self.done:
            self.iteration, self.last = self.all.iterations * (at.tile + 1) - 1, None
            self.needs += [Need(task, op.completion, op.id) for op, task in self.done.values()]
        self.apart()
        for each in statements:
            if isinstance(each, _WAITS):
                self.wait(each, at)
            elif isinstance(each, Arrive):
                self.arrive(each, at)
            elif isinstance(each, TmaLoad):
                load = self.all.outside.load(each)
                busy = self.all.latency.occupancy(load)
                task = self.task(-1, load.id, load.unit, busy, load.issue, load.completion, True, load)
                self.all.arrivals[self.phase(each.barrier, at)].append((task, load.completion + self.all.hop, True))
            else:
                self.statement(each)

    def statement(self, each: Stmt) -> None:
        cost = self.all.outside.of(each, self.warps)
        if not (cost.busy or cost.issue or cost.completion):
            return
        if self.last is not None:
            self.needs.append(Need(self.last[0], self.last[1], "the statement before"))
        name = getattr(each, "target", type(each).__name__)
        task = self.task(-1, str(name), cost.unit, cost.busy, cost.issue, cost.completion, isinstance(each, TmaStore))
        if isinstance(each, TmaStore):
            self.stores.append((task, cost.completion))
        else:
            self.last = task, cost.completion

    def apart(self) -> None:
        """What follows issues after all that stands before."""
        self.clock, self.origin = self.until, None

    def wait(self, each: Stmt, at: Place) -> None:
        self.apart()
        if isinstance(each, Wait) and at.holds(each.conditions):
            block, name, iteration = self.phase(each.barrier, at)
            iteration -= each.barrier.depth if each.empty else 0
            if iteration >= 0:
                self.phases.append(((block, name, iteration), self.cause(each.barrier)))
        elif isinstance(each, MmaWait) and len(self.mmas) > each.pending:
            task, cycles, name = self.mmas[-1 - each.pending]
            self.needs.append(Need(task, cycles, name))
        elif isinstance(each, StoreWait) and len(self.stores) > each.pending:
            task, cycles = self.stores[-1 - each.pending]
            self.needs.append(Need(task, cycles, "the store before"))

    def cause(self, barrier: Barrier) -> str:
        for token, about in self.all.plan.tokens:
            if token == barrier.name:
                return f"its turn, after {about.signaller}"
        for buffer in self.all.plan.buffers:
            if barrier.name == f"{buffer.name}_empty":
                return f"a free slot of {buffer.source}"
            if barrier.name == f"{buffer.name}_full":
                return buffer.source
        return barrier.name

    def arrive(self, each: Arrive, at: Place) -> None:
        if at.holds(each.conditions):
            task = self.task(-1, f"arrive at {each.barrier.name}", "", 0, 0, 0)
            self.all.arrivals[self.phase(each.barrier, at)].append((task, self.all.hop, False))

    def phase(self, barrier: Barrier, at: Place) -> Phase:
        number = at.number(barrier.iteration) + at.before(barrier.since)
        return self.block, barrier.name, number if barrier.depth else 0

    def task(
        self, op: int, name: str, unit: str, busy: int, issue: int, completion: int, detached: bool = False,
        load: Op | None = None,
    ) -> int:  # fmt: skip
        """Append a task that takes up the waits before it; its position."""
        at = len(self.all.drafts)
        key = self.clock, self.stream, at
        made = Task(
            op, name, self.iteration, (self.stream,), unit, busy, issue, completion, self.clock, key, (), detached, load
        )
        self.begun, self.clock = self.clock, self.clock + issue
        self.until = max(self.until, self.clock)
        self.all.drafts.append(_Draft(made, self.needs, self.phases))
        self.needs, self.phases = [], []
        return at


_WAITS = (Wait, MmaWait, StoreWait)

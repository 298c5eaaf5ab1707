"""Roles as greenlets, asynchronous operations as events, and the adversary that orders them.

One thread block runs at a time. Each role is a greenlet that gives up control at every synchronisation
and every asynchronous operation; a TMA load, a wgmma or a TMA store is an event that may happen at any
step between its issue and the wait that covers it. Which of them goes next is drawn from a seed.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import greenlet
import numpy as np

from twill.emulate import endings, trace
from twill.emulate.accesses import Access, Clock
from twill.emulate.adversary import Adversary
from twill.emulate.report import Place, Statistics, Wanted
from twill.errors import InputError, Location


@dataclass
class Event:
    """An asynchronous operation in flight. `run` performs its effect; `done` says that it happened."""

    place: Place
    run: Callable[[], None]
    sequence: int = 0
    done: bool = False
    token: Any = None  # of a wgmma: what its result is delivered to
    about: str = ""  # the buffer it reads or fills
    seen: bool = False  # others may see when it happens, though it signals no barrier
    name: tuple[str, str, int] | tuple[()] = ()  # given by who orders moves: kind, role, how many it issued before

    def happen(self) -> None:
        if not self.done:
            self.done = True
            self.run()


@dataclass
class Queue:
    """Operations of one role that complete in the order of issue (wgmma groups, TMA store groups)."""

    agent: int
    issued: int = 0
    pending: list[Event] = field(default_factory=list)

    def issue(self, place: Place, run: Callable[[], None], about: str = "") -> Event:
        """A new operation; it was already counted in `issued` by the caller's `next_epoch`."""
        event = Event(place, run, self.issued, about=about)
        self.pending.append(event)
        return event

    def next_epoch(self) -> int:
        self.issued += 1
        return self.issued

    def retire(self, outstanding: int, clock: Clock) -> list[Event]:
        """Let all but the `outstanding` newest happen; `clock` is ordered after them. Returns them."""
        count = max(0, len(self.pending) - outstanding)
        retired, self.pending = self.pending[:count], self.pending[count:]
        for event in retired:
            event.happen()
            clock[self.agent] = event.sequence
        return retired


@dataclass
class Task:
    """One role: a warp group's instruction stream. `blocked` is None, or tells whether it may go on."""

    role: str
    warps: int
    agent: int
    clock: Clock
    mmas: Queue
    stores: Queue
    run: Callable[[], Any]
    thread: Any = None
    blocked: Callable[[], bool] | None = None
    waits_for: Callable[[], Wanted | None] | None = None
    line: int = 0
    turns: list[int] = field(default_factory=list)  # current turn of each enclosing loop, outermost first
    name: int = 0  # among the roles of the thread block, in the order they were created
    stood: tuple[int, ...] = ()  # `turns` at its last switch point
    ended: bool = False
    result: Any = None
    ticks: int = 0
    cta: int = 0  # rank of its thread block in the cluster
    path: tuple[int, ...] = ()  # which worker it is of each enclosing warp_specialize, outermost first

    def ready(self) -> bool:
        return not self.ended and (self.blocked is None or self.blocked())

    def release(self) -> None:
        """Later operations of this role are not covered by the clock it hands out now."""
        self.clock[self.agent] += 1


class Scheduler:
    """Runs one thread block to its end, or to the first report."""

    def __init__(
        self, filename: str, program: tuple[int, ...], grid: tuple[int, ...], names: dict[int, str], max_steps: int
    ) -> None:
        self.filename = filename
        self.program = program
        self.grid = grid
        self.names = names  # line -> variable an allocation on it is bound to
        self.tasks: list[Task] = []
        self.task: Task | None = None  # the one that runs
        self.failed: Task | None = None  # the one that raised
        self.loads: list[Event] = []
        self.load_accesses: list[Access] = []  # writes of all loads, to see at the end that each was waited for
        self.unfenced: list[Access] = []
        self.fenced_init = False  # see Emulator
        self.drains_stores = False  # see Emulator
        self.compiler_fences = False  # from Triton 3.7 on, and only those versions run clusters
        self.pipes: dict[int, Any] = {}  # tcgen05 operations of the roles, by the role's agent
        self.cluster: Any = None  # of several thread blocks: cluster.Cluster
        self.unlaunched: Any = None  # the launch's other programs: launch_control.Unlaunched
        self.main = greenlet.getcurrent()
        self.max_steps = max_steps

    def agent(self) -> int:
        """A new one: no other of any thread block has its number, so that clocks may pass between blocks."""
        return next(_agents)

    def spawn(self, role: str, warps: int, run: Callable[[], Any], clock: Clock) -> Task:
        """A new role, ordered after `clock`."""
        agent = self.agent()
        task = Task(role, warps, agent, {**clock, agent: 1}, Queue(self.agent()), Queue(self.agent()), run)

        def body() -> None:
            try:
                with np.errstate(all="ignore"):  # a greenlet has its own context, so its own error state
                    task.result = run()
            except Exception:
                self.failed = task
                raise
            self.end_role(task)
            task.ended = True

        task.thread = greenlet.greenlet(body, parent=self.main)
        self.tasks.append(task)
        task.name = len(self.tasks)
        return task

    def run(self, adversary: Adversary, statistics: Statistics) -> None:
        """Let roles and events move until all roles have ended, and the commits that they left in flight have come."""
        adversary.renew()
        steps = 0
        try:
            with np.errstate(all="ignore"):
                while not all(task.ended for task in self.tasks) or _heads(self.pipes.values()):
                    steps += 1
                    if steps > self.max_steps:
                        endings.never_ends(self, f"{self.max_steps:,} scheduling steps")
                    self._step(adversary, steps)
            for task in self.tasks:
                task.stores.retire(0, task.clock)
            endings.check_all_over(self)
        finally:
            statistics.steps += steps
            statistics.loads += len(self.load_accesses)
            statistics.mmas += sum(queue.issued for queue in (*(t.mmas for t in self.tasks), *self.pipes.values()))
            statistics.stores += sum(task.stores.issued for task in self.tasks)
            self._abandon()

    def _step(self, adversary: Adversary, number: int) -> None:
        ready = [task for task in self.tasks if task.ready()]
        self.loads = [event for event in self.loads if not event.done]
        events = {
            "load": self.loads,
            "mma": _heads(task.mmas for task in self.tasks),
            "tcgen05": _heads(self.pipes.values()),
            "store": [e for task in self.tasks for e in task.stores.pending if not e.done],
        }
        if not ready and not any(events.values()):
            endings.deadlock(self)
        move = adversary.choose(ready, events)
        if isinstance(move, Event):
            kind = next(kind for kind, pending in events.items() if any(event is move for event in pending))
            trace.move(number, self.program, move.place.role, kind, move.place.where.line)
            trace.note(move.place, "", "")
            move.happen()
            return
        trace.move(number, self.program, move.role, "role", move.line)
        move.blocked = move.waits_for = None
        self.task = move
        move.thread.switch()
        self.task = None

    def current(self) -> Task:
        if self.task is None:
            raise InputError("a Gluon operation runs outside a kernel.")
        return self.task

    def pause(self) -> None:
        """A switch point: any other role or event may go first."""
        task = self.current()
        task.line, task.stood = self.here().line, tuple(task.turns)
        self.main.switch()

    def block(self, until: Callable[[], bool], waits_for: Callable[[], Wanted | None], joins: bool = False) -> None:
        """Give up control until `until()` holds; `waits_for` describes it in a deadlock report.

        joins: it waits for the end of other roles.
        """
        task = self.current()
        if not joins:
            trace.blocks()
        task.blocked, task.waits_for = until, waits_for
        self.pause()

    def here(self) -> Location:
        """The innermost line of the emulated file on the running role's stack."""
        frame = sys._getframe(1)
        while frame is not None:
            if frame.f_code.co_filename == self.filename:
                return Location(self.filename, frame.f_lineno)
            frame = frame.f_back  # type: ignore[assignment]
        return Location(self.filename)

    def others(self) -> bool:
        """Does any other role, or any operation in flight, still have moves to make?"""
        events = [*self.loads, *(event for pipe in self.pipes.values() for event in pipe.pending)]
        return any(not t.ended for t in self.tasks if t is not self.task) or any(not e.done for e in events)

    def place(self, action: str) -> Place:
        """`action` by the running role at its current line and loop turn."""
        task = self.current()
        return Place(action, task.role, self.here(), endings.turn(task.turns))

    def end_role(self, task: Task) -> None:
        """Nothing a role issued may outlive it unwaited: its shared memory is about to be reused."""
        endings.check_role_over(task, drains_stores=self.drains_stores)

    def tick(self) -> None:
        """One more turn of a loop; bounds loops that never reach a switch point."""
        task = self.current()
        task.ticks += 1
        if task.ticks > self.max_steps:
            task.line = self.here().line
            endings.never_ends(self, f"{self.max_steps:,} loop turns of {task.role}")

    def _abandon(self) -> None:
        self.task = None
        for task in self.tasks:
            if task.thread and not task.thread.dead:
                task.thread.throw(greenlet.GreenletExit)


def _heads(queues: Iterable[Any]) -> list[Event]:
    """The operation of each queue that may happen next."""
    heads = (next((event for event in queue.pending if not event.done), None) for queue in queues)
    return [event for event in heads if event is not None]


_agents = itertools.count(1)
_active: list[Scheduler] = []


def active() -> Scheduler:
    """The scheduler of the kernel that runs now."""
    if not _active:
        raise InputError("a Gluon operation runs outside a kernel.", hint="Launch the kernel: kernel[grid](...).")
    return _active[-1]


def running() -> bool:
    return bool(_active)


def standing(location: Location | None) -> tuple[tuple[int, ...] | None, Place | None]:
    """(thread block, what the running role does at `location`) for a report; None each where nothing runs.

    The loops may be left already when an error is reported, so the turn is that of the role's last switch point.
    """
    if not _active:
        return None, None
    scheduler = _active[-1]
    task = scheduler.task or scheduler.failed
    if task is None:
        return scheduler.program, None
    where = location if location is not None and location.line else scheduler.here()
    return scheduler.program, Place("operation", task.role, where, endings.turn(task.turns or task.stood))


def activate(scheduler: Scheduler) -> None:
    _active.append(scheduler)


def deactivate() -> None:
    _active.pop()

"""Roles as greenlets, asynchronous operations as events, and the adversary that orders them.

One thread block runs at a time. Each role is a greenlet that gives up control at every synchronisation
and every asynchronous operation; a TMA load, a wgmma or a TMA store is an event that may happen at any
step between its issue and the wait that covers it. Which of them goes next is drawn from a seed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NoReturn

import greenlet
import numpy as np

from twill.emulate import trace
from twill.emulate.accesses import Access, Clock, join
from twill.emulate.adversary import Adversary
from twill.emulate.report import Deadlock, NeverEnds, Place, Statistics, Unwaited, Waiter, Wanted
from twill.errors import InputError, Location


@dataclass
class Event:
    """An asynchronous operation in flight. `run` performs its effect; `done` says that it happened."""

    place: Place
    run: Callable[[], None]
    sequence: int = 0
    done: bool = False
    token: Any = None  # of a wgmma: what its result is delivered to
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

    def issue(self, place: Place, run: Callable[[], None]) -> Event:
        """A new operation; it was already counted in `issued` by the caller's `next_epoch`."""
        event = Event(place, run, self.issued)
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
    ended: bool = False
    result: Any = None
    ticks: int = 0

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
        self.loads: list[Event] = []
        self.load_accesses: list[Access] = []  # writes of all loads, to see at the end that each was waited for
        self.unfenced: list[Access] = []
        self.pipes: dict[int, Any] = {}  # tcgen05 operations of the roles, by the role's agent
        self.main = greenlet.getcurrent()
        self.max_steps = max_steps
        self._agents = 0

    def agent(self) -> int:
        self._agents += 1
        return self._agents

    def spawn(self, role: str, warps: int, run: Callable[[], Any], clock: Clock) -> Task:
        """A new role, ordered after `clock`."""
        agent = self.agent()
        task = Task(role, warps, agent, {**clock, agent: 1}, Queue(self.agent()), Queue(self.agent()), run)

        def body() -> None:
            with np.errstate(all="ignore"):  # a greenlet has its own context, so its own error state
                task.result = run()
            self.end_role(task)
            task.ended = True

        task.thread = greenlet.greenlet(body, parent=self.main)
        self.tasks.append(task)
        return task

    def run(self, adversary: Adversary, statistics: Statistics) -> None:
        """Let roles and events move until all roles have ended."""
        adversary.renew()
        steps = 0
        try:
            with np.errstate(all="ignore"):
                while not all(task.ended for task in self.tasks):
                    steps += 1
                    if steps > self.max_steps:
                        self.never_ends(f"{self.max_steps:,} scheduling steps")
                    self._step(adversary, steps)
            self._check_loads()
        finally:
            statistics.steps += steps
            statistics.loads += len(self.load_accesses)
            statistics.mmas += sum(queue.issued for queue in (*(t.mmas for t in self.tasks), *self.pipes.values()))
            statistics.stores += sum(task.stores.issued for task in self.tasks)
            self._abandon()

    def _step(self, adversary: Adversary, number: int) -> None:
        ready = [task for task in self.tasks if task.ready()]
        self.loads = [event for event in self.loads if not event.done]
        queues = [*(task.mmas for task in self.tasks), *self.pipes.values()]
        mmas = [next((e for e in queue.pending if not e.done), None) for queue in queues]
        events = {
            "load": self.loads,
            "mma": [event for event in mmas if event is not None],
            "store": [e for task in self.tasks for e in task.stores.pending if not e.done],
        }
        if not ready and not any(events.values()):
            self._deadlock()
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
        self.current().line = self.here().line
        self.main.switch()

    def block(self, until: Callable[[], bool], waits_for: Callable[[], Wanted | None]) -> None:
        """Give up control until `until()` holds; `waits_for` describes it in a deadlock report."""
        task = self.current()
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

    def place(self, action: str) -> Place:
        """`action` by the running role at its current line and loop turn."""
        task = self.current()
        turn = f"iteration {'.'.join(map(str, task.turns))}" if task.turns else ""
        return Place(action, task.role, self.here(), turn)

    def end_role(self, task: Task) -> None:
        """Nothing a role issued may outlive it unwaited: its shared memory is about to be reused."""
        for queue, cure in ((task.mmas, "warpgroup_mma_wait(0, deps=[...])"), (task.stores, "store_wait(0)")):
            if queue.pending:
                place = queue.pending[0].place
                raise Unwaited(
                    f"{place} is still in flight when {task.role} ends.",
                    hint=f"Call {cure} before the role returns.",
                    location=place.where,
                    places=(place,),
                )

    def tick(self) -> None:
        """One more turn of a loop; bounds loops that never reach a switch point."""
        task = self.current()
        task.ticks += 1
        if task.ticks > self.max_steps:
            task.line = self.here().line
            self.never_ends(f"{self.max_steps:,} loop turns of {task.role}")

    def never_ends(self, bound: str) -> NoReturn:
        places = tuple(Place("loop", t.role, Location(self.filename, t.line)) for t in self.tasks if not t.ended)
        raise NeverEnds(
            f"the thread block has not ended after {bound}; " + "; ".join(map(str, places)) + ".",
            hint="Look for a loop whose bound is never reached, or raise max_steps.",
            location=places[0].where if places else None,
            places=places,
        )

    def _deadlock(self) -> NoReturn:
        waiters, places = [], []
        for task in self.tasks:
            wanted = None if task.ended or task.waits_for is None else task.waits_for()
            turn = f"iteration {'.'.join(map(str, task.turns))}" if task.turns and wanted else ""
            waiters.append(Waiter(task.role, task.line, wanted.text if wanted else "", turn, wanted))
            if wanted:
                places.append(Place("wait", task.role, Location(self.filename, task.line), turn))
        lines = []
        for w in waiters:
            if w.wanted is not None:
                at = f", {w.iteration}" if w.iteration else ""
                lines.append(f"{w.role} (line {w.line}{at}) waits for {w.waits_for}")
        for lack in dict.fromkeys(
            f"on {w.wanted.barrier}, {w.wanted.should_have_arrived}"
            for w in waiters
            if w.wanted is not None and w.wanted.should_have_arrived
        ):
            lines.append(lack)
        ended = [w.role for w in waiters if not w.waits_for]
        if ended:
            lines.append(f"{', '.join(ended)} {'has' if len(ended) == 1 else 'have'} ended")
        raise Deadlock(
            "deadlock: " + "; ".join(lines) + ".",
            waiters=tuple(waiters),
            hint="Look for a missing arrive or expect, a wrong arrive count, or a phase that is not flipped.",
            location=places[0].where if places else None,
            places=tuple(places),
        )

    def _check_loads(self) -> None:
        final: Clock = {}
        for task in self.tasks:
            join(final, task.clock)
        for pipe in self.pipes.values():
            pipe.check_end(final)
        for access in self.load_accesses:
            if not access.before(final):
                raise Unwaited(
                    f"{access.place} into {access.view.path} was never waited for: it may write shared memory after "
                    "the thread block has ended.",
                    hint="Issue only the loads that a role waits for.",
                    location=access.place.where,
                    places=(access.place,),
                    buffer=access.view.path,
                )

    def _abandon(self) -> None:
        self.task = None
        for task in self.tasks:
            if task.thread and not task.thread.dead:
                task.thread.throw(greenlet.GreenletExit)


_active: list[Scheduler] = []


def active() -> Scheduler:
    """The scheduler of the kernel that runs now."""
    if not _active:
        raise InputError("a Gluon operation runs outside a kernel.", hint="Launch the kernel: kernel[grid](...).")
    return _active[-1]


def running() -> bool:
    return bool(_active)


def activate(scheduler: Scheduler) -> None:
    _active.append(scheduler)


def deactivate() -> None:
    _active.pop()

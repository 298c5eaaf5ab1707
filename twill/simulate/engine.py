"""A discrete-event simulation of the thread blocks of one SM.

Each warp group issues its tasks in order. A wait stops its stream: for a result of another task, for a barrier, for a
free slot of a ring. A unit serves `capacity` tasks at a time, in a fixed order or first come, first served
(`program.Program`).

Where a program is that of a schedule and units keep its order, nothing ever starts later than the schedule says, as
long as loads are no later than it counts on: every start is the least that its waits, stream and queue allow, and
the schedule allows all of them.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from heapq import heappop, heappush

from twill.errors import CheckFailed
from twill.schedule.schedule import Schedule
from twill.simulate.from_schedule import schedule_program
from twill.simulate.latency import LoadLatency
from twill.simulate.program import Key, Program

_FREE, _REQUEST, _QUEUE = range(3)  # of one cycle, units are freed first


@dataclass(frozen=True)
class Wait:
    """Group `group` stood still in cycles [begin, end) before op `op` of `iteration`, for `cause`."""

    group: int
    op: str
    iteration: int
    begin: int
    end: int
    cause: str


@dataclass(frozen=True)
class Piece:
    """A statement outside the loop: what it is, its group and unit ("" for none), and its cycles as in `Run`."""

    name: str
    group: int
    unit: str
    issued: int
    began: int
    ended: int
    busy: int
    issue: int


@dataclass(frozen=True)
class Run:
    """One simulated run of `iterations` iterations of a block; cycles from its first issue.

    issued, began, ended: for each iteration and op (in the problem's order) when its stream issued it, when its
    unit began, and when its result was complete. busy: cycles for which each op takes its unit. pieces: what runs
    before and after the loop, where the program has it. Of several blocks on an SM this is the first; blocks_end
    is when the last of them was done.
    """

    schedule: Schedule
    iterations: int
    issued: tuple[tuple[int, ...], ...]
    began: tuple[tuple[int, ...], ...]
    ended: tuple[tuple[int, ...], ...]
    busy: tuple[int, ...]
    waits: tuple[Wait, ...]
    pieces: tuple[Piece, ...] = ()
    blocks_end: int = 0

    @property
    def cycles(self) -> int:
        """Until everything of the block has completed."""
        return max((*map(max, self.ended), *(piece.ended for piece in self.pieces)), default=0)


def run(schedule: Schedule, iterations: int, latency: LoadLatency | None = None, seed: int = 0) -> Run:
    """Simulate `iterations` iterations of a placed schedule; the same seed gives the same run."""
    latency = latency or LoadLatency()
    return execute(schedule_program(schedule, iterations, latency), latency, seed)


def execute(program: Program, latency: LoadLatency, seed: int = 0) -> Run:
    """Run a program to its end, loads as late as the seed has it. Raises CheckFailed when it stops before."""
    return _SM(program, program.lateness(latency, seed)).run()


class _Stream:
    """The instruction stream of a warp group."""

    def __init__(self, order: tuple[int, ...]) -> None:
        self.order = order
        self.at = 0
        self.free = 0  # the issue windows of earlier tasks end here
        self.open: deque[tuple[int, int, int]] = deque()  # (scheduled start, start, issue) that may be interleaved

    def ready(self, scheduled: int) -> int:
        """When a task scheduled then may issue: after earlier ones, or as far into them as the schedule has it."""
        kept: deque[tuple[int, int, int]] = deque()
        soonest = self.free
        for before, start, issue in self.open:
            if before + issue <= scheduled:
                self.free = max(self.free, start + issue)
            else:
                kept.append((before, start, issue))
                soonest = max(soonest, start + scheduled - before)
        self.open = kept
        return max(soonest, self.free)


class _Unit:
    """A functional unit: its free servers, and what has come to it."""

    def __init__(self, capacity: int, order: tuple[int, ...] | None) -> None:
        self.free = capacity
        self.order = deque(order or ())
        self.in_order = order is not None
        self.here: set[int] = set()
        self.queue: list[tuple[int, Key, int]] = []

    def come(self, time: int, key: Key, task: int) -> None:
        if self.in_order:
            self.here.add(task)
        else:
            heappush(self.queue, (time, key, task))

    def take(self) -> int | None:
        """The next to be served, if a server is free and it is here."""
        if not self.free:
            return None
        if not self.in_order:
            found = heappop(self.queue)[2] if self.queue else None
        else:
            found = self.order.popleft() if self.order and self.order[0] in self.here else None
        if found is not None:
            self.here.discard(found)
            self.free -= 1
        return found


class _SM:
    """An SM while it runs."""

    def __init__(self, program: Program, late: list[int]) -> None:
        self.program = program
        self.late = late
        self.tasks = program.tasks
        self.streams = [_Stream(order) for order in program.streams]
        self.units = {name: _Unit(capacity, program.ordered.get(name)) for name, capacity in program.capacity.items()}
        self.issued: dict[int, int] = {}
        self.began: dict[int, int] = {}
        self.waiters: dict[int, list[int]] = {}
        self.events: list[tuple[int, int, Key, int]] = []
        self.reached: set[int] = set()  # at the head of all their streams, now or earlier
        self.asked: dict[int, tuple[int, str]] = {}  # when the stream may issue it, and what came last
        self.waits: list[Wait] = []

    def run(self) -> Run:
        for stream in range(len(self.streams)):
            self.head(stream, 0)
        while self.events:
            now = self.events[0][0]
            touched: dict[str, None] = {}
            while self.events and self.events[0][0] == now:
                _, kind, key, at = heappop(self.events)
                task = self.tasks[at]
                if kind == _FREE:
                    self.units[task.unit].free += 1
                elif kind == _REQUEST and task.asynchronous:
                    self.issue(at, now)
                    self.enqueue(at, now)
                    continue
                elif not task.busy:
                    self.begin(at, now)
                    continue
                else:
                    self.units[task.unit].come(now, key, at)
                touched[task.unit] = None
            for unit in touched:
                while (taken := self.units[unit].take()) is not None:
                    self.begin(taken, now)
        return self.result()

    def head(self, number: int, now: int) -> None:
        """The next task of a stream asks to issue, once it is next in all its streams."""
        stream = self.streams[number]
        if stream.at == len(stream.order):
            return
        at = stream.order[stream.at]
        others = (self.streams[each] for each in self.tasks[at].streams)
        next_in_all = all(each.at < len(each.order) and each.order[each.at] == at for each in others)
        if next_in_all and at not in self.reached:
            self.reached.add(at)
            self.request(at, now)

    def request(self, at: int, now: int) -> None:
        found = self.known(at, at_unit=False)
        if found is None:
            return
        task = self.tasks[at]
        free = max(self.streams[number].ready(task.scheduled) for number in task.streams)
        time = max(now, free, found[0])
        self.asked[at] = time, found[1]
        heappush(self.events, (time, _REQUEST, task.key, at))

    def enqueue(self, at: int, now: int) -> None:
        """An asynchronous task comes to its unit when what only the unit waits for is there."""
        found = self.known(at, at_unit=True)
        if found is not None:
            heappush(self.events, (max(now, found[0]), _QUEUE, self.tasks[at].key, at))

    def known(self, at: int, *, at_unit: bool) -> tuple[int, str] | None:
        """When the last of what it waits for is there, and what that is; None, to be woken, while one has not begun."""
        last = 0, ""
        for need in self.tasks[at].needs:
            if need.at_unit != at_unit:
                continue
            if need.source not in self.began:
                self.waiters.setdefault(need.source, []).append(at)
                return None
            late = self.late[need.source] if need.completes else 0
            last = max(last, (self.began[need.source] + need.latency + late, need.cause))
        return last

    def issue(self, at: int, now: int) -> None:
        """The task's streams issue it and move on."""
        task = self.tasks[at]
        asked, cause = self.asked.pop(at)
        self.issued[at] = now
        for number in task.streams:
            stream = self.streams[number]
            free = stream.ready(task.scheduled)
            if now > free and number < len(self.program.schedule.groups):
                why = f"unit {task.unit}" if now > asked else cause or "another group"
                self.waits.append(Wait(number, task.name, task.iteration, free, now, why))
            stream.open.append((task.scheduled, now, task.issue))
            stream.at += 1
        for number in task.streams:
            self.head(number, now)

    def begin(self, at: int, now: int) -> None:
        """The unit begins with the task; whoever waits for it now knows when it will be done."""
        task = self.tasks[at]
        self.began[at] = now
        if task.busy:
            heappush(self.events, (now + task.busy, _FREE, task.key, at))
        if at not in self.issued:
            self.issue(at, now)
        for waiting in self.waiters.pop(at, ()):
            if waiting in self.issued:
                self.enqueue(waiting, now)
            else:
                self.request(waiting, now)

    def result(self) -> Run:
        schedule, iterations = self.program.schedule, self.program.iterations
        if len(self.began) < len(self.tasks):
            stuck = [self.tasks[s.order[s.at]].name for s in self.streams if s.at < len(s.order)]
            message = f"the simulated schedule of {schedule.problem.name} stops: groups wait at {', '.join(stuck)}."
            raise CheckFailed(message, hint="This is a defect of the schedule or of Twill.")
        ended = {
            at: began + max(0, self.tasks[at].busy, self.tasks[at].completion + self.late[at])
            for at, began in self.began.items()
        }
        groups, ops = len(schedule.groups), len(schedule.problem.ops)
        first = [at for at, task in enumerate(self.tasks) if task.streams[0] < groups]
        place = {(self.tasks[at].op, self.tasks[at].iteration): at for at in first if self.tasks[at].op >= 0}

        def table(times: dict[int, int]) -> tuple[tuple[int, ...], ...]:
            return tuple(tuple(times[place[n, i]] for n in range(ops)) for i in range(iterations))

        pieces = tuple(
            Piece(
                task.name, task.streams[0], task.unit, self.issued[at], self.began[at], ended[at], task.busy, task.issue
            )
            for at in first
            if (task := self.tasks[at]).op < 0
        )
        return Run(
            schedule, iterations, table(self.issued), table(self.began), table(ended), self.program.busy,
            tuple(self.waits), pieces, max(ended.values(), default=0),
        )  # fmt: skip

"""A discrete-event simulation of one thread block that runs a schedule.

Each warp group issues its ops in the order of the schedule. A wait stops its stream: for a result of another op, with
the hop of a signal or of a value, or for a free slot of a ring. A unit serves `capacity` ops at a time. Units with
asynchronous ops (tensor core, TMA) serve in the schedule's order, as order tokens and a single producer make them;
so do the others while `arrival` is false, and first come first served where it is true.

In the schedule's order nothing ever starts later than the schedule says, as long as loads are no later than it counts
on: every start is the least that its waits, stream and queue allow, and the schedule allows all of them.
"""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass
from heapq import heappop, heappush

from twill.errors import CheckFailed
from twill.schedule.problem import Op
from twill.schedule.schedule import Schedule
from twill.simulate.edges import Edge, edges, ranks
from twill.simulate.latency import LoadLatency

Instance = tuple[int, int]  # position of the op in the problem, iteration
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
class Run:
    """One simulated run of `iterations` iterations; cycles from its first issue.

    issued, began, ended: for each iteration and op (in the problem's order) when its stream issued it, when its
    unit began, and when its result was complete. busy: cycles for which each op takes its unit.
    """

    schedule: Schedule
    iterations: int
    issued: tuple[tuple[int, ...], ...]
    began: tuple[tuple[int, ...], ...]
    ended: tuple[tuple[int, ...], ...]
    busy: tuple[int, ...]
    waits: tuple[Wait, ...]

    @property
    def cycles(self) -> int:
        """Until everything has completed."""
        return max(map(max, self.ended))


def run(
    schedule: Schedule, iterations: int, latency: LoadLatency | None = None, seed: int = 0, *, arrival: bool = False
) -> Run:
    """Simulate `iterations` iterations of a placed schedule; the same seed gives the same run."""
    return _Block(schedule, iterations, latency or LoadLatency(), seed, arrival).run()


class _Stream:
    """The instruction stream of a warp group."""

    def __init__(self, order: list[Instance]) -> None:
        self.order = order
        self.at = 0
        self.free = 0  # the issue windows of earlier ops end here
        self.open: deque[tuple[int, int, int]] = deque()  # (scheduled start, start, issue) that may be interleaved

    def ready(self, scheduled: int) -> int:
        """When an op scheduled then may issue: after earlier ops, or as far into them as the schedule has it."""
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

    def __init__(self, capacity: int, order: list[Instance] | None) -> None:
        self.free = capacity
        self.order = deque(order or ())
        self.in_order = order is not None
        self.here: set[Instance] = set()
        self.queue: list[tuple[int, tuple[int, int, int], Instance]] = []

    def come(self, time: int, key: tuple[int, int, int], instance: Instance) -> None:
        if self.in_order:
            self.here.add(instance)
        else:
            heappush(self.queue, (time, key, instance))

    def take(self) -> Instance | None:
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


class _Block:
    """A thread block while it runs."""

    def __init__(self, schedule: Schedule, iterations: int, latency: LoadLatency, seed: int, arrival: bool) -> None:
        self.schedule, self.iterations = schedule, iterations
        self.ops: tuple[Op, ...] = schedule.problem.ops
        self.number = {op.id: number for number, op in enumerate(self.ops)}
        incoming = edges(schedule)
        self.edges: list[tuple[Edge, ...]] = [incoming[op.id] for op in self.ops]
        self.groups = [schedule.placements[op.id].groups for op in self.ops]
        self.start = [schedule.start(op.id) for op in self.ops]
        rank = ranks(schedule.problem, incoming)
        self.rank = [rank[op.id] for op in self.ops]
        self.busy = [latency.occupancy(op) for op in self.ops]
        rng = random.Random(seed)
        self.late = [[latency.delay(op, rng) for op in self.ops] for _ in range(iterations)]
        everything = sorted(((n, i) for i in range(iterations) for n in range(len(self.ops))), key=self.key)
        self.streams = [
            _Stream([each for each in everything if group in self.groups[each[0]]])
            for group in range(len(schedule.groups))
        ]
        asynchronous = {op.unit for op in self.ops if op.asynchronous}
        self.units: dict[str, _Unit] = {}
        for unit, capacity in schedule.problem.limits.units.items():
            served = [each for each in everything if self.ops[each[0]].unit == unit and self.busy[each[0]]]
            self.units[unit] = _Unit(capacity, None if arrival and unit not in asynchronous else served)
        self.issued: dict[Instance, int] = {}
        self.began: dict[Instance, int] = {}
        self.waiters: dict[Instance, list[Instance]] = {}
        self.events: list[tuple[int, int, tuple[int, int, int], Instance]] = []
        self.reached: set[Instance] = set()  # at the head of all their streams, now or earlier
        self.asked: dict[Instance, tuple[int, str]] = {}  # when the stream may issue it, and what came last
        self.waits: list[Wait] = []

    def key(self, instance: Instance) -> tuple[int, int, int]:
        """The schedule's order: by start, of one start by iteration and by what waits for what."""
        number, iteration = instance
        return iteration * self.schedule.ii + self.start[number], iteration, self.rank[number]

    def run(self) -> Run:
        for group in range(len(self.streams)):
            self.head(group, 0)
        while self.events:
            now = self.events[0][0]
            touched: dict[str, None] = {}
            while self.events and self.events[0][0] == now:
                _, kind, key, instance = heappop(self.events)
                unit = self.ops[instance[0]].unit
                if kind == _FREE:
                    self.units[unit].free += 1
                elif kind == _REQUEST and self.ops[instance[0]].asynchronous:
                    self.issue(instance, now)
                    self.enqueue(instance, now)
                    continue
                elif not self.busy[instance[0]]:
                    self.begin(instance, now)
                else:
                    self.units[unit].come(now, key, instance)
                touched[unit] = None
            for unit in touched:
                while (taken := self.units[unit].take()) is not None:
                    self.begin(taken, now)
        return self.result()

    def head(self, group: int, now: int) -> None:
        """The next op of a stream asks to issue, once it is next in all its groups."""
        stream = self.streams[group]
        if stream.at == len(stream.order):
            return
        instance = stream.order[stream.at]
        others = (self.streams[each] for each in self.groups[instance[0]])
        next_in_all = all(each.at < len(each.order) and each.order[each.at] == instance for each in others)
        if next_in_all and instance not in self.reached:
            self.reached.add(instance)
            self.request(instance, now)

    def request(self, instance: Instance, now: int) -> None:
        found = self.known(instance, at_unit=False)
        if found is None:
            return
        scheduled = self.key(instance)[0]
        free = max(self.streams[group].ready(scheduled) for group in self.groups[instance[0]])
        time = max(now, free, found[0])
        self.asked[instance] = time, found[1]
        heappush(self.events, (time, _REQUEST, self.key(instance), instance))

    def enqueue(self, instance: Instance, now: int) -> None:
        """An asynchronous op comes to its unit when what only the unit waits for is there."""
        found = self.known(instance, at_unit=True)
        if found is not None:
            heappush(self.events, (max(now, found[0]), _QUEUE, self.key(instance), instance))

    def known(self, instance: Instance, *, at_unit: bool) -> tuple[int, str] | None:
        """When the last of what it waits for is there, and what that is; None, to be woken, while one has not begun."""
        number, iteration = instance
        last = 0, ""
        for edge in self.edges[number]:
            source = self.number[edge.src], iteration - edge.distance
            if edge.at_unit != at_unit or iteration < edge.since or not 0 <= source[1] < self.iterations:
                continue
            if source not in self.began:
                self.waiters.setdefault(source, []).append(instance)
                return None
            late = self.late[source[1]][source[0]] if edge.completes else 0
            last = max(last, (self.began[source] + edge.latency + late, edge.cause))
        return last

    def issue(self, instance: Instance, now: int) -> None:
        """The streams of the op's groups issue it and move on."""
        number, iteration = instance
        op = self.ops[number]
        asked, cause = self.asked.pop(instance)
        self.issued[instance] = now
        scheduled = self.key(instance)[0]
        for group in self.groups[number]:
            stream = self.streams[group]
            free = stream.ready(scheduled)
            if now > free:
                why = f"unit {op.unit}" if now > asked else cause or "another group"
                self.waits.append(Wait(group, op.id, iteration, free, now, why))
            stream.open.append((scheduled, now, op.issue))
            stream.at += 1
        for group in self.groups[number]:
            self.head(group, now)

    def begin(self, instance: Instance, now: int) -> None:
        """The unit begins with the op; whoever waits for it now knows when it will be done."""
        number = instance[0]
        self.began[instance] = now
        if self.busy[number]:
            heappush(self.events, (now + self.busy[number], _FREE, self.key(instance), instance))
        if instance not in self.issued:
            self.issue(instance, now)
        for waiting in self.waiters.pop(instance, ()):
            if waiting in self.issued:
                self.enqueue(waiting, now)
            else:
                self.request(waiting, now)

    def result(self) -> Run:
        if len(self.began) < len(self.ops) * self.iterations:
            stuck = [self.ops[s.order[s.at][0]].id for s in self.streams if s.at < len(s.order)]
            message = (
                f"the simulated schedule of {self.schedule.problem.name} stops: groups wait at {', '.join(stuck)}."
            )
            raise CheckFailed(message, hint="This is a defect of the schedule or of Twill.")

        def table(times: dict[Instance, int]) -> tuple[tuple[int, ...], ...]:
            return tuple(tuple(times[n, i] for n in range(len(self.ops))) for i in range(self.iterations))

        ended = {
            (n, i): began + max(0, self.busy[n], op.completion + self.late[i][n])
            for (n, i), began in self.began.items()
            if (op := self.ops[n])
        }
        return Run(
            self.schedule, self.iterations, table(self.issued), table(self.began), table(ended), tuple(self.busy),
            tuple(self.waits),
        )  # fmt: skip

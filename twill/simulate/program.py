"""What the engine runs: tasks in the order of their instruction streams, with what each waits for."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from twill.schedule.problem import Op
from twill.schedule.schedule import Schedule
from twill.simulate.latency import LoadLatency

Key = tuple[int, int, int]


class Need(NamedTuple):
    """A task goes on no earlier than `latency` cycles after task `source` began.

    cause: what is waited for, in words. at_unit: the unit's queue keeps the order, the stream does not wait.
    completes: the latency ends when `source` has completed, so it varies as that does.
    """

    source: int
    latency: int
    cause: str
    at_unit: bool = False
    completes: bool = True


class Task(NamedTuple):
    """One instruction of a stream: an op of the loop in one iteration, or another statement of a role.

    op: position in the problem; -1 for other statements, which `name` tells. streams: in which it issues, at once.
    unit: "" for none. busy: cycles it takes its unit. issue: cycles it takes its streams; fewer than `busy` (or
    `detached`) when the stream goes on while it runs. completion: cycles from its begin until it has completed.
    load: the op of variable latency that it is. scheduled: where its stream has it, in cycles of any origin; a
    later task may be issued as far into it as the two are apart. key: its place among tasks that come to a
    unit at the same time.
    """

    op: int
    name: str
    iteration: int
    streams: tuple[int, ...]
    unit: str
    busy: int
    issue: int
    completion: int
    scheduled: int
    key: Key
    needs: tuple[Need, ...]
    detached: bool = False
    load: Op | None = None

    @property
    def asynchronous(self) -> bool:
        """Its stream moves on once it is issued."""
        return self.detached or self.issue < self.busy


@dataclass(frozen=True)
class Program:
    """The tasks of all blocks of an SM. streams: positions of tasks in order, block after block.

    capacity: how many tasks each unit serves at a time. ordered: for units that serve in a fixed order, that
    order; the others serve first come, first served.
    """

    schedule: Schedule
    iterations: int
    busy: tuple[int, ...]
    tasks: tuple[Task, ...]
    streams: tuple[tuple[int, ...], ...]
    capacity: Mapping[str, int]
    ordered: Mapping[str, tuple[int, ...]]

    def lateness(self, latency: LoadLatency, seed: int) -> list[int]:
        """For each task the cycles by which a load is late in the run of that seed."""
        draws = random.Random(seed)
        return [latency.delay(task.load, draws) if task.load is not None else 0 for task in self.tasks]

"""The thread blocks (CTAs) of one cluster: their ranks, what they share, and where they meet.

Every CTA runs the whole kernel as a program of its own, on one scheduler with the others: the compiler makes one
program for all of them, and each goes at its own pace. A register tensor has its full shape in every CTA; only the
part that its layout gives the CTA is sure to hold the value. A buffer is one allocation for the cluster, with a copy
for each CTA that holds the same part, so that an access by another CTA meets the same bytes.

Barriers of the cluster (barrier.cluster) join the clocks of all CTAs, unless relaxed. Between the last mbarrier.init
and the first use of a barrier, and before the kernel ends, the compiler of Triton 3.8 and later puts one by itself;
up to 3.7 the source must (`explicit`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NoReturn

import numpy as np

from twill.emulate import cga
from twill.emulate.accesses import Clock, Order, is_over, join
from twill.emulate.barriers import Barrier
from twill.emulate.report import BarrierMisuse, EarlyExit, MissingClusterSync, Place, Wanted
from twill.emulate.scheduler import Scheduler, Task, active, running
from twill.errors import Unsupported

Array = np.ndarray[Any, Any]


@dataclass
class Meeting:
    """One barrier of the cluster: who has arrived, what they are ordered after, what they brought."""

    what: str
    relaxed: bool
    arrived: dict[int, Place] = field(default_factory=dict)
    clock: Clock = field(default_factory=dict)
    brought: dict[int, Array] = field(default_factory=dict)
    inits: list[Barrier] = field(default_factory=list)  # that are initialised for all once everybody is here


@dataclass(frozen=True)
class Remote:
    """An operation of one CTA on memory of `owner`, which must not have exited before it is over."""

    place: Place
    owner: int
    path: str
    order: Order


class Cluster:
    """The `size` CTAs that one scheduler runs. explicit: the source synchronises the cluster, not the compiler."""

    def __init__(self, scheduler: Scheduler, size: int, explicit: bool) -> None:
        self.scheduler = scheduler
        self.size = size
        self.explicit = explicit
        self.two_ctas = False  # some tcgen05_mma of the kernel works for a pair
        self.meetings: list[Meeting] = []
        self.met = [0] * size  # meetings each CTA has arrived at
        self.roles = [0] * size  # depth of warp_specialize
        self.inits: list[list[tuple[int, Barrier | None]]] = [[] for _ in range(size)]  # by line, not yet published
        self.sites: list[set[int]] = [set() for _ in range(size)]  # lines whose inits the compiler published
        self.remotes: list[Remote] = []
        self.exits: dict[int, Clock] = {}
        self._shared: dict[Any, Any] = {}
        self._allocated: dict[Any, int] = {}

    def shared(self, key: tuple[Any, ...], make: Callable[[], Any]) -> Any:
        """The next thing the running role allocates, the same object in all CTAs."""
        task = self.scheduler.current()
        number = self._allocated[task.cta, task.path] = self._allocated.get((task.cta, task.path), 0) + 1
        if (task.path, number) not in self._shared:
            self._shared[task.path, number] = (make(), key)
        found, described = self._shared[task.path, number]
        if described != key:
            place = self.scheduler.place("allocation")
            raise Unsupported(
                f"the thread blocks of the cluster allocate in different orders: {place} makes {key}, another made "
                f"{described}.",
                hint="Let the control flow before an allocation be the same in every thread block.",
                location=place.where,
            )
        return found

    def arrive(self, what: str, relaxed: bool = False, brings: Array | None = None) -> Meeting:
        """Arrive at the next barrier of the cluster; `brings` is seen by all after it."""
        task = self.scheduler.current()
        place = self.scheduler.place(what)
        if task.path or self.roles[task.cta]:
            self._misuse(
                f"{place} is a barrier of the cluster inside warp_specialize, where not all threads come.", place
            )
        number = self.met[task.cta]
        self.met[task.cta] += 1
        if number == len(self.meetings):
            self.meetings.append(Meeting(what, relaxed))
        meeting = self.meetings[number]
        if meeting.what != what:
            other = next(iter(meeting.arrived.values()))
            self._misuse(f"{place} meets {other}: the thread blocks of the cluster are at different barriers.", place)
        meeting.arrived[task.cta] = place
        if not relaxed or not self.explicit:
            self._publish(meeting)
        if not relaxed:
            join(meeting.clock, task.clock)
            task.release()
        if brings is not None:
            meeting.brought[task.cta] = brings
        return meeting

    def wait(self) -> Meeting:
        """Go on when all CTAs have arrived at the barrier this one arrived at last."""
        task = self.scheduler.current()
        if not self.met[task.cta]:
            place = self.scheduler.place("cluster wait")
            self._misuse(
                f"{place} waits at a barrier of the cluster before this thread block has arrived at one.", place
            )
        meeting = self.meetings[self.met[task.cta] - 1]

        def waits_for() -> Wanted:
            absent = [str(cta) for cta in range(self.size) if cta not in meeting.arrived]
            return Wanted(f"CTA {', '.join(absent)} at the cluster's barrier ({meeting.what})")

        self.scheduler.block(lambda: len(meeting.arrived) == self.size, waits_for, joins=True)
        join(task.clock, meeting.clock)
        for barrier in meeting.inits:
            if barrier.published is not None:
                barrier.published.add(task.cta)
        return meeting

    def meet(self, what: str, relaxed: bool = False, brings: Array | None = None) -> Meeting:
        self.scheduler.pause()
        self.arrive(what, relaxed, brings)
        return self.wait()

    def fence_inits(self) -> None:
        """What this CTA has initialised is published by its next barrier of the cluster, even a relaxed one."""
        number = self.met[self.scheduler.current().cta]
        if number == len(self.meetings):
            self.meetings.append(Meeting("cluster barrier", True))
        self._publish(self.meetings[number])

    def _publish(self, meeting: Meeting) -> None:
        cta = self.scheduler.current().cta
        self.sites[cta] |= {line for line, _ in self.inits[cta]}
        meeting.inits += [barrier for _, barrier in self.inits[cta] if barrier is not None]
        self.inits[cta] = []

    def initialised(self, barrier: Barrier | None, line: int) -> None:
        """A CTA made an mbarrier, or came to where the lead of its group makes one (None).

        The compiler publishes it if its line lies before the uses of all others.
        """
        task = self.scheduler.current()
        if barrier is not None:
            barrier.published = set()
        outside = not task.path and not self.roles[task.cta]
        if self.explicit or (outside and (not self.sites[task.cta] or line in self.sites[task.cta])):
            self.inits[task.cta].append((line, barrier))

    def settle(self) -> None:
        """The barrier of the cluster that the compiler puts before the first use of an mbarrier."""
        task = self.scheduler.current()
        if self.explicit or not self.inits[task.cta] or task.path or self.roles[task.cta]:
            return
        self.arrive("mbarrier.init", relaxed=True)
        self.wait()

    def unpublished(self, place: Place, path: str, owner: int, barrier: Barrier | None) -> NoReturn:
        made = f"after {barrier.initialised}" if barrier is not None else "after its mbarrier.init"
        if self.explicit:
            hint = "Call mbarrier.sync_cluster_init() after the last mbarrier.init, before warp_specialize."
        else:
            hint = (
                "The compiler puts a cluster barrier where all inits come before all uses, outside of roles: "
                "initialise every mbarrier at the beginning of the kernel."
            )
        raise MissingClusterSync(
            f"{place} uses {path} of CTA {owner}, but no barrier of the cluster orders that {made}.",
            hint=hint,
            location=place.where,
            places=(barrier.initialised, place) if barrier is not None else (place,),
            barrier=path,
        )

    def remote(self, place: Place, owner: int, path: str, order: Order) -> None:
        """Remember an operation on memory of another CTA."""
        if owner != self.scheduler.current().cta:
            self.remotes.append(Remote(place, owner, path, order))

    def leave(self) -> None:
        """The kernel ends in the running CTA."""
        if not self.explicit:
            self.meet("end of the kernel")
        task = self.scheduler.current()
        self.exits[task.cta] = dict(task.clock)

    def check_end(self) -> None:
        """Every operation on memory of another CTA was over before that CTA ended."""
        for each in self.remotes:
            if not is_over(each.order, self.exits[each.owner]):
                raise EarlyExit(
                    f"CTA {each.owner} may have ended when {each.place} reaches {each.path} in its shared memory.",
                    hint="Wait for all of them, and end the kernel with cluster.arrive() and cluster.wait().",
                    location=each.place.where,
                    places=(each.place,),
                    buffer=each.path,
                )

    def _misuse(self, message: str, place: Place) -> NoReturn:
        raise BarrierMisuse(message, location=place.where, places=(place,))


def current() -> Cluster | None:
    """The cluster that runs, if it has several CTAs."""
    if not running():
        return None
    found = active().cluster
    assert found is None or isinstance(found, Cluster)
    return found


def size() -> int:
    here = current()
    return here.size if here is not None else 1


def settle() -> None:
    """See Cluster.settle; nothing for a single thread block."""
    here = current()
    if here is not None:
        here.settle()


def refuse(what: str) -> None:
    """Raise Unsupported when a cluster of several CTAs runs."""
    if current() is not None:
        raise Unsupported(
            f"the emulator does not know {what} in a cluster of several thread blocks.",
            hint="Run the kernel with num_ctas=1, or use what docs/verification.md lists.",
            location=active().here(),
        )


def enter_roles() -> None:
    """The running CTA is about to divide into roles."""
    here = current()
    if here is not None:
        here.settle()
        here.roles[here.scheduler.current().cta] += 1


def leave_roles() -> None:
    here = current()
    if here is not None:
        here.roles[here.scheduler.current().cta] -= 1


def role_name(role: str, task: Task) -> str:
    """A role as reports name it."""
    return f"{role}[CTA {task.cta}]" if size() > 1 else role


def layout_bases(layout: Any, what: str) -> cga.Bases:
    """The CGA layout of a buffer in the running cluster. Raises Unsupported when it is not made for the cluster."""
    found = cga.bases(layout)
    if found is None or 1 << len(found) != size():
        made = f"made for {1 << len(found or ())} CTAs" if found is not None else "not known"
        raise Unsupported(
            f"the CGA layout of {what} is {made}, the cluster has {size()}: {layout}.",
            hint="Give the layout a cga_layout with one basis for each bit of the CTA's rank.",
            location=active().here(),
        )
    return found

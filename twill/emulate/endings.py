"""How a thread block ends wrongly: in a deadlock, never, or with operations that nobody waited for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NoReturn

from twill.emulate.accesses import Clock, join
from twill.emulate.report import Deadlock, NeverEnds, Place, Unwaited, Waiter
from twill.errors import Location

if TYPE_CHECKING:
    from twill.emulate.scheduler import Scheduler, Task


def turn(turns: Iterable[int]) -> str:
    """Of each enclosing loop, outermost first, as reports print it; empty outside of loops."""
    text = ".".join(map(str, turns))
    return f"iteration {text}" if text else ""


def never_ends(scheduler: Scheduler, bound: str) -> NoReturn:
    """Raises NeverEnds with the line each role is at."""
    places = tuple(
        Place("loop", t.role, Location(scheduler.filename, t.line), turn(t.turns))
        for t in scheduler.tasks
        if not t.ended and t.line  # one without a line was not let move yet
    )
    raise NeverEnds(
        f"the thread block has not ended after {bound}; " + "; ".join(map(str, places)) + ".",
        hint="Look for a loop whose bound is never reached, or raise max_steps.",
        location=places[0].where if places else None,
        places=places,
    )


def deadlock(scheduler: Scheduler) -> NoReturn:
    """Raises Deadlock: who waits for which phase of which barrier, and who should have arrived."""
    waiters, places, subjects = [], [], []
    for task in scheduler.tasks:
        wanted = None if task.ended or task.waits_for is None else task.waits_for()
        at_turn = turn(task.turns) if wanted else ""
        waiters.append(Waiter(task.role, task.line, wanted.text if wanted else "", at_turn, wanted))
        if wanted:
            places.append(Place("wait", task.role, Location(scheduler.filename, task.line), at_turn))
            subjects.append(wanted.barrier)
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
        barrier=next(iter(subjects), ""),
        subjects=tuple(subjects),
        hint="Look for a missing arrive or expect, a wrong arrive count, or a phase that is not flipped.",
        location=places[0].where if places else None,
        places=tuple(places),
    )


def check_all_over(scheduler: Scheduler) -> None:
    """Every load, and every operation on tensor memory, is over before the thread block is. Raises Unwaited."""
    final: Clock = {}
    for task in scheduler.tasks:
        join(final, task.clock)
    for pipe in scheduler.pipes.values():
        pipe.check_end(final)
    for access in scheduler.load_accesses:
        if not access.before(final):
            raise Unwaited(
                f"{access.place} into {access.view.path} was never waited for: it may write shared memory after "
                "the thread block has ended.",
                hint="Issue only the loads that a role waits for.",
                location=access.place.where,
                places=(access.place,),
                buffer=access.view.path,
            )


def check_role_over(task: Task, drains_stores: bool) -> None:
    """Every wgmma and TMA store of a role is over before the role is. Raises Unwaited."""
    for queue, cure in ((task.mmas, "warpgroup_mma_wait(0, deps=[...])"), (task.stores, "store_wait(0)")):
        if queue.pending and not (drains_stores and queue is task.stores):
            place = queue.pending[0].place
            raise Unwaited(
                f"{place} is still in flight when {task.role} ends; it may go on with {queue.pending[0].about}.",
                hint=f"Call {cure} before the role returns.",
                location=place.where,
                places=(place,),
                buffer=queue.pending[0].about,
            )

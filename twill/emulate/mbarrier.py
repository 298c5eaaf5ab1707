"""Stand-in for `gluon.language.nvidia.hopper.mbarrier`."""

from __future__ import annotations

from typing import Any, NoReturn

from twill.emulate import dtypes, trace
from twill.emulate.accesses import join
from twill.emulate.barriers import Barrier
from twill.emulate.constants import unwrap
from twill.emulate.layouts import MBarrierLayout
from twill.emulate.memory import SharedMemory, record_generic
from twill.emulate.report import BarrierMisuse, Place, Race, Wanted
from twill.emulate.scheduler import Scheduler, active
from twill.emulate.values import refuse

__all__ = ["MBarrierLayout", "allocate_mbarrier", "arrive", "expect", "find", "init", "invalidate", "wait"]


def allocate_mbarrier(batch: Any = None, two_ctas: Any = False) -> SharedMemory:
    """An array of `batch` barriers (Triton 3.9), or one."""
    from twill.emulate.language import allocate_shared_memory

    shape = [1] if unwrap(batch) is None else [unwrap(batch), 1]
    return allocate_shared_memory(dtypes.int64, shape, MBarrierLayout())


def init(mbarrier: SharedMemory, count: Any) -> None:
    """Make an mbarrier of `count` arrivals a phase."""
    scheduler = active()
    place = scheduler.place("mbarrier.init")
    _check(mbarrier)
    count = int(unwrap(count))
    if mbarrier.offset in mbarrier.allocation.barriers:
        earlier = mbarrier.allocation.barriers[mbarrier.offset].initialised
        _misuse(f"{place} initialises {mbarrier.path} again; {earlier} did it before.", place, mbarrier)
    if not 1 <= count < 2**20:
        _misuse(f"{place} gives {mbarrier.path} a count of {count}.", place, mbarrier)
    record_generic(scheduler, mbarrier, place, write=True)
    task = scheduler.current()
    born = (task.agent, task.clock[task.agent])
    mbarrier.allocation.barriers[mbarrier.offset] = Barrier(mbarrier.path, count, scheduler.agent(), place, born)


def invalidate(mbarrier: SharedMemory) -> None:
    """End the life of an mbarrier."""
    place = active().place("mbarrier.invalidate")
    barrier = find(mbarrier, place)
    if barrier.in_flight:
        _misuse(f"{place} ends {barrier.name} while {barrier.in_flight[0][0]} is in flight to it.", place, mbarrier)
    del mbarrier.allocation.barriers[mbarrier.offset]


def expect(mbarrier: SharedMemory, bytes: Any = None, pred: Any = True, **renamed: Any) -> None:
    """Announce `bytes` (`bytes_per_cta` since Triton 3.9) to the current phase, and arrive once."""
    scheduler = active()
    scheduler.pause()
    if bytes is None:
        bytes = renamed.pop("bytes_per_cta")
    renamed.pop("from_cta", None)
    if renamed:
        raise TypeError(f"mbarrier.expect got {', '.join(renamed)}")
    if not pred:
        return
    place = scheduler.place("expect")
    task = scheduler.current()
    find(mbarrier, place).expect(int(unwrap(bytes)), task.clock, place)
    task.release()


def arrive(mbarrier: SharedMemory, *, count: Any = 1, pred: Any = True, from_cta: Any = None) -> None:
    """Arrive `count` times: what this role did before is visible to whoever waits for the phase."""
    scheduler = active()
    scheduler.pause()
    if not pred:
        return
    place = scheduler.place("arrive")
    task = scheduler.current()
    find(mbarrier, place).arrive(int(unwrap(count)), task.clock, place)
    task.release()


def wait(mbarrier: SharedMemory, phase: Any, pred: Any = True, deps: Any = ()) -> None:
    """Go on once the phase of parity `phase` is the last completed one."""
    scheduler = active()
    if not pred:
        scheduler.pause()
        return
    place = scheduler.place("wait")
    parity = int(unwrap(phase))
    barrier = find(mbarrier, place)
    if parity not in (0, 1):
        _misuse(f"{place} waits on {barrier.name} with phase {parity}; a phase is a parity, 0 or 1.", place, mbarrier)

    def waits_for() -> Wanted:
        return Wanted(
            f"{barrier.name}, parity {parity}: {barrier.state()}",
            barrier.name,
            parity,
            barrier.completed,
            *_arrivals(scheduler, barrier, mbarrier),
        )

    scheduler.block(lambda: barrier.passes(parity), waits_for)
    if trace.watched():
        trace.note(place, barrier.name, f"passes: phase {barrier.completed - 1} is complete (parity {parity})")
        trace.touch(barrier.name, False)
    join(scheduler.current().clock, barrier.released)


def find(view: SharedMemory, place: Place) -> Barrier:
    """The initialised mbarrier a view points at, seen by a role that is ordered after its init."""
    _check(view)
    barrier = view.allocation.barriers.get(view.offset)
    if barrier is None:
        _misuse(f"{place} uses {view.path}, which is not an initialised mbarrier.", place, view)
    agent, epoch = barrier.born
    if active().current().clock.get(agent, 0) < epoch:
        raise Race(
            f"race on {view.path}: {place} uses it, but nothing orders that after {barrier.initialised}.",
            hint="Initialise barriers before warp_specialize.",
            location=place.where,
            places=(barrier.initialised, place),
            barrier=view.path,
        )
    trace.touch(barrier.name, False)
    return barrier


def _arrivals(scheduler: Scheduler, barrier: Barrier, view: SharedMemory) -> tuple[int, str]:
    """How many arrivals the phase misses, and who should have made them, from what this run and its other slots did."""
    who = barrier.missing()
    if barrier.pending and not barrier.arrivals:
        others = [each for each in view.allocation.barriers.values() if each is not barrier and each.arrivals]
        lines = dict.fromkeys((p.action, p.role, p.where.line) for each in others for p, _ in each.arrivals)
        if lines:
            names = ", ".join(f"{action} of {role} (line {line})" for action, role, line in lines)
            who += f"; other slots of {view.allocation.name} got theirs from {names}"
        else:
            who += f"; no role arrives on any slot of {view.allocation.name}"
    return barrier.pending, who


def _check(view: SharedMemory) -> None:
    if not isinstance(view, SharedMemory) or view.dtype is not dtypes.int64:
        refuse(f"{view!r} is not an mbarrier (shared memory of int64).")
    if view.numel != 1:
        refuse(f"{view.path} holds {view.numel} mbarriers; take one with .index(i).")


def _misuse(message: str, place: Place, view: SharedMemory) -> NoReturn:
    raise BarrierMisuse(message, location=place.where, places=(place,), barrier=view.path)

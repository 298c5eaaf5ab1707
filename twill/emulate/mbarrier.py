"""Stand-in for `gluon.language.nvidia.hopper.mbarrier`."""

from __future__ import annotations

from typing import Any, NoReturn

from twill.emulate import cga, cluster, dtypes, trace
from twill.emulate.accesses import join
from twill.emulate.barriers import Barrier
from twill.emulate.constants import unwrap
from twill.emulate.layouts import MBarrierLayout
from twill.emulate.memory import SharedMemory, record_generic
from twill.emulate.report import BarrierMisuse, MissingFence, Place, Race, Wanted
from twill.emulate.scheduler import Scheduler, active
from twill.emulate.values import refuse

__all__ = [
    "MBarrierLayout", "allocate_mbarrier", "arrive", "expect", "fence_init_release_cluster", "find", "init",
    "invalidate", "sync_cluster_init", "wait",
]  # fmt: skip


def allocate_mbarrier(batch: Any = None, two_ctas: Any = False) -> SharedMemory:
    """An array of `batch` barriers (Triton 3.9), or one; in a cluster one of each CTA, or of each pair of them."""
    from twill.emulate.language import allocate_shared_memory

    layout = MBarrierLayout.multicta(cluster.size(), bool(unwrap(two_ctas)))
    groups = cga.parts(tuple(layout.cga_layout))
    shape = [groups] if unwrap(batch) is None else [unwrap(batch), groups]
    return allocate_shared_memory(dtypes.int64, shape, layout)


def init(mbarrier: SharedMemory, count: Any) -> None:
    """Make an mbarrier of `count` arrivals a phase; a group of CTAs makes one of `count` arrivals of each."""
    scheduler = active()
    place = scheduler.place("mbarrier.init")
    _check(mbarrier)
    lead, group = _group(mbarrier)
    task = scheduler.current()
    if lead != task.cta:
        scheduler.cluster.initialised(None, place.where.line)
        return
    count = int(unwrap(count)) * group
    mbarrier = mbarrier.part()
    if mbarrier.offset in mbarrier.allocation.barriers:
        earlier = mbarrier.allocation.barriers[mbarrier.offset].initialised
        _misuse(f"{place} initialises {mbarrier.path} again; {earlier} did it before.", place, mbarrier)
    if not 1 <= count < 2**20:
        _misuse(f"{place} gives {mbarrier.path} a count of {count}.", place, mbarrier)
    written = record_generic(scheduler, mbarrier, place, write=True)
    born = (task.agent, task.clock[task.agent])
    barrier = Barrier(mbarrier.path, count, scheduler.agent(), place, born, written)
    mbarrier.allocation.barriers[mbarrier.offset] = barrier
    if scheduler.cluster is not None:
        scheduler.cluster.initialised(barrier, place.where.line)


def _group(view: SharedMemory, cta: int | None = None) -> tuple[int, int]:
    """(rank of the CTA whose barrier `cta` uses, CTAs that use it)."""
    here = cluster.current()
    if here is None:
        return 0, 1
    bases = cluster.layout_bases(view.layout, view.path)
    cta = here.scheduler.current().cta if cta is None else cta
    return cga.lead(bases, cta), cga.replicas(bases)


def _routes(from_cta: Any) -> list[int]:
    """The CTAs whose barriers the running CTA signals: `from_cta` masks the bits of a rank that are kept."""
    me, from_cta = active().current().cta, unwrap(from_cta)
    if from_cta is None:
        return [me]
    return [other for other in range(cluster.size()) if other & int(from_cta) == me]


def invalidate(mbarrier: SharedMemory) -> None:
    """End the life of an mbarrier."""
    place = active().place("mbarrier.invalidate")
    _check(mbarrier)
    if _group(mbarrier)[0] != active().current().cta:
        return
    barrier = find(mbarrier, place)
    mbarrier = mbarrier.part()
    if barrier.in_flight:
        _misuse(f"{place} ends {barrier.name} while {barrier.in_flight[0][0]} is in flight to it.", place, mbarrier)
    if active().others():
        trace.unsettled(place, barrier.name, "it ends the barrier while other roles or operations go on")
    del mbarrier.allocation.barriers[mbarrier.offset]


def expect(mbarrier: SharedMemory, bytes: Any = None, pred: Any = True, **renamed: Any) -> None:
    """Announce `bytes` (`bytes_per_cta` since Triton 3.9) to the current phase, and arrive once."""
    scheduler = active()
    scheduler.pause()
    if bytes is None:
        bytes = renamed.pop("bytes_per_cta")
    from_cta = renamed.pop("from_cta", None)
    if renamed:
        raise TypeError(f"mbarrier.expect got {', '.join(renamed)}")
    if not pred:
        return
    place = scheduler.place("expect")
    task = scheduler.current()
    for cta in _routes(from_cta):
        barrier = find(mbarrier, place, cta)
        lead, group = _group(mbarrier, cta)
        if lead == cta:
            barrier.expect(int(unwrap(bytes)) * group, task.clock, place)
        else:
            barrier.arrive(1, task.clock, place)
        _reaches(place, lead, barrier)
        task.release()


def arrive(mbarrier: SharedMemory, *, count: Any = 1, pred: Any = True, from_cta: Any = None) -> None:
    """Arrive `count` times: what this role did before is visible to whoever waits for the phase."""
    scheduler = active()
    scheduler.pause()
    if not pred:
        return
    place = scheduler.place("arrive")
    task = scheduler.current()
    for cta in _routes(from_cta):
        barrier = find(mbarrier, place, cta)
        barrier.arrive(int(unwrap(count)), task.clock, place)
        _reaches(place, _group(mbarrier, cta)[0], barrier)
        task.release()


def _reaches(place: Place, owner: int, barrier: Barrier) -> None:
    """The running role signalled a barrier that may lie in another CTA."""
    here = cluster.current()
    if here is not None:
        task = here.scheduler.current()
        here.remote(place, owner, barrier.name, (task.agent, task.clock[task.agent]))


def wait(mbarrier: SharedMemory, phase: Any, pred: Any = True, deps: Any = ()) -> None:
    """Go on once the phase of parity `phase` is the last completed one. Of a group of CTAs only the lead waits."""
    scheduler = active()
    if not pred:
        scheduler.pause()
        return
    place = scheduler.place("wait")
    parity = int(unwrap(phase))
    if _group(mbarrier)[0] != scheduler.current().cta:
        cluster.settle()
        scheduler.pause()
        return
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
        trace.passes(barrier, scheduler.current().clock, place, scheduler.current().agent)
    join(scheduler.current().clock, barrier.released)


def find(view: SharedMemory, place: Place, cta: int | None = None) -> Barrier:
    """The initialised mbarrier a view points at, seen by a role that is ordered after its init.

    cta: whose barrier, in a cluster; None for the running CTA's. A group's is that of its lead.
    """
    _check(view)
    cluster.settle()
    scheduler = active()
    owner, _ = _group(view, cta)
    me = scheduler.current().cta
    foreign = owner != me
    view = view.part(owner)
    barrier = view.allocation.barriers.get(view.offset)
    if foreign and (barrier is None or barrier.published is None or me not in barrier.published):
        scheduler.cluster.unpublished(place, view.path, owner, barrier)
    if barrier is None:
        _misuse(f"{place} uses {view.path}, which is not an initialised mbarrier.", place, view)
    agent, epoch = barrier.born
    if not foreign and scheduler.current().clock.get(agent, 0) < epoch:
        raise Race(
            f"race on {view.path}: {place} uses it, but nothing orders that after {barrier.initialised}.",
            hint="Initialise barriers before warp_specialize.",
            location=place.where,
            places=(barrier.initialised, place),
            barrier=view.path,
        )
    return barrier


def signalled(view: SharedMemory, place: Place, cta: int | None = None) -> Barrier:
    """The barrier that an asynchronous operation will complete on.

    mbarrier.init writes through the generic proxy and the operation through the asynchronous one, so by PTX's memory
    model a proxy fence belongs between them. It is asked for where `Emulator.fenced_init` is set.
    """
    barrier = find(view, place, cta)
    scheduler = active()
    unfenced = barrier.set_up is not None and not barrier.set_up.fenced_before(scheduler.current().clock)
    if scheduler.fenced_init and unfenced:
        raise MissingFence(
            f"{place} will complete on {view.path} through the asynchronous proxy, but {barrier.initialised} set it "
            "up through the generic proxy and no fence_async_shared() lies between.",
            hint="Call fence_async_shared() after the last mbarrier.init, before warp_specialize.",
            location=place.where,
            places=(barrier.initialised, place),
            barrier=view.path,
        )
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
    groups = cga.parts(cga.bases(view.layout) or ())
    if view.numel != groups:
        refuse(f"{view.path} holds {view.numel // groups} mbarriers; take one with .index(i).")


def _misuse(message: str, place: Place, view: SharedMemory) -> NoReturn:
    raise BarrierMisuse(message, location=place.where, places=(place,), barrier=view.path)


def fence_init_release_cluster() -> None:
    """With the next barrier of the cluster, even a relaxed one, this CTA's mbarriers are initialised for all."""
    here = cluster.current()
    if here is not None:
        here.fence_inits()


def sync_cluster_init() -> None:
    """From here on every mbarrier of the cluster is initialised (Triton 3.7; later the compiler does it)."""
    here = cluster.current()
    if here is not None:
        here.fence_inits()
        here.meet("cluster barrier", relaxed=True)

"""What pictures of a schedule point at: units without an idle cycle, the cycle that sets II, groups at their cap."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from twill.schedule.critical import Cycle, critical_cycle
from twill.schedule.lifetimes import register_lives
from twill.schedule.loads import unit_loads
from twill.schedule.modulo import peak
from twill.schedule.problem import REGISTER_STEP
from twill.schedule.schedule import Schedule


@dataclass(frozen=True)
class Highlight:
    """What binds a placed schedule, as far as it can be pointed at.

    units: those that no shorter interval leaves enough cycles. cycle: the recurrence that allows no
    shorter interval. busiest: the most loaded unit, where neither is there. at_cap: for each group without
    room for another step of registers, the slot at which it holds most, and how many a thread.
    """

    units: tuple[str, ...]
    cycle: Cycle | None
    busiest: str
    at_cap: Mapping[int, tuple[int, int]]


def highlight(schedule: Schedule) -> Highlight:
    """The highlight of `schedule`, which has placements."""
    loads, cycle = unit_loads(schedule.problem), critical_cycle(schedule.problem)
    full = tuple(load.unit for load in loads if load.res_mii == schedule.ii)
    at_cap = {}
    for group, spans in register_lives(schedule).items():
        slot, total = peak(spans, schedule.ii)
        if total and schedule.groups[group].registers - total < REGISTER_STEP:
            at_cap[group] = slot, total
    binds = cycle is not None and cycle.rec_mii == schedule.ii
    return Highlight(full, cycle if binds else None, "" if full or binds else loads[0].unit, at_cap)

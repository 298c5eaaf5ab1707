"""How long each functional unit is busy in one iteration, and the ii that this demands."""

from __future__ import annotations

from dataclasses import dataclass

from twill.schedule.problem import Problem


@dataclass(frozen=True)
class UnitLoad:
    """A unit, the ops it runs each iteration with their occupancies in cycles, and what they demand of ii."""

    unit: str
    capacity: int
    ops: tuple[tuple[str, int], ...]

    @property
    def busy_cycles(self) -> int:
        """Occupancy of all its ops in one iteration."""
        return sum(occupancy for _, occupancy in self.ops)

    @property
    def res_mii(self) -> int:
        """The least ii in which its ops fit: busy cycles divided by capacity, rounded up."""
        return -(-self.busy_cycles // self.capacity)


def unit_loads(problem: Problem) -> tuple[UnitLoad, ...]:
    """The load of every unit of the machine that has ops, the most loaded first, ops in program order."""
    loads = [
        UnitLoad(unit, capacity, ops)
        for unit, capacity in problem.limits.units.items()
        if (ops := tuple((op.id, op.occupancy) for op in problem.ops if op.unit == unit))
    ]
    return tuple(sorted(loads, key=lambda load: -load.res_mii))

"""The scheduling problem: ops on units, dependences, and the limits of the machine.

This is the in-memory form of a `twill-graph/1` file and of a lowered kernel alike. All times are
whole cycles.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

REGISTER_STEP = 8  # registers per thread are given out in steps


@dataclass(frozen=True)
class Op:
    """One tile-level instruction of the loop body, as the scheduler sees it.

    unit: functional unit. occupancy: cycles the unit is busy. issue: cycles its warp group's
    instruction stream is taken. latency: cycles until its result may be used. registers: per
    thread, of its result, in the group that holds it. smem_bytes, tmem_columns: of the buffer it
    writes. min_warps: warps its group needs. spans: warp groups it runs on together; it occupies its
    unit once, but in each of them takes its issue, its waits, its registers and `min_warps` warps.
    variable_latency: must sit in a producer group.
    label, location, members, subtile, work: for people and for the code generator; no rule reads them.
    """

    id: str
    unit: str
    occupancy: int = 0
    issue: int = 0
    latency: int = 0
    registers: int = 0
    smem_bytes: int = 0
    tmem_columns: int = 0
    min_warps: int = 1
    spans: int = 1
    variable_latency: bool = False
    label: str = ""
    location: str = ""
    subtile: int | None = None
    members: tuple[str, ...] = ()  # names of the Graph ops (their first result, or "store@k") it stands for

    @property
    def asynchronous(self) -> bool:
        """The unit works on after the instruction stream moved on."""
        return self.issue < self.occupancy

    @property
    def completion(self) -> int:
        """Cycles from start until it has read its operands and its result may be used."""
        return max(self.occupancy, self.latency)


@dataclass(frozen=True)
class Dep:
    """v = dst starts no earlier than `latency` after u = src of `distance` iterations before.

    blocking: dst's group executes a wait before it may use the result. in_place: dst overwrites
    src's registers (an accumulator), so the two are one value. ring: dst may only write its buffer
    again once src has read it, a recurrence that the ring of dst carries: the distance counts as
    distance + depth of that ring - 1, and no value is moved.
    """

    src: str
    dst: str
    distance: int = 0
    latency: int = 0
    blocking: bool = False
    in_place: bool = False
    ring: bool = False


@dataclass(frozen=True)
class Limits:
    """What the machine allows one thread block; sizes in bytes, columns, registers, cycles.

    reserved_registers: per thread of a consumer group, beyond its cap: already left out of
    registers_per_thread and register_file, to be added when the group's registers are allocated. No
    rule reads it. producer_registers: what a producer group has at least. transfer_bytes: of shared
    memory, for each register and thread of a value that another group uses; 0 where what values take
    on their way is not modelled. max_mbarriers: barriers in shared memory, two a ring slot.
    """

    units: Mapping[str, int]
    smem_bytes: int = 0
    tmem_columns: int = 0
    max_groups: int = 8
    max_warps: int = 64
    registers_per_thread: int = 240
    register_file: int = 65536
    producer_registers: int = 24
    reserved_registers: int = 0
    signal_hop: int = 0
    value_hop: int = 0
    transfer_bytes: int = 0
    max_mbarriers: int = 65536
    name: str = "custom"


@dataclass(frozen=True)
class Problem:
    """Ops, deps and limits of one loop, with the trip count its total time is judged at.

    colocate: sets of ops that must share one group (what the code generator cannot move between
    groups). separate: sets of ops no two of which may share a group (one op per sub-tile, each
    sub-tile being a group of its own). Both empty in a plain graph file.
    """

    name: str
    limits: Limits
    ops: tuple[Op, ...]
    deps: tuple[Dep, ...]
    trip_count: int = 1
    colocate: tuple[tuple[str, ...], ...] = ()
    separate: tuple[tuple[str, ...], ...] = ()

    def op(self, id: str) -> Op:
        return self._index[id]

    @cached_property
    def _index(self) -> dict[str, Op]:
        return {op.id: op for op in self.ops}


def in_register_steps(registers: int) -> int:
    """The fewest registers per thread, in whole steps, that hold so many."""
    return -(-registers // REGISTER_STEP) * REGISTER_STEP

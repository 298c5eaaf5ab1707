"""The kernel behind a schedule as the simulator runs it: its plan, its machine, how many blocks an SM holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from twill.codegen.plan import Plan, Role
from twill.codegen.plan import plan as make_plan
from twill.errors import Unsupported
from twill.frontend.launch import Launch
from twill.ir.graph import DTYPE_BITS, Graph
from twill.machine import Machine
from twill.machine.memory import aligned
from twill.schedule.schedule import Schedule

_TOGETHER = 4  # warps: registers are given out by groups of four


@dataclass(frozen=True)
class Occupancy:
    """How many thread blocks an SM holds at a time, what one takes of it, and what allows no more of them."""

    blocks: int
    warps: int
    registers: int
    smem_bytes: int
    limit: str


@dataclass(frozen=True)
class Kernel:
    """A planned kernel on a machine."""

    plan: Plan
    machine: Machine
    occupancy: Occupancy


def kernel_of(graph: Graph, schedule: Schedule, launch: Launch, machine: Machine) -> Kernel | str:
    """The kernel that runs a schedule; why there is none, for a schedule that no kernel is emitted for."""
    try:
        made = make_plan(graph, schedule, launch)
    except Unsupported as error:
        return error.message
    return kernel_of_plan(made, machine)


def kernel_of_plan(plan: Plan, machine: Machine) -> Kernel | str:
    """The kernel that a plan is; why it is not simulated, where an op is one of several groups together."""
    if any(len(at.groups) > 1 for at in plan.schedule.placements.values()):
        return "an op spans several groups."
    return Kernel(plan, machine, occupancy(plan, machine))


def occupancy(plan: Plan, machine: Machine) -> Occupancy:
    """Blocks on an SM by shared memory, registers, warps and the machine's own limit.

    A role that is no multiple of four warps is filled up to one. Barriers and scratch count with the machine's
    `barrier_bytes`.
    """
    warps = {role.name: -(-role.warps // _TOGETHER) * _TOGETHER for role in plan.roles}
    registers = sum(32 * warps[role.name] * _registers(role, machine) for role in plan.roles)
    smem = machine.count("barrier_bytes") + sum(
        aligned(_size(buffer.shape, buffer.dtype), machine) * buffer.slots for buffer in plan.buffers
    )
    room: Mapping[str, int] = {
        "shared memory": machine.count("sm_smem_bytes") // (smem + machine.count("block_smem_bytes")),
        "registers": machine.count("register_file") // max(1, registers),
        "warps": machine.count("sm_warps") // sum(warps.values()),
        "blocks": machine.count("sm_blocks"),
    }
    limit = min(room, key=lambda name: room[name])
    return Occupancy(max(1, room[limit]), sum(warps.values()), registers, smem, limit)


def _registers(role: Role, machine: Machine) -> int:
    return role.registers or machine.count("producer_registers")


def _size(shape: tuple[int, ...], dtype: str) -> int:
    count = 1
    for extent in shape:
        count *= extent
    return count * max(8, DTYPE_BITS[dtype]) // 8

"""How long register values and buffers of a schedule live (rules 5 and 6)."""

from __future__ import annotations

from collections import defaultdict

from twill.schedule.modulo import Span
from twill.schedule.problem import Dep, Op
from twill.schedule.schedule import Schedule


def register_lives(schedule: Schedule) -> dict[int, list[Span]]:
    """For each group the spans its register values occupy there; weights in registers per thread.

    In the group that defines it a value lives from its definition to its last use there, and at
    least one cycle; in another group from its first use there to its last. An asynchronous use
    holds its operand for its occupancy, unless it overwrites it in place.
    """
    problem = schedule.problem
    index = {op.id: op for op in problem.ops}
    uses: dict[str, list[Dep]] = defaultdict(list)
    for dep in problem.deps:
        uses[dep.src].append(dep)

    lives: dict[int, list[Span]] = {group: [] for group in range(len(schedule.groups))}
    for op in problem.ops:
        if not op.registers:
            continue
        home = set(schedule.placements[op.id].groups)
        held: dict[int, list[tuple[int, int]]] = defaultdict(list)  # group -> (use, released)
        for dep in uses[op.id]:
            use = schedule.start(dep.dst) + dep.distance * schedule.ii
            for group in schedule.placements[dep.dst].groups:
                held[group].append((use, use + _hold(dep, index[dep.dst])))
        start = schedule.start(op.id)
        for group in sorted(home | set(held)):
            begin = start if group in home else min(use for use, _ in held[group])
            end = max([begin + 1, *(released for _, released in held[group])])
            lives[group].append(Span(op.id, begin, end, op.registers))
    return lives


def _hold(dep: Dep, user: Op) -> int:
    """Cycles after its start for which `user` still reads the operand `dep` brings."""
    in_place = dep.in_place or dep.src == dep.dst
    return user.occupancy if user.asynchronous and not in_place else 0


def has_ring(op: Op) -> bool:
    """Whether `op` writes a shared- or tensor-memory buffer."""
    return op.smem_bytes > 0 or op.tmem_columns > 0


def ring_life(schedule: Schedule, op: Op) -> tuple[int, str]:
    """Cycles from the issue of `op` until its buffer may be written again, and the consumer that ends it ("" if none).

    The buffer is free when its last consumer has completed; without consumers, when `op` has.
    """
    index = {each.id: each for each in schedule.problem.ops}
    start = schedule.start(op.id)
    ends = [
        (schedule.start(dep.dst) + dep.distance * schedule.ii + index[dep.dst].completion - start, dep.dst)
        for dep in schedule.problem.deps
        if dep.src == op.id
    ]
    return max(ends, default=(op.completion, ""), key=lambda end: end[0])


def group_cap(schedule: Schedule, group: int) -> int:
    """Registers per thread that the machine can give `group`, by its role and the warps of all groups (rule 4)."""
    limits = schedule.problem.limits
    if schedule.groups[group].producer:
        return limits.producer_registers
    producer_warps = sum(each.warps for each in schedule.groups if each.producer)
    other_warps = sum(each.warps for each in schedule.groups if not each.producer)
    left = limits.register_file - producer_file_registers(producer_warps, limits.producer_registers)
    # The register file is given out in whole steps of 8 registers for each of a warp's 32 threads.
    return max(0, min(limits.registers_per_thread, 8 * (left // (8 * 32 * max(1, other_warps)))))


def producer_file_registers(producer_warps: int, producer_registers: int) -> int:
    """Registers of the file that the producer groups take: their warps are allocated by fours."""
    return 32 * 4 * -(-producer_warps // 4) * producer_registers

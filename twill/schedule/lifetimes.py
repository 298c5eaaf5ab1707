"""How long register values, buffers and values between groups of a schedule live (rules 5 and 6)."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from twill.schedule.modulo import Span
from twill.schedule.problem import Dep, Op, Problem
from twill.schedule.schedule import Schedule


def register_lives(schedule: Schedule) -> dict[int, list[Span]]:
    """For each group the spans its register values occupy there; weights in registers per thread.

    In the group that defines it a value lives from its definition to its last use there, and at
    least one cycle; in another group from its first use there to its last. An asynchronous use
    holds its operand for its occupancy, unless it overwrites it in place.
    """
    problem = schedule.problem
    index = {op.id: op for op in problem.ops}
    lives: dict[int, list[Span]] = {group: [] for group in range(len(schedule.groups))}
    for op in problem.ops:
        if not op.registers:
            continue
        home = set(schedule.placements[op.id].groups)
        held: dict[int, list[tuple[int, int]]] = defaultdict(list)  # group -> (use, released)
        for dep in uses(problem, op.id):
            use = schedule.start(dep.dst) + dep.distance * schedule.ii
            for group in schedule.placements[dep.dst].groups:
                held[group].append((use, use + hold(dep, index[dep.dst])))
        start = schedule.start(op.id)
        for group in sorted(home | set(held)):
            begin = start if group in home else min(use for use, _ in held[group])
            end = max([begin + 1, *(released for _, released in held[group])])
            lives[group].append(Span(op.id, begin, end, op.registers))
    return lives


def hold(dep: Dep, user: Op) -> int:
    """Cycles after its start for which `user` still reads the operand `dep` brings (rule 5)."""
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
        for dep in uses(schedule.problem, op.id)
    ]
    return max(ends, default=(op.completion, ""), key=lambda end: end[0])


@dataclass(frozen=True)
class Transfer:
    """A register value on its way to other groups, through a ring of shared memory of its own.

    life: cycles from its definition to the first use in group `last`, the latest of the groups it
    goes to to begin. depth: slots of `slot_bytes` it takes, as its life needs.
    """

    id: str
    life: int
    last: int
    depth: int
    slot_bytes: int


def transfers(schedule: Schedule) -> tuple[Transfer, ...]:
    """The transfers of a schedule, by op; none on a machine that does not say what they take (transfer_bytes 0)."""
    problem, ii = schedule.problem, schedule.ii
    if not problem.limits.transfer_bytes:
        return ()
    found = []
    for op in problem.ops:
        begins = foreign_begins(schedule, op)
        if op.registers and begins:
            last = max(begins, key=lambda group: begins[group])
            life = begins[last] - schedule.start(op.id)
            threads = 32 * op.min_warps * op.spans
            size = problem.limits.transfer_bytes * threads * op.registers
            found.append(Transfer(op.id, life, last, max(1, -(-life // ii)), size))
    return tuple(found)


def foreign_begins(schedule: Schedule, op: Op) -> dict[int, int]:
    """For each group that uses the result of `op` without running it, the start of its first use there."""
    home = set(schedule.placements[op.id].groups)
    begins: dict[int, int] = {}
    for dep in uses(schedule.problem, op.id):
        use = schedule.start(dep.dst) + dep.distance * schedule.ii
        for group in set(schedule.placements[dep.dst].groups) - home:
            begins[group] = min(use, begins.get(group, use))
    return begins


def uses(problem: Problem, id: str) -> list[Dep]:
    """The dependences that use the result of op `id`: those of its rings only say when a slot is free."""
    return [dep for dep in problem.deps if dep.src == id and not dep.ring]

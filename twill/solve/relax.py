"""Rules as members of a set that can be left out one by one: each says which part of a problem it is.

Leaving a member out gives another `Problem`, so that what "without this rule" means can be read, checked and
solved like any problem. Every relaxation only ever admits more schedules.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace

from twill.schedule.problem import Dep, Limits, Op, Problem
from twill.solve.grouping import NAMED_BARRIERS

# In the order in which they are tried to be left out: what is named last is kept where a choice exists.
FAMILIES = (
    "mbarriers",
    "tensor memory",
    "shared memory",
    "hops",
    "streams",
    "registers",
    "roles",
    "groups",
    "units",
    "dependences",
)


@dataclass(frozen=True)
class Member:
    """One rule on one object of a problem.

    family: one of FAMILIES. object: the unit, the waiting op, the op whose registers, buffer or role is
    meant, the name of a limit, "value" or "signal" for a hop, or the number of a dependence or of a
    colocate or separate set (`sets`), as text.
    """

    family: str
    object: str
    sets: str = ""

    def __str__(self) -> str:
        return f"{self.family} {self.sets} {self.object}".replace("  ", " ")


def members(problem: Problem) -> tuple[Member, ...]:
    """Every member that says something about `problem`, family by family."""
    found = [member for family in FAMILIES for member in _MEMBERS[family](problem)]
    return tuple(found)


def relaxed(problem: Problem, kept: Collection[Member]) -> Problem:
    """`problem` with every member left out that is not in `kept`."""
    kept = set(kept)
    gone = [member for member in members(problem) if member not in kept]
    limits = _limits(problem, {member for member in gone if member.family not in ("dependences", "streams")})
    ops = {op.id: op for op in problem.ops}
    bufferless: set[str] = set()
    for member in gone:
        if member.family in _OF_OP and member.object in ops:
            ops[member.object] = _OF_OP[member.family](ops[member.object])
            if member.family == "registers" and limits.value_hop != limits.signal_hop:
                # The last register makes the difference between a value that moves and a signal (rule 1).
                ops[member.object] = replace(ops[member.object], registers=1)
            if not (ops[member.object].smem_bytes or ops[member.object].tmem_columns):
                bufferless.add(member.object)
    dropped = {int(member.object) for member in gone if member.family == "dependences"}
    waits = {member.object for member in gone if member.family == "streams"}
    deps = []
    for k, dep in enumerate(problem.deps):
        if k in dropped or (dep.ring and dep.dst in bufferless):
            continue
        deps.append(replace(dep, blocking=False) if dep.dst in waits else dep)
    sets = {(member.sets, int(member.object)) for member in gone if member.sets}
    used = {dep.src for dep in deps}
    for id, op in ops.items():
        # Without uses a buffer lives until its op completes: that must not be longer than its uses were.
        lives = [dep.latency + problem.op(dep.dst).completion for dep in problem.deps if dep.src == id]
        if id not in used and _has_ring(op) and op.completion > max(lives, default=op.completion):
            ops[id] = replace(op, smem_bytes=0, tmem_columns=0)
    return replace(
        problem,
        limits=limits,
        ops=tuple(ops.values()),
        deps=tuple(dep for dep in deps if not (dep.ring and not _has_ring(ops[dep.dst]))),
        colocate=tuple(s for k, s in enumerate(problem.colocate) if ("colocate", k) not in sets),
        separate=tuple(s for k, s in enumerate(problem.separate) if ("separate", k) not in sets),
    )


def _has_ring(op: Op) -> bool:
    return op.smem_bytes > 0 or op.tmem_columns > 0


# What each family has members for.


def _unit_members(problem: Problem) -> list[Member]:
    busy = {op.unit for op in problem.ops if op.occupancy > 0}
    return [Member("units", unit) for unit in problem.limits.units if unit in busy]


def _stream_members(problem: Problem) -> list[Member]:
    waiting = {dep.dst for dep in problem.deps if dep.blocking}
    return [Member("streams", op.id) for op in problem.ops if op.id in waiting]


def _hop_members(problem: Problem) -> list[Member]:
    return [Member("hops", kind) for kind in ("value", "signal") if getattr(problem.limits, f"{kind}_hop") > 0]


def _register_members(problem: Problem) -> list[Member]:
    values = [Member("registers", op.id) for op in problem.ops if op.registers > 0]
    limits = ("registers_per_thread", "register_file", "producer_registers") if values else ()
    return [Member("registers", f"limit {name}") for name in limits] + values


def _memory_members(family: str, size: str) -> Callable[[Problem], list[Member]]:
    def found(problem: Problem) -> list[Member]:
        rings = [Member(family, op.id) for op in problem.ops if getattr(op, size) > 0]
        if family == "shared memory" and problem.limits.transfer_bytes:
            rings.append(Member(family, "limit transfer_bytes"))
        return rings

    return found


def _barrier_members(problem: Problem) -> list[Member]:
    return [Member("mbarriers", "limit max_mbarriers")]


def _role_members(problem: Problem) -> list[Member]:
    kinds = {op.variable_latency for op in problem.ops}
    loads = [Member("roles", op.id) for op in problem.ops if op.variable_latency] if len(kinds) == 2 else []
    return [*loads, Member("roles", "limit max_warps")]


def _group_members(problem: Problem) -> list[Member]:
    sets = [Member("groups", str(k), "colocate") for k in range(len(problem.colocate))]
    sets += [Member("groups", str(k), "separate") for k in range(len(problem.separate))]
    return [*sets, Member("groups", "limit max_groups")]


def _dep_members(problem: Problem) -> list[Member]:
    return [Member("dependences", str(k)) for k in range(len(problem.deps))]


_MEMBERS: Mapping[str, Callable[[Problem], list[Member]]] = {
    "units": _unit_members,
    "streams": _stream_members,
    "hops": _hop_members,
    "registers": _register_members,
    "shared memory": _memory_members("shared memory", "smem_bytes"),
    "tensor memory": _memory_members("tensor memory", "tmem_columns"),
    "mbarriers": _barrier_members,
    "roles": _role_members,
    "groups": _group_members,
    "dependences": _dep_members,
}


# What leaving one out does.

_OF_OP: Mapping[str, Callable[[Op], Op]] = {
    "registers": lambda op: replace(op, registers=0),
    "shared memory": lambda op: replace(op, smem_bytes=0),
    "tensor memory": lambda op: replace(op, tmem_columns=0),
    "roles": lambda op: replace(op, variable_latency=False),
}


def _limits(problem: Problem, gone: Collection[Member]) -> Limits:
    limits = problem.limits
    # Named barriers limit the groups too, and are the same rule: "at most so many".
    changes: dict[str, object] = {"max_groups": min(limits.max_groups, NAMED_BARRIERS)}
    units = dict(limits.units)
    warps = max(limits.max_warps, sum(op.min_warps * op.spans for op in problem.ops))
    registers = max(limits.registers_per_thread, 4 * sum(op.registers for op in problem.ops))
    ample = {
        "max_groups": max(limits.max_groups, sum(op.spans for op in problem.ops)),
        "max_warps": warps,
        "registers_per_thread": registers,
        "register_file": max(limits.register_file, 64 * (warps + 4) * (registers + 8)),
        "producer_registers": 0,  # what producers take of the file at least; a group may be given more
        "transfer_bytes": 0,
        "max_mbarriers": 1 << 20,
    }
    for member in gone:
        if member.family == "units":
            units[member.object] = limits.units[member.object] + sum(
                op.occupancy for op in problem.ops if op.unit == member.object
            )
        elif member.family == "hops":
            changes[f"{member.object}_hop"] = 0
        elif member.object.startswith("limit "):
            changes[member.object.removeprefix("limit ")] = ample[member.object.removeprefix("limit ")]
    return replace(limits, units=units, **changes)  # type: ignore[arg-type]


def dep_of(problem: Problem, member: Member) -> Dep:
    """The dependence a member of the family "dependences" stands for."""
    return problem.deps[int(member.object)]

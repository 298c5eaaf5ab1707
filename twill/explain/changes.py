"""Questions about another machine or loop: each a changed problem, with what was changed in words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction

from twill.errors import InputError
from twill.schedule.critical import critical_cycle
from twill.schedule.lifetimes import has_ring
from twill.schedule.loads import unit_loads
from twill.schedule.problem import Dep, Op, Problem, in_register_steps
from twill.schedule.schedule import Schedule

MORE_REGISTERS = 16
_QUESTION = re.compile(r"\s*(?P<name>.+?)\s*(?P<sign>[=+])\s*(?P<number>\d+(?:\.\d+)?)\s*(?P<times>[x×]?)\s*")


@dataclass(frozen=True)
class Change:
    """A question: its short name, exactly what was changed, and the problem it gives."""

    name: str
    what: str
    problem: Problem


def usual_changes(schedule: Schedule) -> tuple[Change, ...]:
    """What a kernel engineer asks first: faster units, memory, registers, groups, hops, the recurrence."""
    problem = schedule.problem
    rates = [faster_unit(problem, load.unit, Fraction(2)) for load in unit_loads(problem)]
    found = [change for change in rates if change.problem != problem]  # one cycle cannot be halved
    found += _one_more_slot(problem)
    if any(op.registers for op in problem.ops):
        found.append(more_registers(schedule, MORE_REGISTERS))
    found.append(_limit(problem, "groups", "max_groups", problem.limits.max_groups + 1))
    for kind in ("value", "signal"):
        if getattr(problem.limits, f"{kind}_hop"):
            found.append(_limit(problem, f"{kind} hop", f"{kind}_hop", 0))
    if critical_cycle(problem) is not None:
        found.append(faster_cycle(problem, Fraction(2)))
    if problem.colocate:
        found.append(free_to_move(problem))
    return tuple(found)


def parse(question: str, schedule: Schedule) -> Change:
    """The change that `question` asks for: "SFU=2x", "SFU+1", "registers+16", "smem=100000", "k_tile+1", "value_hop=0".

    Raises InputError for one that says nothing about this problem, with what could be asked.
    """
    problem = schedule.problem
    if question.strip() == "moves=free":
        return free_to_move(problem)
    match = _QUESTION.fullmatch(question)
    if match is None:
        raise _unclear(question, problem, "it is not NAME=NUMBER, NAME+NUMBER or NAME=FACTORx")
    name, more, number = match["name"], match["sign"] == "+", Fraction(match["number"])
    units = problem.limits.units
    if match["times"]:
        if more or not 0 < number <= 1000:
            raise _unclear(question, problem, "a factor is written =2x, above 0 and at most 1000")
        if name == "cycle":
            return faster_cycle(problem, number)
        if name not in units:
            raise _unclear(question, problem, f'"{name}" is no unit of machine {problem.limits.name}')
        return faster_unit(problem, name, number)
    if number.denominator != 1:
        raise _unclear(question, problem, "the number has to be whole")
    whole = int(number)
    if name in units:
        return _more_units(problem, name, units[name] + whole if more else whole, question)
    if name == "hops" and not more:
        limits = replace(problem.limits, value_hop=whole, signal_hop=whole)
        return Change(f"hops of {whole} cycles", f"value_hop and signal_hop {whole}", replace(problem, limits=limits))
    if name == "registers":
        return more_registers(schedule, whole) if more else _limit(problem, name, _LIMITS[name], whole)
    if name in _LIMITS:
        field = _LIMITS[name]
        return _limit(problem, name, field, whole + (getattr(problem.limits, field) if more else 0))
    rings = {op.id: op for op in problem.ops if has_ring(op)}
    if name in rings and more:
        return _more_slots(problem, [rings[name]], whole)
    raise _unclear(question, problem, f'"{name}" is none of what can be changed')


_LIMITS: Mapping[str, str] = {
    "registers": "registers_per_thread", "register_file": "register_file", "smem": "smem_bytes", "tmem": "tmem_columns",
    "groups": "max_groups", "warps": "max_warps", "value_hop": "value_hop", "signal_hop": "signal_hop",
    "mbarriers": "max_mbarriers",
}  # fmt: skip


def _unclear(question: str, problem: Problem, why: str) -> InputError:
    rings = [op.id for op in problem.ops if has_ring(op)]
    units = [load.unit for load in unit_loads(problem)]
    hint = (
        f"Ask for the rate of a unit ({units[0]}=2x; units are {', '.join(units)}), more of it ({units[0]}+1),"
        f" a limit ({', '.join(_LIMITS)}, hops; = or +),"
        + (f" slots of a ring ({rings[0]}+1; rings are {', '.join(rings)})," if rings else "")
        + " cycle=2x or moves=free."
    )
    return InputError(f'the what-if "{question}" is not understood: {why}.', hint=hint, location="--what-if")


def faster_unit(problem: Problem, unit: str, factor: Fraction) -> Change:
    """The unit works `factor` times as fast.

    Occupancies are divided; the issue of an op that holds its stream all the while with them, that of an
    asynchronous op stays. A latency shrinks by what its op's occupancy does: the rest is pipeline and
    memory, which the rate does not change.
    """

    def shorter(cycles: int, op: Op) -> int:
        saved = op.occupancy - _divided(op.occupancy, factor)
        if not cycles or saved <= 0:
            return cycles and cycles - saved
        return max(cycles - saved, _divided(cycles, factor))  # one shorter than the occupancy is part of the work

    ops = {op.id: op for op in problem.ops}
    changed = {}
    for op in problem.ops:
        if op.unit == unit and op.occupancy:
            issue = op.issue if op.asynchronous else _divided(op.issue, factor)
            occupancy = _divided(op.occupancy, factor)
            changed[op.id] = replace(op, occupancy=occupancy, issue=issue, latency=shorter(op.latency, op))
    deps = [replace(d, latency=shorter(d.latency, ops[d.src])) if d.src in changed else d for d in problem.deps]
    times = f"{float(factor):g} times"
    first = next(iter(changed), "")
    sample = f": {first} {ops[first].occupancy} to {changed[first].occupancy} cycles" if first else ""
    count = f"{len(changed)} op" + ("s" if len(changed) != 1 else "")
    return Change(
        f"{unit} {times} as fast" if factor != 2 else f"{unit} twice as fast",
        f"occupancy of its {count} divided by {float(factor):g}{sample}; latencies less by as much; issue "
        + ("kept" if all(op.asynchronous for op in problem.ops if op.id in changed) else "with the occupancy"),
        replace(problem, ops=tuple(changed.get(op.id, op) for op in problem.ops), deps=tuple(deps)),
    )


def _divided(cycles: int, factor: Fraction) -> int:
    return -(-cycles * factor.denominator // factor.numerator)


def _more_units(problem: Problem, unit: str, capacity: int, question: str) -> Change:
    if not 1 <= capacity <= 1000:
        raise _unclear(question, problem, f"unit {unit} would have capacity {capacity}, outside 1 to 1000")
    units = {**problem.limits.units, unit: capacity}
    before = problem.limits.units[unit]
    changed = replace(problem, limits=replace(problem.limits, units=units))
    return Change(f"{capacity} of unit {unit}", f"capacity of {unit} {before} to {capacity}", changed)


def _one_more_slot(problem: Problem) -> list[Change]:
    """One change for each size of slot: memory is shared, so rings of one size ask the same."""
    by_size: dict[tuple[int, int], list[Op]] = {}
    for op in problem.ops:
        if has_ring(op):
            by_size.setdefault((op.smem_bytes, op.tmem_columns), []).append(op)
    return [_more_slots(problem, ops, 1) for ops in by_size.values()]


def _more_slots(problem: Problem, ops: list[Op], count: int) -> Change:
    smem, tmem = ops[0].smem_bytes * count, ops[0].tmem_columns * count
    limits = problem.limits
    changed = replace(limits, smem_bytes=limits.smem_bytes + smem, tmem_columns=limits.tmem_columns + tmem)
    words = [f"shared memory {limits.smem_bytes} + {smem} bytes"] if smem else []
    words += [f"tensor memory {limits.tmem_columns} + {tmem} columns"] if tmem else []
    ids = [op.id for op in ops]
    others = len(ids) - 3
    shown = " or ".join(ids[:3]) + (f" or {others} other ring{'s' * (others > 1)}" if others > 0 else "")
    return Change(
        f"{count} more slot{'s' if count > 1 else ''} for {shown}", ", ".join(words), replace(problem, limits=changed)
    )


def more_registers(schedule: Schedule, count: int) -> Change:
    """`count` more registers per thread, with a register file that has them for all of the schedule's warps."""
    limits = schedule.problem.limits
    warps = sum(group.warps for group in schedule.groups)
    file = 32 * warps * in_register_steps(count)
    changed = replace(
        limits,
        registers_per_thread=limits.registers_per_thread + count,
        register_file=limits.register_file + file,
    )
    what = f"registers_per_thread {limits.registers_per_thread} + {count}, register_file + {file}"
    return Change(f"{count} more registers a thread", what, replace(schedule.problem, limits=changed))


def _limit(problem: Problem, name: str, field: str, value: int) -> Change:
    before = getattr(problem.limits, field)
    least = 1 if field in ("max_groups", "max_warps") else 0
    if not least <= value <= 10**7:
        raise InputError(
            f"the what-if {name} {value} is out of range.",
            hint=f"Numbers go from {least} to 10000000.",
            location="--what-if",
        )
    changed = replace(problem, limits=replace(problem.limits, **{field: value}))  # type: ignore[arg-type]
    words = {"max_groups": f"at most {value} warp groups"}
    free = {"value_hop": "values move between groups for free", "signal_hop": "signals between groups cost nothing"}
    title = free[field] if field in free and value == 0 else words.get(field, f"{field} {value}")
    return Change(title, f"{field} {before} to {value}", changed)


def faster_cycle(problem: Problem, factor: Fraction) -> Change:
    """The latencies of the tightest recurrence divided by `factor`."""
    cycle = critical_cycle(problem)
    if cycle is None:
        raise InputError("no cycle of dependences takes time.", hint="Ask something else.", location="--what-if")
    on_it = {id(dep) for dep in cycle.deps}
    deps: list[Dep] = [replace(d, latency=_divided(d.latency, factor)) if id(d) in on_it else d for d in problem.deps]
    after = sum(_divided(dep.latency, factor) for dep in cycle.deps)
    return Change(
        "the tightest recurrence in half the time" if factor == 2 else f"the tightest recurrence at {float(factor):g}x",
        f"latencies of {cycle}: {cycle.latency} to {after} cycles",
        replace(problem, deps=tuple(deps)),
    )


def free_to_move(problem: Problem) -> Change:
    """Values may move between groups at the machine's hops: no ops are kept together."""
    count = len(problem.colocate)
    sets = f"{count} colocate set{'s' if count != 1 else ''}"
    what = f"{sets} left out: what the code generator keeps in one group"
    return Change("ops free to change groups", what, replace(problem, colocate=()))

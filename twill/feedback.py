"""What the machine code teaches: spills, shared memory and serialized MMAs go back into schedule and plan.

The model's registers are an estimate and ptxas has the last word. A kernel that spills is planned again in
another form, slower by simulation (`forms`); then, as one whose MMAs ptxas serializes, with fewer of them in
flight at a time; if it spills still, it is solved again with fewer registers for the values of the groups whose
code spills, at the same quota of setmaxnreg, so that what the values give up is free for what ptxas needs
besides; one that does not fit in shared memory, with less of it.
"""

from __future__ import annotations

import ast
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import networkx as nx

from twill.codegen.disassembly import RoleCode
from twill.codegen.gluon import emit
from twill.codegen.machine_code import MachineCode, compile_module
from twill.codegen.pipeline import Form
from twill.codegen.plan import ISOLATION, Plan, Role, plan
from twill.errors import CheckFailed, InputError
from twill.frontend.launch import Launch
from twill.ir.graph import Graph
from twill.machine import Machine
from twill.schedule.problem import REGISTER_STEP, Limits, Problem, in_register_steps
from twill.schedule.schedule import Schedule

ATTEMPTS = 6
FORMS = 3  # of a kernel that are compiled before registers are taken from its values


@dataclass(frozen=True)
class Emitted:
    """A plan, its source and its machine code (None when there are no shapes to compile for).

    history: what was changed, attempt by attempt, and why. attempts: the figures of each kernel that was
    compiled, the last one's included, for the schedule's provenance.
    """

    schedule: Schedule
    plan: Plan
    source: str
    code: MachineCode | None
    history: tuple[str, ...] = ()
    attempts: tuple[Mapping[str, Any], ...] = ()


def refine(
    graph: Graph,
    schedule: Schedule,
    launch: Launch,
    solve: Callable[[Schedule], Schedule],
    tell: Callable[[str], None],
    machine: Machine | None = None,
) -> Emitted:
    """The kernel of `schedule`, changed until its machine code is clean or nothing is left to change.

    machine: what the forms of the kernel are simulated on; without one it has the code generator's own form.
    solve: given a schedule whose problem has tighter limits, a schedule of that problem (without placements when
    there is none). Raises what planning raises, and CheckFailed when Triton rejects the module.
    """
    from twill.frontend.materialize import materialize

    solvable = True
    choices = _choices(graph, schedule, launch, machine)
    form, isolation = next(choices)
    history: list[str] = []
    attempts: list[Mapping[str, Any]] = []
    try:
        arguments = materialize(launch, 0)
    except InputError:
        decided = plan(graph, schedule, launch, isolation=isolation, form=form)
        return Emitted(with_form(schedule, form), decided, emit(decided), None)
    with tempfile.TemporaryDirectory() as folder:
        module = Path(folder, "kernel.py")
        while True:
            decided = plan(graph, schedule, launch, isolation=isolation, form=form)
            source = emit(decided)
            module.write_text(source)
            tell("compiling to machine code")
            try:
                code = compile_module(module, decided.name, arguments)
            except InputError as error:  # the module is gone when this is read
                raise InputError(error.message, hint=error.hint, location=graph.loop.location) from error
            except CheckFailed as error:  # ptxas crashes on a few forms of large kernels
                form, isolation = next(choices, (form, isolation + 1))
                if isolation == len(ISOLATION):
                    raise CheckFailed(
                        error.message, hint="This is a defect of Twill.", location=graph.loop.location
                    ) from error
                history.append(f"Triton does not compile it: {described(form, isolation)}")
                continue
            attempts.append(figures(decided, code))
            found = Emitted(with_form(schedule, form), decided, source, code, tuple(history), tuple(attempts))
            spilled = f"{code.spill_bytes} bytes{_culprits(decided, code)}"
            if not code.problems or len(history) == ATTEMPTS:
                return found
            other = next(choices, None) if code.spill_bytes and not code.serialized else None
            if other is not None:
                form, isolation = other
                history.append(f"ptxas spilled {spilled}: {described(form, isolation)}")
                continue
            # Less overlap costs no new solve: for spills the mildest level only, which costs least time too.
            levels = [level for level in range(isolation + 1, len(ISOLATION)) if _changes(decided, source, form, level)]
            mild = bool(levels) and (code.serialized or levels[0] == 1)
            if mild and code.shared_bytes <= code.shared_limit:
                isolation = levels[0]
                trouble = "serialized the MMAs" if code.serialized else f"spilled {spilled}"
                history.append(f"ptxas {trouble}: {ISOLATION[isolation]}")
                continue
            tighter, why = tightened(decided, code) if solvable else (None, "")
            if tighter is not None:
                tell(f"solving again: {why}")
                again = solve(tighter)
                if again.placements:
                    schedule = again
                    choices = _choices(graph, schedule, launch, machine)
                    form, isolation = next(choices)
                    history.append(why)
                    continue
            # Nothing tighter can be had: give up overlap, the last thing that may save a spilling kernel.
            solvable = False
            if not code.spill_bytes or not levels:
                return found
            isolation = levels[0]
            history.append(f"ptxas spilled {spilled} still: {ISOLATION[isolation]}")


def _changes(decided: Plan, source: str, form: Form, level: int) -> bool:
    """The kernel `source` is another one with as little overlap as `level` of isolation leaves it."""
    apart = plan(decided.graph, decided.schedule, decided.launch, isolation=level, form=form)
    return what_it_does(emit(apart)) != what_it_does(source)


def what_it_does(source: str) -> str:
    """A module's text without comments and without the docstring, which draws the schedule."""
    return ast.dump(ast.Module(ast.parse(source).body[1:], []))


def _choices(graph: Graph, schedule: Schedule, launch: Launch, machine: Machine | None) -> Iterator[tuple[Form, int]]:
    """Forms and levels of isolation to try, first those whose simulated interval is the shortest."""
    if machine is None or any(len(at.groups) > 1 for at in schedule.placements.values()):
        return iter([(Form(), 0)])
    from twill.forms import Forms

    found = Forms(graph, schedule, launch, machine).choices()
    return ((choice.form, choice.isolation) for choice in islice(found, FORMS))


def with_form(schedule: Schedule, form: Form) -> Schedule:
    """The schedule with the form in its provenance, where it is not the code generator's own."""
    if form == Form():
        return schedule
    return replace(schedule, provenance={**schedule.provenance, "form": form.json()})


def described(form: Form, isolation: int) -> str:
    """A form of the kernel in words."""
    begins = [f"group {group} begins its loop body at slot {cut}" for group, cut in sorted(form.cuts.items())]
    parts = begins or ["loop bodies begin where fewest MMAs are in flight"]
    if not form.turns:
        parts.append("groups take no turns on the tensor core")
    if isolation:
        parts.append(ISOLATION[isolation])
    return "; ".join(parts)


def tightened(plan: Plan, code: MachineCode) -> tuple[Schedule | None, str]:
    """The plan's schedule with the limits that its machine code asks for, and why; None when none would help.

    Of the registers, the groups whose code spills give up some; all consumer groups do where the
    disassembly does not tell whose code spills.
    """
    schedule = plan.schedule
    limits = schedule.problem.limits
    excess = code.shared_bytes - code.shared_limit
    if excess > 0:
        changed = replace(limits, smem_bytes=limits.smem_bytes - excess)
        if changed.smem_bytes <= 0:
            return None, ""
        why = f"{excess} bytes too many of shared memory: rings may take {changed.smem_bytes}"
        return _under(schedule, changed), why
    if code.spill_bytes:
        return _fewer_registers(plan, code)
    return None, ""


def _fewer_registers(plan: Plan, code: MachineCode) -> tuple[Schedule | None, str]:
    """Fewer registers for the values of the groups that spill. A producer has no values: its quota is raised."""
    schedule, problem = plan.schedule, plan.schedule.problem
    limits, spills = problem.limits, spills_of(plan, code)
    producers = [role for role in plan.roles if role.name in spills and role.producer]
    if producers and len(producers) == len(spills):
        more = limits.producer_registers + _steps(max(spills.values()))
        who = " and ".join(role.name for role in producers)
        why = f"{code.spill_bytes} bytes spilled by {who}: producers have {more} registers a thread"
        return _under(schedule, replace(limits, producer_registers=more)), why
    consumers = [role for role in plan.roles if not role.producer]
    spilling = [role for role in consumers if role.name in spills]
    if spilling and len(spilling) < len(consumers):
        fewer = _steps(max(spills[role.name] for role in spilling))
        charged = _charged(problem, schedule, {role.group for role in spilling}, fewer)
        cap = max(schedule.groups[role.group].registers for role in spilling) - fewer
        if charged is not None and cap > 0:
            who = " and ".join(role.name for role in spilling)
            why = f"{code.spill_bytes} bytes spilled by {who}: its values may take {cap} registers a thread"
            return replace(schedule, problem=charged), why
    fewer = _steps(max(spills.values(), default=code.spill_bytes))
    cap = max(group.registers for group in schedule.groups if not group.producer) - fewer
    if cap <= 0:
        return None, ""
    by = _culprits(plan, code)
    why = f"{code.spill_bytes} bytes spilled{by}: values may take {cap} registers a thread"
    return _under(schedule, set_aside(limits, schedule, cap, fewer)), why


def set_aside(limits: Limits, schedule: Schedule, cap: int, fewer: int) -> Limits:
    """`limits` with a cap for the values of every group and `fewer` registers more in reserve, outside of it."""
    threads = 32 * sum(group.warps for group in schedule.groups if not group.producer)
    return replace(
        limits,
        registers_per_thread=cap,
        register_file=limits.register_file - fewer * threads,
        reserved_registers=limits.reserved_registers + fewer,
    )


def _charged(problem: Problem, schedule: Schedule, groups: Collection[int], fewer: int) -> Problem | None:
    """`problem` in which `groups` hold `fewer` registers more all along: a lower cap for these groups only.

    They are charged to an accumulator that the group carries from iteration to iteration, op after op in
    place, and so holds at every cycle. None where one of them has none.
    """
    flow = nx.DiGraph((dep.src, dep.dst) for dep in problem.deps if dep.in_place)
    carried = {dep.src: dep.dst for dep in problem.deps if dep.in_place and dep.distance}
    cycles = [
        each for each in nx.strongly_connected_components(flow) if any(carried.get(op) in each for op in sorted(each))
    ]
    charged: set[str] = set()
    for group in groups:
        held = [each for each in cycles if all(schedule.placements[op].groups == (group,) for op in each)]
        if not held:
            return None
        charged |= min(held, key=sorted)
    ops = tuple(replace(op, registers=op.registers + fewer * (op.id in charged)) for op in problem.ops)
    return replace(problem, ops=ops)


def _steps(spilled: int) -> int:
    """Registers that so many spilled bytes of a thread ask for: whole steps, at least one and at most four."""
    return min(in_register_steps(max(1, -(-spilled // 4))), 4 * REGISTER_STEP)


def _under(schedule: Schedule, limits: Limits) -> Schedule:
    return replace(schedule, problem=replace(schedule.problem, limits=limits))


def spills_of(plan: Plan, code: MachineCode) -> dict[str, int]:
    """Bytes of local memory that each role's code stores and loads, for the roles that do.

    Empty where the disassembly does not show every role of the plan with its quota.
    """
    return {role.name: found.spill_bytes for role, found in matched(plan, code) if found.spill_bytes}


def matched(plan: Plan, code: MachineCode) -> list[tuple[Role, RoleCode]]:
    """Each role of the plan with its machine code; empty where they do not fit together.

    The first role runs with what the others leave over, so its quota is Triton's own choice; and ptxas
    ignores all quotas (its note C7507) where a role needs more than its own.
    """
    pairs = list(zip(plan.roles, code.roles, strict=False))
    fits = len(pairs) == len(plan.roles) and all(
        not found.quotas or role.registers in found.quotas for role, found in pairs[1:]
    )
    return pairs if fits else []


def _culprits(plan: Plan, code: MachineCode) -> str:
    spills = spills_of(plan, code)
    return f" ({', '.join(f'{name} {size}' for name, size in spills.items())})" if spills else ""


def figures(plan: Plan, code: MachineCode) -> dict[str, Any]:
    """What a kernel's machine code takes, for people and for provenance: registers per thread, bytes."""
    return {
        "ii": plan.schedule.ii,
        "isolation": plan.isolation,
        "launch_registers": code.registers,
        "spill_bytes": code.spill_bytes,
        "stack_bytes": code.stack_bytes,
        "shared_bytes": code.shared_bytes,
        "serialized": code.serialized,
        "roles": {
            role.name: {
                "registers": role.registers,
                "live": found.live,
                "highest": found.highest,
                "spill_bytes": found.spill_bytes,
            }
            for role, found in matched(plan, code)
        },
    }

"""A kernel short of registers in all that `feedback` tried: forms, isolation and registers searched together.

ptxas says so by spilling, or by serializing the MMAs. Which kernel it can place is not to be foreseen: the fastest form
may spill where a slower one of the same schedule does not, and fewer registers for values may give a schedule that
spills more. So each cap of the values' registers, from the machine's own downwards, is solved, its forms at several
levels of isolation are ranked by simulation, and the fastest ones are compiled. What would be no faster than the best
clean kernel found is left out.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from twill.codegen.gluon import emit
from twill.codegen.machine_code import MachineCode, compile_module
from twill.codegen.pipeline import Form
from twill.codegen.plan import ISOLATION, Plan, plan
from twill.errors import CheckFailed, InputError
from twill.feedback import Emitted, described, figures, set_aside, what_it_does, with_form
from twill.forms import Choice, Forms
from twill.frontend.launch import Launch
from twill.ir.graph import Graph
from twill.machine import Machine
from twill.schedule.problem import REGISTER_STEP
from twill.schedule.schedule import Schedule

COMPILED = 24  # kernels
CAPS = 5  # steps of registers that the values give up
HOPELESS = 256  # bytes that the code generator's own form spills with MMAs kept apart: others of the cap are not tried
_LEADERS = 2  # of a level, beside the code generator's own form


@dataclass(frozen=True)
class _Made:
    schedule: Schedule
    plan: Plan
    source: str
    code: MachineCode
    cycles: float


def search(
    spilling: Emitted,
    graph: Graph,
    schedule: Schedule,
    launch: Launch,
    solve: Callable[[Schedule], Schedule],
    tell: Callable[[str], None],
    machine: Machine,
) -> Emitted:
    """The kernel without problems that is the fastest by simulation; `spilling` with its attempts when there is none.

    spilling: what `feedback.refine` made of `schedule`. solve: as for `refine`. Every kernel compiled stands in the
    attempts, with its cap, form and level of isolation. Raises what planning raises.
    """
    from twill.frontend.materialize import materialize

    assert spilling.code is not None
    try:
        arguments = materialize(launch, 0)
    except InputError:
        return spilling
    attempts: list[Mapping[str, Any]] = []
    seen: dict[str, MachineCode | None] = {}
    best: _Made | None = None
    with tempfile.TemporaryDirectory() as folder:
        module = Path(folder, "kernel.py")

        def made(capped: Schedule, choice: Choice) -> _Made | None:
            """The kernel; None where ptxas crashes, as it does on a few forms of large kernels."""
            decided = plan(graph, capped, launch, isolation=choice.isolation, form=choice.form)
            source = emit(decided)
            does = what_it_does(source)
            if does not in seen:
                tell(f"compiling to machine code: {_cap(capped)} registers, {described(choice.form, choice.isolation)}")
                module.write_text(source)
                try:
                    seen[does] = code = compile_module(module, decided.name, arguments)
                except CheckFailed:
                    seen[does] = None
                else:
                    attempts.append(_figures(decided, code, capped, choice))
            known = seen[does]
            return _Made(with_form(capped, choice.form), decided, source, known, choice.cycles) if known else None

        for capped in _schedules(schedule, solve, tell):
            forms = Forms(graph, capped, launch, machine)
            first = made(capped, forms.choice(Form(), 1))
            if first is not None and first.code.spill_bytes > HOPELESS:
                continue
            for choice in _ranked(forms):
                if len(attempts) >= COMPILED or (best is not None and choice.cycles >= best.cycles):
                    break
                found = made(capped, choice)
                if found is not None and not found.code.problems:
                    best = found
                    break
            if len(attempts) >= COMPILED:
                break
    every = (*spilling.attempts, *attempts)
    if best is None:
        return replace(spilling, attempts=every)
    code = spilling.code
    trouble = f"spilled {code.spill_bytes} bytes" if code.spill_bytes else "serialized the MMAs"
    why = (
        f"ptxas {trouble} still: of {len(attempts)} kernels more, the fastest clean one "
        f"by simulation has {_cap(best.schedule)} registers a thread for values"
    )
    if best.plan.isolation:
        why += f"; {ISOLATION[best.plan.isolation]}"
    return Emitted(best.schedule, best.plan, best.source, best.code, (*spilling.history, why), every)


def _figures(decided: Plan, code: MachineCode, capped: Schedule, choice: Choice) -> dict[str, Any]:
    found = {**figures(decided, code), "values": _cap(capped), "interval": round(choice.cycles)}
    return found if choice.form == Form() else {**found, "form": choice.form.json()}


def _schedules(
    schedule: Schedule, solve: Callable[[Schedule], Schedule], tell: Callable[[str], None]
) -> Iterator[Schedule]:
    """The schedule, and those of its problem with fewer and fewer registers for values; it ends where there is none."""
    yield schedule
    most = _cap(schedule)
    for fewer in range(REGISTER_STEP, (CAPS + 1) * REGISTER_STEP, REGISTER_STEP):
        if fewer >= most:
            return
        limits = set_aside(schedule.problem.limits, schedule, most - fewer, fewer)
        tell(f"solving again: values may take {most - fewer} registers a thread")
        found = solve(replace(schedule, problem=replace(schedule.problem, limits=limits)))
        if not found.placements:
            return
        yield found


def _cap(schedule: Schedule) -> int:
    """Registers of a thread that the values of a group may take."""
    return max(group.registers for group in schedule.groups if not group.producer)


def _ranked(forms: Forms) -> list[Choice]:
    """What to compile of a schedule, fastest first: its own form at the lower levels, and the best others there."""
    found = [forms.choice(Form(), level) for level in (0, 1, 2)]
    for _ in forms.choices():
        pass  # all that are worth a simulation are known then
    for level in (0, 1):
        others = (choice for choice in forms.known.values() if choice.isolation == level and choice not in found)
        found += sorted(others, key=lambda choice: choice.order)[:_LEADERS]
    return sorted(found, key=lambda choice: choice.order)

"""What the machine code teaches: spills, shared memory and serialized MMAs go back into schedule and plan.

The model's registers are an estimate and ptxas has the last word. A kernel that spills, or whose MMAs
ptxas serializes, is planned again with fewer of them in flight at a time; if it spills still, it is
solved again with fewer registers; one that does not fit in shared memory, with less of it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from twill.codegen.gluon import emit
from twill.codegen.machine_code import MachineCode, compile_module
from twill.codegen.plan import ISOLATION, Plan, plan
from twill.errors import InputError
from twill.frontend.launch import Launch
from twill.ir.graph import Graph
from twill.schedule.problem import REGISTER_STEP, in_register_steps
from twill.schedule.schedule import Schedule

ATTEMPTS = 6


@dataclass(frozen=True)
class Emitted:
    """A plan, its source and its machine code (None when there are no shapes to compile for).

    history: what was changed, attempt by attempt, and why.
    """

    schedule: Schedule
    plan: Plan
    source: str
    code: MachineCode | None
    history: tuple[str, ...] = ()


def refine(
    graph: Graph,
    schedule: Schedule,
    launch: Launch,
    solve: Callable[[Schedule], Schedule],
    tell: Callable[[str], None],
) -> Emitted:
    """The kernel of `schedule`, changed until its machine code is clean or nothing is left to change.

    solve: given a schedule whose problem has tighter limits, a schedule of that problem (without
    placements when there is none). Raises what planning raises, and CheckFailed when Triton rejects
    the module.
    """
    from twill.frontend.materialize import materialize

    isolation, solvable = 0, True
    history: list[str] = []
    try:
        arguments = materialize(launch, 0)
    except InputError:
        decided = plan(graph, schedule, launch)
        return Emitted(schedule, decided, emit(decided), None)
    with tempfile.TemporaryDirectory() as folder:
        module = Path(folder, "kernel.py")
        while True:
            decided = plan(graph, schedule, launch, isolation=isolation)
            source = emit(decided)
            module.write_text(source)
            tell("compiling to machine code")
            code = compile_module(module, decided.name, arguments)
            found = Emitted(schedule, decided, source, code, tuple(history))
            if not code.problems or len(history) == ATTEMPTS:
                return found
            # Less overlap costs no new solve: for spills the mildest level only, which costs least time too.
            if isolation < (len(ISOLATION) - 1 if code.serialized else 1) and code.shared_bytes <= code.shared_limit:
                isolation += 1
                trouble = "serialized the MMAs" if code.serialized else f"spilled {code.spill_bytes} bytes"
                history.append(f"ptxas {trouble}: {ISOLATION[isolation]}")
                continue
            tighter, why = tightened(schedule, code) if solvable else (None, "")
            if tighter is not None:
                tell(f"solving again: {why}")
                again = solve(tighter)
                if again.placements:
                    schedule, isolation = again, 0
                    history.append(why)
                    continue
            # Nothing tighter can be had: give up overlap, the last thing that may save a spilling kernel.
            solvable = False
            if not code.spill_bytes or isolation == len(ISOLATION) - 1:
                return found
            isolation += 1
            history.append(f"ptxas spilled {code.spill_bytes} bytes still: {ISOLATION[isolation]}")


def tightened(schedule: Schedule, code: MachineCode) -> tuple[Schedule | None, str]:
    """The schedule with the limits that its machine code asks for, and why; None when none would help."""
    limits = schedule.problem.limits
    excess = code.shared_bytes - code.shared_limit
    if excess > 0:
        changed = replace(limits, smem_bytes=limits.smem_bytes - excess)
        why = f"{excess} bytes too many of shared memory: rings may take {changed.smem_bytes}"
    elif code.spill_bytes:
        fewer = in_register_steps(-(-code.spill_bytes // 4))
        cap = max(group.registers for group in schedule.groups if not group.producer) - min(fewer, 4 * REGISTER_STEP)
        changed = replace(limits, registers_per_thread=cap)
        why = f"{code.spill_bytes} bytes spilled: values may take {cap} registers a thread"
    else:
        return None, ""
    if changed.smem_bytes <= 0 or changed.registers_per_thread <= 0:
        return None, ""
    return replace(schedule, problem=replace(schedule.problem, limits=changed)), why

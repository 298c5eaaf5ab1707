"""The instrumented twin of a kernel, made from its schedule file alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from twill.codegen.gluon import emit
from twill.codegen.plan import Plan, plan
from twill.codegen.stamps import DETAILS, Stamps, instrumented
from twill.errors import InputError
from twill.frontend.launch import Launch
from twill.frontend.stored import stored_kernel
from twill.schedule.files import ScheduleFile


@dataclass(frozen=True)
class Twin:
    """A module that keeps times: its text, what it keeps, the detail of each role, and what was given up, in words."""

    name: str
    source: str
    stamps: Stamps
    details: Mapping[str, str]
    notes: tuple[str, ...] = ()


def plan_of(stored: ScheduleFile, location: str = "") -> tuple[Plan, Launch]:
    """The Plan of a schedule file and its launch. Raises InputError for a file without a kernel."""
    kernel = stored_kernel(stored, location)
    if kernel is None:
        raise InputError(
            "holds a schedule without its kernel, so there is nothing to run or to time.",
            hint="Give a schedule that `twill compile` wrote.",
            location=location,
        )
    graph, launch = kernel
    return plan(graph, stored.schedule, launch), launch


def twin(
    stored: ScheduleFile,
    details: Mapping[str, str] | None = None,
    *,
    iterations: int = 64,
    samples: int = 4,
    location: str = "",
) -> Twin:
    """The twin of the kernel in a schedule file, with the given detail of each role; nothing is compiled."""
    whole, _ = plan_of(stored, location)
    timed = instrumented(whole, details, iterations=iterations, samples=samples)
    assert timed.stamps is not None
    kept = {role.name: (details or {}).get(role.name, DETAILS[0]) for role in whole.roles}
    return Twin(whole.name, emit(timed), timed.stamps, kept)


def clean_twin(
    stored: ScheduleFile,
    arguments: Mapping[str, Any],
    *,
    iterations: int = 64,
    samples: int = 4,
    location: str = "",
    tell: Callable[[str], None] = lambda message: None,
) -> Twin:
    """The twin with most detail that ptxas compiles as it does the kernel: nothing spilled, no wgmma serialized.

    A role whose code spills keeps less, one level of DETAILS after the other; all of them do where it is not known
    which. arguments: the launcher's (CPU tensors do). Raises InputError when not even one that keeps nothing is clean.
    """
    from twill.codegen.machine_code import compile_module

    roles = [role.name for role in plan_of(stored, location)[0].roles]
    levels = dict.fromkeys(roles, 0)
    with TemporaryDirectory() as folder:
        path = Path(folder, "timed.py")
        while True:
            details = {role: DETAILS[level] for role, level in levels.items()}
            made = twin(stored, details, iterations=iterations, samples=samples, location=location)
            path.write_text(made.source)
            tell(f"compiling the timed twin: {', '.join(f'{role} {detail}' for role, detail in details.items())}")
            code = compile_module(path, made.name, arguments)
            if not code.problems:
                return Twin(made.name, made.source, made.stamps, details, _notes(details))
            spilling = [role for role, each in zip(roles, code.roles, strict=False) if each.spill_bytes]
            lowered = [role for role in spilling or roles if levels[role] < len(DETAILS) - 1]
            if not lowered:
                raise InputError(
                    f"cannot be timed: {'; '.join(code.problems)}.",
                    hint="The kernel itself has that problem; `twill verify` shows it.",
                    location=location,
                )
            for role in lowered:
                levels[role] += 1


def _notes(details: Mapping[str, str]) -> tuple[str, ...]:
    less = [f"{role}: {detail}" for role, detail in details.items() if detail != DETAILS[0]]
    text = "To keep every op's time would have spilled registers; kept instead, of " + "; of ".join(less) + "."
    return (text,) if less else ()

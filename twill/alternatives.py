"""Kernels of the next-best schedules of a compiled one, for a tuner to measure beside it."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twill import ties
from twill.compiler import Compiled, taught
from twill.errors import CheckFailed, Unsupported
from twill.feedback import refine
from twill.schedule.schedule import Schedule

if TYPE_CHECKING:
    from twill.ladder import Check
    from twill.solve.enumeration import Optima

SHARE = 0.25  # of the time limit, beyond what the compilation itself took
_OF_THE_FIRST = ("feedback", "isolation", "attempts", "form")  # what ptxas taught it in the provenance


@dataclass(frozen=True)
class Alternative:
    """A schedule that may be as good as the chosen one, its kernel, or why there is none; its files and checks."""

    schedule: Schedule
    compiled: Compiled | None
    reason: str = ""
    files: tuple[Path, ...] = ()
    checks: tuple[Check, ...] = ()


@dataclass(frozen=True)
class Alternatives:
    """The different optima of a compiled problem, and the kernels of all but the first of them."""

    optima: Optima
    others: tuple[Alternative, ...]

    @property
    def checks(self) -> tuple[Check, ...]:
        """All checks of all other kernels; each names its place."""
        return tuple(
            replace(check, name=f"{check.name} of {place}")
            for place, other in enumerate(self.others, start=2)
            for check in other.checks
        )


def alternatives(compiled: Compiled, count: int, time_limit: float, tell: Callable[[str], None]) -> Alternatives:
    """The `count` best different schedules of the chosen candidate, written out where the code generator can.

    Their interval is that of `compiled`, whose schedule is the first of them; its limits are those that
    ptxas asked for. A schedule whose kernel ptxas spills or serializes, or whose kernel is that of an
    earlier one but for comments, is kept without it. time_limit: that of the compilation, a quarter of
    which is for this. Ctrl-C ends the search with what was found.
    """
    from twill.interrupt import ctrl_c_stops

    with ctrl_c_stops() as stop:
        found = ties.find(compiled.schedule, count, SHARE * time_limit, tell, stop)
        written = {code(compiled.source): 1}
        others = []
        for place, schedule in enumerate(found.schedules[1:], start=2):
            tell(f"writing kernel {place} of {len(found.schedules)}")
            other = Alternative(schedule, None, "stopped by Ctrl-C") if stop() else _written(compiled, schedule, place)
            if other.compiled is not None:
                same = written.setdefault(code(other.compiled.source), place)
                if same != place:
                    other = replace(other, compiled=None, reason=f"its kernel is that of {same}")
            others.append(other)
    return Alternatives(found, tuple(others))


def save(found: Alternatives, folder: str | Path) -> Alternatives:
    """Write each kernel as `Compiled.save` does, its files named after those of the first with _2, _3, ... behind."""
    return replace(
        found,
        others=tuple(
            replace(other, files=other.compiled.save(folder)) if other.compiled is not None else other
            for other in found.others
        ),
    )


def verify(found: Alternatives, seeds: int, tell: Callable[[str], None]) -> Alternatives:
    """Climb the ladder with each kernel, as with the first."""
    from twill.ladder import climb

    others = []
    for place, other in enumerate(found.others, start=2):
        if other.compiled is not None:

            def told(message: str, place: int = place) -> None:
                tell(f"kernel {place}: {message}")

            other = replace(other, checks=climb(other.compiled, seeds, told, other.files))
        others.append(other)
    return replace(found, others=tuple(others))


def alternatives_json(found: Alternatives, paths: Sequence[Path], checks: Sequence[Check]) -> dict[str, Any]:
    """`best` and `exhausted` as of `twill schedule`; each of `best` with its files, checks, or why it has no kernel."""
    from twill.report import checks_json

    data = ties.optima_json(found.optima)
    made = [(tuple(paths), tuple(checks), ""), *((other.files, other.checks, other.reason) for other in found.others)]
    data["best"] = [
        {**best, "files": [str(path) for path in files], "reason": reason, **checks_json(checked)}
        for best, (files, checked, reason) in zip(data["best"], made, strict=True)
    ]
    return data


def print_alternatives(found: Alternatives, count: int) -> None:
    """The table of optima, and the module of each or why it has none."""
    from rich.text import Text

    from twill.report import columns, heading, row, show

    parts = ties.optima_shown(found.optima, count)
    if found.others:
        table = columns("", "kernel", free=("kernel",))
        for place, other in enumerate(found.others, start=2):
            row(table, place, other.files[0] if other.files else f"none: {other.reason}")
        parts += [heading("Their kernels"), table, Text("Each with its schedule and drawing beside it.")]
    show(*parts)


def _written(compiled: Compiled, schedule: Schedule, place: int) -> Alternative:
    """The kernel of a schedule, as it is: where ptxas asks for tighter limits, there is none."""
    kept = {key: value for key, value in schedule.provenance.items() if key not in _OF_THE_FIRST}
    schedule = replace(schedule, provenance=kept)
    try:
        emitted = refine(
            compiled.graph,
            schedule,
            compiled.launch,
            lambda tighter: replace(tighter, placements={}),
            lambda message: None,
            compiled.machine,
        )
    except (Unsupported, CheckFailed) as error:
        return Alternative(schedule, None, error.message.rstrip("."))
    if emitted.code is not None and emitted.code.problems:
        return Alternative(schedule, None, "; ".join(problem.partition(": (")[0] for problem in emitted.code.problems))
    made = replace(
        compiled,
        stem=f"{compiled.stem}_{place}",
        schedule=taught(emitted),
        plan=emitted.plan,
        source=emitted.source,
        candidates=(),
        code=emitted.code,
    )
    return Alternative(made.schedule, made)


def code(source: str) -> str:
    """What a module does: its text without comments and the docstring, which draws the schedule."""
    return ast.dump(ast.Module(ast.parse(source).body[1:], []))

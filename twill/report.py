"""What the command line shows while it works and of checks and machines; `summary.py` shows a compiled kernel."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console, RenderableType
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, Task, TextColumn
from rich.segment import Segment, SegmentLines
from rich.table import Table
from rich.text import Text

from twill.steps import Step

if TYPE_CHECKING:
    from twill.ladder import Check
    from twill.machine import Machine

WIDTH = 100


@contextmanager
def progress(*, enabled: bool) -> Iterator[Callable[[str], None]]:
    """A spinner on stderr with the current step, and a bar where the step says how far the work is.

    Silent where stderr is no terminal.
    """
    console = Console(stderr=True)
    if not enabled or not console.is_terminal:
        yield lambda message: None
        return
    columns = (SpinnerColumn(), _Bar(bar_width=24), TextColumn("{task.description}"))
    with Progress(*columns, console=console, transient=True) as shown:
        task = shown.add_task("starting", total=None)

        def tell(message: str) -> None:
            done, total = (message.done, message.total) if isinstance(message, Step) else (0, None)
            shown.update(task, description=escape(message), completed=done, total=total)

        yield tell


class _Bar(BarColumn):
    """A bar and its numbers while a task has a total; nothing otherwise."""

    def render(self, task: Task) -> RenderableType:  # type: ignore[override]
        if task.total is None:
            return Text("")
        bar = Table.grid(padding=(0, 1))
        bar.add_row(super().render(task), f"{task.completed:.0f} of {task.total:.0f}")
        return bar


def show(*parts: RenderableType) -> None:
    """Print each part on stdout without trailing blanks: as wide as the terminal, WIDTH columns elsewhere."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=WIDTH)
    for part in parts:
        lines = [_trimmed(line) for line in console.render_lines(part, pad=False)]
        console.print(SegmentLines(lines, new_lines=True), end="", soft_wrap=True)
    sys.stdout.flush()


def _trimmed(line: list[Segment]) -> list[Segment]:
    line = list(line)
    while line and not line[-1].text.rstrip():
        line.pop()
    if line:
        line[-1] = line[-1]._replace(text=line[-1].text.rstrip())
    return line


def heading(text: str) -> Text:
    """The title of a part of a report, after a blank line."""
    return Text(f"\n{text}", style="bold")


def columns(*names: str, right: Sequence[str] = (), free: Sequence[str] = ()) -> Table:
    """An empty table without borders; the `free` columns share what width is left and wrap."""
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for name in names:
        justify: Any = "right" if name in right else "left"
        table.add_column(name, justify=justify, no_wrap=name not in free, overflow="fold")
    return table


def row(table: Table, *cells: object) -> None:
    """Add a row; every cell is plain text, nothing in it is markup."""
    table.add_row(*(Text(str(cell)) for cell in cells))


def print_checks(checks: Sequence[Check]) -> None:
    """A line for each check with its figure."""
    table = columns("check", "result", "figure", "seconds", right=("seconds",), free=("figure",))
    table.show_header = False
    for check in checks:
        row(table, check.name, _result(check), check.detail, f"{check.seconds:.1f} s")
    show(heading("Checks"), table)


def _result(check: Check) -> str:
    if check.skipped:
        return "skipped"
    return "ok" if check.passed else "FAILED"


def checks_json(checks: Sequence[Check]) -> dict[str, Any]:
    """The checks as one JSON object; `passed` is null when there were none."""
    return {
        "passed": all(check.passed for check in checks) if checks else None,
        "checks": [
            {
                "name": check.name,
                "status": "skipped" if check.skipped else "passed" if check.passed else "failed",
                "detail": check.detail,
                "seconds": round(check.seconds, 3),
                **({"data": dict(check.data)} if check.data else {}),
            }
            for check in checks
        ],
    }


def print_machines(machines: Sequence[Machine]) -> None:
    """Names and titles of the known machines."""
    table = columns("name", "machine")
    for machine in machines:
        row(table, machine.name, machine.title)
    show(table, Text("\n`twill machines NAME` shows every number of one, with its source."))


def print_machine(machine: Machine) -> None:
    """Every number of a machine: value, unit, what it is, and where it comes from."""
    from twill.machine.machine import QUANTITIES, UNITS

    show(Text(f"{machine.name}: {machine.title}", style="bold"))
    table = columns("number", "value", "unit", "meaning and source", right=("value",), free=("meaning and source",))
    for fact in machine.facts.values():
        quantity = QUANTITIES[fact.name]
        row(table, fact.name, f"{fact.value:g}", fact.unit, f"{quantity.meaning}\nsource: {fact.source}")
    show(heading("Numbers"), table)
    table = columns(
        "unit",
        "tile ops at once",
        "what it is, and source",
        right=("tile ops at once",),
        free=("what it is, and source",),
    )
    for fact in machine.units.values():
        row(table, fact.name, fact.value, f"{UNITS[fact.name]}\nsource: {fact.source}")
    show(heading("Units"), table)
    table = columns("opcode", "instructions an element", "source", free=("source",))
    for instruction in machine.instructions.values():
        counts = ", ".join(f"{count:g} {pipe}" for pipe, count in instruction.per_element.items())
        row(table, instruction.opcode, counts or "0", instruction.source)
    show(heading("Instructions of elementwise ops"), table)

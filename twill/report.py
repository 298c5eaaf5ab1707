"""What the command line shows: progress, tables, and the same facts as JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from twill.ladder import Check, climb, verify_generated

if TYPE_CHECKING:
    from twill.compiler import Compiled
    from twill.machine import Machine
    from twill.schedule.schedule import Schedule

__all__ = ["run_checks", "verify_generated"]

SEEDS = 3


def run_checks(compiled: Compiled, tell: Callable[[str], None]) -> tuple[Check, ...]:
    """The whole ladder on a compiled kernel."""
    return climb(compiled, SEEDS, tell)


@contextmanager
def progress(*, enabled: bool) -> Iterator[Callable[[str], None]]:
    """A spinner on stderr with the current step; silent where stderr is no terminal."""
    console = Console(stderr=True)
    if not enabled or not console.is_terminal:
        yield lambda message: None
        return
    with console.status("starting") as status:
        yield lambda message: status.update(message)


@contextmanager
def solving(name: str, *, enabled: bool) -> Iterator[Callable[[Any], None]]:
    """The same for the solver, whose records say phase, ii and bound."""
    with progress(enabled=enabled) as tell:
        yield lambda record: tell(f"{name}: {record}")


def _console() -> Console:
    console = Console(highlight=False, soft_wrap=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=120)
    return console


def print_compiled(compiled: Compiled, checks: Sequence[Check], paths: Sequence[Path]) -> None:
    """The whole report: ops, bound, schedule, roles and rings, drawing, checks, files."""
    console = _console()
    schedule = compiled.schedule
    constants = ", ".join(f"{name}={value}" for name, value in compiled.launch.constants.items())
    console.print(f"[bold]{compiled.plan.name}[/] for {compiled.machine.title}   {constants}\n")
    console.print(_ops_table(schedule))
    console.print(_loads_table(schedule))
    console.print(Text(_claim(schedule)))
    console.print(_candidates_table(compiled))
    console.print(_roles_table(compiled))
    print(compiled.gantt("text"))
    print()
    if checks:
        print_checks(checks)
    for path in paths:
        console.print(Text(f"wrote {path}"))


def _ops_table(schedule: Schedule) -> Table:
    table = Table(title="The loop's ops", title_justify="left", box=None, pad_edge=False)
    for column, justify in (
        ("op", "left"), ("unit", "left"), ("busy", "right"), ("latency", "right"), ("regs", "right"),
        ("stage", "right"), ("slot", "right"), ("group", "right"), ("what", "left"), ("source", "left"),
    ):  # fmt: skip
        table.add_column(column, justify=justify, no_wrap=True)  # type: ignore[arg-type]
    for op in sorted(schedule.problem.ops, key=lambda op: schedule.start(op.id)):
        at = schedule.placements[op.id]
        line = ":".join(op.location.rsplit("/", 1)[-1].split(":")[:2])
        table.add_row(
            Text(op.id), op.unit, str(op.occupancy), str(op.latency), str(op.registers or ""), str(at.stage), str(at.slot),
            ",".join(map(str, at.groups)), Text(op.label), Text(line),
        )  # fmt: skip
    return table


def _loads_table(schedule: Schedule) -> Table:
    from twill.schedule.loads import unit_loads

    table = Table(title="\nLoad of each unit in one iteration", title_justify="left", box=None, pad_edge=False)
    for column in ("unit", "cycles", "share of II"):
        table.add_column(column, justify="left" if column == "unit" else "right")
    for load in unit_loads(schedule.problem):
        table.add_row(load.unit, str(load.busy_cycles), f"{100 * load.res_mii / schedule.ii:.0f}%")
    return table


def _claim(schedule: Schedule) -> str:
    tiers = "; ".join(
        f"{tier.name} {tier.value}" + (" (proved)" if tier.proved else f" (bound {tier.bound})")
        for tier in schedule.tiers
    )
    return (
        f"\nMII {schedule.lower_bound} cycles, II {schedule.ii} cycles: {schedule.status} ({schedule.reason}), "
        f"in {schedule.seconds:.1f} s.\nOne iteration takes {schedule.length} cycles. Tiers: {tiers}.\n"
    )


def _candidates_table(compiled: Compiled) -> Table:
    table = Table(title="Sub-tiles", title_justify="left", box=None, pad_edge=False)
    for column in ("sub-tiles", "II", "loop cycles", "weakest wait's slack", ""):
        table.add_column(column, justify="right" if column else "left")
    for candidate in compiled.candidates:
        solved = candidate.cycles is not None and candidate.schedule is not None
        chosen = "chosen" if candidate is compiled.candidates[0] else candidate.reason
        table.add_row(
            str(candidate.subtiles),
            str(candidate.schedule.ii) if solved and candidate.schedule else "-",
            str(candidate.cycles) if solved else "-",
            str(candidate.slack) if solved else "-",
            Text(chosen),
        )
    return table


def _roles_table(compiled: Compiled) -> Table:
    table = Table(title="\nRoles and rings", title_justify="left", box=None, pad_edge=False)
    for column in ("role", "warps", "registers", "stages", "holds"):
        table.add_column(column, justify="right" if column in {"warps", "registers", "stages"} else "left")
    schedule = compiled.schedule
    for role in compiled.plan.roles:
        holds = [op.id for op in schedule.problem.ops if role.group in schedule.placements[op.id].groups]
        table.add_row(role.name, str(role.warps), str(role.registers), str(role.stages), Text(", ".join(holds)))
    for buffer in compiled.plan.buffers:
        if buffer.depth:
            shape = "x".join(map(str, buffer.shape))
            table.add_row(Text(buffer.name), "", "", "", f"ring of {buffer.depth} tiles {shape} {buffer.dtype}")
    return table


def print_checks(checks: Sequence[Check]) -> None:
    """A line for each check with its figure."""
    console = _console()
    table = Table(title="Checks", title_justify="left", box=None, pad_edge=False, show_header=False)
    table.add_column("check", no_wrap=True)
    table.add_column("result", no_wrap=True)
    table.add_column("figure", overflow="fold")
    table.add_column("seconds", justify="right", no_wrap=True)
    for check in checks:
        result = "skipped" if check.skipped else "ok" if check.passed else "FAILED"
        table.add_row(check.name, result, Text(check.detail), f"{check.seconds:.1f} s")
    console.print(table)
    console.print()


def checks_json(checks: Sequence[Check]) -> dict[str, Any]:
    """The checks as one JSON object."""
    return {
        "passed": all(check.passed for check in checks),
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


def compiled_json(compiled: Compiled, checks: Sequence[Check], paths: Sequence[Path]) -> dict[str, Any]:
    """The answer of `twill compile --json`: that of `twill schedule`, with what was made and checked."""
    from twill.schedule.explain import explain_data
    from twill.schedule.files import answer_json

    return {
        **answer_json(compiled.schedule),
        "kernel": compiled.plan.name,
        "arch": compiled.machine.name,
        "constants": compiled.launch.constants,
        "subtiles": compiled.graph.subtiles,
        "candidates": [
            {
                "subtiles": candidate.subtiles,
                "ii": candidate.schedule.ii if candidate.schedule and candidate.schedule.placements else None,
                "cycles": candidate.cycles,
                "reason": candidate.reason,
            }
            for candidate in compiled.candidates
        ],
        "explain": explain_data(compiled.schedule),
        "roles": [
            {"name": role.name, "warps": role.warps, "registers": role.registers, "stages": role.stages}
            for role in compiled.plan.roles
        ],
        **checks_json(checks),
        "files": [str(path) for path in paths],
    }


def print_machines(machines: Sequence[Machine]) -> None:
    """Names and titles of the known machines."""
    table = Table(box=None, pad_edge=False)
    table.add_column("name")
    table.add_column("machine")
    for machine in machines:
        table.add_row(machine.name, machine.title)
    _console().print(table)


def print_machine(machine: Machine) -> None:
    """Every number of a machine with its unit and source."""
    from twill.machine import rows

    table = Table(title=f"{machine.name}: {machine.title}", title_justify="left", box=None, pad_edge=False)
    for column in ("number", "value", "unit", "source"):
        table.add_column(column, overflow="fold", justify="right" if column == "value" else "left")
    for row in rows(machine):
        table.add_row(*(Text(cell) for cell in row))
    _console().print(table)

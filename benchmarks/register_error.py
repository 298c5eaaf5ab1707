"""Registers by the model beside those in the machine code, for each warp group of the shipped kernels.

    python -m benchmarks.register_error [NAME ...] [--again] [--output FILE]        needs no GPU

The model's estimate is the most that the values of a group hold at a cycle of the schedule, plus what is
set aside for addresses and the like. ptxas reports one number for a whole kernel, so measured is what its
code holds: the general registers with a value still to be read, by nvdisasm's live ranges, at the worst
instruction of the role's loops with a wgmma and of the role as a whole. The highest register in use is
given too; it says what ptxas had rather than what it needed. What the result file holds of modules and schedules that
have not changed stands unless `--again`; Ctrl-C keeps what was measured.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from hashlib import sha256
from pathlib import Path
from statistics import mean
from typing import Any

import click
from rich.table import Table

from benchmarks import record
from twill.codegen.machine_code import MachineCode, compile_module
from twill.codegen.plan import Plan, plan
from twill.feedback import figures, matched
from twill.frontend.launch import from_json
from twill.frontend.materialize import materialize
from twill.interrupt import ctrl_c_stops
from twill.ir.text import parse_graph
from twill.schedule import files
from twill.schedule.lifetimes import register_lives
from twill.schedule.modulo import peak
from twill.shipped import VARIANTS, Variant, module_path, schedule_path

NAMES = tuple(variant.name for variant in VARIANTS)


@dataclass(frozen=True)
class Row:
    """Registers per thread of a warp group that computes, and the bytes of local memory its code moves.

    quota: what setmaxnreg gives it. values: the most that its values hold at once, by the model. reserved:
    what the model sets aside besides. live_in_loop: measured, in its loops with a wgmma. live: in all of
    its code. highest: registers in use, up to the highest.
    """

    kernel: str
    role: str
    quota: int
    values: int
    reserved: int
    live_in_loop: int
    live: int
    highest: int
    spill_bytes: int

    @property
    def estimate(self) -> int:
        """By the model."""
        return self.values + self.reserved

    @property
    def difference(self) -> int:
        """Estimate less measured: above zero, the model is on the safe side."""
        return self.estimate - self.live_in_loop

    @property
    def besides(self) -> int:
        """What lives in the loop besides the model's values: what the reserve stands for."""
        return self.live_in_loop - self.values


def rows_of(kernel: str, decided: Plan, code: MachineCode) -> list[Row]:
    """A row for each consumer role with MMAs in its loop; none where nvdisasm cannot count live registers.

    Raises ValueError when the code shows other roles than the plan's.
    """
    pairs = matched(decided, code)
    if code.roles and not pairs:
        raise ValueError(f"{kernel}: the machine code does not show the roles of the plan")
    schedule = decided.schedule
    lives = register_lives(schedule)
    reserved = schedule.problem.limits.reserved_registers
    return [
        Row(
            kernel, role.name, role.registers, peak(lives[role.group], schedule.ii)[1], reserved,
            found.live_in_loop, found.live, found.highest, found.spill_bytes,
        )
        for role, found in pairs
        if not role.producer and found.live_in_loop
    ]  # fmt: skip


def measure(variant: Variant) -> tuple[list[Row], dict[str, Any]]:
    """The rows of a shipped kernel, compiled again, and the figures of its machine code."""
    stored = files.read(schedule_path(variant))
    assert stored.graph is not None
    assert stored.launch is not None
    launch = from_json(stored.launch)
    isolation = stored.schedule.provenance.get("isolation", 0)
    assert isinstance(isolation, int)
    decided = plan(parse_graph(stored.graph), stored.schedule, launch, isolation=isolation)
    code = compile_module(module_path(variant), decided.name, materialize(launch, 0))
    found = rows_of(variant.name, decided, code)
    return found, {"triton": code.triton, "source": digest(variant), **figures(decided, code)}


def digest(variant: Variant) -> str:
    """Of the module and the schedule, so that results can be told to be of them."""
    return sha256(module_path(variant).read_bytes() + schedule_path(variant).read_bytes()).hexdigest()[:16]


def standing(path: Path) -> tuple[list[Row], dict[str, Any]]:
    """Of a result file, the rows and figures of kernels that are as they were. Raises ClickException."""
    if not path.exists():
        return [], {}
    try:
        found = json.loads(path.read_text())["results"]
        same = {
            variant.name: found["kernels"][variant.name]
            for variant in VARIANTS
            if found["kernels"].get(variant.name, {}).get("source") == digest(variant)
        }
        names = [each.name for each in fields(Row)]
        rows = [Row(**{name: row[name] for name in names}) for row in found["groups"] if row["kernel"] in same]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise click.ClickException(f"{path} is no result of this benchmark: {error}.") from None
    return rows, same


def summary(rows: Sequence[Row]) -> dict[str, Any]:
    """Differences (estimate less measured, registers per thread) over all rows, and what the reserve should be."""
    off = [row.difference for row in rows]
    return {
        "groups": len(rows),
        "difference": {"least": min(off), "mean": round(mean(off), 1), "most": max(off)},
        "underestimated": sum(each < 0 for each in off),
        "besides_values": {"least": min(row.besides for row in rows), "most": max(row.besides for row in rows)},
    }


def sentence(found: dict[str, Any]) -> str:
    """The summary in words."""
    off, besides = found["difference"], found["besides_values"]
    return (
        f"Estimate less measured: {off['least']:+d} to {off['most']:+d}, mean {off['mean']:+.1f} registers a thread; "
        f"too low for {found['underestimated']} of {found['groups']} warp groups. "
        f"Besides the model's values {besides['least']} to {besides['most']} registers live in the loop."
    )


def table(rows: Sequence[Row]) -> Table:
    """A line for each warp group that computes."""
    shown = Table(title="Registers per thread: the model's estimate and the machine code", title_justify="left")
    heads = ("values", "reserve", "estimate", "live in loop", "difference", "live, whole role", "highest", "quota")
    for name in ("kernel", "role", *heads, "spill bytes"):
        shown.add_column(name, justify="left" if name in ("kernel", "role") else "right")
    for row in rows:
        cells = (
            row.values, row.reserved, row.estimate, row.live_in_loop, f"{row.difference:+d}", row.live,
            row.highest, row.quota, row.spill_bytes,
        )  # fmt: skip
        shown.add_row(row.kernel, row.role, *map(str, cells))
    return shown


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("names", nargs=-1, type=click.Choice(NAMES), metavar="[NAME ...]")
@click.option("--again", is_flag=True, help="Measure anew what the result file holds of these kernels.")
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="The result file.")
def main(names: tuple[str, ...], again: bool, output: Path | None) -> None:
    """Lay the model's registers beside those of the machine code."""
    console = record.console()
    asked = names or NAMES
    rows, codes = standing(output or record.RESULTS / "register_error.json")
    if again:
        rows = [row for row in rows if row.kernel not in asked]
        codes = {name: code for name, code in codes.items() if name not in asked}
    with ctrl_c_stops() as stop:
        for variant in VARIANTS:
            if variant.name not in asked or variant.name in codes:
                continue
            if stop():
                break
            with console.status(variant.name):
                found, codes[variant.name] = measure(variant)
            rows += found
    if not rows:
        raise click.ClickException("stopped before a kernel was measured; nothing is written")
    rows.sort(key=lambda row: (NAMES.index(row.kernel), row.role))
    console.print(table(rows))
    console.print(sentence(summary(rows)), highlight=False)
    lines = [
        {**asdict(row), "estimate": row.estimate, "difference": row.difference, "besides_values": row.besides}
        for row in rows
    ]
    facts = {"missing": [name for name in NAMES if name not in codes]}
    codes = {name: codes[name] for name in NAMES if name in codes}
    path = record.write("register_error", {"summary": summary(rows), "groups": lines, "kernels": codes}, output, facts)
    console.print(f"wrote {path}", highlight=False)


if __name__ == "__main__":
    main()

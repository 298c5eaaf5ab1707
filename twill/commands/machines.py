"""`twill machines`: every number of a machine with its source."""

from __future__ import annotations

import click

from twill.exits import print_json
from twill.options import json_flag


@click.command()
@click.argument("name", required=False)
@json_flag
def machines(name: str | None, as_json: bool) -> None:
    """List the machines, or every number of one with its source."""
    from twill import report
    from twill.machine import known, load, rows

    if name is None:
        found = [load(each) for each in known()]
        if as_json:
            print_json({"machines": [{"name": machine.name, "title": machine.title} for machine in found]})
        else:
            report.print_machines(found)
        return
    machine = load(name)
    if as_json:
        keys = ("name", "value", "unit", "source")
        print_json({"name": machine.name, "numbers": [dict(zip(keys, row, strict=True)) for row in rows(machine)]})
    else:
        report.print_machine(machine)

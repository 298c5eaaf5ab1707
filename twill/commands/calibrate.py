"""`twill calibrate`: the numbers of the GPU at hand, as a machine file."""

from __future__ import annotations

from math import inf
from pathlib import Path

import click

from twill.errors import CheckFailed
from twill.exits import check_writable, end_with, print_json
from twill.options import AtLeast, json_flag


@click.command()
@click.option("-o", "--output", metavar="FILE.toml", help="The machine file; by default named after the device.")
@click.option("--time-limit", type=AtLeast(1), metavar="SECONDS",
              help="Of all probes; the file then has what was measured until there.")  # fmt: skip
@json_flag
def calibrate(output: str | None, time_limit: float | None, as_json: bool) -> None:
    """Measure a Hopper GPU; write its machine file.

    Micro-benchmarks give the numbers that no document states. A number that cannot be is reported and
    not written; --arch FILE.toml then compiles for the machine.
    """
    from twill import report
    from twill.calibrate import command

    if output is not None:
        command.check_name(output)
        check_writable(Path(output).parent, output)
    with report.progress(enabled=not as_json) as tell:
        path, measured, findings = command.calibrate(output, tell, time_limit if time_limit is not None else inf)
    if as_json:
        print_json(command.calibration_json(path, measured, findings))
    else:
        command.print_findings(findings)
        click.echo(f"wrote {path}")
    refused = [finding for finding in findings if finding.problem]
    if refused:
        message = (
            f"{len(refused)} of {len(findings)} numbers were not written; {refused[0].name}: {refused[0].problem}."
        )
        hint = "Is anything else running on the GPU? Measure again; the file says which numbers are missing."
        end_with(CheckFailed(message, hint=hint, location=str(path)), as_json)

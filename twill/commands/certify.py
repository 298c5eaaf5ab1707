"""`twill certify`: what a schedule claims, checked again."""

from __future__ import annotations

from pathlib import Path

import click

from twill.errors import CheckFailed
from twill.exits import check_writable, end_with, print_json
from twill.options import json_flag, time_limit_option


@click.command()
@click.argument("schedule_file", metavar="SCHEDULE.json")
@time_limit_option(help="Time for each of the two solvers; at Ctrl-C, what was confirmed is the certificate.")
@click.option("--ii", type=click.IntRange(min=1), metavar="CYCLES", help="Refute this interval only.")
@click.option("-o", "--output", help="Also write the certificate to a file, as JSON.")
@json_flag
def certify(schedule_file: str, time_limit: float, ii: int | None, output: str | None, as_json: bool) -> None:
    """Check again what a schedule claims.

    The bound is derived again. Intervals that it leaves open are refuted again by CP-SAT and, on an
    encoding of its own, by Z3, which also refutes better values of every tier.
    """
    from twill import report
    from twill.certify import certificate_json, certificate_text
    from twill.certify import certify as certified
    from twill.interrupt import ctrl_c_stops
    from twill.schedule import files
    from twill.schedule.document import write_json

    solved = files.read(schedule_file).schedule
    if output is not None:
        check_writable(Path(output).parent, output)
    with report.progress(enabled=not as_json) as tell, ctrl_c_stops() as stop:
        certificate = certified(solved, time_limit=time_limit, ii=ii, progress=tell, stop=stop)
    if output is not None:
        write_json(output, certificate_json(certificate))
    print_json(certificate_json(certificate)) if as_json else click.echo(certificate_text(certificate))
    if not certificate.holds:
        hint = "Was the file edited? Solve it again."
        end_with(CheckFailed(f"{'; '.join(certificate.failures)}.", hint=hint, location=schedule_file), as_json)

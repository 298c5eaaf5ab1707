"""`twill bench-problems`: the problem library, solved three ways."""

from __future__ import annotations

import click

from twill.errors import CheckFailed
from twill.exits import end_with, print_json
from twill.options import json_flag, time_limit_option


@click.command("bench-problems")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@time_limit_option()
@json_flag
def bench_problems(names: tuple[str, ...], time_limit: float, as_json: bool) -> None:
    """Solve the problem library beside two classical schedulers.

    A list scheduler keeps the rules of the machine, plain modulo scheduling knows no warp groups. The
    answers are known: any other is a failure.
    """
    from twill import report
    from twill.comparison import compare, comparisons_json, print_comparisons
    from twill.interrupt import ctrl_c_stops

    with report.progress(enabled=not as_json) as tell, ctrl_c_stops() as stop:
        found = list(compare(names, time_limit, tell, stop))
        stopped = stop()
    if stopped:
        click.echo("stopped by Ctrl-C: these are the problems that were done.", err=True)
    print_json(comparisons_json(found)) if as_json else print_comparisons(found)
    wrong = [each for each in found if each.mismatch]
    if wrong:
        hint = "This is a defect of Twill or of the library."
        end_with(CheckFailed(f"{wrong[0].name}: {wrong[0].mismatch}.", hint=hint), as_json)

"""`twill explain`: what binds a schedule, and what would make it faster."""

from __future__ import annotations

import click

from twill.errors import InputError
from twill.exits import print_json
from twill.options import json_flag, time_limit_option


@click.command()
@click.argument("schedule_file", metavar="SCHEDULE.json")
@click.option(
    "--what-if",
    "questions",
    multiple=True,
    metavar="CHANGE",
    help="Ask this instead of the usual questions, such as SFU=2x, registers+16, smem=200000, groups+1, value_hop=0.",
)
@click.option("--no-what-if", is_flag=True, help="Only say what binds and why no shorter interval is possible.")
@time_limit_option(
    20.0, "Time for each what-if, twice that for the rules in conflict; Ctrl-C ends all and keeps what is known."
)
@json_flag
def explain(schedule_file: str, questions: tuple[str, ...], no_what_if: bool, time_limit: float, as_json: bool) -> None:
    """Say what binds a schedule, and what would make it faster.

    What is full; which rules together exclude the next shorter interval; and the new optimum if the
    machine had a faster unit, more memory, more registers, another warp group or hops that cost nothing.
    """
    from twill import report
    from twill.explain.whole import explain_whole, print_whole
    from twill.interrupt import ctrl_c_stops
    from twill.schedule import files

    if questions and no_what_if:
        raise InputError("--what-if and --no-what-if ask for opposite things.", hint="Leave one of them out.")
    solved = files.read(schedule_file).schedule
    with report.progress(enabled=not as_json) as tell, ctrl_c_stops() as stop:
        whole = explain_whole(solved, questions, usual=not no_what_if, time_limit=time_limit, tell=tell, stop=stop)
        stopped = stop()
    if stopped:
        click.echo("stopped by Ctrl-C: what was not asked is marked so.", err=True)
    print_json(whole.json()) if as_json else print_whole(whole)

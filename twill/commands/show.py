"""`twill show`: a schedule file in, a picture out, also of a simulated run."""

from __future__ import annotations

from typing import Any

import click

from twill.errors import InputError
from twill.exits import print_json
from twill.options import json_flag, sizes_option


@click.command()
@click.argument("schedule_file", metavar="SCHEDULE.json")
@click.option(
    "--format", "form", default="text", show_default=True, type=click.Choice(["text", "svg", "html", "perfetto"])
)
@click.option("-o", "--output", help="Write to a file instead of printing.")
@click.option("--simulated", is_flag=True, help="Draw a simulated run with varying load latencies; predict the launch.")
@sizes_option("; with --simulated")
@click.option("--arch", help="Simulate with the numbers of this machine or .toml file; with --simulated.")
@click.option("--spread", type=float, help="Standard deviation of the logarithm of load latencies; with --simulated.")
@click.option("--slowdown", type=float, help="Factor on what loads take; with --simulated.")
@json_flag
def show(
    schedule_file: str,
    form: str,
    output: str | None,
    simulated: bool,
    sizes: dict[str, str],
    arch: str | None,
    spread: float | None,
    slowdown: float | None,
    as_json: bool,
) -> None:
    """Draw a schedule as a Gantt chart.

    With --simulated, a run of its kernel on a model of the machine whose loads vary: the interval it reaches,
    how busy the units are, where groups wait, and the time of the kernel's launch. All of that is modelled.
    """
    from twill.schedule import files
    from twill.schedule.document import write_text
    from twill.schedule.render import render

    if not simulated and (sizes or arch is not None or spread is not None or slowdown is not None):
        raise InputError("--size, --arch, --spread and --slowdown say what to simulate.", hint="Add --simulated.")
    stored = files.read(schedule_file)
    more: dict[str, Any] = {}
    found = prediction = drawn = None
    without = ""
    if simulated:
        from twill.simulate.picture import simulated_timeline
        from twill.simulate.report import shown, simulation_json
        from twill.simulate.subject import subject

        about_it = subject(stored, sizes, arch, schedule_file)
        without = about_it.without
        found = about_it.simulate(spread, slowdown)
        prediction = about_it.predict(found)
        drawn = simulated_timeline(found)
        more = {"simulation": simulation_json(found, prediction)}
    picture = text = render(stored.schedule, form, drawn)
    if output is not None:
        write_text(output, picture)
        text = output
    if as_json:
        about = {"output": output} if output is not None else {"text": text}
        print_json({"format": form, **about, **more})
        return
    click.echo(text)
    if found is not None and (form == "text" or output is not None):
        from twill.report import show as print_parts

        print_parts(*shown(found, prediction, without))

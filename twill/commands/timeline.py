"""`twill timeline`: arguments in, a measurement and a page out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from twill.errors import InputError
from twill.exits import check_writable, print_json
from twill.options import AtLeast, json_flag, named_values


@click.command()
@click.argument("schedule_file", metavar="SCHEDULE.json")
@click.option(
    "--measured",
    metavar="FILE.json",
    help="The measurement: read if it is there, else measured on the GPU and written.",
)
@click.option("--again", is_flag=True, help="Measure even if FILE.json is there.")
@click.option(
    "--example", multiple=True, metavar="NAME=VALUE", callback=named_values,
    help="Measure with this option of the kernel's example, such as N=8192.",
)  # fmt: skip
@click.option("--iterations", default=64, show_default=True, type=click.IntRange(1, 4096), help="Kept of each program.")
@click.option(
    "--samples", default=4, show_default=True, type=click.IntRange(1, 64), help="Programs of which to keep times."
)
@click.option("--time-limit", default=240.0, show_default=True, type=AtLeast(1), metavar="SECONDS",
              help="Of compiling and running on the GPU; then the measurement counts as hung.")  # fmt: skip
@click.option("--twin", metavar="FILE.py", help="Only write the timed twin of the kernel, which needs no GPU.")
@click.option("-o", "--output", metavar="PAGE.html", help="The page; by default beside the measurement.")
@json_flag
def timeline(
    schedule_file: str,
    measured: str | None,
    again: bool,
    example: dict[str, str],
    iterations: int,
    samples: int,
    time_limit: float,
    twin: str | None,
    output: str | None,
    as_json: bool,
) -> None:
    """Draw measured beside predicted.

    On a Hopper GPU, runs the kernel's timed twin, which keeps the clock at each op of each role. Anywhere, draws a
    measurement above the simulated run of the schedule, and says for each op how far the model is off.
    """
    from twill.measure import report
    from twill.measure.comparison import compare
    from twill.measure.measurement import read, write
    from twill.measure.page import page
    from twill.measure.predicted import expected_of
    from twill.schedule import files
    from twill.schedule.document import write_text

    if twin is not None:
        _write_twin(Path(schedule_file), Path(twin), iterations, samples, as_json)
        return
    stored = files.read(schedule_file)
    target = Path(measured) if measured is not None else Path("build") / f"{Path(schedule_file).stem}.measured.json"
    if target.exists() and not again:
        found = read(target)
    else:
        from twill.measure.device import measure_on_device

        if measured is None:
            target.parent.mkdir(exist_ok=True)
        check_writable(target.parent, str(target))
        found = measure_on_device(
            Path(schedule_file), example, iterations=iterations, samples=samples, seconds=time_limit
        )
        write(target, found)
    expected = expected_of(stored, found, str(target))
    comparison = compare(stored.schedule, found, expected)
    place = Path(output) if output is not None else target.with_suffix(".html")
    write_text(place, page(stored.schedule, found, expected, comparison))
    if as_json:
        print_json({"page": str(place), "measured": str(target), "source": found.source, **comparison.json()})
        return
    report.print_comparison(comparison, found)
    click.echo(f"{target}\n{place}")


def _write_twin(schedule: Path, target: Path, iterations: int, samples: int, as_json: bool) -> None:
    from twill.frontend.materialize import materialize
    from twill.measure.twin import clean_twin, plan_of
    from twill.report import progress
    from twill.schedule import files
    from twill.schedule.document import write_text

    if target.suffix != ".py":
        raise InputError(f"--twin {target}: a module's name ends in .py.", hint="Try --twin build/timed.py.")
    check_writable(target.parent, str(target))
    stored = files.read(schedule)
    _, launch = plan_of(stored, str(schedule))
    with progress(enabled=not as_json) as tell:
        made = clean_twin(
            stored, materialize(launch), iterations=iterations, samples=samples, location=str(schedule), tell=tell
        )
    write_text(target, made.source)
    data: dict[str, Any] = {"twin": str(target), "details": dict(made.details), "probes": len(made.stamps.probes)}
    if as_json:
        print_json(data)
        return
    for note in made.notes:
        click.echo(note)
    click.echo(str(target))

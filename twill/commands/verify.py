"""`twill verify`: the checks of an emitted kernel, exploration and replay."""

from __future__ import annotations

from pathlib import Path

import click

from twill.errors import InputError
from twill.exits import end_with, fail_with, print_json
from twill.options import SEEDS, interleaving_options, json_flag


@click.command()
@click.argument("generated", metavar="GENERATED.py")
@click.option("--seeds", default=SEEDS, show_default=True, type=click.IntRange(1, 1000), help="Interleavings to try.")
@click.option(
    "--machine-code/--no-machine-code", default=True, show_default=True, help="Also compile it for its target."
)
@interleaving_options
@json_flag
def verify(
    generated: str,
    seeds: int,
    machine_code: bool,
    name: str | None,
    last: int,
    whole: bool,
    explore: int | None,
    trips: tuple[int, ...] | None,
    max_runs: int,
    max_steps: int,
    as_json: bool,
) -> None:
    """Check an emitted kernel, without a GPU.

    Its schedule keeps the rules; the kernel itself, run on the CPU with its asynchrony made hostile,
    equals float64; it compiles for its target. A failure names its interleaving; --replay shows that one,
    and checks nothing else.
    """
    from twill import report
    from twill.ladder import exploration, verify_generated

    if name is not None:
        if explore is not None:
            raise InputError("--replay shows one interleaving, --explore runs many.", hint="Leave one out.")
        _replay(Path(generated), name, None if whole else last, trips, max_steps, as_json)
        return
    with report.progress(enabled=not as_json) as tell:
        checks = verify_generated(Path(generated), seeds, machine_code, tell, trips, max_steps)
        if explore is not None:
            checks = (*checks, exploration(Path(generated), explore, trips, max_runs, max_steps, tell))
    if as_json:
        print_json(report.checks_json(checks))
    else:
        report.print_checks(checks)
    fail_with(checks, generated, as_json)


def _replay(
    module: Path, name: str, last: int | None, trips: tuple[int, ...] | None, max_steps: int, as_json: bool
) -> None:
    from twill.emulate.interleavings import replay_file
    from twill.ladder import schedule_of

    shown = replay_file(module, name, schedule=schedule_of(module), trip_counts=trips, max_steps=max_steps)
    print_json(shown.data(last)) if as_json else click.echo(shown.text(last))
    if shown.run.failure is not None:
        end_with(shown.run.failure, as_json)

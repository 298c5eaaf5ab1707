"""`twill tune`: the candidates of a kernel compiled, timed and kept; the cache shown, exported and imported."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from twill.errors import CheckFailed, InputError
from twill.exits import check_writable, end_with, print_json
from twill.options import AtLeast, json_flag, named_values, time_limit_option


@click.command()
@click.argument("kernel", metavar="[KERNEL.py[::NAME]]", required=False)
@click.option("--arch", default="hopper", show_default=True, help="A machine (see `twill machines`) or a .toml file.")
@click.option("-D", "constants", multiple=True, metavar="NAME=VALUE", callback=named_values,
              help="Set a tl.constexpr, which is then not searched.")  # fmt: skip
@click.option("--example", multiple=True, metavar="NAME=VALUE", callback=named_values,
              help="Set an option of the example, such as M=8192: its launch is what is timed.")  # fmt: skip
@click.option("--best", default=2, show_default=True, metavar="NUMBER", type=click.IntRange(1, 100),
              help="Schedules of each tile size that are compiled.")  # fmt: skip
@click.option("--margin", default=1.5, show_default=True, type=AtLeast(1.0),
              help="Leave out what is predicted to take more than so many times the best one's time.")  # fmt: skip
@click.option("--most", default=16, show_default=True, type=click.IntRange(min=1), help="Candidates that are timed.")
@time_limit_option(60.0, "Time to solve each tile size.")
@click.option("--seconds", default=120.0, show_default=True, type=AtLeast(1.0),
              help="After which a candidate on the GPU counts as hung.")  # fmt: skip
@click.option("--workers", type=click.IntRange(min=1), metavar="NUMBER",
              help="Tile sizes compiled at a time; by default one for each CPU core.")  # fmt: skip
@click.option("--executor", type=click.Choice(["local", "ray"]), default="local", show_default=True,
              help="This machine, or a Ray cluster: the one of $RAY_ADDRESS, else one of its own.")  # fmt: skip
@click.option("--again", is_flag=True, help="Compile and time anew what the cache holds.")
@click.option("-o", "--output", metavar="FOLDER", help="Write the winner's module and schedule there.")
@click.option("--cache", metavar="FOLDER", help="Where results are kept; by default $TWILL_CACHE or the user's cache.")
@click.option("--list", "listed", is_flag=True, help="Show what the cache holds.")
@click.option("--export", metavar="FILE", help="Write all results to a JSON file.")
@click.option("--import", "imported", metavar="FILE", help="Take over results from such a file.")
@json_flag
def tune(
    kernel: str | None,
    arch: str,
    constants: dict[str, str],
    example: dict[str, str],
    best: int,
    margin: float,
    most: int,
    time_limit: float,
    seconds: float,
    workers: int | None,
    executor: str,
    again: bool,
    output: str | None,
    cache: str | None,
    listed: bool,
    export: str | None,
    imported: str | None,
    as_json: bool,
) -> None:
    """Find the fastest candidate of a kernel.

    Compiles the best schedules at each of the kernel's tile sizes, leaves out what the simulator predicts to be slow,
    times the others on the GPU, each in a process of its own, and keeps the results. Without a GPU the predicted best
    is taken and labelled so. Ctrl-C keeps what was measured.
    """
    from twill.tune.store import Store

    store = Store(Path(cache) if cache is not None else None)
    if sum((kernel is not None, listed, export is not None, imported is not None)) != 1:
        raise InputError("give a kernel to tune, or one of --list, --export and --import.", hint="See twill tune -h.")
    if kernel is None:
        _about_the_cache(store, export, imported, as_json)
        return
    from twill import frontend, report
    from twill.interrupt import ctrl_c_stops
    from twill.tune import executors, timing
    from twill.tune import report as shown
    from twill.tune.sweep import Options, request_of
    from twill.tune.sweep import tune as sweep

    if output is not None:
        check_writable(Path(output))
    store.prepare()
    request = request_of(frontend.load(kernel), arch, constants, example)
    options = Options(best, margin, most, time_limit, seconds, again, timing.GPU)
    where = executors.executor(executor, workers or os.cpu_count() or 1)
    with report.progress(enabled=not as_json) as tell, ctrl_c_stops() as stop:
        result = sweep(request, options, where, store, tell, stop)
    files: tuple[Path, ...] = ()
    if output is not None and result.winner is not None:
        files = shown.save_winner(result, Path(output))
    if as_json:
        print_json(shown.result_json(result, store, files))
    else:
        shown.print_result(result, store, files)
    if result.interrupted:
        if not as_json:
            click.echo("interrupted: what was measured is kept.", err=True)
        sys.exit(130)
    if result.winner is None:
        first = next((row for row in result.rows if row.why), None)
        message = (
            f"every candidate failed; {first.name}: {first.why}." if first is not None else "there is no candidate."
        )
        end_with(CheckFailed(message, location=request.source.path), as_json)


def _about_the_cache(store: object, export: str | None, imported: str | None, as_json: bool) -> None:
    """--list, --export or --import."""
    from twill.tune import exchange
    from twill.tune import report as shown
    from twill.tune.store import Store

    assert isinstance(store, Store)
    if export is not None:
        check_writable(Path(export).parent, export)
        rows = exchange.export(store, Path(export))
        print_json({"file": export, **rows}) if as_json else click.echo(f"{export}: {_counted(rows)}")
    elif imported is not None:
        rows = exchange.take(store, Path(imported))
        print_json({"cache": str(store.path), **rows}) if as_json else click.echo(
            f"{store.path}: {_counted(rows)} taken"
        )
    elif as_json:
        print_json({"cache": str(store.path), "problems": shown.listing(store)})
    else:
        shown.print_listing(store)


def _counted(rows: dict[str, int]) -> str:
    return ", ".join(f"{number} {name}" for name, number in rows.items())

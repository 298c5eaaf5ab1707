"""The options that several commands have."""

from __future__ import annotations

from collections.abc import Callable
from math import isnan
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])


class AtLeast(click.FloatRange):
    """A number that is not below the least one; what is no number at all, nan, is none."""

    def __init__(self, least: float) -> None:
        super().__init__(min=least)

    def convert(self, value: Any, parameter: click.Parameter | None, ctx: click.Context | None) -> float:
        found: float = super().convert(value, parameter, ctx)
        if isnan(found):
            self.fail(f"{value} is not in the range x>={self.min:g}.", parameter, ctx)
        return found


SEEDS = 3  # interleavings tried by default

json_flag = click.option("--json", "as_json", is_flag=True, help="Print one JSON object, nothing else.")

best_option = click.option(
    "--best",
    default=1,
    show_default=True,
    metavar="NUMBER",
    type=click.IntRange(1, 100),
    help="Also find the next best schedules of this II: other roles, orders, stages or ring depths.",
)


def time_limit_option(
    seconds: float = 60.0, help: str = "Time to solve; then, or at Ctrl-C, the best schedule so far is taken."
) -> Callable[[Command], Command]:
    """--time-limit, by default so many seconds; help: what they are for, and what remains when they are over."""
    return click.option(
        "--time-limit",
        default=seconds,
        show_default=True,
        metavar="SECONDS",
        type=AtLeast(0.1),
        help=help,
    )


def named_values(ctx: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    """The callback of an option that is given as NAME=VALUE, many times."""
    found: dict[str, str] = {}
    for value in values:
        name, equals, text = value.partition("=")
        if not equals or not name.isidentifier():
            raise click.BadParameter(f"{value!r} is not NAME=VALUE", ctx, parameter)
        found[name] = text
    return found


def _sizes(ctx: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    """Refused before long work: what is no positive whole number."""
    found = named_values(ctx, parameter, values)
    if found:
        from twill.simulate.sizes import whole_size

        for name, text in found.items():
            whole_size(name, text)
    return found


def sizes_option(more: str = "") -> Callable[[Command], Command]:
    """--size NAME=VALUE, many times; more: what help adds."""
    return click.option(
        "--size",
        "sizes",
        multiple=True,
        metavar="NAME=VALUE",
        callback=_sizes,
        help=f"Predict for this value of an integer argument of the kernel, such as M=8192{more}.",
    )


def _trip_counts(ctx: click.Context, parameter: click.Parameter, value: str | None) -> tuple[int, ...] | None:
    if value is None:
        return None
    parts = value.split(",")
    if not all(part.strip().isdigit() and len(part.strip()) < 7 for part in parts):
        raise click.BadParameter(f"{value!r} is no list of trip counts such as 0,1,2", ctx, parameter)
    return tuple(sorted({int(part) for part in parts}))


def interleaving_options(command: Command) -> Command:
    """What `twill verify` takes about interleavings: which to show again, which to explore, and the bounds."""
    options = (
        click.option(
            "--replay", "name", metavar="NAME", help="Run again the interleaving a failure named; print its moves."
        ),
        click.option(
            "--last", default=40, show_default=True, type=click.IntRange(min=1), help="Moves that --replay prints."
        ),
        click.option("--whole", is_flag=True, help="--replay prints every move."),
        click.option(
            "--explore",
            type=click.IntRange(0, 1000),
            metavar="BOUND",
            help="Also cover every interleaving: by one that answers for all, or else those that depart at most so "
            "often from a fixed order.",
        ),
        click.option(
            "--trips",
            metavar="LIST",
            callback=_trip_counts,
            help="Trip counts to run, such as 0,1,2; by default 0 to 5 and those that take every ring round.",
        ),
        click.option(
            "--max-runs",
            default=1000,
            show_default=True,
            type=click.IntRange(min=1),
            help="Runs of --explore for each trip count and thread block.",
        ),
        click.option(
            "--max-steps",
            default=1_000_000,
            show_default=True,
            type=click.IntRange(min=1),
            help="Moves of a thread block after which it counts as endless.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command

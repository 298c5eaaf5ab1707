"""The options that several commands have."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])

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
        type=click.FloatRange(min=0.1),
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

"""How a command ends when it cannot do what was asked: one paragraph, or one JSON object, and its exit code."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from twill.errors import CheckFailed, InputError, NoSchedule, TwillError

if TYPE_CHECKING:
    from twill.ladder import Check
    from twill.schedule.schedule import Schedule


class Commands(click.Group):
    """Turns every TwillError into one paragraph on stderr, with --json into one object, and its exit code."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.meta["twill.json"] = "--json" in args
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except TwillError as error:
            self._refuse(ctx, str(error), error.exit_code)
        except click.UsageError as error:
            if not ctx.meta["twill.json"]:
                raise
            self._refuse(ctx, error.format_message(), error.exit_code)
        except KeyboardInterrupt:
            self._refuse(ctx, "interrupted.", 130)
        except BrokenPipeError:
            ctx.exit(0)
        except OSError as error:  # a name too long, a disk that is full: whatever no command foresees
            where = f"{error.filename}: " if error.filename else ""
            self._refuse(ctx, f"{where}{error.strerror or error}.", InputError.exit_code)

    @staticmethod
    def _refuse(ctx: click.Context, message: str, exit_code: int) -> None:
        if ctx.meta["twill.json"]:
            print_json({"status": "error", "message": message, "exit_code": exit_code})
        else:
            click.echo(f"error: {message}", err=True)
        ctx.exit(exit_code)


def print_json(data: object) -> None:
    """The one object that `--json` prints."""
    click.echo(json.dumps(data, ensure_ascii=False, allow_nan=False))


def end_with(error: TwillError, as_json: bool) -> NoReturn:
    """Exit with the error's code; with --json its words are in the one object already."""
    if as_json:
        sys.exit(error.exit_code)
    raise error


def fail_with(checks: Sequence[Check], where: str, as_json: bool) -> None:
    """Exit code 1 when a check failed."""
    failed = [check for check in checks if not check.passed]
    if failed:
        first = failed[0]
        detail = first.detail if first.detail.endswith(".") else f"{first.detail}."
        end_with(CheckFailed(f"{first.name}: {detail}", hint=first.hint, location=first.where or where), as_json)


def refuse_problem(solved: Schedule, graph: str) -> NoReturn:
    """A problem without a schedule: because it can have none, or because the search was cut short."""
    if solved.status == "infeasible":
        message = f"infeasible: these rules exclude every schedule: {solved.reason}."
        raise NoSchedule(message, hint="Relax one of them: its limit, or what the ops ask for.", location=graph)
    why = solved.reason.partition(";")[0]
    message = f"unknown: {why}; no II below {solved.lower_bound} is possible."
    raise NoSchedule(message, hint="Give it more time with --time-limit.", location=graph)


def say_stopped(stopped: bool) -> None:
    """What Ctrl-C did, on stderr."""
    if stopped:
        click.echo("stopped by Ctrl-C: going on with the best found so far.", err=True)


def check_writable(folder: Path, output: str | None = None) -> None:
    """Fail before long work when its results could not be written: a file is made in `folder`, and removed.

    A folder that does not exist yet is judged by the one it will be made in; that of an `output` file has to exist.
    """
    import tempfile

    existing = folder
    while output is None and not existing.exists() and existing != existing.parent:
        existing = existing.parent
    try:
        tempfile.TemporaryFile(dir=existing).close()
    except OSError as error:
        raise InputError(
            f"nothing can be written to {existing}: {error.strerror}.",
            hint="Give another place.",
            location=output or str(folder),
        ) from None

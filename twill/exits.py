"""How a command ends when it cannot do what was asked: one paragraph, or one JSON object, and its exit code."""

from __future__ import annotations

import json
from typing import Any

import click

from twill.errors import TwillError


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

"""Every error a user can meet, with its exit code and the shape of its message."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Location:
    """A place in a source file; line and column count from 1, 0 means unknown."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        parts = [self.file]
        if self.line:
            parts.append(str(self.line))
            if self.column:
                parts.append(str(self.column))
        return ":".join(parts)


class TwillError(Exception):
    """Base of all errors meant for the user: one paragraph, `where: what is wrong. what to try`.

    `exit_code` is what the command line exits with (1 a check failed, 2 bad usage or input,
    3 not supported, 4 infeasible or no answer in time).
    """

    exit_code = 2

    def __init__(self, message: str, *, hint: str = "", location: Location | str | None = None) -> None:
        self.message = message
        self.hint = hint
        self.location = location
        super().__init__(str(self))

    def __str__(self) -> str:
        where = f"{self.location}: " if self.location else ""
        hint = f" {self.hint}" if self.hint else ""
        return f"{where}{self.message}{hint}"


class CheckFailed(TwillError):
    """A check of the ladder rejected what it was given (exit code 1)."""

    exit_code = 1


class InputError(TwillError):
    """The user's file, option or value cannot be used (exit code 2)."""

    exit_code = 2


class Unsupported(TwillError):
    """A construct Twill does not handle (yet); names file:line:column and the construct (exit code 3)."""

    exit_code = 3


class NoSchedule(TwillError):
    """The problem is infeasible, or no answer was found in time (exit code 4)."""

    exit_code = 4

"""Messages of long work that say how far it is."""

from __future__ import annotations


class Step(str):
    """A progress message with `done` of `total` steps behind it; a plain string to whoever does not care."""

    done: int
    total: int

    def __new__(cls, message: str, done: int, total: int) -> Step:
        step = super().__new__(cls, message)
        step.done, step.total = done, total
        return step

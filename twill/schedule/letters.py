"""One letter for each op, for drawings made of characters."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from string import ascii_letters, ascii_uppercase

from twill.schedule.problem import Op, Problem
from twill.schedule.timeline import WAITING, family

OTHERS = "#"  # ops beyond the alphabet
STANDING = "-"  # a group that waits


def letters(problem: Problem) -> dict[str, str]:
    """A letter for each op, from its name where it is free.

    With two sub-tiles the same op has the same letter: a capital in sub-tile 0, a small one in
    sub-tile 1. When the letters run out, the remaining ops share `#`. Waits of a simulated run are `-`.
    """
    waits = {op.id: STANDING for op in problem.ops if op.unit == WAITING}
    return {**_letters([op for op in problem.ops if op.id not in waits]), **waits}


def _letters(ops: Sequence[Op]) -> dict[str, str]:
    pairs = {op.subtile for op in ops} - {None} == {0, 1}
    found: dict[str, str] = {}
    if not pairs:
        for op in ops:
            found[op.id] = _pick(op.id, ascii_letters, set(found.values()))
        return found
    capital: dict[str, str] = {}
    for op in ops:
        name = family(op) if op.subtile is not None else op.id
        if name not in capital:
            capital[name] = _pick(name, ascii_uppercase, set(capital.values()))
        found[op.id] = capital[name].lower() if op.subtile == 1 else capital[name]
    return found


def plain(text: str) -> str:
    """`text` in ASCII, so that every character is one column wide and no terminal or source file chokes on it."""
    return "".join(each if " " <= each <= "~" else ascii(each)[1:-1] for each in text)


def _pick(name: str, alphabet: str, taken: Collection[str]) -> str:
    for each in name:
        for letter in (each.upper(), each.lower()):
            if letter in alphabet and letter not in taken:
                return letter
    return next((letter for letter in alphabet if letter not in taken), OTHERS)

"""The tokens of textual TTIR."""

from __future__ import annotations

import re
from collections.abc import Iterator

_TOKEN = re.compile(
    r"""(?P<space>\s+|//[^\n]*)
      | (?P<string>"(?:[^"\\]|\\.)*")
      | (?P<ssa>%[\w$.\-]+(?:\#\d+)?)
      | (?P<alias>\#[\w.\-]+)
      | (?P<label>\^\w+)
      | (?P<symbol>@(?:[\w$.\-]+|"[^"]*"))
      | (?P<number>0x[0-9A-Fa-f]+|-?\d+(?:\.\d*)?(?:[eE][+-]?\d+)?)
      | (?P<arrow>->)
      | (?P<angled>(?:![A-Za-z_][\w.$]*|[A-Za-z_][\w.$]*)?<(?!\{))
      | (?P<word>!?[A-Za-z_][\w.$]*)
      | (?P<punct><\{|\}>|[(){}\[\]:,=*?+>])""",
    re.VERBOSE,
)


class SyntaxProblem(Exception):
    """The text is not the TTIR this reader knows; the message quotes the place."""


def tokens(text: str) -> Iterator[tuple[str, str, int]]:
    """(kind, text, offset) of every token; a `name<...>` is one token up to its balanced bracket."""
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise SyntaxProblem(f"unexpected text {text[at : at + 40]!r}")
        kind, end = str(match.lastgroup), match.end()
        if kind == "angled":
            end = _balanced(text, end)
        if kind != "space":
            yield kind, text[at:end], at
        at = end


def _balanced(text: str, at: int) -> int:
    """The offset just after the `>` that closes the `<` before `at`."""
    depth = 1
    while depth:
        if at >= len(text):
            raise SyntaxProblem("a '<' is never closed")
        if text[at] == "<":
            depth += 1
        elif text[at] == ">" and text[at - 1] != "-":
            depth -= 1
        at += 1
    return at

"""Reading TTIR's token stream: attributes, types and locations."""

from __future__ import annotations

import re
from typing import Any

from twill.frontend.ttir_tokens import SyntaxProblem, tokens
from twill.frontend.ttir_tree import Alias, CallSite, Loc


class Reader:
    """A position in the tokens of a text, and what is read the same way everywhere."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = [*tokens(text), ("end", "", len(text))]
        self.at = 0

    @property
    def kind(self) -> str:
        return self.tokens[self.at][0]

    @property
    def value(self) -> str:
        return self.tokens[self.at][1]

    def peek(self, ahead: int = 1) -> tuple[str, str]:
        kind, value, _ = self.tokens[min(self.at + ahead, len(self.tokens) - 1)]
        return kind, value

    def take(self, expected: str | None = None) -> str:
        kind, value, offset = self.tokens[self.at]
        if expected is not None and value != expected:
            line = self.text[offset:].splitlines()[0] if kind != "end" else "the end"
            raise SyntaxProblem(f"expected {expected!r} at {line[:80]!r}")
        if kind == "end":
            raise SyntaxProblem("unexpected end")
        self.at += 1
        return value

    def accept(self, value: str) -> bool:
        if self.value == value and self.kind != "string":
            self.at += 1
            return True
        return False

    def types(self) -> list[str]:
        """One or more types, separated by `,` or `*`, possibly in parentheses."""
        found: list[str] = []
        while True:
            if self.accept("("):
                if self.value != ")":
                    found += self.types()
                self.take(")")
            else:
                found.append(self.type())
            if not (self.accept(",") or self.accept("*")):
                return found

    def type(self) -> str:
        if self.kind not in ("word", "angled"):
            self.take("a type")
        return self.take()

    def dictionary(self) -> dict[str, Any]:
        """`{key = value, flag, ...}` or `<{...}>`."""
        close = {"{": "}", "<{": "}>"}[self.take()]
        found: dict[str, Any] = {}
        while not self.accept(close):
            key = self.take().strip('"')
            found[key] = self.attribute() if self.accept("=") else True
            self.accept(",")
        return found

    def attribute(self) -> Any:
        """A value with its optional `: type`, which is dropped."""
        value = self.plain_attribute()
        if self.accept(":"):
            self.type()
        return value

    def plain_attribute(self) -> Any:
        if self.value == "[":
            self.take()
            found = []
            while not self.accept("]"):
                found.append(self.attribute())
                self.accept(",")
            return tuple(found)
        if self.value == "{":
            return self.dictionary()
        kind, text = self.kind, self.take()
        if kind == "string":
            return text[1:-1]
        if kind == "number":
            return int(text, 0) if re.fullmatch(r"-?\d+|0x[0-9A-Fa-f]+", text) else float(text)
        if text in ("true", "false"):
            return text == "true"
        if kind == "angled" and text.startswith("array<"):
            return tuple(int(item) for item in re.findall(r"-?\d+", text.partition(":")[2]))
        return text

    def optional_location(self) -> Any:
        return self.location() if self.value == "loc" and self.kind == "word" else None

    def location(self) -> Any:
        """`loc(...)`."""
        self.take("loc")
        self.take("(")
        found = self.location_body()
        self.take(")")
        return found

    def location_body(self) -> Any:
        if self.kind == "alias":
            return Alias(self.take())
        if self.accept("unknown"):
            return Loc()
        if self.accept("callsite"):
            self.take("(")
            callee = self.location_body()
            self.take("at")
            caller = self.location_body()
            self.take(")")
            return CallSite(callee, caller)
        if self.value.startswith("fused"):
            return self.fused()
        text = self.take()[1:-1]
        if self.accept(":"):
            line = int(self.take())
            self.take(":")
            column = int(self.take())
            self.position_range()
            return Loc(text, line, column)
        if self.accept("("):
            child = self.location_body()
            self.take(")")
            return CallSite(child, Loc(name=text)) if isinstance(child, CallSite) else _named(child, text)
        return Loc(name=text)

    def fused(self) -> Any:
        """`fused[a, b]`: its first part stands for it."""
        self.take()
        self.take("[")
        parts = []
        while not self.accept("]"):
            parts.append(self.location_body())
            self.accept(",")
        return parts[0] if parts else Loc()

    def position_range(self) -> None:
        """` to :line:column`, the end of a range: not kept."""
        if self.accept("to"):
            while self.kind == "number" or self.value == ":":
                self.take()


def _named(location: Any, name: str) -> Any:
    if isinstance(location, Alias):
        return Alias(location.key, name)
    return Loc(location.file, location.line, location.column, name, location.caller)

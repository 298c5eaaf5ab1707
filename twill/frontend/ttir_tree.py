"""Textual TTIR as a tree: statements with names, types and attributes as written, and locations."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Loc:
    """A location: a file position, or a call seen from `callee` at `caller`; `name` is the source variable."""

    file: str = ""
    line: int = 0
    column: int = 0
    name: str = ""
    caller: Loc | None = None


@dataclass(frozen=True)
class Alias:
    """A location given by an alias that may be defined further down the file."""

    key: str
    name: str = ""


@dataclass(frozen=True)
class CallSite:
    """An inlined location whose parts may still be aliases."""

    callee: Any
    caller: Any


@dataclass
class Statement:
    """One op as written: names with their `%`, types as text, attributes as Python values."""

    name: str
    results: list[str] = field(default_factory=list)
    operands: list[str] = field(default_factory=list)
    brackets: list[list[str]] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    attributes: dict[str, Any] = field(default_factory=dict)
    inputs: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    regions: list[Region] = field(default_factory=list)
    carried: list[tuple[str, str]] = field(default_factory=list)
    location: Any = None


@dataclass
class Region:
    """Blocks of statements; each block has its arguments as (name, type) pairs."""

    blocks: list[tuple[list[tuple[str, str]], list[Statement]]]

    @property
    def statements(self) -> list[Statement]:
        return [statement for _, block in self.blocks for statement in block]


@dataclass
class Function:
    """A `tt.func`: its name, arguments as (name, type), body, and location."""

    name: str
    arguments: list[tuple[str, str]]
    body: Region
    location: Any
    public: bool


@dataclass
class Module:
    """All functions of a module, and a way to resolve its locations."""

    functions: list[Function]
    aliases: dict[str, Any]

    def resolve(self, location: Any) -> Loc:
        """The location without aliases; unknown parts are empty."""
        if isinstance(location, Loc):
            return location
        if isinstance(location, Alias):
            found = self.resolve(self.aliases.get(location.key))
            return Loc(found.file, found.line, found.column, location.name or found.name, found.caller)
        if isinstance(location, CallSite):
            callee, caller = self.resolve(location.callee), self.resolve(location.caller)
            return Loc(callee.file, callee.line, callee.column, caller.name or callee.name, caller)
        return Loc()

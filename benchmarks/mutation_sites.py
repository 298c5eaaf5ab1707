"""What a reason why a surviving mutant is no fault may look at, and the form of such reasons."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from benchmarks.mutants import Mutant

LAST = r"^mbarrier\.arrive\({}\.index\(\(n "  # a release, or a turn, that is given behind the loop


@dataclass(frozen=True)
class Site:
    """Where a mutant is. before: the lines of its function above it; following: the statement below. ordered: whether
    it survives every interleaving at the trip counts tried."""

    module: str
    mutant: Mutant
    text: str
    before: tuple[str, ...]
    following: str
    ordered: bool = False


@dataclass(frozen=True)
class Equivalent:
    """Survivors of `kinds` are right because of `reason`, where all of the others hold.

    statement, following, change, modules, role: regular expressions searched for in the statement, in the line below
    it, in what was changed, in the module's name and in its function's. where: anything else.
    """

    kinds: tuple[str, ...]
    reason: str
    statement: str = ""
    following: str = ""
    change: str = ""
    modules: str = ""
    role: str = ""
    proved: bool = False
    where: Callable[[Site], bool] = lambda site: True

    def covers(self, site: Site) -> bool:
        mutant = site.mutant
        if self.proved and not site.ordered:
            return False
        pairs = (
            (self.statement, mutant.statement), (self.following, site.following), (self.change, mutant.change),
            (self.modules, site.module), (self.role, mutant.role),
        )  # fmt: skip
        return mutant.kind in self.kinds and all(re.search(*pair) for pair in pairs) and self.where(site)


@lru_cache(maxsize=16)
def short_loops(text: str) -> dict[int, int]:
    """By line, the k of the branch `if n >= k: ... else:` in whose else part it lies."""
    found = {}
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.If(test=ast.Compare(ops=[ast.GtE()], comparators=[ast.Constant(value=int(least))])):
                for statement in node.orelse:
                    assert statement.end_lineno is not None
                    found.update(dict.fromkeys(range(statement.lineno, statement.end_lineno + 1), least))
    return found


def ring_of(statement: str) -> str:
    """The ring whose slots a statement waits for or releases."""
    found = re.search(r"(\w+)_empty\.index\(", statement)
    return found[1] if found else ""

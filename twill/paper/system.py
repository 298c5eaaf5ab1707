"""A satisfiability problem as SMT-LIB 2 text: Booleans, clauses and pseudo-Boolean sums.

Text, because Z3 reads a hundred thousand clauses in the time its Python interface makes a few thousand.
"""

from __future__ import annotations

from collections.abc import Sequence

TRUE, FALSE = "true", "false"


def negated(literal: str) -> str:
    """The complement of a literal."""
    if literal in (TRUE, FALSE):
        return FALSE if literal == TRUE else TRUE
    return literal[5:-1] if literal.startswith("(not ") else f"(not {literal})"


class System:
    """Grows by variables and constraints; a literal is a variable's name, `(not name)`, `true` or `false`."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    @property
    def text(self) -> str:
        """All declarations and assertions, for Z3's parser (at-most and pble are its own)."""
        return "\n".join(self._lines)

    def variable(self, name: str) -> str:
        """A new Boolean; `name` without blanks, bars or parentheses, not used before."""
        self._lines.append(f"(declare-const {name} Bool)")
        return name

    def clause(self, *literals: str) -> None:
        """One of the literals holds."""
        if TRUE in literals:
            return
        left = [literal for literal in literals if literal != FALSE]
        self._lines.append(f"(assert (or {' '.join(left)} false))" if left else "(assert false)")

    def imply(self, given: str, then: str) -> None:
        self.clause(negated(given), then)

    def at_most_one(self, literals: Sequence[str]) -> None:
        self.at_most([(literal, 1) for literal in literals], 1)

    def at_most(self, terms: Sequence[tuple[str, int]], limit: int) -> None:
        """The weights (at least 0) of the literals that hold sum to at most `limit`."""
        if limit < 0:
            self.clause()
            return
        left = [(literal, weight) for literal, weight in terms if weight > 0]
        if sum(weight for _, weight in left) <= limit:
            return
        literals = " ".join(literal for literal, _ in left)
        if all(weight == 1 for _, weight in left):
            self._lines.append(f"(assert ((_ at-most {limit}) {literals}))")
            return
        weights = " ".join(str(weight) for _, weight in left)
        self._lines.append(f"(assert ((_ pble {limit} {weights}) {literals}))")

    def exactly(self, literals: Sequence[str], count: int) -> None:
        """Of the literals, `count` hold."""
        if count > len(literals):
            self.clause()
            return
        self._lines.append(f"(assert ((_ pbeq {count} {' '.join('1' for _ in literals)}) {' '.join(literals)}))")

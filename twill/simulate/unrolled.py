"""A role's statements in the order in which they run: loops unrolled, branches taken, a place for each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from twill.codegen.statements import (
    DONE,
    TURNED,
    Comment,
    Condition,
    Count,
    For,
    If,
    Iteration,
    Stmt,
    Tiles,
    TripCount,
)


@dataclass(frozen=True)
class Place:
    """Where a role stands: the loop variable, the trip count, and the tile that it works on (all of one trip count)."""

    i: int
    n: int
    tile: int = 0
    turned: bool = True  # whether groups take turns in the tiles

    def number(self, iteration: Iteration) -> int:
        return {"first": 0, "index": self.i, "end": self.n, "tile": self.tile}[iteration.base] + iteration.offset

    def before(self, counter: str) -> int:
        """Iterations of the tiles before, as the counter of a role has it."""
        return self.tile * self.n if counter == DONE or (counter == TURNED and self.turned) else 0

    def holds(self, conditions: Iterable[Condition]) -> bool:
        sides = ((self.number(each.left), each.relation, self.number(each.right)) for each in conditions)
        return all(left < right if relation == "<" else left >= right for left, relation, right in sides)


def segments(body: tuple[Stmt, ...], n: int, tiles: int, turned: bool) -> Iterator[tuple[str, int, Place, list[Stmt]]]:
    """The statements of a role with `n` iterations, loops unrolled, in runs: (op, iteration, place, statements)."""
    op, iteration, at, held = "", 0, Place(0, n, 0, turned), list[Stmt]()
    for here, statement in _flat(body, at, tiles):
        if isinstance(statement, Comment):
            yield op, iteration, at, held
            op, at, held = statement.op, here, []
            iteration = here.number(statement.iteration)
        elif not isinstance(statement, TripCount | Count):
            held.append(statement)
    yield op, iteration, at, held


def _flat(body: tuple[Stmt, ...], at: Place, tiles: int) -> Iterator[tuple[Place, Stmt]]:
    for statement in body:
        if isinstance(statement, If):
            yield from _flat(statement.then if at.n >= statement.at_least else statement.orelse, at, tiles)
        elif isinstance(statement, For):
            for i in range(statement.start, at.n + statement.extra):
                yield from _flat(statement.body, replace(at, i=i), tiles)
        elif isinstance(statement, Tiles):
            for tile in range(tiles):
                yield replace(at, tile=tile), Comment(f"tile {tile}")
                yield from _flat(statement.body, replace(at, tile=tile), tiles)
        else:
            yield at, statement

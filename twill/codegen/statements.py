"""What a Plan is made of: expressions and statements of one role, every decision already taken.

    Expr  ::= Name | Literal | Index | Apply | Convert | Tile | ReadTile
    Stmt  ::= Let | Wait | Arrive | TmaLoad | AsyncCopy | Fence | Meet | Mma | MmaWait | StoreTile | TmaStore
            | StoreWait | Call | TripCount | Comment | Stamp | For | If | Count | Tiles

Iterations are symbolic: iteration 2, the loop variable minus 1, or the trip count minus 1. In a loop over tiles they
are those of one tile; slots and phases follow from a count that goes on across tiles, `since` names it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal as Choice

from twill.codegen.layouts import Layout
from twill.ir.graph import Attribute, Type


@dataclass(frozen=True)
class Iteration:
    """An iteration number: `offset` after iteration 0 (`first`), `i` (`index`) or `n` (`end`).

    Of what happens once a tile it is the number of the tile (`tile`).
    """

    base: Choice["first", "index", "end", "tile"]
    offset: int = 0

    def shifted(self, by: int) -> Iteration:
        return Iteration(self.base, self.offset + by)


FIRST = Iteration("first")
CURRENT = Iteration("index")
END = Iteration("end")
TILE = Iteration("tile")

DONE, TURNED, TILE_NUMBER = "done", "turned", "tile_number"
"""Variables of a role that runs over tiles: iterations of the tiles before, those of them in which groups took turns,
and how many tiles they are."""


@dataclass(frozen=True)
class Name:
    """A Python variable of the role."""

    text: str


@dataclass(frozen=True)
class Literal:
    """A scalar constant of the given type."""

    value: Attribute
    type: Type


@dataclass(frozen=True)
class Index:
    """The loop index of an iteration: lower + iteration * step."""

    iteration: Iteration
    lower: Expr
    step: Expr


@dataclass(frozen=True)
class Apply:
    """A Graph opcode applied to operands; tiles come out in `layout`."""

    opcode: str
    operands: tuple[Expr, ...]
    attributes: Mapping[str, Attribute]
    type: Type
    layout: Layout | None = None
    operand_types: tuple[Type, ...] = ()


@dataclass(frozen=True)
class Convert:
    """`operand` in another register layout."""

    operand: Expr
    layout: Layout


Views = tuple[tuple[str, tuple[int, ...]], ...]  # (what, its order or shape), in the order they are taken


@dataclass(frozen=True)
class Tile:
    """A buffer in shared memory seen through views; a ring (depth > 0) at the slot of `iteration`.

    since: the variable with the iterations before this tile's, "" without tiles.
    """

    buffer: str
    depth: int = 0
    iteration: Iteration | None = None
    views: Views = ()
    since: str = ""


@dataclass(frozen=True)
class ReadTile:
    """A tile of shared memory read into registers."""

    tile: Tile
    layout: Layout


Expr = Name | Literal | Index | Apply | Convert | Tile | ReadTile


@dataclass(frozen=True)
class Let:
    """target = value"""

    target: str
    value: Expr


@dataclass(frozen=True)
class Barrier:
    """An mbarrier: of a ring (depth > 0, its slot and phase follow `iteration`) or a single one.

    since: as of a Tile.
    """

    name: str
    depth: int
    iteration: Iteration
    since: str = ""


@dataclass(frozen=True)
class Condition:
    """`left` `relation` `right`, both iterations; holds for a predicated wait or arrive."""

    left: Iteration
    relation: Choice["<", ">="]
    right: Iteration


@dataclass(frozen=True)
class Wait:
    """Wait for the phase of `barrier` that its iteration completes; `empty` waits for the phase before."""

    barrier: Barrier
    empty: bool = False
    conditions: tuple[Condition, ...] = ()


@dataclass(frozen=True)
class Arrive:
    barrier: Barrier
    conditions: tuple[Condition, ...] = ()


@dataclass(frozen=True)
class TmaLoad:
    """Announce `nbytes` on `barrier`, then copy the tile at `offsets` into `tile`.

    indexed: the offsets are loaded, which must not happen where the conditions do not hold.
    """

    descriptor: str
    offsets: tuple[Expr, ...]
    barrier: Barrier
    tile: Tile
    nbytes: int
    conditions: tuple[Condition, ...] = ()
    indexed: bool = False


@dataclass(frozen=True)
class AsyncCopy:
    """Every thread starts copies of its part of what `source` (the variable `target`) points at into `tile`.

    Where `mask` does not hold the tile is 0. Every thread arrives on `barrier` once its part is in. vector: elements
    that lie together in memory, and for which the mask is the same.
    """

    target: str
    source: Apply
    mask: Expr | None
    vector: int
    barrier: Barrier
    tile: Tile
    conditions: tuple[Condition, ...] = ()


@dataclass(frozen=True)
class Fence:
    """MMAs and TMA read after it what threads and their copies wrote before it."""


@dataclass(frozen=True)
class Meet:
    """Every warp of the role has come this far."""


@dataclass(frozen=True)
class Mma:
    """target = a @ b (+ c), started asynchronously; c is None for a fresh accumulator in `layout`."""

    target: str
    a: Expr
    b: Tile
    c: Expr | None
    type: Type
    layout: Layout


@dataclass(frozen=True)
class Landing:
    """The MMA that makes `value` in `iteration` has ended, where the conditions hold."""

    value: str
    iteration: Iteration
    conditions: tuple[Condition, ...] = ()


@dataclass(frozen=True)
class MmaWait:
    """Wait until at most `pending` MMAs of this role are in flight; the targets are usable after it.

    landings: every MMA that has ended after it and not before.
    """

    pending: int
    targets: tuple[str, ...]
    landings: tuple[Landing, ...] = ()


@dataclass(frozen=True)
class StoreTile:
    """Write registers to shared memory and make it visible to TMA and wgmma."""

    tile: Tile
    value: Expr


@dataclass(frozen=True)
class TmaStore:
    descriptor: str
    offsets: tuple[Expr, ...]
    tile: Tile


@dataclass(frozen=True)
class StoreWait:
    """Wait until at most `pending` TMA stores of this role still read shared memory."""

    pending: int


@dataclass(frozen=True)
class Call:
    """An op evaluated for its effect (a pointer store)."""

    value: Apply


@dataclass(frozen=True)
class TripCount:
    """n = the number of iterations of a loop over [lower, upper) by step; at most 0 for an empty one.

    exact: 0 for an empty one.
    """

    lower: Expr
    upper: Expr
    step: Expr
    exact: bool = False


@dataclass(frozen=True)
class Comment:
    """A line of words. Where it heads a scheduled op, `op` of `iteration`, done where the conditions hold."""

    text: str
    op: str = ""
    iteration: Iteration = FIRST
    conditions: tuple[Condition, ...] = ()


@dataclass(frozen=True)
class Stamp:
    """Keep the clock as record `number` of `iteration`, where the conditions hold (`stamps.py` puts these in)."""

    number: int
    iteration: Iteration
    conditions: tuple[Condition, ...] = ()


@dataclass(frozen=True)
class For:
    """for i in range(start, n + extra)"""

    start: int
    body: tuple[Stmt, ...]
    extra: int = 0


@dataclass(frozen=True)
class If:
    """if n >= at_least: then, else: orelse (empty: left out)"""

    at_least: int
    then: tuple[Stmt, ...]
    orelse: tuple[Stmt, ...] = ()


@dataclass(frozen=True)
class Count:
    """counter += by, where `by` is a number, or the trip count (None)"""

    counter: str
    by: int | None


@dataclass(frozen=True)
class Tiles:
    """for index in range(lower, upper, step), a tile a turn"""

    index: str
    lower: Expr
    upper: Expr
    step: Expr
    body: tuple[Stmt, ...]


Stmt = (
    Let
    | Wait
    | Arrive
    | TmaLoad
    | AsyncCopy
    | Fence
    | Meet
    | Mma
    | MmaWait
    | StoreTile
    | TmaStore
    | StoreWait
    | Call
    | TripCount
    | Comment
    | Stamp
    | For
    | If
    | Count
    | Tiles
)

"""The dependence IR: one loop over tiles with the straight-line code before and after it.

    Graph    ::= graph NAME ( argument* ) { outer: Outer?  before: Op*  loop: Loop  after: Op* }
    Outer    ::= for INDEX in [lower, upper) step step, around all of the others
    Loop     ::= for INDEX in [lower, upper) step step, carrying Carried* { body: Op* }
    Carried  ::= argument, initial value, value yielded by the body, result after the loop
    Op       ::= result* = opcode operand* {attributes}          in static single assignment form

Values are tile level: a scalar, a tensor of fixed shape, a pointer (or tensor of pointers), or a
tensor descriptor. Names are unique in a Graph, come from the user's source, and match
``[A-Za-z_][A-Za-z0-9_.]*``. Operands refer to values by name; whatever is defined before the loop
is visible in the body and after it, body values are not visible after the loop (only results are).
With an outer loop all three parts run once for each of its turns (a tile), and nothing passes from one to the next;
what of `before` does not depend on its index comes to the same each time and runs once.

Opcodes (operands -> result; {attributes}):

    constant           -> scalar or tensor filled with {value}       (float, int or bool; inf and nan allowed)
    program_id         -> i32 {axis}          num_programs -> i32 {axis}
    arange             -> i32[end - start] {start, end}
    splat x            -> tensor filled with the scalar (or pointer) x
    expand_dims x      -> {axis}              broadcast x -> same rank, size-1 axes stretched
    trans x            -> {order}             reshape x -> row-major reshape
    neg abs exp exp2 log log2 sqrt rsqrt sin cos tanh erf floor ceil not (unary, elementwise)
    add sub mul div rem max min and or xor shl shr pow (binary, elementwise; ints: {signed}, default True;
                       max/min on floats: {propagate_nan}, default False; int div truncates toward zero)
    fma a b c          -> a * b + c
    cmp a b            -> i1 {predicate: eq ne lt le gt ge, signed: bool, unordered: bool}
    select c a b       -> a where c else b    clamp x lo hi -> elementwise
    cast x             -> value converted to the result's dtype {signed} (float->float rounds to nearest even)
    bitcast x
    reduce x           -> {axis, kind: sum | max | min | prod}; the axis disappears
    dot a b c          -> a @ b + c {precision}; a [M, K], b [K, N], c and result [M, N]
    descriptor base, size..., stride... -> tensor descriptor {rank}; block shape is the result type's
    descriptor_load d, offset...        -> tile at the element offsets; out of bounds reads as zero
    descriptor_store d, offset..., x    -> (no result); out of bounds is not written
    addptr p, offset   -> pointer(s) moved by offset elements
    async_load p [, mask]               -> the tile, fetched by the loader (only in the loop); 0 where the mask is false
    load p [, mask [, other]]           store p, x [, mask] -> (no result)
    atomic p, x [, mask]                -> (no result) {kind: add | max | min}; combines x into memory, each
                       element at once: those at one address all count, in an order that nothing may depend on
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from twill.errors import Location

Kind = Literal["value", "pointer", "descriptor"]
Attribute = bool | int | float | str | tuple[int, ...]

DTYPE_BITS = {
    "i1": 1, "i8": 8, "i16": 16, "i32": 32, "i64": 64,
    "f8e4m3": 8, "f8e5m2": 8, "f16": 16, "bf16": 16, "f32": 32, "f64": 64,
}  # fmt: skip


@dataclass(frozen=True)
class Type:
    """Element type and shape; shape () is a scalar. A descriptor's shape is its block shape."""

    dtype: str
    shape: tuple[int, ...] = ()
    kind: Kind = "value"

    @property
    def size(self) -> int:
        """Number of elements."""
        count = 1
        for extent in self.shape:
            count *= extent
        return count

    @property
    def bits(self) -> int:
        """Bits per element (pointers: 64)."""
        return 64 if self.kind != "value" else DTYPE_BITS[self.dtype]

    @property
    def nbytes(self) -> int:
        """Bytes of the tile a value or descriptor of this type holds in memory."""
        return self.size * max(8, DTYPE_BITS[self.dtype]) // 8

    @property
    def is_float(self) -> bool:
        return self.kind == "value" and self.dtype.startswith(("f", "bf"))


@dataclass(frozen=True)
class Value:
    """A named result or argument."""

    name: str
    type: Type


@dataclass(frozen=True)
class Op:
    """One tile-level instruction. `subtile` is the sub-tile it works on, None when shared."""

    opcode: str
    operands: tuple[str, ...] = ()
    results: tuple[Value, ...] = ()
    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    location: Location | None = None
    subtile: int | None = None

    def __post_init__(self) -> None:
        # One nan object, so that equal ops compare equal (nan differs from itself, but not by identity).
        exact = {key: math.nan if value != value else value for key, value in self.attributes.items()}
        object.__setattr__(self, "attributes", MappingProxyType(exact))

    @property
    def result(self) -> Value:
        """The only result; an op without results has none."""
        (value,) = self.results
        return value


@dataclass(frozen=True)
class Carried:
    """One loop-carried value: `argument` in the body, `initial` on entry, `yielded` by each
    iteration, `result` after the loop (equal to `initial` when the loop runs zero times)."""

    argument: Value
    initial: str
    yielded: str
    result: Value
    subtile: int | None = None


@dataclass(frozen=True)
class Loop:
    """The loop over tiles: index runs lower, lower + step, ... while < upper (signed)."""

    index: Value
    lower: str
    upper: str
    step: str
    carried: tuple[Carried, ...]
    body: tuple[Op, ...]
    location: Location | None = None


@dataclass(frozen=True)
class Outer:
    """The loop around the loop, one tile a turn: index runs lower, lower + step, ... while < upper (signed)."""

    index: Value
    lower: str
    upper: str
    step: str
    location: Location | None = None


@dataclass(frozen=True)
class Graph:
    """A kernel: what runs before the loop, the loop, and what runs after it; for each turn of `outer`, if it has one.

    `subtiles` is the number of row blocks the tile is divided into (1: undivided).
    """

    name: str
    arguments: tuple[Value, ...]
    before: tuple[Op, ...]
    loop: Loop
    after: tuple[Op, ...]
    subtiles: int = 1
    outer: Outer | None = None

    def ops(self) -> Iterator[Op]:
        """All ops in program order: before, body, after."""
        yield from self.before
        yield from self.loop.body
        yield from self.after

    def values(self) -> dict[str, Value]:
        """Every value of the graph by name."""
        found = {value.name: value for value in self.arguments}
        if self.outer is not None:
            found[self.outer.index.name] = self.outer.index
        found[self.loop.index.name] = self.loop.index
        for carried in self.loop.carried:
            found[carried.argument.name] = carried.argument
            found[carried.result.name] = carried.result
        for op in self.ops():
            for value in op.results:
                found[value.name] = value
        return found

    def producers(self) -> dict[str, Op]:
        """The op that defines each value (arguments, index and carried values have none)."""
        return {value.name: op for op in self.ops() for value in op.results}

"""Do the elements that a tile of pointers points at lie in whole vectors of 16 bytes along its rows?

An asynchronous copy moves 16 bytes of a row at a time. Whether the addresses allow it follows from how they are
computed: each integer behind them is f(row) + step * column, with a step of 0 or 1 and an f that is a multiple of some
number for every row. What that number needs of scalar arguments is found along the way, for the launcher to ask.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd, lcm

from twill.ir.graph import Graph, Op

VECTOR_BYTES = 16
"""Of one cp.async (PTX ISA: 4, 8 or 16; only 16 bypass the level-one cache)."""

_LEAST_VECTORS = 32  # of a tile: one for each lane of a warp


_APART = 2  # the step of columns that are not known to follow one another


class Scattered(Exception):
    """The elements are not copied in vectors: why, and what to try."""

    def __init__(self, why: str, hint: str = "") -> None:
        super().__init__(why)
        self.hint = hint


@dataclass(frozen=True)
class Vectors:
    """Where a tile's vectors lie. base: the pointer argument, which begins at a multiple of 16 bytes.

    needs: scalar arguments that must be multiples of `elements`, those of a vector.
    """

    base: str
    elements: int
    needs: tuple[str, ...]


@dataclass(frozen=True)
class _Along:
    """f(row) + step * column, where every f(row) is a multiple of `multiple` once the arguments `needs` are of V.

    step: 0, 1, or _APART for what is neither.
    """

    step: int
    multiple: int
    needs: frozenset[str] = frozenset()


def vectors(graph: Graph, op: Op) -> Vectors:
    """Of an `async_load`. Raises Scattered."""
    type = op.result.type
    size = type.bits // 8
    if type.bits < 8 or VECTOR_BYTES % size:
        raise Scattered(f"elements of {type.dtype} do not fill vectors of {VECTOR_BYTES} bytes")
    elements = VECTOR_BYTES // size
    if type.shape[1] % elements or type.size // elements < _LEAST_VECTORS:
        raise Scattered(f"{type.shape[0]} rows of {type.shape[1]} elements are too small for copies of 16 bytes")
    analysis = _Analysis(graph, elements)
    base, at = analysis.pointer(op.operands[0])
    if at.step != 1 or at.multiple % elements:
        lacks = "do not follow one another along its rows" if at.step != 1 else (
            f"begin at offsets that are not known to be multiples of {elements}")  # fmt: skip
        raise Scattered(
            f"elements of a row {lacks}",
            f"Address it as base + rows[:, None] * stride + columns[None, :], where stride and first column are "
            f"multiples of {elements}; load the transposed tile and use tl.trans, or .T, where columns are contiguous.",
        )
    needs = at.needs
    if len(op.operands) > 1:
        needs |= analysis.mask(op.operands[1])
    return Vectors(base, elements, tuple(sorted(needs)))


def multiples(graph: Graph) -> dict[str, int]:
    """What the scalar arguments behind the loop's asynchronous copies must be multiples of, by name."""
    found: dict[str, int] = {}
    for op in graph.loop.body:
        if op.opcode == "async_load":
            about = vectors(graph, op)
            found |= {name: lcm(found.get(name, 1), about.elements) for name in about.needs}
    return found


class _Analysis:
    """Integers and masks behind one tile of pointers. v: elements of a vector."""

    def __init__(self, graph: Graph, v: int) -> None:
        self.graph = graph
        self.v = v
        self.producers = graph.producers()
        self.arguments = {value.name: value.type for value in graph.arguments}
        self.types = {name: value.type for name, value in graph.values().items()}
        self.known: dict[tuple[str, bool], _Along | None] = {}

    def pointer(self, name: str) -> tuple[str, _Along]:
        """The argument that a pointer is into, and its offset in elements."""
        if name in self.arguments:
            return name, _Along(0, self.v)
        op = self.producers.get(name)
        if op is None:
            raise Scattered(
                "the loop carries its pointers, and moves them by what it computes",
                "Compute them from the loop index: base + offsets.",
            )
        if op.opcode in ("splat", "broadcast", "expand_dims"):
            base, at = self.pointer(op.operands[0])
            return base, self._shaped(op, at)
        if op.opcode != "addptr":
            raise Scattered(f"its pointers come out of `{op.opcode}`", "Choose between offsets instead.")
        base, at = self.pointer(op.operands[0])
        return base, self._plus(at, self.integer(op.operands[1]))

    def integer(self, name: str, over_rows: bool = False) -> _Along:
        """An integer of any shape; a vector is one over the columns until `expand_dims` says otherwise."""
        key = name, over_rows and len(self.types[name].shape) == 1
        if key not in self.known:
            self.known[key] = self._integer(*key)
        found = self.known[key]
        if found is None:
            raise Scattered("the elements of a row are found by indices of their own", "Gather whole rows by index.")
        return found

    def _integer(self, name: str, over_rows: bool) -> _Along | None:
        loop = self.graph.loop
        if name == loop.index.name:
            return self._plus(self.integer(loop.lower), self.integer(loop.step))
        if name in self.arguments:
            return _Along(0, self.v, frozenset({name}))
        op = self.producers.get(name)
        shape = self.types[name].shape
        if op is None:  # carried around a loop, or the index of the one around it
            return _Along(0, 1) if not shape or over_rows else None
        if op.opcode == "constant":
            return _Along(0, gcd(_int(op, "value"), self.v))
        if op.opcode == "arange":
            return _Along(0, 1) if over_rows else _Along(1, gcd(_int(op, "start"), self.v))
        if op.opcode in ("splat", "broadcast", "expand_dims"):
            turned = op.opcode == "expand_dims" and op.attributes["axis"] == 1
            return self._shaped(op, self.integer(op.operands[0], over_rows or turned))
        if op.opcode == "cast":
            return self.integer(op.operands[0], over_rows)
        if op.opcode in ("add", "sub", "mul", "min", "max", "select"):
            return self._computed(op, over_rows)
        return _Along(0, 1) if over_rows or self._constant(name) else None

    def _shaped(self, op: Op, at: _Along) -> _Along:
        """Of pointers and integers: what is the same for all columns of a row, broadcast."""
        wider = op.opcode == "broadcast" and self.types[op.operands[0]].shape[-1] != op.result.type.shape[-1]
        return _Along(0, 1) if wider and at.step else at

    def _computed(self, op: Op, over_rows: bool) -> _Along | None:
        if op.opcode == "select" and not (over_rows or self._constant(op.operands[0])):
            return None
        first, second = (self.integer(name, over_rows) for name in op.operands[-2:])
        if op.opcode == "add" or (op.opcode == "sub" and not second.step):
            return self._plus(first, second)
        if first.step or second.step:
            return _Along(_APART, 1)
        if op.opcode != "mul":
            return self._plus(first, second)  # one of the two
        whole = sorted((each for each in (first, second) if each.multiple == self.v), key=lambda each: len(each.needs))
        if whole:
            return whole[0]
        return _Along(0, gcd(first.multiple * second.multiple, self.v), first.needs | second.needs)

    def _plus(self, first: _Along, second: _Along) -> _Along:
        if first.step and second.step:
            return _Along(_APART, 1)
        return _Along(first.step + second.step, gcd(first.multiple, second.multiple), first.needs | second.needs)

    def _constant(self, name: str) -> bool:
        """Is a value (a pointer, a condition) the same for all columns of a row?"""
        if name in self.arguments or not self.types[name].shape:
            return True
        op = self.producers.get(name)
        if op is None:
            return False
        shape = self.types[name].shape
        if len(shape) == 2 and shape[1] == 1:
            return True
        if op.opcode == "broadcast" and self.types[op.operands[0]].shape[-1] != shape[-1]:
            return True
        if op.opcode == "arange":
            return False
        return all(self._constant(each) for each in op.operands)

    def mask(self, name: str) -> frozenset[str]:
        """What a mask that is the same for the elements of each vector needs of arguments. Raises Scattered."""
        op = self.producers.get(name)
        if self._constant(name):
            return frozenset()
        if op is not None and op.opcode in ("and", "or", "not", "broadcast", "expand_dims", "xor"):
            return frozenset().union(*(self.mask(each) for each in op.operands))
        if op is not None and op.opcode == "cmp" and op.attributes["predicate"] in ("lt", "ge", "gt", "le"):
            left, right = (self.integer(each) for each in op.operands)
            begins, limit = (left, right) if op.attributes["predicate"] in ("lt", "ge") else (right, left)
            if (begins.step, limit.step) == (1, 0) and {begins.multiple % self.v, limit.multiple % self.v} == {0}:
                return begins.needs | limit.needs
        raise Scattered(
            "its mask may end within a vector of 16 bytes",
            f"Mask rows, or columns by `columns < n` where n is a multiple of {self.v}.",
        )


def _int(op: Op, key: str) -> int:
    value = op.attributes[key]
    assert isinstance(value, int)
    return value

"""Register layouts of the values of one role, inferred from the dots they feed or come from.

Every tile value gets one *home* layout; a use that needs another one converts. Dots fix the layout
of their results (the accumulator layout of wgmma); elementwise ops share the layout of their
operands; a reduction lives in a slice of its operand's layout. What no dot reaches is blocked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from twill.ir.graph import Graph, Op, Type
from twill.ir.opcodes import POINTER_STORES

ELEMENTWISE = frozenset({
    "neg", "abs", "exp", "exp2", "log", "log2", "sqrt", "rsqrt", "sin", "cos", "tanh", "erf", "floor", "ceil", "not",
    "add", "sub", "mul", "div", "rem", "max", "min", "and", "or", "xor", "shl", "shr", "pow", "fma", "cmp", "select",
    "clamp", "cast", "bitcast",
})  # fmt: skip


@dataclass(frozen=True)
class Mma:
    """Accumulator of a wgmma whose instruction is 16 rows by `n` columns per warp, `k` deep (256 bits).

    Of the `warps` warps those of a row of warps share rows: `across` of them, each with its own columns.
    """

    n: int
    warps: int
    k: int
    across: int = 1


@dataclass(frozen=True)
class Slice:
    """`parent` with dimension `axis` removed."""

    axis: int
    parent: Layout


@dataclass(frozen=True)
class Operand:
    """Left operand of a dot, in registers, for accumulator `parent`; `k_width` elements per 32 bits."""

    parent: Mma
    k_width: int


@dataclass(frozen=True)
class Blocked:
    """Plain layout: contiguous vectors along the last dimension, rows dealt to warps."""

    shape: tuple[int, ...]
    warps: int


@dataclass(frozen=True)
class Copied:
    """Of pointers to copy from: vectors of `elements` along the rows, lanes along a row first, rows dealt to warps."""

    shape: tuple[int, ...]
    warps: int
    elements: int


Layout = Mma | Slice | Operand | Blocked | Copied


def accumulator(type: Type, left: Type, warps: int) -> Mma:
    """Layout of a dot's result of `type`, its left operand being `left`, in a group of `warps` warps.

    Warps that the rows have no work for take a part of the columns.
    """
    rows, columns = type.shape
    across = 1
    while warps // across > max(4, rows // 16) and columns // across % 16 == 0:
        across *= 2
    return Mma(min(256, columns // across), warps, 256 // left.bits, across)


def k_width(type: Type) -> int:
    """Elements of a left operand that share a 32-bit register."""
    return max(1, 32 // type.bits)


def infer(graph: Graph, ops: Iterable[Op], yielded: Mapping[str, str], warps: int) -> dict[str, Layout]:
    """Home layout of every tile value computed by `ops` (one role's slice of the graph).

    yielded: loop-carried argument or result -> the value that shares its layout.
    """
    ops = tuple(ops)
    types = {name: value.type for name, value in graph.values().items()}
    homes: dict[str, Layout] = {}
    for op in ops:
        if op.opcode == "dot":
            homes[op.result.name] = accumulator(op.result.type, types[op.operands[0]], warps)
            _offer(homes, types, op.operands[2], homes[op.result.name])
    _settle(ops, types, homes, yielded)
    # What only feeds a dot from registers is best computed in the layout the dot reads.
    for op in ops:
        if op.opcode == "dot":
            left = types[op.operands[0]]
            parent = accumulator(op.result.type, left, warps)
            if _offer(homes, types, op.operands[0], Operand(parent, k_width(left))):
                _settle(ops, types, homes, yielded)
    # No dot reaches these: start from the largest tile, settle, repeat.
    while True:
        orphans = [
            value
            for op in ops
            for value in op.results
            if value.type.shape and value.type.kind == "value" and value.name not in homes
        ]
        if not orphans:
            return homes
        root = max(orphans, key=lambda value: (len(value.type.shape), value.type.size))
        homes[root.name] = Blocked(root.type.shape, warps)
        _settle(ops, types, homes, yielded)


def _offer(homes: dict[str, Layout], types: Mapping[str, Type], name: str, layout: Layout | None) -> bool:
    """Give `name` this home if it has none and its rank fits; True when something changed."""
    if layout is None or name in homes or not types[name].shape or types[name].kind == "descriptor":
        return False
    if len(types[name].shape) != rank(layout):
        return False
    homes[name] = layout
    return True


def rank(layout: Layout) -> int:
    """Number of dimensions of a tile in this layout."""
    if isinstance(layout, Slice):
        return rank(layout.parent) - 1
    return len(layout.shape) if isinstance(layout, Blocked | Copied) else 2


def _settle(
    ops: tuple[Op, ...], types: Mapping[str, Type], homes: dict[str, Layout], yielded: Mapping[str, str]
) -> None:
    """Propagate homes along the dataflow in both directions until nothing changes."""
    changed = True
    while changed:
        changed = False
        for argument, source in yielded.items():
            changed |= _offer(homes, types, argument, homes.get(source))
            changed |= _offer(homes, types, source, homes.get(argument))
        for op in ops:
            for a, b in _ties(op, types):
                changed |= _offer(homes, types, b, homes.get(a))
                changed |= _offer(homes, types, a, homes.get(b))
            changed |= _through_shape(op, types, homes)


def _ties(op: Op, types: Mapping[str, Type]) -> Iterable[tuple[str, str]]:
    """Pairs of names that want one layout: same-shape operands and result of an elementwise op."""
    if op.opcode in ELEMENTWISE or op.opcode in {"broadcast", "load"}:
        result = op.result
        for name in op.operands:
            same = types[name].shape == result.type.shape or op.opcode == "broadcast"
            if types[name].kind != "descriptor" and same:
                yield name, result.name
    elif op.opcode == "addptr":
        yield op.operands[1], op.result.name
    elif op.opcode in POINTER_STORES:
        for name in op.operands[1:]:
            yield op.operands[0], name


def _through_shape(op: Op, types: Mapping[str, Type], homes: dict[str, Layout]) -> bool:
    if op.opcode not in {"reduce", "expand_dims"}:
        return False
    axis = op.attributes["axis"]
    assert isinstance(axis, int)
    wide, narrow = op.operands[0], op.result.name
    if op.opcode == "expand_dims":
        wide, narrow = narrow, wide
    layout = homes.get(wide)
    return _offer(homes, types, narrow, Slice(axis, layout) if layout else None)

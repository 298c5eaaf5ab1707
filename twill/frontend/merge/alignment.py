"""Which ops of one loop body do the work of which ops of another: an alignment in program order."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from twill.frontend.merge.forms import Forms
from twill.ir.graph import Op
from twill.ir.opcodes import ELEMENTWISE, MEMORY, PURE, SOURCES

Pair = tuple[Op | None, Op | None]


@dataclass(frozen=True)
class Side:
    """A loop body, and what the values that come into it from outside are called by both loops."""

    ops: Sequence[Op]
    names: Mapping[str, str]


def aligned(a: Side, b: Side, forms: Forms) -> Iterator[Pair]:
    """All ops of both bodies, each once and in its own order; two that may become one op as a pair.

    The pairs are chosen so that the work saved is largest: products and memory accesses first, then reductions and
    elementwise ops by their number of elements, twice as much for ops that compute the same value in both bodies.
    """
    first, second = a.ops, b.ops
    equal = _numbers(a, b, forms)
    signatures = [_signature(op, a.names) for op in first], [_signature(op, b.names) for op in second]
    best = [[0] * (len(second) + 1) for _ in range(len(first) + 1)]  # work saved by the ops from here on

    def saved(i: int, j: int) -> int:
        if signatures[0][i] != signatures[1][j]:
            return 0
        return _work(first[i]) * (2 if equal[0][i] == equal[1][j] else 1)

    for i in reversed(range(len(first))):
        for j in reversed(range(len(second))):
            here = saved(i, j)
            best[i][j] = max(best[i + 1][j], best[i][j + 1], here + best[i + 1][j + 1] if here else 0)
    i = j = 0
    while i < len(first) or j < len(second):
        here = saved(i, j) if i < len(first) and j < len(second) else 0
        if here and best[i][j] == here + best[i + 1][j + 1]:
            yield first[i], second[j]
            i, j = i + 1, j + 1
        elif i < len(first) and best[i][j] == best[i + 1][j]:
            yield first[i], None
            i += 1
        else:
            yield None, second[j]
            j += 1


def twins(a: Side, b: Side, forms: Forms) -> dict[str, str]:
    """Values of one body by those of the other that are computed in the same way from the same, in both directions."""
    first, second = _numbers(a, b, forms)
    by_number = {number: op.result.name for op, number in zip(a.ops, first, strict=True) if op.opcode in PURE}
    found: dict[str, str] = {}
    for op, number in zip(b.ops, second, strict=True):
        if op.opcode in PURE and number in by_number:
            found[op.result.name] = by_number[number]
            found[by_number[number]] = op.result.name
    return found


def _signature(op: Op, names: Mapping[str, str]) -> Hashable:
    """Equal for ops that could be one, were their operands equal; memory is told apart by its first operand."""
    target = names.get(op.operands[0], op.operands[0]) if op.opcode in MEMORY and op.opcode.startswith("desc") else ""
    types = tuple((value.type.dtype, value.type.shape, value.type.kind) for value in op.results)
    return op.opcode, _attributes(op), types, len(op.operands), target


def _numbers(a: Side, b: Side, forms: Forms) -> tuple[list[int], list[int]]:
    """For each op of both a number that is equal for ops that compute the same value, as far as it is known."""
    table: dict[Hashable, int] = {}
    first, second = (_numbered(side, forms, table) for side in (a, b))
    return first, second


def _numbered(side: Side, forms: Forms, table: dict[Hashable, int]) -> list[int]:
    known: dict[str, Hashable] = {}
    for own, common in side.names.items():
        forms.known[own] = forms[common]
    found = []
    for op in side.ops:
        operands = tuple(known.get(name, side.names.get(name, name)) for name in op.operands)
        form = forms.define(op)
        types = tuple(value.type for value in op.results)
        key: Hashable = (op.opcode, _attributes(op), operands, types) if form is None else (types, form)
        number = table.setdefault(key, len(table))
        found.append(number)
        known.update((value.name, number) for value in op.results)
    return found


def _attributes(op: Op) -> Hashable:
    return tuple(sorted((key, type(value).__name__, repr(value)) for key, value in op.attributes.items()))


def _work(op: Op) -> int:
    """What it saves to do the op once."""
    elements = max((value.type.size for value in op.results), default=1)
    if op.opcode == "dot":
        return 1 << 40
    if op.opcode in MEMORY or op.opcode not in PURE:
        return (1 << 30) + elements
    if op.opcode == "reduce":
        return (1 << 20) + elements
    if op.opcode in ELEMENTWISE:
        return 8 * elements
    return 1 if op.opcode in SOURCES else 2

"""A mask that only one of several loops has, made true in the others at the cost of a scalar or a vector."""

from __future__ import annotations

from collections.abc import Callable

from twill.frontend.merge.builder import Builder
from twill.ir.graph import Op, Type

_ORDERS = frozenset({"ge", "le", "gt", "lt"})
_STRETCH = frozenset({"broadcast", "expand_dims", "splat"})


Choose = Callable[[str, str], str]
"""(value where the mask is to hold, value elsewhere) -> the name of the choice."""


def widened(body: Builder, mask: str, choose: Choose) -> str:
    """A mask that is true where `choose` takes its first value, and `mask` elsewhere.

    A comparison of integers compares with the largest or smallest integer instead, put in where that operand is still
    a scalar or a vector: whole tiles of masks then cost no more than they did.
    """
    op = body.producers.get(mask)
    if op is not None and op.opcode == "and":
        both = tuple(widened(body, each, choose) for each in op.operands)
        return body.made("and", both, op.result.type, op)
    if op is not None and op.opcode == "cmp" and _is_order(body, op):
        return _compared(body, op, choose)
    type = body.type_of(mask)
    like = op if op is not None else Op("or")
    true = body.made("constant", (), Type("i1"), like, value=True)
    false = body.made("constant", (), Type("i1"), like, value=False)
    holds = choose(true, false)
    if type.shape:
        holds = body.made("splat", (holds,), type, like)
    return body.made("or", (mask, holds), type, like)


def _is_order(body: Builder, op: Op) -> bool:
    signed = op.attributes.get("signed", True)
    integer = body.type_of(op.operands[0]).dtype in ("i32", "i64")
    return bool(signed) and integer and op.attributes["predicate"] in _ORDERS


def _compared(body: Builder, op: Op, choose: Choose) -> str:
    """The comparison with the cheaper of its operands replaced by one that makes it hold."""
    predicate = str(op.attributes["predicate"])
    left, right = op.operands
    if _cost(body, right) < _cost(body, left):
        right = _replaced(
            body, right, largest=predicate in ("le", "lt"), strict=predicate in ("lt", "gt"), choose=choose
        )
    else:
        left = _replaced(body, left, largest=predicate in ("ge", "gt"), strict=predicate in ("lt", "gt"), choose=choose)
    attributes = {**op.attributes, "predicate": {"lt": "le", "gt": "ge"}.get(predicate, predicate)}
    return body.made("cmp", (left, right), op.result.type, op, **attributes)


def _root(body: Builder, name: str) -> str:
    """The value that is stretched to `name`."""
    while (op := body.producers.get(name)) is not None and op.opcode in _STRETCH:
        name = op.operands[0]
    return name


def _cost(body: Builder, name: str) -> tuple[int, int]:
    """Registers that the stretched value takes, roughly: a scalar one, rows are spread over threads, columns not."""
    root = _root(body, name)
    shape, size = body.type_of(root).shape, body.type_of(root).size
    if size == 1:
        return 0, size
    if len(shape) == 1:
        return (1 if _axis(body, name) == 0 else 2), size
    return (1 if shape[1:] == (1,) else 2 if shape[:1] == (1,) else 3), size


def _axis(body: Builder, name: str) -> int:
    """The axis of a tile along which a stretched vector lies."""
    while (op := body.producers.get(name)) is not None and op.opcode in _STRETCH:
        if op.opcode == "expand_dims":
            return 1 - int(str(op.attributes["axis"]))
        name = op.operands[0]
    return 1


def _replaced(body: Builder, name: str, *, largest: bool, strict: bool, choose: Choose) -> str:
    """`name` with the largest or smallest integer where the comparison is to hold.

    strict: a < b is a <= b - 1, so that the largest b is none that some a could reach.
    """
    op = body.producers.get(name)
    if op is not None and op.opcode in _STRETCH:
        inner = _replaced(body, op.operands[0], largest=largest, strict=strict, choose=choose)
        return body.made(op.opcode, (inner,), op.result.type, op, **op.attributes)
    type = body.type_of(name)
    like = op if op is not None else Op("select")
    if strict:
        one = body.made("constant", (), type, like, value=1)
        name = body.made("sub" if largest else "add", (name, one), type, like)
    bits = 31 if type.dtype == "i32" else 63
    end = body.made("constant", (), type, like, value=(1 << bits) - 1 if largest else -(1 << bits))
    return choose(end, name)

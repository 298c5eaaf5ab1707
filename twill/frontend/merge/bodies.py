"""The bodies of two loops as one: what both compute once, what only one needs chosen by the iteration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import NoReturn

from twill.errors import Unsupported
from twill.frontend.merge import masks
from twill.frontend.merge.alignment import Side, aligned, twins
from twill.frontend.merge.builder import I1, Builder, renamed
from twill.ir.graph import Loop, Op, Type
from twill.ir.opcodes import PURE

_MASKS = {"load": 1, "store": 2, "atomic": 2}  # opcode -> place of the mask among its operands


class Bodies:
    """The merging of two bodies into `body`. first, second: what each loop's values are called in it.

    is_first: a scalar that holds in iterations of the first loop.
    """

    def __init__(self, body: Builder, is_first: str, first: Mapping[str, str], second: Mapping[str, str]) -> None:
        self.body = body
        self.is_first = is_first
        self.names = dict(first), dict(second)
        self.unchanged: dict[str, tuple[int, str]] = {}  # values that in one of the loops equal another value
        self.twins: dict[str, str] = {}
        self.ops: dict[str, Op] = {}
        self.products: dict[str, set[int]] = {}  # names of dots -> the loops that need them

    def merge(self, first: Loop, second: Loop) -> None:
        """Writes the ops of both bodies. Raises Unsupported for a product that only one of the loops has."""
        sides = Side(first.body, dict(self.names[0])), Side(second.body, dict(self.names[1]))
        self.twins = twins(*sides, self.body.forms)
        self.ops = {op.result.name: op for op in (*first.body, *second.body) if op.results}
        for a, b in aligned(*sides, self.body.forms):
            if a is not None and b is not None and self._together(a, b):
                continue
            for side, op in enumerate((a, b)):
                if op is not None and not (op.results and op.result.name in self.names[side]):
                    self._alone(op, side)
        self._require_common_products(first, second)

    def chosen(self, a: str, b: str, like: Op) -> str:
        """The value that is `a` in iterations of the first loop and `b` in those of the second."""
        if self.body.same(a, b):
            return a
        if self.unchanged.get(b) == (0, a):
            return b
        if self.unchanged.get(a) == (1, b):
            return a
        return self._select(a, b, like)

    def _select(self, a: str, b: str, like: Op) -> str:
        type = self.body.type_of(a)
        if self.body.same(a, b):
            return a
        if type.kind != "value":
            self._refuse_pointer(like)
        if type.dtype == "i1":
            return self._choose_bool(a, b, type, like)
        return self.body.made("select", (self.is_first, a, b), type, like)

    def _choose_bool(self, a: str, b: str, type: Type, like: Op) -> str:
        """a where it is the first loop, b elsewhere, on truth values."""
        known = {name: op.attributes.get("value") for name in (a, b)
                 if (op := self.body.producers.get(name)) is not None and op.opcode == "constant"}  # fmt: skip
        if known.get(a) is True and known.get(b) is False:
            return self.is_first
        if known.get(a) is False and known.get(b) is True:
            return self._guard(1)
        here = self.body.made("and", (self._wide(0, type, like), a), type, like)
        there = self.body.made("and", (self._wide(1, type, like), b), type, like)
        return self.body.made("or", (here, there), type, like)

    def _wide(self, side: int, type: Type, like: Op) -> str:
        """The guard of one of the loops, for each element of a tile."""
        guard = self._guard(side)
        return self.body.made("splat", (guard,), type, like) if type.shape else guard

    def _refuse_pointer(self, like: Op) -> NoReturn:
        raise Unsupported(
            "a pointer that one of several loops moves, or that differs between them, is not supported.",
            hint="Compute addresses from the tensor and an offset in each iteration, or put the second loop in a "
            "kernel of its own.",
            location=like.location,
        )

    def _guard(self, side: int) -> str:
        """A scalar that holds in iterations of one of the loops."""
        if side == 0:
            return self.is_first
        true = self.body.constant(True, I1)
        return self.body.scalar("xor", self.is_first, true, name="is_later")

    def _widened(self, op: Op, side: int) -> str | None:
        """The value of a masking op that only loop `side` has, made to change nothing in the other; None for other ops.

        where(mask, x, y) becomes where(mask or other loop, x, y), and x + where(mask, 0, y) follows, up to the sign
        of a zero: the other loop may use them for x.
        """
        elsewhere = 1 - side
        if op.opcode == "select" and self.body.type_of(op.operands[0]).shape and self._common(op.operands[1]):
            mask = masks.widened(self.body, op.operands[0], partial(self._where, elsewhere))
            name = self.body.write(replace(op, operands=(mask, *op.operands[1:])))
            self.unchanged[name] = elsewhere, op.operands[1]
            return name
        if op.opcode == "add":
            for x, summand in (op.operands, op.operands[::-1]):
                where, plain = self.unchanged.get(summand, (side, ""))
                zero = self.body.producers.get(plain)
                if where == elsewhere and self._common(x) and _is_zero(zero):
                    name = self.body.write(op)
                    self.unchanged[name] = elsewhere, x
                    return name
        return None

    def _common(self, name: str) -> bool:
        """The value means the same in both loops."""
        inside = [name in names.values() for names in self.names]
        return all(inside) or not any(inside)

    def _where(self, side: int, inside: str, elsewhere: str) -> str:
        """`inside` in iterations of the loop `side`, `elsewhere` in those of the other."""
        a, b = (inside, elsewhere) if side == 0 else (elsewhere, inside)
        return self._select(a, b, self.body.producers.get(elsewhere, Op("select")))

    def _together(self, a: Op, b: Op) -> bool:
        """Both as one op, its operands chosen; False where that is impossible or costs more than it saves."""
        own = [tuple(names.get(x, x) for x in op.operands) for op, names in zip((a, b), self.names, strict=True)]
        pairs = list(zip(*own, strict=True))
        if a.opcode in PURE and not a.result.type.shape:
            return False  # scalars cost nothing, and may turn out to be equal
        if a.results and not self._partners(a.result.name, b.result.name):
            return False  # one of them is there already, or will be
        differing = [at for at, (x, y) in enumerate(pairs) if not self.body.same(x, y)]
        if not all(self._may_differ(a, at, *pairs[at]) for at in differing):
            return False
        operands = tuple(self.chosen(x, y, a) for x, y in pairs)
        name = self.body.write(replace(a, operands=operands))
        self._note(a, name, 0)
        self._note(b, name, 1)
        return True

    def _partners(self, a: str, b: str) -> bool:
        """Neither has another twin."""
        return self.twins.get(a, b) == b and self.twins.get(b, a) == a

    def _may_differ(self, op: Op, at: int, a: str, b: str) -> bool:
        types = self.body.type_of(a), self.body.type_of(b)
        if types[0] != types[1] or types[0].kind != "value":
            return False
        tile = len(types[0].shape) > 1
        if op.opcode == "dot":
            return at != 1  # the right operand of a product is read from shared memory as it was loaded
        return not (op.opcode in ("trans", "reshape") and tile)

    def _alone(self, op: Op, side: int) -> None:
        """An op of one loop, done in every iteration; what it does to memory only in those of its loop."""
        op = renamed(op, self.names[side])
        if op.opcode == "descriptor_store":
            block = self.body.type_of(op.operands[0]).shape
            outside = self.body.constant(-block[0], self.body.type_of(op.operands[1]))  # nothing is written there
            offset = self._where(side, op.operands[1], outside)
            op = replace(op, operands=(op.operands[0], offset, *op.operands[2:]))
        elif op.opcode in _MASKS:
            op = self._guarded(op, side)
        self._note(op, self._widened(op, side) or self.body.write(op), side)

    def _guarded(self, op: Op, side: int) -> Op:
        """The access masked by whether it is an iteration of its loop."""
        at, wide = _MASKS[op.opcode], Type("i1", self.body.type_of(op.operands[0]).shape)
        mask = self._wide(side, wide, op)
        if len(op.operands) > at:
            mask = self.body.made("and", (op.operands[at], mask), wide, op)
        operands = (*op.operands[:at], mask, *op.operands[at + 1 :])
        if op.opcode == "load" and len(operands) == at + 1:
            type = op.result.type
            zero = 0.0 if type.is_float else False if type.dtype == "i1" else 0
            operands = (*operands, self.body.constant(zero, type))
        return replace(op, operands=operands)

    def _note(self, op: Op, name: str, side: int) -> None:
        if op.results:
            self.names[side][op.result.name] = name
        if op.opcode == "dot":
            self.products.setdefault(name, set()).add(side)
        twin = self.ops.get(self.twins.get(op.results[0].name, "")) if op.results else None
        made = self.body.producers.get(name)
        if twin is None or made is None or twin.result.name in self.names[1 - side]:
            return
        if renamed(twin, self.names[1 - side]).operands == made.operands:  # loads may have been paired otherwise
            self._note(twin, name, 1 - side)

    def _require_common_products(self, first: Loop, second: Loop) -> None:
        wasted = [name for name, sides in self.products.items() if len(sides) == 1]
        if not wasted:
            return
        by_side: list[list[Op]] = [[], []]
        for name in wasted:
            by_side[next(iter(self.products[name]))].append(self.body.producers[name])
        places = [", ".join(str(op.location) for op in ops) for ops in by_side]
        if all(places):
            what = f"the loops multiply different tiles, at {places[0]} and at {places[1]}"
        else:
            side = 0 if places[0] else 1
            what = f"only the {'first' if side == 0 else 'second'} loop has the product at {places[side]}"
        raise Unsupported(
            f"{what}: several loops become one (at {first.location} and {second.location}), whose every iteration "
            "would do the products of both.",
            hint="Put the loops in kernels of their own, or give them the same products, which differ in masks and "
            "offsets only.",
            location=by_side[1][0].location if by_side[1] else by_side[0][0].location,
        )


def _is_zero(op: Op | None) -> bool:
    return op is not None and op.opcode == "constant" and op.attributes["value"] == 0

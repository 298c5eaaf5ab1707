"""Scalar integers as sums of multiples of unknowns, to tell which are equal, divisible, or not negative.

    lo = pid * 128; hi = (pid + 1) * 128        lo is 128 pid, hi is 128 pid + 128: hi - lo is 128, lo is a
                                                multiple of 128 and not negative

Arithmetic is that of the integers: a kernel whose indices overflow has no meaning anyway.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field

from twill.ir.graph import Op

Atom = Hashable


@dataclass(frozen=True)
class Form:
    """constant + the sum of coefficient * atom; no coefficient is zero."""

    constant: int = 0
    terms: frozenset[tuple[Atom, int]] = frozenset()

    def __add__(self, other: Form) -> Form:
        found = dict(self.terms)
        for atom, by in other.terms:
            found[atom] = found.get(atom, 0) + by
        return _form(self.constant + other.constant, found)

    def __sub__(self, other: Form) -> Form:
        return self + other * -1

    def __mul__(self, by: int) -> Form:
        return _form(self.constant * by, {atom: each * by for atom, each in self.terms})

    @property
    def is_constant(self) -> bool:
        return not self.terms


def _form(constant: int, terms: Mapping[Atom, int]) -> Form:
    return Form(constant, frozenset((atom, by) for atom, by in terms.items() if by))


@dataclass(frozen=True)
class Facts:
    """What is known of an unknown: it is a multiple of `multiple`, and between `low` and `high` (None: no bound)."""

    multiple: int = 1
    low: int | None = None
    high: int | None = None


@dataclass
class Forms:
    """The forms of scalars by name, in one stretch of code after the other.

    multiples: what an argument is a multiple of. hints: the same of any value, as the user wrote (tl.multiple_of).
    """

    multiples: Mapping[str, int]
    hints: Mapping[str, int] = field(default_factory=dict)
    known: dict[str, Form] = field(default_factory=dict)
    facts: dict[Atom, Facts] = field(default_factory=dict)
    hinted: dict[Form, int] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Form:
        if name not in self.known:
            self.known[name] = self._atom(name, Facts(self.multiples.get(name, 1)))
        return self.known[name]

    def define(self, op: Op) -> Form | None:
        """Notes the result of `op`; its form, None when it is no scalar integer."""
        if not op.results or not _is_integer(op):
            return None
        name = op.result.name
        self.known[name] = form = self._of(op)
        if name in self.hints:
            self.hinted[form] = math.lcm(self.hinted.get(form, 1), self.hints[name])
        return form

    def divisible(self, form: Form, by: int) -> bool:
        """Known to be a multiple of `by`."""
        rests = (form, *(form - hinted for hinted, multiple in self.hinted.items() if multiple % by == 0))
        return any(self._multiple(rest) % by == 0 for rest in rests)

    def low(self, form: Form) -> int | None:
        """A number that it is never below; None when none is known."""
        total = form.constant
        for atom, by in form.terms:
            facts = self.facts.get(atom, Facts())
            end = facts.low if by > 0 else facts.high
            if end is None:
                return None
            total += by * end
        return total

    def high(self, form: Form) -> int | None:
        """A number that it is never above; None when none is known."""
        below = self.low(form * -1)
        return None if below is None else -below

    def not_negative(self, form: Form) -> bool:
        low = self.low(form)
        return low is not None and low >= 0

    def _multiple(self, form: Form) -> int:
        return math.gcd(form.constant, *(by * self.facts.get(atom, Facts()).multiple for atom, by in form.terms))

    def _atom(self, atom: Atom, facts: Facts) -> Form:
        self.facts[atom] = facts
        return Form(0, frozenset({(atom, 1)}))

    def _of(self, op: Op) -> Form:
        operands = [self[name] for name in op.operands]
        match op.opcode, operands:
            case "constant", _:
                return Form(int(str(op.attributes["value"])))
            case "add", (a, b):
                return a + b
            case "sub", (a, b):
                return a - b
            case "mul", (a, b) if a.is_constant or b.is_constant:
                return b * a.constant if a.is_constant else a * b.constant
            case "shl", (a, b) if b.is_constant and 0 <= b.constant < 63:
                return a * (1 << b.constant)
            case "cast", (a,) if op.attributes.get("signed", True):
                return a
            case "div", (a, b) if b.is_constant and b.constant > 0 and self._multiple(a) % b.constant == 0:
                by = b.constant
                if all(each % by == 0 for _, each in a.terms) and a.constant % by == 0:
                    return _form(a.constant // by, {atom: each // by for atom, each in a.terms})
        return self._atom((op.opcode, tuple(sorted(op.attributes.items())), self._key(op)), self._facts(op, operands))

    def _key(self, op: Op) -> Hashable:
        """What makes the result of an op that is no sum: its operands, and for reads of memory the op itself."""
        return op.result.name if op.opcode in ("load", "reduce") else tuple(self[name] for name in op.operands)

    def _facts(self, op: Op, operands: list[Form]) -> Facts:
        lows, highs = [self.low(each) for each in operands], [self.high(each) for each in operands]
        multiples = [self._multiple(each) for each in operands]
        match op.opcode:
            case "program_id":
                return Facts(1, 0)
            case "num_programs":
                return Facts(1, 1)
            case "mul":
                low = lows[0] * lows[1] if min(_or(lows[0], -1), _or(lows[1], -1)) >= 0 else None  # type: ignore[operator]
                return Facts(multiples[0] * multiples[1], low)
            case "div" if operands[1].constant > 0 and operands[1].is_constant and _or(lows[0], -1) >= 0:
                return Facts(1, 0)
            case "rem" if operands[1].constant > 0 and operands[1].is_constant and _or(lows[0], -1) >= 0:
                return Facts(1, 0, operands[1].constant - 1)
            case "max":
                found = [low for low in lows if low is not None]
                top = None if None in highs else max(high for high in highs if high is not None)
                return Facts(math.gcd(*multiples), max(found, default=None), top)
            case "min":
                found = [high for high in highs if high is not None]
                bottom = None if None in lows else min(low for low in lows if low is not None)
                return Facts(math.gcd(*multiples), bottom, min(found, default=None))
            case "select":
                bottom = None if None in lows[1:] else min(low for low in lows[1:] if low is not None)
                return Facts(math.gcd(*multiples[1:]), bottom)
        return Facts()


def _or(value: int | None, other: int) -> int:
    return other if value is None else value


def _is_integer(op: Op) -> bool:
    """One integer; a truth value is none."""
    type = op.result.type
    return type.kind == "value" and not type.shape and type.dtype in ("i8", "i16", "i32", "i64")

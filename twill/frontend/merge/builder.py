"""Writes ops one after the other, none of them twice: what was computed before is found again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from twill.frontend.merge.forms import Form, Forms
from twill.ir.graph import Attribute, Op, Type, Value
from twill.ir.opcodes import PURE

I1 = Type("i1")


class Builder:
    """One stretch of code: the ops written so far, and what is visible in it.

    forms: of the scalar integers, shared with the stretches inside. types: of every visible value.
    """

    def __init__(self, forms: Forms, values: Iterable[Value], taken: set[str]) -> None:
        self.forms = forms
        self.types = {value.name: value.type for value in values}
        self.taken = taken
        self.ops: list[Op] = []
        self.producers: dict[str, Op] = {}
        self._known: dict[object, str] = {}
        self._by_form: dict[tuple[str, Form], str] = {}
        for name, type in self.types.items():
            if _is_integer(type):
                self._by_form.setdefault((type.dtype, forms[name]), name)

    def inside(self, values: Iterable[Value]) -> Builder:
        """A builder of code that sees what this one wrote, and `values`."""
        inner = Builder(self.forms, (*(Value(*each) for each in self.types.items()), *values), self.taken)
        inner.producers, inner._known = dict(self.producers), dict(self._known)
        return inner

    def type_of(self, name: str) -> Type:
        return self.types[name]

    def write(self, op: Op) -> str:
        """Writes `op`, or finds its value; the name of the result, "" without one."""
        if op.opcode not in PURE:
            self._append(op)
            return op.result.name if op.results else ""
        identity = op.opcode, op.operands, _attributes(op), op.result.type
        found = self._known.get(identity)
        if found is not None:
            return found
        name = op.result.name
        form = self.forms.define(op)
        if form is not None:
            key = op.result.type.dtype, form
            found = self._by_form.get(key)
            if found is not None:
                return found
            self._by_form[key] = name
        self._known[identity] = name
        self._append(op)
        return name

    def _append(self, op: Op) -> None:
        self.ops.append(op)
        for value in op.results:
            self.types[value.name] = value.type
            self.producers[value.name] = op

    def made(self, opcode: str, operands: tuple[str, ...], type: Type, like: Op, **attributes: Attribute) -> str:
        """The value of a new op, placed where `like` is in the source and named after it."""
        stem = like.result.name if like.results else opcode
        name = self.fresh("c" if opcode == "constant" else stem)
        return self.write(Op(opcode, operands, (Value(name, type),), attributes, like.location))

    def constant(self, value: Attribute, type: Type) -> str:
        return self.made("constant", (), type, Op("constant"), value=value)

    def scalar(
        self, opcode: str, *operands: str, type: Type | None = None, name: str = "", **attributes: Attribute
    ) -> str:
        """The value of a scalar op, of the first operand's type unless `type` says else."""
        found = self.types[operands[0]] if type is None else type
        return self.write(Op(opcode, operands, (Value(self.fresh(name or opcode), found),), attributes))

    def fresh(self, stem: str) -> str:
        """A name that nothing has yet, `stem` where that is free."""
        name, number = stem, 0
        while name in self.taken:
            number += 1
            name = f"{stem}_{number}"
        self.taken.add(name)
        return name

    def same(self, a: str, b: str) -> bool:
        """Known to be the same value."""
        if a == b:
            return True
        same_type = self.types[a] == self.types[b]
        return same_type and _is_integer(self.types[a]) and self.forms[a] == self.forms[b]


def _is_integer(type: Type) -> bool:
    """One integer; a truth value is none."""
    return type.kind == "value" and not type.shape and type.dtype in ("i8", "i16", "i32", "i64")


def renamed(op: Op, names: Mapping[str, str]) -> Op:
    """The op with its operands as they are called here."""
    return replace(op, operands=tuple(names.get(name, name) for name in op.operands))


def _attributes(op: Op) -> object:
    return tuple(sorted((key, type(value).__name__, repr(value)) for key, value in op.attributes.items()))

"""An op under test: what the rules of `signatures.py` ask about its operands, result and attributes."""

from __future__ import annotations

from dataclasses import dataclass, replace

from twill.errors import InputError
from twill.ir.graph import Attribute, Op, Type
from twill.ir.text import print_op, print_type


@dataclass(frozen=True)
class Subject:
    """An op under test with the types of its operands, in order."""

    op: Op
    types: tuple[Type, ...]

    def require(self, condition: bool, message: str) -> None:
        if not condition:
            text = print_op(replace(self.op, location=None))
            raise InputError(f"`{text}`: {message}.", location=self.op.location)

    @property
    def result(self) -> Type:
        return self.op.results[0].type

    def operands(self, least: int, most: int | None = None) -> None:
        count, most = len(self.types), least if most is None else most
        wanted = str(least) if least == most else f"{least} to {most}"
        self.require(least <= count <= most, f"takes {wanted} operands, has {count}")

    def attribute(self, key: str, kind: type, default: Attribute | None = None) -> Attribute:
        value = self.op.attributes.get(key, default)
        self.require(value is not None, f"lacks the attribute `{key}`")
        right = isinstance(value, kind) and (kind is bool or not isinstance(value, bool))
        self.require(right, f"attribute `{key}` is {value!r}, not of type {kind.__name__}")
        assert value is not None
        return value

    def integer(self, key: str, low: int, high: int) -> int:
        """An int attribute with low <= value < high."""
        value = self.attribute(key, int)
        assert isinstance(value, int)
        self.require(low <= value < high, f"attribute `{key}` is {value}, not in [{low}, {high})")
        return value

    def choice(self, key: str, allowed: frozenset[str], default: str | None = None) -> str:
        value = str(self.attribute(key, str, default))
        self.require(value in allowed, f"attribute `{key}` is {value!r}, not one of {', '.join(sorted(allowed))}")
        return value

    def same(self, left: Type, right: Type, what: str) -> None:
        self.require(left == right, f"{what}: {print_type(left)} and {print_type(right)} differ")

    def same_shape(self, left: Type, right: Type, what: str) -> None:
        self.require(
            left.shape == right.shape, f"{what}: the shapes of {print_type(left)} and {print_type(right)} differ"
        )

    def values(self, *types: Type) -> None:
        for type in types:
            self.require(type.kind == "value", f"{print_type(type)} is not a plain value")

    def scalar_integer(self, type: Type, what: str) -> None:
        right = type.kind == "value" and type.shape == () and type.dtype in ("i8", "i16", "i32", "i64")
        self.require(right, f"{what} is {print_type(type)}, not a scalar integer")

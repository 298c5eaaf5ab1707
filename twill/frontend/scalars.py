"""Scalars of the code before the loop, for one program of one launch: integers, and what is read from small tensors."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

import numpy as np

from twill.errors import InputError, Unsupported
from twill.frontend.launch import MOST_CONTENTS, Constant, Launch
from twill.ir.graph import Graph, Op, Type, Value
from twill.ir.outer import depends_on_tile

Program = tuple[int, int, int]
Number = bool | int | float


class Scalars:
    """The scalar values before the loop in one program, computed when asked for, as the GPU has them.

    Integers wrap at the width of their type, floats are rounded to theirs.
    known: values by name, of the arguments and of what was computed; producers: the ops that can be.
    """

    def __init__(self, graph: Graph, launch: Launch, program: Program) -> None:
        self.graph = graph
        self.program = program
        self.launch = launch
        self.grid = launch.grid or (1, 1, 1)
        self.known: dict[str, Constant] = {
            spec.name: _rounded(spec.value, Type(spec.dtype)) if isinstance(spec.value, float) else spec.value
            for spec in launch.arguments
            if spec.kind == "scalar"
        }
        self.producers = {op.result.name: op for op in graph.before if op.results}

    def of_tile(self, index: int) -> Scalars:
        """The scalars in one turn of the outer loop."""
        outer = self.graph.outer
        assert outer is not None
        of_tile = depends_on_tile(self.graph)
        found = Scalars(self.graph, self.launch, self.program)
        found.producers = dict(self.producers)
        found.known = {name: value for name, value in self.known.items() if name not in of_tile}
        found.known[outer.index.name] = index
        return found

    def get(self, name: str) -> Number | None:
        """The value, None when it cannot be known."""
        try:
            return self[name]
        except (Unsupported, InputError):
            return None

    def __getitem__(self, name: str) -> Number:
        found = self.known.get(name)
        if isinstance(found, (bool, int, float)):
            return found
        op = self.producers.get(name)
        if op is None:
            raise InputError(
                f"the loop's trip count depends on argument `{name}`, whose value is not known.",
                hint="Give @twill.kernel(example=...) with a value for it.",
                location=self.graph.loop.location,
            )
        self.known[name] = found = self.compute(op)
        return found

    def compute(self, op: Op) -> Number:
        if op.opcode == "constant" and isinstance(op.attributes["value"], (bool, int, float)):
            return op.attributes["value"]
        if op.opcode in ("program_id", "num_programs"):
            extents = self.program if op.opcode == "program_id" else self.grid
            return extents[int(str(op.attributes["axis"]))]
        if op.opcode == "load" and not op.result.type.shape:
            return self.read(op)
        if op.opcode not in _MEANINGS or op.result.type.shape:
            raise Unsupported(
                f"the loop's trip count depends on `{op.opcode}`: it is not known before the kernel runs.",
                hint="Compute the bounds from scalar arguments, program ids and single elements of tensors (tl.load).",
                location=op.location or self.graph.loop.location,
            )
        operands = [self[name] for name in op.operands]
        if op.attributes.get("signed", True) is False:
            operands = [self.unsigned(*each) for each in zip(op.operands, operands, strict=True)]
        return _rounded(_MEANINGS[op.opcode](op, *operands), op.result.type)

    def unsigned(self, name: str, value: Number) -> Number:
        """The bits of a whole number read without a sign."""
        type = self.types[name].type
        return value if type.is_float else int(value) % (1 << type.bits)

    @cached_property
    def types(self) -> Mapping[str, Value]:
        return self.graph.values()

    def read(self, op: Op) -> Number:
        """The element that a scalar load reads, from the example's values."""
        if len(op.operands) > 1 and not self[op.operands[1]]:
            return self[op.operands[2]] if len(op.operands) > 2 else 0
        name, at = self.address(op.operands[0], op)
        contents = next((spec.contents for spec in self.launch.arguments if spec.name == name), None)
        if contents is None:
            raise Unsupported(
                f"the loop's trip count depends on values of `{name}` that are not known before the kernel runs.",
                hint=f"Give an example in which `{name}` is an integer tensor of at most {MOST_CONTENTS} elements "
                "that the kernel only reads.",
                location=op.location or self.graph.loop.location,
            )
        if not 0 <= at < len(contents):
            raise InputError(
                f"program {self.program} reads element {at} of `{name}`, which has {len(contents)}.",
                hint="The grid and the example's tensors must fit together.",
                location=op.location,
            )
        return contents[at]

    def address(self, name: str, user: Op) -> tuple[str, int]:
        """A scalar pointer before the loop as (tensor argument, offset in elements)."""
        op = self.producers.get(name)
        if op is None:
            return name, 0
        if op.opcode != "addptr":
            raise Unsupported(
                f"the loop's trip count depends on a load whose address is made by `{op.opcode}`.",
                hint="Load from the tensor argument plus an offset.",
                location=user.location or self.graph.loop.location,
            )
        argument, at = self.address(op.operands[0], user)
        return argument, at + int(self[op.operands[1]])


def _divide(op: Op, a: int, b: int) -> int:
    """Integer division toward zero."""
    if b == 0:
        raise InputError("a division by zero in the loop's bounds.", location=op.location)
    return abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)


def _compare(op: Op, a: Number, b: Number) -> bool:
    return {"eq": a == b, "ne": a != b, "lt": a < b, "le": a <= b, "gt": a > b, "ge": a >= b}[
        str(op.attributes["predicate"])
    ]


def _cast(op: Op, a: Number) -> Number:
    """`_rounded` does the rest; floats saturate on the way to an integer, toward zero."""
    signed = op.attributes.get("signed", True)
    if isinstance(a, bool) and signed:
        a = -a
    if op.result.type.is_float:
        return float(a)
    if isinstance(a, float):
        bits = op.result.type.bits
        low, high = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)
        return 0 if math.isnan(a) else int(min(max(a, low), high))
    return int(a)


def _shift(op: Op, a: int, b: int) -> int:
    """`b` is without a sign, and the width or more shifts everything out."""
    bits = op.result.type.bits
    by = min(b % (1 << bits), bits)
    return a << by if op.opcode == "shl" else a >> by


_FLOATS: Mapping[str, Callable[..., Any]] = {"f16": np.float16, "f32": np.float32, "f64": np.float64}


def _rounded(value: Number, type: Type) -> Number:
    """What a value of this type holds of a number: integers wrap, i1 is the last bit, floats are the nearest."""
    if type.is_float:
        with np.errstate(over="ignore"):
            if type.dtype in _FLOATS:
                return float(_FLOATS[type.dtype](value))
            from twill.ir.dtypes import round_to  # its library is not on every machine with a GPU

            return float(round_to(np.asarray(value, np.float64), type.dtype))
    if type.dtype == "i1":
        return bool(int(value) & 1)
    half = 1 << (type.bits - 1)
    return (int(value) + half) % (2 * half) - half


_MEANINGS: Mapping[str, Callable[..., Number]] = {
    "add": lambda op, a, b: a + b,
    "sub": lambda op, a, b: a - b,
    "mul": lambda op, a, b: a * b,
    "div": lambda op, a, b: a / b if op.result.type.is_float else _divide(op, a, b),
    "rem": lambda op, a, b: math.fmod(a, b) if op.result.type.is_float else a - b * _divide(op, a, b),
    "max": lambda op, a, b: max(a, b),
    "min": lambda op, a, b: min(a, b),
    "and": lambda op, a, b: a & b,
    "or": lambda op, a, b: a | b,
    "xor": lambda op, a, b: a ^ b,
    "shl": _shift,
    "shr": _shift,
    "neg": lambda op, a: -a,
    "abs": lambda op, a: abs(a),
    "floor": lambda op, a: float(math.floor(a)),
    "ceil": lambda op, a: float(math.ceil(a)),
    "select": lambda op, c, a, b: a if c else b,
    "cmp": _compare,
    "cast": _cast,
}

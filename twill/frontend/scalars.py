"""Scalars of the code before the loop, for one program of one launch: integers, and what is read from small tensors."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from twill.errors import InputError, Unsupported
from twill.frontend.launch import MOST_CONTENTS, Constant, Launch
from twill.ir.graph import Graph, Op
from twill.ir.outer import depends_on_tile

Program = tuple[int, int, int]
Number = bool | int | float


class Scalars:
    """The scalar values before the loop in one program, computed when asked for.

    known: values by name, of the arguments and of what was computed; producers: the ops that can be.
    """

    def __init__(self, graph: Graph, launch: Launch, program: Program) -> None:
        self.graph = graph
        self.program = program
        self.launch = launch
        self.grid = launch.grid or (1, 1, 1)
        self.known: dict[str, Constant] = dict(launch.scalars)
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
        return _MEANINGS[op.opcode](op, *(self[name] for name in op.operands))

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
    if op.result.type.is_float:
        return float(a)
    if op.result.type.dtype == "i1":
        return bool(a)
    bits = op.result.type.bits
    return (int(a) + (1 << (bits - 1))) % (1 << bits) - (1 << (bits - 1))


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
    "shl": lambda op, a, b: a << b,
    "shr": lambda op, a, b: a >> b,
    "neg": lambda op, a: -a,
    "abs": lambda op, a: abs(a),
    "floor": lambda op, a: float(math.floor(a)),
    "ceil": lambda op, a: float(math.ceil(a)),
    "select": lambda op, c, a, b: a if c else b,
    "cmp": _compare,
    "cast": _cast,
}

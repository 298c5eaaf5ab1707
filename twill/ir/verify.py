"""The structural verifier: raises InputError at the first op of a Graph that breaks a rule.

Checked, in program order: arguments are scalars, pointers or descriptors; names are well formed and
unique; a value is defined before its use and visible there (a value of the loop body is not visible
after the loop); operands, result and attributes follow the opcode's signature (twill.ir.signatures);
bounds and step have the type of the loop's index; what a loop-carried value starts as, is in the
body, is yielded as and results in have one type; sub-tile numbers are below `subtiles`; the
same of an outer loop's index, bounds and step. An error
names the op, its place in the source and both sides of what does not agree.
"""

from __future__ import annotations

import re
from dataclasses import replace

from twill.errors import InputError, Location
from twill.ir.graph import DTYPE_BITS, Graph, Loop, Op, Outer, Type, Value
from twill.ir.opcodes import STORES
from twill.ir.outer import depends_on_tile
from twill.ir.signatures import RULES
from twill.ir.subject import Subject
from twill.ir.text import print_op, print_type

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*")


def verify(graph: Graph) -> None:
    """Returns when the graph is well formed; raises InputError otherwise."""
    _Verifier(graph).run()


class _Verifier:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.names: set[str] = set()
        self.visible: dict[str, Type] = {}
        self.hidden: dict[str, str] = {}  # values that exist but cannot be used here, with the reason

    def run(self) -> None:
        graph = self.graph
        if graph.subtiles < 1:
            raise InputError(f"graph {graph.name}: subtiles is {graph.subtiles}, not at least 1.")
        for argument in graph.arguments:
            self._define(argument, f"argument %{argument.name}", None)
            if argument.type.kind != "descriptor" and argument.type.shape:
                raise InputError(
                    f"argument %{argument.name} is {print_type(argument.type)}; kernels take scalars, pointers and "
                    "tensor descriptors."
                )
        before = list(graph.before)
        if graph.outer is not None:
            of_tile = depends_on_tile(graph)
            for op in [op for op in before if not of_tile & {*op.operands}]:
                self._outside(op)
                before.remove(op)
            self._range(graph.outer, "the outer loop")
            self._define(graph.outer.index, "the outer loop's index", graph.outer.location)
        for op in before:
            self._outside(op)
        self._loop(graph.loop)
        for op in graph.after:
            self._outside(op)

    def _loop(self, loop: Loop) -> None:
        where = loop.location
        self._range(loop, "the loop")
        for carried in loop.carried:
            entry = self._use(carried.initial, f"the initial value of %{carried.argument.name}", where)
            self._match(carried.argument, carried.initial, entry, "starts as", where)
            self._subtile(carried.subtile, f"the carried value %{carried.argument.name}", where)
        outside = set(self.visible)
        self._define(loop.index, "the loop's index", where)
        for carried in loop.carried:
            self._define(carried.argument, "a carried value", where)
        for op in loop.body:
            self._op(op)
        for carried in loop.carried:
            type = self._use(carried.yielded, f"the next value of %{carried.argument.name}", where)
            self._match(carried.argument, carried.yielded, type, "is yielded", where)
        for name in list(self.visible):
            if name not in outside:
                del self.visible[name]
                self.hidden[name] = "is a value of the loop's body, not visible after it"
        for carried in loop.carried:
            self._define(carried.result, "a result of the loop", where)
            self._match(carried.argument, carried.result.name, carried.result.type, "results in", where)

    def _range(self, loop: Loop | Outer, what: str) -> None:
        where, index = loop.location, loop.index.type
        if index.kind != "value" or index.shape or index.dtype not in ("i8", "i16", "i32", "i64"):
            raise InputError(
                f"{what}'s index %{loop.index.name} is {print_type(index)}, not an integer.", location=where
            )
        for role, name in (("lower bound", loop.lower), ("upper bound", loop.upper), ("step", loop.step)):
            type = self._use(name, f"{what}'s {role}", where)
            if type != index:
                raise InputError(
                    f"{what}'s {role} %{name} is {print_type(type)}, its index %{loop.index.name} {print_type(index)}.",
                    location=where,
                )

    def _outside(self, op: Op) -> None:
        if op.opcode == "async_load":
            message = f"`{print_op(replace(op, location=None))}`: asynchronous copies are made in the loop."
            raise InputError(message, hint="Outside of it, use `load` or `descriptor_load`.", location=op.location)
        self._op(op)

    def _op(self, op: Op) -> None:
        what = f"`{print_op(replace(op, location=None))}`"
        types = tuple(self._use(name, what, op.location) for name in op.operands)
        self._subtile(op.subtile, what, op.location)
        if op.opcode not in RULES:
            raise InputError(f"{what}: there is no opcode {op.opcode}.", location=op.location)
        wanted = 0 if op.opcode in STORES else 1
        if len(op.results) != wanted:
            raise InputError(
                f"{what}: has {len(op.results)} results, {op.opcode} gives {wanted}.", location=op.location
            )
        rule, allowed = RULES[op.opcode]
        unknown = sorted(set(op.attributes) - allowed)
        if unknown:
            known = ", ".join(sorted(allowed)) or "none"
            raise InputError(
                f"{what}: {op.opcode} has no attribute {unknown[0]} (it has {known}).", location=op.location
            )
        for value in op.results:
            self._define(value, what, op.location)
        rule(Subject(op, types))

    def _define(self, value: Value, what: str, where: Location | None) -> None:
        if not _NAME.fullmatch(value.name):
            raise InputError(f"{what}: {value.name!r} is not a name ([A-Za-z_][A-Za-z0-9_.]*).", location=where)
        if value.name in self.names:
            raise InputError(f"{what}: %{value.name} is defined a second time.", location=where)
        if value.type.dtype not in DTYPE_BITS:
            raise InputError(f"{what}: %{value.name} has the unknown dtype {value.type.dtype}.", location=where)
        if value.type.kind not in ("value", "pointer", "descriptor"):
            raise InputError(f"{what}: %{value.name} is of the unknown kind {value.type.kind}.", location=where)
        if any(extent < 1 for extent in value.type.shape):
            raise InputError(f"{what}: %{value.name} has the empty shape {list(value.type.shape)}.", location=where)
        self.names.add(value.name)
        self.visible[value.name] = value.type

    def _use(self, name: str, what: str, where: Location | None) -> Type:
        if name not in self.visible:
            reason = self.hidden.get(name, "is not defined before this use")
            raise InputError(f"{what}: %{name} {reason}.", location=where)
        return self.visible[name]

    def _match(self, argument: Value, name: str, type: Type, verb: str, where: Location | None) -> None:
        if type != argument.type:
            raise InputError(
                f"the carried value %{argument.name} is {print_type(argument.type)} but {verb} "
                f"%{name}, {print_type(type)}.",
                location=where,
            )

    def _subtile(self, subtile: int | None, what: str, where: Location | None) -> None:
        if subtile is not None and not 0 <= subtile < self.graph.subtiles:
            raise InputError(
                f"{what}: sub-tile {subtile} of a graph with {self.graph.subtiles} sub-tiles.", location=where
            )

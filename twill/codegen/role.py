"""Expressions of one role: how it names, recomputes or reads each value of the graph."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from twill.codegen.layouts import Layout, Slice
from twill.codegen.names import legal
from twill.codegen.scope import Kernel, fold, index_of
from twill.codegen.statements import (
    DONE,
    TILE,
    TILE_NUMBER,
    TURNED,
    Apply,
    Arrive,
    Convert,
    Count,
    Expr,
    If,
    Iteration,
    Let,
    Literal,
    Name,
    ReadTile,
    Stmt,
    Tile,
    Tiles,
    TmaLoad,
    TripCount,
    Wait,
)
from twill.errors import Unsupported
from twill.ir.graph import Op, Type
from twill.ir.opcodes import FETCHES

Resolve = Callable[[str, Layout | None], Expr]
"""The expression for a value by name, in a layout when it is a tile."""


class Role:
    """Resolves values of the graph to expressions of one role's program.

    parameters collects what the role takes from the kernel; needed collects the values computed
    before the loop that it uses, in any order (emit them with `preamble`).
    """

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.parameters: set[str] = set()
        self.needed: dict[str, None] = {}  # in the order of first use, so that names repeat
        self.homes: dict[str, Layout] = {}
        self._variables: dict[str, str] = {}

    # -- names ------------------------------------------------------------------------------------

    def variable(self, name: str, copy: int = 0) -> str:
        """The role's variable for a value; copy k holds the value of k definitions earlier."""
        if name not in self._variables:
            stem = re.sub(r"\.\d+$", "", name)
            stem = legal(re.sub(r"_\d+$", "", stem))
            taken = set(self._variables.values()) | {self.kernel.identifier(used) for used in self.kernel.arguments}
            taken |= {self.kernel.identifier(used) for used in self.kernel.used_descriptors}
            text, number = stem, 1
            while text in taken:
                number += 1
                text = f"{stem}{number}"
            self._variables[name] = text
        return self._variables[name] + ("_prev" * copy if copy < 3 else f"_prev{copy}")

    # -- values visible everywhere ------------------------------------------------------------------

    def outer(self, name: str, layout: Layout | None) -> Expr:
        """A value defined before the loop (or an argument), in `layout` when it is a tile."""
        kernel = self.kernel
        if name in kernel.arguments:
            parameter = kernel.identifier(name)
            self.parameters.add(parameter)
            return Name(parameter)
        if kernel.graph.outer is not None and name == kernel.graph.outer.index.name:
            return Name(self.variable(name))
        op = kernel.producers[name]
        type = kernel.types[name]
        if op.opcode == "constant" and not type.shape:
            return Literal(op.attributes["value"], type)
        if op.opcode in {"constant", "splat", "arange", "expand_dims", "broadcast"}:
            return self.free(op, layout, self.outer)
        load = kernel.tile_load(name)
        if load is not None and op.opcode not in FETCHES:
            raise Unsupported(f"`{name}` views a loaded tile in registers.", location=op.location)
        self.needed[name] = None
        return self.converted(Name(self.variable(name)), name, layout)

    def converted(self, expr: Expr, name: str, layout: Layout | None) -> Expr:
        """`expr`, the value `name` in its home layout, brought to `layout`."""
        home = self.homes.get(name)
        if layout is None or home is None or home == layout or not self.kernel.types[name].shape:
            return expr
        return Convert(expr, layout)

    def free(self, op: Op, layout: Layout | None, resolve: Resolve) -> Expr:
        """A free op recomputed in place; tiles come out in `layout`."""
        if op.opcode in {"trans", "reshape"}:
            value = self.apply(op, (resolve(op.operands[0], None),), None)
            return Convert(value, layout) if layout is not None else value
        wanted = layout
        if op.opcode == "expand_dims" and layout is not None:
            axis = op.attributes["axis"]
            assert isinstance(axis, int)
            wanted = Slice(axis, layout)
        operands = tuple(resolve(operand, self.operand_layout(operand, wanted)) for operand in op.operands)
        return fold(self.apply(op, operands, layout if op.result.type.shape else None))

    def apply(self, op: Op, operands: tuple[Expr, ...], layout: Layout | None) -> Apply:
        """The op on operands already resolved; its type is that of its result, or of the value it stores."""
        types = tuple(self.kernel.types[name] for name in op.operands)
        type = op.result.type if op.results else self.kernel.types[op.operands[1]]
        return Apply(op.opcode, operands, op.attributes, type, layout, types)

    def scalar(self, name: str, iteration: Iteration) -> Expr:
        """A scalar of the body at an iteration, recomputed from the loop index."""
        kernel = self.kernel
        if name == kernel.graph.loop.index.name:
            lower = self.outer(kernel.graph.loop.lower, None)
            step = self.outer(kernel.graph.loop.step, None)
            return index_of(iteration, lower, step)
        if name not in kernel.body and name not in kernel.after:
            if name in kernel.carried or name in kernel.results:
                raise Unsupported(
                    f"the scalar `{name.removesuffix('_prev')}` is carried around the loop by more than a constant "
                    "step.",
                    hint="Compute it from the loop index, or carry a tile in its place: tl.full([1], ...).",
                    location=kernel.graph.loop.location,
                )
            return self.outer(name, None)
        op = kernel.producers[name]
        operands = tuple(self.scalar(operand, iteration) for operand in op.operands)
        return fold(self.apply(op, operands, None))

    def trip_count(self) -> TripCount:
        """The number of iterations, as this role computes it."""
        loop = self.kernel.graph.loop
        lower, upper, step = (self.outer(name, None) for name in (loop.lower, loop.upper, loop.step))
        return TripCount(lower, upper, step, exact=self.kernel.graph.outer is not None)

    def tiles(self, body: tuple[Stmt, ...], first: tuple[Stmt, ...] = ()) -> tuple[Stmt, ...]:
        """A loop over the tiles around `body`, counting them and their iterations, after what is the same for all.

        `body` must be whole, but for what it needs computed before the loop, which comes between it and `first`.
        """
        outer = self.kernel.graph.outer
        assert outer is not None
        lower, upper, step = (self.outer(name, None) for name in (outer.lower, outer.upper, outer.step))
        once, each = self.preamble_parts()
        body = (*first, *each, *body, Count(DONE, None))
        if any(isinstance(stmt, Wait | Arrive | TmaLoad) and stmt.barrier.iteration == TILE for stmt in body):
            body = (*body, Count(TILE_NUMBER, 1))
        begin = [Let(name, Literal(0, Type("i32"))) for name in (DONE, TURNED, TILE_NUMBER) if _counts(body, name)]
        return (*once, *begin, Tiles(self.variable(outer.index.name), lower, upper, step, body))

    # -- the straight-line code before the loop -----------------------------------------------------

    def preamble(self) -> tuple[Stmt, ...]:
        """Definitions of everything `needed`, in program order (closes over what they need)."""
        once, each = self.preamble_parts()
        return (*once, *each)

    def preamble_parts(self) -> tuple[tuple[Stmt, ...], tuple[Stmt, ...]]:
        """The same in two: what is the same for all tiles, and what is computed in each."""
        emitted: dict[str, Stmt] = {}
        while True:
            missing = [name for name in self.needed if name not in emitted]
            if not missing:
                break
            for name in missing:
                emitted[name] = self._define(self.kernel.producers[name])
        order = [op.result.name for op in self.kernel.graph.before if op.results and op.result.name in emitted]
        of_tile = self.kernel.of_tile
        return (
            tuple(emitted[name] for name in order if name not in of_tile),
            tuple(emitted[name] for name in order if name in of_tile),
        )

    def _define(self, op: Op) -> Stmt:
        name = op.result.name
        home = self.homes.get(name)
        if op.opcode == "descriptor_load":
            if home is None:
                raise AssertionError(f"no layout for the tile {name}")
            return Let(self.variable(name), ReadTile(self.static_tile(op), home))
        if op.opcode == "dot":
            raise Unsupported(
                "a dot before the loop is not emitted yet.",
                hint="Move it into the loop or into a kernel of its own.",
                location=op.location,
            )
        return Let(self.variable(name), self.apply(op, self.operands_of(op, home, self.outer), home))

    def operands_of(self, op: Op, home: Layout | None, resolve: Resolve) -> tuple[Expr, ...]:
        """Operands of an op whose result lives in `home`: tiles in that layout too, a reduction's in their own."""
        wanted = self.homes[op.operands[0]] if op.opcode == "reduce" else home
        return tuple(resolve(operand, self.operand_layout(operand, wanted)) for operand in op.operands)

    def operand_layout(self, operand: str, layout: Layout | None) -> Layout | None:
        """Layout in which a tile operand of an elementwise op is wanted."""
        return layout if self.kernel.types[operand].shape else None

    def static_tile(self, op: Op) -> Tile:
        """The buffer of a tile loaded before the loop; the role must wait for it once."""
        found = self.kernel.tile_load(op.result.name)
        assert found is not None
        buffer = self.kernel.buffer_name(op)
        self.parameters.update({buffer, f"{buffer}_full"})
        return Tile(buffer, views=found[1])


def _counts(body: Iterable[Stmt], counter: str) -> bool:
    """Some statement adds to `counter`."""
    return any(
        statement.counter == counter if isinstance(statement, Count) else
        isinstance(statement, If) and _counts((*statement.then, *statement.orelse), counter)
        for statement in body
    )  # fmt: skip

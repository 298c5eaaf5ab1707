"""The rewriting behind `twill.ir.subtile.split`: per-sub-tile copies of what is divided."""

from __future__ import annotations

from dataclasses import replace

from twill.errors import Unsupported
from twill.ir.addresses import address_values
from twill.ir.graph import Carried, Graph, Op, Type, Value
from twill.ir.opcodes import ELEMENTWISE, STORES
from twill.ir.rows import Rows, block_axis, operand_axis, reduced_scalars, store_name, stored_type


class Copies:
    """Rewrites a graph op by op; see twill.ir.subtile for what becomes of each."""

    def __init__(self, graph: Graph, n: int, rows: Rows) -> None:
        self.graph = graph
        self.n = n
        self.rows = rows
        self.types = {name: value.type for name, value in graph.values().items()}
        self.copied = self._copied_values()
        self.names = set(self.types)
        self.needed: dict[str, list[int | None]] = {}
        self.outside = {value.name for value in graph.arguments}
        self.outside |= {value.name for op in graph.before for value in op.results}
        self.outside |= {graph.outer.index.name} if graph.outer is not None else set()
        self.shifted: dict[tuple[str, int, int], str] = {}
        self.prelude: list[Op] = []  # offsets that the body uses but that can be computed before it
        self._collect_versions()
        self.descriptors = self._descriptor_variants()

    def run(self) -> Graph:
        graph, loop = self.graph, self.graph.loop
        for what, name in (("lower bound", loop.lower), ("upper bound", loop.upper), ("step", loop.step)):
            if name in self.copied and self.n > 1:
                raise Unsupported(
                    f"the loop's {what} %{name} is reduced from a tile, so {self.n} sub-tiles could disagree on it.",
                    location=loop.location,
                )
        for op in graph.ops():
            if op.opcode == "descriptor" and op.result.name in self.copied and self.n > 1:
                raise Unsupported(
                    f"the tensor descriptor %{op.result.name} depends on a value reduced from a tile.",
                    location=op.location,
                )
        arguments = tuple(self._argument(value) for value in graph.arguments)
        before = self._section(graph.before)
        body = self._section(loop.body, inside=True)
        after = self._section(graph.after)
        carried = tuple(copy for c in loop.carried for copy in self._carried(c))
        loop = replace(
            loop,
            lower=self._operand(loop.lower, None, None),
            upper=self._operand(loop.upper, None, None),
            step=self._operand(loop.step, None, None),
            carried=carried,
            body=body,
        )
        return replace(
            graph, arguments=arguments, before=(*before, *self.prelude), loop=loop, after=after, subtiles=self.n
        )

    # ------------------------------------------------------------------------------- analysis

    def _copied_values(self) -> frozenset[str]:
        """Values that live in registers of a sub-tile: computed from tiles, carried, rows of a load, or loaded by
        pointers in the loop."""
        flexible, own = self.rows.flexible, reduced_scalars(self.graph)
        copied = set(own) | {name for name in self.rows.axis if name in self.types}
        for c in self.graph.loop.carried:
            if c.argument.type.shape:
                copied |= {c.argument.name, c.result.name}
        addresses = address_values(self.graph)
        looped = {value.name for op in self.graph.loop.body for value in op.results}
        for op in self.graph.ops():
            if op.opcode in STORES or op.result.name in flexible:
                continue
            tile = op.result.type.shape != () and op.result.type.kind == "value"
            computes = op.opcode in ELEMENTWISE | {"dot", "reduce"} and tile
            fetches = op.opcode == "load" and op.result.name in looped - addresses
            if computes or fetches or not copied.isdisjoint(op.operands):
                copied.add(op.result.name)
        return frozenset(copied)

    def _axis(self, op: Op) -> int | None:
        return self.rows.axis.get(store_name(op) if op.opcode in STORES else op.result.name)

    def _collect_versions(self) -> None:
        """The axes along which each flexible value is needed divided, None for whole, by its users."""

        def need(name: str, axis: int | None) -> None:
            if name in self.rows.flexible:
                wanted = self.needed.setdefault(name, [])
                if axis not in wanted:
                    wanted.append(axis)

        loop = self.graph.loop

        def visit(ops: tuple[Op, ...]) -> None:
            for op in reversed(ops):
                own: list[int | None] = [self._axis(op)]
                if op.results and op.result.name in self.rows.flexible:
                    own = self.needed.setdefault(op.result.name, []) or [None]
                    self.needed[op.result.name] = own
                for axis in own:
                    for index, name in enumerate(op.operands):
                        need(name, self._operand_axis(op, index, axis))

        visit(self.graph.after)
        for c in loop.carried:
            need(c.yielded, self.rows.axis.get(c.argument.name))
        visit(loop.body)
        for c in loop.carried:
            need(c.initial, self.rows.axis.get(c.argument.name))
        visit(self.graph.before)

    def _operand_axis(self, op: Op, index: int, axis: int | None) -> int | None:
        return None if axis is None else operand_axis(op, index, axis, self.types)

    def _block_axis(self, op: Op) -> int | None:
        """The axis of the descriptor's block that a descriptor_load or _store of rows divides."""
        axis = self._axis(op)
        tile = stored_type(op, self.types) if op.opcode in STORES else op.result.type
        return None if axis is None else block_axis(self.types[op.operands[0]].shape, tile.shape, axis)

    def _descriptor_variants(self) -> dict[tuple[str, int | None], Value]:
        """For each descriptor and the block axis it is divided along (None: whole): what stands for it."""
        uses: dict[str, list[int | None]] = {}
        for op in self.graph.ops():
            if op.opcode in ("descriptor_load", "descriptor_store"):
                axes = uses.setdefault(op.operands[0], [])
                if self._block_axis(op) not in axes:
                    axes.append(self._block_axis(op))
        arguments = {value.name for value in self.graph.arguments}
        variants: dict[tuple[str, int | None], Value] = {}
        for name, axes in uses.items():
            if len(axes) > 1 and name in arguments and self.n > 1:
                raise Unsupported(
                    f"the tensor descriptor argument %{name} is used both for rows and for whole tiles; "
                    f"one block shape cannot serve both among {self.n} sub-tiles.",
                    hint="Pass two descriptors, or make them in the kernel.",
                )
            axes.sort(key=lambda axis: (axis is not None, axis))  # the whole tile keeps the name
            for position, axis in enumerate(axes):
                new = name if position == 0 or self.n == 1 else self._fresh(f"{name}.rows")
                variants[name, axis] = Value(new, self._divided(self.types[name], axis))
        return variants

    # ------------------------------------------------------------------------------ rewriting

    def _section(self, ops: tuple[Op, ...], inside: bool = False) -> tuple[Op, ...]:
        self.inside = inside
        return tuple(new for op in ops for new in self._rewritten(op))

    def _rewritten(self, op: Op) -> list[Op]:
        if op.opcode in STORES:
            return self._store(op)
        if op.opcode == "descriptor" and op.result.name not in self.copied:
            values = {value: None for (name, _), value in self.descriptors.items() if name == op.result.name}
            return [replace(op, results=(value,)) for value in values or {op.result: None}]
        if op.result.name in self.rows.flexible:
            return self._flexible(op)
        if op.result.name not in self.copied:
            return [self._with_operands(op, None, None)]
        axis = self._axis(op)
        return [new for s in range(self.n) for new in self._copy(op, axis, s)]

    def _flexible(self, op: Op) -> list[Op]:
        made = []
        versions = self.needed[op.result.name]
        if self.n == 1:
            versions = [None] if None in versions else versions[:1]
        for axis in versions:
            if axis is None:
                made.append(self._with_operands(op, None, None))
            else:
                made += [new for s in range(self.n) for new in self._copy(op, axis, s)]
        return made

    def _copy(self, op: Op, axis: int | None, s: int) -> list[Op]:
        """The copy of an op with one result for sub-tile s, and the scalar ops its offset needs."""
        value = Value(self._name(op.result.name, axis, s), self._divided(op.result.type, axis))
        extra: list[Op] = []
        new = replace(self._with_operands(op, axis, s), results=(value,), subtile=s)
        if op.opcode == "arange":
            (extent,) = value.type.shape
            start = int(op.attributes["start"]) + s * extent  # type: ignore[arg-type]
            new = replace(new, attributes={"start": start, "end": start + extent})
        if op.opcode == "descriptor_load":
            extra, new = self._at_rows(op, new, s)
        return [*extra, new]

    def _store(self, op: Op) -> list[Op]:
        axis = self._axis(op)
        if axis is None:
            return [replace(self._with_operands(op, None, 0), subtile=0)]
        made = []
        for s in range(self.n):
            new = replace(self._with_operands(op, axis, s), subtile=s)
            extra: list[Op] = []
            if op.opcode == "descriptor_store":
                extra, new = self._at_rows(op, new, s)
            made += [*extra, new]
        return made

    def _at_rows(self, op: Op, new: Op, s: int) -> tuple[list[Op], Op]:
        """`new`, a copy of a descriptor access of rows, moved to the rows of sub-tile s."""
        axis = self._block_axis(op)
        if axis is None or s == 0:
            return [], new
        rows = self.types[op.operands[0]].shape[axis] // self.n
        operands = list(new.operands)
        extra, operands[1 + axis] = self._shift(operands[1 + axis], self.types[op.operands[1 + axis]], s * rows, op, s)
        return extra, replace(new, operands=tuple(operands))

    def _shift(self, offset: str, type: Type, by: int, op: Op, s: int) -> tuple[list[Op], str]:
        """The name of `offset + by` and the ops to put before its use, none when it is defined already."""
        if (offset, by, s) in self.shifted:
            return [], self.shifted[offset, by, s]
        delta = Value(self._fresh(f"{offset}.by{by}"), type)
        moved = Value(self._fresh(f"{offset}.plus{by}"), type)
        self.shifted[offset, by, s] = moved.name
        made = [
            Op("constant", (), (delta,), {"value": by}, op.location, s),
            Op("add", (offset, delta.name), (moved,), {}, op.location, s),
        ]
        if self.inside and offset in self.outside:
            self.prelude += made
            made = []
        return made, moved.name

    def _carried(self, c: Carried) -> list[Carried]:
        if c.argument.name not in self.copied:
            return [
                replace(c, initial=self._operand(c.initial, None, None), yielded=self._operand(c.yielded, None, None))
            ]
        axis = self.rows.axis.get(c.argument.name)
        return [
            Carried(
                Value(self._name(c.argument.name, axis, s), self._divided(c.argument.type, axis)),
                self._operand(c.initial, axis, s),
                self._operand(c.yielded, axis, s),
                Value(self._name(c.result.name, axis, s), self._divided(c.result.type, axis)),
                s,
            )
            for s in range(self.n)
        ]

    def _argument(self, value: Value) -> Value:
        for (name, _), variant in self.descriptors.items():
            if name == value.name:
                return variant
        return value

    def _with_operands(self, op: Op, axis: int | None, s: int | None) -> Op:
        """The op with its operands as sub-tile s knows them, divided along `axis` of the result."""
        operands = [
            self._operand(name, self._operand_axis(op, index, axis), s) for index, name in enumerate(op.operands)
        ]
        if op.opcode in ("descriptor_load", "descriptor_store") and operands[0] == op.operands[0]:
            operands[0] = self.descriptors[op.operands[0], self._block_axis(op)].name
        return replace(op, operands=tuple(operands))

    def _operand(self, name: str, axis: int | None, s: int | None) -> str:
        if name in self.rows.flexible:
            return name if axis is None else self._name(name, axis, s)
        if name in self.copied:
            return self._name(name, None, s)
        return name

    def _name(self, name: str, axis: int | None, s: int | None) -> str:
        """The name of sub-tile s's copy; a flexible value divided along a second axis says which."""
        if self.n == 1:
            return name
        axes = [a for a in self.needed.get(name, []) if a is not None]
        return f"{name}.{s}" if axis is None or not axes or axis == axes[0] else f"{name}.axis{axis}.{s}"

    def _divided(self, type: Type, axis: int | None) -> Type:
        if axis is None:
            return type
        shape = tuple(extent // self.n if i == axis else extent for i, extent in enumerate(type.shape))
        return replace(type, shape=shape)

    def _fresh(self, name: str) -> str:
        while name in self.names:
            name += "_"
        self.names.add(name)
        return name

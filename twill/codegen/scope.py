"""What every role of a kernel shares: names, types, who reads which buffer, and scalar expressions."""

from __future__ import annotations

from functools import cached_property

from twill.codegen.names import legal
from twill.codegen.statements import DONE, Apply, Expr, Index, Iteration, Literal, Name, Views
from twill.errors import Unsupported
from twill.ir.graph import Graph, Op, Type
from twill.ir.opcodes import FETCHES
from twill.ir.outer import depends_on_tile
from twill.schedule.schedule import Schedule

VIEWS = frozenset({"trans", "reshape"})
FREE = frozenset({"constant", "splat", "arange", "expand_dims", "broadcast", "trans", "reshape", "addptr"})


class Kernel:
    """Facts about one graph and its schedule, looked up by every role (read only after construction,
    but for the buffers and descriptors that roles ask for while they are built)."""

    def __init__(self, graph: Graph, schedule: Schedule, members: dict[str, str]) -> None:
        self.graph = graph
        self.schedule = schedule
        self.members = members
        self.arguments = {value.name: value for value in graph.arguments}
        self.types: dict[str, Type] = {name: value.type for name, value in graph.values().items()}
        self.producers = graph.producers()
        self.before = {value.name for op in graph.before for value in op.results}
        self.after = {value.name for op in graph.after for value in op.results}
        self.body = {value.name: op for op in graph.loop.body for value in op.results}
        self.carried = {carried.argument.name: carried for carried in graph.loop.carried}
        self.results = {carried.result.name: carried for carried in graph.loop.carried}
        self.of_tile = depends_on_tile(graph)
        self.since = DONE if graph.outer is not None else ""
        self.staging: dict[str, Type] = {}
        self.used_descriptors: list[str] = []
        self._identifiers: dict[str, str] = {}
        for name in self.arguments:
            self.identifier(name)

    def identifier(self, name: str) -> str:
        """A legal Python name for an argument or a tile, unique in the kernel; arguments are named first."""
        if name not in self._identifiers:
            text = legal(name)
            while text in self._identifiers.values():
                text += "_"
            self._identifiers[name] = text
        return self._identifiers[name]

    def descriptor(self, name: str) -> str:
        """The kernel parameter for a tensor descriptor."""
        if name not in self.used_descriptors:
            self.used_descriptors.append(name)
        return self.identifier(name)

    def stage_buffer(self, name: str, type: Type) -> str:
        """A staging buffer of the given tile type."""
        self.staging.setdefault(name, type)
        return name

    # -- loads ------------------------------------------------------------------------------------

    def ring_loads(self) -> tuple[Op, ...]:
        """What the loader fetches in the loop body, in source order."""
        return tuple(op for op in self.graph.loop.body if op.opcode in FETCHES)

    def preloads(self) -> tuple[Op, ...]:
        """Descriptor loads outside the loop; the loader fetches all of them first."""
        outside = (*self.graph.before, *self.graph.after)
        return tuple(op for op in outside if op.opcode == "descriptor_load")

    def once_a_tile(self, load: Op) -> bool:
        """The load, outside the loop, fetches another tile in each turn of the outer loop."""
        if self.graph.outer is None:
            return False
        return load.result.name in self.after or load.result.name in self.of_tile

    def depth(self, load: Op) -> int:
        """Depth of a load's ring; 0 for a tile loaded outside the loop."""
        if load.result.name not in self.body:
            return 0
        return self.schedule.rings[self.members[load.result.name]]

    def buffer_name(self, load: Op) -> str:
        suffix = "ring" if load.result.name in self.body else "smem"
        return f"{self.identifier(load.result.name)}_{suffix}"

    def tile_load(self, name: str) -> tuple[Op, Views] | None:
        """What fetches the tile behind a value seen through views (transposes, reshapes), else None."""
        views: list[tuple[str, tuple[int, ...]]] = []
        op = self.producers.get(name)
        while op is not None and op.opcode in VIEWS:
            if op.opcode == "trans":
                order = op.attributes["order"]
                assert isinstance(order, tuple)
                views.append(("permute", order))
            else:
                views.append(("reshape", op.result.type.shape))
            op = self.producers.get(op.operands[0])
        if op is None or op.opcode not in FETCHES:
            return None
        block = self.types[op.operands[0]].shape
        if block != op.result.type.shape:  # the descriptor has leading 1s that the tile has not
            views.append(("reshape", op.result.type.shape))
        return op, tuple(reversed(views))

    def ring_load(self, name: str) -> Op | None:
        """The load of the loop body behind a value seen through views, else None."""
        found = self.tile_load(name)
        return found[0] if found is not None and found[0].result.name in self.body else None

    def uses(self, value: str) -> list[tuple[str, str]]:
        """Every use of a body value in the loop, in this iteration or the next: (op, operand) by their names."""
        names = {value} | {name for name, carried in self.carried.items() if carried.yielded == value}
        return [(self.name_of(op), name) for op in self.graph.loop.body for name in op.operands if name in names]

    def groups_of(self, id: str) -> tuple[int, ...]:
        return self.schedule.placements[id].groups

    def reader_groups(self, value: str) -> tuple[int, ...]:
        """Groups that read a loaded tile, through views or not."""
        found: set[int] = set()
        for op in self.graph.loop.body:
            member = self.member_of(op)
            if member is None:
                continue
            for operand in self._tile_operands(op):
                if operand == value:
                    found.update(self.groups_of(member))
        return tuple(sorted(found))

    def _tile_operands(self, op: Op) -> list[str]:
        loads = (self.tile_load(operand) for operand in self.reached(op))
        return [load[0].result.name for load in loads if load is not None]

    def reached(self, op: Op) -> list[str]:
        """Operands of a member op, free ops between it and other members or tiles looked through."""
        found: list[str] = []
        pending = list(op.operands)
        while pending:
            name = pending.pop()
            source = self.body.get(name)
            if source is not None and self.tile_load(name) is None and self.is_free(source):
                pending.extend(source.operands)
            else:
                found.append(name)
        return found

    def name_of(self, op: Op) -> str:
        """The name of an op: its first result's, or for a store of the loop body its place there."""
        return op.results[0].name if op.results else self._stores[id(op)]

    @cached_property
    def _stores(self) -> dict[int, str]:
        return {id(op): f"store@{number}" for number, op in enumerate(self.graph.loop.body)}

    @cached_property
    def position(self) -> dict[str, int]:
        """Place of each body op in the source, by its name."""
        return {self.name_of(op): number for number, op in enumerate(self.graph.loop.body)}

    def member_of(self, op: Op) -> str | None:
        """The scheduled op a body op belongs to; free ops belong to none."""
        return self.members.get(self.name_of(op))

    def is_free(self, op: Op) -> bool:
        """Recomputed wherever it is used: scalars, ops that only move or make index tiles, and
        whatever of the body the scheduler was not given as a member (index arithmetic)."""
        if not op.results:
            return False
        if op.results[0].name in self.body:
            return op.results[0].name not in self.members
        return op.opcode in FREE or (not op.result.type.shape and op.opcode not in {"load", "reduce"})

    def loaded(self, name: str) -> bool:
        """A load of the loop, which the loader makes itself, leads to an address."""
        op = self.body.get(name)
        return op is not None and (op.opcode == "load" or any(map(self.loaded, op.operands)))

    # -- scalars ----------------------------------------------------------------------------------

    def host(self, name: str, user: Op) -> Expr:
        """A scalar the launcher can compute: of constants and scalar arguments only."""
        if name in self.arguments:
            return Name(name)
        op = self.producers[name]
        if op.opcode == "constant":
            return Literal(op.attributes["value"], op.result.type)
        if op.opcode in {"program_id", "num_programs", "load"} or name not in self.before:
            raise Unsupported(
                "the shape and strides of a tensor descriptor must follow from the kernel's scalar arguments.",
                hint="Describe the whole tensor and put what depends on the program into the load's coordinates.",
                location=user.location,
            )
        operands = tuple(self.host(operand, user) for operand in op.operands)
        types = tuple(self.types[operand] for operand in op.operands)
        return fold(Apply(op.opcode, operands, op.attributes, op.result.type, None, types))


_FOLD = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
}


def fold(expr: Apply) -> Expr:
    """Fold integer arithmetic on literals, drop + 0 and * 1; leave everything else."""
    literals = [operand.value for operand in expr.operands if isinstance(operand, Literal)]
    if expr.type.is_float or expr.type.shape:
        return expr
    if len(literals) == len(expr.operands):
        if expr.opcode in _FOLD:
            return Literal(_FOLD[expr.opcode](*literals), expr.type)
        if expr.opcode == "cast":
            return Literal(literals[0], expr.type)
    if len(expr.operands) == 2:
        a, b = expr.operands
        if expr.opcode == "add" and isinstance(a, Literal) and a.value == 0:
            return b
        if expr.opcode in {"add", "sub"} and isinstance(b, Literal) and b.value == 0:
            return a
        if expr.opcode == "mul" and isinstance(b, Literal) and b.value == 1:
            return a
    return expr


def index_of(iteration: Iteration, lower: Expr, step: Expr) -> Expr:
    """The loop index of an iteration, folded when everything is a literal."""
    if (
        iteration.base == "first"
        and isinstance(lower, Literal)
        and isinstance(step, Literal)
        and isinstance(lower.value, int)
        and isinstance(step.value, int)
    ):
        return Literal(lower.value + iteration.offset * step.value, lower.type)
    return Index(iteration, lower, step)

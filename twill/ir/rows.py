"""Which axis of each value runs over the rows of the tile, by unification over the dataflow.

The rows are axis 0 of every dot's result; in a kernel without a dot, axis 0 of the matrices that
are carried by the loop, or else stored. An op relates the axes of its result to axes of its
operands, and related axes are one class. The classes of the rows are what can be divided, unless an
op needs the whole of such an axis: a dot's inner axis and the columns of its right operand, the
axis a reduction removes, an axis that a reshape mixes into another.

Index arithmetic (constants, ranges, splats and what is computed from them alone, or loaded by it for the
loader to find rows by) is *flexible*: it belongs to no class, because each use may have its own copy of
the shape it needs. A range that numbers both the rows and the columns does not tie them together.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from twill.errors import Location, Unsupported
from twill.ir.addresses import address_values
from twill.ir.graph import Graph, Op, Type
from twill.ir.opcodes import ELEMENTWISE, SHAPE, STORES

Axis = tuple[str, int]


@dataclass(frozen=True)
class Rows:
    """The result of the analysis.

    axis: the axis of each divided value that runs over the rows; a store is named by `store_name`.
    flexible: values every use may copy in the shape it needs. extent: rows of the tile.
    """

    axis: Mapping[str, int]
    flexible: frozenset[str]
    extent: int | None


def find_rows(graph: Graph) -> Rows:
    """The axes over the rows. Raises Unsupported, naming the op, when one of them must stay whole."""
    types = {name: value.type for name, value in graph.values().items()}
    flexible = flexible_values(graph)
    classes = _Classes()
    whole: list[tuple[Axis, Op, str]] = []
    for op in graph.ops():
        _relate(op, types, flexible, classes)
        whole += [(axis, op, why) for axis, why in _whole_axes(op, types) if axis[0] not in flexible]
    for carried in graph.loop.carried:
        for axis in range(len(carried.argument.type.shape)):
            for name in (carried.initial, carried.yielded, carried.result.name):
                if name not in flexible:
                    classes.union((carried.argument.name, axis), (name, axis))
    seeds = row_seeds(graph)
    roots = {classes.find((name, 0)): (name, where) for name, where in seeds}
    for node, op, why in whole:
        if classes.find(node) in roots:
            raise _conflict(op, node, why, *roots[classes.find(node)])
    found: dict[str, int] = {}
    for name, axis in classes.nodes():
        if classes.find((name, axis)) in roots and found.setdefault(name, axis) != axis:
            raise Unsupported(
                f"both axis {found[name]} and axis {axis} of %{name} run over the rows of "
                f"%{roots[classes.find((name, axis))][0]}, so the rows cannot be divided.",
                location=_location(graph, name),
            )
    return Rows(found, flexible, row_extent(graph))


def row_extent(graph: Graph) -> int | None:
    """How many rows the tile has; None when no value of the kernel has rows."""
    types = {name: value.type for name, value in graph.values().items()}
    tiles = types | {store_name(op): stored_type(op, types) for op in graph.ops() if op.opcode in STORES}
    return max((tiles[name].shape[0] for name, _ in row_seeds(graph)), default=None)


def row_seeds(graph: Graph) -> tuple[tuple[str, Location | None], ...]:
    """The values whose axis 0 is the rows, with their places in the source."""
    dots = [(op.result.name, op.location) for op in graph.ops() if op.opcode == "dot"]
    if dots:
        return tuple(dots)
    types = {name: value.type for name, value in graph.values().items()}
    carried = [(c.argument.name, graph.loop.location) for c in graph.loop.carried if len(c.argument.type.shape) > 1]
    if carried:
        return tuple(carried)
    stores = [op for op in graph.ops() if op.opcode in STORES and len(stored_type(op, types).shape) > 1]
    return tuple((store_name(op), op.location) for op in stores)


def store_name(op: Op) -> str:
    """What stands for the tile a store writes in `Rows.axis`; no value can have this name."""
    return "store@" + ",".join(op.operands)


def stored_type(op: Op, types: Mapping[str, Type]) -> Type:
    """The type of the tile that a store writes."""
    return types[op.operands[-1] if op.opcode == "descriptor_store" else op.operands[1]]


def flexible_values(graph: Graph) -> frozenset[str]:
    """Tensors computed from constants, ranges and shared scalars alone, or indices found by these for the loader."""
    own, addresses = reduced_scalars(graph), address_values(graph)
    types = {name: value.type for name, value in graph.values().items()}
    flexible: set[str] = set()
    for op in graph.ops():
        if op.opcode in STORES or op.result.type.shape == ():
            continue
        if op.opcode in {"constant", "arange"}:
            flexible.add(op.result.name)
        elif op.opcode in (ELEMENTWISE | SHAPE | {"addptr"}) - {"reshape"} or _index(op, addresses):
            scalars = [name for name in op.operands if types[name].shape == ()]
            tensors = [name for name in op.operands if types[name].shape != ()]
            if own.isdisjoint(scalars) and flexible.issuperset(tensors):
                flexible.add(op.result.name)
    return frozenset(flexible)


def _index(op: Op, addresses: frozenset[str]) -> bool:
    """A load of indices by which the loader finds rows."""
    return op.opcode == "load" and op.result.name in addresses


def reduced_scalars(graph: Graph) -> frozenset[str]:
    """Scalars that come out of a reduction over a tile: they live in the registers of a sub-tile."""
    found: set[str] = set()
    while True:
        size = len(found)
        for op in graph.ops():
            scalar = op.results and op.result.type.shape == () and op.result.type.kind == "value"
            if scalar and (op.opcode == "reduce" or not found.isdisjoint(op.operands)):
                found.add(op.result.name)
        for c in graph.loop.carried:
            if c.argument.type.shape == () and not found.isdisjoint({c.initial, c.yielded}):
                found |= {c.argument.name, c.result.name}
        if len(found) == size:
            return frozenset(found)


def operand_axis(op: Op, index: int, axis: int, types: Mapping[str, Type]) -> int | None:
    """The axis of operand `index` that runs along `axis` of the op's result (or stored tile).

    None when that operand is the same for all positions along the axis.
    """
    operand = types[op.operands[index]]
    if operand.shape == ():
        return None
    match op.opcode:
        case "dot":
            return {(0, 0): 0, (1, 1): 1, (2, 0): 0, (2, 1): 1}.get((index, axis))
        case "expand_dims":
            new = _int(op, "axis")
            return None if axis == new else axis - (axis > new)
        case "broadcast":
            return None if operand.shape[axis] != op.result.type.shape[axis] else axis
        case "trans":
            order = op.attributes["order"]
            assert isinstance(order, tuple)
            return order[axis]
        case "reduce":
            return axis + (axis >= _int(op, "axis"))
        case "reshape":
            return {outer: inner for inner, outer in _reshape_groups(operand.shape, op.result.type.shape)[0]}.get(axis)
        case "descriptor_store":
            return axis if index == len(op.operands) - 1 else None
        case "descriptor_load" | "descriptor":
            return None
    return axis


def block_axis(block: tuple[int, ...], tile: tuple[int, ...], axis: int) -> int:
    """The axis of a descriptor's block that `axis` of a tile is; a tile may leave out axes of extent 1."""
    if len(block) == len(tile):
        return axis
    position = sum(extent != 1 for extent in tile[:axis])
    return [i for i, extent in enumerate(block) if extent != 1][position]


def _relate(op: Op, types: Mapping[str, Type], flexible: frozenset[str], classes: _Classes) -> None:
    name, type = (store_name(op), stored_type(op, types)) if op.opcode in STORES else (op.result.name, op.result.type)
    if name in flexible:
        return
    for axis in range(len(type.shape)):
        classes.find((name, axis))
        for index, operand in enumerate(op.operands):
            other = operand_axis(op, index, axis, types)
            if other is not None and operand not in flexible:
                classes.union((name, axis), (operand, other))
    if op.opcode == "dot" and flexible.isdisjoint(op.operands[:2]):
        classes.union((op.operands[0], 1), (op.operands[1], 0))


def _whole_axes(op: Op, types: Mapping[str, Type]) -> Iterator[tuple[Axis, str]]:
    """The axes this op needs whole, with the reason."""
    if op.opcode == "dot":
        a, b, _ = op.operands
        yield (b, 1), "the right operand of a dot is shared by all rows"
        yield (b, 0), "a dot sums over it"
        yield (a, 1), "a dot sums over it"
        yield (op.result.name, 1), "only the rows of a dot are divided"
    if op.opcode == "reduce":
        yield (op.operands[0], _int(op, "axis")), "the reduction is over it"
    if op.opcode == "reshape":
        _, inner, outer = _reshape_groups(types[op.operands[0]].shape, op.result.type.shape)
        yield from (((op.operands[0], axis), "the reshape mixes it into another axis") for axis in inner)
        yield from (((op.result.name, axis), "the reshape takes it out of another axis") for axis in outer)


def _reshape_groups(
    inner: tuple[int, ...], outer: tuple[int, ...]
) -> tuple[list[tuple[int, int]], list[int], list[int]]:
    """Pairs of axes (operand, result) whose blocks stay blocks of consecutive elements, and the
    axes of operand and result that do not: all but the outermost of each group of equal extent."""
    left = [axis for axis, extent in enumerate(inner) if extent != 1]
    right = [axis for axis, extent in enumerate(outer) if extent != 1]
    pairs, mixed_inner, mixed_outer = [], [], []
    while left and right:
        a, b = left.pop(0), right.pop(0)
        pairs.append((a, b))
        left_size, right_size = inner[a], outer[b]
        while left_size != right_size:
            if left_size < right_size:
                mixed_inner.append(left.pop(0))
                left_size *= inner[mixed_inner[-1]]
            else:
                mixed_outer.append(right.pop(0))
                right_size *= outer[mixed_outer[-1]]
    return pairs, mixed_inner, mixed_outer


def _conflict(op: Op, node: Axis, why: str, seed: str, where: Location | None) -> Unsupported:
    place = f" ({where})" if where else ""
    return Unsupported(
        f"`{op.opcode}` needs the whole of axis {node[1]} of %{node[0]}, because {why}; but that axis runs over "
        f"the rows of %{seed.partition('@')[0]}{place}, so the rows cannot be divided.",
        location=op.location,
    )


def _location(graph: Graph, name: str) -> Location | None:
    producer = graph.producers().get(name)
    return producer.location if producer else graph.loop.location


def _int(op: Op, key: str) -> int:
    value = op.attributes[key]
    assert isinstance(value, int)
    return value


class _Classes:
    """Disjoint sets of axes."""

    def __init__(self) -> None:
        self.parent: dict[Axis, Axis] = {}

    def find(self, node: Axis) -> Axis:
        self.parent.setdefault(node, node)
        root = node
        while self.parent[root] != root:
            root = self.parent[root]
        while self.parent[node] != root:
            self.parent[node], node = root, self.parent[node]
        return root

    def union(self, a: Axis, b: Axis) -> None:
        self.parent[self.find(a)] = self.find(b)

    def nodes(self) -> list[Axis]:
        return list(self.parent)

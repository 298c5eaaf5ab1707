"""The rule for tensor descriptors: a host can make each of them before the launch."""

from __future__ import annotations

from twill.errors import Unsupported
from twill.ir.graph import Graph, Op

_SCALAR_OPS = frozenset(
    (
        "constant", "add", "sub", "mul", "div", "rem", "max", "min", "and", "or", "xor", "shl", "shr",
        "cmp", "select", "cast", "neg", "abs",
    )
)  # fmt: skip


def check_descriptors(graph: Graph) -> None:
    """Every descriptor's base is a kernel argument and its sizes and strides follow from scalar arguments.

    Raises Unsupported. The reason for the rule: generated kernels get descriptors from their launcher.
    """
    arguments = {value.name for value in graph.arguments}
    producers = {op.result.name: op for op in graph.before if op.results}
    for op in graph.before:
        if op.opcode == "descriptor":
            _check(op, arguments, producers)
    for carried in graph.loop.carried:
        if carried.argument.type.kind == "descriptor":
            raise Unsupported(
                "a tensor descriptor carried through the loop is not supported.",
                hint="Use one descriptor for the whole loop and move its offsets.",
                location=graph.loop.location,
            )


def _check(op: Op, arguments: set[str], producers: dict[str, Op]) -> None:
    base, *extents = op.operands
    if base not in arguments:
        raise Unsupported(
            "a tensor descriptor whose base is a computed pointer is not supported.",
            hint="Make it on the kernel argument itself and put the shift into the offsets of load and store.",
            location=op.location,
        )
    todo, seen = list(extents), set()
    while todo:
        name = todo.pop()
        if name in seen or name in arguments:
            continue
        seen.add(name)
        producer = producers.get(name)
        if producer is None or producer.opcode not in _SCALAR_OPS or producer.result.type.shape:
            raise Unsupported(
                "a tensor descriptor whose shape or strides depend on the program, the tile or on memory is not "
                "supported.",
                hint="Compute shape and strides from the kernel's scalar arguments only.",
                location=op.location,
            )
        todo += producer.operands

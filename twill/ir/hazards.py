"""What a loop may not do while its loads run ahead of its stores."""

from __future__ import annotations

from twill.errors import Unsupported
from twill.ir.graph import Graph, Op


def refuse_loads_of_stored_memory(graph: Graph) -> None:
    """Raise Unsupported when the loop loads, or the code after it, from an argument that the loop stores.

    Loads run ahead of the iterations that use them, and dependences through memory are not tracked: such
    a load could overtake the store it should see.
    """
    stored = {_base(graph, op) for op in graph.loop.body if op.opcode in {"descriptor_store", "store"}}
    for op in (*graph.loop.body, *graph.after):
        if op.opcode in {"descriptor_load", "load"} and (base := _base(graph, op)) in stored:
            raise Unsupported(
                f"the loop stores to `{base}`, and this load reads it: a load may run ahead of the store.",
                hint="Keep the value in a variable that the loop carries, or store to another tensor.",
                location=op.location,
            )


def _base(graph: Graph, op: Op) -> str:
    """The kernel argument that a load or store goes to."""
    producers = graph.producers()
    name = op.operands[0]
    while name in producers:
        name = producers[name].operands[0]
    return name

"""What a loop may not do while its loads run ahead of its stores."""

from __future__ import annotations

from twill.errors import Unsupported
from twill.ir.graph import Graph, Op
from twill.ir.opcodes import LOADS, STORES


def refuse_loads_of_stored_memory(graph: Graph) -> None:
    """Raise Unsupported when the loop loads, or the code after it, from an argument that the loop stores.

    Loads run ahead of the iterations that use them, and dependences through memory are not tracked: such
    a load could overtake the store it should see. Around an outer loop that is said of all three parts: a load of
    one tile runs ahead of the stores of the tile before.
    """
    around = graph.outer is not None
    stored = {_base(graph, op) for op in (graph.ops() if around else graph.loop.body) if op.opcode in STORES}
    for op in graph.ops() if around else (*graph.loop.body, *graph.after):
        if op.opcode in LOADS and (base := _base(graph, op)) in stored:
            raise Unsupported(
                f"the {'outer ' * around}loop stores to `{base}`, and this load reads it: a load may run ahead of the "
                "store.",
                hint="Keep the value in a variable that the loop carries, or store to another tensor.",
                location=op.location,
            )


def refuse_updates_whose_order_matters(graph: Graph) -> None:
    """Raise Unsupported when the kernel changes an argument by atomics and in another way too.

    Programs run in any order, and ops of one overlap: only updates of one kind come to the same in every order.
    """
    first: dict[str, Op] = {}
    for op in graph.ops():
        if op.opcode not in STORES:
            continue
        base = _base(graph, op)
        earlier = first.setdefault(base, op)
        if _change(earlier) != _change(op):
            raise Unsupported(
                f"`{base}` is changed by {_change(earlier)} and by {_change(op)}: the order decides what it ends as.",
                hint="Use one kind of atomic for each tensor, and fill it before the launch.",
                location=op.location,
            )


def _change(op: Op) -> str:
    return f"an atomic {op.attributes['kind']}" if op.opcode == "atomic" else "a store"


def _base(graph: Graph, op: Op) -> str:
    """The kernel argument that a load or store goes to."""
    producers = graph.producers()
    name = op.operands[0]
    while name in producers:
        name = producers[name].operands[0]
    return name

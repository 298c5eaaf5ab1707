"""What a kernel keeps in shared memory and in registers all along, beside the rings of its loop."""

from __future__ import annotations

from dataclasses import dataclass

from twill.errors import InputError
from twill.ir.graph import Graph, Type
from twill.ir.opcodes import FETCHES
from twill.machine.cost import Layout, tmem_columns
from twill.machine.dataflow import Dataflow, Use
from twill.machine.machine import Machine


@dataclass(frozen=True)
class Buffer:
    """A shared-memory buffer that exists once: the value it holds, or what it serves, and its aligned bytes."""

    name: str
    nbytes: int


def aligned(nbytes: int, machine: Machine) -> int:
    """Bytes that a buffer takes with the next one aligned."""
    step = machine.count("smem_alignment")
    return -(-nbytes // step) * step


def static_buffers(graph: Graph, machine: Machine) -> list[Buffer]:
    """The buffers outside the rings, in order:

    the barriers; one for each descriptor load before or after the loop; "NAME.stage" for each operand of
    a dot in the loop that is computed before it, and for each that the loop computes in registers and the
    tensor core reads from shared memory; one for each descriptor store after the loop.
    """
    return buffers_of(Dataflow(graph), machine)


def buffers_of(flow: Dataflow, machine: Machine) -> list[Buffer]:
    graph = flow.graph
    found = [Buffer("barriers", machine.count("barrier_bytes"))]

    def add(name: str, type: Type) -> None:
        if all(buffer.name != name for buffer in found):
            found.append(Buffer(name, aligned(type.nbytes, machine)))

    for op in (*graph.before, *graph.after):
        if op.opcode == "descriptor_load":
            add(op.result.name, op.result.type)
    for name in invariant_operands(flow):
        producer = flow.producers.get(name)
        if producer is None or producer.opcode != "descriptor_load":
            add(f"{name}.stage", flow.types[name])
    for use in staged_uses(flow, machine):
        add(f"{use.source.value}.stage", flow.types[use.source.value])
    for i, op in enumerate(graph.after):
        if op.opcode == "descriptor_store":
            add(store_name(graph, i), flow.types[op.operands[-1]])
    return found


def store_name(graph: Graph, index: int) -> str:
    """Name of the staging buffer of the descriptor store at `index` of graph.after."""
    return f"{graph.after[index].operands[-1]}.store"


def invariant_operands(flow: Dataflow) -> list[str]:
    """Values from before the loop that dots in it multiply: they stay in shared memory."""
    names: list[str] = []
    for i in flow.active:
        if flow.body[i].opcode == "dot":
            for operand in flow.body[i].operands[:2]:
                names += [s.value for s in flow.sources(operand) if s.op is None and s.value not in names]
    return [name for name in names if flow.types[name].shape and flow.types[name].kind == "value"]


def staged_uses(flow: Dataflow, machine: Machine) -> list[Use]:
    """The uses by dots of tiles computed in registers that the tensor core reads from shared memory.

    wgmma and tcgen05 read B from there; wgmma's A may come from registers, unless it is transposed. A tile that is
    there for another dot is read there by all: registers that an MMA reads are not free before it is done.
    """
    uses = [
        use
        for i in flow.active
        if flow.body[i].opcode == "dot"
        for use in flow.operands(i)
        if use.position < 2 and flow.body[use.producer].opcode not in FETCHES
    ]

    def tile(use: Use) -> tuple[str, int, int | None]:
        return use.source.value, use.source.distance, flow.body[use.consumer].subtile

    def movable(use: Use) -> bool:
        return use.position == 0 and not use.source.transposed and not machine.has_tensor_memory

    there = {tile(use) for use in uses if not movable(use)}
    return [use for use in uses if tile(use) in there]


def static_tmem_columns(flow: Dataflow) -> int:
    """Tensor-memory columns of the accumulators that the loop updates: each exists once."""
    return sum(tmem_columns(flow.body[i].result.type) for i in flow.active if accumulates(flow, i))


def accumulates(flow: Dataflow, index: int) -> bool:
    """A dot that adds to what it computed an iteration before, possibly rescaled by arithmetic in between."""
    if flow.body[index].opcode != "dot":
        return False
    seen: set[int] = set()
    pending = [use.consumer for use in flow.uses[index]]
    while pending:
        i = pending.pop()
        if i not in seen:
            seen.add(i)
            if flow.body[i].opcode != "dot":  # another product makes another value
                pending += [use.consumer for use in flow.uses[i]]
    added = {use.producer for use in flow.operands(index) if use.position == 2}
    return bool(added & (seen | {index}))


def live_in_registers(flow: Dataflow, layouts: dict[int | None, Layout]) -> int:
    """Registers per thread that values from before the loop hold while it runs, the most of any sub-tile.

    Counted are tensors that the body or the code after the loop reads in registers; not the operands of
    dots, which stay in shared memory, nor what free ops recompute.
    """
    graph = flow.graph
    in_memory = set(invariant_operands(flow))
    names: set[str] = set()
    for i in flow.active:
        op = flow.body[i]
        if op.opcode in FETCHES:  # its addresses are the loader's
            continue
        for operand in op.operands[2:] if op.opcode == "dot" else op.operands:
            names |= {s.value for s in flow.sources(operand) if s.op is None}
    for op in graph.after:
        for operand in op.operands:
            if operand in flow.producers and flow.producers[operand] not in graph.after:
                names |= {s.value for s in flow.sources(operand) if s.op is None} - in_memory
    held: dict[int | None, int] = dict.fromkeys(layouts, 0)
    for name in names:
        type = flow.types[name]
        producer = flow.producers.get(name)
        if (
            type.kind != "value"
            or not type.shape
            or producer is None
            or name in {c.argument.name for c in graph.loop.carried}
        ):
            continue
        for subtile, layout in layouts.items():
            if producer.subtile in (None, subtile):
                held[subtile] += layout.registers(type, flow.axis(name))
    return max(held.values(), default=0)


def require_fit(flow: Dataflow, rings: list[Buffer], static: list[Buffer], machine: Machine) -> None:
    """Raise InputError, naming every buffer, when the static buffers and one slot of each ring exceed shared memory."""
    limit = machine.count("smem_bytes")
    needed = sum(buffer.nbytes for buffer in (*static, *rings))
    if needed <= limit:
        return
    parts = ", ".join(f"{buffer.name} {buffer.nbytes}" for buffer in (*static, *rings))
    raise InputError(
        f"the tiles of {flow.graph.name!r} need {needed} B of shared memory, a thread block of {machine.name} has "
        f"{limit} B: {parts}.",
        hint=_what_fits(flow, rings, static, limit),
        location=flow.graph.loop.location,
    )


def _what_fits(flow: Dataflow, rings: list[Buffer], static: list[Buffer], limit: int) -> str:
    """The least halving of block sizes that fits: of the loop's step, which its tiles follow, else of every tile."""
    loop = sum(buffer.nbytes for buffer in rings)
    barriers = sum(buffer.nbytes for buffer in static if buffer.name == "barriers")
    tiles = sum(buffer.nbytes for buffer in static) - barriers
    step = flow.producers.get(flow.graph.loop.step)
    stepped = int(str(step.attributes["value"])) if step is not None and step.opcode == "constant" else 0
    for factor in (2, 4, 8, 16, 32):
        if stepped % factor == 0 and stepped // factor >= 16 and loop // factor + tiles + barriers <= limit:
            return f"It fits when the loop steps by blocks of {stepped // factor} instead of {stepped}."
        if (loop + tiles) // factor + barriers <= limit:
            return f"It fits with tiles of 1/{factor} the size: divide one block size of each by {factor}."
    return "Use smaller block sizes."

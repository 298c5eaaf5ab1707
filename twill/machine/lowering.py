"""From the dependence graph of a kernel to a scheduling problem on a machine."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from twill.errors import InputError
from twill.ir.graph import Graph
from twill.machine import cost
from twill.machine.assembly import Assembly
from twill.machine.cluster import clusters
from twill.machine.cost import Layout
from twill.machine.dataflow import Dataflow
from twill.machine.machine import Machine
from twill.machine.memory import (
    Buffer,
    buffers_of,
    live_in_registers,
    require_fit,
    static_tmem_columns,
)
from twill.schedule.problem import Limits, Op, Problem, in_register_steps


def lower(graph: Graph, machine: Machine, trip_count: int, warps_per_subtile: int | None = None) -> Problem:
    """The scheduling problem of the graph's loop.

    Every non-free op of the body is a member of exactly one scheduling op. Ops without members are moves
    that the source does not spell out: "X.read" (shared or tensor memory to registers), "X.stage"
    (registers to shared memory, for the tensor core) and "X.write" (registers to an accumulator in
    tensor memory). warps_per_subtile: warps of a consumer group; by default 8 when a sub-tile has 128 or
    more rows of MMA, else 4.

    Raises Unsupported, with the source location, for what no schedule can express, and InputError when
    one slot of each buffer exceeds shared memory.
    """
    flow = Dataflow(graph)
    layouts = _layouts(flow, warps_per_subtile)
    build = Assembly(flow, machine, layouts)
    for cluster in clusters(flow, machine):
        build.add_cluster(cluster)
    for consumer in flow.active:
        for use in flow.operands(consumer):
            build.add_use(use)

    ops = tuple(build.ops.values())
    static = buffers_of(flow, machine)
    rings = [Buffer(op.id, op.smem_bytes) for op in ops if op.smem_bytes]
    require_fit(flow, rings, static, machine)
    colocate, separate = _grouping(ops, graph, machine)
    return Problem(
        name=graph.name,
        limits=_remaining(flow, machine, layouts, ops, static, colocate),
        ops=ops,
        deps=tuple(sorted(build.deps.values(), key=lambda d: (build.order(d.dst), d.distance, build.order(d.src)))),
        trip_count=trip_count,
        colocate=colocate,
        separate=separate,
    )


def _reserved(flow: Dataflow, machine: Machine, layouts: dict[int | None, Layout]) -> int:
    """Registers per thread that no tile op of the loop stands for, in whole allocation steps.

    What lives through the whole loop (tensors from before it), and addresses, phases, loop control.
    """
    return in_register_steps(machine.count("reserved_registers") + live_in_registers(flow, layouts))


def _layouts(flow: Dataflow, warps: int | None) -> dict[int | None, Layout]:
    """The layout of each sub-tile's consumer group. An undivided tile is None and sub-tile 0 alike."""
    if flow.graph.subtiles == 1:
        layout = _layout(flow, None, warps)
        return {None: layout, 0: layout}
    return {subtile: _layout(flow, subtile, warps) for subtile in range(flow.graph.subtiles)}


def _layout(flow: Dataflow, subtile: int | None, warps: int | None) -> Layout:
    """How the consumer group of a sub-tile holds its tiles."""
    dots = [op for op in flow.body if op.opcode == "dot" and subtile in (None, op.subtile)]
    if dots:
        rows = max(op.result.type.shape[0] for op in dots)
        return Layout(warps or (8 if rows >= 128 else 4))
    most = max((v.type.size * v.type.bits for op in flow.body for v in op.results if v.type.kind == "value"), default=0)
    return Layout(warps or (8 if most / 32 / 128 > 64 else 4), lanes_per_row=32)


def _remaining(flow: Dataflow, machine: Machine, layouts: dict[int | None, Layout], ops: tuple[Op, ...],
            static: list[Buffer], colocate: tuple[tuple[str, ...], ...]) -> Limits:  # fmt: skip
    """The machine's limits less what the kernel holds all along.

    Reserved registers are taken from the cap of a thread and, for all consumer threads, from the file, so
    that both terms of a group's cap shrink by them.
    """
    reserved = _reserved(flow, machine, layouts)
    threads = sum(layouts[subtile].threads for subtile in range(flow.graph.subtiles))
    producers = sum(op.variable_latency for op in ops)
    grouped = {id for group in colocate for id in group}
    groups = producers + len(colocate) + sum(op.id not in grouped and not op.variable_latency for op in ops)
    largest = max((op.registers * 128 * 4 for op in ops), default=0)
    per_thread = machine.limits().registers_per_thread - reserved
    if per_thread <= 0:
        raise InputError(
            f"values from before the loop of {flow.graph.name!r} take {reserved} registers a thread.",
            hint="Use smaller block sizes or more sub-tiles.",
            location=flow.graph.loop.location,
        )
    whole = machine.limits()
    return replace(
        whole,
        smem_bytes=whole.smem_bytes - sum(buffer.nbytes for buffer in static),
        tmem_columns=max(0, whole.tmem_columns - static_tmem_columns(flow)) if machine.has_tensor_memory else 0,
        producer_registers=whole.producer_registers + _address_registers(flow, machine),
        max_groups=max(1, min(whole.max_groups, groups)),
        registers_per_thread=per_thread,
        register_file=whole.register_file - reserved * threads,
        reserved_registers=reserved,
        value_hop=cost.value_hop(machine, largest),
    )


def _address_registers(flow: Dataflow, machine: Machine) -> int:
    """Registers per thread, in whole steps, of the addresses of what the loader copies asynchronously."""
    tiles = [flow.body[i].result.type for i in flow.active if flow.body[i].opcode == "async_load"]
    warps = max((cost.copy_warps(tile) for tile in tiles), default=1)
    vectors = sum(cost.copy_vectors(tile, warps) for tile in tiles)
    return in_register_steps(vectors * machine.count("copy_registers"))


def _grouping(
    ops: Iterable[Op], graph: Graph, machine: Machine
) -> tuple[tuple[tuple[str, ...], ...], tuple[tuple[str, ...], ...]]:
    """colocate: for each sub-tile, everything but its loads; separate: one op of each sub-tile.

    With tensor memory a value is not bound to the registers of one group, so nothing is colocated.
    """
    if machine.has_tensor_memory:
        return (), ()
    together = tuple(
        tuple(op.id for op in ops if not op.variable_latency and (op.subtile == subtile or graph.subtiles == 1))
        for subtile in range(graph.subtiles)
    )
    together = tuple(group for group in together if group)
    return together, (tuple(group[0] for group in together),) if len(together) > 1 else ()

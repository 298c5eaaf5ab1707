"""The loader role: fetches what the loop (and the code before it) reads, in the solver's order."""

from __future__ import annotations

from dataclasses import replace

from twill.codegen.loader import Loader
from twill.codegen.pipeline import Stream
from twill.codegen.role import Role
from twill.codegen.scope import Kernel
from twill.codegen.statements import (
    CURRENT,
    END,
    FIRST,
    TILE,
    Barrier,
    Comment,
    Condition,
    For,
    Iteration,
    Meet,
    Stmt,
    Tile,
    TmaLoad,
    Wait,
)
from twill.ir.graph import Op


def producer_statements(kernel: Kernel, stream: Stream, preloads: tuple[Op, ...]) -> tuple[tuple[Stmt, ...], set[str]]:
    """The program of a producer group and the parameters it takes.

    Body j loads for iteration j - stage, in the order of the slots, so that the loads follow one
    another exactly as scheduled; the rings let the whole role run ahead as far as they are deep.
    """
    role = Loader(kernel, kernel.schedule.groups[stream.group].warps)
    once = [_load(role, op, 0, FIRST, ()) for op in preloads if not kernel.once_a_tile(op)]
    each = [op for op in preloads if kernel.once_a_tile(op)]
    first = [stmt for op in each if op.result.name not in kernel.after for stmt in _load_of_tile(role, op)]
    ops = {kernel.members[op.result.name]: op for op in kernel.ring_loads()}
    body: list[Stmt] = []
    for step in stream.steps:
        op = ops[step.op]
        placement = kernel.schedule.placements[step.op]
        ring, depth = kernel.buffer_name(op), kernel.depth(op)
        role.parameters.add(f"{ring}_empty")
        iteration = CURRENT.shifted(-step.stage)
        conditions = []
        if step.stage > 0:
            conditions.append(Condition(iteration, ">=", FIRST))
        if step.stage < stream.stages - 1:
            conditions.append(Condition(iteration, "<", END))
        text = f"{step.op}: stage {placement.stage}, slot {placement.slot}"
        body.append(Comment(text, step.op, iteration, tuple(conditions)))
        free = Barrier(f"{ring}_empty", depth, iteration, kernel.since)
        body.append(Wait(free, empty=True, conditions=tuple(conditions)))
        if op.opcode == "async_load":
            role.parameters.update({ring, f"{ring}_full"})
            full = replace(free, name=f"{ring}_full")
            tile = Tile(ring, depth, iteration, since=kernel.since)
            body.append(role.copy(op, full, tile, tuple(conditions)))
            continue
        if role.warps > 1:
            # A warp that saw the slot free late might find it filled and freed again: TMA waits for all.
            body.append(Meet())
        body.append(_load(role, op, depth, iteration, tuple(conditions)))
    loop = For(0, tuple(body), extra=stream.stages - 1)
    count = role.trip_count()
    if kernel.graph.outer is None:
        return (*role.preamble(), *once, count, loop), role.parameters
    # What is read after the loop comes after it: its slot is free late, and the rings are to run ahead.
    last = [stmt for op in each if op.result.name in kernel.after for stmt in _load_of_tile(role, op)]
    if last:
        last.insert(0, Comment("after the loop"))
    *entry, tiles = role.tiles((*first, count, loop, *last))
    return (*entry, *once, tiles), role.parameters


def _load_of_tile(role: Role, op: Op) -> list[Stmt]:
    """Fetch a tile that is loaded once a turn of the outer loop, when the turn before is done with it."""
    role.parameters.add(f"{role.kernel.buffer_name(op)}_empty")
    free = Barrier(f"{role.kernel.buffer_name(op)}_empty", 1, TILE)
    load = _load(role, op, 0, FIRST, ())
    return [Wait(free, empty=True), replace(load, barrier=Barrier(load.barrier.name, 1, TILE))]


def _load(role: Role, op: Op, depth: int, iteration: Iteration, conditions: tuple[Condition, ...]) -> TmaLoad:
    kernel = role.kernel
    descriptor = kernel.descriptor(op.operands[0])
    buffer = kernel.buffer_name(op)
    role.parameters.update({descriptor, buffer, f"{buffer}_full"})
    block = kernel.types[op.operands[0]]
    offsets = tuple(role.scalar(operand, iteration) for operand in op.operands[1:])
    since = kernel.since if depth else ""
    barrier = Barrier(f"{buffer}_full", depth, iteration, since)
    tile = Tile(buffer, depth, iteration, since=since)
    indexed = any(kernel.loaded(operand) for operand in op.operands[1:])
    return TmaLoad(descriptor, offsets, barrier, tile, block.nbytes, conditions, indexed)

"""The loader role: fetches what the loop (and the code before it) reads, in the solver's order."""

from __future__ import annotations

from twill.codegen.pipeline import Stream
from twill.codegen.role import Role
from twill.codegen.scope import Kernel
from twill.codegen.statements import (
    CURRENT,
    END,
    FIRST,
    Barrier,
    Comment,
    Condition,
    For,
    Iteration,
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
    role = Role(kernel)
    statements: list[Stmt] = [_load(role, op, 0, FIRST, ()) for op in preloads]
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
        body.append(Wait(Barrier(f"{ring}_empty", depth, iteration), empty=True, conditions=tuple(conditions)))
        body.append(_load(role, op, depth, iteration, tuple(conditions)))
    loop = For(0, tuple(body), extra=stream.stages - 1)
    count = role.trip_count()
    return (*role.preamble(), *statements, count, loop), role.parameters


def _load(role: Role, op: Op, depth: int, iteration: Iteration, conditions: tuple[Condition, ...]) -> TmaLoad:
    kernel = role.kernel
    descriptor = kernel.descriptor(op.operands[0])
    buffer = kernel.buffer_name(op)
    role.parameters.update({descriptor, buffer, f"{buffer}_full"})
    block = kernel.types[op.operands[0]]
    offsets = tuple(role.scalar(operand, iteration) for operand in op.operands[1:])
    barrier = Barrier(f"{buffer}_full", depth, iteration)
    return TmaLoad(descriptor, offsets, barrier, Tile(buffer, depth, iteration), block.nbytes, conditions)

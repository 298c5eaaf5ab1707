"""Which tiles that the loop loads by pointers the loader fetches: loads that become asynchronous copies.

A `load` of a matrix that feeds a dot as it is, or that is larger than registers take, becomes an `async_load`
(cp.async: no registers, a ring in shared memory) where its elements lie as those copies need them, in whole vectors
of 16 bytes (`twill.ir.vectors`). Small loads that do not lie so stay loads into registers.
"""

from __future__ import annotations

from dataclasses import replace

from twill.errors import Unsupported
from twill.ir.graph import Graph, Op
from twill.ir.pointer_inductions import pointers_of_index
from twill.ir.simplify import simplify
from twill.ir.vectors import Scattered, vectors

LARGEST_POINTER_LOAD = 16384
"""Bytes that one load in the loop may bring into registers: 32 of each thread of a warp group."""


def fetch_by_loader(graph: Graph) -> Graph:
    """The graph with `async_load` for the loads that the loader can make and that gain from it.

    graph: simplified. Raises Unsupported for a load too large for registers that the loader cannot make.
    """
    by_index = simplify(pointers_of_index(graph))
    try:
        found = _all_fetched(by_index)
        if by_index != graph and any(op.opcode == "async_load" for op in found.loop.body):
            return found
    except Unsupported:
        pass  # said of the loop as it was written
    return _all_fetched(graph)


def _all_fetched(graph: Graph) -> Graph:
    body = tuple(_fetched(graph, op) if op.opcode == "load" else op for op in graph.loop.body)
    return replace(graph, loop=replace(graph.loop, body=body))


def _fetched(graph: Graph, op: Op) -> Op:
    type = op.result.type
    large = type.nbytes > LARGEST_POINTER_LOAD
    if len(type.shape) != 2 or not (large or _multiplied(graph, op.result.name)):
        if large:
            raise _too_large(op, "only matrices are copied asynchronously")
        return op
    made = replace(op, opcode="async_load", operands=op.operands[:2])
    try:
        if len(op.operands) == 3 and not _zero(graph, op.operands[2]):
            raise Scattered("its masked elements are not 0 (`other=`)", "Leave `other=` out, or give 0.0.")
        vectors(graph, made)
    except Scattered as reason:
        if large:
            raise _too_large(op, str(reason), reason.hint) from None
        return op
    return made


def _too_large(op: Op, why: str, hint: str = "") -> Unsupported:
    size = op.result.type.nbytes / 1024
    return Unsupported(
        f"a load of {size:g} KiB through pointers in the loop (tl.load) does not fit in registers, and it is not "
        f"copied asynchronously: {why}.",
        hint=hint
        or "Load tiles with tl.make_tensor_descriptor(...).load([...]), or as rows of contiguous elements: "
        f"base + rows[:, None] * stride + columns[None, :]; other loads bring at most {LARGEST_POINTER_LOAD // 1024} "
        "KiB in an iteration.",
        location=op.location,
    )


def _multiplied(graph: Graph, name: str) -> bool:
    """A dot of the loop reads the value as it is, or transposed."""
    for op in graph.loop.body:
        if name in op.operands:
            if op.opcode == "dot" and name in op.operands[:2]:
                return True
            if op.opcode == "trans" and _multiplied(graph, op.result.name):
                return True
    return False


def _zero(graph: Graph, name: str) -> bool:
    op = graph.producers().get(name)
    return op is not None and op.opcode == "constant" and not op.attributes["value"]

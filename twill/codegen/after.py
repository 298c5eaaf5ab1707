"""Stores through tensor descriptors, and the straight-line code after the loop."""

from __future__ import annotations

from twill.codegen.layouts import Layout
from twill.codegen.role import Resolve
from twill.codegen.statements import (
    Call,
    Comment,
    Expr,
    Let,
    Name,
    ReadTile,
    Stmt,
    StoreTile,
    StoreWait,
    Tile,
    TmaStore,
)
from twill.codegen.worker import Worker
from twill.errors import Unsupported
from twill.ir.graph import Op


def descriptor_store(worker: Worker, op: Op, resolve: Resolve, out: list[Stmt]) -> None:
    """Stage the value in shared memory, once the store before it has read that, and start its TMA store."""
    kernel = worker.kernel
    block = kernel.types[op.operands[0]]
    value, offsets = op.operands[-1], op.operands[1 : 1 + len(block.shape)]
    while (source := kernel.producers.get(value)) is not None and source.opcode == "reshape":
        value = source.operands[0]  # the view of shared memory reshapes for nothing, registers would move
    shape = kernel.types[value].shape
    descriptor = kernel.descriptor(op.operands[0])
    tag = "" if op.subtile is None else f"_{op.subtile}"
    buffer = kernel.stage_buffer(f"{descriptor}{tag}_stage", block)
    worker.parameters.update({descriptor, buffer})
    stored = resolve(value, worker.homes.get(value))
    at = tuple(resolve(offset, None) for offset in offsets)
    out.append(StoreWait(0))
    out.append(StoreTile(Tile(buffer, views=() if block.shape == shape else (("reshape", shape),)), stored))
    out.append(TmaStore(descriptor, at, Tile(buffer)))


def after_loop(worker: Worker) -> list[Stmt]:
    """The code after the loop that this role's sub-tiles need."""
    graph = worker.kernel.graph
    out: list[Stmt] = [Comment("after the loop")] if graph.after else []
    results = _Results(worker, out)
    stores = [op for op in graph.after if not op.results and op.subtile in worker.subtiles]
    for op in stores:
        if op.opcode == "descriptor_store":
            descriptor_store(worker, op, results.value, out)
        else:
            layout = worker.homes.get(op.operands[0])
            operands = tuple(results.value(name, layout) for name in op.operands)
            out.append(Call(worker.apply(op, operands, None)))
    return out


def last_stores(worker: Worker) -> list[Stmt]:
    """The wait for every TMA store of the role, the last thing it does."""
    looped = [op for ops in worker.ops.values() for op in ops]
    after = [op for op in worker.kernel.graph.after if op.subtile in worker.subtiles]
    return [StoreWait(0)] if any(op.opcode == "descriptor_store" for op in (*looped, *after)) else []


class _Results:
    """Values as the code after the loop sees them, each computed where it is first asked for."""

    def __init__(self, worker: Worker, out: list[Stmt]) -> None:
        self.worker = worker
        self.out = out
        self.ops = {op.result.name: op for op in worker.kernel.graph.after if op.results}
        self.defined: set[str] = set()

    def value(self, name: str, layout: Layout | None) -> Expr:
        worker, kernel = self.worker, self.worker.kernel
        if name in kernel.results:
            return self._carried(name, layout)
        op = self.ops.get(name)
        if op is None:
            return worker.outer(name, layout)
        if kernel.is_free(op):
            return worker.free(op, layout, self.value)
        if name not in self.defined:
            self.defined.add(name)
            self.out.append(self._define(op))
        return worker.converted(Name(worker.variable(name)), name, layout)

    def _carried(self, name: str, layout: Layout | None) -> Expr:
        """What the loop gives: its carried value after the last iteration."""
        worker, kernel = self.worker, self.worker.kernel
        source, _ = worker.source(kernel.results[name].argument.name)
        if not worker.computes(source):
            raise Unsupported(
                f"`{name}` is computed by another warp group than the one that stores it.",
                location=kernel.graph.loop.location,
            )
        return worker.converted(Name(worker.variable(source)), source, layout)

    def _define(self, op: Op) -> Stmt:
        worker, name = self.worker, op.result.name
        if op.opcode == "dot":
            raise Unsupported(
                "a dot after the loop is not emitted yet.",
                hint="Move it into the loop or into a kernel of its own.",
                location=op.location,
            )
        if op.opcode == "descriptor_load":
            return Let(worker.variable(name), ReadTile(worker.static_tile(op), worker.homes[name]))
        home = worker.homes.get(name)
        operands = worker.operands_of(op, home, self.value)
        return Let(worker.variable(name), worker.apply(op, operands, home))

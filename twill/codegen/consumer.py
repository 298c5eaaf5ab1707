"""The consumer roles: one group's program around its software pipeline."""

from __future__ import annotations

import networkx as nx

from twill.codegen.after import after_loop
from twill.codegen.path import Path
from twill.codegen.pipeline import Step, Token
from twill.codegen.statements import FIRST, If, Let, Stmt, Wait
from twill.codegen.worker import Worker


def consumer_statements(
    worker: Worker, tokens: tuple[tuple[str, Token], ...], threshold: int, isolation: int
) -> tuple[Stmt, ...]:
    """The program of a consumer group; `worker.parameters` is complete after it.

    Waits for tiles loaded before the loop, what the loop needs computed before it, the pipeline (from
    `threshold` iterations on, else one op after the other, in source order), the code after the loop.
    """
    kernel = worker.kernel
    loop = Path(worker, worker.stream.steps, tokens, threshold, isolation).statements()
    if threshold > 0:
        loop = (If(threshold, loop, _plain_loop(worker, isolation) if threshold > 1 else ()),)
    after = after_loop(worker)
    initial = _initial(worker)
    count = worker.trip_count()
    preamble = worker.preamble()
    waits = [
        Wait(worker.full_barrier(load, FIRST))
        for load in kernel.preloads()
        if kernel.buffer_name(load) in worker.parameters
    ]
    return (*waits, *preamble, *initial, count, *loop, *after)


def _plain_loop(worker: Worker, isolation: int) -> tuple[Stmt, ...]:
    """Every op of an iteration before any of the next, in source order and without order tokens.

    Members of one op may lie around another op in the source: what an iteration computes first comes first.
    """
    flow: nx.DiGraph = nx.DiGraph()
    flow.add_nodes_from(step.op for step in worker.stream.steps)
    deps = worker.kernel.schedule.problem.deps
    flow.add_edges_from((dep.src, dep.dst) for dep in deps if not dep.distance and {dep.src, dep.dst} <= flow.nodes)
    order = nx.lexicographical_topological_sort(flow, key=worker.source_position)
    return Path(worker, tuple(Step(name, 0, 0) for name in order), (), 0, isolation).statements()


def _initial(worker: Worker) -> list[Stmt]:
    """Loop-carried values before the first iteration."""
    found: list[Stmt] = []
    for argument, carried in worker.kernel.carried.items():
        source, _ = worker.source(argument)
        if worker.computes(source):
            found.append(Let(worker.variable(source), worker.outer(carried.initial, worker.homes.get(source))))
    return found

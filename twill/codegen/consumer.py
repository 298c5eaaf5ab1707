"""The consumer roles: one group's program around its software pipeline."""

from __future__ import annotations

import networkx as nx

from twill.codegen.after import after_loop, last_stores
from twill.codegen.path import Path
from twill.codegen.pipeline import Step, Token
from twill.codegen.statements import FIRST, TILE, TURNED, Arrive, Count, If, Let, Stmt, Wait
from twill.codegen.turns import counter, turns_over
from twill.codegen.worker import Worker
from twill.ir.graph import Op


def consumer_statements(
    worker: Worker, tokens: tuple[tuple[str, Token], ...], threshold: int, isolation: int
) -> tuple[Stmt, ...]:
    """The program of a consumer group; `worker.parameters` is complete after it.

    Waits for tiles loaded before the loop, what the loop needs computed before it, the pipeline (from
    `threshold` iterations on, else one op after the other, in source order), the code after the loop. With an outer
    loop all of that for each tile, but for what is the same for all; tiles loaded for one are given back.
    """
    kernel = worker.kernel
    loop = Path(worker, worker.stream.steps, tokens, threshold, isolation).statements()
    turning = kernel.graph.outer is not None and any(
        step.op in (token.signaller, token.waiter) for step in worker.stream.steps for _, token in tokens
    )
    if turning and counter(threshold) == TURNED:
        loop = (*loop, Count(TURNED, None))
    if threshold > 0:
        loop = (If(threshold, loop, _plain_loop(worker, isolation) if threshold > 1 else ()),)
    read_by_loop = frozenset(worker.parameters)
    after = after_loop(worker)
    initial = _initial(worker)
    count = worker.trip_count()
    used = [load for load in kernel.preloads() if kernel.buffer_name(load) in worker.parameters]
    waits = [Wait(worker.full_barrier(load, FIRST)) for load in used if not kernel.once_a_tile(load)]
    stores = last_stores(worker)
    if kernel.graph.outer is None:
        return (*waits, *worker.preamble(), *initial, count, *loop, *after, *stores)
    of_tile = [load for load in used if kernel.once_a_tile(load)]
    early = [load for load in of_tile if load.result.name not in kernel.after]
    late = [load for load in of_tile if load.result.name in kernel.after]
    held = [load for load in early if kernel.buffer_name(load) in read_by_loop]
    join = turns_over(worker) if turning else None
    body = (
        *(_given_back(worker, load) for load in early if load not in held),
        *initial,
        count,
        *loop,
        *([Arrive(join)] if join else ()),
        *(_given_back(worker, load) for load in held),
        *after[:1],
        *(Wait(worker.full_barrier(load, TILE)) for load in late),
        *after[1:],
        *(_given_back(worker, load) for load in late),
        *([Wait(join)] if join else ()),
    )
    landed = tuple(Wait(worker.full_barrier(load, TILE)) for load in early)
    return (*waits, *worker.tiles(body, landed), *stores)


def _given_back(worker: Worker, load: Op) -> Arrive:
    """This role is done with a tile that is loaded once a turn of the outer loop."""
    return Arrive(worker.empty_barrier(load, TILE))


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

"""Realistic loops of any size, by seed: what the scale benchmark and the property tests solve.

A loop is the body of a fused kernel as it grows in practice: fragments of the kernels that ship (online
softmax, gradient, product), unrolled or chained, with masks and other elementwise ops between, divided
into sub-tiles. Costs are the Hopper machine file's at the drawn tile shapes, at raw cycles.

Statistics of the problems in schedules/hopper (attention of both head sizes and masks, its dq, the
product; two sub-tiles), which the draws aim at and tests/benchmarks/test_random_loops.py checks:

    ops by unit          TC 24%, ALU 53%, SFU 10%, TMA 13%
    deps for each op     1.2 to 1.6; blocking 25% to 67%, in place 19% to 33%, carried 11% to 33%
                         (fewer in large loops: unrolling carries values within an iteration instead)
    fan-out              1 for 70% of the ops, 2 for 25%, 4 for the row maximum and shared tiles
    busiest unit         TC or ALU, or TMA where tiles are used once; the others at 30% to 95% of it
    memory               2.5 to 6 times the bytes of rings of depth 1
    recurrences          accumulators in place (distance 1, latency its product's), row maximum and sum

No loop is infeasible: `witness` runs an iteration to its end before the next begins, one group a
sub-tile, rings of depth 1, and tiles and limits are drawn so that this schedule keeps every rule: tiles
halve until it takes at most 80% of the registers and 56% of the memory. A quarter of the loops then have
their registers cut to 100% to 125% of what it takes, another quarter their memory to 100% to 180%, so
that the bound of units and recurrences is not always reached. It takes 1.3 to 4 times that bound, as one
iteration at a time does in the kernels (1.9 to 3.3).
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

from benchmarks.loop_body import Body, Use
from benchmarks.loop_fragments import draw
from twill.errors import InputError
from twill.machine import cost
from twill.machine import load as load_machine
from twill.schedule.lifetimes import has_ring, register_lives
from twill.schedule.modulo import peak
from twill.schedule.problem import Dep, Limits, Op, Problem
from twill.schedule.schedule import Group, Placement, Schedule

TIGHTNESS = ("machine", "machine", "registers", "memory")
"""What limits a loop, drawn alike: the machine alone, or registers or memory close to the least that works."""


def random_loop(ops: int, seed: int) -> Problem:
    """A feasible loop of exactly `ops` ops, the same for the same seed; any op may go to any group.

    Raises InputError for fewer than 5 ops.
    """
    if ops < 5:
        raise InputError(f"a random loop of {ops} ops was asked for.", hint="Ask for at least 5.")
    rng = random.Random(f"{ops}/{seed}")
    machine = load_machine("hopper")
    # Iterations overlap two to five deep in the kernels. Longer bodies stay near that with more sub-tiles side by side.
    subtiles = (
        rng.choice((1, 2)) if ops < 24 else rng.choices((1, 2, 3, 4), (2, 5, 3, 2) if ops < 80 else (0, 3, 4, 3))[0]
    )
    tightness = rng.choice(TIGHTNESS)
    columns, depth = rng.choice((64, 128)), rng.choice((64, 128))
    drawn = rng.random()  # the same fragments whatever the tile sizes turn out to be
    while True:
        body = Body(machine, random.Random(drawn), subtiles, columns, depth)
        draw(body, ops)
        problem = _problem(body, ops, seed, rng.choice((16, 32, 64, 128)))
        fitted = _fitted(problem, tightness, random.Random(drawn))
        if fitted is not None:
            return fitted
        # Loops that grow by unrolling or fusing work on smaller tiles: halve the larger dimension.
        if columns >= depth:
            columns //= 2
        else:
            depth //= 2


def colocated_loop(ops: int, seed: int) -> Problem:
    """`random_loop`, each sub-tile kept in one group of its own, as the problems the compiler lowers have it."""
    problem = random_loop(ops, seed)
    tiles = sorted({op.subtile for op in problem.ops if op.subtile is not None and not op.variable_latency})
    sets = [[op.id for op in problem.ops if op.subtile == tile and not op.variable_latency] for tile in tiles]
    apart = (tuple(ids[0] for ids in sets),) if len(sets) > 1 else ()
    name = f"{problem.name}_colocated"
    return replace(problem, name=name, colocate=tuple(tuple(ids) for ids in sets), separate=apart)


def witness(problem: Problem) -> Schedule:
    """A schedule of a loop from here that keeps every rule: one iteration at a time, a group for each sub-tile.

    Ops start in program order, each when its operands are there, its unit is free and its group has
    issued all before it.
    """
    tiles = sorted({op.subtile for op in problem.ops if op.subtile is not None})
    producers = any(op.variable_latency for op in problem.ops)
    limits = problem.limits
    start: dict[str, int] = {}
    unit_free: Counter[str] = Counter()
    stream_free: Counter[int] = Counter()
    group = {op.id: 0 if op.variable_latency else tiles.index(op.subtile or 0) + producers for op in problem.ops}
    before: dict[str, list[Dep]] = {op.id: [] for op in problem.ops}
    for dep in problem.deps:
        before[dep.dst].append(dep)
    for op in problem.ops:
        ready = [start[d.src] + d.latency + limits.signal_hop * (group[d.src] != group[op.id])
                 for d in before[op.id] if d.distance == 0]  # fmt: skip
        at = max([0, unit_free[op.unit], stream_free[group[op.id]], *ready])
        start[op.id] = at
        unit_free[op.unit] = at + op.occupancy
        stream_free[group[op.id]] = at + max(1, op.issue)
    length = max(start[op.id] + op.completion for op in problem.ops)
    ii = length + limits.signal_hop
    warps = [max(op.min_warps for op in problem.ops if group[op.id] == at) for at in range(producers + len(tiles))]
    schedule = Schedule(
        problem, "feasible", ii, 1, "one iteration at a time", length,
        {id: Placement(0, at, (group[id],)) for id, at in start.items()},
        {op.id: 1 for op in problem.ops if has_ring(op)},
        tuple(Group(count, 0, producer=producers and index == 0) for index, count in enumerate(warps)),
    )  # fmt: skip
    held = {index: peak(spans, ii)[1] for index, spans in register_lives(schedule).items()}
    groups = tuple(
        replace(each, registers=limits.producer_registers if each.producer else -(-held[index] // 8) * 8)
        for index, each in enumerate(schedule.groups)
    )
    return replace(schedule, groups=groups)


def _problem(body: Body, ops: int, seed: int, trip_count: int) -> Problem:
    """Every node for every sub-tile; the ops that are missing go to the first sub-tiles, one each."""
    made: list[Op] = []
    deps: list[Dep] = []
    shared = {node.name for node in body.nodes if node.shared}

    def name(node: str, tile: int) -> str:
        return node if node in shared or body.subtiles == 1 else f"{node}.{tile}"

    for node in body.nodes:
        for tile in (0,) if node.shared else range(body.subtiles):
            made.append(replace(node.op, id=name(node.name, tile), subtile=None if node.shared else tile))
        for tile in range(body.subtiles):
            for use in node.uses:
                deps.append(_dep(body, use, name(use.src, tile), name(node.name, tile)))
    for tile in range(ops - len(made)):
        tail = next(op for op in reversed(made) if op.subtile == tile and op.unit in ("ALU", "SFU", "TC"))
        extra = Op(f"tail.{tile}", "ALU", 64, 64, 89, registers=1, min_warps=body.warps, subtile=tile)
        made.append(extra)
        deps.append(Dep(tail.id, extra.id, 0, tail.latency, blocking=tail.unit == "TC"))
    limits = _limits(body, max(op.registers for op in made))
    return Problem(f"random_{ops}_{seed}", limits, tuple(made), tuple(deps), trip_count)


def _dep(body: Body, use: Use, src: str, dst: str) -> Dep:
    latency = use.latency
    if latency is None:
        latency = next(node.op.latency for node in body.nodes if node.name == use.src)
    return Dep(src, dst, use.distance, latency, use.blocking, use.in_place)


def _limits(body: Body, registers: int) -> Limits:
    """The machine's, less what every kernel keeps back; a value crosses groups at the cost of the largest."""
    machine = body.machine
    limits = machine.limits()
    reserved = machine.count("reserved_registers")
    return replace(
        limits,
        smem_bytes=limits.smem_bytes - machine.count("barrier_bytes"),
        max_groups=8,
        registers_per_thread=limits.registers_per_thread - reserved,
        register_file=limits.register_file - 32 * body.warps * body.subtiles * reserved,
        reserved_registers=reserved,
        value_hop=cost.value_hop(machine, 4 * 32 * body.warps * registers),
    )


def _fitted(problem: Problem, tightness: str, rng: random.Random) -> Problem | None:
    """`problem` with limits that its witness keeps, as tight as drawn; None when its tiles are too large."""
    schedule = witness(problem)
    limits = problem.limits
    producer_warps = sum(group.warps for group in schedule.groups if group.producer)
    left = limits.register_file - 128 * -(-producer_warps // 4) * limits.producer_registers
    consumers = [group for group in schedule.groups if not group.producer]
    cap = min(limits.registers_per_thread, 8 * (left // (256 * sum(group.warps for group in consumers))))
    held = max(group.registers for group in consumers)
    rings = sum(op.smem_bytes for op in problem.ops)
    if held > 0.8 * cap or 1.8 * rings > limits.smem_bytes:
        return None
    if tightness == "registers":
        tight = min(cap, -(-round(held * rng.uniform(1.0, 1.25)) // 8) * 8)
        return replace(problem, limits=replace(limits, registers_per_thread=tight))
    if tightness == "memory":
        tight = min(limits.smem_bytes, round(rings * rng.uniform(1.0, 1.8)))
        return replace(problem, limits=replace(limits, smem_bytes=tight))
    return problem

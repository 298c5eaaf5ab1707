"""Problems solved by hand or taken from the literature, shared by the tests of the solver."""

from __future__ import annotations

from collections.abc import Sequence

from twill.schedule.problem import Dep, Limits, Op, Problem

HOPPER = Limits(
    units={"TC": 1, "SFU": 1, "ALU": 1, "TMA": 1},
    smem_bytes=232448,
    max_groups=8,
    max_warps=64,
    registers_per_thread=232,
    register_file=65536,
    producer_registers=24,
    signal_hop=30,
    value_hop=400,
    name="hopper",
)


def attention(subtiles: int = 2, limits: Limits = HOPPER, trip_count: int = 64) -> Problem:
    """FlashAttention forward on Hopper, tiles of 128 x 128, head size 128, rows divided among sub-tiles.

    Cycles from the machine's rates for a [128 / subtiles, 128] tile: wgmma 1024 / subtiles,
    exp2 at 16 a cycle, one pass of the ALU at 128 lanes a cycle.
    """
    rows = 128 // subtiles
    mma, mufu, alu = 8 * rows, 8 * rows, rows
    warps = 4 if rows <= 64 else 8
    tile = rows * 128 // (32 * warps)  # registers a thread of a [rows, 128] fp32 tile
    ops = [
        Op("k", "TMA", occupancy=256, issue=30, latency=700, smem_bytes=32768, variable_latency=True),
        Op("v", "TMA", occupancy=256, issue=30, latency=700, smem_bytes=32768, variable_latency=True),
    ]
    deps = []
    for s in range(subtiles):

        def op(
            id: str, unit: str, occupancy: int, latency: int, registers: int, issue: int | None = None, s: int = s
        ) -> None:
            taken = occupancy if issue is None else issue
            ops.append(Op(f"{id}.{s}", unit, occupancy, taken, latency, registers, min_warps=warps, subtile=s))

        def dep(u: str, v: str, distance: int = 0, blocking: bool = False, in_place: bool = False, s: int = s) -> None:
            u = u if u in ("k", "v") else f"{u}.{s}"
            latency = next(o.latency for o in ops if o.id == u)
            deps.append(Dep(u, f"{v}.{s}", distance, latency, blocking, in_place))

        op("qk", "TC", mma, mma + 60, tile, issue=20)
        op("max", "ALU", alu + 32, alu + 60, 1)
        op("alpha", "SFU", 4, 30, 1)
        op("sub", "ALU", alu, alu + 10, tile)
        op("exp", "SFU", mufu, mufu + 20, tile)
        op("sum", "ALU", alu + 32, alu + 60, 1)
        op("cast", "ALU", alu, alu + 10, tile // 2)
        op("rescale", "ALU", alu, alu + 10, tile)
        op("pv", "TC", mma, mma + 60, tile, issue=20)
        dep("k", "qk", blocking=True)
        dep("qk", "max", blocking=True)
        dep("max", "max", 1)
        dep("max", "alpha")
        dep("max", "alpha", 1)
        dep("max", "sub")
        dep("qk", "sub")
        dep("sub", "exp")
        dep("exp", "sum")
        dep("alpha", "sum")
        dep("sum", "sum", 1)
        dep("exp", "cast")
        dep("alpha", "rescale")
        dep("pv", "rescale", 1, blocking=True, in_place=True)
        dep("rescale", "pv", in_place=True)
        dep("cast", "pv")
        dep("v", "pv", blocking=True)
    return Problem(
        name=f"attention, {subtiles} sub-tiles",
        limits=limits,
        ops=tuple(ops),
        deps=tuple(deps),
        trip_count=trip_count,
        colocate=tuple(tuple(op.id for op in ops if op.subtile == s) for s in range(subtiles)),
        separate=(tuple(f"qk.{s}" for s in range(subtiles)),),
    )


def free(problem: Problem) -> Problem:
    """The same problem with every op at liberty to go to any group."""
    return Problem(problem.name, problem.limits, problem.ops, problem.deps, problem.trip_count)


def problem(ops: Sequence[Op], deps: Sequence[Dep] = (), **limits: object) -> Problem:
    """A tiny problem; units of capacity 1 as its ops name them, no hops, plenty of everything else."""
    units = {op.unit: 1 for op in ops}
    settings: dict = {"units": units, "smem_bytes": 1 << 20, "tmem_columns": 512, **limits}
    trip_count = settings.pop("trip_count", 100)
    colocate = settings.pop("colocate", ())
    separate = settings.pop("separate", ())
    return Problem("tiny", Limits(**settings), tuple(ops), tuple(deps), trip_count, colocate, separate)

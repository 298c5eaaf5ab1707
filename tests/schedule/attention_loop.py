"""A schedule to test with: the loop of FlashAttention forward on Hopper, two sub-tiles of 64 rows, placed by hand.

Per iteration the tensor core is busy 4 * 512 = 2048 cycles, so ii = 2048 is optimal. Each consumer
group issues the QK of the next tile before the softmax of this one, and the groups alternate on the
tensor core, as FlashAttention 3 does.
"""

from __future__ import annotations

from twill.schedule.problem import Dep, Limits, Op, Problem
from twill.schedule.schedule import Group, Placement, Schedule, Tier

LIMITS = Limits(
    units={"TC": 1, "SFU": 1, "ALU": 1, "TMA": 1},
    smem_bytes=232448,
    max_groups=8,
    max_warps=16,
    registers_per_thread=240,
    signal_hop=50,
    value_hop=200,
    name="hopper",
)
II = 2048


# name, unit, occupancy, issue, latency, registers, source line
_TILE_OPS = (
    ("s", "TC", 512, 20, 560, 64, 23),
    ("max", "ALU", 64, 64, 90, 1, 24),
    ("sub", "ALU", 64, 64, 70, 64, 25),
    ("p", "SFU", 512, 512, 540, 64, 26),
    ("alpha", "SFU", 8, 8, 40, 1, 27),
    ("sum", "ALU", 64, 64, 90, 1, 28),
    ("cast", "ALU", 64, 64, 70, 32, 30),
    ("scaled", "ALU", 64, 64, 70, 64, 31),
    ("acc", "TC", 512, 20, 560, 64, 32),
)
# src, dst, distance, blocking, in place; the latency is the source's
_TILE_DEPS = (
    ("k", "s", 0, True, False),
    ("s", "max", 0, True, False),
    ("s", "sub", 0, True, True),
    ("max", "max", 1, False, False),
    ("max", "sub", 0, False, False),
    ("sub", "p", 0, False, True),
    ("max", "alpha", 0, False, False),
    ("max", "alpha", 1, False, False),
    ("p", "sum", 0, False, False),
    ("alpha", "sum", 0, False, False),
    ("sum", "sum", 1, False, False),
    ("p", "cast", 0, False, False),
    ("alpha", "scaled", 0, False, False),
    ("acc", "scaled", 1, True, True),
    ("scaled", "acc", 0, False, True),
    ("cast", "acc", 0, False, False),
    ("v", "acc", 0, True, False),
)


def problem(trip_count: int = 64) -> Problem:
    """Two loads shared by two sub-tiles of nine ops each."""
    ops = [
        Op("k", "TMA", 256, 30, 700, smem_bytes=32768, variable_latency=True, location="attention.py:21:13"),
        Op("v", "TMA", 256, 30, 700, smem_bytes=32768, variable_latency=True, location="attention.py:22:13"),
    ]
    for tile in (0, 1):
        for name, unit, occupancy, issue, latency, registers, line in _TILE_OPS:
            place = f"attention.py:{line}:9"
            id = f"{name}.{tile}"
            ops.append(Op(id, unit, occupancy, issue, latency, registers, min_warps=4, location=place, subtile=tile))
    latencies = {op.id: op.latency for op in ops}
    deps = []
    for tile in (0, 1):
        for src, dst, distance, blocking, in_place in _TILE_DEPS:
            src, dst = (id if id in "kv" else f"{id}.{tile}" for id in (src, dst))
            deps.append(Dep(src, dst, distance, latencies[src], blocking, in_place))
    together = tuple(tuple(op.id for op in ops if op.subtile == tile) for tile in (0, 1))
    return Problem("attn_fwd", LIMITS, tuple(ops), tuple(deps), trip_count, together, (("s.0", "s.1"),))


# Start of each op of iteration 0; sub-tile 1 runs half an interval behind sub-tile 0.
_TILE_STARTS = {"s": 750, "max": 1536, "sub": 1626, "p": 1700, "alpha": 1692, "sum": 2240, "cast": 2304,
                "scaled": 2374, "acc": 3310}  # fmt: skip


def schedule(trip_count: int = 64) -> Schedule:
    """The hand-placed schedule of `problem()`."""
    task = problem(trip_count)
    starts = {"k": 0, "v": 1700}
    starts |= {f"{name}.{tile}": at + tile * II // 2 for name, at in _TILE_STARTS.items() for tile in (0, 1)}
    group = {"k": 0, "v": 0} | {op.id: 1 + op.subtile for op in task.ops if op.subtile is not None}
    length = max(starts[op.id] + op.completion for op in task.ops)
    return Schedule(
        problem=task,
        status="optimal",
        ii=II,
        lower_bound=II,
        reason="unit TC",
        length=length,
        placements={op.id: Placement(*divmod(starts[op.id], II), (group[op.id],)) for op in task.ops},
        rings={"k": 2, "v": 2},
        groups=(Group(1, 24, producer=True), Group(4, 240), Group(4, 240)),
        tiers=(Tier("ii", II, II, True), Tier("total_cycles", 63 * II + length, 130000, False)),
        seconds=0.4,
        provenance={"twill": "0.1.0"},
    )

"""The attention loops of docs/rediscoveries.md as scheduling problems; writes four of them to problems/.

    python -m benchmarks.attention_problems

The forward pass on Hopper is lowered from kernels/attention.py; the others are written down with the cost model,
because the front end reads no atomics and no two row blocks of queries in flight.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from benchmarks import attention_divisions as division
from benchmarks.attention_backward import blackwell_backward, hopper_backward
from benchmarks.attention_draft import TRIPS, Draft
from twill.machine import cost, load
from twill.machine.cost import Cost
from twill.schedule.graph_file import write_problem
from twill.schedule.problem import Problem

ROOT = Path(__file__).resolve().parents[1]


def hopper_forward() -> Problem:
    """kernels/attention.py with tiles of 128 x 128 in two sub-tiles."""
    from twill import frontend
    from twill.ir.simplify import simplify
    from twill.ir.subtile import split
    from twill.machine import lower

    graph = simplify(frontend.lower(frontend.load(ROOT / "kernels" / "attention.py"), {}, None, "hopper", {})[0])
    return replace(lower(split(graph, 2), load("hopper"), TRIPS), name="hopper_attention_forward")


def blackwell_forward(subtiles: int = 2, in_pieces: bool = False) -> Problem:
    """Sub-tiles of 128 queries by 128 keys, head size 128; any op may go to any group.

    Tensor memory holds S and O of each sub-tile; P goes through shared memory. in_pieces: the rescaling of O reads,
    multiplies and writes a few columns at a time, as one op that holds no tile in registers.
    """
    d, rows = Draft(load("blackwell")), 128
    tile, elements, held = (rows, rows), rows * rows, rows
    d.load("k", tile, "K tile")
    d.load("v", tile, "V tile")
    d.add("k.free", Cost("LSU", 0, 0, 0), 1, "K's slot is free")
    for i in range(subtiles):
        s = d.dot(f"s.{i}", rows, rows, rows, "Q K^T", i, tmem_columns=rows)
        read = d.tmem_load(f"s.{i}.read", tile, "S to registers", i, held)
        top = d.reduce(f"max.{i}", tile, "max", "row maximum, factor of the old sums", i, 8)
        factor = d.stage(f"alpha.{i}.store", "f32", (rows,), "factor to shared memory", i)
        arg = d.arithmetic(f"arg.{i}", elements, "float_rate", "S * scale - max", i, held)
        p = d.arithmetic(f"p.{i}", elements, "mufu_rate", "exp2", i, held)
        total = d.reduce(f"sum.{i}", tile, "sum", "row sum", i, 4)
        narrow = d.arithmetic(f"p16.{i}", elements, "narrow_rate", "P to 16 bits", i, held // 2)
        store = d.stage(f"p.{i}.store", "f16", tile, "P to shared memory", i)
        pv = d.dot(f"pv.{i}", rows, rows, rows, "O += P V", i)
        d.use("k", s)
        d.use(s, read)
        d.use(read, top)
        d.use(top, top, 1)
        d.use(top, factor)
        d.use(read, arg)
        d.use(top, arg)
        d.use(arg, p)
        d.use(p, total)
        d.use(top, total)
        d.use(total, total, 1)
        d.use(p, narrow)
        d.use(narrow, store)
        d.use(store, pv)
        d.use("v", pv)
        _rescaling(d, i, pv, factor, tile, in_pieces)
        # K and V take turns in one ring of three slots: K of the next tile, V of this one, K of the one after.
        d.after(s, "k.free", 0)
        d.after(pv, "k", 3)
    d.after("k.free", "v", 0)
    d.keep_out_of_memory("k", "v")
    tile_bytes = 2 * elements
    kept = (3 + subtiles) * tile_bytes + d.machine.count("barrier_bytes")  # the ring, and Q, through which O leaves
    limits = d.machine.limits()
    limits = replace(
        limits,
        smem_bytes=limits.smem_bytes - kept,
        tmem_columns=limits.tmem_columns - subtiles * rows,
        value_hop=cost.value_hop(d.machine, 4 * elements),
    )
    return d.problem("blackwell_attention_forward", limits)


def _rescaling(d: Draft, i: int, pv: str, factor: str, tile: tuple[int, int], in_pieces: bool) -> None:
    """O * factor between two products: from tensor memory through registers and back."""
    seen = d.ops[factor].latency + d.machine.count("smem_latency")
    if in_pieces:
        whole = d.rescale(f"o.{i}.rescale", tile, "O * factor", i)
        d.use(pv, whole, 1)
        d.use(factor, whole, latency=seen)
        d.use(whole, pv)
        return
    read = d.tmem_load(f"o.{i}.read", tile, "O to registers", i, tile[1])
    scale = d.arithmetic(f"o.{i}.scale", tile[0] * tile[1], "float_rate", "O * factor", i, tile[1])
    write = d.tmem_store(f"o.{i}.write", "f32", tile, "O to tensor memory", i)
    d.use(pv, read, 1)
    d.use(read, scale)
    d.use(factor, scale, latency=seen)
    d.use(scale, write)
    d.use(write, pv)


def library() -> tuple[Problem, ...]:
    """The four of problems/. On Blackwell with the groups of FlashAttention 4, so that their optima are proved soon."""
    return (
        hopper_forward(),
        division.flash_attention_4(blackwell_forward()),
        hopper_backward(),
        division.three_groups(blackwell_backward()),
    )


def main() -> None:
    """Write the four problems to problems/."""
    for problem in library():
        write_problem(ROOT / "problems" / f"{problem.name}.json", problem)


if __name__ == "__main__":
    main()

"""The problems of the library that are priced by the machine files; writes them to problems/.

    python -m benchmarks.library_problems

GEMM is lowered from its Triton source. The others are loops that the front end does not read yet; what
they cost is still the cost model's, at the tile shapes named here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

from benchmarks.attention_draft import Draft
from twill.ir.graph import Type
from twill.machine import cost, load, lower
from twill.machine.cost import Layout
from twill.schedule.graph_file import write_problem
from twill.schedule.problem import Dep, Limits, Problem

TRIPS = 64
SUBTILES = (0, 1)
ROWS_BY_WARPS = Layout(4, lanes_per_row=32)  # without an MMA a warp holds whole rows


def gemm() -> Problem:
    """kernels/matmul.py at its own tile sizes, two sub-tiles."""
    from twill import frontend, kernels
    from twill.ir.simplify import simplify
    from twill.ir.subtile import split

    source = frontend.load(f"{next(iter(kernels.__path__))}/matmul.py")
    graph, _ = frontend.lower(source, {})
    problem = lower(split(simplify(graph), 2), load("hopper"), TRIPS)
    return replace(problem, name="gemm", ops=tuple(replace(op, location="") for op in problem.ops))


def grouped_gemm() -> Problem:
    """The up-projection of a mixture of experts: 128 gathered rows, 128 columns of gate and up each, K 64."""
    d = Draft(load("hopper"))
    rows = Type("bf16", (128, 64))
    # Rows scattered over memory are no TMA box: the producer's threads copy them (cp.async), at a load's latency.
    copied = replace(cost.global_access(d.machine, rows, 0), smem_bytes=rows.nbytes)
    copied = replace(
        copied, issue=d.machine.count("tma_issue"), latency=copied.occupancy + d.machine.count("global_latency")
    )
    d.add("rows", copied, 4, "gathered rows", variable=True)
    d.load("gate_w", (64, 128), "gate weights")
    d.load("up_w", (64, 128), "up weights")
    for i in SUBTILES:
        for name in ("gate", "up"):
            dot = d.dot(f"{name}.{i}", 64, 128, 64, f"{name} projection", i, registers=64)
            d.deps.append(Dep("rows", dot, 0, copied.latency, blocking=True))
            d.use(f"{name}_w", dot)
            d.accumulate(dot)
    return d.problem("grouped_gemm", _limits(d, staged=128 * 128 * 2), TRIPS)


def newton_schulz() -> Problem:
    """X <- aX + (bA + cA^2) X with A = X X^T, X of 128 x 128 kept on the chip; each group has 64 of its rows."""
    d = Draft(load("hopper"))
    tile, elements = (64, 128), 64 * 128
    for i in SUBTILES:
        d.dot(f"a.{i}", 64, 128, 128, "A = X X^T", i, registers=64)
        d.arithmetic(f"a16.{i}", elements, "narrow_rate", "A to 16 bits", i, 32)
        d.stage(f"a.{i}.store", "bf16", tile, "A to shared memory", i)
        d.dot(f"a2.{i}", 64, 128, 128, "A A", i, registers=64, a_in_registers=True)
        d.arithmetic(f"b.{i}", elements, "float_rate", "B = bA + cA^2", i, 64, passes=2)
        d.arithmetic(f"b16.{i}", elements, "narrow_rate", "B to 16 bits", i, 32)
        d.dot(f"y.{i}", 64, 128, 128, "B X", i, registers=64, a_in_registers=True)
        d.arithmetic(f"x.{i}", elements, "float_rate", "X = aX + BX", i, 64)
        d.arithmetic(f"x16.{i}", elements, "narrow_rate", "X to 16 bits", i, 32)
        d.stage(f"x.{i}.store", "bf16", tile, "X to shared memory", i)
    for i in SUBTILES:
        d.use(f"a.{i}", f"a16.{i}")
        d.use(f"a16.{i}", f"a.{i}.store")
        d.use(f"a16.{i}", f"a2.{i}")
        d.use(f"a.{i}", f"b.{i}", in_place=True)
        d.use(f"a2.{i}", f"b.{i}")
        d.use(f"b.{i}", f"b16.{i}")
        d.use(f"b16.{i}", f"y.{i}")
        d.use(f"y.{i}", f"x.{i}", in_place=True)
        d.use(f"x.{i}", f"x.{i}", 1)
        d.use(f"x.{i}", f"x16.{i}")
        d.use(f"x16.{i}", f"x.{i}.store")
        for j in SUBTILES:  # each group needs the rows of both
            _await(d, f"x.{j}.store", f"a.{i}", 1)
            _await(d, f"a.{j}.store", f"a2.{i}")
            _await(d, f"x.{j}.store", f"y.{i}", 1)
    return d.problem("newton_schulz", _limits(d, staged=0), 5, **_kept(d))


def layer_norm() -> Problem:
    """Rows of 1024 in bf16, 8 to each group an iteration; weight and bias stay in registers."""
    d = Draft(load("hopper"))
    tile, elements, registers = Type("bf16", (8, 1024)), 8 * 1024, 64
    for i in SUBTILES:
        d.add(f"rows.{i}", cost.tma_load(d.machine, tile), 1, "rows", i, variable=True)
        d.add(f"read.{i}", cost.smem_read(d.machine, tile, registers // 2), 4, "to registers", i)
        d.arithmetic(f"wide.{i}", elements, "convert_rate", "to float32", i, registers)
        d.add(f"mean.{i}", _row_reduction(d, passes=1), 4, "row mean", i)
        d.arithmetic(f"centred.{i}", elements, "float_rate", "x - mean", i, registers)
        d.add(f"variance.{i}", _row_reduction(d, passes=2), 4, "row mean of squares, rsqrt", i)
        d.arithmetic(f"scaled.{i}", elements, "float_rate", "times rstd", i, registers)
        d.arithmetic(f"affine.{i}", elements, "float_rate", "times weight, plus bias", i, registers)
        d.arithmetic(f"narrow.{i}", elements, "narrow_rate", "to bf16", i, registers // 2)
        d.add(f"store.{i}", cost.tma_store(d.machine, tile), 4, "rows out", i)
        chain = ("rows", "read", "wide", "mean", "centred", "variance", "scaled", "affine", "narrow", "store")
        for src, dst in pairwise(chain):
            d.use(f"{src}.{i}", f"{dst}.{i}")
        d.use(f"wide.{i}", f"centred.{i}", in_place=True)
        d.use(f"centred.{i}", f"scaled.{i}", in_place=True)
    limits = _limits(d, staged=0)
    held = 2 * 1024 // 32  # weight and bias: a lane has every 32nd of both, in float32
    limits = replace(limits, registers_per_thread=limits.registers_per_thread - held,
                     register_file=limits.register_file - 2 * 128 * held)  # fmt: skip
    return d.problem("layer_norm", limits, TRIPS, **_kept(d))


def retention() -> Problem:
    """Linear attention with decay, chunks of 64, keys and values 128 wide; each group has 64 columns of the values."""
    d = Draft(load("hopper"))
    for name in ("q", "k", "v"):
        d.load(name, (64, 128), f"{name.upper()} chunk")
    for i in SUBTILES:
        d.dot(f"s.{i}", 64, 64, 128, "Q K^T", i, registers=32)
        d.arithmetic(f"decayed.{i}", 64 * 64, "float_rate", "S * decay mask", i, 32)
        d.arithmetic(f"p.{i}", 64 * 64, "narrow_rate", "P to 16 bits", i, 16)
        d.arithmetic(f"h16.{i}", 128 * 64, "narrow_rate", "state to 16 bits", i, 32)
        d.stage(f"h.{i}.store", "bf16", (128, 64), "state to shared memory", i)
        d.dot(f"inner.{i}", 64, 64, 64, "O = P V", i, registers=32, a_in_registers=True)
        d.dot(f"outer.{i}", 64, 64, 128, "O += Q state", i, registers=32)
        d.add(f"out.{i}", cost.tma_store(d.machine, Type("bf16", (64, 64))), 4, "O out", i)
        d.arithmetic(f"h.decay.{i}", 128 * 64, "float_rate", "state * decay", i, 64)
        d.dot(f"h.{i}", 128, 64, 64, "state += K^T V", i, registers=64)
        for load_, dot in (("q", "s"), ("k", "s"), ("v", "inner"), ("q", "outer"), ("k", "h"), ("v", "h")):
            d.use(load_, f"{dot}.{i}")
        d.use(f"s.{i}", f"decayed.{i}", in_place=True)
        d.use(f"decayed.{i}", f"p.{i}")
        d.use(f"p.{i}", f"inner.{i}")
        d.use(f"h.{i}", f"h16.{i}", 1)
        d.use(f"h16.{i}", f"h.{i}.store")
        d.use(f"h.{i}.store", f"outer.{i}")
        # The tensor core takes the two products of O in order: no wait between them.
        d.use(f"inner.{i}", f"outer.{i}", latency=d.ops[f"inner.{i}"].occupancy, in_place=True)
        d.deps[-1] = replace(d.deps[-1], blocking=False)
        d.use(f"outer.{i}", f"out.{i}")
        d.use(f"h.{i}", f"h.decay.{i}", 1, in_place=True)
        d.use(f"h.decay.{i}", f"h.{i}", in_place=True)
    return d.problem("retention", _limits(d, staged=0), TRIPS, **_kept(d))


def tensor_memory_ring() -> Problem:
    """Blackwell: 256 x 128 x 128 products against a resident operand, read out of tensor memory as the next runs."""
    d = Draft(load("blackwell"))
    d.load("b", (128, 128), "B tile")
    half = cost.mma(d.machine, Type("bf16", (128, 128)), Type("bf16", (128, 128)), a_in_registers=False)
    pipeline = half.latency - half.occupancy
    both = replace(half, occupancy=2 * half.occupancy, latency=2 * half.occupancy + pipeline, tmem_columns=256)
    d.add("c", both, 1, "C = A B")
    d.use("b", "c")
    tile = Type("bf16", (128, 128))
    for i in SUBTILES:
        d.tmem_load(f"read.{i}", (128, 128), "half of C to registers", i, 64)
        d.arithmetic(f"narrow.{i}", 128 * 128, "narrow_rate", "to bf16", i, 32)
        d.add(f"out.{i}", cost.global_access(d.machine, tile, 0), 4, "half of C out", i)
        d.use("c", f"read.{i}")
        d.use(f"read.{i}", f"narrow.{i}")
        d.use(f"narrow.{i}", f"out.{i}")
        # C may be written again once it is read; a second slot of the ring puts that off by an iteration.
        d.deps.append(Dep(f"read.{i}", "c", 1, d.ops[f"read.{i}"].latency, ring=True))
        for name in ("read", "narrow", "out"):  # half a tile on eight warps: 64 registers a thread
            d.ops[f"{name}.{i}"] = replace(d.ops[f"{name}.{i}"], min_warps=8)
    limits = _limits(d, staged=256 * 128 * 2)  # A
    return d.problem("tensor_memory_ring", limits, TRIPS)


def tensor_memory_one_slot() -> Problem:
    """`tensor_memory_ring` with half the tensor memory."""
    whole = tensor_memory_ring()
    return replace(whole, name="tensor_memory_one_slot", limits=replace(whole.limits, tmem_columns=256))


def cooperative_gemm() -> Problem:
    """128 x 256 of accumulator in the registers of two groups, one product on both (CUTLASS's cooperative schedule)."""
    d = Draft(load("hopper"))
    d.load("a", (128, 64), "A tile")
    d.load("b", (64, 256), "B tile")
    d.dot("acc", 128, 256, 64, "C += A B", registers=128)
    d.ops["acc"] = replace(d.ops["acc"], spans=2)
    d.use("a", "acc")
    d.use("b", "acc")
    d.accumulate("acc")
    return d.problem("cooperative_gemm", _limits(d, staged=128 * 256 * 2), TRIPS)


def one_group_gemm() -> Problem:
    """`cooperative_gemm` on a single group, whose threads would have to hold 256 registers of accumulator each."""
    shared = cooperative_gemm()
    ops = tuple(replace(op, spans=1, registers=2 * op.registers) for op in shared.ops)
    return replace(shared, name="one_group_gemm", ops=ops)


PROBLEMS: dict[str, Callable[[], Problem]] = {
    build.__name__: build
    for build in (
        gemm, grouped_gemm, newton_schulz, layer_norm, retention,
        tensor_memory_ring, tensor_memory_one_slot, cooperative_gemm, one_group_gemm,
    )
}  # fmt: skip


def _await(d: Draft, src: str, dst: str, distance: int = 0) -> None:
    """dst uses a tile that another group may have written: it waits for that group's barrier."""
    d.deps.append(Dep(src, dst, distance, d.ops[src].latency, blocking=True))


def _row_reduction(d: Draft, passes: int) -> cost.Cost:
    """A row reduction of a tile whose rows lie across the lanes of a warp; `passes` instructions an element."""
    work = cost.reduction(d.machine, Type("f32", (8, 1024)), 1, "sum", ROWS_BY_WARPS)
    busy = round(passes * work.alu)
    return cost.Cost("ALU", busy, busy, busy + round(work.extra) + d.machine.count("tile_drain"), registers=2)


def _kept(d: Draft) -> dict[str, tuple[tuple[str, ...], ...]]:
    """Each sub-tile in a group of its own: the two have rows of their own all along."""
    tiles = [tuple(op.id for op in d.ops.values() if op.subtile == i and not op.variable_latency) for i in SUBTILES]
    return {"colocate": tuple(tiles), "separate": (tuple(ids[0] for ids in tiles),)}


def _limits(d: Draft, staged: int) -> Limits:
    """The machine's, less barriers, `staged` bytes of shared memory and what every kernel's threads keep back."""
    machine = d.machine
    limits = machine.limits()
    reserved = machine.count("reserved_registers")
    largest = max(op.registers * 128 * 4 for op in d.ops.values())
    return replace(
        limits,
        smem_bytes=limits.smem_bytes - staged - machine.count("barrier_bytes"),
        max_groups=8,
        registers_per_thread=limits.registers_per_thread - reserved,
        register_file=limits.register_file - 2 * 128 * reserved,
        reserved_registers=reserved,
        value_hop=cost.value_hop(machine, largest),
    )


def main() -> None:
    from twill.problems import FOLDER

    for name, build in PROBLEMS.items():
        write_problem(FOLDER / f"{name}.json", build())


if __name__ == "__main__":
    main()

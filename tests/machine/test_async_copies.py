"""Asynchronous copies as ops of a loader: what they cost, who makes them, and what waits for them."""

from math import ceil
from pathlib import Path

import pytest

from twill import frontend
from twill.ir.async_loads import fetch_by_loader
from twill.ir.graph import Type
from twill.ir.simplify import simplify
from twill.ir.subtile import split
from twill.machine import cost, load
from twill.machine.lowering import lower

ROOT = Path(__file__).parents[2]


def problem_of(kernel, subtiles):
    graph, _ = frontend.lower(frontend.load(kernel))
    return lower(split(fetch_by_loader(simplify(graph)), subtiles), load("hopper"), 8)


@pytest.fixture(scope="module")
def gather():
    return problem_of(ROOT / "kernels" / "grouped_matmul_gather.py", 2)


@pytest.fixture(scope="module")
def pointers():
    return problem_of(ROOT / "tests" / "kernels_for_tests" / "pointer_matmul.py", 2)


@pytest.mark.parametrize(
    ("shape", "warps", "vectors"),
    [((64, 64), 4, 4), ((128, 64), 4, 8), ((64, 32), 2, 4), ((64, 16), 1, 4), ((16, 16), 1, 1)],
)
def test_warps_that_copy_a_tile(shape, warps, vectors):
    tile = Type("f16", shape)
    assert cost.copy_warps(tile) == warps
    assert cost.copy_vectors(tile, warps) == vectors


def test_what_a_copy_costs(gather):
    machine = load("hopper")
    op = gather.op("x_tile.0")  # 64 x 64 fp16: 8 KiB, 4 vectors a thread
    assert (op.unit, op.variable_latency, op.min_warps, op.registers, op.smem_bytes) == ("TMA", True, 4, 0, 8192)
    assert op.occupancy == ceil(8192 / 34.6) == 237
    assert op.issue == max(8192 // 128, 4 * machine.count("async_copy_issue")) == 64
    assert op.latency == 237 + machine.count("global_latency") + machine.count("proxy_fence")


def test_narrow_copies_are_bound_by_their_instructions():
    machine = load("hopper")
    found = cost.async_copy(machine, Type("f16", (64, 16)))  # one warp, 4 vectors a thread: 32 cycles, not 16
    assert found.issue == 32
    assert found.latency >= found.occupancy >= found.issue


def test_addresses_are_nobody_elses_work(gather):
    """Tokens, their offsets and masks: no op of a consumer group computes them, and none holds them."""
    assert [op.id for op in gather.ops] == ["x_tile.0", "x_tile.1", "w_tile", "acc.0", "acc.1"]
    assert gather.limits.reserved_registers == load("hopper").count("reserved_registers")
    assert gather.colocate == (("acc.0",), ("acc.1",))


def test_loaders_have_registers_for_addresses(gather, pointers):
    machine = load("hopper")
    least, each = machine.count("producer_registers"), machine.count("copy_registers")
    assert gather.limits.producer_registers == least + 8 * each  # two tiles of 4 vectors a thread
    assert pointers.limits.producer_registers == least + 16 * each
    plain = problem_of(ROOT / "kernels" / "grouped_matmul.py", 2)
    assert plain.limits.producer_registers == least


def test_who_uses_a_copy_waits_for_it(pointers):
    deps = {(dep.src, dep.dst): dep for dep in pointers.deps}
    for dst in ("acc.0", "a_tile.0.read"):  # the MMA reads it in shared memory; the sum, in registers
        dep = deps["a_tile.0", dst]
        assert (dep.latency, dep.distance, dep.blocking) == (pointers.op("a_tile.0").latency, 0, True)
    assert {("b_tile", "acc.0"), ("b_tile", "acc.1")} <= set(deps)  # shared by the sub-tiles
    assert pointers.op("b_tile").subtile is None

"""Loads by pointers in the loop: ops of their group on the load and store unit, in registers, one for each sub-tile."""

from pathlib import Path

import pytest

from twill import frontend
from twill.errors import Unsupported
from twill.ir import evaluate
from twill.ir.graph import Type
from twill.ir.simplify import simplify
from twill.ir.subtile import split
from twill.ir.text import parse_graph, print_graph
from twill.machine import cost, load
from twill.machine.lowering import lower

KERNEL = Path(__file__).parents[1] / "kernels_for_tests" / "block_scaled.py"


@pytest.fixture(scope="module")
def graph():
    found, _ = frontend.lower(frontend.load(KERNEL))
    return simplify(found)


@pytest.fixture(scope="module")
def problem(graph):
    return lower(split(graph, 2), load("hopper"), 4)


def test_each_group_loads_for_itself(graph):
    divided = split(graph, 2)
    assert parse_graph(print_graph(divided)) == divided
    loads = {op.result.name: op for op in divided.loop.body if op.opcode == "load"}
    assert {(name, op.subtile) for name, op in loads.items()} == {
        (f"{name}.{s}", s) for name in ("scale", "scale_6", "picked", "chosen") for s in (0, 1)
    }
    assert loads["scale.0"].result.type.shape == (64,)  # rows are divided
    assert loads["picked.1"].result.type.shape == (64,)  # columns are not


def test_the_division_means_the_same(graph):
    import numpy as np

    random = np.random.default_rng(0)
    given = {
        "a": random.standard_normal((128, 256)).astype(np.float16),
        "b": random.standard_normal((256, 64)).astype(np.float16),
        "row_scale": random.standard_normal((4, 128)).astype(np.float32),
        "tile_scale": random.standard_normal(4).astype(np.float32),
        "pick": random.integers(0, 60, (4, 64), dtype=np.int32),
        "weight": random.standard_normal(60).astype(np.float32),
        "c": np.zeros((128, 64), np.float32),
        "K": 256,
    }
    whole, divided = (evaluate.run(each, given, (1,), "float64")["c"] for each in (graph, split(graph, 2)))
    np.testing.assert_allclose(divided, whole, rtol=1e-12, atol=1e-12)


def test_what_a_load_costs(problem):
    machine = load("hopper")
    rows = problem.op("scale.0")
    assert (rows.unit, rows.variable_latency, rows.min_warps) == ("LSU", False, 4)
    assert rows.occupancy == rows.issue == 2  # 256 bytes
    assert rows.latency == 2 + machine.count("global_latency")
    assert rows.registers == 2  # two rows a thread
    for name in ("picked", "chosen"):  # every fourth pair of 64 columns; `picked` only by the indices it gives
        assert problem.op(f"{name}.0").registers == 16
    assert problem.op("scale_6.1").registers == 1


def test_who_uses_a_load_waits_for_it(problem):
    deps = {(dep.src, dep.dst): dep for dep in problem.deps}
    gathered = deps["picked.0", "chosen.0"]
    assert (gathered.latency, gathered.distance) == (problem.op("picked.0").latency, 0)
    assert not any(dep.distance for dep in problem.deps if dep.src.startswith(("scale", "picked", "chosen")))


def test_loads_stay_with_their_sub_tile(problem):
    for s in (0, 1):
        group = next(ids for ids in problem.colocate if f"part_2.{s}" in ids)
        assert {f"scale.{s}", f"picked.{s}", f"chosen.{s}"} <= set(group)


TABLE = """\
import torch
import triton
import triton.language as tl
import twill


def inputs():
    return {"x": torch.ones(64, 256, dtype=torch.float16), "table": torch.arange(4, dtype=torch.int32),
            "y": torch.empty(64), "N": 256}


@twill.kernel(example=inputs, grid=(1,))
@triton.jit
def paged(x, table, y, N):
    desc = tl.make_tensor_descriptor(x, [64, N], [N, 1], [64, 64])
    total = tl.zeros([64], tl.float32)
    for n in range(0, N, 64):
        total += tl.sum(desc.load([0, tl.load(table + n // 64) * 64]).to(tl.float32), 1)
    tl.store(y + tl.arange(0, 64), total)
"""


def paged(tmp_path, text=TABLE):
    path = tmp_path / "paged.py"
    path.write_text(text)
    found, _ = frontend.lower(frontend.load(path))
    return lower(split(simplify(found), 1), load("hopper"), 4)


def test_the_loader_loads_the_index_of_a_page(tmp_path):
    """No op of its own: the loader waits for it before it starts the tile, and the consumers know nothing of it."""
    machine, problem = load("hopper"), paged(tmp_path)
    assert not any("load" in op.label.split(", ") for op in problem.ops)
    (tile,) = [op for op in problem.ops if op.variable_latency]
    straight = cost.tma_load(machine, Type("f16", (64, 64)))
    wait = machine.count("global_latency")
    assert (tile.unit, tile.issue, tile.latency) == ("TMA", straight.issue + wait, straight.latency + wait)
    assert tile.occupancy == max(straight.occupancy, tile.issue)  # the next tile is not started earlier


def test_an_index_of_an_index_is_waited_for_twice(tmp_path):
    machine = load("hopper")
    problem = paged(tmp_path, TABLE.replace("tl.load(table + n // 64)", "tl.load(table + tl.load(table + n // 64))"))
    (tile,) = [op for op in problem.ops if op.variable_latency]
    straight = cost.tma_load(machine, Type("f16", (64, 64)))
    assert tile.latency == straight.latency + 2 * machine.count("global_latency")


def test_where_a_tile_lies_may_not_depend_on_what_the_loop_computes(tmp_path):
    with pytest.raises(Unsupported, match=r"the offsets of load .* depend on what the loop computes") as caught:
        paged(
            tmp_path,
            TABLE.replace("tl.load(table + n // 64) * 64", "tl.sum(tl.load(table + tl.arange(0, 4) % (n + 1)), 0)"),
        )
    assert caught.value.location is not None
    assert "loaded by pointers for nothing else" in str(caught.value.hint)


def test_nor_on_an_index_that_the_loop_uses_otherwise(tmp_path):
    text = TABLE.replace("        total += tl.sum(desc.load([0, tl.load(table + n // 64) * 64]).to(tl.float32), 1)\n", (
        "        page = tl.load(table + n // 64)\n"
        "        total += tl.sum(desc.load([0, page * 64]).to(tl.float32), 1) * page\n"
    ))  # fmt: skip
    assert text != TABLE
    with pytest.raises(Unsupported, match="depend on what the loop computes"):
        paged(tmp_path, text)

"""Which loads by pointers become asynchronous copies, and why others do not."""

from pathlib import Path

import numpy as np
import pytest

from twill import frontend
from twill.errors import InputError, Unsupported
from twill.frontend.materialize import materialize
from twill.ir import evaluate
from twill.ir.addresses import address_values
from twill.ir.async_loads import fetch_by_loader
from twill.ir.simplify import simplify
from twill.ir.subtile import split
from twill.ir.text import parse_graph, print_graph
from twill.ir.vectors import Vectors, vectors
from twill.ir.verify import verify

KERNELS = Path(__file__).parents[2] / "kernels"
SOURCE = """\
import torch
import triton
import triton.language as tl
import twill


def inputs():
    return {{"a": torch.ones(128, 256, dtype=torch.{dtype}), "b": torch.ones(256, 128, dtype=torch.float16),
            "pick": torch.arange(128, dtype=torch.int32), "c": torch.empty(128, 128), "K": 256, "S": 256, "M": 128}}


@twill.kernel(example=inputs, grid=(1,))
@triton.jit
def product(a, b, pick, c, K, S, M):
    rows, cols = tl.arange(0, 128), tl.arange(0, 64)
    bd = tl.make_tensor_descriptor(b, [256, 128], [128, 1], [64, 128])
    {before}
    acc = tl.zeros([128, 128], tl.float32)
    for k in range(0, K, 64):
        tile = {load}
        acc += tl.dot({left}, bd.load([k, 0]))
    tl.store(c + rows[:, None] * 128 + tl.arange(0, 128)[None, :], acc)
"""
PLAIN = "tl.load(a + rows[:, None] * S + (k + cols)[None, :])"


def graph_of(tmp_path, load=PLAIN, before="pass", left="tile", dtype="float16"):
    path = tmp_path / "kernel.py"
    path.write_text(SOURCE.format(load=load, before=before, left=left, dtype=dtype))
    return fetch_by_loader(simplify(frontend.lower(frontend.load(path))[0]))


def fetched(graph):
    return [op for op in graph.loop.body if op.opcode == "async_load"]


TAKEN = {
    "rows at a stride": (PLAIN, "pass", ("S",)),
    "rows at a constant stride": ("tl.load(a + rows[:, None] * 256 + (k + cols)[None, :])", "pass", ()),
    "gathered rows": (
        "tl.load(a + picked[:, None] * S + (k + cols)[None, :])", "picked = tl.load(pick + rows)", ("S",),
    ),
    "rows around the end": ("tl.load(a + (rows % M)[:, None] * S + (k + cols)[None, :])", "pass", ("S",)),
    "offsets of 64 bits": (
        "tl.load(a + picked[:, None] * S + (k + cols)[None, :])", "picked = tl.load(pick + rows).to(tl.int64)", ("S",),
    ),
    "masked rows": (PLAIN.replace(":])", ":], mask=(rows < M)[:, None])"), "pass", ("S",)),
    "masked columns": (PLAIN.replace(":])", ":], mask=(k + cols < K)[None, :], other=0.0)"), "pass", ("K", "S")),
    "both masked": (
        PLAIN.replace(":])", ":], mask=(rows < M)[:, None] & (K > k + cols)[None, :])"), "pass", ("K", "S"),
    ),
    "another first column": (PLAIN.replace("k + cols", "k + 8 + cols"), "pass", ("S",)),
}  # fmt: skip


@pytest.mark.parametrize("name", TAKEN)
def test_what_lies_in_vectors_is_copied(tmp_path, name):
    load, before, needs = TAKEN[name]
    graph = graph_of(tmp_path, load, before)
    verify(graph)
    assert parse_graph(print_graph(graph)) == graph
    (op,) = fetched(graph)
    assert vectors(graph, op) == Vectors("a", 8, needs)


def test_pointers_that_each_iteration_moves_are_functions_of_its_number(tmp_path):
    moved = SOURCE.replace("acc += tl.dot({left}, bd.load([k, 0]))", "acc += tl.dot({left}, bd.load([k, 0])){move}")
    path = tmp_path / "kernel.py"
    found = {}
    for step in (64, 64.0, 60):
        move = f"; at += {int(step)}" if isinstance(step, int) else ""
        before = "at = a + rows[:, None] * S + cols[None, :]" if move else "pass"
        load = "tl.load(at)" if move else PLAIN
        path.write_text(moved.format(load=load, before=before, left="tile", dtype="float16", move=move))
        found[step] = fetch_by_loader(simplify(frontend.lower(frontend.load(path))[0]))
    assert not fetched(found[60])  # the second tile begins within a vector
    assert {carried.argument.type.kind for carried in found[60].loop.carried} == {"value", "pointer"}
    graph = found[64]
    (op,) = fetched(graph)
    assert vectors(graph, op) == Vectors("a", 8, ("S",))
    assert [carried.argument.type.kind for carried in graph.loop.carried] == ["value"]
    random = np.random.default_rng(0)
    a, b = random.standard_normal((128, 256)), random.standard_normal((256, 128))
    given = {"a": a.astype(np.float16), "b": b.astype(np.float16), "pick": np.arange(128, dtype=np.int32),
             "c": np.zeros((128, 128), np.float32), "K": 256, "S": 256, "M": 128}  # fmt: skip
    moved, plain = (evaluate.run(each, given, (1,), "float64")["c"] for each in (graph, found[64.0]))
    assert np.abs(plain).max() > 1
    np.testing.assert_allclose(moved, plain)


REGISTERS = {
    "columns that are not contiguous": "tl.load(a + rows[:, None] + (k + cols)[None, :] * S)",
    "an odd first column": PLAIN.replace("k + cols", "k + 1 + cols"),
    "columns found by index": "tl.load(a + rows[:, None] * S + tl.load(pick + cols)[None, :])",
    "a mask within a vector": PLAIN.replace(":])", ":], mask=(k + cols <= K)[None, :], other=0.0)"),
    "a mask by index": PLAIN.replace(":])", ":], mask=(tl.load(pick + cols) < M)[None, :], other=0.0)"),
    "a value for what is masked": PLAIN.replace(":])", ":], mask=(rows < M)[:, None], other=1.0)"),
}


@pytest.mark.parametrize("name", REGISTERS)
def test_a_small_tile_that_does_not_is_loaded_into_registers(tmp_path, name):
    assert not fetched(graph_of(tmp_path, REGISTERS[name]))


def test_a_tile_that_is_computed_with_first_is_loaded_into_registers(tmp_path):
    assert not fetched(graph_of(tmp_path, left="(tile * 2.0).to(tl.float16)"))


def test_a_tile_of_32_bits_has_vectors_of_four(tmp_path):
    graph = graph_of(tmp_path, left="tile.to(tl.float16)", dtype="float32", load=PLAIN)
    (op,) = fetched(graph)  # 32 KiB: too large for registers, though it is converted first
    assert vectors(graph, op).elements == 4


@pytest.mark.parametrize(
    ("load", "words", "hint"),
    [
        (REGISTERS["columns that are not contiguous"], "elements of a row do not follow one another", "use tl.trans"),
        (
            REGISTERS["an odd first column"],
            "begin at offsets that are not known to be multiples of 4",
            "multiples of 4",
        ),
        (REGISTERS["columns found by index"], "found by indices of their own", "Gather whole rows"),
        (REGISTERS["a mask within a vector"], "its mask may end within a vector", "a multiple of 4"),
        (REGISTERS["a value for what is masked"], "its masked elements are not 0", "give 0.0"),
    ],
)
def test_a_large_one_is_refused_with_the_reason(tmp_path, load, words, hint):
    with pytest.raises(Unsupported, match=words) as caught:
        graph_of(tmp_path, load, left="tile.to(tl.float16)", dtype="float32")
    assert "a load of 32 KiB through pointers in the loop" in caught.value.message
    assert hint in caught.value.hint
    assert caught.value.location.line == 20


def test_an_asynchronous_load_belongs_in_the_loop(tmp_path):
    text = print_graph(graph_of(tmp_path))
    line = next(line for line in text.splitlines() if "async_load" in line)
    loop = next(line for line in text.splitlines() if line.startswith("  for "))
    op = line.strip().replace("%tile =", "%early =").replace(line.split()[3], "%pointers")
    begun = "  %pointers = splat %a : *f16[128, 64]\n"
    parse_graph(text.replace(loop, begun + loop))
    with pytest.raises(InputError, match="asynchronous copies are made in the loop"):
        verify(parse_graph(text.replace(loop, f"{begun}  {op}\n{loop}")))


@pytest.fixture(scope="module")
def gather():
    graph, launch = frontend.lower(frontend.load(KERNELS / "grouped_matmul_gather.py"))
    return fetch_by_loader(simplify(graph)), launch


def test_sub_tiles_copy_their_own_rows(gather):
    graph, _ = gather
    divided = split(graph, 2)
    assert parse_graph(print_graph(divided)) == divided
    copies = fetched(divided)
    assert [(op.result.name, op.result.type.shape, op.subtile) for op in copies] == [
        ("x_tile.0", (64, 64), 0), ("x_tile.1", (64, 64), 1),
    ]  # fmt: skip
    starts = {
        op.attributes["start"] for op in divided.before if op.opcode == "arange" and op.result.type.shape == (64,)
    }
    assert {0, 64} <= starts
    tokens = {op.result.name for op in divided.before if op.opcode == "load" and op.result.type.shape == (64,)}
    assert tokens <= address_values(divided)


def test_the_division_means_the_same(gather):
    graph, launch = gather
    given = {name: value.numpy() if hasattr(value, "numpy") else value for name, value in materialize(launch).items()}
    whole, divided = (
        evaluate.run(each, {**given, "y": np.zeros_like(given["y"])}, launch.grid, "float64")["y"]
        for each in (graph, split(graph, 2))
    )
    assert np.abs(whole).max() > 1
    np.testing.assert_allclose(divided, whole, rtol=1e-12, atol=1e-12)

"""A launch at other sizes: the tables that the example makes of them come along, its floats are never made."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from twill import frontend
from twill.frontend.example_sizes import at_sizes
from twill.frontend.launch import from_json
from twill.frontend.trips import trip_counts
from twill.ir.text import parse_graph
from twill.schedule import files
from twill.shipped import VARIANTS, kernels_folder, schedule_path


def stored(name):
    found = files.read(next(schedule_path(variant) for variant in VARIANTS if variant.name == name))
    return parse_graph(found.graph), from_json(found.launch)


def here(launch, values):
    return at_sizes(launch, values, (kernels_folder(),))


def test_the_tile_table_follows_the_sizes():
    graph, launch = stored("grouped_matmul_fp16")
    larger = here(launch, {"P": 2176, "K": 2048, "N": 2048, "E": 16})
    assert larger.argument("experts").contents == (*range(16), -1)
    assert larger.argument("w").shape == (16, 2048, 2048)
    assert larger.argument("w").std == launch.argument("w").std
    assert larger.grid == (17, 8, 1)
    # The last tile has no expert.
    assert sorted({count: sum(c == count for c in trip_counts(graph, larger).values()) for count in (0, 32)}) == [0, 32]


def test_offsets_reach_to_the_last_row():
    _, launch = stored("grouped_weight_gradient_bf16")
    larger = here(launch, {"P": 4096, "E": 8})
    offsets = larger.argument("offsets").contents
    assert len(offsets) == 9
    assert offsets[-1] == 4096
    assert larger.argument("dw").shape == (8, 256, 256)


def test_sizes_that_the_example_computes_follow():
    _, launch = stored("sinkhorn_dense_fp32")
    larger = here(launch, {"N": 1024, "M": 1000})
    assert larger.scalars["P"] == 1024
    assert larger.argument("h").shape == (1024,)
    # One that is asked for and is not what the example would make: nothing is known of the tensors.
    assert here(launch, {"M": 1000, "P": 2048}).argument("h") == launch.argument("h")


def test_no_large_tensor_is_made(monkeypatch):
    """An example of 2**40 values would not fit."""
    _, launch = stored("grouped_matmul_fp16")
    larger = here(launch, {"K": 2**20, "N": 2**20})
    assert larger.argument("w").shape == (4, 2**20, 2**20)


def test_without_its_source_only_scalars_and_the_grid_change(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    _, launch = stored("grouped_matmul_fp16")
    larger = at_sizes(launch, {"P": 2176}, (tmp_path,))
    assert larger.grid == (17, 2, 1)
    assert larger.argument("experts") == launch.argument("experts")


KERNEL = """
import torch
import triton
import triton.language as tl

import twill


def inputs(P=256, double=1):
    x = torch.randn(P * double, 64)
    bounds = torch.arange(P // 64 + 1)
    {more}
    return {{"x": x, "bounds": bounds, "out": torch.empty(P), "P": P * double, "B": 64}}


@twill.kernel(example=inputs, grid=lambda a: (a["P"] // a["B"],))
@triton.jit
def sums(x, bounds, out, P, B: tl.constexpr):
    row = tl.program_id(0) * B + tl.arange(0, B)
    acc = tl.zeros([B], tl.float32)
    for i in range(0, tl.load(bounds + tl.program_id(0))):
        acc += tl.load(x + row * 64 + i)
    tl.store(out + row, acc)
"""


@pytest.mark.parametrize(
    ("more", "follows"),
    [("", True), ("x.tolist()", False), ("bounds[x[0] > 0] = 0 if P > 256 else 1", False), ("P = 256", False)],
)
def test_an_example_that_cannot_say_leaves_the_tables_as_they_are(tmp_path, more, follows):
    path = tmp_path / "sums.py"
    path.write_text(KERNEL.format(more=more).replace("bounds[x[0] > 0]", "bounds[int(x[0, 0])]"))
    _, launch = frontend.lower(frontend.load(path))
    larger = at_sizes(launch, {"P": 640}, (tmp_path,))
    assert larger.grid == (10, 1, 1)
    assert (len(larger.argument("bounds").contents) == 11) == follows
    assert Path(launch.source).name == "sums.py"
    assert torch.randn(2).device.type == "cpu"

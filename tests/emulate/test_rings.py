"""Cases: trip counts that take every ring round, from an example made long enough."""

import numpy as np
import pytest

from twill.emulate import cases, examples
from twill.emulate.rings import SHORT, allocated, pipelines, ring_depths, rounds, telling_trips
from twill.shipped import VARIANTS, module_path

PATHS = {variant.name: module_path(variant) for variant in VARIANTS}

SOURCE = """
ring = gl.allocate_shared_memory(gl.float16, [7, 64, 64], layout)
ring_full = gl.allocate_shared_memory(gl.int64, [3, 1], barrier)
other = gl.allocate_shared_memory(gl.int64, [DEPTH, 1], barrier)
turn: gl.constexpr = 3
"""


def test_depths_are_those_of_barrier_arrays_of_literal_shape():
    assert ring_depths(SOURCE) == {"ring_full": 3}


def test_allocations_are_in_the_order_of_the_source():
    assert allocated(SOURCE) == [("ring", "float16", (7, 64, 64)), ("ring_full", "int64", (3, 1))]


def test_the_deepest_ring_is_used_twice_and_once_more():
    assert [rounds([1, depth]) for depth in (1, 2, 3, 4, 5)] == [3, 5, 7, 13, 21]
    assert rounds([]) == 1


def test_telling_trips_reach_the_second_use_of_every_ring():
    assert telling_trips([2, 5]) == {0, 1, 2, 3, 4, 5, 7, 21}
    for depth in range(2, 9):
        trips = telling_trips([depth])
        assert any(
            (trip - 1) // depth == 1 and (trip - 2) // depth == 1 for trip in trips
        )  # both last turns in phase 1
        assert max(trips) > 2 * depth


@pytest.mark.parametrize(
    ("name", "trips"),
    [("attention_d64_fp16", {0, 1, 2, 3, 4, 5, 7, 21}), ("matmul_fp16", {0, 1, 2, 3, 4, 5, 7, 8})],
)
def test_the_example_is_made_long_enough(name, trips):
    kernel = cases.opened(PATHS[name], None, None)
    assert {trip.trip_count for trip in kernel.trips} == trips
    for trip in kernel.trips:
        assert max(kernel.counts(trip).values()) == trip.trip_count
    assert kernel.notes == ()


def test_a_pipeline_is_filled_and_its_steady_state_run_twice():
    text = "def consumer0(n, m):\n    if n >= 18:\n        if m >= 5:\n            pass\n    if n >= m:\n        pass\n"
    assert pipelines(text) == {18}
    assert telling_trips([], {18}) == {*SHORT, 18, 20}


@pytest.mark.parametrize(("depth", "least"), [(4, 2), (4, 3), (4, 4), (5, 3), (3, 7)])
def test_the_uses_of_a_ring_behind_a_loop_are_all_second_ones(depth, least):
    behind = range(1, min(least, depth) + 1)
    assert any(all((trip - use) // depth == 1 for use in behind) for trip in telling_trips([1, depth], {least}))


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in PATHS if not name.endswith("_bf16")])
def test_every_ring_of_a_shipped_kernel_wraps_and_every_pipeline_fills(name):
    text = PATHS[name].read_text()
    kernel = cases.opened(PATHS[name], None, None)
    longest = max(trip.trip_count for trip in kernel.trips)
    assert longest > max(ring_depths(text).values(), default=0) + 1
    assert longest > max(pipelines(text), default=0) + 1


def test_of_a_causal_kernel_the_longest_thread_block_is_run():
    kernel = cases.opened(PATHS["attention_d64_causal_fp16"], None, (3, 21))
    for trip, programs in zip(kernel.trips, (1, 3), strict=True):
        counts = kernel.counts(trip)
        chosen = examples.sample(counts, programs)
        assert len(chosen) == programs
        assert max(counts[program] for program in chosen) == trip.trip_count
    assert min(counts[program] for program in chosen) == 1


@pytest.mark.parametrize("wanted", [(2,), (2, 3), (2, 25)])
def test_a_trip_count_is_one_case_whatever_else_is_wanted(wanted):
    name = "attention_d64_causal_fp16"
    first = next(case for case in cases.from_schedule(PATHS[name], None, None, 3)[0] if case.trip_count == 2)
    found, _, notes = cases.from_schedule(PATHS[name], None, wanted, 3)
    assert notes == ()
    assert [case.trip_count for case in found] == list(wanted)
    assert (found[0].name, found[0].programs) == (first.name, first.programs)
    assert np.array_equal(found[0].arguments["q"], first.arguments["q"])


def test_a_module_that_cannot_be_parsed_has_no_rings(tmp_path):
    broken = tmp_path / "broken.py"
    broken.write_text("def f(:\n")
    assert examples.telling_trips_of(broken) == telling_trips(()) == set(SHORT)


def test_an_example_whose_tensors_do_not_follow_stays_short(tmp_path):
    """Of y the last row is read, and there is one for 32 columns of x: no extent of it is a multiple of theirs."""
    text = """
import torch
import triton
import triton.language as tl

import twill


def inputs(N=256):
    return dict(x=torch.randn(64, N).half(), y=torch.randn(N // 32, 64), z=torch.zeros(64), N=N, BLOCK=64)


@twill.kernel(example=inputs, grid=lambda a: (1,))
@triton.jit
def sums(x, y, z, N, BLOCK: tl.constexpr):
    rows = tl.arange(0, 64)
    desc = tl.make_tensor_descriptor(x, [64, N], [N, 1], [64, BLOCK])
    total = tl.load(y + (N // 32 - 1) * 64 + rows)
    for n in range(0, N, BLOCK):
        total += tl.sum(desc.load([0, n]).to(tl.float32), 1)
    tl.store(z + rows, total)
"""
    pytest.importorskip("triton")
    from twill import frontend
    from twill.frontend.lengthen import lengthened

    kernel = tmp_path / "sums.py"
    kernel.write_text(text)
    graph, launch = frontend.lower(frontend.load(kernel))
    assert lengthened(graph, launch, 9) is not None
    assert list(examples.longer_examples(graph, launch, 9)) == []

"""A longer example: which arguments and tensors grow, and when none can."""

import pytest

from twill.frontend.launch import ArgumentSpec, Launch, from_json
from twill.frontend.lengthen import _grown, lengthened
from twill.frontend.trips import largest_trip_count
from twill.ir.parser import parse_graph
from twill.schedule import files
from twill.shipped import VARIANTS, schedule_path


def example(name):
    stored = files.read(next(schedule_path(variant) for variant in VARIANTS if variant.name == name))
    return parse_graph(stored.graph), from_json(stored.launch)


def test_a_launch_that_is_long_enough_stays():
    graph, launch = example("matmul_fp16")
    assert lengthened(graph, launch, 8) is launch


def test_the_argument_of_the_loop_grows_alone_where_that_is_enough():
    graph, launch = example("attention_d64_fp16")
    longer = lengthened(graph, launch, 9)
    assert largest_trip_count(graph, longer) == 9
    assert {name: value for name, value in longer.scalars.items() if value != launch.scalars[name]} == {"N": 9 * 128}
    assert longer.grid == launch.grid
    assert longer.argument("k").shape == (2, 9 * 128, 64)
    assert longer.argument("k").strides == (9 * 128 * 64, 64, 1)


def test_a_causal_loop_grows_with_its_grid():
    graph, launch = example("attention_d64_causal_fp16")
    longer = lengthened(graph, launch, 11)
    assert (longer.scalars["M"], longer.scalars["N"]) == (11 * 128, 11 * 128)
    assert longer.grid == (11, 2, 1)
    assert largest_trip_count(graph, longer) == 11


def test_packed_causal_sequences_grow_with_their_totals_and_the_grid():
    graph, launch = example("attention_varlen_d128_causal_fp16")
    longer = lengthened(graph, launch, 7)  # more sequences alone would read behind where the last one begins
    assert largest_trip_count(graph, longer) >= 7
    assert longer.scalars["B"] == launch.scalars["B"]
    assert all(longer.scalars[name] > launch.scalars[name] for name in ("TQ", "TK", "LONGEST"))


def test_scalars_that_hold_strides_follow():
    graph, launch = example("matmul_fp16")  # N is also the stride of b's rows, which the old K measured
    longer = lengthened(graph, launch, 20)
    assert (longer.scalars["K"], longer.scalars["N"]) == (20 * 64, 20 * 64)
    assert longer.argument("bias").shape == (20 * 64,)


def test_a_kernel_s_multiples_are_kept():
    graph, launch = example("attention_dq_d128_fp16")
    longer = lengthened(graph, launch, 9)  # keys come in blocks of 64, rows in blocks of 128
    assert longer.scalars["N"] % 64 == 0
    assert longer.scalars["M"] % 128 == 0
    assert largest_trip_count(graph, longer) >= 9


def test_what_would_not_fit_in_memory_is_not_tried():
    graph, launch = example("matmul_fp16")
    assert lengthened(graph, launch, 1_000_000) is None


def test_bounds_of_no_known_value_cannot_grow():
    graph, launch = example("matmul_fp16")
    unknown = Launch(
        launch.kernel,
        launch.source,
        tuple(spec if spec.name != "K" else ArgumentSpec("K", "scalar", "i32") for spec in launch.arguments),
        launch.grid_text,
        launch.grid,
    )
    assert lengthened(graph, unknown, 9) is None


@pytest.mark.parametrize(
    ("strides", "grown"),
    [((512, 1), (768, 1)), ((1, 128), (1, 128)), ((520, 1), (784, 1)), ((0, 1), (0, 1))],
)
def test_strides_keep_their_order_gaps_and_broadcasts(strides, grown):
    spec = ArgumentSpec("a", "tensor", "f16", (128, 512), strides)
    new = _grown(spec, {512: 768})
    assert new.shape == (128, 768)
    assert new.strides == grown


@pytest.mark.parametrize(("shape", "strides", "grown"), [((2, 4), (4, 1), (7, 1)), ((2, 4), (6, 1), (16, 1))])
def test_rows_that_pointers_read_follow_one_another_as_before(shape, strides, grown):
    spec = ArgumentSpec("decays", "tensor", "f32", shape, strides)
    assert _grown(spec, {4: 7}, aligned=False).strides == grown


def test_rows_of_bytes_begin_at_multiples_of_16_too():
    spec = ArgumentSpec("a", "tensor", "f8e4m3", (128, 96), (96, 1))
    assert _grown(spec, {96: 120}).strides == (128, 1)

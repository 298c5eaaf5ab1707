"""Known deviations come out as the errors they are."""

from dataclasses import replace

import pytest

from tests.measure.made_up import expected, shifted, stored, words
from twill.errors import InputError
from twill.measure.comparison import compare
from twill.measure.measurement import decode
from twill.measure.twin import twin

KERNELS = ("attention_d128_fp16", "attention_d128_causal_fp16", "attention_dq_d128_fp16", "matmul_fp16")


def errors(name, by):
    same = expected(name)
    found = compare(stored(name).schedule, shifted(same, by), same)
    return found, {op.op: op for op in found.ops}


@pytest.mark.parametrize("name", KERNELS)
def test_what_was_predicted_has_no_error(name):
    found, ops = errors(name, lambda probe, iteration: 0)
    assert found.ii.error == 0
    assert set(ops) == {op.id for op in stored(name).schedule.problem.ops}
    assert found.missing == ()
    figures = [each for op in ops.values() for each in (op.offset, op.occupancy, op.latency) if each is not None]
    assert {figure.error for figure in figures} == {0}
    assert all((op.occupancy is None) != (op.latency is None) for op in ops.values())


def test_the_interval_reached_is_near_the_schedules():
    for name in KERNELS:
        found, _ = errors(name, lambda probe, iteration: 0)
        assert found.ii.predicted == pytest.approx(found.schedule_ii, rel=0.05)


def test_a_longer_interval_is_an_error_of_the_interval_alone():
    found, ops = errors("attention_d128_fp16", lambda probe, iteration: 50 * iteration)
    assert found.ii.error == pytest.approx(50)
    # Events of other iterations are 50 cycles farther, those of the same op and iteration not.
    assert ops["p.0"].occupancy.error == 0
    assert ops["acc.0"].latency.error == 0
    assert ops["s.1"].offset.error == 0  # on the same turn as its reference
    assert ops["acc.0"].offset.error == pytest.approx(-50)  # a turn later: the distance stays, the turn is longer


def test_a_late_loader_starts_late_and_looks_faster():
    _, ops = errors("attention_d128_fp16", lambda probe, iteration: 100 * (probe.role == "loader"))
    assert ops["k_tile"].offset.error == 100
    assert ops["k_tile"].latency.error == -100
    assert ops["acc.1"].offset.error == 0


def test_a_result_seen_late_is_an_error_of_its_latency():
    by = {("s.1", "complete"): 40}
    found, ops = errors("attention_d128_fp16", lambda probe, iteration: by.get((probe.op, probe.event), 0))
    assert ops["s.1"].latency.error == 40
    assert found.ii.error == 0
    assert ops["s.1"].offset.error == 0


def test_an_op_that_begins_early_takes_longer_and_the_one_before_it_less():
    _, ops = errors("attention_d128_fp16", lambda probe, iteration: -70 * (probe.op == "p.0"))
    assert ops["p.0"].occupancy.error == 70
    assert ops["p_3.0"].occupancy.error == -70
    assert ops["p.0"].offset.error == -70
    assert ops["p.1"].occupancy.error == 0


def test_offsets_are_compared_on_the_nearest_turn():
    found, ops = errors("matmul_fp16", lambda probe, iteration: 1424 * 5 * (probe.op == "acc.1"))
    assert abs(ops["acc.1"].offset.error) <= found.ii.measured / 2


def test_spread_is_the_width_of_the_middle_half():
    late = ("s.1", "complete")
    _, ops = errors("attention_d128_fp16", lambda probe, i: 100 * (i % 2) * ((probe.op, probe.event) == late))
    assert ops["s.1"].latency.spread == 100
    assert ops["s.1"].latency.error in (0, 50, 100)
    assert ops["s.1"].offset.spread == 0


def test_a_buffer_is_decoded_into_the_events_it_holds():
    made = twin(stored("attention_d128_fp16"), iterations=40)
    same = expected("attention_d128_fp16")
    (sample,) = decode([words(same, made.stamps, 64), [0] * made.stamps.words], made.stamps, every=7)
    assert sample.program == 6
    assert sample.trips == 64
    assert sample.cycles == tuple(row[:40] for row in same.samples[0].cycles)
    assert sample.roles["loader"].end_cycles == 2000
    assert sample.roles["loader"].end_ns - sample.roles["loader"].begin_ns == 1000


def test_a_program_whose_roles_disagree_is_left_out():
    made = twin(stored("matmul_fp16"))
    buffer = words(expected("matmul_fp16"), made.stamps, 64)
    buffer[made.stamps.header("loader")] = 63
    assert decode([buffer], made.stamps, 1) == ()


def test_too_few_iterations_are_refused_with_what_to_try():
    same = expected("attention_d128_fp16", trips=3)
    with pytest.raises(InputError, match=r"no iteration of the steady state.*N=8192"):
        compare(stored("attention_d128_fp16").schedule, replace(same, source="measured"), same)

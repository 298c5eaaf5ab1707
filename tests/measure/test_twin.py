"""The timed twin: the same program with clock reads in it, right on the emulator and clean in ptxas."""

from dataclasses import replace

import pytest
import torch

from tests.measure.made_up import stored
from twill.codegen.gluon import emit
from twill.codegen.stamps import DETAILS, instrumented
from twill.codegen.statements import For, If, Stamp, Tiles
from twill.emulate.verify import loaded, verify_file
from twill.errors import InputError
from twill.frontend.launch import from_json
from twill.frontend.materialize import materialize
from twill.measure.measurement import Measurement, decode
from twill.measure.observed import spans
from twill.measure.twin import clean_twin, plan_of, twin
from twill.shipped import VARIANTS, module_path, schedule_path

NAMES = [variant.name for variant in VARIANTS]
KINDS = ("attention_d128_fp16", "attention_d128_causal_fp16", "attention_dq_d128_fp16", "matmul_fp16")


def variant(name):
    return next(variant for variant in VARIANTS if variant.name == name)


def without_stamps(body):
    found = []
    for statement in body:
        if isinstance(statement, For | Tiles):
            statement = replace(statement, body=without_stamps(statement.body))
        elif isinstance(statement, If):
            then, orelse = without_stamps(statement.then), without_stamps(statement.orelse)
            statement = replace(statement, then=then, orelse=orelse)
        elif isinstance(statement, Stamp):
            continue
        found.append(statement)
    return tuple(found)


@pytest.mark.parametrize("name", NAMES)
def test_nothing_but_clock_reads_is_added(name):
    plan, _ = plan_of(stored(name))
    timed = instrumented(plan)
    assert [without_stamps(role.body) for role in timed.roles] == [role.body for role in plan.roles]
    assert emit(replace(timed, roles=plan.roles, stamps=None)) == module_path(variant(name)).read_text()


@pytest.mark.parametrize("name", NAMES)
def test_every_op_has_its_events(name):
    made = twin(stored(name))
    schedule = stored(name).schedule
    events = {}
    for probe in made.stamps.probes:
        events.setdefault(probe.op, set()).add(probe.event)
    assert set(events) == {op.id for op in schedule.problem.ops}
    for op in schedule.problem.ops:
        assert "begin" in events[op.id]
        if op.label != "atomic":  # nobody waits for one
            assert ("complete" in events[op.id]) == (op.asynchronous or op.variable_latency)
    loaders = {"loader"} if any(op.unit == "TMA" for op in schedule.problem.ops) else set()
    assert {"consumer0", *loaders} <= set(made.details)
    assert set(made.details.values()) == {DETAILS[0]}


@pytest.mark.parametrize("name", KINDS)
def test_it_computes_what_the_kernel_does(name, tmp_path):
    path = tmp_path / "timed.py"
    path.write_text(twin(stored(name)).source)
    report = verify_file(path, schedule=schedule_path(variant(name)), seeds=(0,), trip_counts=(0, 1, 3), programs=2)
    assert report.passed, report.summary()


def test_it_leaves_the_times_of_every_iteration(tmp_path):
    """On the emulator time is the number of clock reads: it says in which order things happened."""
    file = stored("attention_d128_fp16")
    made = twin(file, samples=2)
    path = tmp_path / "timed.py"
    path.write_text(made.source)
    module, launcher = loaded(path, made.name)
    arguments = materialize(from_json(file.launch), 0)
    module.emulator.programs = ((3, 0, 0), (3, 1, 0))
    records = launcher(**arguments)
    assert records.shape == (2, made.stamps.words)
    samples = decode(records.tolist(), made.stamps, every=10**6)
    assert samples[0].trips == 4
    measured = Measurement("attn_fwd", "", "measured", made.stamps.probes, samples)
    found = spans(measured, samples[0], file.schedule)
    assert {iteration for _, iteration in found} == {0, 1, 2, 3}
    assert {op for op, _ in found} == {op.id for op in file.schedule.problem.ops}
    for (op, iteration), span in found.items():
        assert span.reached <= span.begin < span.end
        if iteration:
            assert span.begin > found[op, iteration - 1].begin
    for iteration in range(4):
        # Data flow: a tile lands before the product that reads it is issued, which ends before its value is used.
        assert found["k_tile", iteration].end < found["s.0", iteration].begin
        assert found["s.0", iteration].end <= found["s_3.0", iteration].begin
        assert found["v_tile", iteration].end < found["acc.0", iteration].begin


def test_iterations_of_a_program_of_several_tiles_are_counted_on(tmp_path):
    file = stored("matmul_persistent_fp16")
    made = twin(file, samples=1)
    path = tmp_path / "timed.py"
    path.write_text(made.source)
    module, launcher = loaded(path, made.name)
    module.emulator.programs = ((3, 0, 0),)
    launch = from_json(file.launch).with_values({"programs": 4, "N": 1024})  # 3 by 4 tiles of 3 iterations
    arguments = {**materialize(launch), "b": torch.zeros(192, 1024, dtype=torch.float16)}
    arguments |= {"bias": torch.zeros(1024), "c": torch.empty(384, 1024, dtype=torch.float16)}
    (sample,) = decode(launcher(**arguments).tolist(), made.stamps, 10**6)
    assert sample.trips == 3 * 3
    for row in sample.cycles:
        times = [cycle for cycle in row if cycle is not None]
        assert len(times) in (9, 6)  # the last iteration of a tile awaits nothing in the loop
        assert times == sorted(times)


def test_only_programs_that_are_sampled_write(tmp_path):
    file = stored("matmul_fp16")
    made = twin(file, samples=1)
    path = tmp_path / "timed.py"
    path.write_text(made.source)
    module, launcher = loaded(path, made.name)
    module.emulator.programs = ((0, 0, 0), (1, 0, 0), (0, 1, 0))
    assert not launcher(**materialize(from_json(file.launch), 0)).any()


def test_fewer_iterations_than_there_are_stay_in_their_records(tmp_path):
    file = stored("matmul_fp16")
    made = twin(file, samples=1, iterations=3)
    path = tmp_path / "timed.py"
    path.write_text(made.source)
    module, launcher = loaded(path, made.name)
    module.emulator.programs = ((1, 1, 0),)
    (sample,) = decode(launcher(**materialize(from_json(file.launch), 0)).tolist(), made.stamps, 1)
    assert sample.trips == 8
    assert {len(row) for row in sample.cycles} == {3}
    assert all(cycle is not None for row in sample.cycles for cycle in row)


def test_details_leave_out_ops():
    plan, _ = plan_of(stored("attention_d128_fp16"))
    less = instrumented(plan, {"consumer0": "asynchronous ops", "consumer1": "nothing"})
    kept = {(probe.role, probe.op) for probe in less.stamps.probes}
    assert {op for role, op in kept if role == "consumer0"} == {"s.0", "acc.0", "k_tile", "v_tile"}
    assert not [op for role, op in kept if role == "consumer1"]
    issues = instrumented(plan, dict.fromkeys(("consumer0", "consumer1", "loader"), "issue of asynchronous ops"))
    assert {probe.event for probe in issues.stamps.probes} == {"issue"}
    assert "twill_stamp" in emit(issues)


def test_what_cannot_be_timed_is_refused():
    plan, _ = plan_of(stored("matmul_fp16"))
    with pytest.raises(InputError, match="at least one iteration"):
        instrumented(plan, iterations=0)
    bare = stored("matmul_fp16").__class__(stored("matmul_fp16").schedule)
    with pytest.raises(InputError, match=r"x\.json: holds a schedule without its kernel"):
        twin(bare, location="x.json")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "whole"),
    [
        ("attention_d128_fp16", True),
        ("attention_d128_causal_fp16", False),
        ("attention_dq_d128_fp16", True),
        ("matmul_fp16", True),
    ],
)
def test_ptxas_neither_spills_nor_serializes(name, whole):
    """`clean_twin` takes nothing else; the kernels that ship keep every op but where that would spill."""
    made = clean_twin(stored(name), materialize(from_json(stored(name).launch), 0))
    assert (set(made.details.values()) == {DETAILS[0]}) == whole
    assert made.details["loader"] == DETAILS[0]
    assert bool(made.notes) != whole
    assert {probe.role for probe in made.stamps.probes} == {"consumer0", "consumer1", "loader"}


def test_another_rounding_is_a_note_and_another_result_a_failure():
    import torch

    from twill.errors import CheckFailed
    from twill.measure.child import _differing

    exact = torch.tensor([1.0, 2.0], dtype=torch.float16)
    assert _differing("k", {"o": exact}, {"o": exact.clone()}) == []
    (note,) = _differing("k", {"o": exact}, {"o": exact * (1 + 2**-10)})
    assert "another rounding" in note
    for wrong in (exact + 1, exact * float("nan")):
        with pytest.raises(CheckFailed, match="another `o` than the kernel itself"):
            _differing("k", {"o": exact}, {"o": wrong})

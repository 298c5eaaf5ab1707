"""The benchmark of the operators: what it judges, predicts and times, and the command."""

import json
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from click.testing import CliRunner

import twill.ops
from benchmarks.gpu import cases, check
from benchmarks.ops import __main__ as command
from benchmarks.ops import contenders, predictions, tables, timings
from benchmarks.ops.correctness import judge
from benchmarks.ops.works import MATMUL_RESIDUAL, ORTHOGONALIZE, SINKHORN, WORKS, Work, work_named
from benchmarks.record import ROOT
from twill import frontend
from twill.frontend.launch import from_json
from twill.schedule import files
from twill.shipped import VARIANTS, schedule_path

OPERATORS = {
    "attention", "attention_varlen", "orthogonalize", "symmetric_matmul", "grouped_matmul", "sinkhorn",
    "sinkhorn_dense", "matmul",
}  # fmt: skip


def test_every_operator_has_work_and_every_work_its_contenders():
    assert {work.operator for work in WORKS} == OPERATORS
    assert all(work.present for work in WORKS)
    assert set(contenders._PEERS) == {work.name for work in WORKS}
    assert not replace(SINKHORN, operator="nothing").present
    with pytest.raises(KeyError):
        work_named("nothing")


@pytest.mark.parametrize("work", WORKS, ids=lambda work: work.name)
def test_the_operators_are_right(work: Work):
    row = judge(work, work.small[-1], work.dtypes[-1], "cpu")
    assert row["failure"] == ""
    assert row["said"] == []
    assert {f"d{name}" for name in work.gradients} < set(row["ratios"])
    assert 0 < max(row["ratios"].values()) <= 1


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_what_is_wrong_is_seen(dtype):
    sizes = MATMUL_RESIDUAL.small[0]

    def judged(call):
        return judge(replace(MATMUL_RESIDUAL, call=call), sizes, dtype, "cpu")

    def without_bias(t, s):
        return {"c": twill.ops.matmul(t["a"], t["b"], residual=t["residual"]) + 0 * t["bias"]}

    row = judged(without_bias)
    assert "more than rounding explains" in row["failure"]
    assert row["ratios"]["c"] > 1
    assert row["ratios"]["da"] <= 1 < row["ratios"]["dbias"]
    assert judged(lambda t, s: {"c": MATMUL_RESIDUAL.call(t, s)["c"][:1]})["ratios"]["c"] == float("inf")
    assert judged(lambda t, s: {"c": MATMUL_RESIDUAL.call(t, s)["c"] * float("nan")})["ratios"]["c"] == float("inf")

    def broken(t, s):
        raise RuntimeError("illegal")

    assert judged(broken)["failure"] == "RuntimeError: illegal"


def test_one_expert_s_loss_is_seen_in_float32():
    work = work_named("experts")
    row = judge(
        replace(work, call=lambda t, s: work.call({**t, "weights": t["weights"] * 1.001}, s)), work.small[0],
        torch.float32, "cpu",
    )  # fmt: skip
    assert row["failure"]


def test_orthogonal_factors_that_stop_a_step_early_are_seen():
    work = replace(ORTHOGONALIZE, call=lambda t, s: {"y": twill.ops.orthogonalize(t["x"], steps=4)})
    assert judge(work, work.small[0], torch.float32, "cpu")["failure"]


def test_predictions_are_of_the_sizes_that_are_timed():
    variant = next(variant for variant in VARIANTS if variant.name == "sinkhorn_d64_fp16")
    rows = list(predictions.predictions(variant))
    sizes = cases.FAMILIES["sinkhorn.py"].timings({})
    assert [row["sizes"] for row in rows] == [dict(each) for each in sizes]
    for row in rows:
        assert row["failure"] == ""
        assert row["modelled"] is True
        assert row["flop"] == 2 * 64 * row["sizes"]["N"] * row["sizes"]["M"]
        assert 0 < row["share_of_peak"] < 1
    # The larger the launch, the larger the share.
    assert rows[0]["share_of_peak"] < rows[-1]["share_of_peak"]


def test_padded_columns_follow_and_wrong_sizes_are_said(monkeypatch):
    variant = next(variant for variant in VARIANTS if variant.name == "sinkhorn_dense_fp32")
    launch = from_json(files.read(schedule_path(variant)).launch)
    assert predictions.derived(launch, {"N": 5, "M": 129}) == {"N": "5", "M": "129", "P": "256"}
    family = replace(cases.FAMILIES[variant.source], timings=lambda a: ({"Q": 1},))
    monkeypatch.setattr(predictions, "FAMILIES", {variant.source: family})
    (row,) = predictions.predictions(variant)
    assert "no integer argument `Q`" in row["failure"]


class GivenTimer:
    """A clock on which the operator takes 1 ms and everything else 3 ms."""

    def __init__(self):
        self.own = 0

    def samples(self, call, count):
        before = self.own
        call()
        return [1e-3 if self.own > before else 3e-3] * count

    def host_seconds(self, call):
        return 1e-5


@pytest.mark.parametrize("name", [work.name for work in WORKS])
def test_contenders_take_turns_and_absent_ones_are_said(name):
    timer = GivenTimer()
    work = work_named(name)

    def call(t, s):
        timer.own += 1
        return work.call(t, s)

    result = timings.time_work(
        replace(work, call=call), work.small[-1], torch.bfloat16, timer, lambda call: None, "cpu"
    )  # fmt: skip
    own, *others = result["contenders"]
    assert own["name"] == contenders.OWN
    assert own["ratio"] == 1
    assert own["tflops"] == pytest.approx(work.flops(work.small[-1]) / 1e-3 / 1e12)
    assert all(row["ratio"] == pytest.approx(3) for row in others)
    assert all(absent["reason"] for absent in result["unavailable"])
    assert len(others) + len(result["unavailable"]) >= 1
    shown = tables.timings({name: {"failure": "", "sizes": [result]}})
    assert shown.row_count == len(result["contenders"]) + len(result["unavailable"])


def test_plain_contenders_run_on_a_cpu_and_agree():
    """Those that are plain torch give what the operator gives: they do the same work."""
    for name, peer in (
        ("silu(matmul + bias)", "torch addmm + silu"), ("matmul + bias + residual", "torch addmm + residual"),
        ("symmetric_matmul", "torch.matmul"), ("orthogonalize", "cuBLAS"),
    ):  # fmt: skip
        work = work_named(name)
        inputs = work.inputs(work.small[-1], torch.bfloat16, "cpu")
        found = contenders.contenders(work, inputs, work.small[-1], GivenTimer())
        (call,) = [one.call for one in found if one.name == peer]
        (expected,) = work.call(inputs, work.small[-1]).values()
        torch.testing.assert_close(call(), expected, rtol=0.05, atol=0.2 if name == "orthogonalize" else 0.05)


def test_results_of_one_dimension_are_judged_on_a_gpu_too():
    variant = cases.variant_named("sinkhorn_d64_fp16")
    source = frontend.load(cases.KERNELS / variant.source)

    def right(**arguments):
        arguments["out"].copy_(source.info.reference(**arguments)["out"])

    def wrong(**arguments):
        right(**arguments)
        arguments["out"][-1] += 1e-2

    for launcher, passes in ((right, True), (wrong, False)):
        kernel = cases.Kernel(variant, source, launcher, cases.FAMILIES[variant.source])
        assert check.check_shape(kernel, {"N": 129, "M": 200}, "cpu").passed is passes


def test_the_command_writes_what_it_found_and_claims_no_speed(tmp_path):
    target = tmp_path / "ops.json"
    done = CliRunner().invoke(
        command.main, ["--works", "matmul + bias + residual", "--kernels", "matmul_residual_fp16", "--output", target]
    )
    assert done.exit_code == 0, done.output
    assert "nothing of this is a measured speed" in done.output
    assert "Predicted (modelled, not measured)" in done.output
    data = json.loads(target.read_text())
    assert data["results"]["timings"] == {}
    assert {row["dtype"] for row in data["results"]["correctness"]} == {"fp16", "bf16", "fp32"}
    assert {row["kernel"] for row in data["results"]["predictions"]} == {"matmul_residual_fp16"}
    assert data["provenance"]["complete"] is False


def test_a_wrong_result_ends_with_1_and_bad_usage_with_2(tmp_path, monkeypatch):
    target = str(tmp_path / "ops.json")
    broken = replace(MATMUL_RESIDUAL, call=lambda t, s: {"c": MATMUL_RESIDUAL.exact(t, s)["c"] * 1.1})
    monkeypatch.setattr(command, "WORKS", (broken,))
    done = CliRunner().invoke(command.main, ["--steps", "correctness", "--output", target])
    assert done.exit_code == 1
    assert "more than rounding explains" in done.output
    assert CliRunner().invoke(command.main, ["--works", "nothing"]).exit_code == 2


def test_it_starts_as_a_module():
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.ops", "--help"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0
    assert "twill.ops" in done.stdout

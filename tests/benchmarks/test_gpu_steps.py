"""The steps of `make gpu`: their order, their time, and that each failure is said."""

import json

import pytest
from click.testing import CliRunner

from benchmarks.gpu import __main__ as command
from benchmarks.gpu import steps
from benchmarks.gpu.cases import FAMILIES, arguments, load
from benchmarks.gpu.processes import run_command
from benchmarks.gpu.steps import STEPS, Budget
from twill.frontend.example_sizes import at_sizes
from twill.frontend.launch import from_json
from twill.frontend.trips import trip_counts
from twill.ir.parser import parse_graph
from twill.schedule import files
from twill.shipped import VARIANTS, kernels_folder, schedule_path

HELD = {"sizes": {"M": 1}, "error_over_tolerance": 0.5, "failure": ""}
PASSED = {"passed": True, "failure": "", "checks": [HELD], "timings": [], "timing_failure": ""}


@pytest.fixture
def session(monkeypatch):
    """The command with every process replaced; the list of what was started, in order."""
    import torch

    started = []

    def note(step, answer):
        def run(*given):
            started.append((step, *[each for each in given if isinstance(each, str)]))
            return answer

        return run

    monkeypatch.setattr(command, "why_no_device", lambda: "")
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "NVIDIA H100")
    monkeypatch.setattr(command, "run_kernel", note("check", PASSED))
    monkeypatch.setattr(command, "timed", note("time", PASSED))
    monkeypatch.setattr(command, "calibrate", note("calibrate", {"failure": ""}))
    monkeypatch.setattr(command, "timeline", note("timelines", {"failure": ""}))
    monkeypatch.setattr(command, "model_error", note("model-error", {"failure": ""}))
    return started


def run(*arguments):
    return CliRunner().invoke(command.main, [*arguments])


def test_the_steps_come_in_their_order(session, tmp_path):
    output = tmp_path / "r.json"
    done = run("--kernels", "matmul_fp16", "--kernels", "matmul_bf16", "--output", str(output))
    assert done.exit_code == 0, done.output
    assert [step for step, *_ in session] == [
        "check", "check", "calibrate", "time", "time", "timelines", "timelines", "model-error",
    ]  # fmt: skip
    data = json.loads(output.read_text())
    assert list(data["provenance"]["steps"]) == list(STEPS)
    assert set(data["results"]) == {"matmul_fp16", "matmul_bf16"}


def test_a_kernel_whose_checks_did_not_end_is_not_timed(session, monkeypatch, tmp_path):
    hung = {**PASSED, "passed": False, "failure": "did not end within 180 s"}
    monkeypatch.setattr(command, "run_kernel", lambda *_: hung)
    done = run("--kernels", "matmul_fp16", "--steps", "check", "--steps", "time", "--output", str(tmp_path / "r.json"))
    assert done.exit_code == 1
    assert session == []
    assert "time of matmul_fp16: not timed" in done.output


def test_a_step_that_fails_is_said_and_the_others_go_on(session, monkeypatch, tmp_path):
    monkeypatch.setattr(command, "timeline", lambda *_: {"failure": "timing did not end within 240 seconds"})
    done = run("--kernels", "matmul_fp16", "--output", str(tmp_path / "r.json"))
    assert done.exit_code == 1
    assert "timelines of matmul_fp16: timing did not end" in " ".join(done.output.split())
    assert session[-1][0] == "model-error"


def test_what_does_not_fit_into_the_time_is_left_out_and_said(session, tmp_path):
    done = run("--kernels", "matmul_fp16", "--budget", "5", "--output", str(tmp_path / "r.json"))
    assert done.exit_code == 1
    assert session == []
    assert "left out: the time was used up" in " ".join(done.output.split())


def test_a_budget_runs_out():
    clock = iter((0.0, 0.0, 40.0, 95.0, 120.0))
    budget = Budget(100.0, lambda: next(clock))
    assert budget.share(60.0) == 60.0
    assert budget.left == 60.0
    assert budget.spent
    assert budget.left == 0.0


def test_a_command_that_fails_or_hangs_is_reported():
    assert run_command(["python3", "-c", "pass"], 60) == ""
    assert run_command(["python3", "-c", "raise SystemExit('no')"], 60) == "ended with exit code 1: no"
    assert run_command(["sleep", "60"], 0.5) == "did not end within 0.5 s"


def test_a_timeline_asks_for_the_familys_sizes(monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr(steps.record, "RESULTS", tmp_path)
    monkeypatch.setattr(steps, "run_command", lambda command, seconds: asked.append(command) or "")
    assert steps.timeline("matmul_fp16", Budget(100.0)) == {"failure": ""}
    (words,) = asked
    assert words[1:4] == ["-m", "twill.cli", "timeline"]
    assert {"M=2048", "N=4096", "K=4096"} <= set(words)


SHORT = {"moe_histogram.py", "moe_positions.py", "moe_sources.py"}  # a program takes a few blocks of choices


@pytest.mark.parametrize("source", sorted(FAMILIES.keys() - SHORT))
def test_a_timeline_has_iterations_enough(source):
    """More programs than an H100 has SMs, the last of each quarter of them with the 64 iterations that are kept."""
    variants = [variant for variant in VARIANTS if variant.source == source]
    for variant in variants:
        stored = files.read(schedule_path(variant))
        launch = at_sizes(from_json(stored.launch), FAMILIES[source].timeline, (kernels_folder(),))
        counts = list(trip_counts(parse_graph(stored.graph), launch).values())
        assert len(counts) >= 1
        assert max(counts) >= 64
        assert launch.grid[0] * launch.grid[1] * launch.grid[2] >= 132


def test_every_family_is_checked_at_the_edges():
    """One tile, many, several heads, no or one iteration, more queries than keys and fewer."""
    attention, matmul = FAMILIES["attention.py"].checks, FAMILIES["matmul.py"].checks
    assert {sizes["N"] for sizes in attention} >= {128, 256}
    assert any(sizes["M"] > sizes["N"] for sizes in attention)
    assert any(sizes["M"] < sizes["N"] for sizes in attention)
    assert len({sizes["H"] for sizes in attention}) > 2
    assert {0, 64} <= {sizes["K"] for sizes in matmul}
    assert any(sizes["M"] % 128 and sizes["N"] % 256 and sizes["K"] % 64 for sizes in matmul)
    assert {"H": 2, "M": 128, "N": 0} in FAMILIES["attention_dq.py"].checks


def test_arguments_that_a_kernel_was_not_compiled_for_are_refused(monkeypatch):
    """Before any launch: another dtype, sizes that are no multiple of a tile."""
    (variant,) = [variant for variant in VARIANTS if variant.name == "attention_d128_fp16"]
    kernel = load(variant)
    monkeypatch.setitem(kernel.launch.__globals__, "DEVICE_TYPE", None)
    given = arguments(kernel, {"H": 1, "M": 128, "N": 128}, "cpu")
    with pytest.raises(ValueError, match=r"q must be torch\.float16"):
        kernel.launch(**{**given, "q": given["q"].float()})
    with pytest.raises(ValueError, match="M must be a multiple of BLOCK_M"):
        kernel.launch(**{**given, "M": 100})

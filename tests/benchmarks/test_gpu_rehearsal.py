"""`python -m benchmarks.gpu` from its first step to its last, on a device that is made up (`fake_device`)."""

import json
import os
import subprocess
import sys

import pytest

from benchmarks.record import ROOT
from twill.machine import load

pytestmark = pytest.mark.slow


@pytest.fixture
def rehearse(tmp_path):
    """The command; results go where benchmarks/results would be."""
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} -m tests.benchmarks.fake_device "$@"\n')
    python.chmod(0o755)
    results = tmp_path / "results"
    results.mkdir()

    def run(*arguments, **environment):
        given = {"FAKE_DEVICE_EXECUTABLE": str(python), "FAKE_DEVICE_RESULTS": str(results), "PYTHONPATH": str(ROOT)}
        command = [str(python), "-m", "benchmarks.gpu", *arguments]
        return subprocess.run(
            command, cwd=ROOT, env=os.environ | given | environment, capture_output=True, text=True, timeout=500,
            check=False,
        )  # fmt: skip

    run.results = results
    return run


def test_every_step_from_the_first_to_the_last(rehearse):
    done = rehearse("--kernels", "matmul_fp16")
    assert done.returncode == 0, done.stdout + done.stderr
    (target,) = rehearse.results.glob("gpu_*.json")
    data = json.loads(target.read_text())
    assert data["provenance"]["steps"] == {
        "check": {"matmul_fp16": ""}, "calibrate": {"NVIDIA H100 80GB HBM3": ""}, "time": {"matmul_fp16": ""},
        "timelines": {"matmul_fp16": ""}, "model-error": {"all kernels": ""},
    }  # fmt: skip
    result = data["results"]["matmul_fp16"]
    assert result["passed"]
    assert len(result["checks"]) == 2
    (shape,) = result["timings"]
    assert {row["name"] for row in shape["contenders"]} >= {"generated", "stock Triton", "torch.matmul"}
    assert load(rehearse.results / "nvidia_h100_80gb_hbm3.toml").number("signal_hop") == 80
    measured = json.loads((rehearse.results / "timelines" / "matmul_fp16.measured.json").read_text())
    assert measured["about"]["sizes"]["K"] == 4096
    assert measured["about"]["seconds"] > 0
    assert len(measured["samples"]) > 0
    assert "Measured on the GPU" in (rehearse.results / "timelines" / "matmul_fp16.html").read_text()
    error = json.loads((rehearse.results / "model_error.json").read_text())["results"]["kernels"]["matmul_fp16"]
    assert error["ii"]["error"] == pytest.approx(100, abs=1)
    assert error["launch"]["measured_seconds"] == measured["about"]["seconds"]


def test_a_kernel_that_dies_is_said_and_the_other_steps_go_on(rehearse):
    steps = [word for step in ("check", "time", "timelines", "model-error") for word in ("--steps", step)]
    done = rehearse("--kernels", "matmul_fp16", *steps, FAKE_DEVICE_BREAKS="matmul")
    assert done.returncode == 1
    (target,) = rehearse.results.glob("gpu_*.json")
    data = json.loads(target.read_text())
    assert "illegal memory access" in data["results"]["matmul_fp16"]["failure"]
    steps = data["provenance"]["steps"]
    assert "not timed" in steps["time"]["matmul_fp16"]
    assert "illegal memory access" in steps["timelines"]["matmul_fp16"]
    assert "Nothing was measured" in steps["model-error"]["all kernels"]

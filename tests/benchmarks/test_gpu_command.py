"""The GPU benchmark's command and its processes: no device, a hang, a crash, what is kept of both."""

import sys
from io import StringIO

import pytest
from click.testing import CliRunner
from rich.console import Console

from benchmarks import record
from benchmarks.gpu import __main__ as command
from benchmarks.gpu import processes
from benchmarks.gpu.cases import FAMILIES
from benchmarks.gpu.tables import checks_table, timings_table
from twill.shipped import VARIANTS

HELD = {"sizes": {"M": 1}, "error_over_tolerance": 0.5, "failure": ""}
WRONG = {"sizes": {"M": 2}, "error_over_tolerance": 2.0, "failure": "the error is 2 times what rounding explains"}


def test_without_a_device_it_says_so_in_a_sentence_and_writes_nothing(tmp_path, monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    output = tmp_path / "result.json"
    done = CliRunner().invoke(command.main, ["--output", str(output)])
    assert done.exit_code == 3
    assert done.output.count("\n") == 1
    assert "no CUDA device" in done.output
    assert not output.exists()


def test_another_gpu_than_hopper_is_named(monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (8, 0))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "NVIDIA A100")
    assert "NVIDIA A100 (sm_80)" in command.why_no_device()


@pytest.mark.parametrize(("entry", "code"), [(HELD, 0), (WRONG, 1)])
def test_the_exit_code_tells_whether_all_results_are_right(entry, code, tmp_path, monkeypatch):
    import torch

    monkeypatch.setattr(command, "why_no_device", lambda: "")
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "NVIDIA H100")
    monkeypatch.setattr(processes, "run_process", lambda *_: ([{"module_sha256": "0"}, entry], ""))
    output = tmp_path / "result.json"
    arguments = ["--steps", "check", "--kernels", "matmul_fp16", "--output", str(output)]
    done = CliRunner().invoke(command.main, arguments)
    assert done.exit_code == code, done.output
    assert f'"passed": {"false" if code else "true"}' in output.read_text()


def child(body):
    return [sys.executable, "-c", f"import sys, os, time\nfile = open(sys.argv[1], 'w')\n{body}"]


def test_a_process_that_hangs_is_ended_and_what_it_reported_is_kept():
    body = 'file.write(\'{"a": 1}\\n{"b"\'); file.flush(); time.sleep(60)'
    entries, failure = processes.run_process(child(body), 2)
    assert entries == [{"a": 1}]
    assert failure == "did not end within 2 s"


def test_a_process_that_crashes_is_reported_with_its_last_words():
    assert processes.run_process(child("raise ValueError('odd')"), 60) == (
        [],
        "ended with exit code 1: ValueError: odd",
    )
    assert processes.run_process(child("os.abort()"), 60)[1].startswith("ended by SIGABRT")


def test_a_kernel_without_its_module_fails_and_is_not_timed(monkeypatch):
    calls = []

    def run(process, seconds):
        calls.append(process[-2])
        return [], "ended with exit code 1: InputError: x.py: there is no such generated module."

    monkeypatch.setattr(processes, "run_process", run)
    result = processes.run_kernel("matmul_fp16", 1, 1)
    assert calls == ["check"]
    assert not result["passed"]
    assert "no such generated module" in result["failure"]


def test_a_kernel_that_judged_nothing_has_not_passed(monkeypatch):
    monkeypatch.setattr(processes, "run_process", lambda *_: ([{"module_sha256": "0"}], ""))
    assert not processes.run_kernel("matmul_fp16", 1, None)["passed"]


def test_every_shipped_kernel_has_shapes():
    assert {variant.source for variant in VARIANTS} == set(FAMILIES)


def test_the_tables_show_failures_and_leads():
    summary = {"median": 1e-3, "lower_quartile": 9e-4, "upper_quartile": 1.1e-3}
    rows = [
        {
            "name": name,
            "note": "",
            "seconds": summary,
            "tflops": 500.0,
            "clocks": None,
            "share_of_peak": share,
            "ratio": 1.25,
        }
        for name, share in (("generated", 0.5), ("stock Triton", None))
    ]
    absent = [{"name": "SDPA cuDNN", "reason": "RuntimeError: no kernel"}]
    timings = [{"sizes": {"M": 1}, "contenders": rows, "unavailable": absent}]
    result = {"checks": [HELD, WRONG], "failure": "", "timings": timings, "timing_failure": ""}
    console = Console(file=StringIO(), width=220)
    console.print(checks_table({"matmul_fp16": result}), timings_table({"matmul_fp16": result}))
    shown = console.file.getvalue()
    assert "1 of 2" in shown
    assert "M=2: the error is 2 times" in shown
    assert "1000.0 (900.0 to 1100.0)" in shown
    assert "1.25x" in shown
    assert "no kernel" in shown


def test_results_go_beside_the_benchmarks():
    assert record.RESULTS == record.ROOT / "benchmarks" / "results"

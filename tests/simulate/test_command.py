"""`twill show --simulated` in its four formats, and what it refuses."""

import json
import subprocess
import sys
from pathlib import Path

from click.testing import CliRunner

from twill.cli import main

FOLDER = Path(__file__).parents[2] / "schedules" / "hopper"
ATTENTION = str(FOLDER / "attention_d128_fp16.json")


def show(*arguments, code=0):
    done = CliRunner().invoke(main, ["show", *arguments])
    assert done.exit_code == code, done.output
    return done.output


def test_text():
    out = show(ATTENTION, "--simulated", "--size", "M=4096", "--size", "N=4096", "--size", "H=64")
    for said in ("FROM THE START", "wait: waits for", "Simulated steady state", "Interval 2048.0 cycles",
                 "Where streams wait", "a free slot of k_tile", "2048 programs in 16 waves", "Roofline",
                 "modelled, not measured", "of the dense peak; limited by"):  # fmt: skip
        assert said in out
    assert max(map(len, out.splitlines())) <= 100


def test_pictures(tmp_path):
    svg = show(ATTENTION, "--simulated", "--format", "svg")
    assert svg.startswith("<?xml")
    assert "as simulated" in svg
    page = show(ATTENTION, "--simulated", "--format", "html")
    assert 'data-op="wait"' in page
    trace = json.loads(show(ATTENTION, "--simulated", "--format", "perfetto"))
    names = {event["name"] for event in trace["traceEvents"]}
    assert {"k_tile #0", "s.1 #1", "wait #1"} <= names
    out = tmp_path / "drawing.svg"
    assert "Simulated steady state" in show(ATTENTION, "--simulated", "--format", "svg", "-o", str(out))
    assert out.read_text().rstrip() == svg.rstrip()


def test_json():
    data = json.loads(show(ATTENTION, "--simulated", "--slowdown", "2", "--spread", "0", "--json"))
    found = data["simulation"]
    assert found["modelled"] is True
    assert found["schedule_ii"] == 2048
    assert found["ii"] > 3000
    assert found["late"][0]["cycles"] > 100
    assert found["prediction"]["programs"] == 8
    assert "late loads" in found["prediction"]["limit"]


def test_a_schedule_without_a_kernel(tmp_path):
    graph = Path(__file__).parents[2] / "problems" / "two_ports.json"
    made = tmp_path / "s.json"
    assert CliRunner().invoke(main, ["schedule", str(graph), "-o", str(made)]).exit_code == 0
    out = show(str(made), "--simulated")
    assert "Simulated steady state" in out
    assert "Predicted" not in out
    assert "not that of a kernel" in _error(str(made), "--simulated", "--size", "M=8")


def test_bad_input():
    assert "Add --simulated" in _error(ATTENTION, "--size", "M=128")
    assert "no integer argument `Q`" in _error(ATTENTION, "--simulated", "--size", "Q=1")
    assert "must be positive" in _error(ATTENTION, "--simulated", "--slowdown", "0")


def _error(*arguments):
    done = subprocess.run(
        [sys.executable, "-m", "twill.cli", "show", *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stdout == ""
    return " ".join(done.stderr.split())


def test_nothing_heavy_is_loaded():
    heavy = ("torch", "triton", "ortools", "matplotlib", "z3")
    code = (
        f"import sys\nsys.argv = ['twill', 'show', {ATTENTION!r}, '--simulated']\nfrom twill.cli import main\n"
        f"try:\n    main()\nexcept SystemExit:\n    pass\nprint([name for name in {heavy!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"

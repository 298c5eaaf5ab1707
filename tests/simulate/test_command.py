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


def test_the_kernel_from_start_to_end():
    out = show(ATTENTION, "--simulated")
    for said in ("TO THE END of a loop", "- wait: waits for", "around: before and after the loop",
                 "1 thread block on an SM",
                 "arrive at k_tile_ring_empty", "dense peak 949 at 1755 MHz", "989",
                 "With every SM in its steady state: 949 TFLOP/s, 100.0% of the dense peak"):  # fmt: skip
        assert said in " ".join(out.split())
    full = show(ATTENTION, "--simulated", "--size", "M=8192", "--size", "H=32")
    assert "With every SM" not in full


def test_another_machine(tmp_path):
    """A schedule remembers the file of its machine; it may be given again, or another one."""
    mine = tmp_path / "mine.toml"
    mine.write_text('base = "hopper"\nname = "mine"\n[facts]\nclock_mhz = 1000\n')
    data = json.loads(Path(ATTENTION).read_text())
    data["provenance"] |= {"machine": "mine", "machine_file": str(mine)}
    stored = tmp_path / "s.json"
    stored.write_text(json.dumps(data))
    peak = round(4096 * 132 * 1e9 / 1e12, 2)
    for arguments in ((str(stored),), (ATTENTION, "--arch", str(mine))):
        found = json.loads(show(*arguments, "--simulated", "--json"))["simulation"]
        assert found["prediction"]["peak_tflops"] == peak
        assert found["prediction"]["clock_mhz"] == 1000
    mine.unlink()
    said = _error(str(stored), "--simulated")
    assert "machine `mine`, whose numbers cannot be read" in said
    assert "--arch FILE.toml" in said
    assert json.loads(show(str(stored), "--simulated", "--arch", "hopper", "--json"))["simulation"]["ii"] == 2048


def test_a_machine_file_of_ones_own_is_remembered(tmp_path):
    mine = tmp_path / "mine.toml"
    mine.write_text('base = "hopper"\n')
    from twill.machine import load

    assert (load(mine).file, load("hopper").file) == (str(mine), "")


def test_pictures(tmp_path):
    svg = show(ATTENTION, "--simulated", "--format", "svg")
    assert svg.startswith("<?xml")
    assert "steady state: simulated, 2048 cycles an iteration" in svg
    assert "the same every II" not in svg
    page = show(ATTENTION, "--simulated", "--format", "html")
    assert 'data-op="wait"' in page
    assert 'fill="url(#waiting)"' in page
    assert 'id="waiting"' in page
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
    assert (found["runs"], found["blocks_per_sm"]) == ("kernel", 1)
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
    assert "The schedule's own order and waits were run." in out
    assert "not that of a kernel" in _error(str(made), "--simulated", "--size", "M=8")
    assert "not that of a kernel" in _error(str(made), "--simulated", "--arch", "hopper")


def test_bad_input():
    assert "Add --simulated" in _error(ATTENTION, "--size", "M=128")
    assert "Add --simulated" in _error(ATTENTION, "--arch", "hopper")
    assert "unknown machine 'volta'" in _error(ATTENTION, "--simulated", "--arch", "volta")
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

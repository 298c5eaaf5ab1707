"""`twill calibrate`: with no GPU, with a process that answers for one, and what it writes."""

import json
import sys
import tomllib

import pytest
from commands import twill

from tests.calibrate.readings import DEVICE, plausible
from twill.calibrate import command, run
from twill.calibrate.child import reading
from twill.calibrate.derive import derive
from twill.calibrate.machine_file import machine_text
from twill.calibrate.reading import Reading
from twill.calibrate.run import Measured, measure
from twill.errors import Unsupported
from twill.machine import load

DEVICE_LINE = json.dumps({"device": DEVICE.__dict__})
READING_LINE = json.dumps({"reading": Reading(10.0).__dict__})


def child(tmp_path, body):
    """A command that stands for the measuring process; `body` sees the device's line and the probes' names."""
    path = tmp_path / "child.py"
    path.write_text(
        f"import json, sys, time\nnames = sys.argv[1:]\ndevice = {DEVICE_LINE!r}\n"
        f"reading = json.loads({READING_LINE!r})\n"
        "def say(text): print(text, flush=True)\n"
        "def done(name): say(json.dumps({'probe': name, **reading}))\n" + body
    )
    return (sys.executable, str(path))


@pytest.fixture
def no_device(monkeypatch, tmp_path):
    body = "say(json.dumps({'unsupported': 'There is no CUDA device here.'}))\n"
    silent, _, seconds = run.measure.__defaults__
    monkeypatch.setattr(run.measure, "__defaults__", (silent, child(tmp_path, body), seconds))


@pytest.fixture
def a_device(monkeypatch):
    monkeypatch.setattr(command, "measure", lambda names, tell, seconds: Measured(DEVICE, plausible()))


def test_without_a_gpu_one_paragraph_and_exit_code_3(no_device, tmp_path):
    done = twill("calibrate", "-o", tmp_path / "h100.toml", code=3)
    assert done.output == "error: There is no CUDA device here.\n"
    assert not (tmp_path / "h100.toml").exists()


def test_a_name_that_is_no_machine_file_is_refused_before_measuring(tmp_path):
    assert "ends in .toml" in twill("calibrate", "-o", tmp_path / "h100.json", code=2).output
    assert "ships with Twill" in twill("calibrate", "-o", tmp_path / "hopper.toml", code=2).output
    assert "no/such" in twill("calibrate", "-o", tmp_path / "no/such/h100.toml", code=2).output


def test_the_file_is_a_machine_with_the_measured_numbers(a_device, tmp_path):
    path = tmp_path / "h100.toml"
    assert f"wrote {path}" in twill("calibrate", "-o", path).output
    machine = load(path)
    assert machine.number("signal_hop") == 80
    assert (
        machine.facts["signal_hop"].source == "measured on NVIDIA H100 80GB HBM3, 2026-01-02, triton 3.6.0: signal_hop"
    )
    assert machine.number("smem_bytes") == load("hopper").number("smem_bytes")
    assert [each.name for each in tmp_path.iterdir()] == ["h100.toml"]
    head = path.read_text().splitlines()[:5]
    assert head[1:] == [
        "# Device: NVIDIA H100 80GB HBM3, 132 SMs",
        "# SM clock: 1707 MHz under dense MMA, highest 1980 MHz",
        "# Date: 2026-01-02",
        head[4],
    ]
    assert "torch 2.11.0, triton 3.6.0, driver 580.1" in head[4]


def test_json_has_the_facts_and_the_readings(a_device, tmp_path):
    done = twill("calibrate", "-o", tmp_path / "h100.toml", "--json")
    data = json.loads(done.output)
    assert data["device"]["sm_count"] == 132
    assert {fact["name"]: fact["value"] for fact in data["facts"]}["mufu_rate"] == 16
    assert data["readings"]["signal_hop"]["cycles"] == 160


def test_a_probe_that_took_no_time_is_still_json(monkeypatch, tmp_path):
    readings = plausible() | {"mufu_rate": Reading(0.0, spread=float("inf"))}
    monkeypatch.setattr(command, "measure", lambda names, tell, seconds: Measured(DEVICE, readings))
    data = json.loads(twill("calibrate", "-o", tmp_path / "h100.toml", "--json", code=1).output)
    assert data["readings"]["mufu_rate"]["spread"] is None


def test_an_implausible_number_is_not_written_and_the_command_fails(monkeypatch, tmp_path):
    readings = plausible() | {"mufu_rate": Reading(16384 / 32)}
    monkeypatch.setattr(
        command, "measure", lambda names, tell, seconds: Measured(DEVICE, readings, {"tma_stream": "it died"})
    )
    path = tmp_path / "h100.toml"
    done = twill("calibrate", "-o", path, code=1)
    assert "mufu_rate: 32 results/cycle/SM is not between 14 and 17" in done.output
    assert "mufu_rate" not in tomllib.loads(path.read_text())["facts"]
    assert "# mufu_rate: 32 results/cycle/SM is not" in path.read_text()
    assert "# tma_stream: failed: it died" in path.read_text()
    assert load(path).number("mufu_rate") == load("hopper").number("mufu_rate")


def test_a_name_cannot_break_the_file(tmp_path):
    device = type(DEVICE)(**{**DEVICE.__dict__, "name": 'odd "GPU"\nname = 1\\'})
    path = tmp_path / "odd.toml"
    path.write_text(machine_text("odd", device, derive(plausible(), device), plausible(), {}))
    assert load(path).title.startswith('odd "GPU"\nname')


def test_a_crash_costs_one_reading(tmp_path):
    body = """
say(device)
for name in names:
    say(json.dumps({'probe': name}))
    if name == 'b':
        sys.exit('an illegal memory access was encountered')
    done(name)
"""
    told = []
    measured = measure(["a", "b", "c"], told.append, child(tmp_path, body))
    assert sorted(measured.readings) == ["a", "c"]
    assert measured.failures == {"b": "an illegal memory access was encountered"}
    assert told == ["measuring a", "measuring b", "measuring c"]


def test_a_hang_costs_one_reading(tmp_path):
    body = """
say(device)
for name in names:
    say(json.dumps({'probe': name}))
    if name == 'a':
        time.sleep(60)
    done(name)
"""
    measured = measure(["a", "b"], child=child(tmp_path, body), seconds_per_probe=1.0)
    assert sorted(measured.readings) == ["b"]
    assert measured.failures == {"a": "no answer in 1 seconds"}


def test_what_the_time_limit_leaves_out_is_said_and_the_rest_is_kept(tmp_path):
    body = """
say(device)
say('a library prints this')
for name in names:
    say(json.dumps({'probe': name}))
    if name == 'b':
        time.sleep(60)
    done(name)
"""
    measured = measure(["a", "b", "c"], child=child(tmp_path, body), seconds=4.0)
    assert sorted(measured.readings) == ["a"]
    assert measured.failures["c"] == "not reached within 4 seconds"
    assert "no answer" in measured.failures["b"]


def test_a_device_that_does_not_open_is_said(tmp_path):
    with pytest.raises(Unsupported, match="could not be opened: driver too old"):
        measure(["a"], child=child(tmp_path, "sys.exit('driver too old')\n"))


def test_a_reading_is_the_difference_of_two_trip_counts():
    def rows(n):
        return [[100 + 7 * n, 2 * n, 5 * n, 0], [100 + 9 * n, 2 * n, 5 * n, 0]]

    assert reading(rows, (10, 50), repeats=3) == Reading(8, 2, 5, 0, 0)

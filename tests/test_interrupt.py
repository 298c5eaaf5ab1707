"""Ctrl-C: the best so far, or what is known of the bound; never a traceback, never half a file."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from commands import answer, twill

ROOT = Path(__file__).resolve().parents[1]
SWIGLU = Path(__file__).parent / "kernels_for_tests" / "swiglu.py"


def interrupting(monkeypatch: pytest.MonkeyPatch, when: Any) -> None:
    """SIGINT arrives at the solver's first report for which `when` holds."""
    from twill.solve import solve

    def interrupted(problem: Any, *, progress: Any, **options: Any) -> Any:
        def tell(record: Any) -> None:
            progress(record)
            if when(record):
                signal.raise_signal(signal.SIGINT)

        return solve(problem, progress=tell, **options)

    monkeypatch.setattr("twill.solve.solve", interrupted)


def test_with_a_schedule_at_hand(graph, tmp_path, monkeypatch):
    """In the proof of II = 45, between MII = 30 and it: the schedule so far, feasible, with its gap."""
    interrupting(monkeypatch, lambda record: record.phase == "proof")
    done = twill("schedule", graph, "--json", "-o", tmp_path / "answer.json")
    assert "stopped by Ctrl-C" in done.stderr
    data = json.loads(done.stdout)
    assert data["status"] == "feasible"
    assert data["lower_bound"] < 45 <= data["ii"]
    assert "feasible" in twill("show", tmp_path / "answer.json").stdout


def test_before_any_schedule(graph, monkeypatch):
    interrupting(monkeypatch, lambda record: True)
    done = twill("schedule", graph, code=4)
    assert done.stdout == ""
    assert "unknown: Ctrl-C came before any schedule was found; no II below 30 is possible" in done.stderr
    data = answer("schedule", graph, code=4)
    assert (data["status"], data["lower_bound"]) == ("unknown", 30)


def test_while_a_kernel_is_solved(tmp_path, monkeypatch):
    interrupting(monkeypatch, lambda record: True)
    done = twill("compile", SWIGLU, "-o", tmp_path / "out", code=4)
    assert "no schedule of `swiglu` was found before Ctrl-C was pressed; II is at least 948" in done.stderr
    assert not (tmp_path / "out").exists()


def test_after_the_first_number_of_sub_tiles(tmp_path, monkeypatch):
    """The others are not tried; the kernel is written and its checks pass."""
    from twill.solve import solve

    def interrupted(problem: Any, **options: Any) -> Any:
        found = solve(problem, **options)
        signal.raise_signal(signal.SIGINT)
        return found

    monkeypatch.setattr("twill.solve.solve", interrupted)
    done = twill("compile", SWIGLU, "-o", tmp_path / "out", "--json")
    assert "stopped by Ctrl-C" in done.stderr
    data = json.loads(done.stdout)
    assert data["stopped"] is True
    assert data["passed"] is True
    assert any(candidate["reason"] == "not tried: stopped by Ctrl-C" for candidate in data["candidates"])


def test_elsewhere(tmp_path, monkeypatch):
    def press(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("twill.frontend.lower", press)
    done = twill("compile", SWIGLU, "-o", tmp_path / "out", code=130)
    assert done.stderr == "error: interrupted.\n"
    assert answer("compile", SWIGLU, "-o", tmp_path / "out", code=130)["exit_code"] == 130
    assert not (tmp_path / "out").exists()


def test_a_real_signal_to_a_real_process(tmp_path):
    """Sixty ops on three units, which no search settles between the solver's first word and the signal."""
    ops = [
        {"id": f"op{n}", "unit": "ABC"[n % 3], "occupancy": 50 + 37 * n % 350, "issue": 5, "latency": 99 + 91 * n % 800,
         "registers": 5 + 7 * n % 35} for n in range(60)
    ]  # fmt: skip
    deps = [{"src": f"op{n // 2}", "dst": f"op{n}", "blocking": n % 2 == 0} for n in range(1, 60)]
    deps += [{"src": f"op{n}", "dst": f"op{n // 3}", "distance": 2} for n in range(20, 60, 3)]
    machine = {"units": {"A": 1, "B": 1, "C": 1}, "registers_per_thread": 120, "max_groups": 3, "signal_hop": 30}
    path = tmp_path / "hard.json"
    path.write_text(json.dumps({"format": "twill-graph/1", "machine": machine, "ops": ops, "deps": deps}))
    code = (
        "import sys\nimport twill.solve\nfrom twill.cli import main\nsolve = twill.solve.solve\n"
        "def told(problem, *, progress, **options):\n"
        "    def tell(record):\n        print('solving', file=sys.stderr, flush=True)\n        progress(record)\n"
        "    return solve(problem, progress=tell, **options)\n"
        f"twill.solve.solve = told\nmain(['schedule', {str(path)!r}, '--json'])\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert process.stderr is not None
    assert process.stderr.readline() == "solving\n"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert "Traceback" not in err
    data = json.loads(out)
    assert process.returncode == (0 if data["ops"] else 4)
    assert "Ctrl-C" in (err if data["ops"] else data["reason"])


def test_nothing_changes_outside_the_main_thread():
    from threading import Thread

    from twill.interrupt import ctrl_c_stops

    before = signal.getsignal(signal.SIGINT)
    found = []

    def work() -> None:
        with ctrl_c_stops() as stop:
            found.append((stop(), signal.getsignal(signal.SIGINT)))

    thread = Thread(target=work)
    thread.start()
    thread.join()
    assert found == [(False, before)]


def test_the_second_press_is_an_exception():
    from twill.interrupt import ctrl_c_stops

    before = signal.getsignal(signal.SIGINT)
    with ctrl_c_stops() as stop:
        signal.raise_signal(signal.SIGINT)
        assert stop()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) == before

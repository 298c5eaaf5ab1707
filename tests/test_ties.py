"""`--best` as a person or a program types it: the table, the one JSON object, the files, what cannot be asked."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest
from commands import answer, twill

from twill.ties import numbered

SWIGLU = Path(__file__).parent / "kernels_for_tests" / "swiglu.py"


def two_orders(**limits: int) -> dict[str, Any]:
    """x, then y and z in either order on a full unit, then x again: II 3, two optima in one group."""
    return {
        "format": "twill-graph/1",
        "name": "fan",
        "machine": {"units": {"A": 1}, "max_groups": 1, **limits},
        "trip_count": 10,
        "ops": [{"id": id, "unit": "A", "occupancy": 1, "latency": 1, "registers": k} for k, id in enumerate("xyz")],
        "deps": [
            *({"src": "x", "dst": id} for id in "yz"),
            *({"src": id, "dst": "x", "distance": 1} for id in "yz"),
        ],
    }


@pytest.fixture
def fan(tmp_path: Path) -> Path:
    path = tmp_path / "fan.json"
    path.write_text(json.dumps(two_orders()))
    return path


def test_all_there_are(fan, tmp_path):
    data = answer("schedule", fan, "--best", 9, "-o", tmp_path / "out.json")
    assert data["exhausted"] is True
    assert [best["place"] for best in data["best"]] == [1, 2]
    assert [best["proved"] for best in data["best"]] == [True, True]
    assert [best["ii"] for best in data["best"]] == [3, 3]
    assert data["best"][0]["ops"] == data["ops"]
    assert data["best"][0]["differs"] == []
    assert data["best"][0]["tiers"]["total time"] == 9 * 3 + 3
    order = sorted("xyz", key=lambda id: data["ops"][id]["stage"] * 3 + data["ops"][id]["slot"])
    assert data["best"][1]["differs"] == [f"{order[2]} before {order[1]} on A"]
    assert [best["file"] for best in data["best"]] == [str(tmp_path / "out.json"), str(tmp_path / "out_2.json")]
    for best in data["best"]:
        assert json.loads(Path(best["file"]).read_text())["provenance"]["best"]["place"] == best["place"]
        assert twill("show", best["file"]).stdout
        assert "verdict confirmed" in twill("certify", best["file"]).stdout


def test_the_table(fan, tmp_path):
    out = twill("schedule", fan, "--best", 9, "-o", tmp_path / "out.json").stdout
    assert "Different optima at II 3" in out
    assert "before" in out
    assert "Only 2 different optima exist, proved" in " ".join(out.split())
    assert str(tmp_path / "out_2.json") in out
    few = twill("schedule", fan, "--best", 2).stdout
    assert "There may be more" in few
    assert "Different optima" not in twill("schedule", fan).stdout


def test_without_best_the_answer_is_as_before(fan):
    assert not {"best", "exhausted"} & set(answer("schedule", fan))


def test_ctrl_c_keeps_those_found(fan, monkeypatch):
    from twill.solve import optima

    def interrupted(problem: Any, count: int, *, progress: Any, **options: Any) -> Any:
        def tell(record: Any) -> None:
            progress(record)
            if record.phase == "optimum 3 of 9":
                signal.raise_signal(signal.SIGINT)

        return optima(problem, count, progress=tell, **options)

    monkeypatch.setattr("twill.solve.optima", interrupted)
    fan.write_text(json.dumps(two_orders(max_groups=2)))
    done = twill("schedule", fan, "--best", 9, "--json")
    assert "stopped by Ctrl-C" in done.stderr
    data = json.loads(done.stdout)
    assert (len(data["best"]), data["exhausted"]) == (2, False)
    done = twill("schedule", fan, "--best", 9)
    assert "Of the 9 asked for, the search was over after 2" in " ".join(done.stdout.split())


def test_what_cannot_be_asked(fan):
    assert "--formulation paper" in twill("schedule", fan, "--best", 2, "--formulation", "paper", code=2).stderr
    assert "--emit" in twill("compile", SWIGLU, "--best", 2, "--emit", "schedule", code=2).stderr
    assert twill("schedule", fan, "--best", 0, code=2).stderr


def test_a_problem_without_schedule(fan):
    data = two_orders(registers_per_thread=1)
    fan.write_text(json.dumps(data))
    assert answer("schedule", fan, "--best", 3, code=4)["status"] == "infeasible"


def test_file_names():
    assert [str(numbered("a/b.json", place)) for place in (1, 2, 10)] == ["a/b.json", "a/b_2.json", "a/b_10.json"]


@pytest.mark.slow
def test_kernels_of_the_next_best(tmp_path):
    out = tmp_path / "out"
    data = answer("compile", SWIGLU, "--best", 3, "-o", out)
    assert data["passed"] is True
    assert [best["place"] for best in data["best"]] == [1, 2, 3]
    assert data["best"][0]["files"] == data["files"]
    made = [best for best in data["best"] if best["files"]]
    assert len(made) >= 2
    for best in made:
        place = "" if best["place"] == 1 else f"_{best['place']}"
        assert best["files"][:2] == [str(out / f"swiglu_hopper{place}.py"), str(out / f"swiglu_hopper{place}.json")]
        assert best["passed"] is True
    assert all(best["reason"] for best in data["best"] if not best["files"])
    last = made[-1]["files"][0]
    assert twill("verify", last, "--no-machine-code").exit_code == 0

"""`twill explain` as people and programs type it."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest
from commands import GRAPH, answer, twill

from tests.schedule.attention_loop import schedule
from tests.solve.instances import problem
from twill.explain import whole
from twill.schedule import files
from twill.schedule.problem import Dep, Op
from twill.solve import solve


@pytest.fixture
def attention(tmp_path: Path) -> Path:
    path = tmp_path / "attention.json"
    files.write(path, schedule())
    return path


@pytest.fixture
def ring(tmp_path: Path) -> Path:
    """14 cycles of life in 3 buffers: II 5, where the units ask for 4."""
    ops = [Op("load", "T", 4, 1, 10, smem_bytes=100), Op("use", "C", 4, 4, 4)]
    path = tmp_path / "ring.json"
    files.write(path, solve(problem(ops, [Dep("load", "use", 0, 10)], smem_bytes=399)))
    return path


def test_words_for_a_kernel_engineer(attention: Path) -> None:
    out = twill("explain", attention).stdout
    parts = [
        "What binds: unit TC", "Units, in cycles per iteration", "Tightest cycle", "Warp groups", "Rings",
        "What each limit has left", "Why not II 2047: this rule alone excludes it",
        "unit TC must run s.0 512, acc.0 512, s.1 512, acc.1 512: 2048 cycles in 2047",
        "What if (now II 2048,", "TC twice as fast", "What was changed where it was solved",
    ]  # fmt: skip
    places = [out.index(part) for part in parts]
    assert places == sorted(places)
    assert max(map(len, out.splitlines())) <= 120


def test_rules_together(ring: Path) -> None:
    out = twill("explain", ring).stdout
    assert "Why not II 4: these rules exclude it together" in out
    assert "At II 4 the lives of the buffers need load 4 * 100 = 400 bytes > 399." in out
    assert "Each is needed: without any one of them the others leave a schedule at II 4." in out
    assert "1 more slot for load" in out


def test_json_carries_everything(ring: Path) -> None:
    data = answer("explain", ring)
    assert {"mii", "binds", "units", "cycle", "groups", "rings", "limits", "tiers", "below", "what_if"} <= set(data)
    assert [rule["rule"] for rule in data["below"]["rules"]] == ["shared memory", "dependences"]
    assert data["below"]["minimal"] is True
    first = data["what_if"][0]
    assert (first["ii"], first["status"], first["ratio"]) == (4, "proved", 1.25)
    assert {limit["what"]: limit["used"] for limit in data["limits"]}["shared memory"] == 300


def test_a_question_of_ones_own(ring: Path) -> None:
    data = answer("explain", ring, "--what-if", "smem=499", "--what-if", "T=2x")
    # A load of half the time lives 12 cycles, 3 buffers at II 4.
    assert {each["name"]: each["ii"] for each in data["what_if"]} == {"smem_bytes 499": 4, "T twice as fast": 4}
    assert answer("explain", ring, "--no-what-if")["what_if"] == []
    assert "What if" not in twill("explain", ring, "--no-what-if").stdout


def test_bad_questions(refused, ring: Path) -> None:
    refused(2, ["--what-if", '"SFU" is no unit', "T=2x"], "explain", ring, "--what-if", "SFU=2x")
    refused(2, ["opposite"], "explain", ring, "--what-if", "T=2x", "--no-what-if")


def test_a_graph_file_says_what_to_do(refused, tmp_path: Path) -> None:
    path = tmp_path / "graph.json"
    path.write_text(json.dumps(GRAPH))
    refused(2, ["twill-graph/1", "twill schedule GRAPH.json -o SCHEDULE.json"], "explain", path)


def test_ctrl_c_keeps_what_is_known(ring: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def below(*args: object, **options: object):
        signal.raise_signal(signal.SIGINT)
        return found(*args, **options)

    found = whole.below
    monkeypatch.setattr(whole, "below", below)
    done = twill("explain", ring)
    assert "stopped by Ctrl-C" in done.stderr
    assert "not asked" in done.stdout
    assert "no op could use another group" in done.stdout  # bounds still answer


def test_a_problem_without_a_schedule(tmp_path: Path) -> None:
    path = tmp_path / "none.json"
    ops = [Op("load", "T", 4, 1, 10, smem_bytes=100), Op("use", "C", 4, 4, 4)]
    files.write(path, solve(problem(ops, [Dep("load", "use", 0, 10)], smem_bytes=99)))
    out = twill("explain", path).stdout
    assert "No schedule: shared memory: one buffer of each ring takes 100 bytes, the limit is 99" in out
    assert "Why there is no schedule (infeasible)\n- shared memory: one buffer" in out
    assert "now without a schedule" in out
    data = answer("explain", path, "--what-if", "load+1")
    assert (data["what_if"][0]["ii"], data["what_if"][0]["status"]) == (14, "proved")

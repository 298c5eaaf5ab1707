"""The ranking as people and programs see it: the command's table, its JSON, the picture and the page."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from xml.etree import ElementTree

import pytest
from commands import answer, twill

from candidates.tuning import TUNED, Solves
from twill.compiler import compile
from twill.ranking import candidates_shown
from twill.report import show


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("out")


@pytest.fixture(scope="module")
def compiled(folder: Path):
    return compile(TUNED)


def test_the_table(compiled, capsys):
    show(*candidates_shown(compiled.candidates))
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 100
    begin = lines.index("Tile sizes and numbers of sub-tiles, each a warp group with its own rows of the tile")
    table = [line.split() for line in lines[begin + 1 : begin + 8]]
    assert table[0] == [
        "BLOCK_N", "BLOCK_K", "sub-tiles", "programs", "II", "slack", "SM", "cycles", "at", "least"
    ]  # fmt: skip
    assert table[1][:5] == ["128", "64", "2", "1", "948"]
    assert table[1][-1] == "chosen"
    assert table[3][-1] == "example"
    assert table[5][:4] == ["32", "64", "2", "4"]
    assert table[5][-2:] == ["cannot", "win"]
    assert "Not possible" in lines
    assert any("96  64, 1024        any  Triton rejects kernel" in line for line in lines)


def test_json(tmp_path):
    data = answer("compile", TUNED, "-o", tmp_path, "--no-verify")
    assert data["constants"] == {"BLOCK_M": 128, "BLOCK_N": 128, "BLOCK_K": 64}
    first, *rest = data["candidates"]
    assert (first["tile"], first["subtiles"], first["ii"]) == ({"BLOCK_N": 128, "BLOCK_K": 64}, 2, data["ii"])
    assert (first["programs"], first["iterations"], first["status"], first["example"]) == (1, 4, "optimal", False)
    assert first["sm_cycles"] == first["cycles"] == 3 * data["ii"] + data["length"]
    assert len(rest) == 19  # 4 x 2 tile sizes, 6 of which in 3 numbers of sub-tiles
    assert [each["sm_cycles"] for each in rest[:3]] == sorted(each["sm_cycles"] for each in rest[:3])
    assert all(each["sm_cycles"] is None and each["reason"] for each in rest[3:])
    assert {"tile": {"BLOCK_N": 96, "BLOCK_K": 64}, "subtiles": None} in [
        {"tile": each["tile"], "subtiles": each["subtiles"]} for each in rest
    ]


def test_the_chosen_sizes_are_those_of_the_kernel(compiled):
    assert compiled.tuned
    assert compiled.launch.constants["BLOCK_N"] == compiled.constants["BLOCK_N"] == 128
    assert compiled.launch.grid == (1, 1, 1)
    assert [check.passed for check in compiled.verify(seeds=1)] == [True] * 4


def test_without_tuning():
    made = compile(TUNED, tune=False, subtiles=1)
    assert not made.tuned
    assert made.launch.constants["BLOCK_N"] == 64


def test_files(compiled, folder):
    paths = compiled.save(folder)
    assert [path.name for path in paths] == [
        "tuned_hopper.py", "tuned_hopper.json", "tuned_hopper.html", "tuned_hopper_ranking.svg"
    ]  # fmt: skip
    page, picture = paths[2].read_text(), paths[3].read_text()
    assert picture == compiled.ranking()
    assert page.count("<figure") == 1
    assert page.index("<figure") < page.index("</body>")
    for text in (page, picture):
        assert "BLOCK_N=128, BLOCK_K=64 and 2 sub-tiles" in text
    assert "tuned_hopper_ranking" not in json.loads(paths[1].read_text())


def test_the_picture(compiled):
    """A name for each candidate with a problem, a bar's words for each, the bound of those not solved."""
    words = [node.text for node in ElementTree.fromstring(compiled.ranking()).iter() if node.text and node.text.strip()]
    text = "\n".join(words)
    possible = [candidate for candidate in compiled.candidates if candidate.problem is not None]
    assert len(possible) == 6
    for candidate in possible:
        assert candidate.name in text
    chosen = compiled.candidates[0]
    assert f"{chosen.sm_cycles:,}, II 948 optimal, chosen" in text
    assert text.count("(the example's)") == 2
    assert sum("cannot win" in word for word in words) == 2
    assert "BLOCK_N=96" not in text


def test_stages_are_of_the_chosen_sizes():
    problem = json.loads(twill("compile", TUNED, "--emit", "problem").stdout)
    assert problem["trip_count"] == 4
    loads = [op["smem_bytes"] for op in problem["ops"] if op["unit"] == "TMA"]
    assert sorted(loads) == [64 * 64 * 2, 64 * 64 * 2, 64 * 128 * 2]
    problem = json.loads(twill("compile", TUNED, "--emit", "problem", "--no-tune").stdout)
    assert max(op.get("smem_bytes", 0) for op in problem["ops"]) == 64 * 64 * 2


def test_ctrl_c(tmp_path, monkeypatch):
    """Pressed in the first solve: the example's sizes, exit code 0, and a word on stderr."""
    Solves(monkeypatch, after=lambda: signal.raise_signal(signal.SIGINT))
    done = twill("compile", TUNED, "-o", tmp_path, "--json", "--no-verify")
    assert "stopped by Ctrl-C" in done.stderr
    data = json.loads(done.stdout)
    assert data["stopped"] is True
    assert data["constants"]["BLOCK_N"] == 64
    assert any(each["reason"] == "not tried: stopped by Ctrl-C" for each in data["candidates"])

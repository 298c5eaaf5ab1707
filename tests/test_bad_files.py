"""Graph files, schedule files and modules that cannot be used: exit code, one paragraph, nothing written."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from commands import GRAPH

from twill.cli import main
from twill.schedule.document import write_text

ROOT = Path(__file__).resolve().parents[1]
SWIGLU = Path(__file__).parent / "kernels_for_tests" / "swiglu.py"


def _set(*path: Any, to: Any) -> Callable[[dict[str, Any]], None]:
    def change(data: dict[str, Any]) -> None:
        at: Any = data
        for key in path[:-1]:
            at = at[key]
        at[path[-1]] = to

    return change


def _append(key: str, value: Any) -> Callable[[dict[str, Any]], None]:
    return lambda data: data[key].append(value)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (_append("deps", {"src": "exp", "dst": "load"}), ["deps: the cycle", "50 + 40 + 25 = 115", "distance of 1"]),
        (_set("ops", 0, "unit", to="TX"), ["ops[0].unit", '"TX" is no unit', "TC, SFU, TMA"]),
        (_set("ops", 1, "id", to="load"), ['ops[1].id: the id "load" is already that of ops[0]']),
        (_set("ops", 0, "occupancy", to=-4), ["ops[0].occupancy: -4 is below the minimum, 0"]),
        (_set("ops", 0, "latency", to=10**30), ["ops[0].latency", "above the maximum"]),
        (_set("ops", 0, "latency", to=1.5), ["ops[0].latency: 1.5, not a whole number"]),
        (lambda data: data["ops"][0].pop("unit"), ['ops[0]: "unit" is missing']),
        (lambda data: data.pop("machine"), ['"machine" is missing']),
        (_set("deps", 0, "src", to="laod"), ["deps[0].src", 'mean "load"?']),
        (_set("machine", to="volta"), ["machine: unknown machine 'volta'", "blackwell, hopper"]),
        (_set("format", to="twill-graph/9"), ["twill-graph/9", "reads twill-graph/1"]),
    ],
)  # fmt: skip
def test_a_malformed_graph(refused, tmp_path, change, says):
    data = deepcopy(GRAPH)
    change(data)
    path = tmp_path / "graph.json"
    path.write_text(json.dumps(data))
    refused(2, ["graph.json: ", *says], "schedule", path, "-o", tmp_path / "answer.json")
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("text", "says"),
    [("{not json", ["graph.json:1:2", "is not JSON"]), ("", ["is not JSON"]), ("[" * 100_000, ["nested too deeply"])],
    ids=["text", "empty", "deep"],
)
def test_a_graph_that_is_not_json(refused, tmp_path, text, says):
    path = tmp_path / "graph.json"
    path.write_text(text)
    refused(2, says, "schedule", path)


def test_no_graph_at_all(refused, tmp_path):
    refused(2, ["none.json", "cannot be read"], "schedule", tmp_path / "none.json")
    refused(2, ["cannot be read", "directory"], "schedule", tmp_path)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (_set("machine", "smem_bytes", to=300), ["shared memory: one buffer of each ring takes 400 bytes"]),
        (_set("ops", 1, "registers", to=250), ["registers: at most 240 registers per thread", "dot 250"]),
        (_set("machine", "max_groups", to=1), ["may share a group only with", "groups: at most 1 group"]),
    ],
)  # fmt: skip
def test_an_infeasible_graph(tmp_path, change, says):
    data = deepcopy(GRAPH)
    change(data)
    path = tmp_path / "graph.json"
    path.write_text(json.dumps(data))
    done = CliRunner().invoke(main, ["schedule", str(path), "-o", str(tmp_path / "answer.json")])
    assert done.exit_code == 4
    assert done.stdout == ""
    for words in ("graph.json: infeasible", *says):
        assert words in done.stderr
    assert list(tmp_path.iterdir()) == [path]
    answer = CliRunner().invoke(main, ["schedule", str(path), "--json"])
    assert answer.exit_code == 4
    data = json.loads(answer.stdout)
    assert data["status"] == "infeasible"
    assert data["ops"] == {}
    assert all(words in data["reason"] for words in says)


# Schedule files and generated modules.


@pytest.fixture
def pair(compiled_folder: Path, tmp_path: Path) -> Callable[..., Path]:
    """A module and its schedule side by side, either changed."""

    def write(module: str | None = None, **changes: object) -> Path:
        data = json.loads((compiled_folder / "swiglu_hopper.json").read_text()) | changes
        (tmp_path / "kernel.json").write_text(json.dumps({key: data[key] for key in data if data[key] is not None}))
        path = tmp_path / "kernel.py"
        path.write_text((compiled_folder / "swiglu_hopper.py").read_text() if module is None else module)
        return path

    return write


def test_a_schedule_of_another_version(refused, pair, tmp_path):
    module = pair(format="twill-schedule/7")
    says = ["kernel.json", "written as twill-schedule/7", "reads twill-schedule/1", "Write it again"]
    refused(2, says, "show", tmp_path / "kernel.json", "-o", tmp_path / "picture.svg")
    refused(2, says, "explain", tmp_path / "kernel.json")
    refused(2, says, "verify", module)
    assert not (tmp_path / "picture.svg").exists()


def test_a_graph_where_a_schedule_belongs(refused, tmp_path):
    path = tmp_path / "graph.json"
    path.write_text(json.dumps(GRAPH))
    for command in ("show", "explain"):
        refused(2, ["twill-graph/1", "twill-schedule/1", "right file"], command, path)


def test_a_schedule_that_was_edited(refused, compiled_folder, pair, tmp_path):
    placements = json.loads((compiled_folder / "swiglu_hopper.json").read_text())["placements"]
    op = next(id for id in placements if id.startswith("gate"))
    placements[op]["stage"] = 0
    pair(placements=placements)
    refused(1, ["kernel.json", "not valid", op, "Solve it again"], "show", tmp_path / "kernel.json")


def test_verify_without_a_module(refused, compiled_folder, tmp_path):
    refused(2, ["nowhere.py", "no such file"], "verify", tmp_path / "nowhere.py")
    refused(2, ["not a generated module", "twill compile"], "verify", compiled_folder / "swiglu_hopper.json")
    refused(2, ["swiglu.py", "schedule file swiglu.json is not beside it", "twill compile"], "verify", SWIGLU)


def test_verify_of_a_schedule_without_a_kernel(refused, pair):
    refused(2, ["kernel.json", "without its kernel", "twill compile"], "verify", pair(launch=None))
    refused(2, ["kernel.json", "cannot be read"], "verify", pair(launch={"name": "swiglu"}))
    refused(2, ["kernel.json", "cannot be read", "nonsense"], "verify", pair(graph="nonsense"))


def test_verify_of_another_module(refused, pair):
    refused(2, ["kernel.py", "no launcher swiglu"], "verify", pair("x = 1\n"))
    refused(2, ["kernel.py:1:7", "syntax error"], "verify", pair("def f(:\n"))
    refused(2, ["kernel.py: swiglu is a kernel here", "twill compile"], "verify", pair(SWIGLU.read_text()))


def test_a_name_that_is_too_long_and_an_empty_one(refused, pair, tmp_path):
    refused(2, ["File name too long"], "verify", tmp_path / ("x" * 300 + ".py"))
    pair()
    refused(2, ["cannot be written", "directory"], "show", tmp_path / "kernel.json", "-o", "")


def test_a_pipe_is_written_to_and_stays_one(pair, tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    pair()
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        write_text(pipe, "all of it")
        assert os.read(reader, 100) == b"all of it"
    finally:
        os.close(reader)
    assert pipe.is_fifo()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda data: data["launch"]["arguments"].pop(0), ["the launch has no argument"]),
        (lambda data: data["launch"].update(arguments=[1]), ["cannot be read"]),
        (lambda data: data["problem"]["ops"][0].update(members=["no_such"]), ["the graph has no `no_such`"]),
        (lambda data: data["problem"]["ops"][0].update(members=[]), ["is in the loop and not scheduled"]),
        (lambda data: data["provenance"].update(isolation="much"), ["provenance.isolation", "not a whole number"]),
        (lambda data: data["provenance"].update(form={"cuts": {"a": 1}, "turns": True}), ["provenance.form.cuts"]),
    ],
)
def test_a_kernel_that_is_not_the_schedules(refused, compiled_folder, pair, tmp_path, change, says):
    data = json.loads((compiled_folder / "swiglu_hopper.json").read_text())
    change(data)
    module = pair(**data)
    refused(2, ["kernel.json", *says], "show", tmp_path / "kernel.json", "--simulated")
    refused(2, ["kernel.json", *says], "verify", module)

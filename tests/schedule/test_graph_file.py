"""`twill-graph/1`: exact round trip, the defaults, and a clear paragraph for everything a file can have wrong."""

from __future__ import annotations

import json
import subprocess
import sys
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from attention_loop import problem
from hypothesis import given, settings
from hypothesis import strategies as st

from twill.errors import InputError
from twill.schedule.graph_file import problem_from_json, problem_json, read_problem, write_problem
from twill.schedule.problem import Dep, Limits, Op, Problem

MINIMAL: dict[str, Any] = {
    "format": "twill-graph/1",
    "name": "fa_fwd",
    "machine": {"units": {"TC": 1, "SFU": 1, "TMA": 1}, "signal_hop": 5},
    "trip_count": 64,
    "ops": [
        {"id": "load", "unit": "TMA", "occupancy": 256, "issue": 30, "latency": 600, "variable_latency": True},
        {"id": "S0", "unit": "TC", "occupancy": 512, "issue": 20, "latency": 572, "registers": 64, "min_warps": 4},
        {"id": "exp", "unit": "SFU", "occupancy": 512},
    ],
    "deps": [{"src": "load", "dst": "S0", "blocking": True}, {"src": "S0", "dst": "exp", "distance": 1, "latency": 9}],
}


def changed(*path: str | int, to: Any) -> dict[str, Any]:
    """MINIMAL with the value at `path` replaced."""
    data = deepcopy(MINIMAL)
    at: Any = data
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = to
    return data


def refused(data: Any) -> str:
    with pytest.raises(InputError) as caught:
        problem_from_json(data, "g.json")
    assert caught.value.exit_code == 2
    message = str(caught.value)
    assert message.startswith("g.json: ")
    assert "\n" not in message
    assert len(message) < 600
    return message


def test_defaults():
    loop = problem_from_json(MINIMAL, "g.json")
    assert loop.limits == Limits({"TC": 1, "SFU": 1, "TMA": 1}, signal_hop=5)
    assert loop.op("exp") == Op("exp", "SFU", occupancy=512, issue=512)
    assert loop.op("S0").issue == 20
    assert loop.deps == (Dep("load", "S0", 0, 600, blocking=True), Dep("S0", "exp", 1, 9))
    assert loop.trip_count == 64
    bare = {"format": "twill-graph/1", "machine": {"units": {"U": 2}}, "ops": [{"id": "a", "unit": "U"}]}
    assert problem_from_json(bare, "g") == Problem("loop", Limits({"U": 2}), (Op("a", "U"),), ())


RING: dict[str, Any] = {
    "format": "twill-graph/1",
    "machine": {"units": {"U": 2}, "tmem_columns": 512},
    "ops": [{"id": "write", "unit": "U", "tmem_columns": 256}, {"id": "read", "unit": "U", "spans": 2}],
    "deps": [{"src": "write", "dst": "read"}, {"src": "read", "dst": "write", "distance": 1, "ring": True}],
}


def test_spans_and_recurrences_of_rings():
    loop = problem_from_json(RING, "g.json")
    assert loop.op("read").spans == 2
    assert loop.deps[1] == Dep("read", "write", 1, 0, ring=True)


@pytest.mark.parametrize(
    ("dep", "said"),
    [
        ({"src": "read", "dst": "write", "ring": True}, "the ring of write has distance 0"),
        ({"src": "write", "dst": "read", "distance": 1, "ring": True}, "read writes no buffer"),
        ({"src": "read", "dst": "write", "distance": 1, "ring": True, "in_place": True}, "moves no value"),
    ],
)
def test_recurrences_of_rings_that_are_none(dep: dict[str, Any], said: str):
    assert said in refused({**RING, "deps": [RING["deps"][0], dep]})


def test_new_keys_are_left_out_at_their_defaults():
    data = problem_json(problem_from_json(MINIMAL, "g.json"))
    assert not {"transfer_bytes", "max_mbarriers"} & set(data["machine"])
    assert not any("spans" in op for op in data["ops"])
    assert not any("ring" in dep for dep in data["deps"])


def test_whole_floats_are_numbers():
    loop = problem_from_json(changed("ops", 0, "occupancy", to=256.0), "g.json")
    assert loop.ops[0].occupancy == 256
    assert isinstance(loop.ops[0].occupancy, int)


def test_file_round_trip(tmp_path: Path):
    task = problem()
    task = replace(task, ops=(replace(task.ops[0], members=("k_tile", "store@3"), label="load K"), *task.ops[1:]))
    write_problem(tmp_path / "g.json", task)
    assert read_problem(tmp_path / "g.json") == task
    assert list(tmp_path.iterdir()) == [tmp_path / "g.json"]


numbers = st.integers(0, 10_000_000)
names = st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1, max_size=8)
ops = st.builds(
    Op, id=names, unit=st.sampled_from(["TC", "x"]), occupancy=numbers, issue=numbers, latency=numbers,
    registers=st.integers(0, 255), smem_bytes=numbers, tmem_columns=numbers, min_warps=st.integers(1, 8),
    spans=st.integers(1, 16), variable_latency=st.booleans(), label=st.just("") | names, location=st.just("f.py:3:1"),
    subtile=st.none() | st.integers(0, 3), members=st.lists(names, max_size=2).map(tuple),
)  # fmt: skip
limits = st.builds(
    Limits, units=st.just({"TC": 1, "x": 3}), smem_bytes=numbers, max_groups=st.integers(16, 20), name=names,
    signal_hop=numbers, value_hop=numbers, max_warps=st.integers(8, 64), transfer_bytes=st.integers(0, 8),
    max_mbarriers=st.just(65536) | st.integers(0, 200),
)  # fmt: skip


@st.composite
def problems(draw: st.DrawFn) -> Problem:
    body = tuple(draw(st.lists(ops, min_size=1, max_size=5, unique_by=lambda op: op.id)))
    ids = st.sampled_from([op.id for op in body])
    dep = st.builds(Dep, ids, ids, st.integers(1, 9), numbers, st.booleans(), st.booleans())
    together = st.lists(st.lists(ids, min_size=1, unique=True).map(tuple), max_size=2).map(tuple)
    deps = tuple(draw(st.lists(dep, max_size=5)))
    buffers = [op.id for op in body if op.smem_bytes or op.tmem_columns]
    if buffers:
        reuse = st.builds(Dep, ids, st.sampled_from(buffers), st.integers(1, 9), numbers, ring=st.just(True))
        deps += tuple(draw(st.lists(reuse, max_size=2)))
    return Problem(draw(names), draw(limits), body, deps, draw(st.integers(1, 10**9)), draw(together), draw(together))


@settings(max_examples=60, deadline=None)
@given(problems())
def test_round_trip(task: Problem):
    assert problem_from_json(json.loads(json.dumps(problem_json(task))), "g.json") == task


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ([], ["a list, not a dependence graph"]),
        (changed("format", to="twill-graph/2"), ["was written as twill-graph/2", "reads twill-graph/1"]),
        (changed("format", to="twill-schedule/1"), ["format twill-schedule/1", "right file"]),
        ({key: value for key, value in MINIMAL.items() if key != "format"}, ['no "format"']),
        ({key: value for key, value in MINIMAL.items() if key != "ops"}, ['"ops" is missing']),
        (changed("ops", to=[]), ["ops: is empty", "1 or more"]),
        (changed("ops", to={}), ["ops: an object, not a list"]),
        (changed("ops", 1, to={"id": "S0"}), ['ops[1]: "unit" is missing', "functional unit"]),
        (changed("ops", 1, "occupancy", to=12.5), ["ops[1].occupancy: 12.5, not a whole number", "10,000,000"]),
        (changed("ops", 1, "occupancy", to=True), ["ops[1].occupancy: true, not a whole number"]),
        (changed("ops", 1, "occupancy", to="12"), ['ops[1].occupancy: the string "12", not a whole number']),
        (changed("ops", 1, "occupancy", to=None), ["ops[1].occupancy: null, not a whole number"]),
        (changed("ops", 1, "occupancy", to=-1), ["ops[1].occupancy: -1 is below the minimum, 0"]),
        (changed("ops", 1, "latency", to=10**30), ["ops[1].latency", "above the maximum", "10000000"]),
        (changed("ops", 1, "min_warps", to=0), ["ops[1].min_warps: 0 is below the minimum, 1"]),
        (changed("ops", 1, "min_warps", to=65), ["ops[1].min_warps: 65 warps are more", "max_warps 64"]),
        (changed("ops", 1, "spans", to=0), ["ops[1].spans: 0 is below the minimum, 1"]),
        (changed("ops", 1, "spans", to=9), ["ops[1].spans: 9 groups are more", "max_groups 8"]),
        (changed("deps", 1, "ring", to=True), ["deps[1].ring: exp writes no buffer", "smem_bytes or tmem_columns"]),
        (changed("deps", 0, "ring", to="yes"), ["deps[0].ring", "not true or false"]),
        (changed("machine", "transfer_bytes", to=-1), ["machine.transfer_bytes: -1 is below the minimum, 0"]),
        (changed("machine", "max_mbarriers", to=0.5), ["machine.max_mbarriers: 0.5, not a whole number"]),
        (changed("ops", 1, "variable_latency", to=1), ["ops[1].variable_latency: 1, not true or false"]),
        (changed("ops", 1, "ocupancy", to=1), ['ops[1]: "ocupancy" is not a known key', 'mean "occupancy"?']),
        (changed("ops", 1, "unit", to="TX"), ['"TX" is no unit', "TC, SFU, TMA"]),
        (changed("ops", 1, "unit", to="SFUU"), ["ops[1].unit", 'mean "SFU"?']),
        (changed("ops", 1, "id", to="load"), ['ops[1].id: the id "load" is already that of ops[0]']),
        (changed("ops", 1, "id", to=""), ["ops[1].id: is empty"]),
        (changed("ops", 1, "id", to="a\nb"), ["ops[1].id: the name has the character '\\n'"]),
        (changed("ops", 1, "id", to="\ud800"), ["ops[1].id", "'\\ud800'"]),
        (changed("ops", 1, "id", to="x" * 201), ["ops[1].id: has 201 characters"]),
        (changed("ops", to=[{"id": str(at), "unit": "TC"} for at in range(2001)]), ["2001 entries", "2000"]),
        (changed("deps", 0, "src", to="laod"), ['deps[0].src: no op has the id "laod"', 'mean "load"?']),
        (changed("deps", 1, "dst", to="?"), ['no op has the id "?"', "The ops are load, S0, exp"]),
        (changed("deps", 1, to={"src": "S0", "dst": "S0"}), ["deps[1]: S0 depends on itself within one iteration"]),
        (changed("deps", 1, to={"src": "S0"}), ['deps[1]: "dst" is missing']),
        (changed("deps", 1, to={"src": "S0", "dst": "load"}), ["cycle load -> S0 -> load takes 600 + 572 = 1172"]),
        (changed("deps", 1, "distance", to=-1), ["deps[1].distance: -1 is below"]),
        (changed("trip_count", to=0), ["trip_count: 0 is below the minimum, 1"]),
        (changed("machine", to=3), ["machine: 3, not a string or an object"]),
        (changed("machine", to={}), ['machine: "units" is missing']),
        (changed("machine", "units", to={}), ["machine.units: is empty"]),
        (changed("machine", "units", "TC", to=0), ["machine.units.TC: 0 is below the minimum, 1", "capacity"]),
        (changed("machine", "smem", to=1), ['machine: "smem" is not a known key', 'mean "smem_bytes"?']),
        (changed("colocate", to=[["S0", "nil"]]), ['colocate[0][1]: no op has the id "nil"']),
        (changed("separate", to=[["S0", "S0"]]), ['separate[0][1]: "S0" is in the list twice']),
        (changed("name", to="a\x1b[31m"), ["name: the name has the character '\\x1b'"]),
    ],
)
def test_refusals(data: Any, said: list[str]):
    message = refused(data)
    for part in said:
        assert part in message, message


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"format": }', "g.json:1:12: is not JSON"),
        (b"", "is not JSON"),
        (b"\xff\xfe", "is not UTF-8 text"),
        (b"[" * 200_000, "nested too deeply"),
        (b'{"a": 1, "a": 2}', 'the key "a" twice'),
        (b'{"a": NaN}', "uses NaN"),
        (b'{"a": 1e999}', "uses 1e999"),
        (b'{"a": ' + b"9" * 10_000 + b"}", "a number of 10000 digits"),
        (b" " * (16 * 2**20 + 1), "larger than 16 MiB"),
    ],
)
def test_files_that_are_not_json(tmp_path: Path, content: bytes, said: str):
    path = tmp_path / "g.json"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_problem(path)
    assert said in str(caught.value)


def test_files_that_cannot_be_read(tmp_path: Path):
    with pytest.raises(InputError, match="No such file"):
        read_problem(tmp_path / "none.json")
    with pytest.raises(InputError, match="directory"):
        read_problem(tmp_path)


def test_a_zero_latency_cycle_within_an_iteration_is_no_contradiction():
    data = changed("deps", to=[{"src": "exp", "dst": "S0"}, {"src": "S0", "dst": "exp", "latency": 0}])
    assert len(problem_from_json(data, "g.json").deps) == 2


def test_reading_needs_neither_torch_nor_triton_nor_the_solver():
    forbidden = ("ortools", "torch", "triton", "matplotlib", "z3", "twill.solve")
    code = (
        "import sys, json; from twill.schedule.graph_file import problem_from_json;"
        f"problem_from_json(json.loads({json.dumps(MINIMAL)!r}), 'g');"
        f"sys.exit(any(name in sys.modules for name in {forbidden!r}))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_machine_by_name_gives_its_limits():
    from twill.machine.load import load

    loop = problem_from_json(changed("machine", to="hopper"), "g.json")
    assert loop.limits == load("hopper").limits()
    assert "g.json: machine: " in refused(changed("machine", to="hooper"))
    units = ", ".join(loop.limits.units)
    assert f"its units are {units}" in refused({**changed("ops", 1, "unit", to="Q"), "machine": "hopper"})

"""`twill-schedule/1`: exact round trip, versions, tampering, and the answer of `twill schedule --json`."""

from __future__ import annotations

import json
from copy import deepcopy
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from attention_loop import schedule

from twill.errors import CheckFailed, InputError
from twill.schedule.files import answer_json, read, schedule_from_json, schedule_json, stamp, write

VALID = schedule()


def test_round_trip(tmp_path: Path):
    path = tmp_path / "s.json"
    stamped = stamp(replace(VALID, seconds=0.1 + 0.2))
    write(path, stamped, graph="graph attn {}\n", launch={"grid": [1, 2], "arguments": {"scale": 0.125}})
    held = read(path)
    assert held.schedule == stamped
    assert held.graph == "graph attn {}\n"
    assert held.launch == {"grid": [1, 2], "arguments": {"scale": 0.125}}


def test_without_a_kernel_and_without_an_answer(tmp_path: Path):
    nothing = replace(VALID, status="infeasible", ii=0, lower_bound=0, length=0, placements={}, rings={}, groups=())
    write(tmp_path / "s.json", nothing)
    held = read(tmp_path / "s.json")
    assert (held.schedule, held.graph, held.launch) == (nothing, None, None)


def test_writing_replaces_the_file_whole_or_not_at_all(tmp_path: Path):
    path = tmp_path / "s.json"
    write(path, VALID)
    before = path.read_bytes()
    with pytest.raises(ValueError):
        write(path, replace(VALID, seconds=float("nan")))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_unwritable_place(tmp_path: Path):
    with pytest.raises(InputError, match="cannot be written: No such file or directory") as caught:
        write(tmp_path / "none" / "s.json", VALID)
    assert caught.value.exit_code == 2
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match="cannot be written"):
        write(tmp_path / "folder", VALID)
    assert [each.name for each in tmp_path.iterdir()] == ["folder"]


def changed(*path: str | int, to: Any) -> dict[str, Any]:
    data = deepcopy(schedule_json(VALID))
    at: Any = data
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = to
    return data


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (changed("format", to="twill-schedule/2"), "was written as twill-schedule/2, but this Twill reads twill-sch"),
        (changed("format", to="twill-graph/1"), "has the format twill-graph/1, but a schedule is twill-schedule/1"),
        (changed("status", to="best"), "status: best is none of optimal, feasible"),
        (changed("placements", "p.0", "slot", to=-1), "placements.p.0.slot: -1 is below the minimum"),
        (changed("placements", "p.0", to={"stage": 0, "slot": 0}), '"groups" is missing'),
        (changed("placements", "nil", to={"stage": 0, "slot": 0, "groups": [0]}), 'the problem has no op "nil"'),
        (changed("rings", "nil", to=1), 'rings: the problem has no op "nil"'),
        (changed("problem", "ops", 3, "occupancy", to="x"), 's.json: problem: ops[3].occupancy: the string "x"'),
        (changed("problem", "format", to="twill-graph/9"), "s.json: problem: was written as twill-graph/9"),
        (changed("colour", to=1), '"colour" is not a known key'),
    ],
)  # fmt: skip
def test_refusals(data: dict[str, Any], said: str):
    with pytest.raises(InputError) as caught:
        schedule_from_json(data, "s.json")
    assert said in str(caught.value)


def test_a_tampered_schedule_fails_its_check(tmp_path: Path):
    path = tmp_path / "s.json"
    path.write_text(json.dumps(changed("placements", "acc.0", "slot", to=1261)), encoding="utf-8")
    with pytest.raises(CheckFailed) as caught:
        read(path)
    assert caught.value.exit_code == 1
    assert "units: TC holds s.0, acc.0 at slot 1261: 2 > capacity 1" in str(caught.value)


def test_answer():
    answer = answer_json(VALID)
    assert list(answer) == ["status", "ii", "lower_bound", "reason", "length", "seconds", "ops", "rings", "groups"]
    assert answer["ops"]["acc.0"] == {"stage": 1, "slot": 1262, "group": 1}
    assert answer["rings"] == {"k": 2, "v": 2}
    assert answer["groups"] == [{"warps": 1}, {"warps": 4}, {"warps": 4}]
    both = replace(VALID.placements["k"], groups=(0, 2))
    assert answer_json(replace(VALID, placements={"k": both}))["ops"]["k"]["group"] == [0, 2]


def test_stamp_names_versions_and_hashes(tmp_path: Path):
    machine = tmp_path / "m.toml"
    machine.write_bytes(b"units = 1")
    provenance = stamp(VALID, machine_file=machine, source="def f(): ...").provenance
    assert set(provenance) == {"twill", "ortools", "triton", "machine_sha256", "source_sha256", "seconds"}
    assert provenance["machine_sha256"] == sha256(b"units = 1").hexdigest()
    assert provenance["source_sha256"] == sha256(b"def f(): ...").hexdigest()
    assert provenance["seconds"] == VALID.seconds

"""Result files: they round-trip, say where they come from, and name no place on the machine."""

import json
import platform
from pathlib import Path

import pytest

from benchmarks import record
from twill.errors import InputError


def test_a_result_round_trips_with_its_provenance(tmp_path):
    results = {"kernel": {"seconds": [0.5, 1e-06]}}
    path = record.write("example", results, tmp_path / "new" / "example.json", {"runs": 5})
    read = json.loads(path.read_text())
    assert read["results"] == results
    assert (read["format"], read["benchmark"]) == (record.FORMAT, "example")
    found = read["provenance"]
    assert found["runs"] == 5
    assert found["python"] == platform.python_version()
    assert {"twill", "torch", "triton", "ortools"} <= set(found["versions"])
    assert found["cpu"]
    assert found["date"].endswith("+00:00")
    assert (found["commit"] is None) == (found["dirty"] is None)
    assert [entry.name for entry in path.parent.iterdir()] == ["example.json"]


def test_a_result_names_no_place_on_this_machine(tmp_path):
    text = record.write("example", [], tmp_path / "example.json").read_text()
    assert str(record.ROOT) not in text
    assert str(Path.home()) + "/" not in text
    assert platform.node() not in text


def test_an_unwritable_place_leaves_nothing_behind(tmp_path):
    (tmp_path / "taken").mkdir()
    with pytest.raises(InputError, match="cannot be written"):
        record.write("example", [], tmp_path / "taken")
    assert [entry.name for entry in tmp_path.iterdir()] == ["taken"]


def test_outside_a_checkout_there_is_no_commit(tmp_path, monkeypatch):
    monkeypatch.setattr(record, "ROOT", tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    found = record.provenance()
    assert found["commit"] is None
    assert found["dirty"] is None


def test_the_answer_of_nvidia_smi_is_read_by_field():
    fields = ("name", "driver_version", "clocks.sm", "power.draw", "power.limit")
    assert record.parse_gpu(fields, "NVIDIA H100 80GB HBM3, 580.65, 1755, 412.50, [N/A]\nsecond, line\n") == {
        "name": "NVIDIA H100 80GB HBM3", "driver_version": "580.65", "clocks.sm": 1755.0, "power.draw": 412.5,
        "power.limit": "[N/A]",
    }  # fmt: skip


def test_without_nvidia_smi_there_is_no_gpu(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert record.query_gpu(["name"]) is None


def test_a_device_name_becomes_part_of_a_file_name():
    assert record.slug("NVIDIA H100 80GB HBM3") == "nvidia-h100-80gb-hbm3"

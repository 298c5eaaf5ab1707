"""Registers by the model beside measured ones: the arithmetic, and the committed results."""

import json
from dataclasses import replace

import click
import pytest

from benchmarks.record import RESULTS
from benchmarks.register_error import NAMES, Row, digest, rows_of, sentence, standing, summary
from twill.codegen.disassembly import RoleCode
from twill.codegen.machine_code import MachineCode
from twill.codegen.plan import plan
from twill.frontend.launch import from_json
from twill.ir.text import parse_graph
from twill.schedule import files
from twill.shipped import VARIANTS, schedule_path

ROW = Row("matmul", "consumer0", 240, 128, 24, 133, 237, 238, 0)


@pytest.fixture(scope="module")
def matmul():
    (variant,) = [variant for variant in VARIANTS if variant.name == "matmul_fp16"]
    stored = files.read(schedule_path(variant))
    return plan(parse_graph(stored.graph), stored.schedule, from_json(stored.launch))


def machine_code(decided):
    roles = tuple(RoleCode(10, (role.registers,), 200, 150, 210, 0) for role in decided.roles)
    return MachineCode("3.6.0", 168, (), 0, 0, 1, 2, 8, False, 0.0, roles=roles)


def test_an_estimate_is_values_and_reserve():
    assert (ROW.estimate, ROW.difference, ROW.besides) == (152, 19, 5)


def test_there_is_a_row_for_each_group_that_computes(matmul):
    rows = rows_of("matmul_fp16", matmul, machine_code(matmul))
    assert [row.role for row in rows] == ["consumer0", "consumer1"]
    # 128 rows x 128 columns of fp32 over 128 threads are 128 registers, and nothing else lives.
    assert {(row.values, row.reserved, row.quota) for row in rows} == {(128, 24, 240)}
    assert {(row.live_in_loop, row.live, row.highest) for row in rows} == {(150, 200, 210)}


def test_code_of_other_roles_is_refused(matmul):
    code = machine_code(matmul)
    with pytest.raises(ValueError, match="does not show the roles"):
        rows_of("matmul_fp16", matmul, replace(code, roles=code.roles[:1]))


def test_the_summary_tells_which_way_it_is_off():
    rows = [ROW, replace(ROW, live_in_loop=160), replace(ROW, live_in_loop=152)]
    found = summary(rows)
    assert found["difference"] == {"least": -8, "mean": 3.7, "most": 19}
    assert found["underestimated"] == 1
    assert found["besides_values"] == {"least": 5, "most": 32}
    assert "-8 to +19, mean +3.7 registers a thread; too low for 1 of 3 warp groups" in sentence(found)


def test_the_committed_results_are_of_the_committed_schedules():
    document = json.loads((RESULTS / "register_error.json").read_text())
    results = document["results"]
    measured = results["kernels"]
    assert {row["kernel"] for row in results["groups"]} <= set(measured)  # what has no MMA has no row
    assert {*measured, *document["provenance"]["missing"]} == set(NAMES), "run python -m benchmarks.register_error"
    for row in results["groups"]:
        assert row["difference"] == row["values"] + row["reserved"] - row["live_in_loop"]
    for variant in VARIANTS:
        if variant.name not in measured:
            continue
        stored = files.read(schedule_path(variant)).schedule
        found = measured[variant.name]
        assert found["source"] == digest(variant), f"run python -m benchmarks.register_error {variant.name}"
        assert found["ii"] == stored.ii
        assert (found["spill_bytes"], found["stack_bytes"]) == (0, 0)
        quotas = {group.registers + stored.problem.limits.reserved_registers for group in stored.groups[1:]}
        assert {row["quota"] for row in results["groups"] if row["kernel"] == variant.name} <= quotas


def result_file(path, name, source):
    row = dict.fromkeys(("quota", "values", "reserved", "live_in_loop", "live", "highest", "spill_bytes"), 1)
    groups = [{"kernel": name, "role": "consumer0", **row}]
    path.write_text(json.dumps({"results": {"groups": groups, "kernels": {name: {"source": source}}}}))


def test_what_was_measured_of_unchanged_kernels_stands(tmp_path):
    (variant,) = [variant for variant in VARIANTS if variant.name == "matmul_fp16"]
    result_file(tmp_path / "found.json", variant.name, digest(variant))
    rows, kernels = standing(tmp_path / "found.json")
    assert [row.kernel for row in rows] == list(kernels) == ["matmul_fp16"]
    result_file(tmp_path / "found.json", variant.name, "another")
    assert standing(tmp_path / "found.json") == ([], {})
    assert standing(tmp_path / "missing.json") == ([], {})


def test_a_file_that_is_no_result_is_refused(tmp_path):
    (tmp_path / "found.json").write_text("{}")
    with pytest.raises(click.ClickException, match="no result of this benchmark"):
        standing(tmp_path / "found.json")

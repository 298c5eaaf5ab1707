"""The committed modules are what the committed schedules give: refreshed by `make golden`, reviewed like code."""

from pathlib import Path

import pytest

from twill.codegen.gluon import emit
from twill.codegen.plan import plan
from twill.frontend.launch import from_json
from twill.ir.text import parse_graph
from twill.schedule import files
from twill.shipped import VARIANTS, kernels_folder, module_path, schedule_path, schedules_folder

NAMES = [variant.name for variant in VARIANTS]


@pytest.mark.parametrize("variant", VARIANTS, ids=NAMES)
def test_the_module_is_its_schedule_printed(variant):
    stored = files.read(schedule_path(variant))
    graph = parse_graph(stored.graph)
    isolation = stored.schedule.provenance.get("isolation", 0)
    text = emit(plan(graph, stored.schedule, from_json(stored.launch), isolation=isolation))
    assert text == module_path(variant).read_text(), f"{variant.name}: run `make golden` and review the difference"


@pytest.mark.parametrize("variant", VARIANTS, ids=NAMES)
def test_the_schedule_is_proved_and_says_where_it_is_from(variant):
    schedule = files.read(schedule_path(variant)).schedule
    assert schedule.status == "optimal"
    for key in ("twill", "ortools", "triton", "machine_sha256", "source_sha256", "seconds"):
        assert schedule.provenance[key]


def test_nothing_else_is_committed_there():
    names = {variant.name for variant in VARIANTS}
    modules = {path.stem for path in (kernels_folder() / "generated" / "hopper").glob("*.py")} - {"__init__"}
    schedules = {path.stem for path in (schedules_folder() / "hopper").glob("*.json")}
    assert modules == names
    assert schedules == names


def test_no_path_of_a_machine_is_in_what_ships():
    for variant in VARIANTS:
        for path in (module_path(variant), schedule_path(variant)):
            assert str(Path.home()) not in path.read_text()
            assert str(kernels_folder().parent) not in path.read_text()

"""The explanation names what binds, with the numbers that can be checked by hand."""

from __future__ import annotations

import json
from dataclasses import replace

from tests.schedule.attention_loop import II, schedule
from twill.explain import explain, explain_data
from twill.schedule.problem import Dep

VALID = schedule()


def test_a_unit_binds():
    data = explain_data(VALID)
    assert data["mii"] == {"cycles": 2048, "res_mii": 2048, "rec_mii": 630, "causes": ["unit TC"]}
    assert data["binds"] == "What binds: unit TC, which allows no II below 2048."
    assert data["faster"].endswith("the next bound is 1040, unit SFU.")
    (tensor_core,) = [unit for unit in data["units"] if unit["unit"] == "TC"]
    assert tensor_core == {
        "unit": "TC", "capacity": 1, "busy_cycles": 2048, "res_mii": 2048, "utilization": 1.0,
        "ops": {"s.0": 512, "acc.0": 512, "s.1": 512, "acc.1": 512},
    }  # fmt: skip
    json.dumps(data)


def test_a_cycle_binds():
    # p.0 -> s.0 carried over one iteration: s.0 560 + sub.0 70 + p.0 540 + 1000 more = 2170 cycles.
    dep = Dep("p.0", "s.0", 1, 1540)
    slower = replace(VALID, problem=replace(VALID.problem, deps=(*VALID.problem.deps, dep)), ii=2260, lower_bound=2260)
    data = explain_data(slower)
    assert data["cycle"]["rec_mii"] == 560 + 90 + 70 + 1540  # through max.0
    assert data["mii"]["causes"] == ["cycle " + " -> ".join([*[d["src"] for d in data["cycle"]["deps"]],
                                                              data["cycle"]["deps"][0]["src"]])]  # fmt: skip
    assert "shorten the latencies of the cycle" in data["faster"]
    assert "the next bound is 2048, unit TC" in data["faster"]


def test_neither_binds():
    above = replace(VALID, ii=II + 100, lower_bound=II + 100, reason="II 2147 refuted")
    data = explain_data(above)
    assert "II is 100 more" in data["binds"]
    assert "proved: II 2147 refuted" in data["binds"]
    assert data["faster"] == ""
    feasible = explain_data(replace(above, status="feasible", lower_bound=II))
    assert "no II below 2048 exists" in feasible["binds"]


def test_groups_rings_and_memory():
    data = explain_data(VALID)
    consumer = data["groups"][1]
    assert (consumer["role"], consumer["warps"], consumer["registers"]) == ("consumer", 4, 240)
    assert (consumer["peak_registers"], consumer["peak_slot"]) == (163, 1536)
    assert sum(value["registers"] * value["copies"] for value in consumer["peak_values"]) == 163
    assert data["rings"][0] == {
        "op": "k", "depth": 2, "smem_bytes": 65536, "tmem_columns": 0, "life_cycles": 2334, "last_consumer": "s.1",
        "slack_cycles": 2 * II - 2334,
    }  # fmt: skip
    assert data["memory"]["smem_bytes"] == {"used": 131072, "limit": 232448}


def test_text_fits_a_terminal_and_says_the_same():
    text = explain(VALID)
    assert max(map(len, text.splitlines())) <= 110
    for part in ("II 2048 cycles, optimal (unit TC)", "RecMII 630", "group 0  producer", "163 of 240 registers",
                 "shared memory 131072 of 232448 bytes", "total_cycles", "not proved"):  # fmt: skip
        assert part in text


def test_no_schedule_is_explained_too():
    nothing = replace(
        VALID, status="infeasible", reason="shared memory: k, v", ii=0, placements={}, rings={}, groups=()
    )
    text = explain(nothing)
    assert "No schedule: shared memory: k, v." in text
    assert "Units, in cycles per iteration" in text
    assert "optimal" not in text

"""Why no shorter interval: the rules are named with their ops, and what was not decided is said."""

from __future__ import annotations

import json
from dataclasses import replace

from tests.schedule.attention_loop import schedule
from tests.solve.instances import problem
from twill.explain.below import below
from twill.schedule.problem import Dep, Op
from twill.solve import solve

RING = problem(
    [Op("load", "T", 4, 1, 10, smem_bytes=100), Op("use", "C", 4, 4, 4)], [Dep("load", "use", 0, 10)], smem_bytes=399
)


def test_a_full_unit() -> None:
    found = below(schedule())
    (rule,) = found.rules
    assert found.ii == 2047
    assert (rule.rule, rule.ops) == ("units", ("s.0", "acc.0", "s.1", "acc.1"))
    assert rule.text == "unit TC must run s.0 512, acc.0 512, s.1 512, acc.1 512: 2048 cycles in 2047"
    assert found.how == "2048 cycles of work do not fit in 2047."
    assert found.minimal
    json.dumps(found.json())


def test_another_unit_that_excludes_it_alone_is_named_too() -> None:
    solved = solve(problem([Op("a", "A", 7, 1), Op("b", "B", 7, 1)]), tiers=())
    found = below(solved)
    assert found.rules[0].text == "unit A must run a 7: 7 cycles in 6"
    assert found.alone == ("unit B: 7 cycles",)


def test_rules_together() -> None:
    solved = solve(RING, tiers=())  # 14 cycles of life in 3 buffers
    assert solved.ii == 5
    found = below(solved)
    assert [rule.rule for rule in found.rules] == ["shared memory", "dependences"]
    assert found.how == "At II 4 the lives of the buffers need load 4 * 100 = 400 bytes > 399."
    assert found.rules[1].text == "load -(10)-> use"


def test_an_unfinished_proof_asks_below_its_bound() -> None:
    found = below(replace(schedule(), status="feasible", lower_bound=2000, ii=2048))
    assert found.ii == 1999


def test_no_time_is_said() -> None:
    found = below(solve(RING, tiers=()), time_limit=0.0)
    assert not found.excluded
    assert "could not be refuted again within 0 s" in found.note
    assert "--time-limit" in found.note


def test_nothing_is_below_one_cycle() -> None:
    found = below(solve(problem([Op("a", "A")]), tiers=()))
    assert found.note == "An interval is at least one cycle."


def test_no_schedule_has_its_reason() -> None:
    found = below(solve(replace(RING, limits=replace(RING.limits, smem_bytes=99))))
    assert found.excluded
    assert found.note == "shared memory: one buffer of each ring takes 100 bytes, the limit is 99"

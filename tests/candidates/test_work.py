"""The unit of work: programs, iterations and SM cycles of a launch, counted by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from twill import frontend
from twill.candidates import Work, work_of
from twill.candidates.space import least_length
from twill.candidates.work import output_elements, written_elements
from twill.frontend.launch import Launch
from twill.ir.graph import Graph
from twill.ir.simplify import simplify
from twill.schedule.problem import Dep, Limits, Op, Problem

ATTENTION = Path(__file__).resolve().parents[2] / "kernels" / "attention.py"


def lowered(**options: object) -> tuple[Graph, Launch]:
    constants = {name: options.pop(name) for name in ("CAUSAL", "BLOCK_M", "BLOCK_N") if name in options}
    graph, launch = frontend.lower(frontend.load(ATTENTION), constants, example_options=options)
    return simplify(graph), launch


@pytest.mark.parametrize(
    ("options", "work"),
    [
        # 512 rows in tiles of 128 and 2 heads: 8 programs; 512 keys in tiles of 128: 4 iterations of each.
        ({}, Work(8, 8, 32, 4)),
        ({"BLOCK_M": 64, "BLOCK_N": 64}, Work(16, 16, 128, 8)),
        # Causal: 1, 2, 3 and 4 tiles of keys for the four tiles of rows of a head.
        ({"CAUSAL": True}, Work(8, 8, 20, 4)),
        # 640 programs of 1 iteration, 512 of which are looked at.
        ({"H": 160, "N": 128, "D": 64}, Work(640, 640, 640, 1)),
    ],
)
def test_a_launch(options, work):
    assert work_of(*lowered(**options)) == work


def test_sm_cycles():
    """Three programs with 5 iterations in all, one of them without any: (5 - 2) * 100 + 2 * 250."""
    assert Work(programs=3, active=2, iterations=5, longest=4).sm_cycles(ii=100, length=250) == 800
    assert Work.single(4).sm_cycles(100, 250) == 3 * 100 + 250


def test_what_is_written():
    graph, launch = lowered(M=256)
    work = work_of(graph, launch)
    assert written_elements(graph, launch, work) == output_elements(launch) == 2 * 256 * 128


def test_no_iteration_is_shorter():
    """The path a, b: 10 + 20. On unit U one iteration takes 40 cycles. The dep to the next iteration counts nothing."""
    ops = (Op("a", "T", 5, latency=10), Op("b", "U", 20, latency=15), Op("c", "U", 20, latency=1))
    deps = (Dep("a", "b", latency=10), Dep("b", "a", distance=1, latency=99))
    limits = Limits(units={"T": 1, "U": 1})
    assert least_length(Problem("p", limits, ops, deps)) == 40
    assert least_length(Problem("p", limits, ops[:2], deps)) == 30

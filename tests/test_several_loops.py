"""Kernels with two loops, compiled and put through every check."""

from __future__ import annotations

from pathlib import Path

import pytest

import twill

KERNELS = Path(__file__).parent / "kernels_for_tests"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["causal_two_loops", "row_softmax"])
def test_loops_in_sequence(name):
    """Loops that differ in a mask, and one that needs what the one before it computed: each check holds."""
    made = twill.compile(KERNELS / f"{name}.py")
    assert made.schedule.status == "optimal"
    checks = made.verify(seeds=2)
    assert [(check.name, check.detail) for check in checks if not check.passed or check.skipped] == []


@pytest.mark.slow
def test_two_loops_cost_what_one_masked_loop_costs():
    """Causal attention of head size 128: the tensor core bounds both, four products of 512 cycles."""
    made = twill.compile(
        KERNELS / "causal_two_loops.py", example={"D": 128, "BLOCK_N": 128}, subtiles=2, tune=False
    )  # fmt: skip
    assert (made.schedule.status, made.schedule.ii) == ("optimal", 2048)

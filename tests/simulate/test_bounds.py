"""No run is faster than what its units and its recurrences allow, and units are busy for exactly what they serve."""

from fractions import Fraction

import pytest
from hypothesis import given, settings

from tests.certify.small import problems
from twill.schedule import files
from twill.schedule.problem import Problem
from twill.schedule.schedule import Schedule
from twill.shipped import VARIANTS, schedule_path
from twill.simulate import LoadLatency, Simulation, simulate
from twill.simulate.subject import subject
from twill.solve import solve
from twill.solve.bounds import rec_mii

EXACT = LoadLatency(0.0)


def least(problem: Problem) -> Fraction:
    """Cycles of an iteration that no order of the ops can beat: no whole number, as a run may alternate."""
    units = problem.limits.units
    full = [Fraction(sum(op.occupancy for op in problem.ops if op.unit == unit), units[unit]) for unit in units]
    recurrence = rec_mii(problem)
    around = Fraction(recurrence.latency, recurrence.distance) if recurrence.ops else Fraction(0)
    return max(*full, around)


def busy_for(found: Simulation, schedule: Schedule, blocks: int) -> dict[str, float]:
    """Share of the interval for which each unit must be busy to serve its ops once an iteration of each block."""
    served = {unit: sum(op.occupancy for op in schedule.problem.ops if op.unit == unit) for unit in found.utilization}
    capacity = schedule.problem.limits.units
    return {unit: blocks * served[unit] / capacity[unit] / found.ii if found.ii else 0.0 for unit in served}


@pytest.mark.parametrize("variant", [v for v in VARIANTS if "fp16" in v.name], ids=lambda variant: variant.name)
def test_a_shipped_kernel_keeps_the_bounds(variant):
    about = subject(files.read(schedule_path(variant)), {})
    assert about.kernel is not None
    for found in (simulate(about.schedule, EXACT, kernel=about.kernel), simulate(about.schedule, EXACT)):
        assert found.sm_ii >= least(about.schedule.problem)
        assert found.utilization == pytest.approx(busy_for(found, about.schedule, found.blocks))
        assert max(found.utilization.values()) <= 1


@settings(max_examples=20, deadline=None, derandomize=True)
@given(problems("rings"))
def test_a_random_loop_keeps_the_bounds(given):
    schedule = solve(given, time_limit=5)
    if not schedule.placements:
        return
    found = simulate(schedule, EXACT)
    assert float(least(given)) - 1e-9 <= found.ii <= schedule.ii
    assert found.utilization == pytest.approx(busy_for(found, schedule, 1))
    late = simulate(schedule, LoadLatency(0.5), seeds=1)
    assert late.utilization == pytest.approx(busy_for(late, schedule, 1))
    assert all(share <= 1 for each in (found, late) for share in each.utilization.values())


def test_the_figure_that_is_told_is_that_of_the_kernel():
    """Where the emitted kernel's interval is longer than the schedule's, the prediction is the lower one."""
    (variant,) = [each for each in VARIANTS if each.name == "attention_d64_causal_fp16"]
    about = subject(files.read(schedule_path(variant)), {"M": "8192", "N": "8192", "H": "33"})
    simulation = about.simulate()
    told, planned = about.predict(simulation), about.predict(simulate(about.schedule))
    assert told is not None
    assert planned is not None
    assert simulation.sm_ii >= about.schedule.ii
    assert told.steady_tflops <= planned.steady_tflops
    assert told.seconds >= planned.seconds
    # 4 x 128 x 128 x 64 FLOP an iteration of 128 rows and 128 keys, on 132 SMs at 1755 MHz
    assert told.steady_tflops == pytest.approx(4 * 128 * 128 * 64 / simulation.sm_ii * 132 * 1.755e9 / 1e12, rel=1e-3)

"""The simulated machine: hand-solved runs, and that no run is ever later than the schedule it runs."""

from dataclasses import replace
from pathlib import Path

import pytest

from twill import problems
from twill.errors import CheckFailed, InputError
from twill.schedule import files
from twill.schedule.loads import unit_loads
from twill.schedule.problem import Dep, Limits, Op, Problem
from twill.schedule.schedule import Group, Placement, Schedule
from twill.simulate import LoadLatency, run, simulate
from twill.simulate.measure import interval

SCHEDULES = sorted((Path(__file__).parents[2] / "schedules" / "hopper").glob("*.json"))
EXACT = LoadLatency(0.0)


def scheduled(ops, deps, places, ii, rings=(), units=None, **limits):
    """A schedule of `ops` on two groups of four warps, at {id: (start, group)}."""
    problem = Problem(
        "loop", Limits(units or {"TMA": 1, "TC": 1, "ALU": 1}, 10**6, **limits), tuple(ops), tuple(deps), 64
    )
    placements = {id: Placement(start // ii, start % ii, (group,)) for id, (start, group) in places.items()}
    length = max(places[op.id][0] + op.completion for op in ops)
    groups = (Group(1, 24, True), Group(4, 200))
    return Schedule(problem, "feasible", ii, 1, "", length, placements, dict(rings), groups)


def load_and_use(depth=2, ii=100, hop=10):
    """A load of 300 cycles, 100 of them on its unit, read by an op of 60 cycles in another group."""
    ops = [Op("load", "TMA", 100, 10, 300, smem_bytes=64, variable_latency=True), Op("use", "ALU", 60, 60, 60)]
    places = {"load": (0, 0), "use": (310, 1)}
    return scheduled(ops, [Dep("load", "use", 0, 300, True)], places, ii, {"load": depth}, signal_hop=hop)


def lateness(found):
    """By how many cycles anything began later than the schedule says, at most."""
    made = found.schedule
    return max(
        began - iteration * made.ii - made.start(op.id)
        for iteration, row in enumerate(found.began)
        for op, began in zip(made.problem.ops, row, strict=True)
    )


def test_times_of_a_load_and_its_use():
    found = run(load_and_use(depth=4), 3, EXACT)
    # Loads follow each other on the unit; each use is 300 + 10 later.
    assert found.began == ((0, 310), (100, 410), (200, 510))
    assert found.issued == ((0, 310), (10, 410), (20, 510))
    assert found.ended == ((300, 370), (400, 470), (500, 570))


def test_a_shallow_ring_makes_the_producer_wait():
    """One slot: the next load comes when the last was read, 310 + 60 cycles later."""
    found = simulate(load_and_use(depth=1, ii=370), EXACT)
    assert found.ii == 370
    assert any(wait.group == 0 and wait.cause == "a free slot of load, which use reads" for wait in found.stalls)
    assert simulate(load_and_use(depth=2, ii=185), EXACT).ii == 185


def test_a_unit_serves_its_capacity_at_a_time():
    ops = [Op("a", "ALU", 50, 50, 50), Op("b", "ALU", 50, 50, 50)]
    one = scheduled(ops, [], {"a": (0, 0), "b": (50, 1)}, 100)
    two = scheduled(ops, [], {"a": (0, 0), "b": (0, 1)}, 50, units={"ALU": 2})
    assert run(one, 1, EXACT).began == ((0, 50),)
    assert run(two, 1, EXACT).began == ((0, 0),)
    assert simulate(one, EXACT).utilization == {"ALU": 1.0}


def test_a_wait_stops_the_stream():
    """`other` needs nothing, but comes after `use` in its stream."""
    made = load_and_use(depth=4)
    ops = (*made.problem.ops, Op("other", "TC", 5, 5, 5))
    placements = {**made.placements, "other": Placement(3, 80, (1,))}
    made = replace(made, problem=replace(made.problem, ops=ops), placements=placements)
    assert run(made, 1, EXACT).began == ((0, 310, 370),)


@pytest.mark.parametrize("hop", [0, 25])
def test_hops_are_paid_between_groups(hop):
    assert run(load_and_use(hop=hop), 1, EXACT).began[0][1] == 300 + hop


@pytest.mark.parametrize("path", SCHEDULES, ids=lambda path: path.stem)
def test_shipped_schedules_reach_their_interval(path):
    schedule = files.read(path).schedule
    found = simulate(schedule, EXACT)
    assert found.ii <= schedule.ii
    assert found.ii >= unit_loads(schedule.problem)[0].res_mii
    assert lateness(found.first) <= 0
    assert found.late == ()


QUICK = [n for n in problems.names() if problems.answer(n).status == "optimal" and problems.answer(n).seconds <= 5]
LONG = [n for n in problems.names() if problems.answer(n).status == "optimal" and n not in QUICK]


def reaches(name, seconds):
    from twill.solve import solve

    schedule = solve(problems.load(name), time_limit=seconds)
    found = simulate(schedule, EXACT)
    assert found.ii <= schedule.ii
    assert lateness(found.first) <= 0


@pytest.mark.parametrize("name", QUICK)
def test_library_problems_reach_their_interval(name):
    reaches(name, 20)


@pytest.mark.slow
@pytest.mark.parametrize("name", LONG)
def test_long_library_problems_reach_their_interval(name):
    reaches(name, problems.answer(name).seconds)


@pytest.mark.parametrize("name", ["attention_d128_fp16", "matmul_fp16"])
def test_a_slow_tma_shows_as_waits(name):
    schedule = files.read(SCHEDULES[0].parent / f"{name}.json").schedule
    slow = simulate(schedule, LoadLatency(0.0, 2.0))
    loads = {op.id for op in schedule.problem.ops if op.variable_latency}
    assert slow.ii > 1.4 * schedule.ii
    assert slow.late[0].cycles > 100
    consumers = [stall for stall in slow.late if stall.group != 0]
    assert any(stall.cause in loads for stall in consumers)


def test_spread_is_drawn_from_the_seed():
    schedule = load_and_use(depth=3, ii=125)
    first, again, other = (run(schedule, 50, LoadLatency(0.5), seed) for seed in (1, 1, 2))
    assert first == again
    assert first.began != other.began
    found = simulate(schedule, LoadLatency(0.5))
    assert len(found.intervals) == 5
    assert found.spread > 0
    assert found.ii > simulate(schedule, EXACT).ii
    assert any(stall.cause == "load" for stall in found.late)


def test_a_longer_period_is_averaged_exactly():
    """Two slots and a life of 370: iterations end in pairs, 185 apart on average."""
    found = run(load_and_use(depth=2, ii=185), 200, EXACT)
    steps = {later[1] - sooner[1] for sooner, later in zip(found.began[9:], found.began[10:], strict=False)}
    assert steps == {100, 270}
    assert interval(found, 64) == 185


def test_a_schedule_that_cannot_run_is_said_so():
    """Each op waits for the other, in the same iteration."""
    ops = [Op("a", "ALU", 5, 5, 5), Op("b", "TC", 5, 5, 5)]
    made = scheduled(ops, [Dep("a", "b", 0, 5), Dep("b", "a", 1, 5)], {"a": (0, 0), "b": (5, 1)}, 10)
    assert run(made, 2, EXACT).began == ((0, 5), (10, 15))
    backwards = replace(made, placements={"a": Placement(0, 5, (1,)), "b": Placement(0, 0, (1,))})
    with pytest.raises(CheckFailed, match="stops: groups wait at b"):
        run(backwards, 2, EXACT)


@pytest.mark.parametrize("wrong", [{"spread": -1}, {"spread": float("nan")}, {"slowdown": 0}, {"slowdown": -2}])
def test_latencies_that_make_no_sense_are_refused(wrong):
    with pytest.raises(InputError, match="must be"):
        LoadLatency(**wrong)

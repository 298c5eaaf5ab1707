"""The generator: the same loop for the same seed, of the asked size, feasible, and like the kernels that ship."""

from collections import Counter

import pytest

from benchmarks.random_loops import colocated_loop, random_loop, witness
from twill.errors import InputError
from twill.schedule.checker import check
from twill.schedule.critical import critical_cycle
from twill.schedule.graph_file import problem_from_json, problem_json
from twill.schedule.loads import unit_loads

SIZES = (5, 10, 20, 40, 60, 80, 100, 150, 200)
SEEDS = range(6)


@pytest.fixture(scope="module")
def loops():
    return [random_loop(ops, seed) for ops in SIZES for seed in SEEDS]


def test_the_same_seed_gives_the_same_loop(loops):
    assert [random_loop(ops, seed) for ops in SIZES[:5] for seed in SEEDS] == loops[: 5 * len(SEEDS)]
    assert random_loop(40, 0).ops != random_loop(40, 1).ops


def test_sizes_are_exact(loops):
    assert [len(loop.ops) for loop in loops] == [ops for ops in SIZES for _ in SEEDS]
    with pytest.raises(InputError, match="at least 5"):
        random_loop(4, 0)


def test_every_loop_has_a_schedule(loops):
    for loop in loops:
        assert check(witness(loop)) == (), loop.name


def test_so_has_every_loop_kept_by_sub_tile():
    for ops in SIZES:
        loop = colocated_loop(ops, 1)
        assert check(witness(loop)) == (), loop.name
        tiles = {op.subtile for op in loop.ops if op.subtile is not None}
        assert len(loop.colocate) == len(tiles)
        free = {op.id for op in loop.ops} - {id for ids in loop.colocate for id in ids}
        assert all(loop.op(id).variable_latency for id in free)


def test_they_are_graph_files(loops):
    for loop in loops[::5]:
        assert problem_from_json(problem_json(loop), "test") == loop


def test_ops_by_unit(loops):
    """TC 24%, ALU 53%, SFU 10%, TMA 13% in schedules/hopper; within a third of it, in loops of 20 ops or more."""
    units = Counter(op.unit for loop in loops if len(loop.ops) >= 20 for op in loop.ops)
    share = {unit: count / units.total() for unit, count in units.items()}
    for unit, there in {"TC": 0.24, "ALU": 0.53, "SFU": 0.10, "TMA": 0.13}.items():
        assert share[unit] == pytest.approx(there, rel=1 / 3), unit


def test_dependences(loops):
    large = [loop for loop in loops if len(loop.ops) >= 20]
    ops, deps = sum(len(loop.ops) for loop in large), [dep for loop in large for dep in loop.deps]
    assert 1.2 <= len(deps) / ops <= 1.6
    assert 0.25 <= sum(dep.blocking for dep in deps) / len(deps) <= 0.67
    assert 0.19 <= sum(dep.in_place for dep in deps) / len(deps) <= 0.33
    # Unrolling carries values within the iteration that the small kernels carry between iterations.
    assert 0.02 <= sum(dep.distance > 0 for dep in deps) / len(deps) <= 0.33
    fan = Counter(sum(dep.src == op.id for dep in loop.deps) for loop in large for op in loop.ops)
    assert 0.6 <= fan[1] / ops <= 0.8
    assert max(fan) <= 12


def test_iterations_overlap_as_deep_as_in_the_kernels(loops):
    """The witness takes 1.9 to 3.3 times the bound for the kernels in schedules/hopper."""
    depths = []
    for loop in loops:
        cycle = critical_cycle(loop)
        depths.append(witness(loop).ii / max(unit_loads(loop)[0].res_mii, cycle.rec_mii if cycle else 0))
    depths.sort()
    assert 1.9 <= depths[len(depths) // 2] <= 3.3
    assert depths[-1] <= 6


def test_some_loops_are_tight(loops):
    """Registers or memory within a quarter of what the witness takes, where the machine has more."""
    registers = memory = 0
    for loop in loops:
        held = max(group.registers for group in witness(loop).groups)
        registers += loop.limits.registers_per_thread <= 1.25 * held + 8
        rings = sum(op.smem_bytes for op in loop.ops)
        memory += loop.limits.smem_bytes <= 1.8 * rings
    assert 0.1 <= registers / len(loops) <= 0.5
    assert 0.1 <= memory / len(loops) <= 0.5

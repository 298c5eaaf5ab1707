"""Programs of several tiles: what they move, and how long they take, beside programs of one tile each."""

from dataclasses import replace

import pytest

from twill.candidates.work import work_of
from twill.codegen.plan import plan
from twill.machine import load
from twill.simulate import LoadLatency, simulate
from twill.simulate.engine import execute
from twill.simulate.from_plan import plan_program
from twill.simulate.kernel import kernel_of
from twill.simulate.predict import predict
from twill.simulate.traffic import traffic

from .test_prediction import kernel

SIZES = {"M": 4096, "N": 4096, "K": 512}  # 32 x 16 tiles, of 8 iterations
EXACT = LoadLatency(0.0)


@pytest.fixture(scope="module")
def persistent():
    schedule, graph, launch = kernel("matmul_persistent_fp16")
    made = kernel_of(graph, schedule, launch, load("hopper"))
    return graph, launch, simulate(schedule, EXACT, 1, kernel=made)


def test_traffic_is_that_of_one_tile_a_program(persistent):
    graph, launch, _ = persistent
    _, single, example = kernel("matmul_fp16")
    stays = traffic(graph, launch.with_values({**SIZES, "programs": 132}))
    goes = traffic(single, example.with_values(SIZES))
    assert (stays.programs, goes.programs) == (132, 512)
    # 512 = 3 x 132 + 116: the first 116 programs have a fourth tile.
    assert [len(tiles) for tiles in stays.tiles] == [4] * 116 + [3] * 16
    assert sum(stays.trips) == sum(goes.trips) == 512 * 8
    assert stays.flop == goes.flop
    assert stays.l2_bytes == goes.l2_bytes
    assert (stays.load_bytes, stays.store_bytes) == (goes.load_bytes, goes.store_bytes)


def test_tiles_in_groups_of_rows_read_less_a_wave(persistent):
    graph, launch, _ = persistent
    _, single, example = kernel("matmul_fp16")
    stays = traffic(graph, launch.with_values({**SIZES, "programs": 128}))
    goes = traffic(single, example.with_values(SIZES))
    # 128 tiles at a time: 8 rows by 16 columns of tiles against 32 by 4.
    once = {tensor.name: tensor.own_bytes for tensor in goes.tensors} | {"bias": 4 * 4096}
    wave = once["a"] * 8 // 32 + once["b"] + once["bias"]
    assert stays.hbm_bytes(128, 0) == 4 * wave + once["c"]
    wave = once["a"] + (once["b"] + once["bias"]) * 4 // 16
    assert goes.hbm_bytes(128, 0) == 4 * wave + once["c"]


def test_another_tile_costs_less_than_the_first(persistent):
    _, _, simulation = persistent
    one, four = simulation.tiles_cycles((8,)), simulation.tiles_cycles((8,) * 4)
    assert one == simulation.cycles(8)
    added = (four - one) / 3
    # At least what its loads take; less than a whole program, by the latency of the first load and more.
    assert 8 * simulation.schedule.ii <= added < one - 1000
    assert simulation.tiles_cycles(()) == 0.0
    long = simulation.tiles_cycles((100, 100)) - simulation.tiles_cycles((100,))
    assert long == pytest.approx(added + (100 - 8) * simulation.ii, rel=0.02)


def test_the_launch_is_predicted_to_take_less_time(persistent):
    graph, launch, simulation = persistent
    machine = load("hopper")
    schedule, single, example = kernel("matmul_fp16")
    alone = simulate(schedule, EXACT, 1, kernel=kernel_of(single, schedule, example, machine))
    stays = predict(simulation, graph, launch.with_values({**SIZES, "programs": 132}), machine)
    goes = predict(alone, single, example.with_values(SIZES), machine)
    assert (stays.waves, goes.waves) == (1, 4)
    assert stays.iterations == goes.iterations
    assert 0.7 * goes.seconds < stays.seconds < 0.9 * goes.seconds


def test_the_loader_runs_ahead_into_the_next_tile(persistent):
    graph, launch, simulation = persistent
    made = plan(graph, simulation.schedule, launch)
    run = execute(plan_program(made, load("hopper"), 4, EXACT, tiles=2), EXACT)
    assert run.iterations == 8
    loads = [at for at, op in enumerate(run.schedule.problem.ops) if op.unit == "TMA"]
    mmas = [at for at, op in enumerate(run.schedule.problem.ops) if op.unit == "TC"]
    # The next tile's first loads are there before the first of this tile's epilogue could have ended.
    assert max(run.ended[4][at] for at in loads) < min(run.ended[4][at] for at in mmas) - 1000


def test_work_is_counted_in_tiles(persistent):
    graph, launch, _ = persistent
    work = work_of(graph, launch.with_values({**SIZES, "programs": 132}))
    assert (work.programs, work.active, work.iterations, work.longest) == (512, 512, 512 * 8, 8)
    assert work_of(graph, replace(launch, grid=None)).programs == 1

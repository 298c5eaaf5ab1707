"""Systematic exploration: what it covers, what it prunes, what it finds, and that what it finds replays."""

import itertools
import json
import re

import pytest
import torch

from tests.commands import answer, twill
from tests.emulate.running import MATMUL, module
from tests.emulate.test_replay import copied
from twill import emulate
from twill.emulate import EmulationError, blocks
from twill.emulate.explore import explore
from twill.emulate.guided import Guided, Path
from twill.emulate.interleavings import explore_file, replay_file
from twill.errors import InputError
from twill.shipped import kernels_folder

TWO_ROLES = """
@gluon.jit
def left(out, tile, ready):
    tile.store(gl.full([64, 64], 1.0, gl.float16, WIDE))
    mbarrier.arrive(ready)


@gluon.jit
def right(out, tile, ready):
    mbarrier.wait(ready, 0)
    x = tile.load(WIDE)
    tile.store(x)


@gluon.jit
def k(out):
    tile = gl.allocate_shared_memory(gl.float16, [64, 64], TILE)
    ready = gl.allocate_shared_memory(gl.int64, [1], BARRIER)
    mbarrier.init(ready, count=1)
    gl.warp_specialize([(left, (out, tile, ready)), (right, (out, tile, ready))], [4], [24])
"""


def exploring(loaded, launch, bound, max_runs=10_000):
    """Explore `launch()` of a loaded module; (exploration, the number of runs that began)."""
    begun = []

    def once(guided):
        begun.append(guided.path)
        loaded.emulator.adversary = guided
        try:
            launch()
        except EmulationError as error:
            return error
        return None

    return explore(once, bound, max_runs), begun


def two_roles(tmp_path, text=TWO_ROLES):
    loaded = module(tmp_path, text)
    return loaded, lambda: loaded.k[(1,)](torch.zeros(64), num_warps=4)


def test_small_kernels_are_covered_whole(tmp_path):
    found, begun = exploring(*two_roles(tmp_path), bound=50)
    assert found.exhausted
    assert found.complete
    assert found.failure is None
    assert found.runs == len(begun) == len(set(begun))
    assert found.interleavings >= 2


def test_a_run_that_is_ordered_answers_for_all(tmp_path):
    found, begun = exploring(*two_roles(tmp_path), bound=0)
    assert begun == [Path("late"), Path("early")]
    assert found.exhausted
    assert found.complete
    assert found.unordered is None


HARMLESS = """
@gluon.jit
def left(bar):
    mbarrier.arrive(bar)
    mbarrier.arrive(bar)


@gluon.jit
def right(bar):
    mbarrier.arrive(bar)
    mbarrier.arrive(bar)


@gluon.jit
def k(out):
    bar = gl.allocate_shared_memory(gl.int64, [1], BARRIER)
    mbarrier.init(bar, count=3)
    gl.warp_specialize([(left, (bar,)), (right, (bar,))], [4], [24])
"""


def test_where_the_order_may_matter_the_bound_decides(tmp_path):
    """The fourth arrival falls into the next phase, and any of the last two may be it."""
    found, begun = exploring(*two_roles(tmp_path, HARMLESS), bound=0)
    assert begun == [Path("late"), Path("early")]
    assert found.exhausted
    assert not found.complete
    assert re.search(
        r"arrive of (left|right) .* on bar: it adds to phase 1, but nothing orders it", str(found.unordered)
    )
    assert exploring(*two_roles(tmp_path, HARMLESS), bound=50)[0].complete


def test_the_runs_end_at_the_limit(tmp_path):
    found, begun = exploring(*two_roles(tmp_path, HARMLESS), bound=5, max_runs=3)
    assert len(begun) == 3
    assert not found.exhausted
    assert not found.complete


INDEPENDENT = """
@gluon.jit
def role(tile):
    tile.store(gl.full([64, 64], 1.0, gl.float16, WIDE))
    tile.store(gl.full([64, 64], 2.0, gl.float16, WIDE))
    tile.store(gl.full([64, 64], 3.0, gl.float16, WIDE))


@gluon.jit
def k(out):
    a = gl.allocate_shared_memory(gl.float16, [64, 64], TILE)
    b = gl.allocate_shared_memory(gl.float16, [64, 64], TILE)
    gl.warp_specialize([(role, (a,)), (role, (b,))], [4], [24])
"""


def test_orders_of_independent_moves_count_once(tmp_path):
    """Two roles of three stores (and a start) each have C(8, 4) = 70 orders, all of them one and the same."""
    found, _ = exploring(*two_roles(tmp_path, INDEPENDENT), bound=50)
    assert found.complete
    assert found.interleavings == 2
    dependent = INDEPENDENT.replace("(role, (b,))", "(role, (a,))")
    race, _ = exploring(*two_roles(tmp_path, dependent), bound=50)
    assert race.failure.kind == "race"


PARITY = """
@gluon.jit
def signals(slow, fast):
    mbarrier.arrive(fast)
    mbarrier.arrive(fast)


@gluon.jit
def waits(slow, fast):
    mbarrier.wait(fast, 0)


@gluon.jit
def k(out):
    slow = gl.allocate_shared_memory(gl.int64, [1], BARRIER)
    fast = gl.allocate_shared_memory(gl.int64, [1], BARRIER)
    mbarrier.init(slow, count=1)
    mbarrier.init(fast, count=1)
    gl.warp_specialize([(signals, (slow, fast)), (waits, (slow, fast))], [4], [24])
"""


def test_a_deadlock_of_some_orders_only_is_found_and_replays(tmp_path):
    """The waiter sleeps for ever when both phases pass before it looks: only in some interleavings."""
    loaded, launch = two_roles(tmp_path, PARITY)
    seeds = set()
    for seed in range(30):
        loaded.emulator.seed = seed
        try:
            launch()
            seeds.add("ends")
        except emulate.Deadlock:
            seeds.add("deadlock")
    assert seeds == {"ends", "deadlock"}
    found, _ = exploring(loaded, launch, bound=1)
    assert isinstance(found.failure, emulate.Deadlock)
    loaded.emulator.adversary = Guided(Path.parse(str(found.path)))
    with pytest.raises(emulate.Deadlock) as caught:
        launch()
    assert str(caught.value) == str(found.failure)


def test_pruning_loses_no_outcome(tmp_path):
    """Outcomes over all paths of one deviation, each run whole, are those that the pruned search can reach."""
    loaded, launch = two_roles(tmp_path, PARITY)
    outcomes = set()
    for order, step, alternative in itertools.product(("late", "early"), range(14), (1, 2)):
        loaded.emulator.adversary = Guided(Path(order, ((step, alternative),)))
        try:
            launch()
            outcomes.add("ends")
        except emulate.Deadlock:
            outcomes.add("deadlock")
        except InputError:  # there is no such move at this step
            continue
    assert outcomes == {"ends", "deadlock"}


def test_a_shipped_kernel_is_explored(tmp_path):
    right = copied(tmp_path, lambda text: text)
    report, again = (explore_file(right, 1, trip_counts=(0,), max_runs=500) for _ in range(2))
    assert report.passed
    assert report.exhausted
    assert "they answer for every interleaving at trip counts 0" in report.summary()
    assert "at most 2 of 4 thread blocks looked at, 1 with moves of their own" in report.summary()
    assert all(each.run.programs == 1 for each in report.found)
    assert [each.exploration.runs for each in report.found] == [each.exploration.runs for each in again.found] == [2]
    cut = explore_file(right, 3, trip_counts=(1,), max_runs=1)
    assert "bound of 3 NOT exhausted for trip counts 1 (raise --max-runs)" in cut.summary()
    json.dumps(cut.data(), allow_nan=False)


@pytest.mark.parametrize("kernel", ["matmul_bf16", "attention_d128_causal_bf16"])
def test_every_interleaving_of_shipped_kernels_is_covered(kernel):
    report = explore_file(kernels_folder() / "generated" / "hopper" / f"{kernel}.py", 0, trip_counts=(0, 2, 3))
    assert report.passed
    assert all(each.exploration.complete for each in report.found), report.summary()
    assert sum(each.exploration.runs for each in report.found) == 2 * len(report.found)
    json.dumps(report.data(), allow_nan=False)


def test_blocks_that_make_other_moves_are_explored_each():
    """Causal attention: the first blocks have fewer keys than the last."""
    causal = kernels_folder() / "generated" / "hopper" / "attention_d128_causal_bf16.py"
    report = explore_file(causal, 0, trip_counts=(3,))
    assert len(report.found) >= 2
    looked = [block for each in report.found for block in each.alike]
    assert len(looked) == len(set(looked)) <= 6
    steps = {each.run.steps for each in report.found}
    assert len(steps) == len(report.found)


def test_blocks_that_stand_for_the_others():
    counts = {(0, 0, 0): 2, (1, 0, 0): 1, (2, 0, 0): 2, (0, 1, 0): 1, (1, 1, 0): 2, (2, 1, 0): 3}
    assert blocks.first(counts) == (0, 1, 0)
    assert blocks.candidates(counts, 9) == ((0, 1, 0), (1, 0, 0), (0, 0, 0), (2, 0, 0), (2, 1, 0))
    assert blocks.candidates(counts, 2) == ((0, 1, 0), (2, 1, 0))
    assert blocks.candidates({(0, 0, 0): 4}, 2) == ((0, 0, 0),)


def test_explore_on_the_command_line(tmp_path):
    wait = re.compile(r"mbarrier\.wait\(a_tile_1_ring_full[^\n]*")
    racy = copied(tmp_path, lambda text: wait.sub("pass", text))
    options = ("--no-machine-code", "--seeds", "1", "--trips", "1", "--explore", "1")
    data = answer("verify", racy, *options, code=1)
    explored = next(check for check in data["checks"] if check["name"] == "explore")
    assert explored["status"] == "failed"
    name = explored["data"]["trip_counts"][0]["replay"]
    assert re.fullmatch(r"late.*/\d+\.\d+\.\d+@1", name)
    shown = replay_file(racy, name)
    assert shown.run.failure.as_dict() == explored["data"]["trip_counts"][0]["failure"]
    assert "race on a_tile_1_ring" in twill("verify", racy, "--replay", name, code=1).stderr
    assert "no list of trip counts" in twill("verify", racy, "--trips", "1,a", code=2).output


def test_the_fixture_of_a_matmul_is_complete_at_two_deviations():
    loaded = emulate.load(MATMUL)
    a, b = torch.ones(64, 64).bfloat16(), torch.ones(64, 64).bfloat16()
    c = torch.zeros(64, 64).bfloat16()
    found, _ = exploring(loaded, lambda: loaded.launch(a, b, c, 1, DEPTH=1), bound=2, max_runs=1500)
    assert found.failure is None
    assert found.exhausted

"""Emitted kernels run on the model: waits and releases where the plan has them, what is around the loop, occupancy."""

from dataclasses import replace
from pathlib import Path

import pytest

from twill.codegen.statements import Arrive, Comment, For, If, MmaWait, Wait
from twill.errors import CheckFailed
from twill.frontend.launch import from_json
from twill.ir.parser import parse_graph
from twill.machine import load
from twill.schedule import files
from twill.simulate import LoadLatency, simulate
from twill.simulate.engine import execute
from twill.simulate.from_plan import plan_program
from twill.simulate.kernel import Kernel, kernel_of, occupancy

FOLDER = Path(__file__).parents[2] / "schedules" / "hopper"
EXACT = LoadLatency(0.0)
HOPPER = load("hopper")


def kernel(name):
    stored = files.read(FOLDER / f"{name}.json")
    found = kernel_of(parse_graph(stored.graph), stored.schedule, from_json(stored.launch), HOPPER)
    assert isinstance(found, Kernel)
    return found


@pytest.fixture(scope="module")
def attention():
    return kernel("attention_d128_fp16")


def ran(plan, iterations, blocks=1, latency=EXACT):
    return execute(plan_program(plan, HOPPER, iterations, latency, blocks), latency)


def times(run, id, iteration):
    """(issued, began, ended) of an op."""
    n = next(n for n, op in enumerate(run.schedule.problem.ops) if op.id == id)
    return run.issued[iteration][n], run.began[iteration][n], run.ended[iteration][n]


def without(statements, drop):
    """The statements without those that `drop` says, in loops and branches too."""
    kept = []
    for each in statements:
        if isinstance(each, For):
            each = replace(each, body=without(each.body, drop))
        elif isinstance(each, If):
            each = replace(each, then=without(each.then, drop), orelse=without(each.orelse, drop))
        if not drop(each):
            kept.append(each)
    return tuple(kept)


def changed(plan, drop):
    return replace(plan, roles=tuple(replace(role, body=without(role.body, drop)) for role in plan.roles))


def test_the_first_product_by_hand(attention):
    """Two 64x128 tiles of q, then K: 16384 B at 34.6 B a cycle are 474 cycles, 32768 B 948; they land 649 later.

    One signal of 92 cycles later the first product is issued, 24 cycles long, and the second a signal after that.
    """
    run = ran(attention.plan, 4)
    loads = [piece for piece in run.pieces if piece.unit == "TMA"]
    assert [(each.began, each.ended) for each in loads] == [(0, 474 + 649), (474, 474 + 474 + 649)]
    assert times(run, "k_tile", 0)[1:] == (948, 948 + 948 + 649)
    landed = 948 + 948 + 649 + 92
    assert times(run, "s.0", 0) == (landed, landed, landed + 512 + 60)
    assert times(run, "s.1", 0) == (landed + 24 + 92, landed + 512, landed + 2 * 512 + 60)


def test_the_code_after_the_loop_by_hand(attention):
    """A division of 8192 elements is 512 cycles of MUFU and 192 of fp32, a TMA store of 16 KiB 130 + 16 x 52."""
    run = ran(attention.plan, 4)
    after = {piece.name: piece for piece in run.pieces if piece.group == 1 and piece.issued > times(run, "acc.0", 3)[1]}
    done = times(run, "acc.0", 3)[2]
    assert after["div"].issued == done
    assert (after["div"].busy, after["div"].ended - after["div"].began) == (512, 512 + 192 + 20 + 20)
    assert after["StoreTile"].busy == 16384 / 128
    assert after["TmaStore"].ended - after["TmaStore"].began == 130 + 16 * 52
    assert run.cycles == max(piece.ended for piece in run.pieces)


def test_no_iteration_is_the_code_around_the_loop(attention):
    run = ran(attention.plan, 0)
    assert run.began == ()
    assert {piece.name for piece in run.pieces} >= {"q_tile_0_smem", "div", "TmaStore"}
    assert run.cycles < ran(attention.plan, 1).cycles


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*fp16.json")), ids=lambda path: path.stem)
def test_shipped_kernels_run_to_their_end(path):
    one = kernel(path.stem)
    for iterations in (1, 2, 3, 5):
        ran(one.plan, iterations)
    found = simulate(one.plan.schedule, EXACT, kernel=one)
    busiest = max(
        sum(op.occupancy for op in one.plan.schedule.problem.ops if op.unit == unit) for unit in ("TC", "TMA", "ALU")
    )
    assert found.ii >= busiest
    assert found.cycles(40) == pytest.approx(ran(one.plan, 40).cycles, rel=0.02)


def test_attention_reaches_the_interval_of_its_schedule(attention):
    assert simulate(attention.plan.schedule, EXACT, kernel=attention).ii == attention.plan.schedule.ii


def test_a_wait_for_every_product_costs(attention):
    """At isolation 3 every MMA is waited for at once: no overlap with the softmax of the same group."""
    schedule = attention.plan.schedule
    apart = replace(schedule, provenance={**schedule.provenance, "isolation": 3})
    stored = files.read(FOLDER / "attention_d128_fp16.json")
    slower = kernel_of(parse_graph(stored.graph), apart, from_json(stored.launch), HOPPER)
    assert simulate(schedule, EXACT, kernel=slower).ii > 1.1 * schedule.ii


def test_a_ring_that_nobody_gives_back_stops_the_loader(attention):
    plan = changed(attention.plan, lambda each: isinstance(each, Arrive) and each.barrier.name == "k_tile_ring_empty")
    ran(plan, 2)  # a ring of two slots
    with pytest.raises(CheckFailed, match="k_tile waits for iteration 0 of barrier k_tile_ring_empty, which nobody"):
        ran(plan, 3)


def test_turns_keep_the_order_of_the_tensor_core(attention):
    free = changed(attention.plan, lambda each: isinstance(each, Wait) and each.barrier.name.startswith("turn"))
    ordered, unordered = ran(attention.plan, 12), ran(free, 12)
    assert times(ordered, "s.1", 0)[0] == times(ordered, "s.0", 0)[0] + 24 + 92
    assert times(unordered, "s.1", 0)[0] == times(unordered, "s.0", 0)[0]


def test_without_waits_for_products_nothing_stops(attention):
    """The waits for MMAs are those of the statements, not only those of the dependences."""
    plan = changed(attention.plan, lambda each: isinstance(each, MmaWait))
    assert ran(plan, 12).cycles < ran(attention.plan, 12).cycles


def test_blocks_share_the_units(attention):
    """The tensor core is full with one block, so two take twice as long; each has its own barriers."""
    one, two = ran(attention.plan, 32), ran(attention.plan, 32, blocks=2)
    assert 1.8 < two.blocks_end / one.blocks_end < 2.05
    assert one.blocks_end == one.cycles
    assert two.cycles <= two.blocks_end


def test_occupancy_by_hand(attention):
    """k: 2 x 32768, v: 3 x 32768, two q tiles and two staging tiles of 16384, 1024 for barriers.

    Two groups of 128 threads with 240 registers and a warp of 24 that counts as four.
    """
    found = occupancy(attention.plan, HOPPER)
    assert found.smem_bytes == 5 * 32768 + 4 * 16384 + 1024
    assert found.registers == 2 * 128 * 240 + 128 * 24
    assert (found.blocks, found.warps, found.limit) == (1, 12, "shared memory")


@pytest.mark.parametrize(
    ("facts", "blocks", "limit"),
    [
        ({"sm_smem_bytes": 10**6}, 1, "registers"),
        ({"sm_smem_bytes": 10**6, "register_file": 10**6}, 4, "shared memory"),
        ({"sm_smem_bytes": 10**7, "register_file": 10**7}, 5, "warps"),
        ({"sm_smem_bytes": 10**7, "register_file": 10**7, "sm_blocks": 3}, 3, "blocks"),
    ],
)
def test_what_limits_the_blocks(attention, facts, blocks, limit):
    larger = {key: replace(HOPPER.facts[key], value=value) for key, value in facts.items()}
    found = occupancy(attention.plan, replace(HOPPER, facts={**HOPPER.facts, **larger}))
    assert (found.blocks, found.limit) == (blocks, limit)


def test_two_blocks_are_simulated_together(attention):
    pair = replace(attention, occupancy=replace(attention.occupancy, blocks=2))
    found = simulate(attention.plan.schedule, EXACT, kernel=pair)
    assert found.blocks == 2
    assert found.sm_ii == pytest.approx(2048, rel=0.01)
    assert found.utilization["TC"] == pytest.approx(1, rel=0.01)
    assert found.cycles(32, 1) < found.cycles(32, 2)


def test_every_op_of_the_plan_says_its_iteration(attention):
    """The simulator reads ops off the statements' headings."""
    heads = set()

    def walk(statements):
        for each in statements:
            if isinstance(each, Comment) and each.op:
                heads.add(each.op)
            walk(getattr(each, "body", ()))
            walk(getattr(each, "then", ()))

    for role in attention.plan.roles:
        walk(role.body)
    assert heads == {op.id for op in attention.plan.schedule.problem.ops}

"""Plans of the shipped schedules: memory, registers, barriers, and every wait and arrive counted by walking them."""

import re
from collections import Counter
from dataclasses import replace

import pytest

from twill.codegen.plan import ISOLATION, plan
from twill.codegen.statements import Arrive, AsyncCopy, For, If, Iteration, Mma, MmaWait, Tiles, TmaLoad, Wait
from twill.errors import Unsupported
from twill.forms import simulated
from twill.frontend.launch import from_json
from twill.ir.graph import DTYPE_BITS
from twill.ir.text import parse_graph
from twill.machine import load, static_buffers
from twill.schedule import files
from twill.shipped import VARIANTS, schedule_path

NAMES = [variant.name for variant in VARIANTS]
REGISTER_FILE = 65_536


def stored(name):
    """(graph text, schedule, launch) of a shipped variant."""
    (variant,) = [variant for variant in VARIANTS if variant.name == name]
    file = files.read(schedule_path(variant))
    return file.graph, file.schedule, from_json(file.launch)


def planned(name, **options):
    text, schedule, launch = stored(name)
    return plan(parse_graph(text), schedule, launch, **options)


def nbytes(buffer):
    size = DTYPE_BITS[buffer.dtype] // 8 * buffer.slots
    for extent in buffer.shape:
        size *= extent
    return size


def events(role, n):
    """The barrier operations of a role over n iterations (of its first tile), in order: (kind, barrier, iteration)."""
    found = []

    def number(at, i):
        return at.offset + {"first": 0, "index": i, "end": n, "tile": 0}[at.base]

    def holds(conditions, i):
        sides = [(number(c.left, i), c.relation, number(c.right, i)) for c in conditions]
        return all(left < right if relation == "<" else left >= right for left, relation, right in sides)

    def run(statements, i=None):
        for s in statements:
            if isinstance(s, If):
                run(s.then if n >= s.at_least else s.orelse, i)
            elif isinstance(s, Tiles):
                run(s.body)
            elif isinstance(s, For):
                for i in range(s.start, n + s.extra):
                    run(s.body, i)
            elif isinstance(s, Wait | Arrive | TmaLoad | AsyncCopy) and holds(s.conditions, i):
                kind = "arrive" if isinstance(s, Arrive) else "load" if isinstance(s, TmaLoad | AsyncCopy) else "wait"
                found.append((kind, s.barrier.name, number(s.barrier.iteration, i)))

    run(role.body)
    return found


@pytest.mark.parametrize("name", NAMES)
def test_roles(name):
    found = planned(name)
    consumers = [role for role in found.roles if not role.producer]
    loaders = ["loader"] if any(op.unit == "TMA" for op in found.schedule.problem.ops) else []
    assert [role.name for role in found.roles] == [f"consumer{k}" for k in range(len(consumers))] + loaders
    for role in found.roles:
        group = found.schedule.groups[role.group]
        assert role.warps == group.warps
        if role.producer:
            assert role.registers == group.registers
        else:
            wanted = group.registers + found.schedule.problem.limits.reserved_registers
            assert role.registers % 8 == 0
            assert wanted <= role.registers < wanted + 8
    assert sum(32 * role.warps * role.registers for role in found.roles) <= REGISTER_FILE
    assert found.threshold == max(role.stages for role in consumers) - 1
    assert list(found.roles[0].parameters) == sorted(found.roles[0].parameters)


@pytest.mark.parametrize("name", NAMES)
def test_shared_memory_is_what_the_problem_counted(name):
    found = planned(name)
    machine = load("hopper")
    static = static_buffers(found.graph, machine)
    barriers = machine.count("barrier_bytes")
    single = sum(nbytes(buffer) for buffer in found.buffers if not buffer.depth)
    # What a store in the loop is staged in counts among the problem's rings.
    staged = sum(op.smem_bytes for op in found.schedule.problem.ops if op.id.startswith("store@"))
    assert single + barriers == sum(buffer.nbytes for buffer in static) + staged
    rings = sum(nbytes(buffer) for buffer in found.buffers if buffer.depth)
    assert rings <= found.schedule.problem.limits.smem_bytes
    assert single + barriers + rings <= machine.count("smem_bytes")
    # 8 bytes a barrier: full and empty of each slot, full of each tile loaded once, one for each token's slot.
    count = sum(buffer.slots * (2 if buffer.depth else 1) for buffer in found.buffers if buffer.filled)
    assert 8 * (count + sum(token.depth for _, token in found.tokens)) <= barriers
    for buffer in found.buffers:
        if buffer.depth:
            assert buffer.depth == found.schedule.rings[buffer.source]


@pytest.mark.parametrize("n", [0, 1, 2, 3, 7])
@pytest.mark.parametrize("isolation", range(len(ISOLATION)))
@pytest.mark.parametrize("name", NAMES[::3] + NAMES[-4:])
def test_every_tile_is_loaded_waited_for_and_given_back_once_an_iteration(name, isolation, n):
    found = planned(name, isolation=isolation)
    counted = {role.name: Counter(events(role, n)) for role in found.roles}
    for buffer in found.buffers:
        if not buffer.filled:
            continue
        iterations = range(n) if buffer.depth else [0]
        readers = {
            role for role, events in counted.items() if any(e[:2] == ("wait", f"{buffer.name}_full") for e in events)
        }
        if buffer.depth and n:
            assert len(readers) == buffer.readers
        for role, events_of in counted.items():
            mine = {event: times for event, times in events_of.items() if event[1].startswith(buffer.name + "_")}
            full, empty = f"{buffer.name}_full", f"{buffer.name}_empty"
            wanted = {}
            if role in readers:
                wanted = {("wait", full, x): 1 for x in iterations}
                wanted |= {("arrive", empty, x): 1 for x in iterations if buffer.depth}
            elif role == "loader":
                wanted = {("load", full, x): 1 for x in iterations}
                wanted |= {("wait", empty, x): 1 for x in iterations if buffer.depth}
            assert mine == wanted, f"{role} and {buffer.name} over {n} iterations"


@pytest.mark.parametrize("n", [1, 2, 3, 7])
@pytest.mark.parametrize("name", NAMES)
def test_waits_come_before_arrives(name, n):
    for role in planned(name).roles:
        log = events(role, n)
        for kind, barrier, x in log:
            if kind == "arrive" and barrier.endswith("_empty"):
                assert log.index(("wait", barrier.replace("_empty", "_full"), x)) < log.index((kind, barrier, x))
            if kind == "load" and ("wait", barrier.replace("_full", "_empty"), x) in log:
                assert log.index(("wait", barrier.replace("_full", "_empty"), x)) < log.index((kind, barrier, x))


@pytest.mark.parametrize("n", range(8))
@pytest.mark.parametrize("name", NAMES)
def test_tokens_are_signalled_each_iteration_and_awaited_where_there_is_a_signal(name, n):
    found = planned(name)
    members = found.schedule.placements
    for token_name, token in found.tokens:
        ran = n >= found.threshold
        for role in found.roles:
            log = [event for event in events(role, n) if event[1] == token_name]
            arrives = [x for kind, _, x in log if kind == "arrive"]
            waits = [x for kind, _, x in log if kind == "wait"]
            assert arrives == (list(range(n)) if ran and role.group in members[token.signaller].groups else [])
            # Iteration x of the waiter waits for x + shift of the signaller, where that exists.
            wanted = [x + token.shift for x in range(n) if 0 <= x + token.shift < n]
            assert waits == (wanted if ran and role.group in members[token.waiter].groups else [])


@pytest.mark.parametrize("name", NAMES)
def test_isolation_leaves_less_in_flight(name):
    def most(statements, in_flight=0):
        worst = 0
        for s in statements:
            if isinstance(s, For | If | Tiles):
                worst = max(worst, most((*s.then, *s.orelse) if isinstance(s, If) else s.body, in_flight))
            elif isinstance(s, Mma):
                in_flight += 1
                worst = max(worst, in_flight)
            elif isinstance(s, MmaWait):
                in_flight = min(in_flight, s.pending)
        return worst

    flights = [max(most(role.body) for role in planned(name, isolation=level).roles) for level in range(len(ISOLATION))]
    assert flights == sorted(flights, reverse=True)
    assert flights[-1] == min(1, flights[0])  # a kernel without MMAs has none in flight


def test_a_value_in_registers_that_changes_groups_is_refused():
    text, schedule, launch = stored("attention_d128_fp16")
    moved = replace(schedule.placements["p_3.0"], groups=schedule.placements["p_3.1"].groups)
    swapped = replace(schedule, placements={**schedule.placements, "p_3.0": moved})
    with pytest.raises(Unsupported, match="computed by another warp group") as caught:
        plan(parse_graph(text), swapped, launch)
    assert "attention.py:" in str(caught.value)


def test_a_result_stored_by_another_group_is_refused():
    text, schedule, launch = stored("matmul_fp16")
    both = {"acc.0": (2,), "acc.1": (1,)}
    placements = {
        id: replace(at, groups=both.get(id, at.groups)) for id, at in schedule.placements.items()
    }  # fmt: skip
    plan(parse_graph(text), replace(schedule, placements=placements), launch)  # a change of names only
    crossed = text.replace("add %acc_out.0, %x_6.0", "add %acc_out.1, %x_6.0")
    with pytest.raises(Unsupported, match="another warp group than the one that stores it"):
        plan(parse_graph(crossed), schedule, launch)


def test_a_loop_that_only_loads_is_refused():
    text, schedule, launch = stored("matmul_fp16")
    groups = tuple(replace(group, producer=True) for group in schedule.groups)
    with pytest.raises(Unsupported, match="only loads"):
        plan(parse_graph(text), replace(schedule, groups=groups), launch)


@pytest.mark.parametrize("where", ["before", "after"])
def test_a_dot_outside_the_loop_is_refused(where):
    text, schedule, launch = stored("attention_d128_fp16")
    dot = "%extra = dot %q_tile.0, %q_tile.0, %zero.0 : f32[64, 128] subtile 0"
    if where == "before":
        # What the loop starts from is a product.
        text = text.replace("  for %n", f"  {dot}\n  for %n", 1)
        text = text.replace("%acc_prev.0: f32[64, 128] from %zero.0", "%acc_prev.0: f32[64, 128] from %extra")
    else:
        text = text.replace("  %div.0 = div %acc_out.0", f"  {dot}\n  %div.0 = div %extra")
    with pytest.raises(Unsupported, match=f"a dot {where} the loop"):
        plan(parse_graph(text), schedule, launch)


@pytest.mark.parametrize("precision", ["ieee", "tf32x3", "bf16x3"])
def test_32_bit_operands_only_as_tf32(precision):
    text, schedule, launch = stored("matmul_fp16")
    wide = re.sub(r"f16\[(64, 64|64, 256)\]", r"f32[\1]", text).replace('"tf32"', f'"{precision}"')
    with pytest.raises(Unsupported, match=f'input_precision="{precision}".*reads them as tf32') as caught:
        plan(parse_graph(wide), schedule, launch)
    assert "matmul.py:61:15" in str(caught.value)
    # It says nothing about narrower operands.
    plan(parse_graph(text.replace('"tf32"', f'"{precision}"')), schedule, launch)


@pytest.mark.parametrize("dtype", ["f32", "f8e4m3", "f8e5m2"])
def test_operands_not_of_16_bits_must_be_contiguous_along_k(dtype):
    text, schedule, launch = stored("matmul_fp16")
    other = re.sub(r"f16\[(64, 64|64, 256)\]", rf"{dtype}[\1]", text)
    with pytest.raises(Unsupported, match="right operand of this dot is not contiguous along K"):
        plan(parse_graph(other), schedule, launch)
    # attention's K is [N, D] transposed, as wgmma wants it; its V is [N, D] and is not.
    text, schedule, launch = stored("attention_d128_fp16")
    other = re.sub(r"f16\[(\d+), 128\]", rf"{dtype}[\1, 128]", text)
    with pytest.raises(Unsupported, match="right operand") as caught:
        plan(parse_graph(other), schedule, launch)
    assert "attention.py:74:15" in str(caught.value)


def test_a_left_operand_in_memory_must_be_contiguous_along_k():
    text, schedule, launch = stored("attention_d128_fp16")
    turned = re.sub(r"f16\[(\d+), 128\]", r"f32[\1, 128]", text)
    # Q loaded as [D, M] and transposed.
    turned = turned.replace(
        'descriptor<f32[64, 128]> at "kernels/attention.py":46', 'descriptor<f32[128, 64]> at "x":46'
    )
    for k in (0, 1):
        load = re.search(rf"  %q_tile\.{k} = descriptor_load .*\n", turned).group()
        before = load.replace(f"%q_tile.{k} =", f"%q_raw.{k} =").replace("[64, 128]", "[128, 64]")
        trans = f"  %q_tile.{k} = trans %q_raw.{k} {{order = [1, 0]}} : f32[64, 128] subtile {k}\n"
        turned = turned.replace(load, before + trans)
    with pytest.raises(Unsupported, match="left operand of this dot is not contiguous along K"):
        plan(parse_graph(turned), schedule, launch)


def test_the_extents_of_a_descriptor_follow_from_scalar_arguments():
    text, schedule, launch = stored("matmul_fp16")
    inside = text.replace("descriptor %a, %M,", "descriptor %a, %row_1,").replace(
        "  %a_desc_1 =", "  %row_1 = program_id {axis = 0} : i32\n  %a_desc_1 =", 1
    )
    inside = inside.replace('  %row_1 = program_id {axis = 0} : i32 at "kernels/matmul.py":55:11\n', "")
    with pytest.raises(Unsupported, match="must follow from the kernel's scalar arguments"):
        plan(parse_graph(inside), schedule, launch)


def test_only_one_mma_may_go_on_with_an_accumulator():
    # acc.1 adds to acc.0 in place of its own: a chain, unless something else reads acc.0 too.
    text, schedule, launch = stored("matmul_fp16")
    one = {id: replace(at, groups=(1,)) if id.startswith("acc") else at for id, at in schedule.placements.items()}
    one_group = replace(schedule, placements=one, groups=schedule.groups[:2])
    chained = text.replace("%b_tile, %acc_prev.1", "%b_tile, %acc.0")

    def waits_between(graph_text):
        role = plan(parse_graph(graph_text), one_group, launch).roles[0]
        (loop,) = [s for s in role.body if isinstance(s, For)]
        kinds = [type(s) for s in loop.body]
        first = kinds.index(Mma)
        return kinds[first : kinds.index(Mma, first + 1)].count(MmaWait)

    unread = re.sub(r"    carry %acc_prev\.0.*\n", "", chained).replace("%acc_prev.0", "%zero_1.0")
    unread = unread.replace("%acc_out.0", "%acc_out.1")
    assert waits_between(unread) == 0
    assert waits_between(chained) == 1  # the loop carries acc.0 on


def test_iterations_shift():
    assert Iteration("index", 1).shifted(-3) == Iteration("index", -2)


@pytest.mark.parametrize("ring", ["a_tile.0", "a_tile.1", "b_tile"])
def test_no_mma_keeps_the_only_slot_of_a_ring_into_the_next_iteration(ring):
    """That MMA waits for the next tile, and the tile for the slot: the kernel would stop, as does its simulation."""
    text, schedule, launch = stored("matmul_fp16")
    assert ring in schedule.rings
    made = plan(parse_graph(text), replace(schedule, rings={**schedule.rings, ring: 1}), launch)
    assert simulated(made, load("hopper")) > schedule.ii

"""One broken kernel per kind of hazard: each is reported by its kind, role, line and buffer or barrier."""

import dataclasses

import pytest

from tests.emulate.running import ATTENTION, MATMUL, attention, matmul
from twill import emulate
from twill.emulate import EmulationError


@dataclasses.dataclass(frozen=True)
class Mutation:
    """Replace `old` by `new`; expect one of `kinds`, with `role` and the line of `marker` in the report."""

    name: str
    old: str
    new: str
    kinds: tuple
    role: str
    marker: str
    subject: str


ATTENTION_MUTATIONS = [
    Mutation("producer does not wait for an empty slot", "mbarrier.wait(k_empty.index(slot), phase ^ 1)", "pass",
             (emulate.Race, emulate.BarrierMisuse), "producer", "k_full.index(slot)", "k_"),
    Mutation("consumer does not wait for K", "mbarrier.wait(k_full.index(j % STAGES), (j // STAGES) & 1)", "pass",
             (emulate.Race,), "consumer", "s_next = warpgroup_mma(", "k_ring"),
    Mutation("consumer does not wait for V", "mbarrier.wait(v_full.index(i % STAGES), (i // STAGES) & 1)", "pass",
             (emulate.Race,), "consumer", "v_ring.index(i % STAGES), acc", "v_ring[0]"),
    Mutation("consumer does not wait for Q", "mbarrier.wait(q_full, 0)", "pass",
             (emulate.Race,), "consumer", "s = warpgroup_mma(", "q_tile"),
    Mutation("scores used before their wait", "s = warpgroup_mma_wait(1, deps=[s_next])", "s = s_next",
             (emulate.TokenMisuse,), "consumer", "s = s * scale", ""),
    Mutation("the wait covers too little", "s = warpgroup_mma_wait(1, deps=[s_next])",
             "s = warpgroup_mma_wait(2, deps=[s_next])", (emulate.TokenMisuse,), "consumer", "s = s * scale", ""),
    Mutation("the old name of a waited accumulator", "            acc = warpgroup_mma_wait(0, deps=[acc])\n",
             "            warpgroup_mma_wait(0, deps=[acc])\n", (emulate.TokenMisuse,), "consumer", "acc = acc *", ""),
    Mutation("V released before its MMA is retired",
             f"{'':12}acc = warpgroup_mma_wait(0, deps=[acc])\n{'':12}mbarrier.arrive(v_empty.index(i % STAGES))\n",
             f"{'':12}mbarrier.arrive(v_empty.index(i % STAGES))\n{'':12}acc = warpgroup_mma_wait(0, deps=[acc])\n",
             (emulate.Race,), "producer", "v_ring.index(slot)", "v_ring[0]"),
    Mutation("no arrive on K's slots", "mbarrier.arrive(k_empty.index(j % STAGES))", "pass",
             (emulate.Deadlock,), "producer", "mbarrier.wait(k_empty.index(slot)", "k_empty[1]"),
    Mutation("no arrive on V's slots", "mbarrier.arrive(v_empty.index(i % STAGES))", "pass",
             (emulate.Deadlock,), "producer", "mbarrier.wait(v_empty.index(slot)", "v_empty[0]"),
    Mutation("the producer's phase never flips", "phase = (i // STAGES) & 1", "phase = 0",
             (emulate.Race, emulate.BarrierMisuse, emulate.Deadlock), "producer", "slot)", "k_"),
    Mutation("the producer's phase is inverted", "mbarrier.wait(k_empty.index(slot), phase ^ 1)",
             "mbarrier.wait(k_empty.index(slot), phase)", (emulate.Deadlock,), "producer",
             "mbarrier.wait(k_empty.index(slot)", "k_empty[0]"),
    Mutation("the consumer's phase never flips", "(j // STAGES) & 1)", "0)",
             (emulate.Race, emulate.Deadlock), "consumer", "", "k_"),
    Mutation("no fence before the TMA store", "    fence_async_shared()\n    tma", "    tma",
             (emulate.MissingFence,), "consumer", "tma.async_copy_shared_to_global", "o_tile"),
    Mutation("no expect", "mbarrier.expect(k_full.index(slot), kd.block_type.nbytes)", "pass",
             (emulate.Deadlock,), "consumer", "mbarrier.wait(k_full.index(0), 0)", "k_full[0]"),
    Mutation("too few bytes expected", "k_full.index(slot), kd.block_type.nbytes)",
             "k_full.index(slot), kd.block_type.nbytes // 2)", (emulate.ByteMismatch,), "producer",
             "k_ring.index(slot)", "k_full"),
    Mutation("too few bytes for two loads", "mbarrier.expect(q_full, 2 * qd", "mbarrier.expect(q_full, 1 * qd",
             (emulate.ByteMismatch, emulate.Race), "producer", "q_tile.index", "q_"),
    Mutation("too many bytes expected", "k_full.index(slot), kd.block_type.nbytes)",
             "k_full.index(slot), 2 * kd.block_type.nbytes)", (emulate.Deadlock,), "consumer",
             "mbarrier.wait(k_full.index(0), 0)", "k_full[0]"),
    Mutation("the ring is too short", "k_ring = gl.allocate_shared_memory(gl.float16, [STAGES,",
             "k_ring = gl.allocate_shared_memory(gl.float16, [1,", (emulate.OutOfBounds,), "producer",
             "k_ring.index(slot)", "k_ring"),
    Mutation("all iterations share one slot", "v_ring.index(", "v_ring.index(0 * ",
             (emulate.Race,), "producer", "v_ring.index(", "v_ring[0]"),
    Mutation("one arrival releases a slot two consumers read", "mbarrier.init(k_empty.index(s), count=2)",
             "mbarrier.init(k_empty.index(s), count=1)", (emulate.Race, emulate.BarrierMisuse, emulate.Deadlock),
             "", "", "k_"),
    Mutation("an arrival too many is asked for", "mbarrier.init(v_empty.index(s), count=2)",
             "mbarrier.init(v_empty.index(s), count=3)", (emulate.Deadlock,), "producer",
             "mbarrier.wait(v_empty.index(slot)", "v_empty[0]"),
    Mutation("an uninitialised barrier", "mbarrier.init(v_empty.index(s), count=2)", "pass",
             (emulate.BarrierMisuse,), "producer", "mbarrier.wait(v_empty.index(slot)", "v_empty[0]"),
    Mutation("the store is not waited for", "    tma.store_wait(0)\n", "    pass\n",
             (emulate.Unwaited,), "consumer", "tma.async_copy_shared_to_global", ""),
    Mutation("a load nobody waits for", "    for i in range(n):", "    for i in range(n + 1):",
             (emulate.Unwaited,), "producer", "ring.index(slot))", "_ring["),
]  # fmt: skip


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("mutation", ATTENTION_MUTATIONS, ids=lambda m: m.name)
def test_a_broken_attention_is_reported(mutation, seed):
    check(mutation, ATTENTION.read_text(), lambda text: attention(5, seed=seed, text=text))


MATMUL_MUTATIONS = [
    Mutation("the consumer's phase never flips", "            phase ^= 1\n", "            pass\n",
             (emulate.Race, emulate.Deadlock), "", "", ""),
    Mutation("no wait for the wgmma", "        acc = warpgroup_mma_wait(0, deps=[acc])\n", "",
             (emulate.Race, emulate.TokenMisuse), "consumer", "", ""),
    Mutation("the consumer reads before the load", "        mbarrier.wait(full.index(slot), phase)\n", "",
             (emulate.Race, emulate.Poison), "consumer", "acc = warpgroup_mma(a_ring", "a_ring"),
    Mutation("no wait for an empty slot", "        mbarrier.wait(empty.index(slot), ((i // DEPTH) & 1) ^ 1)\n", "",
             (emulate.Race, emulate.BarrierMisuse), "producer", "", ""),
    Mutation("the slot is released twice", "mbarrier.arrive(empty.index(slot))",
             "mbarrier.arrive(empty.index(slot), count=2)", (emulate.BarrierMisuse,), "consumer",
             "mbarrier.arrive(empty", "empty[0]"),
    Mutation("the slot is released before it is read",
             "        acc = warpgroup_mma(a_ring",
             "        mbarrier.arrive(empty.index(slot))\n        acc = warpgroup_mma(a_ring",
             (emulate.Race, emulate.BarrierMisuse, emulate.Deadlock), "", "", ""),
]  # fmt: skip


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("mutation", MATMUL_MUTATIONS, ids=lambda m: m.name)
def test_a_broken_matmul_is_reported(mutation, seed):
    check(mutation, MATMUL.read_text(), lambda text: matmul(7, seed=seed, text=text))


def check(mutation, text, run):
    assert text.count(mutation.old) >= 1, "the fixture changed"
    mutated = text.replace(mutation.old, mutation.new)
    with pytest.raises(EmulationError) as caught:
        run(mutated)
    report = caught.value
    message = str(report)
    assert isinstance(report, mutation.kinds), message
    assert type(report) in mutation.kinds, message
    assert any(role.startswith(mutation.role) for role in report.roles), message
    if mutation.marker:
        lines = {number for number, line in enumerate(mutated.splitlines(), 1) if mutation.marker in line}
        assert lines & set(report.lines), f"{message} names none of the lines {sorted(lines)}"
    assert mutation.subject in message
    assert report.exit_code == 1
    assert report.as_dict()["kind"] == report.kind


def test_a_race_report_names_both_sides():
    old = "mbarrier.wait(v_full.index(i % STAGES), (i // STAGES) & 1)"
    text = ATTENTION.read_text().replace(old, "pass")
    for seed in range(20):
        with pytest.raises(emulate.Race) as caught:
            attention(5, seed=seed, text=text)
        first, second = caught.value.places
        assert {first.role.partition("#")[0], second.role.partition("#")[0]} == {"producer", "consumer"}
        assert {first.action, second.action} == {"TMA load", "wgmma"}
        assert "iteration" in str(first)
        assert caught.value.buffer.startswith("v_ring[")
        assert str(caught.value).startswith(f"{ATTENTION}:{second.where.line}: race on v_ring[")


def test_a_deadlock_report_says_where_everyone_stands():
    text = ATTENTION.read_text().replace("mbarrier.arrive(v_empty.index(i % STAGES))", "pass")
    with pytest.raises(emulate.Deadlock) as caught:
        attention(5, text=text)
    waits = {waiter.role: waiter.waits_for for waiter in caught.value.waiters}
    assert set(waits) == {"consumer#0", "consumer#1", "producer"}
    assert waits["producer"].startswith("v_empty[0], parity 0: phase 0 has 0 of 2 arrivals; nobody ever arrived")

"""States of barriers: unbroken modules have no hazard, broken ones have, survivors that are not ordered have none."""

import json

import pytest
from click.testing import CliRunner

from benchmarks import mutation_page, mutation_states
from benchmarks.mutants import mutants
from benchmarks.mutation_states import States
from benchmarks.mutation_trial import paths

SOURCE = """
def consumer0(ring):
    for i in range(0, n):
        mbarrier.wait(ring_full.index(i % 2), (i // 2) & 1)
        s = warpgroup_mma(q, ring.index(i % 2), s)
        s = warpgroup_mma_wait(0, deps=[s])
        mbarrier.arrive(ring_empty.index(i % 2), count=1)


def loader(ring):
    for i in range(0, n):
        mbarrier.wait(ring_empty.index(i % 2), ((i // 2) & 1) ^ 1)
        mbarrier.expect(ring_full.index(i % 2), 8192)
        tma_load(desc, [0, i], ring_full.index(i % 2), ring.index(i % 2), pred=i < n)


def kernel():
    mbarrier.init(ring_empty.index(slot), count=1)
    mbarrier.init(ring_full.index(slot), count=1)
""".replace("ring.", "a_ring.").replace("ring_", "a_ring_")

WAIT = "        mbarrier.wait(a_ring_{}.index(i % 2), "


def hazard(old="", new="", n=5):
    assert old in SOURCE
    return States(SOURCE.replace(old, new), n).hazard()


@pytest.mark.parametrize("n", range(6))
def test_a_ring_has_no_hazard(n):
    assert hazard(n=n) is None


def test_a_load_that_waits_for_no_release_goes_over_a_tile_that_is_read():
    wait = WAIT.format("empty") + "((i // 2) & 1) ^ 1)\n"
    assert "a_ring[" in hazard(wait)
    assert hazard(wait, n=2) is None  # each slot is used once


def test_an_mma_that_does_not_wait_reads_what_is_not_there():
    assert hazard(WAIT.format("full") + "(i // 2) & 1)\n") == "consumer0: MMA reads a_ring[0] without tile 0"


def test_a_release_above_the_end_of_the_mma_lets_a_load_go_over_it():
    release = "        mbarrier.arrive(a_ring_empty.index(i % 2), count=1)\n"
    drain = "        s = warpgroup_mma_wait(0, deps=[s])\n"
    assert hazard(drain + release, release + drain) == "loader: load over a_ring[0], which is read"
    assert hazard(drain, drain.replace("(0", "(1")) == "loader: load over a_ring[0], which is read"


def test_a_phase_that_is_stuck_shows_when_the_ring_is_used_again():
    phase, stuck = "(i // 2) & 1)\n        s", "0)\n        s"
    assert hazard(phase, stuck, n=3) == "consumer0: MMA reads a_ring[0] without tile 2"
    assert hazard(phase, stuck, n=2) is None


def test_a_release_that_is_missing_stops_everyone():
    assert hazard("        mbarrier.arrive(a_ring_empty.index(i % 2), count=1)\n") == "nothing moves"


def test_of_a_branch_the_one_for_this_number_of_iterations_is_taken():
    loop = SOURCE[SOURCE.index("    for i") : SOURCE.index("\n\ndef loader")]
    inside = "".join(f"    {line}\n" for line in loop.splitlines() if line)
    text = SOURCE.replace(loop, f"    if n >= 3:\n{inside}    else:\n        pass\n", 1)
    assert States(text, 3).hazard() is None
    assert States(text, 2).hazard() is None  # nobody waits for the two loads


@pytest.mark.parametrize("name", ["attention_varlen_d64_causal_fp16", "attention_varlen_d128_causal_fp16"])
def test_releases_that_go_to_another_slot_are_harmless_in_every_state(name):
    """The survivors that are not ordered, whose reasons were checked by hand."""
    rows = json.loads(mutation_page.RESULT.read_text())["results"]["mutants"]
    rows = [row for row in rows if row["module"] == name and row["kind"] == "slot-arrived" and row.get("unordered")]
    assert rows
    text = paths(name)[0].read_text()
    made = mutants(text)
    for row in rows:
        if "(i " in row["statement"]:
            assert States(made[row["number"]].apply(text), 5).hazard() is None, row


def test_the_command_tells_a_hazard_by_its_exit_code():
    made = mutants(paths("attention_d128_fp16")[0].read_text())
    number = next(at for at, one in enumerate(made) if one.kind == "drop-wait" and one.role == "loader")
    done = CliRunner().invoke(mutation_states.main, ["attention_d128_fp16", str(number), "--iterations", "4"])
    assert done.exit_code == 1, done.output
    assert "unbroken: no hazard at 4 iterations" in done.output
    assert "drop-wait" in done.output
    done = CliRunner().invoke(mutation_states.main, ["attention_d128_fp16", "99999"])
    assert done.exit_code == 2

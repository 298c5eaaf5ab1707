"""ptxas among the candidates: who is written, who is passed over, and what is said of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from candidates.tuning import request, sizes
from twill.candidates import Candidate, search
from twill.candidates.emission import first_clean
from twill.codegen.machine_code import MachineCode
from twill.errors import CheckFailed, Unsupported
from twill.feedback import Emitted

CLEAN = MachineCode("3.6.0", 168, (24, 240), 0, 0, 200_000, 232_448, 8, False, 0.0)
SPILLS = replace(CLEAN, spill_bytes=48)
SERIALIZED = replace(CLEAN, serialized=True, notes=("(C7511) Potential Performance Loss",))


@pytest.fixture(scope="module")
def ranked() -> tuple[Candidate, ...]:
    """(128, 64, 2), (128, 64, 1), (64, 64, 2), (64, 64, 1), then those without a schedule."""
    return search(request(), 60)


class Writer:
    """Emits each candidate with the machine code, or the error, given for it; `slower` cycles are added to II."""

    def __init__(self, *codes, slower=0):
        self.codes = list(codes)
        self.slower = slower
        self.asked = []

    def __call__(self, candidate):
        self.asked.append(sizes(candidate))
        code = self.codes.pop(0)
        if isinstance(code, Exception):
            raise code
        schedule = replace(candidate.schedule, ii=candidate.schedule.ii + self.slower)
        self.slower = 0
        return Emitted(schedule, None, "source", code, ("learnt",))


def test_the_first_is_clean(ranked):
    write = Writer(CLEAN)
    best, emitted, order = first_clean(ranked, write)
    assert (best, order) == (ranked[0], ranked)
    assert write.asked == [(128, 64, 2)]
    assert emitted.history == ("learnt",)


@pytest.mark.parametrize(
    ("trouble", "why"),
    [
        (SPILLS, "registers spill to memory: 48 bytes"),
        (SERIALIZED, "ptxas serializes the wgmma instructions"),
        (Unsupported("no such store."), "no such store"),
        (CheckFailed("Triton rejects it."), "Triton rejects it"),
    ],
)
def test_the_next_is_tried(ranked, trouble, why):
    write = Writer(trouble, CLEAN)
    best, emitted, order = first_clean(ranked, write)
    assert write.asked == [(128, 64, 2), (128, 64, 1)]
    assert best is order[0]
    assert sizes(best) == (128, 64, 1)
    assert order[1].reason == f"passed over: {why}"
    assert order[2:] == ranked[2:]
    assert emitted.history == (f"BLOCK_N=128, BLOCK_K=64 and 2 sub-tiles was passed over: {why}", "learnt")


def test_when_none_is_clean_the_first_stands(ranked):
    write = Writer(SPILLS, SERIALIZED, SPILLS, SPILLS)
    best, emitted, order = first_clean(ranked, write)
    assert len(write.asked) == 4  # all that have a schedule
    assert best is ranked[0]
    assert emitted.code is SPILLS
    assert order[1].reason == "passed over: ptxas serializes the wgmma instructions"


def test_when_none_can_be_written_the_first_error(ranked):
    write = Writer(*[Unsupported(f"number {n}.") for n in range(4)])
    with pytest.raises(Unsupported, match="number 0"):
        first_clean(ranked, write)


def test_a_winner_that_ptxas_made_slower_may_lose(ranked):
    """100 cycles an iteration more, 3 * 100 in all: the second, 237 behind, is tried and wins."""
    assert 0 < ranked[1].sm_cycles - ranked[0].sm_cycles < 300
    best, _, order = first_clean(ranked, Writer(CLEAN, CLEAN, slower=100))
    assert sizes(best) == (128, 64, 1)
    assert (
        order[1].reason == f"passed over: {ranked[0].sm_cycles + 300} SM cycles within the limits that ptxas asked for"
    )
    # 10 cycles more and it still leads: nobody else is written.
    best, _, _ = first_clean(ranked, Writer(CLEAN, slower=10))
    assert best is ranked[0]

"""Every micro-benchmark compiles without a GPU, measures its instruction, and its clock reads stay in place."""

from itertools import pairwise

import pytest

from tests.calibrate.listing import CLOCK, Listing, disassemble
from twill.calibrate.names import NAMES
from twill.calibrate.probes import Probe, probes

WAIT = r"\bWARPGROUP\.DEPBAR\b|\bSYNCS\.PHASECHK\b|\bDEPBAR\.LE\b|\bUTMACMDFLUSH\b"
LARGE = ("n256", "rate_8bit", "rate_tf32", "_16k", "_8k", "_4k")


def misplaced(listing: Listing, probe: Probe) -> str:
    """What is wrong with the clock reads; "" when the measured instructions lie between them."""
    clocks = listing.places(CLOCK)
    measured = listing.places(probe.instruction)
    if len(clocks) < 2:
        return f"{len(clocks)} clock reads"
    between = [place for place in measured if clocks[0] < place < clocks[-1]]
    if len(between) < probe.at_least:
        return f"{len(between)} of {probe.at_least} instructions between the clock reads"
    if not any(first > clocks[0] and last < clocks[-1] for first, last in loops_with(listing, between)):
        return "no timed loop"
    inner = clocks[1:-1]
    if not probe.timed_inside:
        return f"{len(inner)} clock reads inside" if inner else ""
    if not inner or len(inner) % 3:
        return f"{len(inner)} clock reads inside, not three an iteration"
    waits = listing.places(WAIT)
    for before, issued, done in zip(inner[::3], inner[1::3], inner[2::3], strict=True):
        if not any(before < place < issued for place in measured):
            return "no instruction before the second read"
        if any(issued < place < done for place in measured):
            return "an instruction after the second read"
        if not any(issued < place < done for place in waits):
            return "no wait before the third read"
    return ""


def loops_with(listing: Listing, places: list[int]) -> list[tuple[int, int]]:
    return [(first, last) for first, last in listing.loops if any(first < place < last for place in places)]


@pytest.mark.parametrize(
    "probe",
    [
        pytest.param(probe, id=probe.name, marks=[pytest.mark.slow] if any(n in probe.name for n in LARGE) else [])
        for probe in probes()
    ],
)
def test_the_clock_reads_enclose_the_instruction(probe):
    assert misplaced(disassemble(probe), probe) == ""


def test_the_names_are_those_of_the_probes():
    assert [probe.name for probe in probes()] != []
    assert sorted(probe.name for probe in probes()) == sorted(NAMES)
    assert all(one != two for one, two in pairwise(sorted(NAMES)))


LOOP = """
CS2R R2, SR_CLOCKLO
.L_x_1:
CS2R R4, SR_CLOCKLO
HGMMA.64x64
CS2R R6, SR_CLOCKLO
WARPGROUP.DEPBAR.LE gsb0, 0x0
CS2R R8, SR_CLOCKLO
@P0 BRA `(.L_x_1)
CS2R R10, SR_CLOCKLO
""".strip().splitlines()


@pytest.mark.parametrize(
    ("order", "wrong"),
    [
        ((0, 1, 2, 3, 4, 5, 6, 7, 8), ""),
        ((0, 1, 2, 4, 3, 5, 6, 7, 8), "no instruction before the second read"),
        ((0, 1, 2, 3, 4, 6, 5, 7, 8), "no wait before the third read"),
        ((0, 8, 1, 2, 3, 4, 5, 6, 7), "0 of 1 instructions between the clock reads"),
        ((0, 1, 2, 3, 5, 6, 7, 8), "2 clock reads inside, not three an iteration"),
    ],
)
def test_a_clock_read_that_moved_is_found(order, wrong):
    probe = Probe("made up", None, {}, r"\bHGMMA\b", timed_inside=True)
    listing = Listing(tuple(LOOP[place] for place in order))
    if order[1] == 8:
        listing = Listing((*listing.lines[:2], "EXIT"))
    assert misplaced(listing, probe) == wrong

"""Surviving mutants that are no faults, and why.

Each entry names the kinds, the place and the change it speaks of as narrowly as its reason holds; what is left over
is a hole. That a survivor survives every interleaving at the trip counts tried is found by the run itself
(`ordered` in its row); a reason says why that is so, and for every trip count.
"""

from __future__ import annotations

from benchmarks.mutants import Mutant
from benchmarks.mutation_barriers import BARRIERS
from benchmarks.mutation_operations import OPERATIONS
from benchmarks.mutation_sites import Site

EQUIVALENTS = (*BARRIERS, *OPERATIONS)


def justified(module: str, mutant: Mutant, text: str, ordered: bool = False) -> str | None:
    """Why a survivor of `module` is no fault, None when no entry says so. text: the unbroken source. ordered: it
    survives every interleaving at the trip counts tried."""
    lines = text.splitlines()
    start = next((at for at in range(mutant.line - 1, -1, -1) if lines[at].startswith("def ")), 0)
    before = tuple(line.strip() for line in lines[start : mutant.line - 1])
    following = lines[mutant.line].strip() if mutant.line < len(lines) else ""
    site = Site(module, mutant, text, before, following, ordered)
    return next((entry.reason for entry in EQUIVALENTS if entry.covers(site)), None)

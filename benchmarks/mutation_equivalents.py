"""Mutants that no run can tell from the module they were made from, and why."""

from __future__ import annotations

import re
from dataclasses import dataclass

from benchmarks.mutants import Mutant


@dataclass(frozen=True)
class Equivalent:
    """Surviving mutants of `kinds` in modules matching `modules`, whose statement and the line after it match
    `statement` (a regular expression on both, joined by a line feed), are right because of `reason`."""

    kinds: tuple[str, ...]
    statement: str
    reason: str
    modules: str = ""
    change: str = ""

    def covers(self, module: str, mutant: Mutant, following: str) -> bool:
        return (
            mutant.kind in self.kinds
            and re.search(self.modules, module) is not None
            and re.search(self.change, mutant.change) is not None
            and re.search(self.statement, f"{mutant.statement}\n{following}") is not None
        )


_LAST = ("drop-arrive", "move-arrive", "slot-arrived", "ring-modulo", "predicate-dropped")

EQUIVALENTS = (
    Equivalent(
        ("drop-store-wait", "move-store-wait", "store-wait-depth"), r"\n\w+_stage\.store\(",
        "Nothing is in flight before the stage is written, for a thread block stores once.",
    ),
    Equivalent(
        ("drop-wait", "move-wait", "phase-stuck"), r"^mbarrier\.wait\(turn_",
        "A turn orders the issue of two groups' MMAs, for speed; the tiles have barriers of their own.",
    ),
    Equivalent(
        ("move-arrive",), r"^mbarrier\.arrive\(turn_",
        "A turn orders the issue of two groups' MMAs, for speed; given early it lets them overlap, no more.",
    ),
    Equivalent(
        _LAST, r"^mbarrier\.arrive\(turn_\d+\.index\(\(n ",
        "The last turn is given after the loop, where no group waits for one any more.",
    ),
    Equivalent(
        _LAST, r"^mbarrier\.arrive\(\w+_empty\.index\(\(n ",
        "The last slots are released after the loop, where no load waits for one any more.",
    ),
    Equivalent(
        ("move-mma-wait",), r"\nmbarrier\.arrive\(\w+_empty\.index\(\(n ",
        "It moves behind a release that no load waits for any more.",
    ),
    Equivalent(
        ("drop-wait", "move-wait"), r"^mbarrier\.wait\(\w+_full\..*\nmbarrier\.wait\(turn_",
        "The turn waited for next is given after the other group's wait for the same slot, so the load is ordered "
        "before it.",
    ),
    Equivalent(
        ("move-expect",), r"^mbarrier\.expect\(",
        "The expect is the barrier's only arrival, so the phase cannot end before it; the transaction count may be "
        "negative until then.",
    ),
    Equivalent(
        ("mma-wait-depth", "store-wait-depth"), "", "Waiting for more than is needed only costs time.",
        change="depth 1 becomes 0",
    ),
    Equivalent(
        ("ring-depth",), "", "A ring used as one slot less, by all roles alike, is a correct ring with less overlap."
    ),
    Equivalent(
        ("predicate-dropped",), r"^mbarrier\.wait\(\w+_empty",
        "Waiting without cause for a slot that is always released again only costs time.",
    ),
    Equivalent(
        ("drop-wait", "move-wait"), r"^mbarrier\.wait\(a_tile_1_ring_empty",
        "The loader has waited for B's slot of the same iteration, which group 2 releases after the same MMA.",
        modules="^matmul",
    ),
    Equivalent(
        ("move-arrive", "move-mma-wait"), r"a_tile_1_ring_empty\.index\(\(i \+ 2",
        "The loader fills this slot after B's of the same iteration, which the group releases behind the wait.",
        modules="^matmul",
    ),
    Equivalent(
        ("move-arrive",), r"^mbarrier\.arrive\(b_tile_ring_empty\.index\(\(i \+ 2",
        "The loader fills this slot after A's upper half of the same iteration, which the group releases behind the "
        "wait.",
        modules="^matmul",
    ),
    Equivalent(
        ("slot-arrived",), r"^mbarrier\.arrive\(k_tile_ring_empty\.index\(i ",
        "The loader fills slots in order: what one slot gives early is used only after the slot before, given late.",
        modules="^attention_d",
    ),
    Equivalent(
        ("drop-wait", "move-wait"), r"^mbarrier\.wait\(v_tile_ring_empty\.index\(i % 5",
        "K's ring is two slots shorter, and its slot of the same iteration is released after V's was read.",
        modules="^attention_d64_causal",
    ),
    Equivalent(
        ("move-arrive", "move-mma-wait"), r"v_tile_ring_empty\.index\(\(i \+ 4\) % 5",
        "K's ring is two slots shorter, and the loader waits for a later release of K before it fills this slot.",
        modules="^attention_d64_causal",
    ),
)  # fmt: skip


_ONCE = ("phase-stuck", "drop-arrive", "slot-arrived", "ring-modulo", "move-arrive", "move-mma-wait")


def _block_above(lines: list[str], line: int) -> list[str]:
    """The lines of the function above `line`, back to its last `# epilogue` or its start."""
    above = lines[: line - 1]
    starts = [
        at for at, text in enumerate(above) if text.startswith("def ") or "# epilogue" in text or "# after the" in text
    ]
    return above[starts[-1] :] if starts else above


def justified(module: str, mutant: Mutant, text: str) -> str | None:
    """Why a survivor of `module` is no fault, None when the table does not say. text: the unbroken source."""
    lines = text.splitlines()
    if mutant.kind in _ONCE and any("# too few iterations" in line for line in _block_above(lines, mutant.line)):
        return "This loop runs only when the pipeline is not filled, so no slot is used twice."
    following = lines[mutant.line].strip() if mutant.line < len(lines) else ""
    return next((entry.reason for entry in EQUIVALENTS if entry.covers(module, mutant, following)), None)

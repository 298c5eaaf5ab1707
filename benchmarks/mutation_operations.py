"""Survivors that are no faults: MMAs and the waits for them, waits for TMA stores, and fences."""

from __future__ import annotations

import re

from benchmarks.mutation_guards import guarded
from benchmarks.mutation_sites import LAST, Equivalent, Site, ring_of, short_loops
from benchmarks.mutation_turns import turn_given_behind, turn_given_for_the_tile, turn_given_in_the_body


def _stores_once(site: Site) -> bool:
    """No TMA store of the stage that is written next lies above, nor in a loop around it."""
    stage = site.following.partition(".")[0]
    return not _in_a_loop(site) and not any(
        line.startswith("tma_store(") and line.endswith((f"({stage})", f", {stage})")) for line in site.before
    )


def _in_a_loop(site: Site) -> bool:
    lines = site.text.splitlines()
    indent = len(lines[site.mutant.line - 1]) - len(lines[site.mutant.line - 1].lstrip())
    for line in reversed(lines[: site.mutant.line - 1]):
        if line.strip() and len(line) - len(line.lstrip()) < indent:
            indent = len(line) - len(line.lstrip())
            if line.startswith("def ") or line.lstrip().startswith("for "):
                return line.lstrip().startswith("for ")
    return False


def _in_a_loop_of_one(site: Site) -> bool:
    return short_loops(site.text).get(site.mutant.line) == 2


def _behind_a_plain_store(site: Site) -> bool:
    """The statement above stores registers: no TMA store lies between."""
    return any(line.startswith("gl.store(") for line in site.before[-1:])


def _behind_a_computation(site: Site) -> bool:
    """The statement above computes in registers, or loads to them."""
    above = [line for line in site.before if not line.startswith("#")][-1:]
    return any(re.match(r"\w+ = (?!.*(tma|mma|_stage|_smem|_ring))", line) for line in above)


def _turn_given_for_the_wait_between(site: Site) -> bool:
    mutant, waits = site.mutant, _waits_between(site)
    return len(waits) == 1 and turn_given_for_the_tile(site.text, mutant.role, waits[0][0], mutant.line)


def _wait_between_is_needless(site: Site) -> bool:
    mutant = site.mutant
    waits = [line for _, line in _waits_between(site)]
    return len(waits) == 1 and (
        turn_given_in_the_body(site.text, mutant.role, mutant.line, waits[0])
        or turn_given_behind(site.text, site.before, waits[0])
    )


def _waits_between(site: Site) -> list[tuple[int, str]]:
    """What stands, beside computations in registers, between the two MMAs exchanged."""
    return [each for each in _between(site) if not re.match(r"\w+ = (?!.*(tma|mma|_stage|_smem|_ring))", each[1])]


def _between(site: Site) -> list[tuple[int, str]]:
    """(1-based line, statement) of those between the mutant's and the line that its change names."""
    found = re.search(r"line (\d+)$", site.mutant.change)
    if found is None:
        return []
    lines = enumerate(site.text.splitlines()[site.mutant.line : int(found[1]) - 1], site.mutant.line + 1)
    return [(number, line.strip()) for number, line in lines if line.strip() and not line.lstrip().startswith("#")]


def _stage_unread(site: Site) -> bool:
    """The fence moves behind statements that leave alone the stage that was written above it."""
    written = re.match(r"(\w+_stage)\.store\(", site.before[-1] if site.before else "")
    found = re.search(r"line (\d+)$", site.mutant.change)
    if written is None or found is None:
        return False
    between = [line for _, line in _between(site)]
    return all(written[1] not in line for line in [*between, site.text.splitlines()[int(found[1]) - 1]])


def _not_taken_below(site: Site) -> bool:
    """The MMA below takes nothing of what is waited for."""
    names = site.mutant.statement.partition(" = ")[0].split(", ")
    return not any(re.search(rf"\b{name}\b", site.following.partition(" = ")[2]) for name in names)


def _guarded_below(site: Site) -> bool:
    below = site.mutant.line + 1
    return guarded(site.text, ring_of(site.following), site.mutant.role, below, below)


def _guarded_behind_a_later_wait(site: Site) -> bool:
    """Behind the first wait below that leaves no more MMAs than were issued in between."""
    below, issued = site.mutant.line + 1, 0
    for number, line in enumerate(site.text.splitlines()[below:], below + 1):
        wait = re.search(r" = warpgroup_mma_wait\((\d+), ", line)
        issued += " = warpgroup_mma(" in line
        if wait and int(wait[1]) <= issued:
            return guarded(site.text, ring_of(site.following), site.mutant.role, below, number)
    return False


def _waited_together(site: Site) -> bool:
    """The first wait below the two MMAs exchanged is for both, and leaves none."""
    found = re.search(r"line (\d+)$", site.mutant.change)
    lines = site.text.splitlines()[int(found[1]) - 1 :] if found else [""]
    names = [line.strip().partition(" = ")[0] for line in (site.mutant.statement, lines[0])]
    wait = next((line for line in lines if "warpgroup_mma_wait(" in line), "")
    return bool(found) and any(f"_wait(0, deps=[{a}, {b}])" in wait for a, b in (names, names[::-1]))


def _added_to_next(site: Site) -> bool:
    """Behind the statement below stands an MMA that adds to what is waited for here, and the wait for all MMAs."""
    name = site.mutant.statement.partition(" = ")[0]
    lines = [line.strip() for line in site.text.splitlines()[site.mutant.line :]]
    _, added, waited = [line for line in lines if line and not line.startswith("#")][:3]
    return re.match(rf"{name} = warpgroup_mma\(.*, {name}, is_async=True\)$", added) is not None and waited.startswith(
        f"{name} = warpgroup_mma_wait(0, "
    )


def _without_shared_memory(site: Site) -> bool:
    return not re.search(r"\b(allocate_shared_memory|mbarrier\.init|tma_load|tma_store)\(", site.text)


def _behind_turns(site: Site) -> bool:
    """What was set up last before the fence is a barrier on which no TMA load completes."""
    return any(re.match(r"mbarrier\.init\((turn_\d+|turns_over|\w+_empty)\.", line) for line in site.before[-1:])


OPERATIONS = (
    Equivalent(
        ("drop-store-wait", "move-store-wait", "store-wait-depth"),
        "No store of this stage is in flight: a role stores from it once, and that is below.",
        following=r"^\w+_stage(\.reshape\(\[[\d, ]+\]\))?\.store\(", where=_stores_once,
    ),
    Equivalent(
        ("drop-store-wait", "move-store-wait", "store-wait-depth"),
        "This loop has one iteration at most, and no store of this stage lies above it.",
        modules=r"^moe_combine_gradient_", proved=True, where=_in_a_loop_of_one,
    ),
    Equivalent(
        ("move-store-wait",),
        "It moves before a store of registers: the TMA store that it waits for still lies above.",
        change="^moved before", where=_behind_a_plain_store,
    ),
    Equivalent(
        ("move-store-wait",),
        "It moves before a computation in registers, or a load to them: the TMA store that it waits for is the one of "
        "the iteration before, or of the output tile before.",
        change="^moved before", proved=True,
        where=lambda site: _in_a_loop(site) and _behind_a_computation(site),
    ),
    Equivalent(
        ("move-store-wait",),
        "It moves before a computation in registers: the TMA store that it waits for still lies above.",
        change="^moved before", modules=r"^moe_combine_gradient_", proved=True, where=_behind_a_computation,
    ),
    Equivalent(
        ("move-mma-wait",),
        "It moves behind a release that no load waits for: there is none a ring's depth of iterations later.",
        following=LAST.format(r"\w+_empty"),
    ),
    Equivalent(
        ("mma-swapped",),
        "The MMA of the tile that is waited for below is issued above that wait: a turn waited for above is given by "
        "the other group in an iteration in which, or before which, it waits for the same load. Both MMAs are waited "
        "for together.",
        r"^acc = .*v_tile_ring\.index\(\([in] \+ 1\) % 4\)", modules=r"^attention_varlen_d64_", role="consumer0",
        proved=True, where=_turn_given_for_the_wait_between,
    ),
    Equivalent(
        ("mma-swapped",),
        "The two MMAs add to accumulators of their own, from tiles that this group has waited for in an earlier "
        "iteration, and are waited for together.",
        r"^dv_acc2 = .*\.index\(\([in] \+ 3\) % 4\)", modules=r"^attention_dkdv_d64_causal_", role="consumer1",
        proved=True,
    ),
    Equivalent(
        ("mma-swapped",),
        "The MMA of the tile that is waited for below is issued above that wait: the turn waited for above in this "
        "iteration is given in the same one of the other group's loop, behind its wait for the same slot. Both MMAs "
        "are waited for together.",
        "^(dv_)?acc2? = ", modules=r"^attention_(dkdv_d64|(fwd|varlen)_d256(_causal)?(_windowed)?)_(fp|bf)16",
        role="consumer", proved=True, where=_wait_between_is_needless,
    ),
    Equivalent(
        ("mma-wait-depth", "store-wait-depth"), "Waiting for more than is needed only costs time.",
        change="depth (1 becomes 0|2 becomes 1)",
    ),
    Equivalent(
        ("move-fence",),
        "On the barriers set up last, a turn's or of releases, threads alone arrive and wait, and the start of "
        "the roles orders them. The fence still covers all that TMA completes on.",
        r"^fence_async_shared\(", change="^moved before", where=_behind_turns,
    ),
    Equivalent(
        ("move-fence",),
        "It moves behind another wait: it still stands behind the wait for the loader's copies and before the MMA that "
        "reads them.",
        r"^fence_async_shared\(", r"^mbarrier\.wait\(\w+_ring_full\.", change="^moved after", role="consumer",
        modules=r"_gather_(fp|bf)16", proved=True,
    ),
    Equivalent(
        ("drop-fence", "move-fence"),
        "The kernel has no shared memory, so no barrier either, and nothing of TMA's: there is nothing to order.",
        r"^fence_async_shared\(", where=_without_shared_memory,
    ),
    Equivalent(
        ("drop-mma-wait", "mma-wait-depth"),
        "Only later MMAs add to this accumulator until the loop has ended. Before the loader fills the slot of the "
        "release below again, it fills one of another ring, which this group releases in its next iteration, behind a "
        "wait for a later MMA; MMAs end in order.",
        r"^acc = warpgroup_mma_wait\(0, deps=\[?(acc)?\]?\)$", r"^mbarrier\.arrive\(k_tile_ring_empty\.index\(\(i ",
        modules=r"^attention_dq_d64_(fp|bf)16", role="consumer0", proved=True, where=_guarded_below,
    ),
    Equivalent(
        ("move-mma-wait",),
        "It moves behind the issue of an MMA that takes nothing of what it waits for, and waits for that one too; "
        "between the two nothing is read or released.",
        r" = warpgroup_mma_wait\(0, ", r"^\w+ = warpgroup_mma\(", modules=r"^attention_backward_d64_",
        where=_not_taken_below,
    ),
    Equivalent(
        ("move-fence",),
        "It moves behind statements that leave alone the stage written above it; it still stands before the MMA that "
        "reads that stage.",
        r"^fence_async_shared\(", change="^moved after", modules=r"^attention_backward_d64_", role="consumer",
        where=_stage_unread,
    ),
    Equivalent(
        ("mma-swapped",),
        "The two MMAs have results of their own and are waited for together; what they read is there before the first.",
        "^dp = ", modules=r"^attention_backward_d64_", role="consumer",
    ),
    Equivalent(
        ("mma-swapped",),
        "The two MMAs add to accumulators of their own and are waited for together; what they read is there before the "
        "first.",
        "^(dq_part|dk_acc) = ", modules=r"^attention_backward_d64_", role="consumer", where=_waited_together,
    ),
    Equivalent(
        ("drop-mma-wait", "mma-wait-depth"),
        "Only later MMAs add to this accumulator until the loop has ended. Before the loader fills the slot of the "
        "release below again, it fills one of another ring, which this group releases behind a wait for a later MMA; "
        "MMAs end in order.",
        r"^dv_acc = warpgroup_mma_wait\(0, ", r"^mbarrier\.arrive\(do_tile_ring_empty\.", role="consumer",
        modules=r"^attention_backward_d64_", where=_guarded_behind_a_later_wait,
    ),
    Equivalent(
        ("drop-mma-wait", "mma-wait-depth"),
        "The next MMA adds to the same accumulator and is waited for, with this one, before it is read; no load waits "
        "for the release between the two.",
        r"^(\w+) = warpgroup_mma_wait\(0, deps=", LAST.format(r"\w+_empty"), proved=True, where=_added_to_next,
    ),
    Equivalent(
        ("move-mma-wait",),
        "It moves behind a wait for a barrier. The MMA ends whatever others do, and between the two nothing reads its "
        "result or tells others of it.",
        following=r"^mbarrier\.wait\(",
    ),
    Equivalent(
        ("move-mma-wait",),
        "Before the loader fills the slot of the release above it again, it fills one of another ring, which this "
        "group releases behind the wait.",
        following=r"^mbarrier\.arrive\(\w+_ring_empty\.", role="consumer", where=_guarded_below,
    ),
)  # fmt: skip

"""Surviving mutants that are no faults, and why.

Each entry names the kinds, the place and the change it speaks of as narrowly as its reason holds; what is left over
is a hole. That a survivor survives every interleaving at the trip counts tried is found by the run itself
(`ordered` in its row); a reason says why that is so, and for every trip count.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from benchmarks.mutants import Mutant
from benchmarks.mutation_guards import (
    guarded,
    guarded_for_all,
    released_behind_turn,
    turn_given_behind,
    turn_given_in_the_body,
    turn_given_later,
)
from twill.emulate.rings import ring_depths


@dataclass(frozen=True)
class Site:
    """Where a mutant is. before: the lines of its function above it; following: the statement below. ordered: whether
    it survives every interleaving at the trip counts tried."""

    module: str
    mutant: Mutant
    text: str
    before: tuple[str, ...]
    following: str
    ordered: bool = False


@dataclass(frozen=True)
class Equivalent:
    """Survivors of `kinds` are right because of `reason`, where all of the others hold.

    statement, following, change, modules, role: regular expressions searched for in the statement, in the line below
    it, in what was changed, in the module's name and in its function's. where: anything else.
    """

    kinds: tuple[str, ...]
    reason: str
    statement: str = ""
    following: str = ""
    change: str = ""
    modules: str = ""
    role: str = ""
    proved: bool = False
    where: Callable[[Site], bool] = lambda site: True

    def covers(self, site: Site) -> bool:
        mutant = site.mutant
        if self.proved and not site.ordered:
            return False
        pairs = (
            (self.statement, mutant.statement), (self.following, site.following), (self.change, mutant.change),
            (self.modules, site.module), (self.role, mutant.role),
        )  # fmt: skip
        return mutant.kind in self.kinds and all(re.search(*pair) for pair in pairs) and self.where(site)


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
    return _short_loops(site.text).get(site.mutant.line) == 2


def _behind_a_plain_store(site: Site) -> bool:
    """The statement above stores registers: no TMA store lies between."""
    return any(line.startswith("gl.store(") for line in site.before[-1:])


def _behind_a_computation(site: Site) -> bool:
    """The statement above computes in registers, or loads to them."""
    above = [line for line in site.before if not line.startswith("#")][-1:]
    return any(re.match(r"\w+ = (?!.*(tma|mma|_stage|_smem|_ring))", line) for line in above)


def _unfilled(site: Site) -> bool:
    """It stands where the iterations are too few to use a slot twice, in a ring even one slot shorter."""
    if site.mutant.kind == "move-mma-wait" and not site.following.startswith("mbarrier.arrive("):
        return False
    fewest = _short_loops(site.text).get(site.mutant.line)
    return fewest is not None and fewest <= min(
        (depth for depth in ring_depths(site.text).values() if depth > 1), default=0
    )


@lru_cache(maxsize=16)
def _short_loops(text: str) -> dict[int, int]:
    """By line, the k of the branch `if n >= k: ... else:` in whose else part it lies."""
    found = {}
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.If(test=ast.Compare(ops=[ast.GtE()], comparators=[ast.Constant(value=int(least))])):
                for statement in node.orelse:
                    assert statement.end_lineno is not None
                    found.update(dict.fromkeys(range(statement.lineno, statement.end_lineno + 1), least))
    return found


def _turn_given_behind(site: Site) -> bool:
    return turn_given_behind(site.text, site.before, site.mutant.statement)


def _turn_given_later(site: Site) -> bool:
    return turn_given_later(site.text, site.before, site.mutant.statement)


def _turn_given_in_the_body(site: Site) -> bool:
    mutant = site.mutant
    return turn_given_in_the_body(site.text, mutant.role, mutant.line, mutant.statement)


def _wait_between_is_needless(site: Site) -> bool:
    """Of the wait that stands, with computations in registers, between the two MMAs exchanged."""
    mutant = site.mutant
    waits = [line for line in _between(site) if not re.match(r"\w+ = (?!.*(tma|mma|_stage|_smem|_ring))", line)]
    return len(waits) == 1 and (
        turn_given_in_the_body(site.text, mutant.role, mutant.line, waits[0])
        or turn_given_behind(site.text, site.before, waits[0])
    )


def _between(site: Site) -> list[str]:
    """The statements between the mutant's and the line that its change names."""
    found = re.search(r"line (\d+)$", site.mutant.change)
    lines = [line.strip() for line in site.text.splitlines()[site.mutant.line : int(found[1]) - 1]] if found else []
    return [line for line in lines if line and not line.startswith("#")]


def _stage_unread(site: Site) -> bool:
    """The fence moves behind statements that leave alone the stage that was written above it."""
    written = re.match(r"(\w+_stage)\.store\(", site.before[-1] if site.before else "")
    found = re.search(r"line (\d+)$", site.mutant.change)
    if written is None or found is None:
        return False
    return all(written[1] not in line for line in [*_between(site), site.text.splitlines()[int(found[1]) - 1]])


def _not_taken_below(site: Site) -> bool:
    """The MMA below takes nothing of what is waited for."""
    names = site.mutant.statement.partition(" = ")[0].split(", ")
    return not any(re.search(rf"\b{name}\b", site.following.partition(" = ")[2]) for name in names)


def _guarded_behind_a_later_wait(site: Site) -> bool:
    below = site.mutant.line + 1
    lines = enumerate(site.text.splitlines(), 1)
    waits = (number for number, line in lines if number > below and "= warpgroup_mma_wait(0, " in line)
    return guarded(site.text, _ring(site.following), site.mutant.role, below, next(waits, below))


def _without_shared_memory(site: Site) -> bool:
    return not re.search(r"\b(allocate_shared_memory|mbarrier\.init|tma_load|tma_store)\(", site.text)


def _behind_turns(site: Site) -> bool:
    """What was set up last before the fence is a barrier on which no TMA load completes."""
    return any(re.match(r"mbarrier\.init\((turn_\d+|turns_over|\w+_empty)\.", line) for line in site.before[-1:])


def _added_to_next(site: Site) -> bool:
    """Behind the statement below stands an MMA that adds to what is waited for here, and the wait for all MMAs."""
    name = site.mutant.statement.partition(" = ")[0]
    lines = [line.strip() for line in site.text.splitlines()[site.mutant.line :]]
    _, added, waited = [line for line in lines if line and not line.startswith("#")][:3]
    return re.match(rf"{name} = warpgroup_mma\(.*, {name}, is_async=True\)$", added) is not None and waited.startswith(
        f"{name} = warpgroup_mma_wait(0, "
    )


def _ring(statement: str) -> str:
    """The ring whose slots a statement waits for or releases."""
    found = re.search(r"(\w+)_empty\.index\(", statement)
    return found[1] if found else ""


def _last_of_the_only_group(site: Site) -> bool:
    """No other role releases the ring, and behind its loop this one waits for no load to it below."""
    ring, role = _ring(site.mutant.statement), ""
    roles, waits = set(), []
    for number, line in enumerate(site.text.splitlines(), 1):
        role = line if line.startswith("def ") else role
        if line.lstrip().startswith(f"mbarrier.arrive({ring}_empty."):
            roles.add(role)
        if line.lstrip().startswith(f"mbarrier.wait({ring}_full.index((n "):
            waits.append(number)
    return len(roles) == 1 and all(number < site.mutant.line for number in waits)


def _needs_no_release(site: Site) -> bool:
    return guarded_for_all(site.text, _ring(site.mutant.statement))


def _guarded_where_it_moves(site: Site) -> bool:
    mutant = site.mutant
    return guarded(site.text, _ring(mutant.statement), mutant.role, mutant.line)


def _behind_turn_where_it_moves(site: Site) -> bool:
    mutant = site.mutant
    return released_behind_turn(site.text, _ring(mutant.statement), mutant.role, mutant.line)


def _guarded_below(site: Site) -> bool:
    below = site.mutant.line + 1
    return guarded(site.text, _ring(site.following), site.mutant.role, below, below)


def _moved_release(ring: str) -> Callable[[Site], bool]:
    """The release of `ring`, a regular expression, is what moved, or what the wait for an MMA moved behind."""
    return lambda site: re.search(ring, f"{site.mutant.statement}\n{site.following}") is not None


_MOVED = ("move-arrive", "move-mma-wait")
_LAST = r"^mbarrier\.arrive\({}\.index\(\(n "
_D64_CAUSAL = r"^attention_d64_causal_"

EQUIVALENTS = (
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
        ("phase-stuck", "ring-modulo", "drop-arrive", "slot-arrived", *_MOVED),
        "This loop has fewer iterations than the shortest ring has slots: phases are 0, indexes the same modulo one "
        "less, and no load waits for a release.",
        where=_unfilled,
    ),
    Equivalent(
        ("drop-arrive", "move-arrive", "predicate-dropped"),
        "Released behind the loop: only the load a ring's depth of iterations later waits for this slot, and there is "
        "none.",
        _LAST.format(r"\w+_empty"),
    ),
    Equivalent(
        ("move-mma-wait",),
        "It moves behind a release that no load waits for: there is none a ring's depth of iterations later.",
        following=_LAST.format(r"\w+_empty"),
    ),
    Equivalent(
        ("slot-arrived", "ring-modulo"),
        "Given behind the loop, to another slot. The only group that releases this ring has waited for its last load, "
        "so none waits for a release any more.",
        _LAST.format(r"\w+_empty"), where=_last_of_the_only_group,
    ),
    Equivalent(
        ("slot-arrived", "ring-modulo"),
        "Given behind the loop, to another slot. By the load or the turn that this group has waited for, the other "
        "group has made every release that a load still waits for, so this one adds to a phase that no load waits for.",
        _LAST.format(r"\w+_empty"),
    ),
    Equivalent(
        ("drop-arrive", "move-arrive", "slot-arrived", "ring-modulo"),
        "The last turn is given behind the loop, where the other group waits for none; by the turn that this group has "
        "waited for, the other has passed its waits for earlier ones in other slots.",
        _LAST.format(r"turn_\d+"),
    ),
    Equivalent(
        ("drop-wait", "move-wait"),
        "A turn orders the issue of two groups' MMAs, for speed: the tiles they read have barriers of their own. "
        "Without this wait, or with it behind the MMA, the other turns and the rings still keep a group from giving a "
        "turn again before the other has looked.",
        r"^mbarrier\.wait\(turn_",
    ),
    Equivalent(
        ("slot-waited",),
        "A turn orders the issue of two groups' MMAs, for speed; it looks at one given before and goes on at "
        "once.",
        r"^mbarrier\.wait\(turn_", proved=True,
    ),
    Equivalent(
        ("slot-waited",),
        "The turn waited for next is given behind the other group's wait for the first tile; the second tile, which "
        "it waits for instead, is loaded without a release of this group.",
        r"^mbarrier\.wait\(\w+_ring_full\.index\(0\), 0\)", r"^mbarrier\.wait\(turn_", proved=True,
    ),
    Equivalent(
        ("move-arrive",),
        "A turn orders the issue of two groups' MMAs, for speed; given before the MMA it lets the two overlap.",
        r"^mbarrier\.arrive\(turn_",
    ),
    Equivalent(
        ("move-arrive",),
        "It tells the other group that this one has waited for all its turns of an output tile, which it has before it "
        "waits for its last MMA too.",
        r"^mbarrier\.arrive\(turns_over\.", proved=True,
    ),
    Equivalent(
        ("predicate-dropped",),
        "The iterations of all output tiles are as many: where they are none, nothing is ever loaded, and nothing "
        "waits for a release.",
        r"^mbarrier\.arrive\(\w+_ring_empty\.index\(\(done \+ n \+ \d+\) % \d+\), count=1, pred=n >= 1\)",
        modules=r"^matmul_persistent_", role="consumer", proved=True,
    ),
    Equivalent(
        ("drop-wait", "move-wait"),
        "The turn waited for next is given behind the other group's wait for the same slot, which orders the load "
        "before it.",
        r"^mbarrier\.wait\(\w+_full\.", r"^mbarrier\.wait\(turn_",
    ),
    Equivalent(
        ("drop-wait", "move-wait"),
        "The turn of the same iteration, waited for above, is given behind the other group's wait for the same slot, "
        "which orders the load before it.",
        r"^mbarrier\.wait\(\w+_ring_full\.index\(i % (\d+)\), \(i // \1\) & 1\)", where=_turn_given_behind,
    ),
    Equivalent(
        ("drop-wait", "move-wait"),
        "The turn of the same iteration, waited for above, is given behind the other group's wait for the same slot, "
        "one iteration of its loop later, or behind that loop; it orders the load before it.",
        r"^mbarrier\.wait\(\w+_ring_full\.index\(i % (\d+)\), \(i // \1\) & 1\)", proved=True,
        where=_turn_given_later,
    ),
    Equivalent(
        ("drop-wait", "move-wait"),
        "The turn waited for above in this iteration is given in the same one of the other group's loop, behind its "
        "wait for the same slot; it orders the load before it.",
        r"^mbarrier\.wait\(\w+_ring_full\.index\(i % (\d+)\), \(i // \1\) & 1\)", proved=True,
        where=_turn_given_in_the_body,
    ),
    Equivalent(
        ("drop-wait", "move-wait"),
        "The turn of the same tile, waited for above, is given behind the other group's wait for the same slot, one "
        "iteration of its loop earlier; it orders the load before it.",
        r"^mbarrier\.wait\(k_tile_ring_full\.index\(\(([in]) \+ 2\) % 3\), \(\(\1 - 1\) // 3\) & 1\)",
        modules="^attention_varlen_d64_fp16", role="consumer0", proved=True,
    ),
    Equivalent(
        ("mma-swapped",),
        "The MMA of the tile that is waited for below is issued above that wait: the turn of this tile, waited for "
        "above, is given behind the other group's wait for the same slot. Both MMAs are waited for together.",
        r"^acc = .*v_tile_ring\.index\(\([in] \+ 1\) % 4\)", modules="^attention_varlen_d64_fp16", role="consumer0",
        proved=True,
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
        "^(dv_)?acc = ", modules=r"^attention_(dkdv_d64|fwd_d256(_causal)?)_(fp|bf)16", role="consumer0", proved=True,
        where=_wait_between_is_needless,
    ),
    Equivalent(
        ("move-expect",),
        "The expect is the barrier's only arrival, so the phase cannot end before it; until then the transaction count "
        "is negative, which PTX allows.",
        r"^mbarrier\.expect\(",
    ),
    Equivalent(
        ("mma-wait-depth", "store-wait-depth"), "Waiting for more than is needed only costs time.",
        change="depth (1 becomes 0|2 becomes 1)",
    ),
    Equivalent(
        ("ring-depth",),
        "A turn counted with one slot less by both groups: the other turns keep a group from giving it twice before "
        "the other has looked. Where the first turns are waited for by no one, a wait may pass early, which lets two "
        "MMAs overlap.",
        r"^turn_",
    ),
    Equivalent(
        ("ring-depth",), "A ring used as one slot less, by all roles alike, is a correct ring with less overlap.",
        r"_ring$",
    ),
    Equivalent(
        ("move-fence",),
        "On the barriers set up last, a turn's or of releases, threads alone arrive and wait, and the start of "
        "the roles orders them. The fence still covers all that TMA completes on.",
        r"^fence_async_shared\(", change="^moved before", where=_behind_turns,
    ),
    Equivalent(
        ("predicate-dropped",),
        "It waits at one more iteration, where the loader loads nothing to this ring: before the ring's first load the "
        "wait passes at once; behind the last, the release it waits for is given, and no load follows that could miss "
        "it.",
        r"^mbarrier\.wait\(\w+_empty\.", role="loader",
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
    *(
        Equivalent(
            ("slot-arrived",),
            "The loop's releases go to the slot after their own. The loads, issued in order, use such a release no "
            "earlier than the late one of the slot before; and by the turns the other group has released a slot before "
            "this one does so twice, but at the end, where no load follows.",
            rf"^mbarrier\.arrive\({ring}_empty\.index\(\(?i ", role=role, proved=proved, modules=modules,
        )
        for proved, modules, ring, role in (
            (True, "", r"\w+_ring", "consumer"),
            (False, r"^attention_(d64_causal|(fwd_)?d128(_causal)?)_(fp|bf)16", r"\w+_ring", "consumer"),
            (False, r"^attention_dq_d128_causal_", "v_tile_ring", "consumer0"),
            (False, r"^attention_varlen_d128_(fp|bf)16", "v_tile_ring", "consumer"),
            (False, r"^attention_varlen_d64_fp16", "k_tile_ring", "consumer0"),
            (False, r"^attention_dq_d64_(fp|bf)16", "v_tile_ring", "consumer0"),
            (False, r"^attention_dkdv_d64_(fp|bf)16", r"(delta_row|do_tile)_ring", "consumer"),
            (False, r"^attention_dkdv_d64_causal_", "delta_row_ring", "consumer"),
        )
    ),
    Equivalent(
        _MOVED,
        "The slot is filled again when both groups have released it, and the other does so only behind the turn that "
        "this group gives in its next iteration, behind the wait.",
        role="consumer1", modules=_D64_CAUSAL, where=_moved_release(r"v_tile_ring_empty\.index\(\(i \+ 3\) % 4\)"),
    ),
    Equivalent(
        ("move-arrive",),
        "The slot is filled again when all groups have released it, and the others do so only behind a turn of the "
        "same iteration, which this group gives behind its last look at the tile.",
        r"^mbarrier\.arrive\(\w+_ring_empty\.", role="consumer", proved=True, where=_behind_turn_where_it_moves,
    ),
    Equivalent(
        ("drop-wait", "move-wait"),
        "The loader has waited already: for a slot of another ring that it fills before this one, which every group "
        "releases behind its last look at the tile in this slot.",
        r"^mbarrier\.wait\((\w+_ring)_empty\.", role="loader", where=_needs_no_release,
    ),
    Equivalent(
        ("move-arrive",),
        "Before the loader fills this slot again, it fills one of another ring, which this group releases behind the "
        "same look at the tile, or a later one.",
        r"^mbarrier\.arrive\(\w+_ring_empty\.", role="consumer", where=_guarded_where_it_moves,
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
        r"^(\w+) = warpgroup_mma_wait\(0, deps=", _LAST.format(r"\w+_empty"), proved=True, where=_added_to_next,
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
    Equivalent(
        ("slot-arrived", "predicate-dropped"),
        "Of this ring no release says anything: each group gives one of another ring, which the loader fills before, "
        "behind its last look at the tile. And no phase ends twice before the loader looks: a group releases a slot "
        "once for each load to it, at most one of them too early.",
        r"^mbarrier\.arrive\(\w+_ring_empty\.index\(\(?i ", role="consumer", where=_needs_no_release,
    ),
)  # fmt: skip


def justified(module: str, mutant: Mutant, text: str, ordered: bool = False) -> str | None:
    """Why a survivor of `module` is no fault, None when no entry says so. text: the unbroken source. ordered: it
    survives every interleaving at the trip counts tried."""
    lines = text.splitlines()
    start = next((at for at in range(mutant.line - 1, -1, -1) if lines[at].startswith("def ")), 0)
    before = tuple(line.strip() for line in lines[start : mutant.line - 1])
    following = lines[mutant.line].strip() if mutant.line < len(lines) else ""
    site = Site(module, mutant, text, before, following, ordered)
    return next((entry.reason for entry in EQUIVALENTS if entry.covers(site)), None)

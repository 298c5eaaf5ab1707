"""Survivors that are no faults: waits for barriers and arrivals at them, of rings' slots and of turns."""

from __future__ import annotations

import re
from collections.abc import Callable

from benchmarks.mutation_guards import guarded, guarded_for_all
from benchmarks.mutation_sites import LAST, Equivalent, Site, ring_of, short_loops
from benchmarks.mutation_turns import (
    released_behind_turn,
    turn_given_behind,
    turn_given_for_the_tile,
    turn_given_in_the_body,
    turn_given_later,
)
from twill.emulate.rings import ring_depths


def _unfilled(site: Site) -> bool:
    """It stands in a loop of so few iterations that no slot of its ring is used twice; where it waits for one or uses
    one counted with a slot less, not even then."""
    mutant = site.mutant
    statement = site.following if mutant.kind == "move-mma-wait" else mutant.statement
    fewest, ring = short_loops(site.text).get(mutant.line), re.search(r"(\w+)\.index\(i % \d+\)", statement)
    if fewest is None or ring is None or (mutant.kind == "move-mma-wait" and "mbarrier.arrive(" not in statement):
        return False
    depths = ring_depths(site.text)
    depth = depths.get(ring[1], depths.get(f"{ring[1]}_full", 0))
    most = fewest - 1
    return most < depth if mutant.kind == "ring-modulo" and "mbarrier.arrive(" not in statement else most <= depth


def _turn_given_behind(site: Site) -> bool:
    return turn_given_behind(site.text, site.before, site.mutant.statement)


def _turn_given_later(site: Site) -> bool:
    return turn_given_later(site.text, site.before, site.mutant.statement)


def _turn_given_in_the_body(site: Site) -> bool:
    mutant = site.mutant
    return turn_given_in_the_body(site.text, mutant.role, mutant.line, mutant.statement)


def _turn_given_for_the_tile(site: Site) -> bool:
    mutant = site.mutant
    return turn_given_for_the_tile(site.text, mutant.role, mutant.line, mutant.line)


def _last_of_the_only_group(site: Site) -> bool:
    """No other role releases the ring, and behind its loop this one waits for no load to it below."""
    ring, role = ring_of(site.mutant.statement), ""
    roles, waits = set(), []
    for number, line in enumerate(site.text.splitlines(), 1):
        role = line if line.startswith("def ") else role
        if line.lstrip().startswith(f"mbarrier.arrive({ring}_empty."):
            roles.add(role)
        if line.lstrip().startswith(f"mbarrier.wait({ring}_full.index((n "):
            waits.append(number)
    return len(roles) == 1 and all(number < site.mutant.line for number in waits)


def _needs_no_release(site: Site) -> bool:
    return guarded_for_all(site.text, ring_of(site.mutant.statement))


def _guarded_where_it_moves(site: Site) -> bool:
    mutant = site.mutant
    return guarded(site.text, ring_of(mutant.statement), mutant.role, mutant.line)


def _behind_turn_where_it_moves(site: Site) -> bool:
    mutant = site.mutant
    return released_behind_turn(site.text, ring_of(mutant.statement), mutant.role, mutant.line)


def _moved_release(ring: str) -> Callable[[Site], bool]:
    """The release of `ring`, a regular expression, is what moved, or what the wait for an MMA moved behind."""
    return lambda site: re.search(ring, f"{site.mutant.statement}\n{site.following}") is not None


_MOVED = ("move-arrive", "move-mma-wait")
_D64_CAUSAL = r"^attention_d64_causal_"

BARRIERS = (
    Equivalent(
        ("phase-stuck", "ring-modulo", "drop-arrive", "slot-arrived", *_MOVED),
        "This loop has no more iterations than the ring has slots, so phases are 0 and no load waits for a release; "
        "fewer, where what is waited for or used is counted with a slot less.",
        where=_unfilled,
    ),
    Equivalent(
        ("drop-arrive", "move-arrive", "predicate-dropped"),
        "Released behind the loop: only the load a ring's depth of iterations later waits for this slot, and there is "
        "none.",
        LAST.format(r"\w+_empty"),
    ),
    Equivalent(
        ("slot-arrived", "ring-modulo"),
        "Given behind the loop, to another slot. The only group that releases this ring has waited for its last load, "
        "so none waits for a release any more.",
        LAST.format(r"\w+_empty"), where=_last_of_the_only_group,
    ),
    Equivalent(
        ("slot-arrived", "ring-modulo"),
        "Given behind the loop, to another slot. By the load or the turn that this group has waited for, the other "
        "group has made every release that a load still waits for, so this one adds to a phase that no load waits for.",
        LAST.format(r"\w+_empty"),
    ),
    Equivalent(
        ("drop-arrive", "move-arrive", "slot-arrived", "ring-modulo"),
        "The last turn is given behind the loop, where the other group waits for none; by the turn that this group has "
        "waited for, the other has passed its waits for earlier ones in other slots.",
        LAST.format(r"turn_\d+"),
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
        "A turn waited for above is given by the other group in an iteration in which, or before which, it waits for "
        "the same load; it orders the load before it.",
        r"^mbarrier\.wait\(\w+_ring_full\.", role="consumer", proved=True, where=_turn_given_for_the_tile,
    ),
    Equivalent(
        ("move-expect",),
        "The expect is the barrier's only arrival, so the phase cannot end before it; until then the transaction count "
        "is negative, which PTX allows.",
        r"^mbarrier\.expect\(",
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
        ("predicate-dropped",),
        "It waits at one more iteration, where the loader loads nothing to this ring: before the ring's first load the "
        "wait passes at once; behind the last, the release it waits for is given, and no load follows that could miss "
        "it.",
        r"^mbarrier\.wait\(\w+_empty\.", role="loader",
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
            (False, r"^attention_varlen_d128_(causal_)?(fp|bf)16", "v_tile_ring", "consumer"),
            (False, r"^attention_fwd_d128_(causal_)?windowed_(fp|bf)16", "v_tile_ring", "consumer"),
            (False, r"^attention_varlen_d64_(causal_)?(fp|bf)16", "k_tile_ring", "consumer0"),
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
        ("slot-arrived", "predicate-dropped"),
        "Of this ring no release says anything: each group gives one of another ring, which the loader fills before, "
        "behind its last look at the tile. And no phase ends twice before the loader looks: a group releases a slot "
        "once for each load to it, at most one of them too early.",
        r"^mbarrier\.arrive\(\w+_ring_empty\.index\(\(?i ", role="consumer", where=_needs_no_release,
    ),
)  # fmt: skip

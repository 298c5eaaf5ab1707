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
from benchmarks.mutation_guards import guarded, guarded_for_all
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
    """No TMA store of the stage that is written next lies above."""
    stage = site.following.partition(".")[0]
    return not any(
        line.startswith("tma_store(") and line.endswith((f"({stage})", f", {stage})")) for line in site.before
    )


def _behind_a_plain_store(site: Site) -> bool:
    """The statement above stores registers: no TMA store lies between."""
    return any(line.startswith("gl.store(") for line in site.before[-1:])


def _unfilled(site: Site) -> bool:
    """It stands where the iterations are too few to use a slot twice, in a ring even one slot shorter."""
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
    """The loop body waits above for a turn of iteration i, which another role gives behind this very statement."""
    body = site.before[max((at for at, line in enumerate(site.before) if line.startswith("for ")), default=0) :]
    waited = [re.match(r"mbarrier\.wait\((turn_\d+)\.index\(i % (\d+)\), \(i // \2\) & 1\)", line) for line in body]
    gives = [f"mbarrier.arrive({found[1]}.index(i % {found[2]}), count=1)" for found in waited if found]
    roles = [[line.strip() for line in role.splitlines()] for role in re.split(r"\n(?=def )", site.text)]
    return any(give in role and site.mutant.statement in role[: role.index(give)] for give in gives for role in roles)


def _behind_turns(site: Site) -> bool:
    """What was set up last before the fence is a barrier on which no TMA load completes."""
    return any(re.match(r"mbarrier\.init\((turn_\d+|\w+_empty)\.", line) for line in site.before[-1:])


def _ring(statement: str) -> str:
    """The ring whose slots a statement waits for or releases."""
    found = re.search(r"(\w+)_empty\.index\(", statement)
    return found[1] if found else ""


def _needs_no_release(site: Site) -> bool:
    return guarded_for_all(site.text, _ring(site.mutant.statement))


def _guarded_where_it_moves(site: Site) -> bool:
    mutant = site.mutant
    return guarded(site.text, _ring(mutant.statement), mutant.role, mutant.line)


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
        ("move-store-wait",),
        "It moves before a store of registers: the TMA store that it waits for still lies above.",
        change="^moved before", where=_behind_a_plain_store,
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
        ("move-expect",),
        "The expect is the barrier's only arrival, so the phase cannot end before it; until then the transaction count "
        "is negative, which PTX allows.",
        r"^mbarrier\.expect\(",
    ),
    Equivalent(
        ("mma-wait-depth", "store-wait-depth"), "Waiting for more than is needed only costs time.",
        change="depth [1-9] becomes 0",
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
    *(
        Equivalent(
            ("slot-arrived",),
            "The loop's releases go to the slot after their own. The loads, issued in order, use such a release no "
            "earlier than the late one of the slot before; and by the turns the other group has released a slot before "
            "this one does so twice, but at the end, where no load follows.",
            r"^mbarrier\.arrive\(\w+_ring_empty\.index\(\(?i ", role="consumer", proved=proved, modules=modules,
        )
        for proved, modules in ((True, ""), (False, r"^attention_(d64_causal|(fwd_)?d128(_causal)?)_(fp|bf)16"))
    ),
    Equivalent(
        _MOVED,
        "The slot is filled again when both groups have released it, and the other does so only behind the turn that "
        "this group gives in its next iteration, behind the wait.",
        role="consumer1", modules=_D64_CAUSAL, where=_moved_release(r"v_tile_ring_empty\.index\(\(i \+ 3\) % 4\)"),
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

"""Barriers that others make needless: read off an emitted module's releases, loads and turns.

The loader issues its loads in order. Before it fills a slot of ring R again, it has filled slots of other rings, and
waited for the releases of these. Where one of those, by the same group, stands behind the group's last look at the
tile that R's slot held, R's own release says nothing new.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

_RELEASE = re.compile(r"mbarrier\.arrive\((\w+)_empty\.index\((.+?)\), count=1(?:, pred=.*)?\)$")
_LOAD = re.compile(r"tma_load\(.*, (\w+)\.index\(([^()]*|\([^()]*\) % \d+)\)(?:, pred=.*)?\)$")
_COPY = re.compile(r"copy_async\((\w+)\.index\(([^()]*|\([^()]*\) % \d+)\), ")
_SLOT = re.compile(r"(?:i|\((?:done \+ )?i(?: \+ (\d+))?\)) % (\d+)")  # done: iterations for earlier output tiles
_BEHIND = re.compile(r"\(done \+ n \+ (\d+)\) % (\d+)")


@dataclass(frozen=True)
class Release:
    """A slot given back. place: "loop", "before" or "behind" it; tile: of iteration i in the loop the one of iteration
    i + tile, behind it n + tile, else that of a number; line: 1-based; looked: the line above it at which the group was
    done with the tile."""

    ring: str
    tile: int
    place: str
    line: int
    looked: int


@dataclass(frozen=True)
class Fill:
    """The load of a tile, or its copy by the loader, in the loader's iteration of the tile's number plus `lag`;
    place: its line."""

    lag: int
    place: int


def guarded(text: str, ring: str, role: str, line: int = 0, behind: int = 0) -> bool:
    """Whether releases of other rings by `role` make those of `ring` needless: that of `line`, or all in its loop.

    behind: the others must stand below this line too. False where `role` never releases the ring.
    """
    own = [each for each in releases(text, role) if each.ring == ring]
    wanted = [each for each in own if each.line == line] if line else [each for each in own if each.place != "before"]
    return bool(wanted) and all(_guard(text, role, each, behind) for each in wanted)


def guarded_for_all(text: str, ring: str) -> bool:
    """Whether that holds for every role that releases the ring."""
    roles = [role for role in roles_of(text) if any(each.ring == ring for each in releases(text, role))]
    return bool(roles) and all(guarded(text, ring, role) for role in roles)


def _guard(text: str, role: str, own: Release, behind: int) -> bool:
    fills, depths = _fills(text), _depths(text)
    if own.ring not in fills:
        return False
    again = own.tile + depths[own.ring] + fills[own.ring].lag, fills[own.ring].place
    for other in releases(text, role):
        if other.ring == own.ring or other.ring not in fills or other.place != own.place:
            continue
        filled = other.tile + depths[other.ring] + fills[other.ring].lag
        if other.line > max(own.looked, behind) and (filled, fills[other.ring].place) < again:
            return True
        if other.place == "loop" and (filled + 1, fills[other.ring].place) < again:  # the one of the iteration after
            return True
    return False


@lru_cache(maxsize=256)
def releases(text: str, role: str) -> tuple[Release, ...]:
    """Those of the role's first loop over its iterations, and those of constant slots above it; behind it those of a
    loop over output tiles, whose loads go on."""
    found = []
    looked, loop, place = 0, 0, "before"
    for number, line in lines_of(text, role):
        statement, indent = line.strip(), len(line) - len(line.lstrip())
        if re.match(r"for i in range\(", statement) and place == "before":
            loop, place = indent, "loop"
        elif place == "loop" and indent <= loop and statement and not statement.startswith("#"):
            place = "behind"
        if "warpgroup_mma_wait(" in statement or re.search(r"_ring\.index\(.*\)\S*\.load\(", statement):
            looked = number
        match = _RELEASE.match(statement)
        if match is None:
            continue
        slot = (_BEHIND if place == "behind" else _SLOT).fullmatch(match[2])
        if slot and place != "before":
            found.append(Release(match[1], _tile(slot), place, number, looked))
        elif match[2].isdigit() and place == "before":
            found.append(Release(match[1], int(match[2]), place, number, looked))
    return tuple(found)


def _tile(slot: re.Match[str]) -> int:
    """The tile's iteration less i: slots of a ring of d are i + k for the tile of iteration i + k - d."""
    return int(slot[1]) - int(slot[2]) if slot[1] else 0


@lru_cache(maxsize=64)
def _fills(text: str) -> dict[str, Fill]:
    found = {}
    for number, line in lines_of(text, "loader"):
        match = _LOAD.match(line.strip()) or _COPY.match(line.strip())
        slot = _SLOT.fullmatch(match[2]) if match else None
        if match and slot:
            found[match[1]] = Fill(-_tile(slot), number)
    return found


@lru_cache(maxsize=64)
def _depths(text: str) -> dict[str, int]:
    found = re.findall(r"(\w+)_empty = gl\.allocate_shared_memory\(gl\.int64, \[(\d+), 1\]", text)
    return {name: int(depth) for name, depth in found}


def roles_of(text: str) -> list[str]:
    return re.findall(r"^def (\w+)\(", text, re.MULTILINE)


def lines_of(text: str, role: str) -> Iterator[tuple[int, str]]:
    """(1-based number, line) of a function."""
    inside = False
    for number, line in enumerate(text.split("\n"), 1):
        if line.startswith("def "):
            inside = line.startswith(f"def {role}(")
        elif inside:
            yield number, line

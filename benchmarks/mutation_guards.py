"""Barriers that others make needless: read off an emitted module's releases, loads and turns.

The loader issues its loads in order. Before it fills a slot of ring R again, it has filled slots of other rings, and
waited for the releases of these. Where one of those, by the same group, stands behind the group's last look at the
tile that R's slot held, R's own release says nothing new.

A group that waits for a turn of its iteration, which another group gives behind its own wait for the same load, needs
no wait for that load.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
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
    own = [each for each in _releases(text, role) if each.ring == ring]
    wanted = [each for each in own if each.line == line] if line else [each for each in own if each.place != "before"]
    return bool(wanted) and all(_guard(text, role, each, behind) for each in wanted)


def guarded_for_all(text: str, ring: str) -> bool:
    """Whether that holds for every role that releases the ring."""
    roles = [role for role in _roles(text) if any(each.ring == ring for each in _releases(text, role))]
    return bool(roles) and all(guarded(text, ring, role) for role in roles)


def _guard(text: str, role: str, own: Release, behind: int) -> bool:
    fills, depths = _fills(text), _depths(text)
    if own.ring not in fills:
        return False
    again = own.tile + depths[own.ring] + fills[own.ring].lag, fills[own.ring].place
    for other in _releases(text, role):
        if other.ring == own.ring or other.ring not in fills or other.place != own.place:
            continue
        filled = other.tile + depths[other.ring] + fills[other.ring].lag
        if other.line > max(own.looked, behind) and (filled, fills[other.ring].place) < again:
            return True
        if other.place == "loop" and (filled + 1, fills[other.ring].place) < again:  # the one of the iteration after
            return True
    return False


@lru_cache(maxsize=256)
def _releases(text: str, role: str) -> tuple[Release, ...]:
    """Those of the role's first loop over its iterations, and those of constant slots above it; behind it those of a
    loop over output tiles, whose loads go on."""
    found = []
    looked, loop, place = 0, 0, "before"
    for number, line in _lines(text, role):
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
    for number, line in _lines(text, "loader"):
        match = _LOAD.match(line.strip()) or _COPY.match(line.strip())
        slot = _SLOT.fullmatch(match[2]) if match else None
        if match and slot:
            found[match[1]] = Fill(-_tile(slot), number)
    return found


@lru_cache(maxsize=64)
def _depths(text: str) -> dict[str, int]:
    found = re.findall(r"(\w+)_empty = gl\.allocate_shared_memory\(gl\.int64, \[(\d+), 1\]", text)
    return {name: int(depth) for name, depth in found}


def released_behind_turn(text: str, ring: str, role: str, line: int) -> bool:
    """Whether each other role whose loop releases `ring` does so behind a turn, waited for in that iteration, that
    `role` gives in the same one of its own, behind the look at the tile that it releases at `line`.

    False where no other role releases the ring.
    """
    own = _looped(text, role, ring)
    others = {other: _looped(text, other, ring) for other in _roles(text) if other != role}
    others = {other: found for other, found in others.items() if found}
    return [each.line for each in own] == [line] and any(
        bool(others)
        and all(
            [each.tile for each in found] == [own[0].tile]
            and any(
                number > own[0].looked and any(at < found[0].line for at in _awaited(text, other, begin, turn, depth))
                for number, turn, depth in _given(text, role, begin)
            )
            for other, found in others.items()
        )
        for begin in (0, 1)
    )


def turn_given_in_the_body(text: str, role: str, line: int, statement: str) -> bool:
    """Whether the loop of `role` waits above `line` for a turn that another role gives in the same iteration of its
    own, behind this very statement."""
    return any(
        any(at < line for at in _awaited(text, role, begin, turn, depth))
        and any(each == statement for at, each in _loop(text, other, begin) if at < number)
        for begin in (0, 1)
        for other in _roles(text)
        for number, turn, depth in _given(text, other, begin)
    )


def _looped(text: str, role: str, ring: str) -> list[Release]:
    return [each for each in _releases(text, role) if each.ring == ring and each.place == "loop"]


def _given(text: str, role: str, begin: int) -> list[tuple[int, str, int]]:
    """(line, turn, depth) of turns of which the loop, from iteration `begin` on, gives one in each, and none is given
    before: so that iteration i gives number i - begin."""
    body = dict(_loop(text, role, begin))
    found = []
    for turn, depth in re.findall(
        r"^    (turn_\d+) = gl\.allocate_shared_memory\(gl\.int64, \[(\d+), 1\]", text, re.MULTILINE
    ):
        gives = [number for number, each in _lines(text, role) if each.strip().startswith(f"mbarrier.arrive({turn}.")]
        inside = [number for number in gives if number in body]
        if len(inside) == 1 and gives[0] == inside[0] and body[inside[0]] == _gives(turn, int(depth), begin):
            found.append((inside[0], turn, int(depth)))
    return found


def _awaited(text: str, role: str, begin: int, turn: str, depth: int) -> list[int]:
    """The lines at which iteration i of the loop from `begin` on waits for number i - begin of a turn."""
    number = f"(i - {begin})" if begin else "i"
    parity = f"({number} // {depth}) & 1" if depth > 1 else f"{number} & 1"
    wait = f"mbarrier.wait({_slot(turn, depth, begin, 'i')}, {parity})"
    return [at for at, each in _loop(text, role, begin) if each == wait]


def _loop(text: str, role: str, begin: int) -> list[tuple[int, str]]:
    """(1-based number, statement) of the only loop of a role over its iterations, where that begins at `begin`."""
    lines = [(number, line) for number, line in _lines(text, role) if line.strip()]
    starts = [at for at, (_, line) in enumerate(lines) if line.strip().startswith("for i in range(")]
    if len(starts) != 1 or not lines[starts[0]][1].strip().startswith(f"for i in range({begin}, "):
        return []
    head = lines[starts[0]][1]
    indent, found = len(head) - len(head.lstrip()), []
    for number, line in lines[starts[0] + 1 :]:
        if len(line) - len(line.lstrip()) <= indent:
            break
        found.append((number, line.strip()))
    return found


def turn_given_behind(text: str, before: Sequence[str], statement: str) -> bool:
    """Whether the loop body waits above `statement` for a turn of iteration i, which another role gives behind this
    very statement. before: the lines of the function above it."""
    return any(
        _gives(turn, depth, 0) in role and statement in role[: role.index(_gives(turn, depth, 0))]
        for turn, depth in _turns_waited(before)
        for role in _bodies(text)
    )


def turn_given_later(text: str, before: Sequence[str], statement: str) -> bool:
    """The same where iteration i + 1 of that role looks at the load of iteration i, in its loop and behind it."""
    found = re.search(r"\((\w+)\.index\(i % (\d+)\)", statement)
    if found is None:
        return False
    ring, depth = found[1], int(found[2])
    for turn, turns in _turns_waited(before):
        for role in _bodies(text):
            given = [line for line in role if line.startswith(f"mbarrier.arrive({turn}.")]
            waits = [f"mbarrier.wait({_slot(ring, depth, 1, at)}, (({at} - 1) // {depth}) & 1)" for at in ("i", "n")]
            if given == [_gives(turn, turns, 1, at) for at in ("i", "n")] and all(
                wait in role[: role.index(give)] for give, wait in zip(given, waits, strict=True)
            ):
                return True
    return False


def _turns_waited(before: Sequence[str]) -> list[tuple[str, int]]:
    """(name, depth) of the turns of iteration i that the loop body waits for."""
    body = before[max((at for at, line in enumerate(before) if line.startswith("for ")), default=0) :]
    waited = [re.match(r"mbarrier\.wait\((turn_\d+)\.index\(i % (\d+)\), \(i // \2\) & 1\)", line) for line in body]
    return [(found[1], int(found[2])) for found in waited if found]


def _gives(turn: str, depth: int, later: int, at: str = "i") -> str:
    return f"mbarrier.arrive({_slot(turn, depth, later, at)}, count=1)"


def _slot(ring: str, depth: int, later: int, at: str) -> str:
    """The slot of iteration `at` - `later`, as Twill writes it."""
    if depth == 1:
        return f"{ring}.index(0)"
    ahead = -later % depth
    return f"{ring}.index(({at} + {ahead}) % {depth})" if ahead else f"{ring}.index({at} % {depth})"


def _bodies(text: str) -> list[list[str]]:
    """The lines of each function."""
    return [[line.strip() for line in role.splitlines()] for role in re.split(r"\n(?=def )", text)]


def _roles(text: str) -> list[str]:
    return re.findall(r"^def (\w+)\(", text, re.MULTILINE)


def _lines(text: str, role: str) -> Iterator[tuple[int, str]]:
    """(1-based number, line) of a function."""
    inside = False
    for number, line in enumerate(text.split("\n"), 1):
        if line.startswith("def "):
            inside = line.startswith(f"def {role}(")
        elif inside:
            yield number, line

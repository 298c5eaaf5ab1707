"""Barriers that turns make needless: read off where an emitted module's groups give turns and wait for them.

A turn is a barrier by which one consumer group tells the other that it has issued an MMA. A group that waits for a turn
which another gives behind its own wait for the same load needs no wait for that load. Nor does a release say anything
that another group gives behind a turn of this one, behind its last look at the tile.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.mutation_guards import Release, lines_of, releases, roles_of

_AWAITED = re.compile(r"mbarrier\.wait\((\w+)\.index\(.*\), \((?:([in])|\(([in]) - (\d+)\)) // (\d+)\) & 1\)$")


def released_behind_turn(text: str, ring: str, role: str, line: int) -> bool:
    """Whether each other role whose loop releases `ring` does so behind a turn, waited for in that iteration, that
    `role` gives in the same one of its own, behind the look at the tile that it releases at `line`.

    False where no other role releases the ring.
    """
    own = _looped(text, role, ring)
    others = {other: _looped(text, other, ring) for other in roles_of(text) if other != role}
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
        for other in roles_of(text)
        for number, turn, depth in _given(text, other, begin)
    )


def turn_given_for_the_tile(text: str, role: str, line: int, issued: int) -> bool:
    """Whether `role` waits for the load of a tile at `line`, and above `issued` too, both in its first loop or both
    behind that, for a turn that another role gives in an iteration in which, or before which, it waits for that load.

    issued: the line at which an MMA may read the tile.
    """
    own = _first_loop(text, role)
    if own is None:
        return False
    above = [_awaits(statement) for number, statement in (*own.body, *own.behind) if number < issued]
    at = [_awaits(statement) for number, statement in (*own.body, *own.behind) if number == line]
    if not at or at[0] is None or (at[0].at == "n" and f"if n >= {own.begin}:" not in own.before):
        return False
    loops = [_first_loop(text, other) for other in roles_of(text) if other != role]
    return any(
        _orders(other, own.begin, turn, at[0])
        for turn in above
        for other in loops
        if turn is not None and turn.barrier.startswith("turn_") and turn.at == at[0].at and other is not None
    )


def _orders(giver: _Loop, begin: int, turn: _Awaited, load: _Awaited) -> bool:
    """Whether the role that waits for `turn`, in iterations from `begin` on or behind them, then knows of `load`."""
    gives = [(number, each) for number, each in giver.body if each.startswith(f"mbarrier.arrive({turn.barrier}.")]
    early = [each for each in giver.before if each.startswith(f"mbarrier.arrive({turn.barrier}.")]
    if len(gives) != 1 or early != [f"mbarrier.arrive({turn.barrier}.index({k}), count=1)" for k in range(len(early))]:
        return False
    later = giver.begin - len(early)  # iteration i gives number i - later
    if gives[0][1] != _gives(turn.barrier, turn.depth, later) or turn.back < later + (turn.at == "n"):
        return False
    looks = [_awaits(each) for number, each in giver.body if number < gives[0][0]]
    behind = [each.back - load.back for each in looks if each is not None and each.barrier == load.barrier]
    first = min((begin - turn.back + later, *(begin + lag for lag in behind)))  # of the giver's iterations meant
    return any(lag <= later - turn.back for lag in behind) and first >= giver.begin


@dataclass(frozen=True)
class _Awaited:
    """A wait for use number `at` - `back` of a ring of barriers, at being i or n."""

    barrier: str
    depth: int
    at: str
    back: int


def _awaits(statement: str) -> _Awaited | None:
    found = _AWAITED.match(statement)
    if found is None:
        return None
    wait = _Awaited(found[1], int(found[5]), found[2] or found[3], int(found[4] or 0))
    number = f"({wait.at} - {wait.back})" if wait.back else wait.at
    slot = _slot(wait.barrier, wait.depth, wait.back, wait.at)
    return wait if statement == f"mbarrier.wait({slot}, ({number} // {wait.depth}) & 1)" else None


@dataclass(frozen=True)
class _Loop:
    """A role's first loop over its iterations, from `begin` to n: the statements above it, and those in its body and
    behind it in the same branch with their 1-based lines."""

    begin: int
    before: tuple[str, ...]
    body: tuple[tuple[int, str], ...]
    behind: tuple[tuple[int, str], ...]


def _first_loop(text: str, role: str) -> _Loop | None:
    lines = [(number, line) for number, line in lines_of(text, role) if line.strip()]
    for at, (_, head) in enumerate(lines):
        found = re.match(r"( +)for i in range\((\d+), n\):", head)
        if found is None:
            continue
        rest = [(number, line.strip(), len(line) - len(line.lstrip())) for number, line in lines[at + 1 :]]
        ends = next((k for k, each in enumerate(rest) if each[2] <= len(found[1])), len(rest))
        left = next((k for k, each in enumerate(rest) if each[2] < len(found[1])), len(rest))
        body, behind = ([each[:2] for each in part] for part in (rest[:ends], rest[ends:left]))
        return _Loop(int(found[2]), tuple(line.strip() for _, line in lines[:at]), tuple(body), tuple(behind))
    return None


def _looped(text: str, role: str, ring: str) -> list[Release]:
    return [each for each in releases(text, role) if each.ring == ring and each.place == "loop"]


def _given(text: str, role: str, begin: int) -> list[tuple[int, str, int]]:
    """(line, turn, depth) of turns of which the loop, from iteration `begin` on, gives one in each, and none is given
    before: so that iteration i gives number i - begin."""
    body = dict(_loop(text, role, begin))
    found = []
    for turn, depth in re.findall(
        r"^    (turn_\d+) = gl\.allocate_shared_memory\(gl\.int64, \[(\d+), 1\]", text, re.MULTILINE
    ):
        gives = [number for number, each in lines_of(text, role) if each.strip().startswith(f"mbarrier.arrive({turn}.")]
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
    lines = [(number, line) for number, line in lines_of(text, role) if line.strip()]
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

"""Names for the values of a Graph, taken from the variables of the user's source.

Several ops often belong to one source variable (`s = tl.dot(q, k.T) * scale`). The one that does
the work gets the plain name: a load, dot, reduction or descriptor first, then a transcendental,
then the last elementwise op; the others follow as name_1, name_2, ... in program order.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

_HEAVY = frozenset({"descriptor_load", "load", "dot", "reduce", "descriptor", "index"})
_TRANSCENDENTAL = frozenset({"exp", "exp2", "log", "log2", "sqrt", "rsqrt", "sin", "cos", "tanh", "erf"})
_SHAPE = frozenset({"splat", "expand_dims", "broadcast", "trans", "reshape", "constant", "arange", "cast"})
_LEGAL = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


@dataclass(frozen=True)
class Wish:
    """A value by its key (its SSA name), the base it would like to be called, and what defines it."""

    key: str
    base: str
    opcode: str = ""
    tile: bool = False

    @property
    def rank(self) -> int:
        if self.opcode in _HEAVY:
            return 0
        if self.opcode in _TRANSCENDENTAL:
            return 1
        return 3 if self.opcode in _SHAPE or not self.tile else 2


def legal(name: str) -> bool:
    """Whether `name` can be a value's name as it stands."""
    return bool(_LEGAL.match(name))


def without_counter(ssa: str, known: Iterable[str]) -> str:
    """The variable behind `%m_8`: MLIR appends a counter to a name already taken (`m`); a tag after @ is none of it."""
    name = ssa.lstrip("%").partition("#")[0].partition("@")[0]
    stem = re.sub(r"_\d+\Z", "", name)
    return stem if stem != name and stem in set(known) else name


def assign(fixed: Mapping[str, str], wishes: Sequence[Wish]) -> dict[str, str]:
    """A unique name for every key: `fixed` as it stands, the wishes by rank."""
    chosen = dict(fixed)
    taken = set(fixed.values())
    winners: dict[str, Wish] = {}
    for wish in wishes:
        best = winners.get(wish.base)
        if best is None or wish.rank < best.rank or (wish.rank == best.rank and wish.rank >= 2):
            winners[wish.base] = wish
    for base, wish in winners.items():
        if base not in taken:
            chosen[wish.key] = base
            taken.add(base)
    for wish in wishes:
        if wish.key in chosen:
            continue
        number = 1
        while f"{wish.base}_{number}" in taken:
            number += 1
        chosen[wish.key] = f"{wish.base}_{number}"
        taken.add(chosen[wish.key])
    return chosen

"""Loops in sequence, in TTIR: which they are, with new names for what each defines inside.

MLIR numbers the values of two loops alike.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from twill.frontend.ttir_tree import Region, Statement


def in_sequence(first: Statement, after: Sequence[Statement]) -> tuple[list[Statement], list[list[Statement]]]:
    """The loops from `first` on, and the statements after each."""
    loops = [first]
    codes: list[list[Statement]] = [[]]
    for statement in after:
        if statement.name == "scf.for":
            loops.append(apart(statement, f"loop{len(loops) + 1}"))
            codes.append([])
        else:
            codes[-1].append(statement)
    return loops, codes


def divisibility(statement: Statement) -> int:
    """What tl.multiple_of says of the one scalar integer that a statement gives; 1 where it says nothing."""
    found = re.match(r"dense<(\d+)>", str(statement.attributes.get("tt.divisibility", "")))
    return int(found[1]) if found and len(statement.results) == 1 else 1


def apart(loop: Statement, tag: str) -> Statement:
    """The same `scf.for`, every value defined in its region with `tag` after its name."""
    new: dict[str, str] = {}
    _collect(loop.regions, tag, new)
    index = loop.words[-1]
    new.update({name: f"{name}@{tag}" for name in (index, *(argument for argument, _ in loop.carried))})
    carried = [(new[argument], initial) for argument, initial in loop.carried]
    regions = [_renamed(region, new) for region in loop.regions]
    return replace(loop, words=[*loop.words[:-1], new[index]], carried=carried, regions=regions)


def _collect(regions: list[Region], tag: str, new: dict[str, str]) -> None:
    for region in regions:
        for arguments, statements in region.blocks:
            new.update((name, f"{name}@{tag}") for name, _ in arguments)
            for statement in statements:
                new.update((name, f"{name}@{tag}") for name in statement.results)
                new.update((name, f"{name}@{tag}") for name, _ in statement.carried)
                _collect(statement.regions, tag, new)


def _renamed(region: Region, new: dict[str, str]) -> Region:
    def name(value: str) -> str:
        return new.get(value, value)

    def renamed(statement: Statement) -> Statement:
        return replace(
            statement,
            results=[name(each) for each in statement.results],
            operands=[name(each) for each in statement.operands],
            carried=[(name(argument), name(initial)) for argument, initial in statement.carried],
            regions=[_renamed(each, new) for each in statement.regions],
        )

    blocks = [
        ([(name(key), kind) for key, kind in arguments], [renamed(each) for each in statements])
        for arguments, statements in region.blocks
    ]
    return Region(blocks)

"""A loop around the loop, one tile a turn: which statements are what, and what its turns pass to one another.

Only scalar integers that move by a fixed amount may pass from turn to turn, and they become functions of the outer
loop's index, so that a role may begin a tile while another is still in the one before.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NoReturn

from twill.errors import Location
from twill.frontend.branches import Step
from twill.frontend.drafts import Draft
from twill.frontend.opcodes import IGNORED
from twill.frontend.ttir_tree import Statement
from twill.ir.graph import Attribute, Type

Refuse = Callable[[Statement, str, str], NoReturn]
_ENDS = {"scf.yield", "tt.return"}


@dataclass(frozen=True)
class Nest:
    """The kernel's parts: entry before the outer loop, inside it `before`, the (first) inner loop, `after`; after it
    the rest.

    Without an outer loop, `outer` is None, `entry` and `rest` are empty.
    """

    entry: Sequence[Statement]
    outer: Statement | None
    before: Sequence[Statement]
    loop: Statement
    after: Sequence[Statement]
    rest: Sequence[Statement] = ()


def nest(statements: Sequence[Statement], find: Callable[[Sequence[Statement]], int]) -> Nest:
    """The parts of a kernel. find: the place of the first loop among statements."""
    at = find(statements)
    outer = statements[at]
    inside = outer.regions[0].statements
    if all(statement.name != "scf.for" for statement in inside):
        return Nest((), None, statements[:at], outer, statements[at + 1 :])
    place = find(inside)
    rest = [statement for statement in statements[at + 1 :] if statement.name not in IGNORED | _ENDS]
    return Nest(statements[:at], outer, inside[:place], inside[place], inside[place + 1 :], rest)


class Counters:
    """The scalars that an outer loop carries, as functions of its index.

    loop: the inner one, at which what cannot be is refused.
    """

    def __init__(self, outer: Statement, loop: Statement, index: Type, types: Sequence[Type], refuse: Refuse) -> None:
        self.outer, self.loop, self.index, self.types, self.refuse = outer, loop, index, types, refuse
        statements = outer.regions[0].statements
        self.made = {key: each for each in statements for key in each.results}
        self.yielded = statements[-1].operands if statements and statements[-1].name == "scf.yield" else []

    def steps(self, location: Location | None) -> list[Step]:
        """What computes each carried scalar at the beginning of a tile, under its own name."""
        found: list[Step] = []
        for (argument, initial), after, type in zip(self.outer.carried, self.yielded, self.types, strict=True):
            found += [Step(draft, location, "") for draft in self._function(argument, initial, after, type)]
        return found

    def _function(self, argument: str, initial: str, after: str, type: Type) -> list[Draft]:
        lower, _, step = self.outer.operands
        name, by = argument.removeprefix("%"), self._by(argument, after, type)
        index = self.outer.words[-1]

        def draft(opcode: str, result: str, kind: Type, *operands: str) -> Draft:
            attributes: dict[str, Attribute] = {"signed": True} if opcode in ("div", "cast") else {}
            return Draft(opcode, operands, ((result, kind),), attributes)

        if by is None:  # each turn hands on what it was given
            zero = Draft("constant", (), ((f"%{name}@zero", type),), {"value": 0})
            return [zero, draft("add", argument, type, initial, f"%{name}@zero")]
        drafts = [draft("sub", f"%{name}@past", self.index, index, lower)]
        past = f"%{name}@past"
        if by != step:
            drafts.append(draft("div", f"%{name}@turn", self.index, past, step))
            past = f"%{name}@turn"
        if self.index.dtype != type.dtype:
            drafts.append(draft("cast", f"%{name}@count", type, past))
            past = f"%{name}@count"
        if by != step:
            drafts.append(draft("mul", f"%{name}@moved", type, past, by))
            past = f"%{name}@moved"
        return [*drafts, draft("add", argument, type, initial, past)]

    def _by(self, argument: str, after: str, type: Type) -> str | None:
        """What is added to a scalar in each turn, None when it stays; refuses anything else."""
        if type.shape or type.kind != "value" or not type.dtype.startswith("i"):
            what = "a tile" if type.shape else "a pointer" if type.kind == "pointer" else "a value"
            self.refuse(
                self.loop,
                f"a loop inside the loop of which one turn hands {what} to the next",
                "Begin it anew in each turn of the outer loop; unroll a short inner loop with tl.static_range.",
            )
        if after == argument:
            return None
        made = self.made.get(after)
        if made is not None and made.name == "arith.addi" and argument in made.operands:
            others = [key for key in made.operands if key != argument]
            if len(others) == 1 and others[0] not in self.made and others[0] != self.outer.words[-1]:
                return others[0]
        self.refuse(
            self.loop,
            "a loop inside the loop whose turns carry a number that does not grow by the same each time",
            "Compute it from the outer loop's index.",
        )

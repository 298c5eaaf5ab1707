"""An `if` on a run-time value, made straight: both branches run, masks keep what they touch in memory apart, and
selects choose what they give."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from twill.errors import Location
from twill.frontend.drafts import Draft, Refused, require_value
from twill.frontend.ttir_tree import Statement
from twill.ir.graph import Attribute, Type

_BOOL = Type("i1")
_MASKS = {"load": 1, "store": 2, "atomic": 2}  # opcode -> place of the mask among its operands


@dataclass(frozen=True)
class Step:
    """One drafted op with where it comes from and the variable it belongs to; shape: of its pointers."""

    draft: Draft
    location: Location | None
    variable: str
    shape: tuple[int, ...] = ()


@dataclass(frozen=True)
class Branch:
    """Steps of a branch in program order, nested ones made straight, and the SSA names it yields."""

    steps: Sequence[Step]
    yielded: Sequence[str]


class If:
    """One `scf.if` made straight. key: unique among those of the function, of this statement's new names.

    Values of sibling regions may have the same SSA name in MLIR, so that all of a branch get new ones.
    """

    def __init__(self, statement: Statement, types: Sequence[Type], key: str, location: Location | None) -> None:
        self.statement = statement
        self.types = types
        self.key = key
        self.location = location
        self.condition = statement.operands[0]

    def steps(self, branches: Sequence[Branch]) -> Iterator[Step]:
        """Everything in program order. branches: then, else; without results there may be no else.

        Raises Refused for what cannot be masked or selected.
        """
        for result in self.types:
            require_value(result)
        then, *rest = [self._renamed(branch, side) for branch, side in zip(branches, ("then", "else"), strict=False)]
        yield from self._guarded(then.steps, self.condition)
        if rest and rest[0].steps:
            otherwise = f"%{self.key}_not"
            if any(_masked(step.draft) for step in rest[0].steps):
                true = f"%{self.key}_true"
                yield self._step("constant", (), true, _BOOL, value=True)
                yield self._step("xor", (self.condition, true), otherwise, _BOOL)
            yield from self._guarded(rest[0].steps, otherwise)
        if not self.types:
            return
        variables = {key: step.variable for branch in (then, *rest) for step in branch.steps
                     for key, _ in step.draft.results}  # fmt: skip
        for key, type, a, b in zip(self.statement.results, self.types, then.yielded, rest[0].yielded, strict=True):
            draft = Draft("select", (self.condition, a, b), ((key, type),))
            yield Step(draft, self.location, variables.get(a) or variables.get(b, ""))

    def _step(self, opcode: str, operands: tuple[str, ...], key: str, type: Type, **attributes: Attribute) -> Step:
        return Step(Draft(opcode, operands, ((key, type),), attributes), self.location, "")

    def _renamed(self, branch: Branch, side: str) -> Branch:
        new = {key: f"{key}@{self.key}_{side}" for step in branch.steps for key in
               (*(key for key, _ in step.draft.results), *step.draft.ignored)}  # fmt: skip

        def renamed(draft: Draft) -> Draft:
            return replace(
                draft,
                operands=tuple(new.get(key, key) for key in draft.operands),
                results=tuple((new[key], kind) for key, kind in draft.results),
                ignored=tuple(new[key] for key in draft.ignored),
            )

        steps = [replace(step, draft=renamed(step.draft)) for step in branch.steps]
        return Branch(steps, [new.get(key, key) for key in branch.yielded])

    def _guarded(self, steps: Sequence[Step], condition: str) -> Iterator[Step]:
        """The steps of a branch, what they touch in memory only where the condition holds."""
        for number, step in enumerate(steps):
            draft = step.draft
            if draft.opcode == "descriptor_store":
                raise Refused(
                    "a store of a tensor descriptor under an `if` on a run-time value",
                    "Store through pointers (tl.store), which take a mask, or store after the loop.",
                )
            if draft.opcode == "descriptor":
                raise Refused("a tensor descriptor made under an `if`", "Make it once, before the `if`.")
            if not _masked(draft):
                yield step
                continue
            yield from self._mask(step, condition, f"{self.key}_{number}")

    def _mask(self, step: Step, condition: str, key: str) -> Iterator[Step]:
        draft, shape = step.draft, step.shape
        at = _MASKS[draft.opcode]
        mask = condition
        wide = Type("i1", shape)
        if shape:
            mask = f"%{key}_mask"
            yield self._step("splat", (condition,), mask, wide)
        if len(draft.operands) > at:
            both = f"%{key}_both"
            yield self._step("and", (draft.operands[at], mask), both, wide)
            mask = both
        operands = (*draft.operands[:at], mask, *draft.operands[at + 1 :])
        if draft.opcode == "load" and len(operands) == at + 1:
            other, result = f"%{key}_other", draft.results[0][1]
            yield self._step("constant", (), other, result, value=_zero(result))
            operands = (*operands, other)
        yield replace(step, draft=replace(draft, operands=operands))


def _masked(draft: Draft) -> bool:
    return draft.opcode in _MASKS


def _zero(type: Type) -> bool | int | float:
    if type.is_float:
        return 0.0
    return False if type.dtype == "i1" else 0

"""The iterations of two loops, one after the other, as those of one loop."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from twill.errors import Unsupported
from twill.frontend.merge.builder import I1, Builder
from twill.ir.graph import Carried, Loop, Op, Value
from twill.ir.induction import induction_step


@dataclass(frozen=True)
class Space:
    """One loop's index and bounds for two loops, and where the second begins.

    The iteration is one of the first loop while `index < border`; the second loop's first one has index == border.
    count: of the iterations of the first loop, where index counts turns; None where it is the index of both.
    """

    index: Value
    lower: str
    upper: str
    step: str
    border: str
    count: str | None


def trip_count(before: Builder, loop: Loop) -> str:
    """How often a loop runs, as a scalar before it."""
    forms = before.forms
    past = before.scalar("sub", loop.upper, loop.lower)
    known = forms[past]
    if not (_is_positive(before, loop.step) and forms.divisible(known, forms[loop.step].constant)):
        one = before.constant(1, loop.index.type)
        past = before.scalar("add", past, before.scalar("sub", loop.step, one))
    count = before.scalar("div", past, loop.step, signed=True, name="turns")
    if forms.not_negative(known):
        return count
    return before.scalar("max", before.constant(0, loop.index.type), count, signed=True, name="turns")


def joined(before: Builder, first: Loop, second: Loop) -> Space:
    """The space of both loops. Raises Unsupported where their indices have different types."""
    type = first.index.type
    if type != second.index.type:
        raise Unsupported(
            f"this loop counts in {second.index.type.dtype}, the loop before it in {type.dtype}: they cannot be "
            "merged.",
            hint="Give the bounds of both loops the same integer type, for instance by .to(tl.int32).",
            location=second.location,
        )
    forms = before.forms
    past = forms[first.upper] - forms[first.lower]
    continues = before.same(first.step, second.step) and before.same(first.upper, second.lower)
    if continues and _is_positive(before, first.step) and forms.divisible(past, forms[first.step].constant):
        lower, upper = first.lower, second.upper
        if not forms.not_negative(past):  # a range that ends before it begins is empty
            lower = before.scalar("min", first.lower, first.upper, signed=True, name="lower")
        if not forms.not_negative(forms[second.upper] - forms[second.lower]):
            upper = before.scalar("max", second.lower, second.upper, signed=True, name="upper")
        return Space(first.index, lower, upper, first.step, first.upper, None)
    count = trip_count(before, first)
    upper = before.scalar("add", count, trip_count(before, second), name="turns")
    index = Value(before.fresh("turn"), type)
    zero, one = before.constant(0, type), before.constant(1, type)
    return Space(index, zero, upper, one, count, count)


def both_indices(body: Builder, space: Space, first: Loop, second: Loop, is_first: str) -> str:
    """The index of the loop that an iteration belongs to."""
    if space.count is None:
        return space.index.name
    turn = space.index.name
    a = body.scalar("add", first.lower, body.scalar("mul", turn, first.step), name=first.index.name)
    later = body.scalar("sub", turn, space.count)
    b = body.scalar("add", second.lower, body.scalar("mul", later, second.step), name=second.index.name)
    if body.same(a, b):
        return a
    return body.scalar("select", is_first, a, b, type=first.index.type, name=first.index.name)


def begins_second(body: Builder, space: Space) -> str:
    """Whether it is the first iteration of the second loop, as a scalar."""
    return body.scalar(
        "cmp", space.index.name, space.border, type=I1, name="second_begins", predicate="eq", signed=True
    )


def without_inductions(before: Builder, loop: Loop, unknown: set[str]) -> tuple[Loop, Mapping[str, str]]:
    """The loop without integers that each iteration moves by a fixed step, and their results by name.

    They become functions of the index; results follow from the trip count, before the loop. unknown: values that are
    not there yet before the loop; what starts with one stays.
    """
    body = {value.name: op for op in loop.body for value in op.results}
    inside = set(body) | {carried.argument.name for carried in loop.carried} | {loop.index.name} | unknown
    prefix: list[Op] = []
    kept: list[Carried] = []
    results: dict[str, str] = {}
    for carried in loop.carried:
        by = induction_step(carried, body, inside)
        if by is None or carried.initial in unknown or not _is_positive(before, loop.step):
            kept.append(carried)
            continue
        prefix += _function_of_index(before, loop, carried, by)
        count = trip_count(before, loop)
        if loop.index.type != carried.argument.type:
            count = before.scalar("cast", count, type=carried.argument.type, signed=True)
        results[carried.result.name] = before.scalar(by[0], carried.initial, before.scalar("mul", count, by[1]))
    return replace(loop, carried=tuple(kept), body=(*prefix, *loop.body)), results


def _is_positive(before: Builder, name: str) -> bool:
    """A known number above zero."""
    form = before.forms[name]
    return form.is_constant and form.constant > 0


def _function_of_index(before: Builder, loop: Loop, carried: Carried, by: tuple[str, str]) -> list[Op]:
    """Ops that compute the carried argument, under its own name, from the index: an exact multiple where it can be."""
    ops: list[Op] = []
    type = carried.argument.type

    def op(opcode: str, *operands: str, kind: str = "index") -> str:
        attributes = {"signed": True} if opcode in ("div", "cast") else {}
        name = before.fresh(f"{carried.argument.name}_past")
        result = Value(name, loop.index.type if kind == "index" else type)
        ops.append(Op(opcode, operands, (result,), attributes, loop.location))
        return name

    opcode, amount = by
    past = op("sub", loop.index.name, loop.lower)
    step, known = before.forms[loop.step].constant, before.forms[amount]
    if known.is_constant and known.constant % step == 0:
        amount = before.constant(known.constant // step, type)
    else:
        past = op("div", past, loop.step)
    if loop.index.type != type:
        past = op("cast", past, kind="value")
    past = op("mul", past, amount, kind="value")
    ops.append(Op(opcode, (carried.initial, past), (carried.argument,), {}, loop.location))
    return ops

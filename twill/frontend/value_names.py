"""What every SSA value of a kernel is called in its Graph: which variable of the source each one stands for."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

from twill.frontend import names
from twill.frontend.branches import Step
from twill.frontend.drafts import Draft
from twill.frontend.ttir_tree import Statement


def value_names(
    fixed: Mapping[str, str], loops: Sequence[Statement], outer: Statement | None, steps: Sequence[Step]
) -> dict[str, str]:
    """A name for every value by its SSA name. fixed: those of the arguments; steps: of all parts, in program order.

    A loop-carried value `m` is `m_init` before the loop, `m_prev` in it and `m_out` behind it.
    """
    known = (
        {step.variable for step in steps}
        | {key[1:] for step in steps for key, _ in step.draft.results}
        | set(fixed.values())
    )
    passed = [pair for loop in loops for pair in loop.carried]
    bases = {argument: names.without_counter(argument, known) for argument, _ in passed}
    uses = Counter(key for step in steps for key in step.draft.operands)
    uses.update(initial for _, initial in passed)
    initials = {initial: f"{bases[argument]}_init" for argument, initial in passed if uses[initial] == 1}
    wishes = []
    for step in steps:
        for key, kind in step.draft.results:
            wishes.append(names.Wish(key, _base(step, key, initials), step.draft.opcode, bool(kind.shape)))
    for each in (*loops, outer) if outer is not None else loops:
        index = each.words[-1]
        wishes.append(names.Wish(index, names.without_counter(index, known), "index"))
    results = [result for loop in loops for result in loop.results]
    for (argument, _), result in zip(passed, results, strict=True):
        wishes.append(names.Wish(argument, f"{bases[argument]}_prev"))
        wishes.append(names.Wish(result, f"{bases[argument]}_out"))
    return names.assign(fixed, wishes)


def _base(step: Step, key: str, initials: Mapping[str, str]) -> str:
    if step.draft.opcode == "constant":
        return initials.get(key) or _constant_name(step.draft)
    return step.variable if names.legal(step.variable) else step.draft.opcode


def _constant_name(constant: Draft) -> str:
    """`c128`, `c128_i64`, `zero`, `neg_inf`: what a constant is, as a name."""
    number, kind = constant.attributes["value"], constant.results[0][1]
    if isinstance(number, bool):
        return "true" if number else "false"
    if isinstance(number, int):
        suffix = "" if kind.dtype == "i32" else f"_{kind.dtype}"
        return f"c{number}{suffix}" if number >= 0 else f"cm{-number}{suffix}"
    special = {0.0: "zero", 1.0: "one", math.inf: "inf", -math.inf: "neg_inf"}
    return special.get(float(str(number)), "cst")

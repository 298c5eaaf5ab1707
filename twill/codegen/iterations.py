"""Iterations, and the ring slots and phases that follow from them, as text.

The text is evaluated in the role, where `i` is the loop's variable and `n` the trip count. `since` is the variable
that counts the iterations before, in a role that runs over tiles.
"""

from __future__ import annotations

from twill.codegen.statements import TILE_NUMBER, Condition, Iteration


def iteration_text(at: Iteration) -> str:
    """`2`, `i`, `i - 1`, `n - 1`."""
    if at.base == "first":
        return str(at.offset)
    if at.offset == 0:
        return _variable(at)
    return f"{_variable(at)} {'+' if at.offset > 0 else '-'} {abs(at.offset)}"


def slot_text(at: Iteration, depth: int, since: str = "") -> str:
    """Ring slot of an iteration; never negative, even where the statement is predicated off."""
    if at.base == "first" and not since:
        return str(at.offset % depth)
    if depth == 1:
        return "0"
    lift = at.offset % depth
    terms = [*([since] if since else []), *([] if at.base == "first" else [_variable(at)]), *([str(lift)] * (lift > 0))]
    return f"({' + '.join(terms)}) % {depth}" if len(terms) > 1 else f"{terms[0]} % {depth}"


def phase_text(at: Iteration, depth: int, since: str = "") -> str:
    """Parity of the phase that an iteration completes in a ring (depth 0: a single barrier)."""
    depth = max(depth, 1)
    if at.base == "first" and not since:
        return str((at.offset // depth) & 1)
    text = running_text(at, since)
    if depth > 1:
        text = f"({text}) // {depth}" if " " in text else f"{text} // {depth}"
    return f"({text}) & 1" if " " in text else f"{text} & 1"


def running_text(at: Iteration, since: str) -> str:
    """The number of an iteration across tiles: `done + i - 1`."""
    if not since:
        return iteration_text(at)
    return since if at.base == "first" and at.offset == 0 else f"{since} + {iteration_text(at)}".replace("+ -", "- ")


def condition_text(condition: Condition) -> str:
    """`i - 1 >= 0`."""
    return f"{iteration_text(condition.left)} {condition.relation} {iteration_text(condition.right)}"


def _variable(at: Iteration) -> str:
    return {"index": "i", "end": "n", "tile": TILE_NUMBER}[at.base]

"""The code between two loops: what moves before both, what the second loop needs of the first, what can wait."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from twill.errors import Unsupported
from twill.frontend.merge.builder import Builder, renamed
from twill.ir.graph import Loop, Op
from twill.ir.opcodes import LOADS, STORES


@dataclass(frozen=True)
class Between:
    """early: names of what was moved before the loops. late: the ops that depend on results of the first loop, or
    store, in order."""

    early: dict[str, str]
    late: tuple[Op, ...]

    def behind(self, names: Iterable[str]) -> set[str]:
        """The values that `names` are computed from by late ops, with themselves."""
        producers = {value.name: op for op in self.late for value in op.results}
        todo, seen = list(names), set()
        while todo:
            name = todo.pop()
            if name not in seen:
                seen.add(name)
                todo += producers[name].operands if name in producers else ()
        return seen


def divided(before: Builder, names: dict[str, str], first: Loop, between: Sequence[Op], second: Loop) -> Between:
    """Writes what depends on no result of the first loop before it. names: what values are called there.

    Raises Unsupported where moving would change what is read from memory.
    """
    unknown = {carried.result.name for carried in first.carried}
    producers = {**before.producers}
    producers |= {value.name: op for op in (*first.body, *between, *second.body) for value in op.results}
    stored = {base_of(op, producers) for op in first.body if op.opcode in STORES}
    late: list[Op] = []
    early = dict(names)
    for op in between:
        depends = not unknown.isdisjoint(op.operands)
        if op.opcode in LOADS and (depends or base_of(op, producers) in stored):
            why = "depends on what the first computes" if depends else "reads what was stored since"
            raise Unsupported(
                f"a load between two loops that {why} is not supported.",
                hint="Load it before the first loop, or put the second loop in a kernel of its own.",
                location=op.location,
            )
        if depends and op.opcode == "descriptor":
            raise Unsupported(
                "a tensor descriptor made between two loops from what the first computes is not supported.",
                hint="Make it before the first loop, from the kernel's arguments.",
                location=op.location,
            )
        if op.opcode in STORES:
            stored.add(base_of(op, producers))
        op = renamed(op, early)
        if depends or op.opcode in STORES:
            late.append(op)
            unknown.update(value.name for value in op.results)
        else:
            early[op.result.name] = before.write(op)
    waiting = {base_of(op, producers): op for op in late if op.opcode in STORES}
    for op in second.body:
        if op.opcode in LOADS | STORES and (target := base_of(op, producers)) in waiting:
            verb = "stores to" if op.opcode in STORES else "loads from"
            raise Unsupported(
                f"`{target}` is stored to between two loops, and the second {verb} it: the store would come after "
                "both.",
                hint="Store to another tensor, or put the second loop in a kernel of its own.",
                location=waiting[target].location,
            )
    return Between(early, tuple(late))


def base_of(op: Op, producers: dict[str, Op]) -> str:
    """The kernel argument that a load or store goes to."""
    name = op.operands[0]
    while name in producers:
        name = producers[name].operands[0]
    return name

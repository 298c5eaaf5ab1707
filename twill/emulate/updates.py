"""Which thread blocks a check runs so that atomics of several meet, and how many additions end up in one element."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from twill.ir.graph import Graph

Program = tuple[int, int, int]

_LOOKED_AT = 16  # thread blocks that are tried as the second one


def additions(
    graph: Graph, arguments: Mapping[str, Any], grid: Sequence[int], programs: Iterable[Program] | None
) -> int:
    """The most atomics that combine into one element when `programs` run (None: all); 0 without atomics."""
    from twill.ir import evaluate

    counts = evaluate.updates(graph, arguments, grid, programs)
    return max((int(count.max(initial=0)) for count in counts.values()), default=0)


def joined(
    graph: Graph, arguments: Mapping[str, Any], grid: Sequence[int], chosen: Sequence[Program], every: Iterable[Program]
) -> tuple[Program, ...]:
    """`chosen`, and one more of `every` program where none of the chosen updates what another of them does.

    The nearest ones are looked at; none is added when they share nothing, and none to a kernel without atomics.
    """
    if not any(op.opcode == "atomic" for op in graph.ops()):
        return tuple(chosen)
    touched = [_touched(graph, arguments, grid, program) for program in chosen]
    if any(_meet(a, b) for number, a in enumerate(touched) for b in touched[:number]):
        return tuple(chosen)
    for program in _nearest(chosen, every):
        other = _touched(graph, arguments, grid, program)
        if any(_meet(other, one) for one in touched):
            return tuple(sorted((*chosen, program)))
    return tuple(chosen)


def _nearest(chosen: Sequence[Program], every: Iterable[Program]) -> list[Program]:
    def distance(program: Program) -> int:
        return min(sum(abs(a - b) for a, b in zip(program, one, strict=True)) for one in chosen)

    return sorted(set(every) - set(chosen), key=lambda program: (distance(program), program))[:_LOOKED_AT]


def _touched(
    graph: Graph, arguments: Mapping[str, Any], grid: Sequence[int], program: Program
) -> dict[str, np.ndarray]:
    """The elements that atomics of one program combine into, by argument."""
    from twill.ir import evaluate

    return {name: counts > 0 for name, counts in evaluate.updates(graph, arguments, grid, (program,)).items()}


def _meet(a: Mapping[str, np.ndarray], b: Mapping[str, np.ndarray]) -> bool:
    return any(bool((a[name] & b[name]).any()) for name in a.keys() & b.keys())

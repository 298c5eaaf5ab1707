"""In how many of its iterations a masked load or store of the loop runs at all: masks with one condition for a tile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from twill.frontend.launch import Launch
from twill.frontend.scalars import Scalars
from twill.ir.graph import Graph, Op, Type

_MASKS = {"load": 1, "async_load": 1, "store": 2, "atomic": 2}  # which operand is the mask, if it is there
_SPREADS = ("splat", "broadcast", "expand_dims", "reshape", "trans")
_MOST_TURNS = 8  # tiles of programs that are looked at; of more, an even sample
_RUNS, _LENGTH = 8, 128  # of longer loops, so many runs of so many iterations: conditions may come back every few


def taken(graph: Graph, launch: Launch, tiles: Sequence[Sequence[int]], op: Op) -> float:
    """The share of iterations, 0 to 1, in which `op` of the loop's body has an element to move.

    Such is known of a mask, or of a term of its conjunction, that is a scalar computed from the loop's index, scalar
    arguments, program ids and what `Scalars` reads; everything else counts as true. tiles: as of `Traffic`.
    """
    producers = {each.result.name: each for each in (*graph.before, *graph.loop.body) if each.results}
    conditions = _conditions(op, producers, {name: value.type for name, value in graph.values().items()})
    turns = [(at, tile, trips) for at, each in enumerate(tiles) for tile, trips in enumerate(each) if trips]
    if not conditions or not turns:
        return 1.0
    count = min(len(turns), _MOST_TURNS)
    held, seen = 0, 0
    for at, tile, trips in (turns[n * (len(turns) - 1) // max(1, count - 1)] for n in range(count)):
        found = [_holds(graph, launch, conditions, at, tile, i) for i in _sample(trips)]
        held, seen = held + sum(found), seen + len(found)
    return held / seen


def _conditions(op: Op, producers: Mapping[str, Op], types: Mapping[str, Type]) -> list[str]:
    """The scalars that are terms of the mask."""
    at = _MASKS.get(op.opcode)
    todo = [] if at is None else list(op.operands[at : at + 1])
    found: list[str] = []
    while todo:
        name = todo.pop()
        made = producers.get(name)
        if not types[name].shape:
            found.append(name)
        elif made is not None and made.opcode in (*_SPREADS, "and"):
            todo += made.operands
    return found


def _sample(trips: int) -> list[int]:
    """Iterations to look at: all, or runs spread evenly."""
    if trips <= _RUNS * _LENGTH:
        return list(range(trips))
    begins = [n * (trips - _LENGTH) // (_RUNS - 1) for n in range(_RUNS)]
    return [begin + i for begin in begins for i in range(_LENGTH)]


def _holds(graph: Graph, launch: Launch, conditions: Sequence[str], at: int, tile: int, iteration: int) -> bool:
    """Whether no condition is known to be false in this iteration."""
    x, y, _ = launch.grid or (1, 1, 1)
    scalars = Scalars(graph, launch, (at % x, at // x % y, at // (x * y)))
    if graph.outer is not None:
        scalars = scalars.of_tile(int(scalars[graph.outer.lower]) + tile * int(scalars[graph.outer.step]))
    loop = graph.loop
    scalars.known[loop.index.name] = int(scalars[loop.lower]) + iteration * int(scalars[loop.step])
    scalars.producers |= {op.result.name: op for op in loop.body if op.results}
    return all(scalars.get(name) in (None, True) for name in conditions)

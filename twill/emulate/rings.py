"""The rings and pipelines of an emitted module, and the trip counts that take the former round and fill the latter."""

from __future__ import annotations

import ast
from collections.abc import Iterable

SHORT = range(6)  # trip counts at which a pipeline is empty, filling, or just full


def allocated(text: str) -> list[tuple[str, str, tuple[int, ...]]]:
    """(name, element type, extents) of each array in shared memory that a Gluon module allocates with a literal shape,
    in the order of the source. Raises SyntaxError when `text` is not Python."""
    found: list[tuple[int, str, str, tuple[int, ...]]] = []
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.Assign(
                targets=[target, *_],
                value=ast.Call(func=function, args=[ast.Attribute(attr=kind), ast.List(elts=extents), *_]),
            ) if ast.unparse(function) == "gl.allocate_shared_memory":
                sizes = tuple(
                    each.value for each in extents if isinstance(each, ast.Constant) and isinstance(each.value, int)
                )
                if len(sizes) == len(extents):
                    found.append((node.lineno, ast.unparse(target), kind, sizes))
    return [each[1:] for each in sorted(found)]


def ring_depths(text: str) -> dict[str, int]:
    """Slots of each array of mbarriers that a Gluon module allocates with a literal shape, by name.

    Every ring of tiles has such arrays, and so has every turn. Raises SyntaxError when `text` is not Python.
    """
    return {name: extents[0] for name, kind, extents in allocated(text) if kind == "int64"}


def rounds(depths: Iterable[int]) -> int:
    """Iterations that take the deepest ring, of d slots, round twice and once more, so that its phase was 0, 1 and 0;
    and d (d - 1) + 1 at least, when one who counts it with a slot too few has been wrong in every way."""
    depth = max(depths, default=0)
    return max(2 * depth + 1, depth * (depth - 1) + 1)


def pipelines(text: str) -> set[int]:
    """The trip counts from which on a role of an emitted module runs its pipeline, and not an iteration at a time: the
    numbers k of its branches `if n >= k`. Raises SyntaxError when `text` is not Python."""
    found = set()
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.If(
                test=ast.Compare(left=ast.Name(id="n"), ops=[ast.GtE()], comparators=[ast.Constant(value=int(least))])
            ):
                found.add(least)
    return found


def telling_trips(depths: Iterable[int], pipelines: Iterable[int] = ()) -> set[int]:
    """Trip counts at which a fault in a phase or a slot of rings of these depths, or in a pipeline, shows.

    The short ones; for each depth, two more than it, so that the last two iterations and what follows the loop lie
    in the ring's second use, of phase 1; and `rounds`, so that every slot is used in phase 0 again. Each pipeline's
    least, and two more, so that its steady state is run twice. Behind a loop whose pipeline takes k iterations to fill
    lie the last k uses of a ring of depth d, or all d of its slots: d + min(k, d) iterations make them second ones.
    """
    depths, pipelines = set(depths), set(pipelines)
    around = {*(depth + 2 for depth in depths), rounds(depths)}
    drained = {depth + min(least, depth) for depth in depths for least in pipelines if least > 2}
    return {*SHORT, *around, *drained, *pipelines, *(least + 2 for least in pipelines)}

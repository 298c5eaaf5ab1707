"""Divides the rows of a Graph's tile among sub-tiles that share the loads they all need.

After `split(graph, n)` every op is one of three kinds:

* copied: a computation, or a load or store of rows. Sub-tile s has its copy, with `subtile` s,
  values named with the suffix `.s`, and rows/n rows where the original had all of them. What is
  computed from whole tiles (a loaded right operand that is cast, say), or loaded by pointers in the
  loop, is copied at full size: registers are not shared between warp groups.
* shared: scalars, descriptors, the loads of tiles that are not divided and the shape ops on them.
  They stay as they are, once, with `subtile` None.
* flexible: index arithmetic (twill.ir.rows). It is copied, in every shape its users need.

A store of something that is not divided belongs to sub-tile 0 alone. With n = 1 nothing changes but
the marks: what would be copied is marked sub-tile 0.
"""

from __future__ import annotations

from twill.errors import InputError, Unsupported
from twill.ir.copies import Copies
from twill.ir.graph import Graph
from twill.ir.outer import invariants_first
from twill.ir.rows import Rows, find_rows, flexible_values, row_extent
from twill.ir.verify import verify

__all__ = ["ineligible", "row_extent", "split"]

WGMMA_ROWS = 64
"""A warp group's matrix instruction computes 64 rows (PTX ISA, wgmma.mma_async, shape .m64nNk16)."""


def split(graph: Graph, n: int) -> Graph:
    """The graph with the rows of its tile divided among n sub-tiles; its meaning is unchanged.

    Raises Unsupported with the reason when the rows cannot be divided by n; n = 1 always works.
    """
    if n < 1:
        raise InputError(f"{n} sub-tiles: the number of sub-tiles is at least 1.")
    if graph.subtiles != 1 or any(op.subtile is not None for op in graph.ops()):
        raise InputError(f"{graph.name} is divided into sub-tiles already.")
    found = invariants_first(Copies(graph, n, _rows(graph, n)).run())
    verify(found)
    return found


def ineligible(graph: Graph, n: int) -> str:
    """Why the rows cannot be divided among n sub-tiles; empty when they can."""
    try:
        split(graph, n)
    except Unsupported as error:
        return str(error)
    return ""


def _rows(graph: Graph, n: int) -> Rows:
    try:
        rows = find_rows(graph)
    except Unsupported:
        if n > 1:
            raise
        # One sub-tile needs no rows: every computation is marked, no load is.
        return Rows({}, flexible_values(graph), row_extent(graph))
    if n > 1:
        _check(graph, n, rows)
    return rows


def _check(graph: Graph, n: int, rows: Rows) -> None:
    if rows.extent is None:
        raise Unsupported(
            f"{graph.name} has no tile of rows to divide among {n} sub-tiles: no dot, and no matrix carried or stored.",
            location=graph.loop.location,
        )
    types = {name: value.type for name, value in graph.values().items()}
    for op in graph.ops():
        extent = types[op.result.name].shape[0] if op.opcode == "dot" else 0
        if op.opcode == "dot" and (extent % n or (extent // n) % WGMMA_ROWS):
            raise Unsupported(
                f"the {extent} rows of `{op.result.name}` among {n} sub-tiles are {extent / n:.1f} each, "
                f"not a multiple of {WGMMA_ROWS}, the rows of a matrix instruction.",
                hint=f"A tile of {n * WGMMA_ROWS} rows would do.",
                location=op.location,
            )
    for name, axis in rows.axis.items():
        if name in types and types[name].shape[axis] % n:
            raise Unsupported(
                f"the {types[name].shape[axis]} rows of %{name} cannot be divided by {n}.", location=graph.loop.location
            )

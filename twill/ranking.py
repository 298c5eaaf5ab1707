"""The candidates of a compilation as a terminal shows them, and as JSON."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from twill.report import columns, heading, row

if TYPE_CHECKING:
    from twill.candidates import Candidate

_SIZE_COLUMNS = 4  # more searched constexprs than that share one column


def candidates_shown(candidates: Sequence[Candidate]) -> list[RenderableType]:
    """The ranking, best first: of numbers of sub-tiles alone, or of tile sizes too where they were searched."""
    if not any(candidate.tile for candidate in candidates):
        title = "Numbers of sub-tiles, each a warp group with its own rows of the tile"
        return [heading(title), _subtiles(candidates)]
    possible = [candidate for candidate in candidates if candidate.problem is not None]
    impossible = [candidate for candidate in candidates if candidate.problem is None]
    parts: list[RenderableType] = [
        heading("Tile sizes and numbers of sub-tiles, each a warp group with its own rows of the tile"),
        _ranking(possible),
        Text(
            "SM cycles: of the example's whole launch by the model, (iterations - 1) * II + an iteration, summed over"
            " programs, one at a time on an SM; what they do outside the loop is not counted. at least: no schedule"
            " takes fewer; where that is more than the best, there was no need to solve. For other sizes of the"
            " problem: --example NAME=VALUE."
        ),
    ]
    if impossible:
        parts += [heading("Not possible"), _impossible(impossible)]
    return parts


def _subtiles(candidates: Sequence[Candidate]) -> Table:
    right = ("sub-tiles", "II", "loop cycles", "slack")
    table = columns(*right, "", right=right, free=("",))
    for candidate in candidates:
        chosen = "chosen" if candidate is candidates[0] else candidate.reason
        count = candidate.subtiles or "any"
        if candidate.cycles is None or candidate.schedule is None:
            row(table, count, "-", "-", "-", chosen)
        else:
            row(table, count, candidate.schedule.ii, candidate.cycles, candidate.slack, chosen)
    return table


def _ranking(candidates: Sequence[Candidate]) -> Table:
    names = _size_names(candidates)
    right = (*names, "sub-tiles", "programs", "II", "slack", "SM cycles", "at least")
    table = columns(*right, "", right=right, free=("",))
    for candidate in candidates:
        note = "chosen" if candidate is candidates[0] else candidate.reason
        note = f"example; {note}".removesuffix("; ") if candidate.incumbent else note
        schedule, cycles = candidate.schedule, candidate.sm_cycles
        found = ("-", "-", "-") if schedule is None or cycles is None else (schedule.ii, candidate.slack, cycles)
        programs = candidate.work.programs if candidate.work is not None else "-"
        row(table, *_sizes(candidate, names), candidate.subtiles, programs, *found, candidate.bound_sm_cycles, note)
    return table


def _impossible(candidates: Sequence[Candidate]) -> Table:
    """Why each has no problem; sizes that fail for one reason share a line."""
    names = _size_names(candidates)
    together: dict[str, list[tuple[str, ...]]] = {}
    for candidate in candidates:
        cells = (*_sizes(candidate, names), str(candidate.subtiles or "any"))
        together.setdefault(candidate.reason, []).append(cells)
    table = columns(*names, "sub-tiles", "why", right=(*names, "sub-tiles"), free=("why",))
    for reason, rows in together.items():
        for cells in _merged(rows):
            row(table, *cells, reason)
    return table


def _merged(rows: Sequence[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """One line for rows that are all combinations of their columns' values, else the rows."""
    values = [tuple(dict.fromkeys(column)) for column in zip(*rows, strict=True)]
    if math.prod(map(len, values)) != len(rows):
        return list(rows)
    return [tuple(", ".join(column) for column in values)]


def _size_names(candidates: Sequence[Candidate]) -> tuple[str, ...]:
    """The columns of tile sizes."""
    names = next((tuple(candidate.tile) for candidate in candidates if candidate.tile), ())
    return names if len(names) <= _SIZE_COLUMNS else ("sizes",)


def _sizes(candidate: Candidate, names: tuple[str, ...]) -> list[str]:
    if names == ("sizes",):
        return [candidate.sizes]
    return [str(candidate.tile.get(name, "?")) for name in names]


def candidates_json(candidates: Sequence[Candidate]) -> list[dict[str, Any]]:
    """Every candidate, the chosen one first, then best first.

    cycles: of the longest program's loop. sm_cycles, sm_cycles_bound: of the whole launch, as predicted and at
    least; null where nothing is known. subtiles is null where no number of them is possible.
    """
    return [
        {
            "tile": dict(candidate.tile),
            "subtiles": candidate.subtiles or None,
            "example": candidate.incumbent,
            "status": candidate.schedule.status if candidate.schedule else None,
            "ii": candidate.schedule.ii if candidate.schedule and candidate.schedule.placements else None,
            "ii_bound": candidate.bound_ii or None,
            "cycles": candidate.cycles,
            "programs": candidate.work.programs if candidate.work else None,
            "iterations": candidate.work.iterations if candidate.work else None,
            "sm_cycles": candidate.sm_cycles,
            "sm_cycles_bound": candidate.bound_sm_cycles or None,
            "slack": candidate.slack if candidate.cycles is not None else None,
            "reason": candidate.reason,
        }
        for candidate in candidates
    ]

"""Which integer arguments decide how many programs a launch starts."""

from __future__ import annotations

from collections.abc import Mapping

from twill.errors import TwillError
from twill.frontend.launch import ArgumentSpec, Launch


def grid_arguments(launch: Launch) -> list[str]:
    """Integer arguments that the grid follows, in signature order."""
    found = []
    for spec in launch.arguments:
        if is_positive(spec):
            value = int(str(spec.value))
            grids = {_grid(launch, {spec.name: value * factor}) for factor in (1, 2, 5)}
            if len(grids) > 1:
                found.append(spec.name)
    return found


def is_positive(spec: ArgumentSpec) -> bool:
    """An integer above zero."""
    return spec.kind == "scalar" and spec.dtype in ("i32", "i64") and isinstance(spec.value, int) and spec.value > 0


def _grid(launch: Launch, values: Mapping[str, int]) -> tuple[int, int, int] | None:
    try:
        return launch.with_values(values).grid
    except TwillError:
        return None

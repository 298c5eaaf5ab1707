"""From the locations of TTIR to places in the user's own files."""

from __future__ import annotations

import linecache
import os
from dataclasses import dataclass
from pathlib import Path

from twill.errors import Location
from twill.frontend.positions import start
from twill.frontend.ttir_tree import Loc


@dataclass(frozen=True)
class Places:
    """Resolves locations: code of Triton's own library counts as its caller's.

    file: absolute path of the user's file; shown: how it is written in messages; column_base: the
    number of a line's first column in this module (0 up to Triton 3.6, 1 later).
    """

    file: str
    shown: str
    column_base: int

    def location(self, loc: Loc, opname: str = "") -> Location | None:
        """The innermost position outside Triton's package of an op `opname`, None when there is none."""
        step = self._own(loc)
        if step is None:
            return None
        line, column = step.line, step.column - self.column_base
        if self.column_base == 0:
            line, column = start(step.file, line, column, opname)
        return Location(self.display(step.file), line, column + 1)

    def text(self, loc: Loc, opname: str = "") -> str:
        """The source line at `location`, stripped; "" when it cannot be read."""
        step, where = self._own(loc), self.location(loc, opname)
        return linecache.getline(step.file, where.line).strip() if step and where else ""

    @staticmethod
    def _own(loc: Loc) -> Loc | None:
        step: Loc | None = loc
        while step is not None and not (step.file and step.line and not _is_library(step.file)):
            step = step.caller
        return step

    def variable(self, loc: Loc) -> str:
        """The source variable the location belongs to, "" when unknown or inside Triton's package."""
        found, step = "", loc
        while step.caller is not None:
            step, found = step.caller, found if not _is_library(step.file) else ""
        return step.name or loc.name or found

    def display(self, file: str) -> str:
        """`file` as the user wrote it, or relative to the working directory when below it."""
        if os.path.abspath(file) == self.file:
            return self.shown
        return shown_path(file)


def shown_path(file: str | Path) -> str:
    """A path relative to the working directory when it lies below it, otherwise as given."""
    absolute = os.path.abspath(file)
    relative = os.path.relpath(absolute)
    return str(file) if relative.startswith("..") else relative


def _is_library(file: str) -> bool:
    """Whether `file` belongs to the triton package."""
    parts = Path(file).parts
    return "triton" in parts[:-1] and any(part in ("site-packages", "dist-packages") for part in parts)

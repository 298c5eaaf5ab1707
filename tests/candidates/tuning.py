"""What the tests of the search share: the kernel with tile sizes, and solves that are counted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from twill import frontend
from twill.candidates import Candidate, Request
from twill.machine import load

TUNED = Path(__file__).resolve().parents[1] / "kernels_for_tests" / "tuned.py"


def request(path: Path = TUNED, **options: Any) -> Request:
    return Request(frontend.load(path), load("hopper"), "hopper", **options)


def sizes(candidate: Candidate) -> tuple[Any, ...]:
    return (*candidate.tile.values(), candidate.subtiles)


def changed(tmp_path: Path, *pairs: tuple[str, str]) -> Path:
    """The kernel's file with words replaced."""
    text = TUNED.read_text()
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new)
    path = tmp_path / "changed.py"
    path.write_text(text)
    return path


class Solves:
    """Stands in for `twill.solve.solve`: counts the problems, and calls `after` behind each solve."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, after: Any = lambda: None) -> None:
        from twill.solve import solve

        self.count = 0
        self.limits: list[float] = []

        def counted(problem: Any, **options: Any) -> Any:
            self.count += 1
            self.limits.append(options["time_limit"])
            found = solve(problem, **options)
            after()
            return found

        monkeypatch.setattr("twill.solve.solve", counted)

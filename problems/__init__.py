"""Scheduling problems with known answers, one twill-graph/1 file each; library.json says what is known and from where.

>>> from twill import problems
>>> problem, answer = problems.load("gemm"), problems.answer("gemm")
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twill.errors import InputError
from twill.schedule.document import read_json, require_format, suggestion
from twill.schedule.graph_file import read_problem
from twill.schedule.problem import Problem

FORMAT = "twill-problems/1"
FOLDER = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Answer:
    """What is known of a problem.

    status: `optimal` with the least initiation interval `ii` in cycles, or `infeasible` with the
    `conflict`, rules of docs/formulation.md that no schedule keeps together. why: the argument by
    hand, or that only the solver's proof is known. source: the literature. seconds: within which the
    solver is known to prove it on two cores.
    """

    status: str
    ii: int
    conflict: tuple[str, ...]
    source: str
    why: str
    seconds: float


def names() -> tuple[str, ...]:
    """The problems of the library, by name."""
    return tuple(sorted(_library()))


def path(name: str) -> Path:
    """The twill-graph/1 file of a problem. Raises InputError for a name the library does not have."""
    found = _library()
    if name not in found:
        hint = suggestion(name, found) or f"The problems are {', '.join(sorted(found))}."
        raise InputError(f"the library has no problem {name!r}.", hint=hint)
    return FOLDER / f"{name}.json"


def load(name: str) -> Problem:
    """A problem of the library. Raises InputError for a name it does not have."""
    return read_problem(path(name))


def answer(name: str) -> Answer:
    """What is known of a problem of the library. Raises InputError for a name it does not have."""
    path(name)
    entry = _library()[name]
    return Answer(
        status=entry["status"], ii=int(entry.get("ii", 0)), conflict=tuple(entry.get("conflict", ())),
        source=entry["source"], why=entry["why"], seconds=float(entry.get("seconds", 10)),
    )  # fmt: skip


def _library() -> dict[str, dict[str, Any]]:
    place = FOLDER / "library.json"
    data = read_json(place)
    require_format(data, FORMAT, str(place), "a table of known answers")
    found: dict[str, dict[str, Any]] = data["problems"]
    return found

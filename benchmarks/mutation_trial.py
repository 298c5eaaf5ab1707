"""One mutant through `twill verify`'s emulation: what catches it, and when.

A mutant runs on exactly the cases and seeds that `twill.emulate.verify_file` runs the module on, to its first
report; only their order differs, so that most mutants are caught by the first. Where a run is *ordered* (see
`twill.emulate.ordering`) it answers for every interleaving, and the other seeds of its case are left out.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from benchmarks.mutants import Mutant, mutants
from twill.emulate import cases
from twill.emulate.cases import Case
from twill.emulate.launches import loaded
from twill.emulate.verify import MORE_SEEDS, PROGRAMS, SEEDS, runs_of
from twill.errors import InputError, Unsupported
from twill.shipped import VARIANTS, module_path, schedule_path

MAX_STEPS = 20_000  # an unbroken program takes a few hundred
NAMES = [variant.name for variant in VARIANTS]
_SOON = 3  # the trip count that catches most in the shortest time

# What a report's kind is called in the tables.
CAUGHT_BY = {
    "deadlock": "deadlock", "race": "race", "poison": "poison", "token": "misuse of a token",
    "barrier": "misuse of a barrier", "bytes": "wrong bytes", "bounds": "out of bounds", "fence": "missing fence",
    "layout": "layout", "result": "wrong number", "endless": "never ends", "unwaited": "unwaited",
    "assert": "assertion", "load": "load failure",
}  # fmt: skip


@dataclass(frozen=True)
class Verdict:
    """caught_by: a key of CAUGHT_BY, another kind of the emulator's, or None for a survivor. case, seed: of the
    run that caught it. runs: how many were made. report: its text. ordered: the trip counts at which a survivor
    survives every interleaving; unordered: the others."""

    caught_by: str | None
    case: str = ""
    seed: int = 0
    runs: int = 0
    report: str = ""
    ordered: tuple[int, ...] = ()
    unordered: tuple[int, ...] = ()


@lru_cache(maxsize=2)
def prepared(name: str) -> tuple[str, tuple[Case, ...], str, tuple[Mutant, ...]]:
    """(source, the verifier's cases, launcher, mutants) of a shipped module."""
    path, schedule = paths(name)
    text = path.read_text()
    found, entry, _ = cases.from_schedule(path, schedule, None, PROGRAMS)
    return text, tuple(found), entry, tuple(mutants(text))


def paths(name: str) -> tuple[Path, Path]:
    """The module and the schedule of a shipped variant."""
    variant = next(variant for variant in VARIANTS if variant.name == name)
    return module_path(variant), schedule_path(variant)


def judge(name: str, text: str, seeds: Sequence[int] = SEEDS) -> Verdict:
    """Run source `text` in place of module `name`, to the first report."""
    _, found, entry, _ = prepared(name)
    path, _ = paths(name)
    try:
        module, launcher = loaded(path, entry, text, MAX_STEPS)
    except (InputError, Unsupported) as error:
        return Verdict("load", report=str(error))
    runs = 0
    left = [(case, runs_of(module, launcher, case, seeds, MORE_SEEDS)) for case in hastened(found)]
    ordered: set[int | None] = set()
    for sparing in (True, False):  # every case once; then the other seeds of those that are not ordered
        for case, several in left:
            if case.trip_count in ordered:
                continue
            try:
                for run in itertools.islice(several, 1 if sparing else None):
                    runs += 1
                    if run.failure is not None:
                        return Verdict(run.failure.kind, case.name, run.seed, runs, str(run.failure))
                    if run.ordered:
                        ordered.add(case.trip_count)
                        break
            except (InputError, Unsupported) as error:
                return Verdict("load", case.name, 0, runs, str(error))
    trips = {case.trip_count for case in found}
    return Verdict(None, runs=runs, ordered=_sorted(ordered), unordered=_sorted(trips - ordered))


def hastened(found: Sequence[Case]) -> list[Case]:
    """The cases, a short one first, then the longest, then the others."""
    return sorted(found, key=lambda case: (case.trip_count != _SOON, -(case.trip_count or 0)))


def _sorted(trips: set[int | None]) -> tuple[int, ...]:
    return tuple(sorted(trip for trip in trips if trip is not None))


def trial(name: str, number: int, seeds: Sequence[int] = SEEDS) -> Verdict:
    """Judge mutant `number` of module `name`; -1 is the module as it is."""
    text, _, _, made = prepared(name)
    return judge(name, made[number].apply(text) if number >= 0 else text, seeds)

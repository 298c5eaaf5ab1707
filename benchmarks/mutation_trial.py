"""One mutant through the emulator: what catches it, and when.

A module's example is made so long that its deepest ring is used three times over; the one that ships with the
attention kernels has four iterations, in which a ring of three slots never comes round.
"""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from benchmarks.mutants import Mutant, mutants, ring_depths
from twill.emulate import cases
from twill.emulate.cases import Case
from twill.emulate.verify import _verify
from twill.errors import InputError, Unsupported
from twill.shipped import VARIANTS, module_path, schedule_path

TRIPS = (0, 1, 2, 3, 5, 7)  # beside the example's own, the longest
MAX_STEPS = 20_000  # an unbroken program takes a few hundred
NAMES = [variant.name for variant in VARIANTS]

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
    run that caught it. runs: how many were made. report: its text."""

    caught_by: str | None
    case: str = ""
    seed: int = 0
    runs: int = 0
    report: str = ""


@lru_cache(maxsize=2)
def prepared(name: str) -> tuple[str, tuple[Case, ...], str, tuple[Mutant, ...]]:
    """(source, cases with the longest loop first, launcher, mutants) of a shipped module.

    One thread block is run; of a causal kernel those with the shortest and the longest loop.
    """
    path, schedule = paths(name)
    text = path.read_text()
    document = json.loads(schedule.read_text())
    lengthen(document["launch"], 2 * max(ring_depths(text).values()) + 1)
    with tempfile.TemporaryDirectory() as folder:
        longer = Path(folder, schedule.name)
        longer.write_text(json.dumps(document))
        programs = 2 if "_causal" in name else 1
        found, entry, _ = cases.from_schedule(path, longer, TRIPS, programs)
    return text, tuple(sorted(found, key=lambda case: -(case.trip_count or 0))), entry, tuple(mutants(text))


def paths(name: str) -> tuple[Path, Path]:
    """The module and the schedule of a shipped variant."""
    variant = next(variant for variant in VARIANTS if variant.name == name)
    return module_path(variant), schedule_path(variant)


def lengthen(launch: dict[str, Any], blocks: int) -> None:
    """Make an attention example at least `blocks` key blocks long: its M and N, its tensors and its grid."""
    arguments = {argument["name"]: argument for argument in launch["arguments"]}
    if "BLOCK_N" not in arguments or "N" not in arguments or "H" not in arguments:
        return  # not an attention kernel: its example has eight iterations
    old = arguments["N"]["value"]
    unit = math.lcm(arguments["BLOCK_M"]["value"], arguments["BLOCK_N"]["value"])
    new = max(old, -(-blocks * arguments["BLOCK_N"]["value"] // unit) * unit)
    for argument in launch["arguments"]:
        if argument["name"] in ("M", "N"):
            argument["value"] = new
        if argument["kind"] == "tensor":
            argument["shape"] = shape = [new if size == old else size for size in argument["shape"]]
            argument["strides"] = [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]
    launch["grid"][0] = new // arguments["BLOCK_M"]["value"]


def judge(name: str, text: str, seeds: Sequence[int]) -> Verdict:
    """Run source `text` in place of module `name`, to the first report: the longest loop under every seed, the
    shorter ones under the first."""
    _, found, entry, _ = prepared(name)
    path, _ = paths(name)
    runs = 0
    for case, seed in _order(found, seeds):
        runs += 1
        try:
            report = _verify(path, [case], entry, [seed], None, (), text, MAX_STEPS)
        except (InputError, Unsupported) as error:
            return Verdict("load", case.name, seed, runs, str(error))
        if report.failures:
            failure = report.failures[0]
            return Verdict(failure.kind, case.name, seed, runs, str(failure))
    return Verdict(None, runs=runs)


def _order(found: Sequence[Case], seeds: Sequence[int]) -> Iterator[tuple[Case, int]]:
    yield from ((found[0], seed) for seed in seeds)
    yield from ((case, seeds[0]) for case in found[1:])


def trial(name: str, number: int, seeds: Sequence[int]) -> Verdict:
    """Judge mutant `number` of module `name`; -1 is the module as it is."""
    text, _, _, made = prepared(name)
    return judge(name, made[number].apply(text) if number >= 0 else text, seeds)

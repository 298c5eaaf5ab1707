"""One interleaving of an emitted kernel again, with its trace."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path as File

from twill.emulate import blocks, cases, trace
from twill.emulate.guided import Guided, Path
from twill.emulate.launches import Run, loaded, run_case
from twill.emulate.trace import Trace
from twill.emulate.verify import PROGRAMS
from twill.errors import InputError


@dataclass(frozen=True)
class Replay:
    """One run again, and every move it made."""

    file: str
    run: Run
    trace: Trace

    def text(self, last: int | None = None) -> str:
        """The last moves (None: all of them) and how the run ended, which names the sentence of `verify`."""
        head = f"{self.run.case}, {self.run.replay}: {len(self.trace.moves):,} moves"
        end = f"it fails here: {self.run.failure}" if self.run.failure is not None else "it ends well"
        return f"{head}\n{self.trace.text(last)}\n{end}"

    def data(self, last: int | None = None) -> dict[str, object]:
        failure = self.run.failure.as_dict() if self.run.failure is not None else None
        return {
            "replay": self.run.replay, "case": self.run.case, "trip_count": self.run.trip_count,
            "passed": failure is None, "failure": failure, "trace": self.trace.data(last),
        }  # fmt: skip


def replay_file(
    path: str | File,
    name: str,
    *,
    schedule: str | File | None = None,
    trip_counts: Iterable[int] | None = None,
    programs: int = PROGRAMS,
    max_steps: int = 1_000_000,
) -> Replay:
    """Run again what `verify_file` or `explore_file` reported under `name`.

    name: SEED, or the path of an explored interleaving, with @TRIP_COUNT behind it; without a trip count the
    first one that fails is shown, or the last. programs: as `verify_file` was given; an explored
    interleaving is of one thread block. Raises InputError for a name that is none.
    """
    seed, way, trip_count = _parse(name)
    wanted = trip_counts if trip_count is None else (trip_count,)
    if way is not None and way.starved is None:
        chosen, entry = _of_block(File(path), schedule, wanted, trip_count, way)
    else:
        found, entry, _ = cases.from_schedule(File(path), schedule, wanted, programs)
        chosen = [case for case in found if trip_count is None or case.trip_count == trip_count]
        if not chosen:
            raise _unreachable(path, trip_count, [case.trip_count for case in found])
    module, launcher = loaded(File(path), entry, None, max_steps)
    for case in chosen:
        watcher = Trace(str(path))
        with trace.watching(watcher):
            run = run_case(module, launcher, case, seed, Guided(way) if way is not None else None)
        if run.failure is not None:
            break
    return Replay(str(path), run, watcher)


def _of_block(
    path: File, schedule: str | File | None, wanted: Iterable[int] | None, trip_count: int | None, way: Path
) -> tuple[list[cases.Case], str]:
    """The launches of one thread block that an explored interleaving is of, and the launcher's name."""
    kernel = cases.opened(path, schedule, wanted)
    trips = [trip for trip in kernel.trips if trip_count is None or trip.trip_count == trip_count]
    if not trips:
        raise _unreachable(path, trip_count, [trip.trip_count for trip in kernel.trips])
    found = []
    for trip in trips:
        counts = kernel.counts(trip)
        block = blocks.first(counts) if way.block is None else way.block
        if block not in counts:
            raise InputError(
                f"there is no thread block {block} at trip count {trip.trip_count}.",
                hint=f"The grid's last is {max(counts)}. Was the name printed for this file?",
                location=str(path),
            )
        found.append(kernel.case(trip, (block,)))
    return found, kernel.graph.name


def _unreachable(path: str | File, trip_count: int | None, possible: list[int | None]) -> InputError:
    return InputError(
        f"the trip count {trip_count} cannot be reached with smaller arguments of the example.",
        hint=f"Possible are, among others, {', '.join(map(str, possible))}.",
        location=str(path),
    )


def _parse(name: str) -> tuple[int, Path | None, int | None]:
    """(seed, path of an explored interleaving, trip count)."""
    way, at, count = name.partition("@")
    path = Path.parse(way)
    if (path is None and not re.fullmatch(r"\d{1,9}", way)) or (at and not re.fullmatch(r"\d{1,6}", count)):
        raise InputError(
            f"{name!r} names no interleaving.",
            hint="Give a seed such as 2 or 2@5 (at trip count 5), or what `twill verify --explore` printed, such as "
            "late.14x1@2.",
        )
    return 0 if path is not None else int(way), path, int(count) if at else None

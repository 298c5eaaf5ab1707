"""What a timed kernel left behind, as a `twill-measured/1` file: events of each program that was sampled, in cycles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from twill.codegen.stamps import HEADER, Probe, Stamps
from twill.errors import InputError
from twill.schedule.document import read_json, require_format, write_json

FORMAT = "twill-measured/1"


@dataclass(frozen=True)
class RoleTimes:
    """A role's own times: cycles of the SM's clock and nanoseconds of the device's timer, at its start and its end."""

    begin_cycles: int
    begin_ns: int
    end_cycles: int
    end_ns: int


@dataclass(frozen=True)
class Sample:
    """One program. trips: its iterations. cycles: of each probe, in order, one an iteration; None where not kept.

    Cycles count from the moment its first role began.
    """

    program: int
    trips: int
    roles: Mapping[str, RoleTimes]
    cycles: tuple[tuple[int | None, ...], ...]


@dataclass(frozen=True)
class Measurement:
    """The events of one launch.

    kernel: its name. ii: of the schedule it was made from, which `schedule_sha256` identifies. source: "measured" or
    "simulated". about: device, clocks, versions, commit, date, sizes, seconds of the kernel and of its timed twin,
    as far as they are known. notes: what was not kept.
    """

    kernel: str
    schedule_sha256: str
    source: str
    probes: tuple[Probe, ...]
    samples: tuple[Sample, ...]
    about: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def decode(records: Sequence[Sequence[int]], stamps: Stamps, every: int) -> tuple[Sample, ...]:
    """The samples in the buffer of a timed kernel: [samples, words] integers, of the last of every so many programs.

    A program that did not run, or whose roles disagree on its iterations, is left out.
    """
    found = []
    for number, words in enumerate(records):
        headers = {role: words[stamps.header(role) :][:HEADER] for role in stamps.roles}
        counts = {header[0] for header in headers.values()}
        if len(counts) != 1 or not all(header[1] for header in headers.values()):
            continue
        trips = int(counts.pop())
        origin = min(header[1] for header in headers.values())
        kept = min(max(trips, 0), stamps.iterations)
        cycles = []
        for probe in range(len(stamps.probes)):
            at = stamps.offset(probe)
            cycles.append(tuple(int(each) - int(origin) if each else None for each in words[at : at + kept]))
        roles = {
            role: RoleTimes(int(header[1] - origin), int(header[2]), int(header[3] - origin), int(header[4]))
            for role, header in headers.items()
        }
        found.append(Sample((number + 1) * every - 1, trips, roles, tuple(cycles)))
    return tuple(found)


def write(path: str | Path, measurement: Measurement) -> None:
    """Write a `twill-measured/1` file, whole or not at all. Raises InputError when the place cannot be written."""
    write_json(path, to_json(measurement))


def to_json(measurement: Measurement) -> dict[str, Any]:
    """The file as a JSON value."""
    return {
        "format": FORMAT,
        "kernel": measurement.kernel,
        "schedule_sha256": measurement.schedule_sha256,
        "source": measurement.source,
        "about": dict(measurement.about),
        "notes": list(measurement.notes),
        "probes": [asdict(probe) for probe in measurement.probes],
        "samples": [
            {
                "program": sample.program,
                "trips": sample.trips,
                "roles": {role: asdict(times) for role, times in sample.roles.items()},
                "cycles": [list(each) for each in sample.cycles],
            }
            for sample in measurement.samples
        ],
    }


def read(path: str | Path) -> Measurement:
    """The measurement in a file. Raises InputError for a file that is not one, naming what is wrong in it."""
    source = str(path)
    data = read_json(path)
    require_format(data, FORMAT, source, "a measured timeline")
    try:
        probes = tuple(Probe(**each) for each in data["probes"])
        samples = tuple(_sample(each, len(probes)) for each in data["samples"])
        return Measurement(
            str(data["kernel"]), str(data["schedule_sha256"]), str(data["source"]), probes, samples,
            dict(data["about"]), tuple(map(str, data["notes"])),
        )  # fmt: skip
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        what = f'"{error.args[0]}" is missing' if isinstance(error, KeyError) else str(error)
        hint = "Measure again: `twill timeline SCHEDULE.json --measured FILE.json` on a GPU writes it."
        raise InputError(f"is no measured timeline that can be read: {what}.", hint=hint, location=source) from None


def _sample(data: Any, probes: int) -> Sample:
    cycles = tuple(tuple(None if each is None else int(each) for each in row) for row in data["cycles"])
    if len(cycles) != probes:
        raise ValueError(f"a sample has cycles of {len(cycles)} probes, the file names {probes}")
    roles = {str(role): RoleTimes(**times) for role, times in data["roles"].items()}
    return Sample(int(data["program"]), int(data["trips"]), roles, cycles)

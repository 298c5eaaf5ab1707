"""Measurements made by the simulator, with known deviations, in place of a GPU's."""

from collections.abc import Callable
from dataclasses import replace

from twill.codegen.stamps import HEADER, Probe
from twill.measure.measurement import Measurement
from twill.measure.predicted import predicted
from twill.measure.twin import twin
from twill.schedule import files
from twill.shipped import VARIANTS, schedule_path

Shift = Callable[[Probe, int], int]


def stored(name: str):
    (variant,) = [variant for variant in VARIANTS if variant.name == name]
    return files.read(schedule_path(variant))


def expected(name: str, trips: int = 64) -> Measurement:
    return predicted(stored(name), twin(stored(name)).stamps.probes, trips)


def shifted(measurement: Measurement, by: Shift) -> Measurement:
    """Every event later by `by(probe, iteration)` cycles, as if it had been measured so."""
    samples = []
    for sample in measurement.samples:
        rows = []
        for probe, row in zip(measurement.probes, sample.cycles, strict=True):
            rows.append(tuple(None if c is None else c + by(probe, i) for i, c in enumerate(row)))
        samples.append(replace(sample, cycles=tuple(rows)))
    return replace(measurement, samples=tuple(samples), source="measured")


def words(measurement: Measurement, stamps, trips: int, origin: int = 1_000_000) -> list[int]:
    """The buffer that a timed kernel would leave: one sample."""
    buffer = [0] * stamps.words
    for role in stamps.roles:
        at = stamps.header(role)
        buffer[at : at + HEADER] = [trips, origin, 5, origin + 2000, 1005]
    for number, row in enumerate(measurement.samples[0].cycles):
        for iteration, cycle in enumerate(row[: stamps.iterations]):
            if cycle is not None:
                buffer[stamps.offset(number) + iteration] = origin + cycle
    return buffer

"""What a generated module is run on: inputs, sampled thread blocks, and the float64 truth, from its schedule file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from twill.emulate import updates
from twill.emulate.examples import longer_examples, most_telling, next_longer, over_tiles, sample, telling_trips_of
from twill.errors import InputError
from twill.ir.arithmetic import arithmetic
from twill.shipped import found_schedule

if TYPE_CHECKING:
    from twill.frontend.launch import Launch
    from twill.frontend.trips import Trip
    from twill.ir.graph import Graph

_LONGEST_EXAMPLE = 16  # iterations of the example that are still emulated as they are


@dataclass(frozen=True)
class Truth:
    """Expected values of one output, float64, and how far a result may lie from them. fill: the kernel only
    writes it, so it starts as NaN."""

    values: np.ndarray
    tolerance: float
    fill: bool = False

    @cached_property
    def blank(self) -> Any:
        """bool, flat: where float64 has no number, for no program that was run writes there."""
        return np.isnan(self.values).ravel()

    @staticmethod
    def of(array: Any, reduction_length: int) -> Truth:
        """Truth for an output of the dtype of `array`'s counterpart, with the plain half-precision tolerance."""
        values = np.asarray(array, np.float64)
        return Truth(values, _tolerance(values, "bf16", reduction_length, 2))


@dataclass(frozen=True)
class Case:
    """One launch: arguments by name, expected outputs by name, the programs to run (None: all)."""

    name: str
    arguments: Mapping[str, Any]
    outputs: Mapping[str, Truth]
    trip_count: int | None = None
    programs: tuple[tuple[int, int, int], ...] | None = None


def from_schedule(
    module: Path, schedule: str | Path | None, trip_counts: Iterable[int] | None, programs: int
) -> tuple[list[Case], str, tuple[str, ...]]:
    """Cases of a generated module, the name of its launcher, and notes on what could not be covered.

    trip_counts: see `opened`. programs: thread blocks that are run of an example as it is, those with the fewest and
    the most iterations among them; with smaller arguments it is one, with the most. Where atomics combine into what
    other blocks do too, one of those is run as well in the longest case.
    """
    kernel = opened(module, schedule, trip_counts)
    made = [kernel.case(trip, kernel.sample(trip, programs)) for trip in kernel.trips]
    return made, kernel.graph.name, kernel.notes


@dataclass(frozen=True)
class Opened:
    """A generated module's kernel. launch, made: the example, long enough to take every ring round, and its tensors;
    trips: the arguments of each trip count; longer: examples for trip counts beyond that; notes: what could not be
    covered."""

    graph: Graph
    launch: Launch
    made: Mapping[str, Any]
    trips: tuple[Trip, ...]
    notes: tuple[str, ...]
    longer: Mapping[int, Launch] = field(default_factory=dict)

    def counts(self, trip: Trip) -> dict[tuple[int, int, int], int]:
        """Iterations of each program under the arguments of `trip`; of one that runs several tiles, all of them, each
        with one more for the tile itself."""
        from twill.frontend.trips import programs, tile_trips

        launch = self.longer.get(trip.trip_count, self.launch).with_values(trip.overrides)
        several = self.graph.outer is not None
        found = {program: tile_trips(self.graph, launch, program) for program in programs(launch)}
        return {program: sum(trips) + several * len(trips) for program, trips in found.items()}

    def sample(self, trip: Trip, count: int) -> tuple[tuple[int, int, int], ...]:
        """The programs to run: up to `count` (one where arguments are smaller), in the longest case also one whose
        atomics meet theirs."""
        counts = self.counts(trip)
        chosen = sample(counts, 1 if trip.overrides else count)
        if trip.trip_count < max(each.trip_count for each in self.trips):
            return chosen
        launch = self.longer.get(trip.trip_count, self.launch)
        changed = launch.with_values(trip.overrides)
        arguments = {**self._tensors(trip), **changed.scalars, **_contents(changed, trip)}
        return updates.joined(self.graph, arguments, changed.grid or (1, 1, 1), chosen, counts)

    def _tensors(self, trip: Trip) -> Mapping[str, Any]:
        from twill.frontend.materialize import materialize

        longer = self.longer.get(trip.trip_count)
        return self.made if longer is None else materialize(longer)

    def case(self, trip: Trip, programs: tuple[tuple[int, int, int], ...]) -> Case:
        """A launch of `programs` only."""
        launch = self.longer.get(trip.trip_count, self.launch)
        return _case(self.graph, launch, self._tensors(trip), trip, programs)


def opened(module: Path, schedule: str | Path | None, trip_counts: Iterable[int] | None) -> Opened:
    """The kernel of a generated module, and how to reach the wanted trip counts.

    trip_counts: None for those that take every ring of the module round and fill its pipelines (or a longer one, where
    no arguments reach these), and the example's own if it is small. A trip count is reached in one way, whichever
    others are wanted: with smaller arguments of the example, made so long that every ring is used twice and once more
    and every pipeline's steady state is run; only beyond that with a longer example of its own.
    """
    from twill.frontend.materialize import materialize
    from twill.frontend.stored import stored_kernel
    from twill.frontend.trips import Trip, largest_trip_count, reachable_trips
    from twill.schedule import files

    path = Path(schedule) if schedule is not None else _schedule_of(module)
    kernel = stored_kernel(files.read(path), str(path))
    if kernel is None:
        raise InputError(
            "the schedule file holds no kernel: it has no graph or no launch.",
            hint="It was not written by `twill compile`.",
            location=str(path),
        )
    graph, launch = kernel
    shown = telling_trips_of(module)
    own = largest_trip_count(graph, launch)
    telling = shown | ({own} if own <= _LONGEST_EXAMPLE else set())
    wanted = telling if trip_counts is None else set(trip_counts)
    launch = most_telling(graph, launch, telling, max(shown))
    reach = largest_trip_count(graph, launch)
    trips = reachable_trips(graph, launch, {count for count in wanted if count <= reach})
    longer = {}
    for count in sorted(count for count in wanted if count > reach):
        for beyond in longer_examples(graph, launch, count):
            found = reachable_trips(graph, beyond, {count})
            if found:
                longer[count] = beyond
                trips += found
                break
    missing = wanted - {trip.trip_count for trip in trips}
    notes = (f"trip counts {sorted(missing)} cannot be reached with other arguments",) if missing else ()
    if trip_counts is None:
        trips += next_longer(graph, launch, missing, trips)
    trips = trips or [Trip(reach, {})]
    if graph.outer is not None:
        trips, few = over_tiles(graph, launch, longer, trips)
        notes = (*notes, *few)
    return Opened(graph, launch, materialize(launch), tuple(trips), notes, longer)


def _case(
    graph: Graph, launch: Launch, made: Mapping[str, Any], trip: Trip, chosen: tuple[tuple[int, int, int], ...]
) -> Case:
    """The example's tensors under the scalars of one trip count: only a part of them is then used."""
    from twill.ir import evaluate

    changed = launch.with_values(trip.overrides)
    arguments = {**made, **changed.scalars, **_contents(changed, trip)}
    if changed.grid_text is None:
        arguments["grid"] = changed.grid
    written = [name for name in changed.outputs if changed.argument(name).kind == "tensor"]
    only_written = {
        name
        for name in written
        if changed.argument(name).access == "w" and changed.argument(name).dtype.startswith(("f", "bf"))
    }
    for name in only_written:
        arguments[name].fill_(float("nan"))
    grid = changed.grid or (1, 1, 1)
    exact = evaluate.run(graph, arguments, grid, "float64", chosen)
    added = updates.additions(graph, arguments, grid, chosen)
    length, narrow, roundings = arithmetic(graph, trip.trip_count, added)
    outputs = {}
    for name in written:
        values = np.asarray(exact.get(name, _array(arguments[name])), np.float64)
        values = _as_stored(values, changed.argument(name).dtype).reshape(tuple(arguments[name].shape))
        outputs[name] = Truth(values, _tolerance(values, narrow, length, roundings), name in only_written)
    return Case(_label(trip), arguments, outputs, trip.trip_count, chosen)


def _as_stored(values: np.ndarray, dtype: str) -> np.ndarray:
    """What an output of `dtype` holds, of values without a sign of their own: unsigned ones are not negative."""
    return np.where(values < 0, values + 2.0 ** int(dtype[1:]), values) if dtype.startswith("u") else values


def _contents(changed: Launch, trip: Trip) -> dict[str, Any]:
    """The tensors whose values the trip count changes."""
    from twill.frontend.materialize import argument

    return {name: argument(changed, name) for name, value in trip.overrides.items() if isinstance(value, tuple)}


def vacuous(found: Iterable[Case]) -> tuple[str, ...]:
    """A note on the outputs whose expected values are zero or not finite in every case: what a kernel that computes
    nothing leaves there may be right too."""
    telling: dict[str, bool] = {}
    for case in found:
        for name, truth in case.outputs.items():
            some = bool((np.isfinite(truth.values) & (truth.values != 0)).any())
            telling[name] = telling.get(name, False) or some
    blank = [name for name, some in telling.items() if not some]
    if not blank:
        return ()
    return (f"the numbers of {', '.join(blank)} say nothing: float64 has only zeros there, or what is not finite",)


def _label(trip: Trip) -> str:
    changes = ", ".join(f"{name}={_short(value)}" for name, value in trip.overrides.items())
    return f"trip count {trip.trip_count}" + (f" ({changes})" if changes else "")


def _short(value: int | tuple[int, ...]) -> str:
    """A value as text; of many only the first and the last."""
    if isinstance(value, tuple) and len(value) > 8:
        return f"({', '.join(map(str, value[:4]))}, ..., {', '.join(map(str, value[-3:]))})"
    return str(value)


def _array(tensor: Any) -> np.ndarray:
    from twill.emulate.memory import torch_array

    return torch_array(tensor)


def _tolerance(values: np.ndarray, dtype: str, length: int, roundings: int) -> float:
    from twill.ir.tolerance import magnitude, tolerance

    return tolerance(dtype, length, magnitude(values), roundings=roundings)


def _schedule_of(module: Path) -> Path:
    """The schedule file of a module: beside it, or shipped under schedules/<architecture>/."""
    found = found_schedule(module)
    if found is None:
        raise InputError(
            f"there is no schedule file {module.with_suffix('.json').name} beside the module or among the shipped "
            "schedules.",
            hint="`twill compile` writes it next to the module; keep the two together.",
            location=str(module),
        )
    return found

"""What a generated module is run on: inputs, sampled thread blocks, and the float64 truth, from its schedule file."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from twill.emulate import updates
from twill.emulate.rings import ring_depths, rounds, telling_trips
from twill.errors import CheckFailed, InputError

if TYPE_CHECKING:
    from twill.frontend.launch import Launch
    from twill.frontend.trips import Trip
    from twill.ir.graph import Graph

_LONGEST_EXAMPLE = 16  # iterations of the example that are still emulated as they are
_NARROW = ("f8e5m2", "f8e4m3", "bf16", "f16")


@dataclass(frozen=True)
class Truth:
    """Expected values of one output, float64, and how far a result may lie from them. fill: the kernel only
    writes it, so it starts as NaN."""

    values: np.ndarray
    tolerance: float
    fill: bool = False

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
        """Iterations of each program under the arguments of `trip`."""
        from twill.frontend.trips import trip_counts

        launch = self.longer.get(trip.trip_count, self.launch)
        return trip_counts(self.graph, launch.with_values(trip.overrides))

    def sample(self, trip: Trip, count: int) -> tuple[tuple[int, int, int], ...]:
        """The programs to run: up to `count` (one where arguments are smaller), in the longest case also one whose
        atomics meet theirs."""
        counts = self.counts(trip)
        chosen = _sample(counts, 1 if trip.overrides else count)
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

    trip_counts: None for those that take every ring of the module round, and the example's own if it is small. A trip
    count is reached in one way, whichever others are wanted: with smaller arguments of the example, made so long
    that the deepest ring is used twice and once more; only beyond that with a longer example of its own.
    """
    from twill.frontend.launch import from_json
    from twill.frontend.materialize import materialize
    from twill.frontend.trips import Trip, largest_trip_count, reachable_trips
    from twill.ir.parser import parse_graph
    from twill.schedule import files

    path = Path(schedule) if schedule is not None else _beside(module)
    stored = files.read(path)
    if stored.graph is None or stored.launch is None:
        raise InputError(
            "the schedule file holds no kernel: it has no graph or no launch.",
            hint="It was not written by `twill compile`.",
            location=str(path),
        )
    graph, launch = parse_graph(stored.graph), from_json(stored.launch)
    depths = set(_ring_depths(module).values())
    own = largest_trip_count(graph, launch)
    telling = telling_trips(depths) | ({own} if own <= _LONGEST_EXAMPLE else set())
    wanted = telling if trip_counts is None else set(trip_counts)
    launch = _longer(graph, launch, rounds(depths)) or launch
    reach = largest_trip_count(graph, launch)
    trips = reachable_trips(graph, launch, {count for count in wanted if count <= reach})
    longer = {}
    for count in sorted(count for count in wanted if count > reach):
        beyond = _longer(graph, launch, count)
        found = reachable_trips(graph, beyond, {count}) if beyond is not None else []
        if beyond is not None and found:
            longer[count] = beyond
            trips += found
    missing = wanted - {trip.trip_count for trip in trips}
    notes = (f"trip counts {sorted(missing)} cannot be reached with other arguments",) if missing else ()
    return Opened(graph, launch, materialize(launch), tuple(trips or [Trip(reach, {})]), notes, longer)


def _longer(graph: Graph, launch: Launch, trip_count: int) -> Launch | None:
    """The launch with so many iterations; None when there is none, or tensors that do not follow are then too small."""
    from twill.frontend.lengthen import lengthened

    for blocks in (False, True):
        longer = lengthened(graph, launch, trip_count, blocks=blocks)
        if longer is None or longer is launch or longer.grid is None or _stays_inside(graph, longer):
            return longer
    return None


def _stays_inside(graph: Graph, launch: Launch) -> bool:
    """Two of its programs access nothing outside of its tensors."""
    from twill.frontend.materialize import materialize
    from twill.frontend.trips import trip_counts
    from twill.ir import evaluate

    arguments = {**materialize(launch), **launch.scalars}
    try:
        evaluate.run(graph, arguments, launch.grid or (1, 1, 1), "float64", _sample(trip_counts(graph, launch), 2))
    except CheckFailed:
        return False
    return True


def _ring_depths(module: Path) -> dict[str, int]:
    """Of the module's rings; none where it cannot be read or parsed, which loading it will say."""
    try:
        return ring_depths(module.read_text())
    except (OSError, UnicodeDecodeError, SyntaxError):
        return {}


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
        values = values.reshape(tuple(arguments[name].shape))
        outputs[name] = Truth(values, _tolerance(values, narrow, length, roundings), name in only_written)
    return Case(_label(trip), arguments, outputs, trip.trip_count, chosen)


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


def _sample(counts: Mapping[tuple[int, int, int], int], count: int) -> tuple[tuple[int, int, int], ...]:
    """Up to `count` programs: that with the most iterations, that with the fewest, and some between."""
    ranked = sorted(counts.items(), key=lambda item: (item[1], item[0]))
    if len(ranked) <= count:
        return tuple(program for program, _ in ranked)
    last = len(ranked) - 1
    picks = {last, *(round(i * last / (count - 1)) for i in range(count - 1))}
    return tuple(ranked[i][0] for i in sorted(picks))


def arithmetic(graph: Graph, trip_count: int, additions: int = 0) -> tuple[int, str, int]:
    """(terms summed into an output, narrowest float a value is rounded to, how often), read off the graph.

    Every dot's products pass into the output, those of the loop once per iteration. A value is rounded to
    a narrow type where an op makes one from wider ones; sub-tiles repeat the ops, so one of them counts.
    additions: the most atomics that combine into one element, each a sum of so many terms of its own.
    """
    types = {name: value.type for name, value in graph.values().items()}
    length, roundings, narrow = 1, 0, "f32"
    body = set(map(id, graph.loop.body))
    for op in graph.ops():
        if op.subtile not in (None, 0):
            continue
        if op.opcode == "dot":
            inner = types[op.operands[0]].shape[1]
            length += inner * (max(1, trip_count) if id(op) in body else 1)
            if types[op.operands[0]].dtype == "f32":  # tf32 keeps the 11 bits of an f16
                roundings, narrow = roundings + 4, _narrower(narrow, "f16")
        if op.opcode == "atomic" and types[op.operands[1]].dtype in _NARROW:  # memory is rounded each time
            roundings, narrow = roundings + additions, _narrower(narrow, types[op.operands[1]].dtype)
        if op.opcode in ("reduce",):
            length += types[op.operands[0]].shape[int(str(op.attributes["axis"]))]
        for value in op.results:
            computed = op.opcode not in ("load", "descriptor_load", "constant", "trans", "broadcast", "expand_dims")
            if computed and value.type.kind == "value" and value.type.dtype in _NARROW:
                roundings, narrow = roundings + 1, _narrower(narrow, value.type.dtype)
    return length * max(1, additions), narrow, max(2, roundings)


def _narrower(a: str, b: str) -> str:
    order = [*_NARROW, "f32", "f64"]
    return min(a, b, key=order.index)


def _tolerance(values: np.ndarray, dtype: str, length: int, roundings: int) -> float:
    from twill.ir.tolerance import tolerance

    finite = np.abs(values[np.isfinite(values)])
    return tolerance(dtype, length, float(finite.max(initial=0.0)), roundings=roundings)


def _beside(module: Path) -> Path:
    """The schedule file of a module: beside it, or shipped under schedules/<architecture>/."""
    beside = module.with_suffix(".json")
    if beside.is_file():
        return beside
    for folder in _shipped():
        shipped = folder / module.parent.name / beside.name
        if shipped.is_file():
            return shipped
    raise InputError(
        f"there is no schedule file {beside.name} beside the module or among the shipped schedules.",
        hint="`twill compile` writes it next to the module; keep the two together.",
        location=str(module),
    )


def _shipped() -> list[Path]:
    """Folders of the schedules that come with the package; in a checkout that is not installed, its own."""
    try:
        return [Path(folder) for folder in importlib.import_module("twill.schedules").__path__]
    except ModuleNotFoundError:
        return [Path(__file__).resolve().parents[2] / "schedules"]

"""What a generated module is run on: inputs, sampled thread blocks, and the float64 truth, from its schedule file."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from twill.errors import InputError

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
    module: Path, schedule: str | Path | None, trip_counts: Iterable[int], programs: int
) -> tuple[list[Case], str, tuple[str, ...]]:
    """Cases of a generated module, the name of its launcher, and notes on what could not be covered."""
    from twill.frontend.launch import from_json
    from twill.frontend.materialize import materialize
    from twill.frontend.trips import largest_trip_count, reachable_trips
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
    wanted = set(trip_counts)
    own = largest_trip_count(graph, launch)
    trips = reachable_trips(graph, launch, wanted | ({own} if own <= _LONGEST_EXAMPLE else set()))
    if not trips:
        from twill.frontend.trips import Trip

        trips = [Trip(own, {})]
    missing = wanted - {trip.trip_count for trip in trips}
    notes = (f"trip counts {sorted(missing)} cannot be reached with smaller arguments",) if missing else ()
    made = materialize(launch)
    return [_case(graph, launch, made, trip, programs) for trip in trips], graph.name, notes


def _case(graph: Graph, launch: Launch, made: Mapping[str, Any], trip: Trip, programs: int) -> Case:
    """The example's tensors under the scalars of one trip count: only a part of them is then used."""
    from twill.ir import evaluate

    changed = launch.with_values(trip.overrides)
    arguments = {**made, **changed.scalars}
    if changed.grid_text is None:
        arguments["grid"] = changed.grid
    chosen = _sample(graph, changed, programs)
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
    length, narrow, roundings = arithmetic(graph, trip.trip_count)
    outputs = {}
    for name in written:
        values = np.asarray(exact.get(name, _array(arguments[name])), np.float64)
        values = values.reshape(tuple(arguments[name].shape))
        outputs[name] = Truth(values, _tolerance(values, narrow, length, roundings), name in only_written)
    return Case(_label(trip), arguments, outputs, trip.trip_count, chosen)


def _label(trip: Trip) -> str:
    changes = ", ".join(f"{name}={value}" for name, value in trip.overrides.items())
    return f"trip count {trip.trip_count}" + (f" ({changes})" if changes else "")


def _array(tensor: Any) -> np.ndarray:
    from twill.emulate.memory import torch_array

    return torch_array(tensor)


def _sample(graph: Graph, launch: Launch, count: int) -> tuple[tuple[int, int, int], ...]:
    """Up to `count` programs: those with the fewest and the most iterations, and some between."""
    from twill.frontend.trips import trip_counts

    ranked = sorted(trip_counts(graph, launch).items(), key=lambda item: (item[1], item[0]))
    if len(ranked) <= count:
        return tuple(program for program, _ in ranked)
    picks = {round(i * (len(ranked) - 1) / max(1, count - 1)) for i in range(count)}
    return tuple(ranked[i][0] for i in sorted(picks))


def arithmetic(graph: Graph, trip_count: int) -> tuple[int, str, int]:
    """(terms summed into an output, narrowest float a value is rounded to, how often), read off the graph.

    Every dot's products pass into the output, those of the loop once per iteration. A value is rounded to
    a narrow type where an op makes one from wider ones; sub-tiles repeat the ops, so one of them counts.
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
        if op.opcode in ("reduce",):
            length += types[op.operands[0]].shape[int(str(op.attributes["axis"]))]
        for value in op.results:
            computed = op.opcode not in ("load", "descriptor_load", "constant", "trans", "broadcast", "expand_dims")
            if computed and value.type.kind == "value" and value.type.dtype in _NARROW:
                roundings, narrow = roundings + 1, _narrower(narrow, value.type.dtype)
    return length, narrow, max(2, roundings)


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

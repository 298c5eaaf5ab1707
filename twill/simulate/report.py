"""A simulation and a prediction in words, tables and JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rich.console import RenderableType
from rich.text import Text

from twill.errors import InputError, Unsupported
from twill.report import columns, heading, row
from twill.schedule.files import ScheduleFile
from twill.simulate.measure import Simulation, Stall

if TYPE_CHECKING:
    from twill.compiler import Compiled
    from twill.simulate.predict import Prediction

_MOST_WAITS = 8


def predicted(simulation: Simulation, stored: ScheduleFile, sizes: Mapping[str, str]) -> Prediction | None:
    """The prediction for the launch in a schedule file, with other scalar arguments; None when it holds no kernel.

    Raises InputError for an argument that is not an integer of the kernel, and as `predict`.
    """
    if stored.graph is None or stored.launch is None:
        if sizes:
            raise InputError("the schedule is not that of a kernel: it has no sizes.", hint="Leave out --size.")
        return None
    from twill.frontend.launch import from_json
    from twill.ir.parser import parse_graph
    from twill.machine import load
    from twill.simulate.predict import predict
    from twill.simulate.sizes import with_sizes

    machine = load(str(stored.schedule.provenance.get("machine", stored.schedule.problem.limits.name)))
    return predict(simulation, parse_graph(stored.graph), with_sizes(from_json(stored.launch), sizes), machine)


def shown(simulation: Simulation, prediction: Prediction | None) -> list[RenderableType]:
    """What `twill show --simulated` prints below the drawing."""
    schedule, latency = simulation.schedule, simulation.latency
    runs = len(simulation.intervals)
    lines = [
        f"Interval {simulation.ii:.1f} cycles, {simulation.spread:.1f} standard deviation over {runs}"
        f" run{'s' * (runs != 1)}; the schedule's own is {schedule.ii}.",
        f"Load latencies spread by {latency.spread:g}, {latency.slowdown:g} times the machine file's. Modelled, not"
        " measured.",
    ]
    units = columns("unit", "busy", right=("busy",))
    for unit, share in simulation.utilization.items():
        row(units, unit, f"{share:.1%}")
    parts: list[RenderableType] = [
        heading("Simulated steady state"),
        Text("\n".join(lines)),
        units,
        heading("Where streams wait"),
    ]
    parts += _waits(simulation)
    if prediction is not None:
        parts += [heading("The launch, predicted"), *_launch(prediction)]
    return parts


def _waits(simulation: Simulation) -> list[RenderableType]:
    if not simulation.stalls:
        return [Text("Nowhere.")]
    late = {(stall.group, stall.op): stall.cycles for stall in simulation.late}
    table = columns("group", "before", "cycles an iteration", "by late loads", "for",
                    right=("group", "cycles an iteration", "by late loads"), free=("for",))  # fmt: skip
    for stall in simulation.stalls[:_MOST_WAITS]:
        more = late.pop((stall.group, stall.op), 0.0)
        row(table, stall.group, stall.op, f"{stall.cycles:.1f}", f"{more:.1f}" if more else "", stall.cause)
    hidden = len(simulation.stalls) - _MOST_WAITS
    return [table, *([Text(f"and {hidden} shorter")] if hidden > 0 else [])]


def _launch(prediction: Prediction) -> list[RenderableType]:
    table = columns("tensor", "MB", "loaded MB", "times", "stored MB", right=("MB", "loaded MB", "times", "stored MB"))
    for each in prediction.tensors:
        own = f"{each.own_bytes / 1e6:.2f}" if each.own_bytes else ""
        times = f"{each.times_read:.1f}" if each.loaded_bytes else ""
        row(table, each.name, own, f"{each.loaded_bytes / 1e6:.2f}", times, f"{each.stored_bytes / 1e6:.2f}")
    lines = [
        f"{prediction.programs} programs in {prediction.waves} wave{'s' * (prediction.waves != 1)},"
        f" {prediction.iterations} iterations in all.",
        f"SMs {prediction.sm_seconds * 1e6:.1f} us; L2 {prediction.l2_bytes / 1e6:.1f} MB,"
        f" {prediction.l2_seconds * 1e6:.1f} us; device memory {prediction.hbm_bytes / 1e6:.1f} MB,"
        f" {prediction.hbm_seconds * 1e6:.1f} us.",
    ]
    if prediction.flop and prediction.peak_tflops:
        lines.append(
            f"Roofline {prediction.roofline_tflops:.0f} TFLOP/s at {prediction.flop / prediction.hbm_bytes:.0f} FLOP a"
            f" byte of device memory; dense peak {prediction.peak_tflops:.0f}."
        )
    return [table, Text("\n".join([*lines, line(prediction)]))]


def line(prediction: Prediction) -> str:
    """The prediction in one sentence: time, TFLOP/s, share of peak, what limits."""
    time = f"Predicted (modelled, not measured): {prediction.seconds * 1e6:.1f} us"
    if prediction.flop:
        time += f", {prediction.tflops:.1f} TFLOP/s"
        time += f", {prediction.share_of_peak:.1%} of the dense peak" if prediction.peak_tflops else ""
    else:
        time += f", {prediction.hbm_bytes / prediction.seconds / 1e9:.0f} GB/s of device memory"
    return f"{time}; limited by {prediction.limit}."


def simulation_json(simulation: Simulation, prediction: Prediction | None) -> dict[str, Any]:
    """The simulation, and the prediction or null, as one JSON object."""

    def listed(stalls: tuple[Stall, ...]) -> list[dict[str, Any]]:
        return [
            {"group": each.group, "op": each.op, "cycles": round(each.cycles, 3), "for": each.cause} for each in stalls
        ]

    return {
        "modelled": True,
        "ii": round(simulation.ii, 3),
        "ii_spread": round(simulation.spread, 3),
        "schedule_ii": simulation.schedule.ii,
        "seeds": len(simulation.intervals),
        "latency_spread": simulation.latency.spread,
        "load_slowdown": simulation.latency.slowdown,
        "utilization": {unit: round(share, 4) for unit, share in simulation.utilization.items()},
        "waits": listed(simulation.stalls),
        "late": listed(simulation.late),
        "prediction": prediction.json() if prediction is not None else None,
    }


def prediction_of_compiled(compiled: Compiled) -> Prediction | None:
    """The prediction for a compiled kernel's example; None where the launch has no grid or trips are not known."""
    from twill.simulate.measure import simulate
    from twill.simulate.predict import predict

    if compiled.launch.grid is None:
        return None
    try:
        return predict(simulate(compiled.schedule), compiled.graph, compiled.launch, compiled.machine)
    except (InputError, Unsupported):
        return None

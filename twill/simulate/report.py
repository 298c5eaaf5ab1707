"""A simulation and a prediction in words, tables and JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rich.console import RenderableType
from rich.text import Text

from twill.errors import InputError, Unsupported
from twill.report import columns, heading, row
from twill.simulate.latency import LoadLatency
from twill.simulate.measure import Simulation, Stall, simulate

if TYPE_CHECKING:
    from twill.compiler import Compiled
    from twill.simulate.predict import Prediction

_MOST_WAITS = 8


def shown(simulation: Simulation, prediction: Prediction | None, without: str = "") -> list[RenderableType]:
    """What `twill show --simulated` prints below the drawing. without: why no kernel was simulated."""
    schedule, latency = simulation.schedule, simulation.latency
    runs = len(simulation.intervals)
    lines = [
        _what_ran(simulation, without),
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


def _what_ran(simulation: Simulation, without: str) -> str:
    kernel = simulation.kernel
    if kernel is None:
        why = f" No kernel is emitted for it: {without}" if without else ""
        return f"The schedule's own order and waits were run.{why}"
    one, fits = kernel.occupancy, kernel.occupancy.blocks
    return (
        f"The emitted kernel's statements were run: {fits} thread block{'s' * (fits != 1)} on an SM, which"
        f" {one.limit} allow{'s' * (one.limit == 'shared memory')} (one takes {one.smem_bytes} bytes of shared memory,"
        f" {one.registers} registers, {one.warps} warps)."
    )


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
    together = f", {prediction.blocks} on an SM at once" if prediction.blocks > 1 else ""
    lines = [
        f"{prediction.programs} programs in {prediction.waves} wave{'s' * (prediction.waves != 1)}{together},"
        f" {prediction.iterations} iterations in all.",
        f"SMs {prediction.sm_seconds * 1e6:.1f} us; L2 {prediction.l2_bytes / 1e6:.1f} MB,"
        f" {prediction.l2_seconds * 1e6:.1f} us; device memory {prediction.hbm_bytes / 1e6:.1f} MB,"
        f" {prediction.hbm_seconds * 1e6:.1f} us.",
    ]
    if prediction.flop and prediction.peak_tflops:
        lines.append(
            f"Roofline {prediction.roofline_tflops:.0f} TFLOP/s at {prediction.flop / prediction.hbm_bytes:.0f} FLOP a"
            f" byte of device memory; dense peak {prediction.peak_tflops:.0f} at {prediction.clock_mhz:.0f} MHz"
            f" (the vendor's figure: {prediction.vendor_tflops:.0f})."
        )
    return [table, Text("\n".join([*lines, line(prediction)]))]


def line(prediction: Prediction) -> str:
    """The prediction in a sentence: time, TFLOP/s, share of peak, what limits; a second one for a full machine."""
    time = f"Predicted (modelled, not measured): {prediction.seconds * 1e6:.1f} us"
    if prediction.flop:
        time += f", {prediction.tflops:.1f} TFLOP/s"
        time += f", {prediction.share_of_peak:.1%} of the dense peak" if prediction.peak_tflops else ""
    else:
        time += f", {prediction.hbm_bytes / prediction.seconds / 1e9:.0f} GB/s of device memory"
    text = f"{time}; limited by {prediction.limit}."
    if prediction.steady_tflops and prediction.peak_tflops and not prediction.full:
        text += (
            f" With every SM in its steady state: {prediction.steady_tflops:.0f} TFLOP/s,"
            f" {prediction.steady_share_of_peak:.1%} of the dense peak; --size asks about larger launches."
        )
    return text


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
        "runs": "kernel" if simulation.kernel is not None else "schedule",
        "blocks_per_sm": simulation.blocks,
        "latency_spread": simulation.latency.spread,
        "load_slowdown": simulation.latency.slowdown,
        "utilization": {unit: round(share, 4) for unit, share in simulation.utilization.items()},
        "waits": listed(simulation.stalls),
        "late": listed(simulation.late),
        "prediction": prediction.json() if prediction is not None else None,
    }


def prediction_of_compiled(compiled: Compiled, sizes: Mapping[str, str] | None = None) -> Prediction | None:
    """The prediction for a compiled kernel, at its example or other sizes; None where it cannot be made.

    That is for a launch without a grid, and where trip counts are not known. Raises InputError for sizes that the
    kernel does not have.
    """
    from twill.simulate.kernel import Kernel, kernel_of_plan
    from twill.simulate.predict import predict
    from twill.simulate.sizes import with_sizes

    launch = with_sizes(compiled.launch, sizes or {})
    if launch.grid is None:
        return None
    kernel = kernel_of_plan(compiled.plan, compiled.machine)
    latency = LoadLatency(compiled.machine.number("load_spread"))
    simulation = simulate(compiled.schedule, latency, kernel=kernel if isinstance(kernel, Kernel) else None)
    try:
        return predict(simulation, compiled.graph, launch, compiled.machine)
    except (InputError, Unsupported):
        if sizes:
            raise
        return None

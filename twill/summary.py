"""What `twill compile` says of a compiled kernel, on a terminal and as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from twill.explain import explain_data
from twill.ranking import candidates_json, candidates_shown
from twill.report import checks_json, columns, heading, row, show

if TYPE_CHECKING:
    from twill.compiler import Compiled
    from twill.ladder import Check
    from twill.schedule.schedule import Schedule

TIERS = {
    "ii": "cycles from one iteration to the next",
    "register traffic": "registers a thread that values take in groups other than their own",
    "slack": "cycles by which any awaited result may be late before an iteration takes longer",
    "total time": "cycles of the whole loop",
    "groups": "warp groups",
    "ring slack": "tiles of the rings beyond what the schedule needs, for late loads",
}


def print_compiled(compiled: Compiled, paths: Sequence[Path], sizes: Mapping[str, str] | None = None) -> None:
    """The whole report but the checks: ops, loads, bound, claim, roles and rings, drawing, files.

    sizes: integer arguments, as text, for which the launch is predicted; the example's by default.
    """
    facts = explain_data(compiled.schedule)
    parts: list[RenderableType] = [
        _title(compiled),
        heading("The loop's ops"),
        _ops(compiled.schedule),
        Text(
            "busy: cycles the op takes its unit. latency: cycles until its result may be used. regs: registers a thread"
            " of the result. It starts at cycle stage * II + slot of its iteration."
        ),
        heading("Load of each unit in one iteration"),
        _loads(facts),
        heading("Bound"),
        _bound(facts),
        heading("Schedule"),
        *_claim(compiled.schedule),
        *candidates_shown(compiled.candidates),
        *_prediction(compiled, sizes),
        heading("Roles"),
        _roles(compiled, facts),
        Text(
            "registers: a thread's quota. in values: how many of those left for tiles they fill at most."
            " iterations: how many the role works on at a time."
        ),
        heading("Shared memory"),
        _buffers(compiled),
        *_shared_bytes(compiled),
        heading("Drawing"),
    ]
    show(*parts)
    print(compiled.gantt("text"))
    show(heading("Files"), *(Text(str(path)) for path in paths))


def _title(compiled: Compiled) -> Text:
    constants = ", ".join(f"{name}={value}" for name, value in compiled.launch.constants.items())
    text = Text(f"{compiled.plan.name} for {compiled.machine.title}", style="bold")
    text.append(f"\n{constants}; {compiled.schedule.problem.trip_count} iterations", style="not bold")
    return text


def _ops(schedule: Schedule) -> Table:
    table = columns(
        "op", "unit", "busy", "latency", "regs", "stage", "slot", "group", "what", "source",
        right=("busy", "latency", "regs", "stage", "slot", "group"), free=("what",),
    )  # fmt: skip
    for op in sorted(schedule.problem.ops, key=lambda op: schedule.start(op.id)):
        at = schedule.placements[op.id]
        line = ":".join(op.location.rsplit("/", 1)[-1].split(":")[:2])
        groups = ",".join(map(str, at.groups))
        row(
            table,
            op.id,
            op.unit,
            op.occupancy,
            op.latency,
            op.registers or "",
            at.stage,
            at.slot,
            groups,
            op.label,
            line,
        )
    return table


def _loads(facts: dict[str, Any]) -> Table:
    table = columns("unit", "cycles", "share of II", "ops", right=("cycles", "share of II"), free=("ops",))
    for unit in facts["units"]:
        row(table, unit["unit"], unit["busy_cycles"], f"{unit['utilization']:.0%}", ", ".join(unit["ops"]))
    return table


def _bound(facts: dict[str, Any]) -> Text:
    """MII = max(ResMII, RecMII) and what causes each."""
    mii, unit, cycle = facts["mii"], facts["units"][0], facts["cycle"]
    most = f" at {unit['capacity']} at once" if unit["capacity"] > 1 else ""
    around = "no cycle of dependences takes time"
    if cycle is not None:
        path = " -> ".join([*(dep["src"] for dep in cycle["deps"]), cycle["deps"][0]["src"]])
        plural = "s" if cycle["distance"] != 1 else ""
        around = f"{cycle['latency']} cycles in {cycle['distance']} iteration{plural} around {path}"
    return Text(
        f"MII {mii['cycles']} cycles, because of {' and '.join(mii['causes']) or 'nothing'}: the larger of\n"
        f"  ResMII {mii['res_mii']}: unit {unit['unit']} is busy for {unit['busy_cycles']} cycles{most}\n"
        f"  RecMII {mii['rec_mii']}: {around}"
    )


def _claim(schedule: Schedule) -> list[RenderableType]:
    """II, status and what proves it; then each tier of the objective with its own proof."""
    lines = [f"II {schedule.ii} cycles: {schedule.status}, in {schedule.seconds:.1f} s", f"  {_proof(schedule)}"]
    changes = schedule.provenance.get("feedback", ())
    assert isinstance(changes, list | tuple)
    lines += [f"  after ptxas: {change}" for change in changes]
    lines.append(f"An iteration takes {schedule.length} cycles; a new one starts every {schedule.ii}.")
    text = Text("\n".join([*lines, "What was optimized, in order:"]))
    table = columns("", "value", "bound", "proof", "meaning", right=("value", "bound"), free=("meaning",))
    for tier in schedule.tiers:
        proof = "proved" if tier.proved else "not proved"
        row(table, tier.name, tier.value, tier.bound, proof, TIERS.get(tier.name, ""))
    return [text, table]


def _prediction(compiled: Compiled, sizes: Mapping[str, str] | None) -> list[RenderableType]:
    """The simulated interval beside the schedule's, and the time of a launch where there is one to predict."""
    from twill.forms import simulated
    from twill.simulate.report import line, prediction_of_compiled

    cycles, ii = simulated(compiled.plan, compiled.machine), compiled.schedule.ii
    more = f", {cycles / ii - 1:.1%} more than" if round(cycles) > ii else ", as"
    text = f"Simulated, an iteration of the emitted kernel takes {cycles:.0f} cycles{more} the schedule's {ii}."
    prediction = prediction_of_compiled(compiled, sizes)
    return [heading("Prediction"), Text(text), *([Text(line(prediction))] if prediction is not None else [])]


def _proof(schedule: Schedule) -> str:
    return f"proof: {schedule.reason}" if schedule.status == "optimal" else f"no proof: {schedule.reason}"


def _roles(compiled: Compiled, facts: dict[str, Any]) -> Table:
    names = ("role", "group", "warps", "registers", "in values", "iterations", "ops")
    table = columns(*names, right=names[1:-1], free=("ops",))
    for role in sorted(compiled.plan.roles, key=lambda role: role.group):
        group = facts["groups"][role.group]
        values = f"{group['peak_registers']} of {group['registers']}" if group["peak_registers"] else ""
        row(table, role.name, role.group, role.warps, role.registers, values, role.stages, ", ".join(group["ops"]))
    return table


def _buffers(compiled: Compiled) -> Table:
    """The rings, then the buffers that exist once."""
    table = columns("buffer", "what", right=())
    for buffer in sorted(compiled.plan.buffers, key=lambda buffer: not buffer.depth):
        tile = f"{'x'.join(map(str, buffer.shape))} {buffer.dtype}"
        row(table, buffer.name, f"ring of {buffer.depth} tiles {tile}" if buffer.depth else f"one tile {tile}")
    return table


def _shared_bytes(compiled: Compiled) -> list[Text]:
    if compiled.code is None:
        return []
    return [Text(f"{compiled.code.shared_bytes} of {compiled.code.shared_limit} bytes")]


def compiled_json(
    compiled: Compiled, checks: Sequence[Check], paths: Sequence[Path], sizes: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """The answer of `twill compile --json`: that of `twill schedule`, with what was made, predicted and checked."""
    from twill.forms import simulated
    from twill.schedule.files import answer_json
    from twill.simulate.report import prediction_of_compiled

    prediction = prediction_of_compiled(compiled, sizes)
    return {
        **answer_json(compiled.schedule),
        "kernel": compiled.plan.name,
        "arch": compiled.machine.name,
        "constants": compiled.launch.constants,
        "subtiles": compiled.graph.subtiles,
        "stopped": any(candidate.stopped for candidate in compiled.candidates),
        "candidates": candidates_json(compiled.candidates),
        "explain": explain_data(compiled.schedule),
        "simulated_ii": round(simulated(compiled.plan, compiled.machine), 3),
        "predicted": prediction.json() if prediction is not None else None,
        "roles": [
            {"name": role.name, "warps": role.warps, "registers": role.registers, "stages": role.stages}
            for role in compiled.plan.roles
        ],
        **checks_json(checks),
        "files": [str(path) for path in paths],
    }

"""The schedule as a Chrome trace, for ui.perfetto.dev or chrome://tracing; one cycle is shown as one microsecond."""

from __future__ import annotations

import json
from typing import Any

from twill.schedule.gantt_svg import require_placements
from twill.schedule.schedule import Schedule
from twill.schedule.timeline import Timeline, timeline

_PROCESSES = {"phase": 1, "unit": 2, "group": 3}


def perfetto(schedule: Schedule, drawn: Timeline | None = None) -> str:
    """The trace as JSON text: a process for the units, one for the warp groups, a thread for each row of a lane.

    Raises NoSchedule without placements.
    """
    require_placements(schedule)
    drawn = drawn or timeline(schedule)
    schedule = drawn.schedule
    events: list[dict[str, Any]] = [
        _named("process_name", _PROCESSES["phase"], 0, f"{schedule.problem.name}: phases"),
        _named("process_name", _PROCESSES["unit"], 0, "functional units (while busy)"),
        _named("process_name", _PROCESSES["group"], 0, "warp groups (while issuing)"),
    ]
    phases = [(f"all {drawn.iterations} iterations", 0, drawn.end)]
    if drawn.reaches_steady_state:
        end = min(drawn.steady_end, drawn.end)
        phases = [
            ("prologue", 0, drawn.steady_begin),
            ("steady state", drawn.steady_begin, end),
            ("epilogue", end, drawn.end),
        ]
    for name, begin, end in phases:
        if end > begin:
            events.append(_event(name, _PROCESSES["phase"], 1, begin, end, {"ii_cycles": schedule.ii}))
    thread = 0
    for lane in drawn.lanes:
        process = _PROCESSES[lane.kind]
        for row in range(lane.rows):
            again = f" ({row + 1})" if row else ""
            events.append(_named("thread_name", process, thread + row, f"{lane.name}{again}, {lane.detail}"))
            events.append(
                {**_named("thread_sort_index", process, thread + row, ""), "args": {"sort_index": thread + row}}
            )
        for bar in lane.bars:
            name = f"{bar.op.id} #{bar.iteration}"
            arguments = _arguments(schedule, bar.op.id, bar.iteration)
            events.append(_event(name, process, thread + bar.row, bar.begin, bar.end, arguments))
        thread += lane.rows
    other = {
        "loop": schedule.problem.name,
        "ii_cycles": schedule.ii,
        "status": schedule.status,
        "unit": "1 us is 1 cycle",
    }
    return json.dumps({"traceEvents": events, "displayTimeUnit": "ns", "otherData": other})


def _named(what: str, process: int, thread: int, name: str) -> dict[str, Any]:
    return {"ph": "M", "name": what, "pid": process, "tid": thread, "args": {"name": name}}


def _event(name: str, process: int, thread: int, begin: int, end: int, arguments: dict[str, Any]) -> dict[str, Any]:
    return {"ph": "X", "name": name, "pid": process, "tid": thread, "ts": begin, "dur": end - begin, "args": arguments}


def _arguments(schedule: Schedule, id: str, iteration: int) -> dict[str, Any]:
    op, at = schedule.problem.op(id), schedule.placements[id]
    return {
        "op": id, "iteration": iteration, "stage": at.stage, "slot": at.slot, "groups": list(at.groups),
        "unit": op.unit,
        "occupancy_cycles": op.occupancy, "issue_cycles": op.issue, "latency_cycles": op.latency, "source": op.location,
    }  # fmt: skip

"""The Gantt chart of a schedule in text, at most 100 columns wide."""

from __future__ import annotations

from textwrap import wrap

from twill.schedule.letters import letters, plain
from twill.schedule.reservation import newest_iteration, reservation_table
from twill.schedule.schedule import Group, Schedule
from twill.schedule.text_lanes import NAME_COLUMNS, Scale, draw_lane, ruler
from twill.schedule.timeline import Timeline, stages, timeline, title

WIDTH = 100
MAX_LEGEND = 52
STEADY_TURNS = 2


def text(schedule: Schedule, drawn: Timeline | None = None) -> str:
    """The steady state in detail, the first iterations as they overlap, and the legend, in ASCII lines of <= 100."""
    if not schedule.placements:
        reason = plain(schedule.reason) or "no reason is given"
        return _prose(f"{plain(schedule.problem.name)}: no schedule to draw: {schedule.status}, {reason}.")
    if drawn is not None:
        schedule = drawn.schedule
        ends = [_ending(schedule, drawn)] if drawn.whole and drawn.reaches_steady_state else []
        return "\n\n".join([_heading(schedule), _overlap(schedule, drawn), *ends, _legend(schedule)])
    parts = [_heading(schedule), _steady(schedule), _overlap(schedule, timeline(schedule)), _legend(schedule)]
    return "\n\n".join(parts)


def _heading(schedule: Schedule) -> str:
    count = stages(schedule)
    where = f"{plain(schedule.problem.name)[:40]} on {plain(schedule.problem.limits.name)[:20]}"
    return _prose(
        f"{where}: a new iteration every {schedule.ii} cycles (II, {schedule.status}), each takes {schedule.length};"
        f" {count} iteration{'s' if count > 1 else ''} in flight, {schedule.problem.trip_count} in all"
    )


def _steady(schedule: Schedule) -> str:
    newest = newest_iteration(schedule)
    columns = WIDTH - NAME_COLUMNS - 3
    told = f"STEADY STATE: one turn of {schedule.ii} cycles, {schedule.ii / columns:.3g} a column."
    told += f" #{newest} works for iteration {newest}{', smaller # for earlier ones' if newest else ''}."
    return f"{_prose(told)}\n{reservation_table(schedule, WIDTH)}"


def _prose(sentence: str) -> str:
    return "\n".join(wrap(sentence, WIDTH))


def _overlap(schedule: Schedule, drawn: Timeline) -> str:
    begin = drawn.steady_begin
    end = begin + STEADY_TURNS * schedule.ii if drawn.reaches_steady_state else drawn.end
    scale = Scale(0, end, WIDTH - NAME_COLUMNS - 3)
    key = letters(schedule.problem)
    marks = [(turn * schedule.ii, f"|{turn * schedule.ii}") for turn in range(-(-end // schedule.ii))]
    if drawn.reaches_steady_state:
        phases = [(begin, "<== steady state ==>")]
        if begin:
            phases.insert(0, (0, "<-- prologue -->"))
    else:
        phases = [(0, f"only {drawn.iterations} iterations: the steady state is not reached")]
    lines = [
        "FROM THE START: a bar begins with the digit of its iteration; letters are ops, listed below.",
        ruler(scale, phases),
        ruler(scale, marks),
    ]
    for lane in drawn.lanes:
        lines += draw_lane(
            lane, scale, key, named=False, grid=[turn * schedule.ii for turn in range(1, drawn.iterations + 1)]
        )
    return "\n".join(lines)


def _ending(schedule: Schedule, drawn: Timeline) -> str:
    """The last turn of the steady state, the epilogue and what follows the loop, at the scale of its beginning."""
    shown = drawn.steady_begin + STEADY_TURNS * schedule.ii
    begin = max(0, drawn.end - shown)
    scale = Scale(begin, drawn.end, WIDTH - NAME_COLUMNS - 3)
    key = letters(schedule.problem)
    turns = range(-(-begin // schedule.ii), -(-drawn.end // schedule.ii))
    phases = [(begin, "<== steady state ==>")] if begin < drawn.steady_end else []
    lines = [
        f"TO THE END of a loop of {drawn.iterations} iterations:",
        ruler(scale, [*phases, (max(begin, drawn.steady_end), "<-- epilogue -->")]),
        ruler(scale, [(turn * schedule.ii, f"|{turn * schedule.ii}") for turn in turns]),
    ]
    for lane in drawn.lanes:
        lines += draw_lane(lane, scale, key, named=False, grid=[turn * schedule.ii for turn in turns])
    return "\n".join(lines)


def _legend(schedule: Schedule) -> str:
    key = letters(schedule.problem)
    cells = [f"{key[op.id]} {plain(title(op))} ({plain(op.unit)} {op.occupancy})" for op in schedule.problem.ops]
    shown = [cell if len(cell) <= 46 else cell[:43] + "..." for cell in cells[:MAX_LEGEND]]
    width = max(len(cell) for cell in shown) + 2
    across = max(1, (WIDTH - 2) // width)
    lines = ["Unit rows: while the unit is busy. Group rows: while the group's instruction stream is taken."]
    lines += [f"  group {number}: {_role(group)}" for number, group in enumerate(schedule.groups)]
    lines.append("OPS: letter, name, unit and the cycles it is busy")
    for at in range(0, len(shown), across):
        lines.append("  " + "".join(f"{cell:<{width}}" for cell in shown[at : at + across]).rstrip())
    if len(cells) > MAX_LEGEND:
        lines.append(f"  and {len(cells) - MAX_LEGEND} more")
    return "\n".join(lines)


def _role(group: Group) -> str:
    role = "producer, " if group.producer else ""
    return f"{role}{group.warps} warp{'s' if group.warps != 1 else ''}, {group.registers} registers per thread"

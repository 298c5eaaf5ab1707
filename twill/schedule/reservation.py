"""The modulo reservation table: one turn of the steady state as a drawing of a few ASCII lines."""

from __future__ import annotations

from twill.schedule.letters import letters
from twill.schedule.schedule import Schedule
from twill.schedule.text_lanes import NAME_COLUMNS, Scale, draw_lane, ruler
from twill.schedule.timeline import lanes

QUARTERS = 4


def reservation_table(schedule: Schedule, width: int = 100) -> str:
    """One turn of the steady state, ii cycles, on lines of at most `width` columns of ASCII; "" without placements.

    A row for each unit (while it is busy) and each warp group (while its instruction stream is
    taken). A bar shows the op and the iteration it works for; the newest iteration has the highest
    number, so ops of later stages show smaller ones.
    """
    if not schedule.placements:
        return ""
    newest = newest_iteration(schedule)
    scale = Scale(newest * schedule.ii, (newest + 1) * schedule.ii, width - NAME_COLUMNS - 3)
    ticks = [
        (scale.begin + schedule.ii * quarter // QUARTERS, str(schedule.ii * quarter // QUARTERS))
        for quarter in range(QUARTERS)
    ]
    drawn = lanes(schedule, range(newest + 1))
    key = letters(schedule.problem)
    lines = [ruler(scale, ticks)]
    for lane in drawn:
        lines += draw_lane(lane, scale, key, named=True)
    return "\n".join(lines)


def newest_iteration(schedule: Schedule) -> int:
    """The number of the youngest iteration in a turn whose oldest, still occupying a unit or a stream, is 0."""
    return max(
        (schedule.start(op.id) + max(op.occupancy, op.issue, 1) - 1) // schedule.ii for op in schedule.problem.ops
    )

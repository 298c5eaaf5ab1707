"""One picture of a schedule in the format asked for; what `twill show` prints."""

from __future__ import annotations

from twill.errors import InputError
from twill.schedule.gantt_html import html
from twill.schedule.gantt_svg import svg
from twill.schedule.gantt_text import text
from twill.schedule.perfetto import perfetto
from twill.schedule.schedule import Schedule
from twill.schedule.timeline import Timeline

FORMATS = {"text": text, "svg": svg, "html": html, "perfetto": perfetto}


def render(schedule: Schedule, format: str, drawn: Timeline | None = None) -> str:
    """The Gantt chart of `schedule` as "text", "svg", "html" or "perfetto" (Chrome trace JSON).

    drawn: the bars, when they are not the schedule's own but those of a simulated run of it.

    Raises InputError for another format, NoSchedule when a picture has nothing to show.
    """
    if format not in FORMATS:
        raise InputError(f'there is no picture format "{format}".', hint=f"Formats: {', '.join(FORMATS)}.")
    return FORMATS[format](schedule, drawn)

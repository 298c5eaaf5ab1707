"""One picture of a schedule in the format asked for; what `twill show` prints."""

from __future__ import annotations

from twill.errors import InputError
from twill.schedule.gantt_html import html
from twill.schedule.gantt_svg import svg
from twill.schedule.gantt_text import text
from twill.schedule.perfetto import perfetto
from twill.schedule.schedule import Schedule

FORMATS = {"text": text, "svg": svg, "html": html, "perfetto": perfetto}


def render(schedule: Schedule, format: str) -> str:
    """The Gantt chart of `schedule` as "text", "svg", "html" or "perfetto" (Chrome trace JSON).

    Raises InputError for another format, NoSchedule when a picture has nothing to show.
    """
    if format not in FORMATS:
        raise InputError(f'there is no picture format "{format}".', hint=f"Formats: {', '.join(FORMATS)}.")
    return FORMATS[format](schedule)

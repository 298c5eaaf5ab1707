"""One page: the measured timeline above the predicted one, and the error of each op."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from importlib import resources
from string import Template
from typing import Any

from twill.measure.comparison import Comparison, Figure, OpError
from twill.measure.measurement import Measurement
from twill.measure.timelines import Window, first_shown, shown_cycles, window
from twill.schedule import gantt_html
from twill.schedule.palette import colour
from twill.schedule.schedule import Schedule
from twill.schedule.timeline import family

_PIXELS = 1110  # with the lanes' names, no wider than a page of 1400
_NOTABLE = 0.05  # of the interval: a larger error stands out
_FACTS = ("device", "date", "sizes", "clocks", "versions", "commit")
_TIMES = {"seconds": "a launch of the kernel", "timed_seconds": "of its timed twin"}


def page(schedule: Schedule, measured: Measurement, expected: Measurement, comparison: Comparison) -> str:
    """The HTML page, self-contained, light or dark as the reader's system is."""
    reference = comparison.reference
    cycles = shown_cycles(schedule, comparison.ii.measured)
    first = first_shown(schedule, (measured, expected), reference)
    real = measured.source == "measured"
    above = window(schedule, measured, reference, first, cycles, comparison.ii.measured)
    below = window(schedule, expected, reference, first, cycles, comparison.ii.predicted)
    style, script = gantt_html.style_and_script()
    template = resources.files("twill.measure").joinpath("page.html").read_text(encoding="utf-8")
    return Template(template).substitute(
        title=escape(f"{measured.kernel}: measured beside predicted"),
        style=style,
        script=script,
        name=escape(f"{measured.kernel}: measured beside predicted"),
        summary=_summary(comparison),
        facts=_facts(measured),
        measured_title="Measured on the GPU" if real else "Not measured: simulated, in place of a measurement",
        measured=_chart(above, cycles),
        predicted=_chart(below, cycles),
        reading=(
            f"Cycle 0 is the start of {escape(reference)} of iteration {first} on either side. Units: from the issue"
            " until the result was seen. Groups: while their instruction stream was taken. Hover a bar for its op;"
            " its iteration stands out in both."
        ),
        key=_key(schedule),
        table=_table(comparison),
        legend=_legend(comparison),
        ops=gantt_html.details(schedule),
    )


def _chart(drawn: Window | None, cycles: int) -> str:
    return gantt_html.chart(drawn, _PIXELS / cycles) if drawn is not None else "<p>Not kept.</p>"


def _summary(comparison: Comparison) -> str:
    ii = comparison.ii
    share = ii.error / ii.predicted if ii.predicted else 0.0
    return (
        f"A new iteration every <b>{ii.measured:.0f} cycles</b> where <b>{ii.predicted:.0f}</b> were predicted"
        f" (<b>{share:+.1%}</b>); the schedule's own interval is {comparison.schedule_ii}. Single intervals spread by"
        f" {ii.spread:.0f} cycles (the middle half)."
    )


def _facts(measured: Measurement) -> str:
    lines = [f"{name}: {_plain(measured.about[name])}" for name in _FACTS if name in measured.about]
    for name, words in _TIMES.items():
        if isinstance(seconds := measured.about.get(name), float):
            lines.append(f"{words}: {1e6 * seconds:.1f} µs")
    programs = len(measured.samples)
    lines.append(f"{programs} program{'s' * (programs != 1)} sampled")
    parts = [f"<p>{escape('; '.join(lines))}.</p>"]
    return "".join([*parts, *(f"<p><b>{escape(note)}</b></p>" for note in measured.notes)])


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_plain(each)}" for name, each in value.items() if each is not None)
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _key(schedule: Schedule) -> str:
    numbers: dict[str, int] = {}
    for op in schedule.problem.ops:
        numbers.setdefault(family(op), len(numbers))
    return "".join(
        f'<span><i style="background:{colour(number, None)}"></i>{escape(name)}</span>'
        for name, number in numbers.items()
    )


def _table(comparison: Comparison) -> str:
    groups = ("start, modulo the interval", "in its stream", "until its result is seen")
    top = "".join(f'<th class="part" colspan="4">{name}</th>' for name in groups)
    columns = "<th>measured</th><th>predicted</th><th>error</th><th>spread</th>" * len(groups)
    head = f"<tr><th></th><th></th><th></th>{top}<th></th></tr>"
    names = "".join(f'<th class="name">{name}</th>' for name in ("op", "unit", "role"))
    head += f"<tr>{names}{columns}<th>waited for</th></tr>"
    return f"<table>{head}{''.join(_row(op, comparison.ii.predicted) for op in comparison.ops)}</table>"


def _row(op: OpError, ii: float) -> str:
    names = "".join(f'<td class="name">{escape(text)}</td>' for text in (op.op, op.unit, op.role))
    figures = "".join(_cells(each, ii) for each in (op.offset, op.occupancy, op.latency))
    waited = "" if op.waited is None else f"{op.waited:.0%}"
    return f"<tr>{names}{figures}<td>{waited}</td></tr>"


def _cells(figure: Figure | None, ii: float) -> str:
    if figure is None:
        return '<td class="first"></td><td></td><td></td><td></td>'
    notable = ' class="off"' if abs(figure.error) > _NOTABLE * ii else ""
    return (
        f'<td class="first">{figure.measured:.0f}</td><td>{figure.predicted:.0f}</td>'
        f"<td{notable}>{figure.error:+.0f}</td><td>{figure.spread:.0f}</td>"
    )


def _legend(comparison: Comparison) -> str:
    text = (
        f"Medians over the steady state; starts are counted from that of {comparison.reference} of the same iteration."
        " Spread: width of the middle half of what was measured. Waited for: how often somebody waited for the result;"
        " where that is rare, the result was there earlier than it was seen, and the time until then is only an upper"
        f" bound. Errors above {_NOTABLE:.0%} of the interval stand out."
    )
    if comparison.missing:
        text += f" Not kept: {', '.join(comparison.missing)}."
    return escape(text)

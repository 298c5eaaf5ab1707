"""The conflict and the what-ifs as rich tables."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import RenderableType
from rich.text import Text

from twill import report
from twill.explain.below import Below
from twill.explain.whatif import Answer
from twill.schedule.schedule import Schedule


def below_parts(schedule: Schedule, found: Below) -> list[RenderableType]:
    """Why no shorter interval: the rules, each with its ops and numbers, and how they exclude it together."""
    if not schedule.placements:
        reasons = "\n".join(f"- {each}" for each in found.note.split("; "))
        return [report.heading(f"Why there is no schedule ({schedule.status})"), Text(reasons)]
    if not found.rules:
        return [report.heading(f"Why not II {found.ii}"), Text(found.note)]
    table = report.columns("rule", "what it asks", "", free=("what it asks",))
    for rule in found.rules:
        report.row(table, rule.rule, rule.text, "" if rule.needed else "(undecided)")
    many = len(found.rules) > 1
    title = f"Why not II {found.ii}: {'these rules exclude it together' if many else 'this rule alone excludes it'}"
    lines = [found.how] if found.how else []
    if many and not found.how:
        lines.append("No single sum shows it: with all of them the solver refutes every placement.")
    if many and found.minimal:
        lines.append(f"Each is needed: without any one of them the others leave a schedule at II {found.ii}.")
    if found.alone:
        lines.append(f"By themselves exclude it too: {'; '.join(found.alone)}.")
    return [report.heading(title), table, Text("\n".join([*lines, *([found.note] if found.note else [])]))]


def what_if_parts(schedule: Schedule, answers: Sequence[Answer]) -> list[RenderableType]:
    """The what-ifs as a table, the fastest first, and below it exactly what each changed."""
    total = (schedule.problem.trip_count - 1) * schedule.ii + schedule.length
    now = f"now II {schedule.ii}, {total} cycles for the loop" if schedule.placements else "now without a schedule"
    title = f"What if ({now})"
    table = report.columns(
        "what if", "II", "faster", "cycles", "proved", "what binds then",
        right=("II", "faster", "cycles"), free=("what if", "what binds then"),
    )  # fmt: skip
    for each in answers:
        faster = f"{each.ratio:.2f}x" if each.ii and each.ratio else ""
        cycles = str(each.cycles) if each.cycles else ""
        report.row(table, each.name, each.ii or "-", faster, cycles, _proof(each), each.binds)
    parts: list[RenderableType] = [report.heading(title), table]
    solved = [each for each in answers if each.status != "no change"]
    if solved:
        changed = report.columns("what if", "what was changed", free=("what was changed",))
        for each in solved:
            report.row(changed, each.name, each.what)
        parts += [report.heading("What was changed where it was solved"), changed]
    return parts


def _proof(answer: Answer) -> str:
    if answer.status == "no change":
        return "no change"
    if answer.status == "found":
        return f"no, >= {answer.lower_bound}"
    return {"proved": "yes"}.get(answer.status, answer.status)

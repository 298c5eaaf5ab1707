"""The whole explanation of a schedule: what binds, why no shorter interval, and what would have to change."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import click

from twill.explain.below import Below, below
from twill.explain.changes import parse, usual_changes
from twill.explain.facts import explain_data
from twill.explain.text import explain
from twill.explain.whatif import Answer, what_ifs
from twill.schedule.schedule import Schedule


@dataclass(frozen=True)
class Explanation:
    """A schedule with the conflict below it and the answers to the what-ifs (none where none were asked)."""

    schedule: Schedule
    below: Below
    answers: tuple[Answer, ...]

    def json(self) -> dict[str, Any]:
        """Everything as one JSON object: that of `explain_data`, with `below` and `what_if`."""
        return {
            **explain_data(self.schedule),
            "below": self.below.json(),
            "what_if": [answer.json() for answer in self.answers],
        }


def explain_whole(
    schedule: Schedule,
    questions: Sequence[str] = (),
    *,
    usual: bool = True,
    time_limit: float = 20,
    tell: Callable[[str], None] = lambda message: None,
    stop: Callable[[], bool] | None = None,
) -> Explanation:
    """Explain `schedule`; the what-ifs are `questions`, or without any the usual ones (`usual`).

    Each what-if has `time_limit` seconds; the conflict, many small questions, twice that. Raises
    InputError, before anything is solved, for a question that says nothing about this problem.
    """
    changes = [parse(question, schedule) for question in questions]
    if usual and not questions:
        changes = list(usual_changes(schedule))
    tell(f"II {schedule.lower_bound - 1}: which rules exclude it")
    found = below(schedule, time_limit=2 * time_limit, tell=tell, stop=stop)
    answers = what_ifs(schedule, changes, time_limit=time_limit, tell=tell, stop=stop)
    return Explanation(schedule, found, answers)


def print_whole(whole: Explanation) -> None:
    """The explanation on stdout."""
    from twill import report
    from twill.explain.show import below_parts, what_if_parts

    click.echo(explain(whole.schedule))
    report.show(*below_parts(whole.schedule, whole.below))
    if whole.answers:
        report.show(*what_if_parts(whole.schedule, whole.answers))

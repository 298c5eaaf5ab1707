"""Several optima of one problem side by side: found, checked, named in words, as a table and as JSON."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twill.errors import CheckFailed

if TYPE_CHECKING:
    from rich.console import RenderableType

    from twill.schedule.schedule import Schedule
    from twill.solve.enumeration import Optima

_SHORT = {"total time": "cycles", "register traffic": "traffic"}
SHOWN = 4  # differences spelled out in the table; JSON has them all


def find(
    first: Schedule, count: int, time_limit: float, tell: Callable[[str], None], stop: Callable[[], bool]
) -> Optima:
    """Up to `count` different optima of the problem that `first` is the best schedule of, each stamped and checked.

    Raises CheckFailed when one breaks a rule.
    """
    from dataclasses import replace

    from twill.schedule import files
    from twill.schedule.checker import check
    from twill.solve import optima

    title = f"solving {first.problem.name}"
    found = optima(
        first.problem,
        count,
        time_limit=max(time_limit, 0.0),
        progress=lambda record: tell(f"{title}: {record}"),
        stop=stop,
        first=first,
    )
    schedules = tuple(files.stamp(schedule) for schedule in found.schedules)
    for place, schedule in enumerate(schedules, start=1):
        broken = check(schedule)
        if broken:
            message = f"schedule {place} of the solver does not hold: {broken[0]}."
            raise CheckFailed(message, hint="This is a defect of Twill.")
    return replace(found, schedules=schedules)


def numbered(path: str | Path, place: int) -> Path:
    """The file of the schedule at a place: `path` of the first, then with _2, _3, ... before its suffix."""
    path = Path(path)
    return path if place == 1 else path.with_name(f"{path.stem}_{place}{path.suffix}")


def differs(schedule: Schedule, first: Schedule) -> tuple[str, ...]:
    """What `schedule` does otherwise than `first`, in words."""
    from twill.solve.difference import differences
    from twill.solve.signature import signature

    return differences(signature(schedule), signature(first), first.problem)


def proved(schedule: Schedule) -> bool:
    """It is proved that no other comes before this one."""
    about = schedule.provenance.get("best")
    return isinstance(about, dict) and bool(about.get("proved"))


def optima_json(found: Optima, paths: Sequence[Path] = ()) -> dict[str, Any]:
    """`best`: every schedule as `twill schedule --json` answers, with place, proof, tiers and differences from the
    first; `exhausted`: there are provably no others. paths: the file of each, in their order.
    """
    from twill.schedule.files import answer_json

    first = found.schedules[0]
    return {
        "best": [
            {
                "place": place,
                "proved": proved(schedule),
                "tiers": {tier.name: tier.value for tier in schedule.tiers},
                "differs": list(differs(schedule, first)),
                **answer_json(schedule),
                **({"file": str(paths[place - 1])} if paths else {}),
            }
            for place, schedule in enumerate(found.schedules, start=1)
        ],
        "exhausted": found.exhausted,
    }


def optima_shown(found: Optima, count: int) -> list[RenderableType]:
    """A table of the tiers of each and what is different in it, and whether there are more."""
    from rich.text import Text

    from twill.report import columns, heading, row

    first = found.schedules[0]
    names = [_SHORT.get(tier.name, tier.name) for tier in first.tiers[1:]]
    table = columns("", *names, "proof", "differs from the first", right=names, free=("differs from the first",))
    for place, schedule in enumerate(found.schedules, start=1):
        said = differs(schedule, first)
        more = [f"and {len(said) - SHOWN} more"] if len(said) > SHOWN else []
        values = [tier.value for tier in schedule.tiers[1:]]
        row(table, place, *values, "proved" if proved(schedule) else "", "; ".join([*said[:SHOWN], *more]))
    return [heading(f"Different optima at II {first.ii}"), table, Text(_whether_more(found, count))]


def _whether_more(found: Optima, count: int) -> str:
    number = len(found.schedules)
    if found.exhausted:
        exist = "1 optimum exists" if number == 1 else f"{number} different optima exist"
        rest = "moves slots only, or comes later or is less deep and no better for it"
        return f"Only {exist}, proved: whatever else has this II {rest}."
    if number < count:
        return f"Of the {count} asked for, the search was over after {number}; whether there are more is not known."
    return "There may be more. proof: nothing but what stands above it comes before it."


def print_optima(found: Optima, count: int, paths: Sequence[Path] = ()) -> None:
    """Print the table, and the files that were written."""
    from rich.text import Text

    from twill.report import heading, show

    written = [heading("Files"), *(Text(str(path)) for path in paths)] if paths else []
    show(*optima_shown(found, count), *written)

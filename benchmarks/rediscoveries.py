"""Solves the problems of docs/rediscoveries.md and draws them.

python -m benchmarks.rediscoveries [SECONDS A PROBLEM]
"""

from __future__ import annotations

import sys
from collections.abc import Callable

from benchmarks import attention_divisions as division
from benchmarks import attention_problems as problems
from twill.schedule.document import write_text
from twill.schedule.problem import Problem
from twill.schedule.render import render

DOCS = problems.ROOT / "docs"
DRAWN: dict[str, Callable[[], Problem]] = {
    "blackwell_forward": lambda: division.at_most(problems.blackwell_forward(), 5),
    "blackwell_forward_flash_attention_4": lambda: division.flash_attention_4(problems.blackwell_forward()),
    "hopper_backward": problems.hopper_backward,
    "hopper_backward_one_group": lambda: division.one_group(problems.hopper_backward()),
    "blackwell_backward_two_groups": lambda: division.two_groups(problems.blackwell_backward()),
    "blackwell_backward_three_groups": lambda: division.registers(
        division.three_groups(problems.blackwell_backward()), 144
    ),
}


def main() -> None:
    """Write docs/rediscoveries_NAME.svg for each problem and print its claim."""
    from twill.solve import solve

    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 120.0
    for name, make in DRAWN.items():
        schedule = solve(make(), time_limit=seconds, tiers=("total time",))
        print(f"{name}: {schedule.status}, II {schedule.ii} >= {schedule.lower_bound}, {schedule.reason}")
        for number, group in enumerate(schedule.groups):
            ops = [id for id, at in schedule.placements.items() if number in at.groups]
            print(f"  {group.warps} warps, {group.registers} registers a thread: {', '.join(ops)}")
        if schedule.placements:
            write_text(DOCS / f"rediscoveries_{name}.svg", render(schedule, "svg"))


if __name__ == "__main__":
    main()

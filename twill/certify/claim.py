"""Whether what a schedule file says of itself agrees with the bounds: its lower bound, and the reason in words."""

from __future__ import annotations

import re

from twill.certify.bounds import Bounds, through
from twill.schedule.schedule import WITHIN_LEARNT_LIMITS, Schedule

_UNIT = re.compile(r"ResMII of unit (?P<unit>.+?)(?: \(ops .*\))?")
_CYCLE = re.compile(r"RecMII of cycle (?P<ops>.+)")
_REFUTED = re.compile(r"II (?P<last>\d+) refuted, as was every II from MII (?P<mii>\d+) on")
_BETWEEN = re.compile(r"II is between (?P<low>\d+) and (?P<high>\d+); the proof was not finished")


def false_reason(schedule: Schedule, bounds: Bounds) -> str:
    """Why the reason given for the lower bound does not hold, as a sentence; "" if it does or is not one that is known.

    A reason that says intervals were refuted is checked for its numbers here, and by the refutation itself.
    """
    claim, reason = schedule.lower_bound, schedule.reason.removesuffix(WITHIN_LEARNT_LIMITS)
    if schedule.status not in ("optimal", "feasible"):
        return ""
    if match := _UNIT.fullmatch(reason):
        unit = next((each for each in bounds.units if each.unit == match["unit"]), None)
        if unit is None:
            return f"the reason is ResMII of unit {match['unit']}, which no op of the problem occupies"
        if unit.ii != claim:
            return (
                f"the reason is ResMII of unit {unit.unit}, whose ops take {unit.cycles} cycles at capacity"
                f" {unit.capacity}: that is II >= {unit.ii}, not {claim}"
            )
    elif match := _CYCLE.fullmatch(reason):
        ops = match["ops"].split(" -> ")
        cycle = through(bounds.edges, ops[:-1]) if len(ops) > 1 and ops[0] == ops[-1] else None
        if cycle is None:
            return f"the reason is RecMII of cycle {match['ops']}, but the dependences form no such cycle"
        if cycle.ii != claim:
            return (
                f"the reason is RecMII of cycle {match['ops']}, which takes {cycle.cycles} cycles in"
                f" {cycle.distance} iterations: that is II >= {cycle.ii}, not {claim}"
            )
    elif match := _REFUTED.fullmatch(reason):
        last, mii = int(match["last"]), int(match["mii"])
        if last != claim - 1:
            return f"the reason refutes II up to {last}, which does not make {claim} the smallest"
        if mii > bounds.mii:
            return f"the reason takes MII for {mii}, but units and recurrences exclude II below {bounds.mii} only"
    elif match := _BETWEEN.fullmatch(reason):
        if (int(match["low"]), int(match["high"])) != (claim, schedule.ii):
            return f'the reason says "{reason}", but the lower bound is {claim} and II {schedule.ii}'
    elif reason == "an interval is at least one cycle" and claim != 1:
        return f'the reason is "{reason}", which does not make {claim} a bound'
    return ""

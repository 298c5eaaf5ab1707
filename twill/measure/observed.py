"""When each op of each iteration began and ended, as far as a program's events tell."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from dataclasses import dataclass

from twill.measure.measurement import Measurement, Sample
from twill.schedule.schedule import Schedule


@dataclass(frozen=True)
class Span:
    """One op of one iteration, in cycles.

    reached: its stream came to it. begin: it went on, after its waits. end: of an op that takes its stream, when the
    stream went on to the next event; of an asynchronous one, when its result was seen; None where that was not kept.
    waited: cycles for which the stream that saw the result had waited for it (0: it may have been there before).
    """

    op: str
    role: str
    iteration: int
    reached: int
    begin: int
    end: int | None
    waited: int = 0


def spans(measurement: Measurement, sample: Sample, schedule: Schedule) -> dict[tuple[str, int], Span]:
    """The spans of one sample by op and iteration; an op that no role kept has none."""
    kept: dict[tuple[str, str, int], dict[str, int]] = defaultdict(dict)  # role, op, iteration: event, cycle
    times: dict[str, list[int]] = defaultdict(list)
    for probe, cycles in zip(measurement.probes, sample.cycles, strict=True):
        for iteration, cycle in enumerate(cycles):
            if cycle is not None:
                kept[probe.role, probe.op, iteration][probe.event] = cycle
                times[probe.role].append(cycle)
    for each in times.values():
        each.sort()
    asynchronous = {op.id for op in schedule.problem.ops if op.asynchronous}
    ends: dict[tuple[str, int], tuple[int, int]] = {}
    for (role, op, iteration), events in kept.items():
        if "complete" in events:
            seen = events["complete"]
            before = bisect_right(times[role], seen - 1)
            waited = seen - times[role][before - 1] if before else 0
            ends[op, iteration] = min(ends.get((op, iteration), (seen, waited)), (seen, waited))
    found = {}
    for (role, op, iteration), events in kept.items():
        if "begin" not in events and "issue" not in events:
            continue
        begin = events.get("issue", events.get("begin", 0))
        end, waited = ends.get((op, iteration), (None, 0))
        if op not in asynchronous:
            after = bisect_right(times[role], begin)
            end, waited = (times[role][after] if after < len(times[role]) else None), 0
        found[op, iteration] = Span(op, role, iteration, events.get("begin", begin), begin, end, waited)
    return found

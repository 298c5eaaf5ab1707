"""What the simulator expects at the places where a timed kernel keeps the clock."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from math import prod

from twill.codegen.stamps import Probe
from twill.errors import InputError
from twill.measure.measurement import Measurement, RoleTimes, Sample
from twill.schedule.files import ScheduleFile
from twill.schedule.schedule import Schedule
from twill.simulate.engine import Run, execute
from twill.simulate.from_plan import plan_program
from twill.simulate.subject import subject
from twill.solve.tiers import paid_hop

MOST_ITERATIONS = 256


def fingerprint(schedule: Schedule) -> str:
    """Of what makes a schedule the one it is: its interval, and where each op stands."""
    placed = {id: (at.stage, at.slot, list(at.groups)) for id, at in sorted(schedule.placements.items())}
    return hashlib.sha256(json.dumps([schedule.ii, placed, dict(sorted(schedule.rings.items()))]).encode()).hexdigest()


def predicted(
    stored: ScheduleFile,
    probes: tuple[Probe, ...],
    trips: int,
    *,
    grid: Sequence[int] | None = None,
    seed: int = 0,
    location: str = "",
) -> Measurement:
    """The events of a simulated program of `trips` iterations, at `probes`; of long ones the first few hundred.

    The statements of the emitted kernel run, with the machine file's spread of load latencies. grid: of the launch;
    an SM runs as many of its programs at once as fit, as many as the kernel allows where none is given. Raises
    InputError for a schedule that no kernel is emitted for.
    """
    about = subject(stored, {}, location=location)
    kernel = about.kernel
    if kernel is None:
        hint = about.without or "Give a schedule that `twill compile` wrote."
        message = "is a schedule that no kernel is emitted for: there is nothing to time."
        raise InputError(message, hint=hint, location=location)
    blocks = kernel.occupancy.blocks
    if grid is not None:
        blocks = max(1, min(blocks, -(-prod(grid) // kernel.machine.count("sm_count"))))
    latency = about.latency()
    program = plan_program(kernel.plan, kernel.machine, max(1, min(trips, MOST_ITERATIONS)), latency, blocks)
    return events_of(execute(program, latency, seed), probes)


def expected_of(stored: ScheduleFile, measured: Measurement, location: str) -> Measurement:
    """The simulated events at the measurement's probes. Raises InputError when it is of another schedule."""
    if measured.schedule_sha256 != fingerprint(stored.schedule):
        raise InputError(
            f"was measured with another schedule of `{measured.kernel}` than this one.",
            hint="Measure again, or give the schedule it was measured with.",
            location=location,
        )
    trips = max((sample.trips for sample in measured.samples), default=0)
    if trips < 1:
        message = "holds no program that ran an iteration."
        raise InputError(message, hint="Measure again, with larger sizes.", location=location)
    return predicted(stored, measured.probes, trips, grid=measured.about.get("grid"), location=location)


def events_of(simulated: Run, probes: tuple[Probe, ...]) -> Measurement:
    """A simulated run as the stamps of a timed kernel would show it."""
    schedule = simulated.schedule
    number = {op.id: at for at, op in enumerate(schedule.problem.ops)}
    groups = role_groups(schedule)
    waits = {(wait.group, wait.op, wait.iteration): wait.begin for wait in simulated.waits}
    going_on = {(probe.role, probe.op) for probe in probes if probe.event == "issue"}
    cycles = []
    for probe in probes:
        group = groups.get(probe.role)
        if probe.event == "begin" and (probe.role, probe.op) not in going_on:
            probe = replace(probe, event="issue")  # no wait stands between the two
        row: list[int | None] = []
        for iteration in range(simulated.iterations):
            row.append(_event(simulated, probe, group, number, waits, iteration))
        cycles.append(tuple(row))
    ends = RoleTimes(0, 0, simulated.cycles, 0)
    sample = Sample(0, simulated.iterations, dict.fromkeys(groups, ends), tuple(cycles))
    return Measurement(schedule.problem.name, fingerprint(schedule), "simulated", probes, (sample,))


def _event(
    simulated: Run,
    probe: Probe,
    group: int | None,
    number: dict[str, int],
    waits: dict[tuple[int, str, int], int],
    iteration: int,
) -> int | None:
    at = number.get(probe.op)
    if at is None or group is None:
        return None
    schedule = simulated.schedule
    issued = simulated.issued[iteration][at]
    if probe.event == "begin":
        return waits.get((group, probe.op, iteration), issued)
    if probe.event == "issue":
        return issued
    reached = 0
    later = iteration + probe.after_shift
    if probe.after in number and 0 <= later < simulated.iterations:
        before = number[probe.after]
        reached = simulated.issued[later][before] + schedule.problem.ops[before].issue
    if probe.event == "await":
        return reached or None
    return max(reached, simulated.ended[iteration][at] + _hop(schedule, probe.op, group))


def _hop(schedule: Schedule, op: str, group: int) -> int:
    """Cycles until the group sees that an op has completed."""
    hops = [
        paid_hop(schedule, dep)
        for dep in schedule.problem.deps
        if dep.src == op and not dep.ring and group in schedule.placements[dep.dst].groups
    ]
    return max(hops, default=0)


def role_groups(schedule: Schedule) -> dict[str, int]:
    """The warp group of each role, named as the code generator names them."""
    used = {group for at in schedule.placements.values() for group in at.groups}
    workers = [group for group in sorted(used) if not schedule.groups[group].producer]
    loaders = [group for group in sorted(used) if schedule.groups[group].producer]
    names = {f"consumer{place}": group for place, group in enumerate(workers)}
    return names | {"loader" if len(loaders) == 1 else f"loader{n}": group for n, group in enumerate(loaders)}

"""`twill-schedule/1`: the JSON file of a schedule with its problem, and the answer `twill schedule --json` prints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from importlib import metadata
from pathlib import Path
from typing import Any

from twill import __version__
from twill.errors import CheckFailed
from twill.schedule.checker import check
from twill.schedule.document import fail, read_json, require_format, validate, write_json
from twill.schedule.graph_file import problem_from_json, problem_json
from twill.schedule.schedule import Group, Placement, Schedule, Tier

FORMAT = "twill-schedule/1"


@dataclass(frozen=True)
class ScheduleFile:
    """What a schedule file holds: the schedule and, for a compiled kernel, its IR text and its launch."""

    schedule: Schedule
    graph: str | None = None
    launch: Mapping[str, Any] | None = None


def write(
    path: str | Path, schedule: Schedule, *, graph: str | None = None, launch: Mapping[str, Any] | None = None
) -> None:
    """Write a twill-schedule/1 file, whole or not at all. `graph` (IR text) and `launch` (JSON) for a compiled kernel.

    Raises InputError when the place cannot be written.
    """
    write_json(path, schedule_json(schedule, graph=graph, launch=launch))


def read(path: str | Path) -> ScheduleFile:
    """Read a twill-schedule/1 file and check its schedule.

    Raises InputError for a file that is not one (or from another version), CheckFailed when the
    schedule in it breaks a rule.
    """
    source = str(path)
    data = read_json(path)
    schedule = schedule_from_json(data, source)
    violations = check(schedule)
    if violations:
        more = f" (and {len(violations) - 1} more)" if len(violations) > 1 else ""
        message = f"holds a schedule that is not valid; {violations[0]}{more}."
        raise CheckFailed(message, hint="Was the file edited? Solve it again.", location=source)
    return ScheduleFile(schedule, data.get("graph"), data.get("launch"))


def schedule_json(
    schedule: Schedule, *, graph: str | None = None, launch: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """`schedule` as a twill-schedule/1 JSON value."""
    data: dict[str, Any] = {
        "format": FORMAT,
        "status": schedule.status,
        "ii": schedule.ii,
        "lower_bound": schedule.lower_bound,
        "reason": schedule.reason,
        "length": schedule.length,
        "seconds": schedule.seconds,
        "placements": {
            id: {"stage": at.stage, "slot": at.slot, "groups": list(at.groups)}
            for id, at in schedule.placements.items()
        },
        "rings": dict(schedule.rings),
        "groups": [
            {"warps": group.warps, "registers": group.registers, "producer": group.producer}
            for group in schedule.groups
        ],
        "tiers": [
            {"name": tier.name, "value": tier.value, "bound": tier.bound, "proved": tier.proved}
            for tier in schedule.tiers
        ],
        "provenance": dict(schedule.provenance),
        "problem": problem_json(schedule.problem),
    }
    if graph is not None:
        data["graph"] = graph
    if launch is not None:
        data["launch"] = dict(launch)
    return data


def schedule_from_json(data: Any, source: str) -> Schedule:
    """The schedule in a twill-schedule/1 JSON value, its structure checked, the rules not. Raises InputError."""
    require_format(data, FORMAT, source, "a schedule")
    validate(data, "schedule.schema.json", source)
    problem = problem_from_json(data["problem"], f"{source}: problem")
    known = {op.id for op in problem.ops}
    for key in ("placements", "rings"):
        for id in data[key]:
            if id not in known:
                fail(source, key, f'the problem has no op "{id}".', "Was the file edited? Solve it again.")
    return Schedule(
        problem=problem,
        status=data["status"],
        ii=int(data["ii"]),
        lower_bound=int(data["lower_bound"]),
        reason=data["reason"],
        length=int(data["length"]),
        placements={
            id: Placement(int(at["stage"]), int(at["slot"]), tuple(int(group) for group in at["groups"]))
            for id, at in data["placements"].items()
        },
        rings={id: int(depth) for id, depth in data["rings"].items()},
        groups=tuple(
            Group(int(group["warps"]), int(group["registers"]), group.get("producer", False))
            for group in data["groups"]
        ),
        tiers=tuple(Tier(**tier) for tier in data.get("tiers", [])),
        seconds=data["seconds"],
        provenance=data.get("provenance", {}),
    )


def answer_json(schedule: Schedule) -> dict[str, Any]:
    """The one object `twill schedule --json` prints; an op on several groups has a list as its `group`."""
    return {
        "status": schedule.status,
        "ii": schedule.ii,
        "lower_bound": schedule.lower_bound,
        "reason": schedule.reason,
        "length": schedule.length,
        "seconds": schedule.seconds,
        "ops": {
            id: {
                "stage": at.stage,
                "slot": at.slot,
                "group": at.groups[0] if len(at.groups) == 1 else list(at.groups),
            }
            for id, at in schedule.placements.items()
        },
        "rings": dict(schedule.rings),
        "groups": [{"warps": group.warps} for group in schedule.groups],
    }


def stamp(schedule: Schedule, *, machine_file: str | Path | None = None, source: str | None = None) -> Schedule:
    """`schedule` with its provenance: versions, SHA-256 of machine file and kernel source text, seconds."""
    provenance: dict[str, object] = dict(schedule.provenance)
    provenance["twill"] = __version__
    for package in ("ortools", "triton"):
        provenance[package] = _version(package)
    if machine_file is not None:
        provenance["machine_sha256"] = sha256(Path(machine_file).read_bytes()).hexdigest()
    if source is not None:
        provenance["source_sha256"] = sha256(source.encode()).hexdigest()
    provenance["seconds"] = schedule.seconds
    return replace(schedule, provenance=provenance)


def _version(package: str) -> str | None:
    """The installed version, without importing the package; None when it is not installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None

"""`twill-graph/1`: the JSON form of a scheduling problem, open to other compilers and to research.

Structure is checked by `graph.schema.json`; what a schema cannot say (ids, units, cycles) here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from twill.errors import InputError
from twill.schedule.critical import instant_cycle
from twill.schedule.document import (
    fail,
    read_json,
    require_format,
    require_printable,
    suggestion,
    validate,
    write_json,
)
from twill.schedule.problem import Dep, Limits, Op, Problem

FORMAT = "twill-graph/1"
_OP_DEFAULTS = {field.name: field.default for field in fields(Op)}
_OP_NUMBERS = ("occupancy", "issue", "latency", "registers", "smem_bytes", "tmem_columns", "min_warps", "spans")
_SINCE = {field.name: field.default for field in fields(Limits) if field.name in ("transfer_bytes", "max_mbarriers")}
_LIMIT_NUMBERS = tuple(field.name for field in fields(Limits) if field.name not in ("units", "name"))


def read_problem(path: str | Path) -> Problem:
    """The problem in the twill-graph/1 file at `path`. Raises InputError for anything a file can have wrong."""
    return problem_from_json(read_json(path), str(path))


def write_problem(path: str | Path, problem: Problem) -> None:
    """Write `problem` as a twill-graph/1 file; reading it back gives an equal problem."""
    write_json(path, problem_json(problem))


def problem_from_json(data: Any, source: str) -> Problem:
    """The problem in a twill-graph/1 JSON value; `source` names it in errors.

    Omitted: numbers 0, `min_warps` and `spans` 1, flags false, an op's `issue` its occupancy, a dep's `latency`
    its source's. Raises InputError as `source: ops[3].occupancy: what is wrong. What to try`.
    """
    require_format(data, FORMAT, source, "a dependence graph")
    validate(data, "graph.schema.json", source)
    require_printable(data.get("name", ""), source, "name")
    limits = _limits(data["machine"], source)
    ops = _ops(data["ops"], limits, source)
    index = {op.id: op for op in ops}
    problem = Problem(
        name=data.get("name", "loop"),
        limits=limits,
        ops=ops,
        deps=_deps(data.get("deps", []), index, source),
        trip_count=int(data.get("trip_count", 1)),
        colocate=_sets(data, "colocate", index, source),
        separate=_sets(data, "separate", index, source),
    )
    cycle = instant_cycle(problem)
    if cycle is not None:
        sums = " + ".join(str(dep.latency) for dep in cycle.deps)
        message = f"the cycle {cycle} takes {sums} = {cycle.latency} cycles within one iteration (distance 0)."
        fail(source, "deps", message, "Give the dep that crosses into the next iteration a distance of 1.")
    return problem


def problem_json(problem: Problem) -> dict[str, Any]:
    """`problem` as a twill-graph/1 JSON value, its machine written out; numbers at their defaults are left out."""
    latency = {op.id: op.latency for op in problem.ops}
    data: dict[str, Any] = {
        "format": FORMAT,
        "name": problem.name,
        "machine": _machine_json(problem.limits),
        "trip_count": problem.trip_count,
        "ops": [_op_json(op) for op in problem.ops],
        "deps": [_dep_json(dep, latency.get(dep.src)) for dep in problem.deps],
    }
    for key, sets in (("colocate", problem.colocate), ("separate", problem.separate)):
        if sets:
            data[key] = [list(ids) for ids in sets]
    return data


def _limits(machine: str | Mapping[str, Any], source: str) -> Limits:
    if isinstance(machine, str):
        from twill.machine.load import (
            load,
        )  # only when a machine is named: a graph with its own limits needs no other room

        try:
            return load(machine).limits()
        except InputError as error:
            raise InputError(error.message, hint=error.hint, location=f"{source}: machine") from None
    for name in (machine.get("name", ""), *machine["units"]):
        require_printable(name, source, "machine")
    numbers = {key: int(machine[key]) for key in _LIMIT_NUMBERS if key in machine}
    units = {unit: int(capacity) for unit, capacity in machine["units"].items()}
    return Limits(units=units, **numbers, name=machine.get("name", "custom"))


def _ops(given: list[dict[str, Any]], limits: Limits, source: str) -> tuple[Op, ...]:
    ops = []
    first: dict[str, int] = {}
    for at, data in enumerate(given):
        path = f"ops[{at}]"
        for key in ("id", "label", "location"):
            require_printable(data.get(key, ""), source, f"{path}.{key}")
        for position, member in enumerate(data.get("members", [])):
            require_printable(member, source, f"{path}.members[{position}]")
        if data["id"] in first:
            message = f'the id "{data["id"]}" is already that of ops[{first[data["id"]]}].'
            fail(source, f"{path}.id", message, "Every op needs an id of its own.")
        first[data["id"]] = at
        if data["unit"] not in limits.units:
            message = f'"{data["unit"]}" is no unit of machine {limits.name}; its units are {", ".join(limits.units)}.'
            fail(source, f"{path}.unit", message, suggestion(data["unit"], limits.units))
        op = _op(data)
        if op.min_warps > limits.max_warps:
            message = f"{op.min_warps} warps are more than machine {limits.name} has, max_warps {limits.max_warps}."
            fail(source, f"{path}.min_warps", message, "Use a smaller tile, or raise the machine's max_warps.")
        if op.spans > limits.max_groups:
            message = f"{op.spans} groups are more than machine {limits.name} allows, max_groups {limits.max_groups}."
            fail(source, f"{path}.spans", message, "Let the op span fewer groups, or raise the machine's max_groups.")
        ops.append(op)
    return tuple(ops)


def _op(data: Mapping[str, Any]) -> Op:
    numbers = {key: int(data[key]) for key in _OP_NUMBERS if key in data}
    numbers.setdefault("issue", numbers.get("occupancy", 0))
    subtile = data.get("subtile")
    return Op(
        id=data["id"],
        unit=data["unit"],
        **numbers,
        variable_latency=data.get("variable_latency", False),
        label=data.get("label", ""),
        location=data.get("location", ""),
        subtile=None if subtile is None else int(subtile),
        members=tuple(data.get("members", ())),
    )


def _deps(given: list[dict[str, Any]], index: Mapping[str, Op], source: str) -> tuple[Dep, ...]:
    deps = []
    for at, data in enumerate(given):
        for end in ("src", "dst"):
            if data[end] not in index:
                _unknown_op(data[end], index, source, f"deps[{at}].{end}")
        dep = Dep(
            src=data["src"],
            dst=data["dst"],
            distance=int(data.get("distance", 0)),
            latency=int(data.get("latency", index[data["src"]].latency)),
            blocking=data.get("blocking", False),
            in_place=data.get("in_place", False),
            ring=data.get("ring", False),
        )
        if dep.src == dep.dst and dep.distance == 0:
            message = f"{dep.src} depends on itself within one iteration (distance 0)."
            fail(source, f"deps[{at}]", message, "A value carried to the next iteration has distance 1.")
        wrong = ring_error(dep, index)
        if wrong is not None:
            fail(source, f"deps[{at}].ring", *wrong)
        deps.append(dep)
    return tuple(deps)


def ring_error(dep: Dep, index: Mapping[str, Op]) -> tuple[str, str] | None:
    """What is wrong with a dep said to be carried by the ring of its dst, and what to try; None if nothing is."""
    if not dep.ring:
        return None
    if index[dep.dst].smem_bytes == 0 and index[dep.dst].tmem_columns == 0:
        message = f"{dep.dst} writes no buffer, so it has no ring to carry the recurrence {dep.src} -> {dep.dst}."
        return message, f"Give {dep.dst} its smem_bytes or tmem_columns, or leave out `ring`."
    if dep.distance < 1:
        message = f"the recurrence {dep.src} -> {dep.dst} of the ring of {dep.dst} has distance 0."
        return message, "With a ring of one buffer the next iteration writes it again: give it distance 1."
    if dep.in_place:
        message = f"{dep.src} -> {dep.dst} is a recurrence of a ring, which moves no value, and is said to be in place."
        return message, "Leave out `ring` or `in_place`."
    return None


def _sets(data: Mapping[str, Any], key: str, index: Mapping[str, Op], source: str) -> tuple[tuple[str, ...], ...]:
    for at, ids in enumerate(data.get(key, [])):
        for position, id in enumerate(ids):
            if id not in index:
                _unknown_op(id, index, source, f"{key}[{at}][{position}]")
            if id in ids[:position]:
                fail(source, f"{key}[{at}][{position}]", f'"{id}" is in the list twice.', "Name each op once.")
    return tuple(tuple(ids) for ids in data.get(key, []))


def _unknown_op(id: str, index: Mapping[str, Op], source: str, path: str) -> None:
    require_printable(id, source, path)
    near = suggestion(id, index)
    some = ", ".join(list(index)[:8]) + (", ..." if len(index) > 8 else "")
    fail(source, path, f'no op has the id "{id}".', near or f"The ops are {some}.")


def _machine_json(limits: Limits) -> dict[str, Any]:
    numbers = {name: value for name in _LIMIT_NUMBERS if (value := getattr(limits, name)) != _SINCE.get(name)}
    return {"name": limits.name, "units": dict(limits.units), **numbers}


def _op_json(op: Op) -> dict[str, Any]:
    data: dict[str, Any] = {"id": op.id, "unit": op.unit}
    for key, default in _OP_DEFAULTS.items():
        value = getattr(op, key)
        default = op.occupancy if key == "issue" else default
        if key not in data and value != default:
            data[key] = list(value) if key == "members" else value
    return data


def _dep_json(dep: Dep, source_latency: int | None) -> dict[str, Any]:
    data: dict[str, Any] = {"src": dep.src, "dst": dep.dst, "distance": dep.distance}
    if dep.latency != source_latency:
        data["latency"] = dep.latency
    for flag in ("blocking", "in_place", "ring"):
        if getattr(dep, flag):
            data[flag] = True
    return data

"""Problems no schedule can be asked for: refused with the place and the reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

from twill.errors import InputError
from twill.schedule.graph_file import ring_error
from twill.schedule.problem import Problem

_OP_NUMBERS = ("occupancy", "issue", "latency", "registers", "smem_bytes", "tmem_columns")
_LIMIT_NUMBERS = (
    "smem_bytes",
    "tmem_columns",
    "registers_per_thread",
    "register_file",
    "producer_registers",
    "transfer_bytes",
    "max_mbarriers",
)
LARGEST = 10**7  # cycles, bytes or registers: beyond it sums over a loop could leave 64-bit integers
MOST_SPANS = 64  # warp groups of one op


def validate(problem: Problem) -> None:
    """Raise InputError unless every op, dependence and limit of `problem` can be read as the model reads it."""
    if not problem.ops:
        raise InputError(f"The problem {problem.name} has no ops to schedule.")
    for id, count in Counter(op.id for op in problem.ops).items():
        if count > 1:
            raise InputError(f"The op id {id} is given {count} times.", hint="Give every op an id of its own.")
    limits = problem.limits
    for op in problem.ops:
        if limits.units.get(op.unit, 0) < 1:
            known = ", ".join(unit for unit, capacity in limits.units.items() if capacity > 0)
            raise InputError(
                f"Op {op.id} runs on unit {op.unit}, which the machine {limits.name} does not have.",
                hint=f"Its units are {known or 'none'}.",
            )
        for number in _OP_NUMBERS:
            _require(0 <= getattr(op, number) <= LARGEST, f"Op {op.id} has {number} {getattr(op, number)}")
        _require(op.min_warps >= 1, f"Op {op.id} has min_warps {op.min_warps}")
        _require(1 <= op.spans <= MOST_SPANS, f"Op {op.id} has spans {op.spans}")
    ids = {op.id: op for op in problem.ops}
    for dep in problem.deps:
        for end in (dep.src, dep.dst):
            _known(end, ids, f"The dependence {dep.src} -> {dep.dst}")
        _require(0 <= dep.latency <= LARGEST, f"The dependence {dep.src} -> {dep.dst} has latency {dep.latency}")
        _require(0 <= dep.distance <= 1000, f"The dependence {dep.src} -> {dep.dst} has distance {dep.distance}")
        wrong = ring_error(dep, ids)
        if wrong is not None:
            raise InputError(f"In the dependence {dep.src} -> {dep.dst}, {wrong[0]}", hint=wrong[1])
    for name, sets in (("colocate", problem.colocate), ("separate", problem.separate)):
        for set_ in sets:
            for id in set_:
                _known(id, ids, f"A {name} set")
    for number in (*_LIMIT_NUMBERS, "signal_hop", "value_hop"):
        _require(getattr(limits, number) >= 0, f"The machine {limits.name} has {number} {getattr(limits, number)}")
    for number in ("max_groups", "max_warps"):
        _require(getattr(limits, number) >= 1, f"The machine {limits.name} has {number} {getattr(limits, number)}")
    _require(problem.trip_count >= 0, f"The trip count is {problem.trip_count}")


def _known(id: str, ids: Collection[str], what: str) -> None:
    if id not in ids:
        raise InputError(f"{what} names {id}, which is no op of the problem.")


def _require(holds: bool, what: str) -> None:
    if not holds:
        raise InputError(f"{what}, which is out of range.", hint=f"Numbers are whole, from 0 to {LARGEST}.")

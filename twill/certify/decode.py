"""From a model that Z3 found to a Schedule, with depths and budgets as its placements need them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

import z3

from twill.certify.encoding import Encoding
from twill.certify.logic import Term
from twill.certify.registers import quotas
from twill.schedule.lifetimes import has_ring, register_lives, ring_life
from twill.schedule.modulo import peak
from twill.schedule.problem import Op, Problem
from twill.schedule.schedule import Group, Placement, Schedule


def decoded(encoding: Encoding, model: z3.ModelRef) -> Schedule:
    """The schedule a model of `encoding` stands for, claimed `feasible`; not checked yet."""
    times, places = encoding.times, encoding.places
    ii = _number(model, times.ii)
    start, on = {}, {}
    for op in encoding.problem.ops:
        start[op.id] = _number(model, times.stage_of[op.id]) * ii + _number(model, times.slot_of[op.id])
        on[op.id] = [g for g in places.groups if _holds(model, places.on(op.id, g))]
    return completed(encoding.problem, ii, start, on)


def completed(problem: Problem, ii: int, start: Mapping[str, int], on: Mapping[str, Collection[int]]) -> Schedule:
    """The schedule with these starts (shifted to begin at 0) and groups (renumbered, producers first).

    Depths are the least that lives and recurrences need, registers what the values take at their peak.
    """
    first = min(start.values())
    held = {
        g: [op for op in problem.ops if g in on[op.id]] for g in sorted({g for groups in on.values() for g in groups})
    }
    number = {g: k for k, g in enumerate(sorted(held, key=lambda g: (not held[g][0].variable_latency, g)))}
    placements = {}
    for id, at in start.items():
        stage, slot = divmod(at - first, ii)
        placements[id] = Placement(stage, slot, tuple(sorted(number[g] for g in on[id])))
    bare = Schedule(
        problem=problem,
        status="feasible",
        ii=ii,
        lower_bound=1,
        reason="placed by Z3",
        length=max(start[op.id] - first + op.completion for op in problem.ops),
        placements=placements,
        rings={},
        groups=tuple(_group(held[g]) for g in number),
    )
    return _with_registers(replace(bare, rings={op.id: _depth(bare, op) for op in problem.ops if has_ring(op)}))


def _holds(model: z3.ModelRef, term: Term) -> bool:
    return term if isinstance(term, bool) else z3.is_true(model.eval(term, model_completion=True))


def _number(model: z3.ModelRef, term: z3.ArithRef) -> int:
    return model.eval(term, model_completion=True).as_long()


def _group(ops: list[Op]) -> Group:
    return Group(max(op.min_warps for op in ops), 0, ops[0].variable_latency)


def _depth(schedule: Schedule, op: Op) -> int:
    """The least depth that covers the life of the buffer and makes its recurrences hold."""
    problem, ii = schedule.problem, schedule.ii
    depth = max(1, -(-ring_life(schedule, op)[0] // ii))
    for dep in problem.deps:
        if dep.ring and dep.dst == op.id:
            at = schedule.placements
            hop = 0 if set(at[dep.dst].groups) <= set(at[dep.src].groups) else problem.limits.signal_hop
            late = schedule.start(dep.src) + dep.latency + hop - schedule.start(dep.dst)
            depth = max(depth, -(-late // ii) - dep.distance + 1)
    return depth


def _with_registers(schedule: Schedule) -> Schedule:
    """Groups with the registers its values take at their peak, producers with the least quota that holds theirs."""
    limits = schedule.problem.limits
    lives = register_lives(schedule)
    peaks = [peak(lives[k], schedule.ii)[1] for k in range(len(schedule.groups))]
    held = max((taken for taken, group in zip(peaks, schedule.groups, strict=True) if group.producer), default=0)
    quota = next((quota for quota in quotas(limits) if quota >= held), quotas(limits)[-1])
    groups = tuple(
        replace(group, registers=quota if group.producer else taken)
        for group, taken in zip(schedule.groups, peaks, strict=True)
    )
    return replace(schedule, groups=groups)

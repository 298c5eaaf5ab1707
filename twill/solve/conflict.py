"""Why a problem has no schedule: the smallest set of rules found that already excludes every one."""

from __future__ import annotations

from collections.abc import Collection

from twill.schedule.problem import Problem
from twill.solve.constraints import FAMILIES, Constraints
from twill.solve.engine import Engine, Interrupted
from twill.solve.grouping import grouping
from twill.solve.variables import Variables

EFFORT = 1.0


def conflict(problem: Problem, ii: int, engine: Engine) -> str:
    """The families of rules that together (with the dependences) leave no schedule at `ii`, in words.

    Each is dropped in turn and stays out if the rest is infeasible without it, so that what is left
    is a set of which every member is needed (or was not decided in its effort).
    """
    needed = list(FAMILIES)
    for family in FAMILIES:
        rest = [other for other in needed if other != family]
        try:
            if _infeasible(problem, ii, rest, engine):
                needed = rest
        except Interrupted:
            break
    if not needed:
        return "the dependences alone"
    return "; ".join(f"{family}: {_words(problem, family)}" for family in needed)


def _infeasible(problem: Problem, ii: int, families: Collection[str], engine: Engine) -> bool:
    groups = grouping(problem, sets="groups" in families, roles="roles" in families)
    if groups.conflict:
        return True
    variables = Variables(problem, groups, ii, ii)
    Constraints(variables, families).add_constraints()
    return engine.run(variables.model, EFFORT).infeasible


def _words(problem: Problem, family: str) -> str:
    """What the rule asks, with the problem's numbers."""
    limits, ops = problem.limits, problem.ops
    match family:
        case "units":
            return "no two ops at once on a unit of capacity 1"
        case "streams":
            return "a blocking wait may not interrupt another op of its group"
        case "roles":
            warps = max(op.min_warps for op in ops)
            return (
                f"ops of variable latency apart from the others, {limits.max_warps} warps in all (an op needs up to"
                f" {warps}), a register file of {limits.register_file}"
            )
        case "registers":
            widest = max(ops, key=lambda op: op.registers)
            return (
                f"at most {limits.registers_per_thread} registers per thread, {limits.producer_registers} in a"
                f" producer group ({widest.id} alone takes {widest.registers})"
            )
        case "shared memory":
            least = sum(op.smem_bytes for op in ops)
            return f"one buffer of each ring takes {least} bytes, the limit is {limits.smem_bytes}"
        case "tensor memory":
            least = sum(op.tmem_columns for op in ops)
            return f"one buffer of each ring takes {least} columns, the limit is {limits.tmem_columns}"
        case _:
            return f"at most {limits.max_groups} groups, with the colocate and separate sets as given"

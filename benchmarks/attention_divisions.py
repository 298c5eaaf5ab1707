"""Ways to divide the ops of the attention loops among warp groups, to ask what a division costs.

A division is a problem with colocate and separate sets: its schedules are schedules of the free problem.
"""

from __future__ import annotations

from dataclasses import replace

from twill.schedule.problem import Problem

FORWARD_PRODUCTS = ("s.0", "s.1", "pv.0", "pv.1", "k.free")
BACKWARD_PRODUCTS = ("s", "dp", "dv", "dk", "dq")


def flash_attention_4(forward: Problem) -> Problem:
    """Loads; products; a softmax group a sub-tile; one group that rescales both outputs."""
    rescaling = _rescaling(forward, 0) + _rescaling(forward, 1)
    return _divided(forward, FORWARD_PRODUCTS, _softmax(0), _softmax(1), rescaling)


def no_communication(forward: Problem) -> Problem:
    """Every tile stays in the group that took it: each softmax group rescales its own output."""
    both = tuple(_softmax(i) + _rescaling(forward, i) for i in (0, 1))
    return _divided(forward, FORWARD_PRODUCTS, *both)


def fewer_warps(forward: Problem) -> Problem:
    """Four warps fewer than two softmax groups, a rescaling group, and one warp each for loads and products take."""
    return replace(forward, limits=replace(forward.limits, max_warps=14 - 4))


def two_groups(backward: Problem) -> Problem:
    """Loads; products; two compute groups, one of which also takes dQ to global memory."""
    return _divided(backward, BACKWARD_PRODUCTS, _gradient(0) + _reduction(backward), _gradient(1))


def three_groups(backward: Problem) -> Problem:
    """Loads; products; two compute groups; one group that takes dQ to global memory."""
    return _divided(backward, BACKWARD_PRODUCTS, _gradient(0), _gradient(1), _reduction(backward))


def at_most(problem: Problem, groups: int) -> Problem:
    """The same with no more groups than that, and every op free to go to any of them."""
    return replace(problem, limits=replace(problem.limits, max_groups=groups))


def registers(problem: Problem, per_thread: int) -> Problem:
    """The same with at most `per_thread` registers a thread."""
    return replace(problem, limits=replace(problem.limits, registers_per_thread=per_thread))


def one_group(backward: Problem) -> Problem:
    """The first sub-tile of hopper_backward alone: half the keys, one consumer group."""
    here = {op.id for op in backward.ops if op.subtile != 1}
    return replace(
        backward,
        name=f"{backward.name}_one_group",
        ops=tuple(op for op in backward.ops if op.id in here),
        deps=tuple(dep for dep in backward.deps if {dep.src, dep.dst} <= here),
        colocate=backward.colocate[:1],
        separate=(),
    )


def _divided(problem: Problem, *groups: tuple[str, ...]) -> Problem:
    return replace(problem, colocate=groups, separate=(tuple(group[0] for group in groups),))


def _softmax(i: int) -> tuple[str, ...]:
    before = (f"s.{i}.read", f"max.{i}", f"alpha.{i}.store", f"arg.{i}")
    return (*before, f"p.{i}", f"sum.{i}", f"p16.{i}", f"p.{i}.store")


def _rescaling(forward: Problem, i: int) -> tuple[str, ...]:
    return tuple(op.id for op in forward.ops if op.id.startswith(f"o.{i}."))


def _gradient(i: int) -> tuple[str, ...]:
    probabilities = (f"s.{i}.read", f"arg.{i}", f"p.{i}", f"p16.{i}", f"p.{i}.write")
    return (*probabilities, f"dp.{i}.read", f"ds.{i}", f"ds16.{i}", f"ds.{i}.store")


def _reduction(backward: Problem) -> tuple[str, ...]:
    return tuple(op.id for op in backward.ops if op.id.startswith("dq."))

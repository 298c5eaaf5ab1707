"""The paper's view of a problem: streaming ops with latency 0, and costs that sum to little."""

from __future__ import annotations

from dataclasses import dataclass, replace

from twill.schedule.problem import Dep, Op, Problem


@dataclass(frozen=True)
class Costs:
    """A problem in normalized cycles.

    problem: the same ops, deps and limits with small costs. streaming: the ops whose latency is hidden.
    deviation: F, in cycles times normalized cycles; 0 where the proportions are exact. scale: normalized
    cycles per cycle. proved: F is the least possible.
    """

    problem: Problem
    streaming: frozenset[str]
    deviation: int
    scale: float
    proved: bool

    def spill(self, src: Op) -> int:
        """The paper's spillcost: normalized cycles until another group may use the result of `src`."""
        if src.id in self.streaming:
            return 0
        return self.problem.limits.value_hop if src.registers > 0 else self.problem.limits.signal_hop


def normalized(problem: Problem, budget: int, time_limit: float) -> Costs:
    """`problem` in normalized cycles that sum to at most `budget` over its ops.

    The cost C of an op is its occupancy, the length of its reservation table, and the integer program
    of the paper finds C'. What an edge or an issue window adds to C, and the hops, follow at the
    average scale sum C' / sum C, to the nearest cycle. Where the costs as they are sum to the budget or
    less, nothing is rescaled. Raises NoSchedule when the program is not solved in `time_limit` seconds.
    """
    from twill.solve.normalization import normalize

    streams = streaming(problem)
    raw = [op.occupancy for op in problem.ops]
    if sum(raw) <= budget:
        found = dict(zip((op.id for op in problem.ops), raw, strict=True))
        deviation, scale, proved = 0, 1.0, True
    else:
        small = normalize(raw, budget, time_limit)
        found = dict(zip((op.id for op in problem.ops), small.costs, strict=True))
        deviation, scale, proved = small.deviation, small.total / sum(raw), small.proved

    def shrunk(cycles: int, op: Op) -> int:
        """`cycles` of op: its own cost as normalized, what goes beyond it (or falls short) at the scale."""
        if cycles >= op.occupancy:
            return found[op.id] + round((cycles - op.occupancy) * scale)
        return min(round(cycles * scale), found[op.id])

    def op_shrunk(op: Op) -> Op:
        latency = 0 if op.id in streams else shrunk(op.latency, op)
        return replace(op, occupancy=found[op.id], issue=shrunk(op.issue, op), latency=latency)

    def dep_shrunk(dep: Dep) -> Dep:
        hidden = dep.src in streams or dep.latency == 0
        return replace(dep, latency=0 if hidden else shrunk(dep.latency, problem.op(dep.src)))

    limits = replace(
        problem.limits,
        signal_hop=round(problem.limits.signal_hop * scale),
        value_hop=round(problem.limits.value_hop * scale),
    )
    small_problem = replace(
        problem,
        ops=tuple(op_shrunk(op) for op in problem.ops),
        deps=tuple(dep_shrunk(dep) for dep in problem.deps if not dep.ring),
        limits=limits,
    )
    return Costs(small_problem, streams, deviation, scale, proved)


def streaming(problem: Problem) -> frozenset[str]:
    """Ops of variable latency that depend on nothing: they run ahead as far as their ring is deep.

    An edge that only says that a buffer is written again (`Dep.ring`) is no dependence on a value.
    """
    fed = {dep.dst for dep in problem.deps if not dep.ring}
    return frozenset(op.id for op in problem.ops if op.variable_latency and op.id not in fed)

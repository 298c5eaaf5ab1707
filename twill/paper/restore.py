"""From normalized cycles back to real ones: the paper's structure is kept, its times are derived anew.

The structure of an answer is the stage and the groups of each op and the order, modulo the interval, of
starts and releases on each unit and in each group. In real cycles each statement of it is a dependence
with a distance, so the least interval it admits is the RecMII of these dependences, and starts are
longest paths.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import permutations

import networkx

from twill.errors import InputError
from twill.paper.costs import Costs
from twill.paper.encoding import Answer
from twill.schedule.lifetimes import has_ring, hold, register_lives
from twill.schedule.modulo import peak
from twill.schedule.problem import REGISTER_STEP, Dep, Problem, in_register_steps
from twill.schedule.schedule import Group, Placement, Schedule
from twill.solve.bounds import rec_mii, res_mii
from twill.solve.grouping import hop
from twill.solve.tiers import needed_depth


@dataclass(frozen=True)
class Edge:
    """slot(dst) + turns * ii >= slot(src) + cycles, where slot = start - stage * ii; turns >= 0."""

    src: str
    dst: str
    cycles: int
    turns: int


def restored(problem: Problem, costs: Costs, answer: Answer, registers: int) -> Schedule:
    """The schedule of `problem`, in its own cycles, with the least interval that the answer's structure admits.

    registers: per thread of a group that does not load. Where its values would take more, the order in
    which registers are released is kept too; it is left free otherwise, since the paper has no such
    order. Ops start as early as the interval lets them, streaming ops as late. Rings are as deep as their
    buffers live, and a group has the registers its values take, rounded up to a step of 8. The status is
    `optimal` where the interval is MII, else `feasible`. The schedule may break rules that the paper's
    model does not have: the checker says.
    """
    structure = Structure(problem, costs, answer)
    edges = [*structure.dependences(), *structure.units(), *structure.streams()]
    schedule = _derived(problem, costs, answer, edges)
    lives = register_lives(schedule)
    if all(g.producer or peak(lives[k], schedule.ii)[1] <= registers for k, g in enumerate(schedule.groups)):
        return schedule
    try:
        return _derived(problem, costs, answer, [*edges, *structure.releases()])
    except InputError:  # rounding let a value be released and defined at once, where real cycles cannot
        return schedule


class Structure:
    """What an answer decided, as edges over slots."""

    def __init__(self, problem: Problem, costs: Costs, answer: Answer) -> None:
        self.problem = problem
        self.small = costs.problem
        self.answer = answer
        self.stage = {id: at // answer.ii for id, at in answer.start.items()}
        self.slot = {id: at % answer.ii for id, at in answer.start.items()}
        self.place = self._places()

    def dependences(self) -> Iterator[Edge]:
        """Each dependence with its real latency and hop, over as many stages as the answer put between its ends."""
        groups = self.answer.groups
        for dep in self.problem.deps:
            if not dep.ring:
                paid = 0 if set(groups[dep.dst]) <= set(groups[dep.src]) else hop(self.problem, dep)
                turns = self.stage[dep.dst] - self.stage[dep.src] + dep.distance
                yield Edge(dep.src, dep.dst, dep.latency + paid, turns)

    def units(self) -> Iterator[Edge]:
        """The ops of a unit that holds one take turns in the same order.

        Where it holds several, an op frees its place before every start there that found it free.
        """
        for unit, capacity in self.problem.limits.units.items():
            ops = [op for op in self.problem.ops if op.unit == unit and op.occupancy]
            for a in ops:
                for b in ops:
                    if capacity == 1:
                        yield self._in_turn(a.id, a.occupancy, b.id)
                    else:
                        yield self._released(a.id, self.small.op(a.id).occupancy, a.occupancy, b.id)

    def streams(self) -> Iterator[Edge]:
        """A group issues its ops in the same order, and a wait finds every issue before it over."""
        waiting = {dep.dst for dep in self.problem.deps if dep.blocking}
        for group in sorted({group for groups in self.answer.groups.values() for group in groups}):
            ops = [op for op in self.problem.ops if group in self.answer.groups[op.id]]
            for a, b in permutations(ops, 2):
                yield self._in_turn(a.id, a.issue if b.id in waiting else 0, b.id)

    def releases(self) -> Iterator[Edge]:
        """A value is released, by each of its uses, before every definition in its group that found it released."""
        ends = [(op, op.id, 1, 1) for op in self.problem.ops if op.registers]  # it lives a cycle at least
        for dep in self.problem.deps:
            value = self.problem.op(dep.src)
            if value.registers and not dep.ring:
                small, real = (hold(dep, each.op(dep.dst)) for each in (self.small, self.problem))
                ends.append((value, dep.dst, small, real))
        for value, user, small, real in ends:
            for other in self.problem.ops:
                if other.registers and set(self.answer.groups[other.id]) & set(self.answer.groups[value.id]):
                    yield self._released(user, small, real, other.id)

    def _in_turn(self, a: str, cycles: int, b: str) -> Edge:
        """b starts after a and its `cycles`: in the same turn where it stands behind a, else in the next."""
        return Edge(a, b, cycles, 0 if self.place[a] < self.place[b] else 1)

    def _released(self, a: str, small: int, cycles: int, b: str) -> Edge:
        """What begins with a and lasts `small` normalized cycles is over at b's start some turns on; so in real."""
        turns = max(0, -(-(self.slot[a] + small - self.slot[b]) // self.answer.ii))
        if turns == 0 and (a == b or self.place[a] > self.place[b]):
            turns = 1  # nothing ends before it begins, nor two things each before the other
        return Edge(a, b, cycles, turns)

    def _places(self) -> dict[str, tuple[int, int]]:
        """Where each op stands in the period: its slot, and an order within it.

        There an op follows those it depends on, and a definition, where nothing speaks against it, the
        uses that release registers.
        """
        ties: dict[int, list[str]] = {}
        for op in self.problem.ops:
            ties.setdefault(self.slot[op.id], []).append(op.id)
        deps = [dep for dep in self.problem.deps if not dep.ring]
        needed = {(d.src, d.dst) for d in deps if self.stage[d.dst] - self.stage[d.src] + d.distance == 0}
        releasing = {d.dst for d in deps if self.problem.op(d.src).registers}
        place = {}
        for slot, ids in ties.items():
            order = networkx.DiGraph()
            order.add_nodes_from(ids)
            hard = [(a, b) for a in ids for b in ids if (a, b) in needed and a != b]
            soft = [(a, b) for a in ids for b in ids if a in releasing and self.problem.op(b).registers and a != b]
            for a, b in hard + soft:
                if not networkx.has_path(order, b, a):
                    order.add_edge(a, b)
            rank = {id: k for k, id in enumerate(ids)}
            for k, id in enumerate(networkx.lexicographical_topological_sort(order, key=rank.__getitem__)):
                place[id] = (slot, k)
        return place


def _derived(problem: Problem, costs: Costs, answer: Answer, edges: list[Edge]) -> Schedule:
    """The schedule of least interval that keeps all edges; InputError where no interval does."""
    least = rec_mii(replace(problem, deps=tuple(Dep(e.src, e.dst, e.turns, e.cycles) for e in edges)))
    ii = max(1, least.ii)
    slot = _slots(problem, edges, ii, costs.streaming)
    start = {id: at + answer.start[id] // answer.ii * ii for id, at in slot.items()}
    first = min(start.values())
    start = {id: at - first for id, at in start.items()}
    bound = max(1, res_mii(problem).ii, rec_mii(problem).ii)
    binds = " -> ".join((*least.ops, *least.ops[:1])) or "nothing"
    bare = Schedule(
        problem=problem,
        status="optimal" if ii == bound else "feasible",
        ii=ii,
        lower_bound=bound,
        reason=f"the least interval that the structure found at I = {answer.ii} admits, bound by {binds}",
        length=max(start[op.id] + op.completion for op in problem.ops),
        placements={id: Placement(*divmod(at, ii), answer.groups[id]) for id, at in start.items()},
        rings={},
        groups=(),
    )
    numbered = _renumbered(bare)
    depths = {op.id: needed_depth(numbered, op.id) for op in problem.ops if has_ring(op)}
    return replace(numbered, groups=_with_registers(numbered), rings=depths)


def _slots(problem: Problem, edges: Iterable[Edge], ii: int, streaming: frozenset[str]) -> dict[str, int]:
    """Longest paths at `ii`; then each streaming op as late as what follows it allows, since its buffer waits."""
    edges = tuple(edges)
    slot = {op.id: 0 for op in problem.ops}
    changed = True
    while changed:
        changed = False
        for edge in edges:
            earliest = slot[edge.src] + edge.cycles - edge.turns * ii
            if earliest > slot[edge.dst]:
                slot[edge.dst], changed = earliest, True
    for id in sorted(streaming, key=lambda id: (slot[id], id), reverse=True):
        after = [slot[e.dst] + e.turns * ii - e.cycles for e in edges if e.src == id and e.dst != id]
        slot[id] = max(slot[id], min(after, default=slot[id]))
    return slot


def _renumbered(schedule: Schedule) -> Schedule:
    """Groups without ops dropped, the loading group first, each as wide as its widest op; registers still 0."""
    problem = schedule.problem
    used = sorted({group for at in schedule.placements.values() for group in at.groups})
    number = {group: k for k, group in enumerate(used)}
    members = {g: [op for op in problem.ops if g in schedule.placements[op.id].groups] for g in used}
    groups = tuple(
        Group(max(op.min_warps for op in members[g]), 0, any(op.variable_latency for op in members[g])) for g in used
    )
    placements = {
        id: replace(at, groups=tuple(sorted(number[group] for group in at.groups)))
        for id, at in schedule.placements.items()
    }
    return replace(schedule, placements=placements, groups=groups)


def _with_registers(schedule: Schedule) -> tuple[Group, ...]:
    lives = register_lives(schedule)
    groups = []
    for index, group in enumerate(schedule.groups):
        most = max(REGISTER_STEP, in_register_steps(peak(lives[index], schedule.ii)[1]))
        limits = schedule.problem.limits
        needed = limits.producer_registers if group.producer else min(most, limits.registers_per_thread)
        groups.append(replace(group, registers=needed))
    return tuple(groups)

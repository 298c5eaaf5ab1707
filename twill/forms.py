"""The form of a kernel, chosen by simulation: where loop bodies begin, and whether groups wait for their turn.

A schedule says nothing of either. At its cut a body waits for the MMAs in flight, and no two ops lie in each
other across a wait, so a kernel may fall behind the interval of its schedule; how far is simulated, with loads as
long as the schedule counts on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product

from twill.codegen.pipeline import Form, cuts
from twill.codegen.plan import Plan, plan
from twill.frontend.launch import Launch
from twill.ir.graph import Graph
from twill.machine import Machine
from twill.schedule.schedule import Schedule
from twill.schedule.timeline import stages
from twill.simulate.engine import execute
from twill.simulate.from_plan import plan_program
from twill.simulate.latency import LoadLatency
from twill.simulate.measure import interval

NEAR = 1.01  # intervals closer than this are the same
_SETTLED, _MEASURED = 8, 12  # iterations
_MOST_CUTS = 64  # of all groups together
_LEADERS = 6  # tried in every other way too


@dataclass(frozen=True)
class Choice:
    """A form at a level of `plan.ISOLATION`, the cycles an iteration takes by simulation, and its roles' stages."""

    form: Form
    isolation: int
    cycles: float
    stages: int

    @property
    def order(self) -> tuple[float, int, bool, int, int]:
        """What is better comes first; of equal intervals fewer stages, which take fewer registers."""
        return self.cycles, self.stages, not self.form.turns, self.isolation, len(self.form.cuts)


class Forms:
    """The forms of the kernel of one schedule. Raises what planning raises."""

    def __init__(self, graph: Graph, schedule: Schedule, launch: Launch, machine: Machine) -> None:
        self.graph, self.schedule, self.launch, self.machine = graph, schedule, launch, machine
        self.known: dict[tuple[tuple[tuple[int, int], ...], bool, int], Choice] = {}

    def choices(self) -> Iterator[Choice]:
        """Forms to try, one after the other: the code generator's own if it keeps up with the schedule.

        Then the fastest, and step by step slower ones; also without turns, and with MMAs that read registers kept
        apart from others.
        """
        last = 0.0
        own = self.choice(Form(), 0)
        if own.cycles <= NEAR * self.schedule.ii:
            yield own
            last = own.cycles
        workers = [number for number, group in enumerate(self.schedule.groups) if not group.producer]
        for chosen in _best_first([cuts(self.schedule, group) for group in workers]):
            found = self.choice(Form(dict(zip(workers, chosen, strict=True))), 0)
            if not last and found.cycles <= NEAR * self.schedule.ii:
                break  # nothing is faster
        for level in (0, 1):
            for leader in self.leaders(0.0)[:_LEADERS]:
                for turns in (True, False):
                    self.choice(replace(leader.form, turns=turns), level)
            for choice in self.leaders(last)[: 1 if level == 0 else None]:
                yield choice
                last = choice.cycles

    def leaders(self, beyond: float) -> list[Choice]:
        """The best of those that are as fast as one another, for all that are slower than `beyond`."""
        found: list[Choice] = []
        for choice in sorted(self.known.values(), key=lambda choice: choice.order):
            if choice.cycles > NEAR * (found[-1].cycles if found else beyond):
                found.append(choice)
        return found

    def choice(self, form: Form, isolation: int) -> Choice:
        """A form with its interval."""
        key = tuple(sorted(form.cuts.items())), form.turns, isolation
        if key not in self.known:
            made = plan(self.graph, self.schedule, self.launch, isolation=isolation, form=form)
            depth = sum(role.stages for role in made.roles)
            self.known[key] = Choice(form, isolation, simulated(made, self.machine), depth)
        return self.known[key]


def _best_first(cuts: list[tuple[int, ...]]) -> list[tuple[int, ...]]:
    """Cuts of all groups together, from lists with each group's best first; not more than are worth the time."""
    places = sorted(product(*(range(len(each)) for each in cuts)), key=lambda at: (max(at), sum(at)))
    return [tuple(each[place] for each, place in zip(cuts, at, strict=True)) for at in places[:_MOST_CUTS]]


def simulated(made: Plan, machine: Machine) -> float:
    """Cycles from one iteration of the kernel to the next in its steady state, with loads that are never late."""
    exact = LoadLatency(0.0)
    filled = stages(made.schedule)
    run = execute(plan_program(made, machine, 2 * filled + _SETTLED + _MEASURED, exact), exact)
    return interval(run, filled + _SETTLED)

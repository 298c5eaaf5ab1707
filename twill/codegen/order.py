"""Program order within a role's loop body: which older copy of a value an op reads, who reads a tile first and last."""

from __future__ import annotations

from dataclasses import dataclass, field

from twill.codegen.pipeline import Step
from twill.codegen.statements import Iteration, Stmt
from twill.codegen.worker import Worker


@dataclass(frozen=True, order=True)
class Place:
    """Where an op stands: its stage, and its position among all ops of the body.

    Places sort by when ops work on one and the same iteration.
    """

    stage: int
    position: int


@dataclass(frozen=True)
class Site:
    """Where an op is being written: its place, its iteration, the epilogue body (0 before), the statements so far.

    landed: tiles whose landing this op has waited for.
    """

    place: Place
    iteration: Iteration
    tail: int
    out: list[Stmt]
    landed: set[str] = field(default_factory=set)


class Order:
    """The order of one path through a role's loop.

    places: of each op, by its name. made: where each value is defined. copies: how many older
    definitions of a value must be kept. first_use, last_use: of each tile loaded in the loop.
    """

    def __init__(self, worker: Worker, steps: tuple[Step, ...]) -> None:
        kernel = worker.kernel
        ops = [(step.stage, op) for step in steps for op in worker.ops[step.op]]
        self.places = {kernel.name_of(op): Place(stage, position) for position, (stage, op) in enumerate(ops)}
        self.made = {value.name: self.places[kernel.name_of(op)] for _, op in ops for value in op.results}
        self.copies: dict[str, int] = {}
        uses: dict[str, list[Place]] = {}
        for _, op in ops:
            place = self.places[kernel.name_of(op)]
            for name in kernel.reached(op):
                load = kernel.ring_load(name)
                if load is not None:
                    uses.setdefault(load.result.name, []).append(place)
                source, distance = worker.source(name)
                if source in self.made:
                    copy = self.copy(source, distance, place, 0)
                    self.copies[source] = max(self.copies.get(source, 0), copy)
        self.first_use = {name: min(places) for name, places in uses.items()}
        self.last_use = {name: max(places) for name, places in uses.items()}

    def copy(self, source: str, distance: int, place: Place, tail: int) -> int:
        """How many definitions back the value used at `place`, `distance` iterations later, was made.

        In epilogue body `tail` the ops of earlier stages have stopped: their last value is newer
        than the steady state would have it.
        """
        made = self.made[source]
        age = place.stage + distance - made.stage
        stopped = tail - made.stage
        if made.position >= place.position:
            age, stopped = age - 1, stopped - 1
        copy = age - max(0, stopped)
        if copy < 0:
            raise AssertionError(f"{source} is used before it is made: the schedule breaks a dependence")
        return copy

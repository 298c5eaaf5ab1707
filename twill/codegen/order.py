"""Program order within a role's loop body: which older copy of a value an op reads, who reads a tile first and last."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from twill.codegen.pipeline import Step
from twill.codegen.statements import Iteration, Stmt
from twill.codegen.worker import Worker
from twill.ir.graph import Op


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


def _read(worker: Worker, op: Op) -> list[str]:
    """What an op reads itself; an operand put into shared memory for it is read by the step that does that."""
    if op.opcode == "dot":
        staged = worker.staged_operands(op)
        op = replace(op, operands=tuple(name for at, name in enumerate(op.operands) if at not in staged))
    return worker.kernel.reached(op)


class Order:
    """The order of one path through a role's loop.

    places: of each op, by its name. made: where each value is defined. copies: how many older
    definitions of a value must be kept. first_use, last_use: of each tile loaded in the loop.
    """

    def __init__(self, worker: Worker, steps: tuple[Step, ...]) -> None:
        kernel = worker.kernel
        ops: list[tuple[int, Op | str]] = []
        for step in steps:
            ops += [(step.stage, op) for op in worker.ops[step.op]]
            if step.op in worker.staged:
                ops.append((step.stage, step.op))
        self.places = {
            op if isinstance(op, str) else kernel.name_of(op): Place(stage, position)
            for position, (stage, op) in enumerate(ops)
        }
        made = [op for _, op in ops if not isinstance(op, str)]
        self.made = {value.name: self.places[kernel.name_of(op)] for op in made for value in op.results}
        self.copies: dict[str, int] = {}
        uses: dict[str, list[Place]] = {}
        for _, op in ops:
            if isinstance(op, str):
                place, read = self.places[op], [worker.staged[op]]
            else:
                place, read = self.places[kernel.name_of(op)], _read(worker, op)
            for name in read:
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

"""One path through a role's loop: the software pipeline with prologue, steady state and epilogue.

Body j works on iteration j - stage of each op. With one stage there is neither prologue nor epilogue,
so the plain loop, for trip counts too small to fill the pipeline, is the path in which every stage is 0.
"""

from __future__ import annotations

from collections.abc import Iterable

from twill.codegen.after import descriptor_store
from twill.codegen.dots import Dots
from twill.codegen.flights import Flights, across_back_edge, after_loop
from twill.codegen.layouts import Layout
from twill.codegen.operands import Operands
from twill.codegen.order import Order, Site
from twill.codegen.pipeline import Step, Token
from twill.codegen.statements import (
    CURRENT,
    END,
    FIRST,
    Arrive,
    Call,
    Comment,
    Convert,
    Expr,
    For,
    Iteration,
    Let,
    Stmt,
)
from twill.codegen.turns import Turns
from twill.codegen.worker import Worker
from twill.ir.graph import Op
from twill.ir.opcodes import POINTER_STORES


class Path:
    """Writes the steps of one role, in their order, for every iteration.

    tokens: order tokens to keep. threshold: least trip count at which the path runs. isolation: a
    level of `plan.ISOLATION`.
    """

    def __init__(
        self,
        worker: Worker,
        steps: tuple[Step, ...],
        tokens: tuple[tuple[str, Token], ...],
        threshold: int,
        isolation: int,
    ) -> None:
        self.worker = worker
        self.steps = steps
        self.stages = 1 + max(step.stage for step in steps)
        self.order = Order(worker, steps)
        self.flights = Flights(worker)
        self.operands = Operands(worker, self.order, self.flights)
        turns = Turns(worker, tokens, self.stages, threshold)
        self.dots = Dots(worker, self.operands, self.flights, turns, isolation)

    def statements(self) -> tuple[Stmt, ...]:
        """The whole path; nothing is in flight after it."""
        out: list[Stmt] = []
        for body in range(self.stages - 1):
            out.append(Comment(f"prologue, body {body}"))
            out += self._body([step for step in self.steps if step.stage <= body], FIRST.shifted(body))
            out += self.flights.end_body()
        if self.stages > 1:
            out.append(Comment("steady state"))
        out.append(self._steady_state())
        for tail in range(1, self.stages):
            out.append(Comment(f"epilogue, body {tail}"))
            out += self._body([step for step in self.steps if step.stage >= tail], END.shifted(tail - 1), tail)
            out += self.flights.drain()
        return (*out, *self.flights.drain())

    def _steady_state(self) -> For:
        """The loop; what is in flight is known at its top, and after it, from a dry run of its body."""
        entry, defined = list(self.flights.now), set(self.operands.defined)
        self._turn()
        crossing = across_back_edge(self.flights.now, entry, self.stages)
        self.operands.defined = defined
        self.flights.now = list(crossing)
        loop = For(self.stages - 1, tuple(self._turn()))
        self.flights.now = after_loop(crossing, self.stages)
        return loop

    def _turn(self) -> list[Stmt]:
        return [*self._body(self.steps, CURRENT), *self.flights.end_body()]

    def _body(self, steps: Iterable[Step], base: Iteration, tail: int = 0) -> list[Stmt]:
        kernel = self.worker.kernel
        out: list[Stmt] = []
        for step in steps:
            placement = kernel.schedule.placements[step.op]
            unit = kernel.schedule.problem.op(step.op).unit
            text = f"{step.op} on {unit}: stage {placement.stage}, slot {placement.slot}"
            out.append(Comment(text, step.op, base.shifted(-step.stage)))
            for op in self.worker.ops[step.op]:
                place = self.order.places[kernel.name_of(op)]
                self._emit(op, Site(place, base.shifted(-step.stage), tail, out))
            if step.op in self.worker.staged:
                self.dots.stage(step.op, Site(self.order.places[step.op], base.shifted(-step.stage), tail, out))
        return out

    def _emit(self, op: Op, site: Site) -> None:
        if op.opcode == "dot":
            self.dots.emit(op, site)  # gives its tiles back when it is done
            return
        worker, out = self.worker, site.out

        def resolve(name: str, layout: Layout | None) -> Expr:
            return self.operands.value(name, layout, site)

        if op.opcode == "descriptor_store":
            descriptor_store(worker, op, resolve, out)
        elif op.opcode in POINTER_STORES:
            layout = worker.homes.get(op.operands[0])
            out.append(Call(worker.apply(op, tuple(resolve(name, layout) for name in op.operands), None)))
        else:
            home = worker.homes.get(op.result.name)
            operands = worker.operands_of(op, home, resolve)
            out += self.operands.define(op.result.name)
            value: Expr = worker.apply(op, operands, home)
            if op.opcode == "reduce" and home is not None and home != worker.reduced(op):
                value = Convert(value, home)  # what it reduces lives as another use of that wants it
            out.append(Let(worker.variable(op.result.name), value))
        out += [Arrive(barrier) for barrier in self.operands.releases(site)]

"""Order tokens: where groups alternate on the tensor core, each waits for its turn and passes it on."""

from __future__ import annotations

from twill.codegen.pipeline import Token
from twill.codegen.statements import END, FIRST, Arrive, Barrier, Condition, Iteration, Stmt, Wait
from twill.codegen.worker import Worker


class Turns:
    """The tokens one role waits for and signals on one path through its loop.

    tokens: named, of the whole kernel. stages: of the path. threshold: least trip count at which the
    path runs.
    """

    def __init__(self, worker: Worker, tokens: tuple[tuple[str, Token], ...], stages: int, threshold: int) -> None:
        self.worker = worker
        self.tokens = tokens
        self.stages = stages
        self.threshold = threshold

    def waits(self, scheduled: str | None, iteration: Iteration) -> list[Stmt]:
        """Before `scheduled` of `iteration`: the signallers that exist have been issued."""
        out: list[Stmt] = []
        for name, token in self.tokens:
            if token.waiter == scheduled:
                self.worker.parameters.add(name)
                signal = iteration.shifted(token.shift)
                conditions = self._exists(signal)
                if conditions is not None:
                    out.append(Wait(Barrier(name, token.depth, signal), conditions=conditions))
        return out

    def arrivals(self, scheduled: str | None, iteration: Iteration) -> list[Stmt]:
        """After `scheduled` of `iteration` was issued."""
        out: list[Stmt] = []
        for name, token in self.tokens:
            if token.signaller == scheduled:
                self.worker.parameters.add(name)
                out.append(Arrive(Barrier(name, token.depth, iteration)))
        return out

    def _exists(self, iteration: Iteration) -> tuple[Condition, ...] | None:
        """Conditions under which 0 <= iteration < n, none when it always holds; None when it never does."""
        offset = iteration.offset
        if iteration.base == "first":
            if offset < 0:
                return None
            return () if offset < self.threshold else (Condition(iteration, "<", END),)
        if iteration.base == "end":
            if offset >= 0:
                return None
            return () if offset >= -self.threshold else (Condition(iteration, ">=", FIRST),)
        begun = () if self.stages - 1 + offset >= 0 else (Condition(iteration, ">=", FIRST),)
        not_over = () if offset <= 0 else (Condition(iteration, "<", END),)
        return (*begun, *not_over)

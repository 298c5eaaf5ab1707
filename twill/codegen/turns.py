"""Order tokens: where groups alternate on the tensor core, each waits for its turn and passes it on."""

from __future__ import annotations

from twill.codegen.pipeline import Token
from twill.codegen.statements import (
    DONE,
    END,
    FIRST,
    TILE,
    TURNED,
    Arrive,
    Barrier,
    Condition,
    Iteration,
    Stmt,
    Wait,
)
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
        self.since = counter(threshold) if worker.kernel.graph.outer is not None else ""

    def waits(self, scheduled: str | None, iteration: Iteration) -> list[Stmt]:
        """Before `scheduled` of `iteration`: the signallers that exist have been issued."""
        out: list[Stmt] = []
        for name, token in self.tokens:
            if token.waiter == scheduled:
                self.worker.parameters.add(name)
                signal = iteration.shifted(token.shift)
                conditions = self._exists(signal)
                if conditions is not None:
                    out.append(Wait(Barrier(name, token.depth, signal, self.since), conditions=conditions))
        return out

    def arrivals(self, scheduled: str | None, iteration: Iteration) -> list[Stmt]:
        """After `scheduled` of `iteration` was issued."""
        out: list[Stmt] = []
        for name, token in self.tokens:
            if token.signaller == scheduled:
                self.worker.parameters.add(name)
                out.append(Arrive(Barrier(name, token.depth, iteration, self.since)))
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


def counter(threshold: int) -> str:
    """The variable that counts the iterations of the tiles before in which groups took turns: those of a tile with too
    few to fill the pipeline run without."""
    return TURNED if threshold > 1 else DONE


TURNS_OVER = "turns_over"


def turns_over(worker: Worker) -> Barrier:
    """Completes once a tile, when every group that takes turns has issued the last MMA of that tile.

    At the ends of a tile some ops take no turn. A group that were a tile ahead would do so again and again, and lap
    a barrier that another still waits for.
    """
    worker.parameters.add(TURNS_OVER)
    return Barrier(TURNS_OVER, 1, TILE)

"""Running CP-SAT so that it repeats: one thread, limits in deterministic time, slices of two settings in turn."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from ortools.sat.python import cp_model

# Without a linear relaxation the search refutes fastest; with it, it finds its way on some models
# where that one is lost (docs/solver-notes.md). Slices alternate and grow.
LINEARIZATION = (0, 1)
FIRST_SLICE = 1.0  # in CP-SAT's deterministic time, a second or a few of one core


@dataclass(frozen=True)
class Outcome:
    """What a run knows: values by variable index (None: no solution), best bound, and whether it is settled.

    settled: the solution is optimal (feasible, without an objective), or there provably is none.
    """

    values: tuple[int, ...] | None
    objective: int
    bound: int
    settled: bool

    @property
    def infeasible(self) -> bool:
        return self.settled and self.values is None


class Interrupted(Exception):
    """The time limit, Ctrl-C or the caller's `stop` ended the search."""


class Engine:
    """Runs models one after the other until the time limit of all of them together."""

    def __init__(self, time_limit: float, seed: int, stop: Callable[[], bool] | None) -> None:
        self.began = time.monotonic()
        self.time_limit = time_limit
        self.seed = seed
        self.stop = stop
        self.interrupted = False

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.began

    @property
    def over(self) -> bool:
        """Whether the search has to end now."""
        return self.interrupted or self.seconds >= self.time_limit or (self.stop is not None and self.stop())

    def run(self, model: cp_model.CpModel, effort: float, hint: Mapping[int, int] | None = None) -> Outcome:
        """Solve `model` with at most `effort` deterministic time; hint: values by variable index.

        Raises Interrupted when the search ends before anything is known.
        """
        minimizing = model.has_objective()
        best = Outcome(None, 0, -(1 << 62), False)
        slice_, turn = FIRST_SLICE, 0
        while effort > 0:
            if self.over:
                if best.values is None:
                    raise Interrupted
                return best
            _set_hint(model, hint or {})
            budget = min(slice_, effort)
            if minimizing:  # each slice starts from what the one before found
                status, solver = self._slices([model], [LINEARIZATION[turn % len(LINEARIZATION)]], budget)[0]
            else:
                status, solver = self._first(model, budget)
                effort, turn = effort - budget, turn + 1
            if status == cp_model.MODEL_INVALID:
                raise ValueError(f"CP-SAT refuses the model: {model.validate()}")
            found = _outcome(model, status, solver)
            if found.infeasible:
                return found
            bound = max(best.bound, found.bound)
            if found.values is not None and (best.values is None or found.objective < best.objective):
                best = found
                hint = dict(enumerate(found.values))
            settled = found.settled or (best.values is not None and bound >= best.objective)
            best = replace(best, bound=bound, settled=settled)
            if settled:
                return best
            effort -= budget
            turn += 1
            if turn % len(LINEARIZATION) == 0:
                slice_ *= 2
        return best

    def _first(self, model: cp_model.CpModel, effort: float) -> tuple[int, cp_model.CpSolver]:
        """All settings at the same time; the answer is that of the first in the list that has one."""
        answers = self._slices([model] * len(LINEARIZATION), LINEARIZATION, effort, first=True)
        return next((answer for answer in answers if answer[0] != cp_model.UNKNOWN), answers[-1])

    def abreast(
        self, models: Sequence[cp_model.CpModel], effort: float, linearization: int, hints: Sequence[Mapping[int, int]]
    ) -> list[Outcome]:
        """One CP-SAT call for each model, all at the same time, each of at most `effort` deterministic time.

        Which of them ends first makes no difference. Raises Interrupted when the search is over.
        """
        if self.over:
            raise Interrupted
        for model, hint in zip(models, hints, strict=True):
            _set_hint(model, hint)
        answers = self._slices(models, [linearization] * len(models), effort)
        return [_outcome(model, *answer) for model, answer in zip(models, answers, strict=True)]

    def _slices(
        self, models: Sequence[cp_model.CpModel], linearization: Sequence[int], effort: float, first: bool = False
    ) -> list[tuple[int, cp_model.CpSolver]]:
        """CP-SAT calls, each on a thread of its own so that Ctrl-C and `stop` are seen at once.

        first: those after one that has an answer are ended; they make no difference then.
        """
        solvers = []
        for level in linearization:
            solver = cp_model.CpSolver()
            solver.parameters.num_workers = 1
            solver.parameters.random_seed = self.seed
            solver.parameters.linearization_level = level
            solver.parameters.max_deterministic_time = effort
            solver.parameters.max_time_in_seconds = max(0.01, self.time_limit - self.seconds)
            solver.parameters.catch_sigint_signal = False
            solvers.append(solver)
        answers: dict[int, int] = {}
        failures: list[BaseException] = []
        done = [threading.Event() for _ in models]

        def work(k: int) -> None:
            try:
                answers[k] = solvers[k].solve(models[k])
            except BaseException as error:  # handed to the caller below
                failures.append(error)
            finally:
                done[k].set()

        for k in range(len(models)):
            threading.Thread(target=work, args=(k,), name="cp-sat", daemon=True).start()
        # Events, since Ctrl-C in the middle of Thread.join can leave a running thread marked as ended.
        ended = False
        for k, event in enumerate(done):
            while not event.is_set():
                try:
                    event.wait(0.001 if ended else 0.05)
                    if self.stop is not None and self.stop():
                        self.interrupted = True
                except KeyboardInterrupt:
                    self.interrupted = True
                if (self.interrupted or ended) and not event.is_set():
                    solvers[k].stop_search()
            ended = ended or (first and not failures and answers[k] != cp_model.UNKNOWN)
        if failures:
            raise failures[0]
        return [(answers[k], solver) for k, solver in enumerate(solvers)]


def _set_hint(model: cp_model.CpModel, hint: Mapping[int, int]) -> None:
    """`hint` is the model's only hint."""
    model.clear_hints()
    for index, value in hint.items():
        model.add_hint(model.get_int_var_from_proto_index(index), value)


def _outcome(model: cp_model.CpModel, status: int, solver: cp_model.CpSolver) -> Outcome:
    """What one call of CP-SAT found out; without an objective, objective and bound are 0."""
    found = status in (cp_model.OPTIMAL, cp_model.FEASIBLE)
    minimizing = model.has_objective() and status != cp_model.INFEASIBLE
    return Outcome(
        tuple(solver.response_proto.solution) if found else None,
        round(solver.objective_value) if minimizing and found else 0,
        round(solver.best_objective_bound) if minimizing else 0,
        status in (cp_model.OPTIMAL, cp_model.INFEASIBLE),
    )

"""Asking Z3 whether a problem has a schedule with an interval in a range: refuted, found and checked, or not known."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import z3

from twill.certify.decode import decoded
from twill.certify.encoding import Encoding
from twill.certify.logic import Term
from twill.certify.times import OutOfTime
from twill.errors import CheckFailed
from twill.schedule.checker import Violation, check
from twill.schedule.problem import Problem
from twill.schedule.schedule import Schedule

Verdict = Literal["refuted", "schedule found", "unknown"]
Condition = Callable[[Encoding], Iterable[Term]]

DETAIL = 4  # copies and slots counted at first; more only where a schedule found breaks a limit for it
# Difference logic by all-pairs shortest paths for a fixed interval; with the interval open, linear arithmetic.
FIXED, OPEN = 3, 6


@dataclass(frozen=True)
class Answer:
    """What Z3 says: no schedule (`refuted`), one that the checker accepts, or nothing in time."""

    verdict: Verdict
    schedule: Schedule | None = None
    seconds: float = 0.0


class Question:
    """One problem and one range of intervals, asked under one condition after the other.

    low, high: cycles; high None means that there is no longest interval.
    """

    def __init__(self, problem: Problem, low: int, high: int | None) -> None:
        self.problem = problem
        self.low = low
        self.high = high
        self._conditions: list[Condition] = []
        self._detail = DETAIL
        self._built: tuple[Encoding, z3.Solver] | None = None

    def add(self, condition: Condition) -> None:
        """From now on, schedules have to meet `condition` too."""
        self._conditions.append(condition)
        if self._built is not None:
            _assert(*self._built, condition)

    def ask(
        self, time_limit: float, *, condition: Condition | None = None, stop: Callable[[], bool] | None = None
    ) -> Answer:
        """Whether there is a schedule that meets `condition` and all that was added; `time_limit` in seconds.

        Raises CheckFailed when Z3's schedule does not hold: then the encoding is wrong.
        """
        began = time.monotonic()

        def over() -> bool:
            return time.monotonic() - began >= time_limit or (stop is not None and stop())

        while True:
            try:
                encoding, solver = self._build(over)
            except OutOfTime:
                return Answer("unknown", None, time.monotonic() - began)
            solver.push()
            if condition is not None:
                _assert(encoding, solver, condition)
            verdict = _run(solver, time_limit - (time.monotonic() - began), stop)
            found = decoded(encoding, solver.model()) if verdict == z3.sat else None
            solver.pop()
            if found is None:
                return Answer("refuted" if verdict == z3.unsat else "unknown", None, time.monotonic() - began)
            broken = check(found)
            if not broken:
                return Answer("schedule found", found, time.monotonic() - began)
            if not self._may_be_uncounted(broken):
                message = f"Z3's schedule at II {found.ii} does not hold: {broken[0]}."
                raise CheckFailed(message, hint="This is a defect of Twill's encoding for Z3.")
            self._detail *= 4
            self._built = None

    def _build(self, over: Callable[[], bool]) -> tuple[Encoding, z3.Solver]:
        """The encoding and a solver that holds it, built once. Raises OutOfTime when `over` says so."""
        if self._built is None:
            encoding = Encoding(self.problem, self.low, self.high, self._detail, over)
            solver = z3.SimpleSolver(ctx=encoding.context)
            solver.set("arith.solver", FIXED if self.low == self.high else OPEN)
            solver.set("ctrl_c", False)  # Ctrl-C is ours to hear
            solver.add(encoding.assertions())
            for condition in self._conditions:
                _assert(encoding, solver, condition)
            self._built = encoding, solver
        return self._built

    def _may_be_uncounted(self, broken: Sequence[Violation]) -> bool:
        """Whether limits are all that is broken, and a limit allows more copies or slots than were counted."""
        limits = self.problem.limits
        most = max(limits.smem_bytes, limits.tmem_columns, limits.registers_per_thread, limits.producer_registers)
        resources = ("registers", "roles", "rings", "barriers")
        return self._detail <= most and all(violation.rule in resources for violation in broken)


def _assert(encoding: Encoding, solver: z3.Solver, condition: Condition) -> None:
    for term in condition(encoding):
        solver.add(z3.BoolVal(term, encoding.context) if isinstance(term, bool) else term)


def refuted(problem: Problem, ii: int, time_limit: float = 60, *, stop: Callable[[], bool] | None = None) -> Answer:
    """Whether no schedule of `problem` has the interval `ii` (cycles), by Z3 within `time_limit` seconds.

    A schedule that is found has passed the independent checker.
    """
    return Question(problem, ii, ii).ask(time_limit, stop=stop)


def shortest(problem: Problem, longest: int, time_limit: float = 60) -> Schedule | None:
    """A schedule with the smallest interval up to `longest` (cycles), by Z3 alone; None if there is none.

    For small problems: every interval from 1 is asked for in turn. Raises TimeoutError when one is not
    settled in `time_limit` seconds.
    """
    for ii in range(1, longest + 1):
        answer = refuted(problem, ii, time_limit)
        if answer.verdict == "unknown":
            raise TimeoutError(f"Z3 did not settle II {ii} in {time_limit:g} s")
        if answer.schedule is not None:
            return answer.schedule
    return None


def wait(done: threading.Event) -> None:
    """A moment, in which Ctrl-C is heard."""
    done.wait(0.02)


def _run(solver: z3.Solver, seconds: float, stop: Callable[[], bool] | None) -> z3.CheckSatResult:
    """Solve on a thread of its own, so that Ctrl-C and `stop` are heard at once."""
    if seconds <= 0 or (stop is not None and stop()):
        return z3.unknown
    solver.set("timeout", max(1, int(1000 * seconds)))
    answer: list[z3.CheckSatResult] = []
    failure: list[BaseException] = []
    done = threading.Event()

    def work() -> None:
        try:
            answer.append(solver.check())
        except z3.Z3Exception as error:  # handed to the caller below
            failure.append(error)
        finally:
            done.set()

    threading.Thread(target=work, name="z3", daemon=True).start()
    interrupted = False
    while not done.is_set():
        try:
            wait(done)
            if interrupted or (stop is not None and stop()):
                solver.interrupt()
        except KeyboardInterrupt:
            interrupted = True
    if interrupted:
        raise KeyboardInterrupt
    if failure:
        raise failure[0]
    return answer[0]

"""ptxas among the candidates: the best of the ranking whose machine code is clean."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from twill.candidates.candidate import Candidate
from twill.errors import CheckFailed, TwillError, Unsupported
from twill.feedback import Emitted


@dataclass(frozen=True)
class _Written:
    """A candidate with its kernel, which may be of another schedule than the candidate's: ptxas had its say."""

    candidate: Candidate
    emitted: Emitted

    @property
    def problems(self) -> tuple[str, ...]:
        return self.emitted.code.problems if self.emitted.code is not None else ()

    @property
    def sm_cycles(self) -> int:
        """Predicted SM cycles of the launch, as emitted."""
        assert self.candidate.work is not None
        return self.candidate.work.sm_cycles(self.emitted.schedule.ii, self.emitted.schedule.length)

    @property
    def why_not(self) -> str:
        """Why another may be preferred."""
        if self.problems:
            # What ptxas itself wrote follows in brackets; the chosen kernel's checks quote it where it matters.
            return "; ".join(problem.partition(": (")[0] for problem in self.problems)
        return f"{self.sm_cycles} SM cycles within the limits that ptxas asked for"


def first_clean(
    ranked: tuple[Candidate, ...], emit: Callable[[Candidate], Emitted]
) -> tuple[Candidate, Emitted, tuple[Candidate, ...]]:
    """The best candidate whose machine code is clean, its kernel, and all candidates with it in front.

    Candidates are written in the order of their rank, until no later one can beat a clean kernel: what
    ptxas asked for may have made a schedule slower than the next in rank. When no kernel is clean, the
    first that could be written stands. Who was passed over, and why, stands in the kernel's history and
    as those candidates' reasons. Raises what the first one raised when none can be written.
    """
    errors: list[TwillError] = []
    written: list[_Written] = []
    passed_over: dict[int, str] = {}
    for number, candidate in enumerate(ranked):
        clean = [each.sm_cycles for each in written if not each.problems]
        if candidate.sm_cycles is None or (clean and min(clean) <= candidate.sm_cycles):
            break
        try:
            written.append(_Written(candidate, emit(candidate)))
        except (Unsupported, CheckFailed) as error:
            errors.append(error)
            passed_over[number] = error.message.rstrip(".")
            continue
        passed_over[number] = written[-1].why_not
    if not written:
        raise errors[0]
    best = min(written, key=lambda each: (bool(each.problems), 0 if each.problems else each.sm_cycles))
    at = ranked.index(best.candidate)
    del passed_over[at]
    history = tuple(f"{ranked[number].name} was passed over: {why}" for number, why in passed_over.items())
    marked = [
        replace(candidate, reason=f"passed over: {passed_over[number]}") if number in passed_over else candidate
        for number, candidate in enumerate(ranked)
    ]
    order = (marked[at], *marked[:at], *marked[at + 1 :])
    return order[0], replace(best.emitted, history=(*history, *best.emitted.history)), order

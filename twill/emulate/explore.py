"""Every interleaving of a kernel: by one run that answers for all, or with few departures from a fixed order.

The two base orders (see `guided`) are run first. Where such a run is *ordered* (see `ordering`), every other
interleaving comes to the same, and nothing is left to run. Else come, from each base order, the runs with one
deviation, then those with two, and so on up to the bound; the alternatives of a run are tried at every step behind
its last deviation. A run that reaches a state an earlier one left with the same moves still to choose from is cut
off: what follows was, or will be, run from there. A state is the set of moves made, each with the phase of the
barrier that it met (`Footprints`), so that orders of moves that do not see each other count as one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Container, Hashable
from dataclasses import dataclass, field

from twill.emulate import trace
from twill.emulate.guided import ORDERS, Guided, Path
from twill.emulate.ordering import Footprints, Unordered
from twill.emulate.report import EmulationError


class Seen(BaseException):
    """Ends a run whose continuation is covered by another. Not an Exception: nothing may handle it."""


@dataclass
class Exploration:
    """What was run of one launch. interleavings: runs to the end or to a failure; cut: runs that met a state seen
    before. exhausted: every interleaving of at most `bound` deviations is covered; complete: and every other one.
    unordered: why a single run did not answer for all; None when it did. state: of the end of the first run."""

    bound: int
    interleavings: int = 0
    cut: int = 0
    exhausted: bool = False
    complete: bool = False
    failure: EmulationError | None = None
    path: Path | None = None  # of the failure
    unordered: Unordered | None = None
    state: int = 0

    @property
    def runs(self) -> int:
        return self.interleavings + self.cut


@dataclass
class _Search:
    bound: int
    seen: set[Hashable] = field(default_factory=set)
    waiting: deque[Path] = field(default_factory=deque)
    beyond: bool = False  # an alternative lay beyond the bound


def explore(
    run: Callable[[Guided], EmulationError | None],
    bound: int,
    max_runs: int,
    tell: Callable[[str], None] | None = None,
    block: tuple[int, int, int] | None = None,
    known: Container[int] = (),
) -> Exploration:
    """Run `run(adversary) -> failure or None` for every interleaving with at most `bound` deviations.

    Stops at the first failure, or after `max_runs` runs. block: what `run` runs, for the names of the runs.
    known: states of the end of first runs, at which there is nothing new to explore.
    """
    result = Exploration(bound)
    search = _Search(bound, waiting=deque(Path(order, (), block) for order in ORDERS))
    proven = False
    while search.waiting:
        if result.runs >= max_runs:
            return result
        path = search.waiting.popleft()
        if path.deviations and proven:
            break
        if tell is not None and result.runs % 20 == 0:
            tell(f"{result.runs} interleavings, {len(search.waiting)} known to be left")
        prints = Footprints()
        adversary = _Explorer(path, search, prints)
        try:
            with trace.watching(prints):
                failure = run(adversary)
        except Seen:
            result.cut += 1
            continue
        result.interleavings += 1
        if failure is not None:
            result.failure, result.path = failure, path
            return result
        prints.finish([])
        if not path.deviations:
            proven = proven or prints.ordered
            result.state = result.state or prints.total
            result.unordered = result.unordered or prints.unordered
            if result.state in known:
                return result
    result.exhausted = True
    result.complete = proven or not search.beyond
    result.unordered = None if proven else result.unordered
    return result


class _Explorer(Guided):
    """Follows a path, then the base order, and puts every alternative on the way on the search's list."""

    def __init__(self, path: Path, search: _Search, prints: Footprints) -> None:
        self.launch = 0
        self.search = search
        self.prints = prints
        super().__init__(path)

    def renew(self) -> None:
        super().renew()
        self.launch += 1

    def moved(self, issued: list[Hashable]) -> None:
        self.prints.finish(issued)

    def begins(self, mover: Hashable) -> None:
        self.prints.start(mover)

    def at_choice(self, step: int, choices: int) -> None:
        done = self.path.deviations
        if done and step < done[-1][0]:
            return
        last = self.last.name if self.last is not None else 0
        state = (self.path.order, self.launch, self.prints.total, last)
        if state in self.search.seen:
            raise Seen
        self.search.seen.add(state)
        if choices > 1 and len(done) >= self.search.bound:
            self.search.beyond = True
        elif choices > 1:
            self.search.waiting.extend(self.path.then(step, alternative) for alternative in range(1, choices))

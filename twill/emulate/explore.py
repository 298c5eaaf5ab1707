"""Every interleaving of a kernel with few departures from a fixed order, each run once.

From each of two base orders (see `guided`), runs with no deviation come first, then those with one, and so
on up to the bound; the alternatives of a run are tried at every step behind its last deviation. A run that
reaches a state an earlier one left with the same moves still to choose from is cut off: what follows was,
or will be, run from there. States are told apart by their *footprints*: a move's is that of its role's
previous move, of itself, and of the last moves that touched the same memory or barriers; a state's is the
sum of its moves'. Two orders of independent moves therefore count as one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

from twill.emulate import trace
from twill.emulate.guided import ORDERS, Guided, Path
from twill.emulate.report import EmulationError

_MASK = 2**64 - 1


class Seen(BaseException):
    """Ends a run whose continuation is covered by another. Not an Exception: nothing may handle it."""


@dataclass
class Exploration:
    """What was run of one launch. interleavings: runs to the end or to a failure; cut: runs that met a state seen
    before. exhausted: every interleaving of at most `bound` deviations is covered; complete: none has more."""

    bound: int
    interleavings: int = 0
    cut: int = 0
    exhausted: bool = False
    complete: bool = False
    failure: EmulationError | None = None
    path: Path | None = None  # of the failure

    @property
    def runs(self) -> int:
        return self.interleavings + self.cut


class Footprints(trace.Watcher):
    """The state of the run as one number, from the objects its moves touched."""

    def __init__(self) -> None:
        self.total = 0
        self.by_role: dict[Hashable, int] = {}
        self.inherited: dict[Hashable, tuple[int, tuple[Hashable, ...]]] = {}
        self.versions: dict[Hashable, tuple[int, int]] = {}  # last write, sum of the reads since
        self.mover: Hashable = None
        self.touched: dict[Hashable, bool] = {}

    def start(self, mover: Hashable) -> None:
        """`mover` goes next. An operation that completes touches what the move that issued it touched."""
        self.mover = mover
        self.touched = dict.fromkeys(self.inherited.get(mover, (0, ()))[1], True)

    def touch(self, key: Hashable, write: bool) -> None:
        self.touched[key] = self.touched.get(key, False) or write

    def finish(self, issued: list[Hashable]) -> None:
        """The last move is over and has issued those operations; `total` is now of the state it left."""
        if self.mover is None:
            return
        before = self.inherited[self.mover][0] if self.mover in self.inherited else self.by_role.get(self.mover, 0)
        met = []
        for key, write in self.touched.items():
            last, reads = self.versions.get(key, (0, 0))
            met.append(hash((key, write, last, reads if write else 0)))
        own = hash((self.mover, before, sum(met) & _MASK)) & _MASK
        for key, write in self.touched.items():
            last, reads = self.versions.get(key, (0, 0))
            self.versions[key] = (own, 0) if write else (last, (reads + own) & _MASK)
        self.by_role[self.mover] = own
        self.total = (self.total + own) & _MASK
        for each in issued:
            self.inherited[each] = (hash((own, each)), tuple(self.touched))


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
) -> Exploration:
    """Run `run(adversary) -> failure or None` for every interleaving with at most `bound` deviations.

    Stops at the first failure, or after `max_runs` runs.
    """
    result = Exploration(bound)
    search = _Search(bound, waiting=deque(Path(order) for order in ORDERS))
    while search.waiting:
        if result.runs >= max_runs:
            return result
        path = search.waiting.popleft()
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
    result.exhausted = True
    result.complete = not search.beyond
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
        last = self.last.agent if self.last is not None else 0
        state = (self.path.order, self.launch, self.prints.total, last)
        if state in self.search.seen:
            raise Seen
        self.search.seen.add(state)
        if choices > 1 and len(done) >= self.search.bound:
            self.search.beyond = True
        elif choices > 1:
            self.search.waiting.extend(self.path.then(step, alternative) for alternative in range(1, choices))

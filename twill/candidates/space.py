"""What there is to choose from: tile sizes times numbers of sub-tiles, each lowered and bounded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from twill import frontend
from twill.candidates.candidate import ANY, Candidate
from twill.candidates.work import Work, output_elements, work_of, written_elements
from twill.errors import InputError, TwillError, Unsupported
from twill.frontend.launch import Constant, Launch
from twill.frontend.source import KernelSource
from twill.ir.async_loads import fetch_by_loader
from twill.ir.graph import Graph
from twill.ir.hazards import refuse_loads_of_stored_memory, refuse_updates_whose_order_matters
from twill.ir.simplify import simplify
from twill.ir.subtile import split
from twill.ir.verify import verify
from twill.machine import Machine, lower
from twill.schedule.problem import Problem

SUBTILES = (1, 2, 3)


@dataclass(frozen=True)
class Request:
    """A kernel, a machine, and what the user fixed: constexprs, example options, number of sub-tiles.

    tune: whether the tile sizes of `@twill.kernel(tune=...)` are searched.
    """

    source: KernelSource
    machine: Machine
    arch: str
    constants: Mapping[str, Any] = field(default_factory=dict)
    signature: str | None = None
    example: Mapping[str, Any] = field(default_factory=dict)
    subtiles: int | None = None
    tune: bool = True

    @property
    def searched(self) -> dict[str, tuple[int, ...]]:
        """The tile sizes to choose from: those of `tune` that the user did not fix.

        None without an example and a grid: what other sizes would mean for the launch is then not known.
        """
        info = self.source.info
        if not self.tune or self.signature is not None or info is None or info.example is None or info.grid is None:
            return {}
        return {name: tuple(sizes) for name, sizes in info.tune.items() if name not in self.constants}


def lowered(request: Request, tile: Mapping[str, Constant]) -> tuple[Graph, Launch]:
    """The kernel's simplified graph and its launch at these tile sizes. Raises InputError and Unsupported."""
    given = {**request.constants, **tile}
    graph, launch = frontend.lower(request.source, given, request.signature, request.arch, request.example)
    graph = fetch_by_loader(simplify(graph))
    verify(graph)
    refuse_loads_of_stored_memory(graph)
    refuse_updates_whose_order_matters(graph)
    return graph, launch


def incumbents(request: Request) -> tuple[Candidate, ...]:
    """The candidates at the sizes of the kernel's example, or the one that says why there are none."""
    try:
        graph, launch = lowered(request, {})
        work = work_of(graph, launch)
    except (Unsupported, InputError) as error:
        return (_impossible(ANY, _example_tile(request), True, error),)
    tile = {name: launch.constants[name] for name in request.searched}
    return enumerate_candidates(graph, request.machine, work, request.subtiles, tile=tile, launch=launch)


def _example_tile(request: Request) -> dict[str, Constant]:
    """The searched sizes as the example has them; nothing when that is what is wrong."""
    from twill.frontend.specialize import specialize

    try:
        constants = specialize(request.source, request.constants, request.signature, request.example).constants
    except InputError:
        return {}
    return {name: constants[name] for name in request.searched}


def other_tiles(request: Request, taken: Mapping[str, Constant]) -> list[dict[str, Constant]]:
    """Every other combination of the searched tile sizes."""
    searched = request.searched
    if not searched:
        return []
    found: list[dict[str, Constant]] = [
        dict(zip(searched, sizes, strict=True)) for sizes in product(*searched.values())
    ]
    return [tile for tile in found if tile != taken]


def at(request: Request, tile: Mapping[str, Constant], incumbent: Candidate) -> tuple[Candidate, ...]:
    """The candidates at these tile sizes, or the one that says why there are none."""
    try:
        graph, launch = lowered(request, tile)
        work = work_of(graph, launch)
        _require_coverage(graph, launch, work, incumbent)
    except (Unsupported, InputError) as error:
        return (_impossible(ANY, tile, False, error),)
    return enumerate_candidates(
        graph, request.machine, work, request.subtiles, tile=tile, launch=launch, incumbent=False
    )  # fmt: skip


def enumerate_candidates(
    graph: Graph,
    machine: Machine,
    work: Work,
    subtiles: int | None = None,
    *,
    tile: Mapping[str, Constant] | None = None,
    launch: Launch | None = None,
    incumbent: bool = True,
) -> tuple[Candidate, ...]:
    """A candidate for each number of sub-tiles (one when it is given), with its problem or why it has none.

    graph: simplified, not divided. tile: the searched constexprs it was lowered with.
    """
    from twill.solve.bounds import rec_mii, res_mii

    found: list[Candidate] = []
    for count in SUBTILES if subtiles is None else (subtiles,):
        try:
            divided = split(graph, count)
            problem = lower(divided, machine, work.longest)
            mii = max(1, res_mii(problem).ii, rec_mii(problem).ii)
        except (Unsupported, InputError) as error:
            found.append(_impossible(count, tile or {}, incumbent, error))
            continue
        found.append(
            Candidate(
                count,
                tile or {},
                incumbent,
                launch,
                divided,
                problem,
                work,
                mii=mii,
                least_length=least_length(problem),
            )
        )
    return tuple(found)


def least_length(problem: Problem) -> int:
    """Cycles that no iteration of any schedule falls short of.

    The longest path of dependences inside one iteration, up to the completion of its last op; and the
    cycles for which one iteration occupies a unit, all of which lie between its first start and its
    last completion.
    """
    from twill.solve.bounds import res_mii

    start = {op.id: 0 for op in problem.ops}
    inside = [dep for dep in problem.deps if dep.distance == 0]
    for _ in problem.ops:  # a cycle of distance 0 has no positive latency, so a pass per op settles the paths
        before = dict(start)
        for dep in inside:
            start[dep.dst] = max(start[dep.dst], start[dep.src] + dep.latency)
        if start == before:
            break
    path = max((start[op.id] + op.completion for op in problem.ops), default=0)
    return max(path, res_mii(problem).ii)


def _impossible(subtiles: int, tile: Mapping[str, Constant], incumbent: bool, error: TwillError) -> Candidate:
    return Candidate(subtiles, tile, incumbent, error=error, reason=error.message.rstrip("."))


def _require_coverage(graph: Graph, launch: Launch, work: Work, incumbent: Candidate) -> None:
    """The launch stores as much as it has to: a grid rounded down would win by leaving rows out.

    It may store less than the example's only where that overlaps or overhangs the outputs. Raises InputError.
    """
    if incumbent.graph is None or incumbent.launch is None or incumbent.work is None:
        return
    written = written_elements(graph, launch, work)
    example = written_elements(incumbent.graph, incumbent.launch, incumbent.work)
    wanted = min(example, output_elements(launch) or example)
    if written < wanted:
        raise InputError(
            f"its launch stores {written} elements where the example's stores {wanted}: the grid leaves some out.",
            hint="Say what must divide what with multiple_of=, or round the grid up.",
        )

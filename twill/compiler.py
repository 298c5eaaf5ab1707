"""compile(): the order of the stages, readable from top to bottom."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twill import frontend
from twill.candidates import Candidate, Request, search
from twill.candidates.emission import first_clean
from twill.codegen.machine_code import MachineCode, require_code
from twill.codegen.plan import Plan
from twill.errors import CheckFailed, InputError
from twill.feedback import Emitted, refine
from twill.frontend.launch import Launch
from twill.frontend.launch import to_json as launch_json
from twill.ir.graph import Graph
from twill.ir.text import print_graph
from twill.machine import Machine
from twill.machine import load as load_machine
from twill.schedule import files
from twill.schedule.checker import check
from twill.schedule.render import render
from twill.schedule.schedule import WITHIN_LEARNT_LIMITS, Schedule

if TYPE_CHECKING:
    from twill.frontend.source import KernelSource
    from twill.ladder import Check

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Compiled:
    """A compiled kernel: what went in, what was decided, what came out.

    stem names its files. candidates holds all tile sizes and numbers of sub-tiles that were looked at, the
    chosen ones first; source is the emitted module; code is its machine code (None without an example);
    constants (the chosen tile sizes among them) and example are the options it was compiled with.
    """

    stem: str
    kernel: KernelSource
    machine: Machine
    graph: Graph
    launch: Launch
    schedule: Schedule
    plan: Plan
    source: str
    candidates: tuple[Candidate, ...]
    code: MachineCode | None
    constants: Mapping[str, Any]
    example: Mapping[str, Any]

    @property
    def tuned(self) -> bool:
        """Tile sizes were searched."""
        return any(candidate.tile for candidate in self.candidates)

    def gantt(self, format: str = "text") -> str:
        """The schedule drawn as `text`, `svg`, `html` or `perfetto`."""
        return render(self.schedule, format)

    def ranking(self) -> str:
        """The candidates drawn as SVG: SM cycles of each for the launch, predicted beside its bound."""
        from twill.candidates.picture import svg

        return svg(self.candidates)

    def save(self, folder: str | Path = "build") -> tuple[Path, ...]:
        """Write the module, the schedule, the HTML Gantt, and the ranking when tile sizes were searched.

        Each file is written whole or not at all. Raises InputError when the folder cannot be written.
        """
        return save(self, Path(folder))

    def verify(self, seeds: int = 3) -> tuple[Check, ...]:
        """Climb the ladder of checks: meaning, schedule rules, adversarial emulation, machine code."""
        from twill.ladder import climb

        return climb(self, seeds, lambda message: None)


def compile(
    kernel: Any,
    arch: str = "hopper",
    *,
    constants: Mapping[str, Any] | None = None,
    example: Mapping[str, Any] | None = None,
    signature: str | None = None,
    subtiles: int | None = None,
    tune: bool = True,
    time_limit: float = 60.0,
    progress: Progress | None = None,
) -> Compiled:
    """The kernel compiled for a machine: lowered, scheduled with proof, checked, and written as Gluon.

    Tile sizes and number of sub-tiles are the search's own choice: those with which the loops of the
    example's launch take the fewest SM cycles by the model (`twill.candidates.Work`; what a program does
    outside its loop is not modelled). Sizes of real interest are given with `example`.

    kernel: a `@triton.jit` function, or "path.py" or "path.py::name". arch: a known machine or the
    path of a machine file. constants: values of `tl.constexpr` parameters, which are then not searched.
    tune: whether to search the tile sizes of the kernel's `tune=`, the example's own otherwise. example: keyword
    arguments of the kernel's example. signature: Triton's ahead-of-time signature, for a kernel
    without an example. subtiles: how many sub-tiles to use; the best of 1, 2 and 3 when None.
    time_limit: seconds for all solving together; a quarter of it is kept for each time that the
    machine code asks for tighter limits.

    Raises InputError, Unsupported, NoSchedule (the exit codes 2, 3 and 4 of the command line).
    """
    tell = progress or (lambda message: None)
    machine = load_machine(arch)
    source = frontend.load(kernel)
    require_code(machine, source.location)
    fixed = dict(constants or {})
    began = time.perf_counter()
    request = Request(source, machine, arch, fixed, signature, dict(example or {}), subtiles, tune)
    ranked = search(request, time_limit, tell)
    interrupted = any(candidate.stopped for candidate in ranked)

    def again(tighter: Schedule, reserve: float) -> Schedule:
        left = time_limit - (time.perf_counter() - began)
        return resolve(tighter, 0.0 if interrupted else max(left, reserve))

    def emit(candidate: Candidate) -> Emitted:
        assert candidate.graph is not None
        assert candidate.launch is not None
        tell("writing the kernel")
        schedule = proved(candidate, source, machine)
        # What is tried in place of another has no time of its own.
        reserve = time_limit / 4 if candidate is ranked[0] else 0.0
        return refine(
            candidate.graph, schedule, candidate.launch, lambda tighter: again(tighter, reserve), tell, machine
        )

    best, emitted, ranked = first_clean(ranked, emit)
    assert best.graph is not None
    assert best.launch is not None
    if emitted.code is not None and (emitted.code.spill_bytes or emitted.code.serialized) and not interrupted:
        from twill.spilling import search as search_on

        asked = proved(best, source, machine)
        more = time_limit / 4
        emitted = search_on(
            emitted, best.graph, asked, best.launch, lambda tighter: again(tighter, more), tell, machine
        )  # fmt: skip
    stem = f"{best.graph.name}_{machine.name}"
    return Compiled(
        stem, source, machine, best.graph, best.launch, taught(emitted), emitted.plan, emitted.source, ranked,
        emitted.code, {**fixed, **best.tile}, dict(example or {}),
    )  # fmt: skip


def proved(candidate: Candidate, source: KernelSource, machine: Machine) -> Schedule:
    """The candidate's schedule with its provenance, accepted by the checker. Raises CheckFailed."""
    assert candidate.schedule is not None
    schedule = files.stamp(candidate.schedule)
    origin = {"machine": machine.name, "machine_sha256": machine.digest, "source_sha256": source.sha256}
    if machine.file:
        origin["machine_file"] = machine.file
    schedule = replace(schedule, provenance={**schedule.provenance, **origin})
    broken = check(schedule)
    if broken:
        raise CheckFailed(f"the solver's schedule does not hold: {broken[0]}.", hint="This is a defect of Twill.")
    return schedule


def taught(emitted: Emitted) -> Schedule:
    """The emitted schedule, with the figures of its machine code in its provenance, and what they changed."""
    learnt: dict[str, Any] = {}
    if emitted.attempts:
        learnt["attempts"] = [dict(attempt) for attempt in emitted.attempts]
    if emitted.history:
        learnt |= {"feedback": list(emitted.history), "isolation": emitted.plan.isolation}
    return replace(emitted.schedule, provenance={**emitted.schedule.provenance, **learnt})


def resolve(schedule: Schedule, time_limit: float) -> Schedule:
    """A schedule of the same problem under its new limits, with the old one's provenance and placements
    left out when there is none, or no time to look for one."""
    from twill.interrupt import ctrl_c_stops
    from twill.solve import solve

    if time_limit <= 0:
        return replace(schedule, placements={})
    with ctrl_c_stops() as stop:
        solved = solve(schedule.problem, time_limit=time_limit, stop=stop)
    reason = solved.reason + WITHIN_LEARNT_LIMITS
    return replace(solved, reason=reason, provenance=schedule.provenance)


def save(compiled: Compiled, folder: Path) -> tuple[Path, ...]:
    """Write `compiled` into `folder`: module, schedule, drawing, and the ranking of tile sizes if there is one."""
    from twill.schedule.document import write_text

    if folder.exists() and not folder.is_dir():
        raise InputError("is not a folder.", hint="Give another with -o.", location=str(folder))
    module = folder / f"{compiled.stem}.py"
    schedule = folder / f"{compiled.stem}.json"
    drawing = folder / f"{compiled.stem}.html"
    graph, launch = print_graph(compiled.graph), launch_json(compiled.launch)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        message = f"cannot be made: {error.strerror}."
        raise InputError(message, hint="Give another with -o.", location=str(folder)) from error
    write_text(module, compiled.source)
    files.write(schedule, compiled.schedule, graph=graph, launch=launch)
    page = compiled.gantt("html")
    if not compiled.tuned:
        write_text(drawing, page)
        return module, schedule, drawing
    from twill.candidates.picture import section

    ranking = folder / f"{compiled.stem}_ranking.svg"
    picture = compiled.ranking()
    write_text(drawing, page.replace("</body>", f"{section(picture)}</body>"))
    write_text(ranking, picture)
    return module, schedule, drawing, ranking

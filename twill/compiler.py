"""compile(): the order of the stages, readable from top to bottom."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twill import frontend
from twill.candidates import Candidate, choose, enumerate_candidates
from twill.codegen.machine_code import CAPABILITY, MachineCode
from twill.codegen.plan import Plan
from twill.errors import CheckFailed, InputError, Unsupported
from twill.feedback import refine
from twill.frontend.launch import Launch
from twill.frontend.launch import to_json as launch_json
from twill.ir.graph import Graph
from twill.ir.hazards import refuse_loads_of_stored_memory
from twill.ir.simplify import simplify
from twill.ir.text import print_graph
from twill.ir.verify import verify
from twill.machine import Machine
from twill.machine import load as load_machine
from twill.schedule import files
from twill.schedule.checker import check
from twill.schedule.render import render
from twill.schedule.schedule import Schedule

if TYPE_CHECKING:
    from twill.frontend.source import KernelSource
    from twill.ladder import Check

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Compiled:
    """A compiled kernel: what went in, what was decided, what came out.

    stem names its files. candidates holds every number of sub-tiles that was looked at, the chosen one
    first; source is the emitted module; code is its machine code (None without an example); constants and
    example are the options it was compiled with.
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

    def gantt(self, format: str = "text") -> str:
        """The schedule drawn as `text`, `svg`, `html` or `perfetto`."""
        return render(self.schedule, format)

    def save(self, folder: str | Path = "build") -> tuple[Path, ...]:
        """Write the module, the schedule and the HTML Gantt; each file whole or not at all.

        Raises InputError when the folder cannot be written.
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
    time_limit: float = 60.0,
    progress: Progress | None = None,
) -> Compiled:
    """The kernel compiled for a machine: lowered, scheduled with proof, checked, and written as Gluon.

    kernel: a `@triton.jit` function, or "path.py" or "path.py::name". arch: a known machine or the
    path of a machine file. constants: values of `tl.constexpr` parameters. example: keyword
    arguments of the kernel's example. signature: Triton's ahead-of-time signature, for a kernel
    without an example. subtiles: how many sub-tiles to use; the best of 1, 2 and 3 when None.
    time_limit: seconds for all solving together; a quarter of it is kept for each time that the
    machine code asks for tighter limits.

    Raises InputError, Unsupported, NoSchedule (the exit codes 2, 3 and 4 of the command line).
    """
    tell = progress or (lambda message: None)
    machine = load_machine(arch)
    source = frontend.load(kernel)
    if machine.count("capability") not in CAPABILITY.values():
        raise Unsupported(
            f"no code is generated for `{machine.name}` yet, only for {', '.join(CAPABILITY)}.",
            hint="Its schedule can be had: `twill compile --emit schedule`.",
            location=source.location,
        )
    tell("lowering the kernel")
    graph, launch = frontend.lower(source, constants, signature, arch, example)
    graph = simplify(graph)
    verify(graph)
    refuse_loads_of_stored_memory(graph)
    candidates = enumerate_candidates(graph, machine, trip_count(graph, launch), subtiles)
    began = time.perf_counter()
    ranked = choose(candidates, time_limit, tell)
    best = ranked[0]
    assert best.graph is not None
    assert best.schedule is not None  # choose raises when there is none
    schedule = files.stamp(best.schedule)
    origin = {"machine": machine.name, "machine_sha256": machine.digest, "source_sha256": source.sha256}
    schedule = replace(schedule, provenance={**schedule.provenance, **origin})
    broken = check(schedule)
    if broken:
        raise CheckFailed(f"the solver's schedule does not hold: {broken[0]}.", hint="This is a defect of Twill.")
    tell("writing the kernel")
    interrupted = any(candidate.stopped for candidate in ranked)

    def again(tighter: Schedule) -> Schedule:
        left = time_limit - (time.perf_counter() - began)
        return resolve(tighter, 0.0 if interrupted else max(left, time_limit / 4))

    emitted = refine(best.graph, schedule, launch, again, tell)
    schedule = emitted.schedule
    if emitted.history:
        taught = {"feedback": list(emitted.history), "isolation": emitted.plan.isolation}
        schedule = replace(schedule, provenance={**schedule.provenance, **taught})
    stem = f"{graph.name}_{machine.name}"
    return Compiled(
        stem, source, machine, best.graph, launch, schedule, emitted.plan, emitted.source, ranked, emitted.code,
        dict(constants or {}), dict(example or {}),
    )  # fmt: skip


def resolve(schedule: Schedule, time_limit: float) -> Schedule:
    """A schedule of the same problem under its new limits, with the old one's provenance and placements
    left out when there is none, or no time to look for one."""
    from twill.interrupt import ctrl_c_stops
    from twill.solve import solve

    if time_limit <= 0:
        return replace(schedule, placements={})
    with ctrl_c_stops() as stop:
        solved = solve(schedule.problem, time_limit=time_limit, stop=stop)
    reason = f"{solved.reason}, within the limits that the machine code asked for"
    return replace(solved, reason=reason, provenance=schedule.provenance)


def trip_count(graph: Graph, launch: Launch) -> int:
    """Iterations the schedule's total time is judged at: the example's longest program, else 64."""
    from twill.frontend.trips import largest_trip_count

    if launch.grid is None:
        return 64
    return max(1, largest_trip_count(graph, launch))


def save(compiled: Compiled, folder: Path) -> tuple[Path, ...]:
    """Write `compiled` into `folder`: module, schedule, drawing."""
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
    write_text(drawing, compiled.gantt("html"))
    return module, schedule, drawing

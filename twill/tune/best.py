"""Which candidate of a kernel to run for some launch arguments: the fastest measured, else the predicted best."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twill.tune.result import label
from twill.tune.store import Store

if TYPE_CHECKING:
    from twill.frontend.source import KernelSource
    from twill.tune.problem import Problem


@dataclass(frozen=True)
class Choice:
    """The candidate to run.

    constants: its tile sizes. module: source of the emitted module, whose function `entry` launches it. schedule: its
    schedule file's content. seconds: measured median, None where it was not; predicted_seconds: by the simulator, None
    where it cannot be. label: "measured on ..." or "predicted, not measured".
    """

    kernel: str
    candidate: str
    constants: Mapping[str, Any]
    entry: str
    module: str
    schedule: Mapping[str, Any]
    seconds: float | None
    predicted_seconds: float | None
    label: str

    @property
    def measured(self) -> bool:
        return self.seconds is not None

    def save(self, folder: str | Path, stem: str) -> tuple[Path, Path]:
        """Write the module and its schedule, as `twill compile` does; `twill verify` checks them."""
        from twill.schedule.document import write_json, write_text

        module, schedule = Path(folder, f"{stem}.py"), Path(folder, f"{stem}.json")
        Path(folder).mkdir(parents=True, exist_ok=True)
        write_json(schedule, dict(self.schedule))
        write_text(module, self.module)
        return module, schedule

    def launcher(self, folder: Path | None = None) -> Callable[..., Any]:
        """The function that launches it; its arguments are the source kernel's. Its module is kept beside the cache."""
        from twill.codegen.imported import imported
        from twill.schedule.document import write_text

        digest = hashlib.sha256(self.module.encode()).hexdigest()[:16]
        path = (folder or Store().folder) / "modules" / f"{self.entry}_{digest}.py"
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            write_text(path, self.module)
        launcher: Callable[..., Any] = getattr(imported(path), self.entry)
        return launcher


def best(
    kernel: Any,
    arch: str = "hopper",
    arguments: Mapping[str, Any] | None = None,
    *,
    cache: Path | None = None,
    time_limit: float = 60.0,
) -> Choice:
    """The candidate to run for these launch arguments.

    kernel: as for `twill.compile`. arguments: by name, tensors and numbers; tile sizes need not be among them; by
    default those of the kernel's example. cache: the folder of the cache, by default the user's.

    What was measured for the same kernel, architecture, shape class and versions wins, on this machine's GPU rather
    than on another; without a measurement the predicted best of what was compiled; if nothing was, the kernel is
    compiled now (time_limit: seconds to solve) and kept. A candidate whose tile sizes do not divide the arguments as
    the kernel asks is passed over. Raises as `twill.compile` does, and InputError for an unreadable cache.
    """
    from twill import frontend
    from twill.frontend.specialize import example_arguments
    from twill.machine import load
    from twill.tune.problem import problem_of

    source, machine = frontend.load(kernel), load(arch)
    given = dict(arguments) if arguments is not None else example_arguments(source)
    problem, store = problem_of(source, machine, given), Store(cache)
    return _kept(problem, store, given) or _compiled(source, arch, given, problem, store, time_limit)


def _kept(problem: Problem, store: Store, arguments: Mapping[str, Any]) -> Choice | None:
    """The best of what the cache holds and these arguments allow; None where it holds none."""
    from twill.tune.cuda import name_here

    builds = [
        candidate
        for _, build in sorted(store.builds(problem.key).items()) if build["status"] == "ok"
        for candidate in build["candidates"]
    ]  # fmt: skip
    times, here = store.times(problem.key), name_here()
    found = []
    for build in builds:
        answers = [(device != here, answer) for (name, device), answer in times.items() if name == build["candidate"]]
        if not _allows(build, arguments) or (answers and not any(answer["status"] == "ok" for _, answer in answers)):
            continue
        measured = [(elsewhere, answer["seconds"], answer) for elsewhere, answer in answers if answer["status"] == "ok"]
        elsewhere, _, answer = min(measured, key=lambda each: each[:2]) if measured else (True, 0.0, None)
        spoiled = answer is None and bool(build["problems"])
        found.append((answer is None, elsewhere, spoiled, _seconds(build, answer), build, answer))
    if not found:
        return None
    *_, build, answer = min(found, key=lambda each: each[:4])
    return choice_of(problem.kernel, build, answer)


def _seconds(build: Mapping[str, Any], answer: Mapping[str, Any] | None) -> float:
    if answer is not None:
        return float(answer["seconds"])
    seconds = build["predicted_seconds"]
    return float("inf") if seconds is None else float(seconds)


def _allows(build: Mapping[str, Any], arguments: Mapping[str, Any]) -> bool:
    """The arguments are multiples of what the candidate asks."""
    from twill.frontend.launch import from_json

    launch = from_json(build["schedule"]["launch"])
    return not any(
        isinstance(arguments.get(name), int) and arguments[name] % launch.multiple(name) for name in launch.multiple_of
    )


def _compiled(
    source: KernelSource, arch: str, arguments: Mapping[str, Any], problem: Problem, store: Store, time_limit: float
) -> Choice:
    """The candidate that `twill.compile` chooses, predicted at these arguments and kept in the cache."""
    from twill.compiler import compile
    from twill.tune.build import candidate
    from twill.tune.points import point_of

    tuned = source.info.tune if source.info is not None else {}
    constexprs = {parameter.name for parameter in source.parameters if parameter.constexpr}
    constants = {name: value for name, value in arguments.items() if name in constexprs and name not in tuned}
    integers = {
        name: str(value)
        for name, value in arguments.items()
        if isinstance(value, int) and not isinstance(value, bool) and name not in constexprs
    }
    compiled = compile(source.function if source.info is None else f"{source.file}::{source.name}", arch,
                       constants=constants, time_limit=time_limit)  # fmt: skip
    made = candidate(compiled, 1, (), integers)
    point = point_of(compiled.candidates[0], tuple(tuned), compiled.machine)
    store.prepare()
    store.keep_problem(problem)
    if point.name not in store.builds(problem.key):
        asked = {"best": 1, "time_limit": 0.0}
        store.keep_build(problem.key, point.name, {"status": "ok", "candidates": [made], "asked": asked})
    return choice_of(problem.kernel, made, None)


def choice_of(kernel: str, build: Mapping[str, Any], answer: Mapping[str, Any] | None) -> Choice:
    """The choice that a compiled candidate and its timing are."""
    from twill.frontend.launch import from_json

    measured = answer is not None and answer["status"] == "ok"
    return Choice(
        kernel=kernel,
        candidate=build["candidate"],
        constants=from_json(build["schedule"]["launch"]).constants,
        entry=build["entry"],
        module=build["module"],
        schedule=build["schedule"],
        seconds=float(answer["seconds"]) if answer is not None and measured else None,
        predicted_seconds=build["predicted_seconds"],
        label=label(answer),
    )

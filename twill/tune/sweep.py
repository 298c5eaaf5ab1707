"""One sweep: points compiled in parallel, candidates pruned by prediction, timed one by one, all of it kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from twill.candidates import Request
from twill.errors import InputError, NoSchedule
from twill.steps import Step
from twill.tune.cuda import name_here
from twill.tune.executors import Executor, Job
from twill.tune.points import Point, points_of
from twill.tune.problem import Problem, problem_of
from twill.tune.result import Result, Row, rows_of
from twill.tune.store import Store
from twill.tune.target import target_json
from twill.tune.timing import GPU

if TYPE_CHECKING:
    from twill.frontend.source import KernelSource

Tell = Callable[[str], None]
SECONDS_BESIDE_SOLVING = 240.0  # that compiling a point may take, alternatives and ptxas included


@dataclass(frozen=True)
class Options:
    """What is searched and how far.

    best: schedules of each point. margin: candidates predicted to take more than so many times the best one's time
    are not timed, and points that must take longer are not compiled. most: candidates that are timed. solve_seconds:
    to solve one point. seconds: to time one candidate. again: what the cache holds is compiled and timed anew.
    timer: the module that times (tests give another).
    """

    best: int = 2
    margin: float = 1.5
    most: int = 16
    solve_seconds: float = 60.0
    seconds: float = 120.0
    again: bool = False
    timer: str = GPU


def tune(
    request: Request, options: Options, executor: Executor, store: Store, tell: Tell, stop: Callable[[], bool]
) -> Result:
    """Everything that is known of the kernel's candidates, the best one first.

    Every answer is in the cache as soon as it is there, and what the cache holds already is not done again. `stop`
    (Ctrl-C) ends the sweep with what was measured until then. Without a GPU nothing is timed, and the order is the
    predicted one. Raises InputError, Unsupported, and NoSchedule when no point gives a kernel.
    """
    return _Sweep(request, options, executor, store, tell, stop).run()


class _Sweep:
    """One sweep; `run` is called once."""

    def __init__(
        self, request: Request, options: Options, executor: Executor, store: Store, tell: Tell,
        stop: Callable[[], bool],
    ) -> None:  # fmt: skip
        from twill.frontend.specialize import example_arguments

        self.request, self.options, self.executor = request, options, executor
        self.store, self.tell, self.stop = store, tell, stop
        arguments = example_arguments(request.source, request.constants, request.example)
        self.problem: Problem = problem_of(request.source, request.machine, arguments)
        self.target = target_json(request.source)
        self.builds: dict[str, dict[str, Any]] = {}
        self.skipped: dict[str, str] = {}

    def run(self) -> Result:
        self.store.prepare()
        found = points_of(self.request, self.tell, self.stop)
        self.skipped |= found.impossible
        self.store.keep_problem(self.problem)
        self._build(found.points)
        rows = rows_of(found.points, self.builds)
        if not rows and not self.stop():
            raise self._nothing()
        rows = self._pruned(rows)
        self.gpu = import_module(self.options.timer).DEVICE == "cuda"
        why = self.executor.why_no_gpu() if self.gpu and not self.stop() else ""
        if not why:
            rows = self._timed(rows)
        failed = {name: build["why"] for name, build in self.builds.items() if build["status"] != "ok"}
        return Result(self.problem, tuple(rows), {**failed, **self.skipped}, why, self.stop())

    # compiling -------------------------------------------------------------------------------------

    def _build(self, points: tuple[Point, ...]) -> None:
        """Compile the points that may be among the best, those with the lowest bounds first."""
        kept = {} if self.options.again else self.store.builds(self.problem.key)
        for point in points:
            if point.name in kept and self._covers(kept[point.name]):
                self.builds[point.name] = kept[point.name]
        total, impossible = len(points), len(self.skipped)
        self.tell(Step("compiling", len(self.builds), total))
        with closing(self.executor.run(self._build_jobs(points), self.stop)) as answers:
            for job, answer in answers:
                if answer["status"] == "ended" or (self.stop() and answer["status"] == "crashed"):
                    continue
                asked = {name: job.request[name] for name in ("best", "time_limit")}
                self.builds[job.name] = {**answer, "asked": asked}
                self.store.keep_build(self.problem.key, job.name, self.builds[job.name])
                self.tell(Step(f"compiled {job.name}", len(self.builds) + len(self.skipped) - impossible, total))

    def _covers(self, build: Mapping[str, Any]) -> bool:
        """The kept build was asked for as much as now."""
        asked = build.get("asked", {"best": 0, "time_limit": 0.0})
        return bool(asked["best"] >= self.options.best and asked["time_limit"] >= self.options.solve_seconds)

    def _build_jobs(self, points: tuple[Point, ...]) -> Iterator[Job]:
        for point in points:
            if point.name in self.builds:
                continue
            least = self._least_seconds()
            if least is not None and point.bound_seconds > self.options.margin * least:
                times = point.bound_seconds / least
                self.skipped[point.name] = (
                    f"not compiled: predicted to take {times:.2f} times the best one's time or more"
                )
                continue
            request = {
                "job": "build", "target": self.target, "arch": self.request.arch,
                "constants": {**self.request.constants, **point.tile}, "example": dict(self.request.example),
                "subtiles": point.subtiles, "best": self.options.best, "time_limit": self.options.solve_seconds,
            }  # fmt: skip
            limit = 3 * self.options.solve_seconds + SECONDS_BESIDE_SOLVING
            yield Job(point.name, request, limit)

    def _least_seconds(self) -> float | None:
        """Predicted for the best of what was compiled."""
        found = [
            candidate["predicted_seconds"]
            for build in self.builds.values()
            if build["status"] == "ok"
            for candidate in build["candidates"]
            if candidate["predicted_seconds"] is not None and not candidate["problems"]
        ]
        return min(found, default=None)

    def _nothing(self) -> NoSchedule:
        why = "; ".join(f"with {name}, {build['why']}" for name, build in list(self.builds.items())[:3])
        return NoSchedule(
            f"no candidate of `{self.problem.kernel}` became a kernel: {why}.",
            hint="Give more time with --time-limit, or other tile sizes.",
            location=self.request.source.location,
        )

    # timing ----------------------------------------------------------------------------------------

    def _pruned(self, rows: list[Row]) -> list[Row]:
        """The rows by prediction; those that are not timed say why."""
        rows = sorted(rows, key=lambda row: row.predicted_rank)
        least = rows[0].predicted_seconds if rows else None
        found = []
        clean = any(not row.problems for row in rows)
        for number, row in enumerate(rows):
            seconds = row.predicted_seconds
            if row.problems and clean:
                row = row.left("its machine code: " + "; ".join(p.partition(": (")[0] for p in row.problems))
            elif least is not None and seconds is not None and seconds > self.options.margin * least:
                row = row.left(f"predicted to take {seconds / least:.2f} times the best one's time")
            elif number >= self.options.most:
                row = row.left(f"not among the {self.options.most} predicted to be best")
            found.append(row)
        return found

    def _timed(self, rows: list[Row]) -> list[Row]:
        """The rows with what their timing gave, from the cache or from now."""
        known = {} if self.options.again else self._known()
        rows = [row.answered(known[row.candidate]) if row.candidate in known else row for row in rows]
        total = sum(row.to_be_timed for row in rows)
        done = 0
        self.tell(Step("timing", done, total))
        with closing(self.executor.run(self._time_jobs(rows), self.stop)) as answers:
            for job, answer in answers:
                if answer["status"] == "ended" or (self.stop() and answer["status"] == "crashed"):
                    continue
                device = str(answer.get("device", {}).get("name") or name_here() or "unknown")
                self.store.keep_time(self.problem.key, job.name, device, answer)
                rows = [row.answered(answer) if row.candidate == job.name else row for row in rows]
                done += 1
                self.tell(Step(f"timed {job.name}", done, total))
        return sorted(rows, key=lambda row: row.rank)

    def _known(self) -> dict[str, dict[str, Any]]:
        """The kept timings. Where several devices were timed, those of the device that most candidates ran on."""
        times = self.store.times(self.problem.key)
        count: dict[str, int] = {}
        for (_, device), answer in times.items():
            if answer["status"] == "ok":
                count[device] = count.get(device, 0) + 1
        here = name_here() or max(count, key=lambda name: count[name], default="")
        return {candidate: answer for (candidate, device), answer in times.items() if device in (here, "unknown")}

    def _time_jobs(self, rows: list[Row]) -> Iterator[Job]:
        for row in rows:
            if not row.to_be_timed:
                continue
            request = {
                "job": "time", "target": self.target, "constants": {**self.request.constants, **row.tile},
                "example": dict(self.request.example), "timer": self.options.timer, "candidate": dict(row.build),
            }  # fmt: skip
            yield Job(row.candidate, request, self.options.seconds, gpu=self.gpu)


def request_of(
    source: KernelSource,
    arch: str,
    constants: Mapping[str, Any],
    example: Mapping[str, Any],
    subtiles: int | None = None,
) -> Request:
    """The request of a sweep over the kernel's tune=; constants that are given are not searched."""
    from twill.codegen.machine_code import require_code
    from twill.frontend.specialize import example_arguments
    from twill.machine import load

    machine = load(arch)
    require_code(machine, source.location)
    if source.info is None or source.info.example is None:
        message = f"kernel `{source.name}` has no example: what its launches are like is not known."
        raise InputError(message, hint="Give @twill.kernel(example=...).", location=source.location)
    example_arguments(source, constants, example)  # refuses unknown names and values of the wrong type
    return Request(source, machine, arch, dict(constants), None, dict(example), subtiles, True)

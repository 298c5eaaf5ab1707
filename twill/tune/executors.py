"""Where jobs run: on this machine, each in a process of its own, or on a Ray cluster."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Iterable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol

from twill.errors import InputError, Unsupported
from twill.processes import Children
from twill.tune.process import Answer, run_job

_POLL_SECONDS = 0.2  # how late Ctrl-C may be heard


@dataclass(frozen=True)
class Job:
    """A request of `twill.tune.child`, under a name. seconds: after which it counts as hung. gpu: it needs one."""

    name: str
    request: Mapping[str, Any]
    seconds: float
    gpu: bool = False


class Executor(Protocol):
    """Runs jobs; each comes back once with its answer, in the order in which they end.

    jobs: the next is asked for only when there is room for it, so that what is known by then can decide about it.
    When `stop` says so, running jobs are ended and nothing more comes back.
    """

    def run(self, jobs: Iterable[Job], stop: Callable[[], bool]) -> Generator[tuple[Job, Answer], None, None]: ...

    def why_no_gpu(self) -> str: ...


class Local:
    """This machine: up to `workers` processes at a time that compile, and one that times."""

    def __init__(self, workers: int) -> None:
        self.workers = workers

    def run(self, jobs: Iterable[Job], stop: Callable[[], bool]) -> Generator[tuple[Job, Answer], None, None]:
        children = Children()
        waiting = iter(jobs)
        with ThreadPoolExecutor(self.workers) as pool:
            running: dict[Future[Answer], Job] = {}
            try:
                while not stop():
                    room = 1 if any(job.gpu for job in running.values()) else self.workers
                    for job in islice(waiting, max(0, room - len(running))):
                        running[pool.submit(run_job, job.request, job.seconds, children)] = job
                        if job.gpu:
                            break
                    if not running:
                        return
                    done, _ = wait(running, timeout=_POLL_SECONDS, return_when=FIRST_COMPLETED)
                    for future in done:
                        yield running.pop(future), future.result()
                for future in [each for each in running if each.done()]:
                    yield running.pop(future), future.result()
            finally:
                children.end()

    def why_no_gpu(self) -> str:
        from twill.calibrate.child import why_no_device

        return why_no_device("Candidates are")


class OnRay:
    """A Ray cluster: the one at $RAY_ADDRESS, else one of this machine's own. A task has one CPU, and a GPU to time.

    A worker or machine that dies takes its running tasks with it; Ray runs those again elsewhere, and those only.
    """

    RETRIES = 3

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._ray = _imported_ray()
        if not self._ray.is_initialized():
            # Its messages would be lost among the progress bar, and its own log goes to files.
            self._ray.init(log_to_driver=False, logging_level="ERROR", include_dashboard=False)

    def run(self, jobs: Iterable[Job], stop: Callable[[], bool]) -> Generator[tuple[Job, Answer], None, None]:
        waiting = iter(jobs)
        running: dict[Any, Job] = {}
        try:
            while not stop():
                for job in islice(waiting, max(0, self._room() - len(running))):
                    running[self._submit(job)] = job
                if not running:
                    return
                done, _ = self._ray.wait(list(running), num_returns=1, timeout=_POLL_SECONDS)
                for reference in done:
                    yield running.pop(reference), self._answer(reference)
            done, _ = self._ray.wait(list(running), num_returns=len(running), timeout=0) if running else ([], [])
            for reference in done:
                yield running.pop(reference), self._answer(reference)
        finally:
            for reference in running:
                self._ray.cancel(reference, force=True)

    def why_no_gpu(self) -> str:
        if self._ray.cluster_resources().get("GPU"):
            return ""
        return "The Ray cluster has no GPU: candidates are measured on a Hopper GPU, and nothing was measured."

    def _room(self) -> int:
        """Tasks at a time: what the cluster has CPUs for now, as many as were asked for at least."""
        return max(self.workers, int(self._ray.cluster_resources().get("CPU", 1)))

    def _submit(self, job: Job) -> Any:
        gpus = 1 if job.gpu and self._ray.cluster_resources().get("GPU") else 0
        task = self._ray.remote(run_job).options(num_cpus=1, num_gpus=gpus, max_retries=self.RETRIES)
        return task.remote(job.request, job.seconds)

    def _answer(self, reference: Any) -> Answer:
        try:
            answer: Answer = self._ray.get(reference)
            return answer
        except self._ray.exceptions.RayError as error:
            first = next(iter(str(error).strip().splitlines()), "")
            return {"status": "crashed", "why": f"its Ray worker was lost {self.RETRIES + 1} times: {first[:300]}"}


def executor(name: str, workers: int) -> Executor:
    """The executor of that name. Raises InputError for another one, Unsupported where Ray is not installed."""
    if name == "local":
        return Local(workers)
    if name == "ray":
        return OnRay(workers)
    raise InputError(f"there is no executor `{name}`.", hint="Give local or ray.")


def _imported_ray() -> Any:
    try:
        import ray
    except ImportError:
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        raise Unsupported(
            f"Ray is not installed for this Python {version}.",
            hint="Install it, pip install 'twill[ray]', or leave out --executor ray.",
        ) from None
    return ray
